//! Figures of a run.

use crate::id::Rank;
use crate::outcome::error::plural;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::time::Duration;

/// What a cluster has done so far, and what it holds. Prints as a line for the whole and
/// one for each rank.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Stats {
    /// Tasks that were taken, values not counted.
    pub submitted: u64,
    /// Tasks that gave a value.
    pub done: u64,
    /// Tasks that ended without one, those upstream of them included.
    pub failed: u64,
    /// Tasks that have not ended.
    pub outstanding: u64,
    /// One entry for each rank, the controller's first.
    pub ranks: Vec<RankStats>,
}

/// The figures of one rank.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[non_exhaustive]
pub struct RankStats {
    /// Which rank.
    pub rank: Rank,
    /// Its host.
    pub host: String,
    /// Attempts that ended there; of a collective task, one for each member.
    pub attempts: u64,
    /// The time that these ran.
    pub busy: Duration,
    /// The encoded size of the values that live there.
    pub resident_bytes: u64,
    /// How many values live there.
    pub resident_values: u64,
    /// The size of the buffers that are kept to be used again: 512 MiB at most of large
    /// ones in its process, which ranks that share it each tell as a whole, and 64 MiB at
    /// most of small ones.
    pub kept_bytes: u64,
}

impl Stats {
    /// The encoded size of all values that live on any rank.
    #[must_use]
    pub fn resident_bytes(&self) -> u64 {
        self.ranks.iter().map(|rank| rank.resident_bytes).sum()
    }
}

impl fmt::Display for Stats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let submitted = plural(self.submitted, "task");
        write!(f, "{submitted}: {} done, {} failed, {} outstanding", self.done, self.failed, self.outstanding)?;
        for rank in &self.ranks {
            write!(
                f,
                "\n  {} ({}): {}, {:.3} s busy, {} of {}, {} kept",
                rank.rank,
                rank.host,
                plural(rank.attempts, "attempt"),
                rank.busy.as_secs_f64(),
                plural(rank.resident_values, "value"),
                plural(rank.resident_bytes, "byte"),
                plural(rank.kept_bytes, "byte")
            )?;
        }
        Ok(())
    }
}
