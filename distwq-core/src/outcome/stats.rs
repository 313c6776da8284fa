//! Figures of a run.

mod table;

use crate::id::Rank;
use crate::outcome::tally::RunTimes;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// What a cluster has done so far, what its tasks and ranks took for it, and what lies
/// where. Prints as tables: one line for each function and each rank, and the tasks that
/// ran longest.
///
/// # Examples
/// ```
/// use distwq::prelude::*;
///
/// #[remote]
/// fn root(x: u64) -> u64 {
///     x.isqrt()
/// }
///
/// #[distwq::main]
/// fn main(cluster: &Cluster) {
///     let batch = cluster.submit_all((0..100).map(root::call));
///     assert!((&batch).into_iter().all(|(_, result)| result.is_ok()));
///     let stats = cluster.stats();
///     assert_eq!((stats.submitted, stats.done, stats.outstanding), (100, 100, 0));
///     let root = &stats.functions[0];
///     assert!(root.function.ends_with("root") && root.runs.count == 100);
///     assert!(root.runs.min <= root.runs.mean && root.runs.mean <= root.runs.max);
///     println!("{stats}");
/// }
/// ```
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Stats {
    /// Tasks that were taken, values not counted.
    pub submitted: u64,
    /// Tasks that gave a value.
    pub done: u64,
    /// Tasks that ended without one and were not cancelled, those upstream of others
    /// included.
    pub failed: u64,
    /// Tasks that were cancelled.
    pub cancelled: u64,
    /// Tasks that have not ended.
    pub outstanding: u64,
    /// How long the cluster exists: since all ranks have come together.
    pub elapsed: Duration,
    /// One entry for each function of which an attempt has ended, that with the greatest
    /// total first.
    pub functions: Vec<FunctionStats>,
    /// The tasks that ran longest on all workers, the longest first: five at most. Of a
    /// collective task only the member that ran longest.
    pub longest: Vec<LongTask>,
    /// One entry for each rank, the controller's first.
    pub ranks: Vec<RankStats>,
}

/// The figures of one function.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[non_exhaustive]
pub struct FunctionStats {
    /// Its path.
    pub function: String,
    /// Its attempts on all workers.
    pub runs: RunTimes,
}

/// A task that ran long.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[non_exhaustive]
pub struct LongTask {
    /// The number of the task; of items of a map that travelled together, that of the
    /// first.
    pub task: u32,
    /// The path of its function.
    pub function: String,
    /// The label of its call.
    pub label: Option<String>,
    /// Where it ran.
    pub rank: Rank,
    /// How long the attempt ran.
    pub time: Duration,
}

/// The figures of one rank. Of a worker all are as it has last reported.
///
/// The times of a worker are those of its slots together, so in a second a worker with
/// four slots has four seconds to tell of. Since the ranks have come together each moment
/// of a slot is in one of [`in_init`](Self::in_init), [`working`](Self::working),
/// [`moving`](Self::moving) and [`waiting`](Self::waiting).
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[non_exhaustive]
pub struct RankStats {
    /// Which rank.
    pub rank: Rank,
    /// Its host.
    pub host: String,
    /// Attempts that ran there to their ends.
    pub runs: RunTimes,
    /// The tasks that ran longest there, the longest first: five at most.
    pub longest: Vec<LongTask>,
    /// From the call of [`launch`](crate::launch()) in its process until all ranks had
    /// come together.
    pub starting: Duration,
    /// In which it made the states of its slots, also later ones anew, with the `finish`
    /// of those before.
    pub in_init: Duration,
    /// In which it ran tasks: the [total](RunTimes::total) of those that have ended, and
    /// how long those that run now have run. Of the controller: in which it handled
    /// what had come from workers, by estimate; what threads of the body spend to submit
    /// is theirs.
    pub working: Duration,
    /// In which a slot had nothing to run while a task there waited for inputs that were
    /// on their way from other ranks. What travels while other tasks run is not counted:
    /// it costs no slot anything.
    pub moving: Duration,
    /// In which a slot had nothing to run and nothing was on its way, with what it takes
    /// to receive tasks and to report them.
    pub waiting: Duration,
    /// The bytes that it was sent by other ranks, without those of raw MPI.
    pub bytes_in: u64,
    /// The bytes that it has sent to other ranks.
    pub bytes_out: u64,
    /// The encoded size of the values that live there.
    pub resident_bytes: u64,
    /// How many values live there.
    pub resident_values: u64,
    /// The size of the buffers that are kept to be used again: 512 MiB at most of large
    /// ones in its process, which ranks that share it each tell as a whole, and 64 MiB at
    /// most of small ones.
    pub kept_bytes: u64,
}

/// So many of the longest tasks are kept.
pub(crate) const LONGEST_MAX: usize = 5;

impl Stats {
    /// The encoded size of all values that live on any rank.
    #[must_use]
    pub fn resident_bytes(&self) -> u64 {
        self.ranks.iter().map(|rank| rank.resident_bytes).sum()
    }

    /// The share of the time so far in which the controller handled what workers had
    /// sent, from 0 to 1. Where it comes close to 1 while workers wait, the tasks are too
    /// short for so many workers: join several of them in one.
    #[must_use]
    pub fn controller_busy(&self) -> f64 {
        let working = self.ranks.first().map_or(Duration::ZERO, |controller| controller.working);
        if self.elapsed.is_zero() { 0.0 } else { (working.as_secs_f64() / self.elapsed.as_secs_f64()).min(1.0) }
    }
}
