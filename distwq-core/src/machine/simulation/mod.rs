//! The whole control plane in one thread: a controller, workers, a network and a user,
//! all from one seed.
//!
//! The machines are the real ones, and so are the frames between them. Around them
//! everything is played: the time, of which they are told late, the network with its
//! delays, the executors and what their tasks give, the user who adds tasks and graphs,
//! holds handles and waits. What the controller and the executors do is compared, after
//! each event of theirs, with a model that knows how every task must end. Workers are
//! lost, at any moment: what they have sent may still arrive, what they are sent
//! vanishes, and the controller is told some time later. The controller's process exits,
//! and frames come torn. Slots have states, some of which cannot be made or ended.
//!
//! A run that breaks a rule gives a [`Violation`] with its seed and its last events. The
//! same seed gives the same run, frame by frame: `cargo xtask simulate --seeds 1 --from
//! SEED` shows it again.

mod agenda;
mod book;
mod clock;
mod content;
mod controller;
mod copies;
mod faults;
mod functions;
mod history;
mod limits;
mod members;
mod network;
mod outcome;
mod program;
mod random;
pub mod scale;
mod script;
mod states;
mod task;
#[cfg(test)]
mod tests;
mod user;
mod watches;
mod windows;
mod worker;
mod world;

pub use history::Tally;
#[cfg(test)]
pub(crate) use random::Random;
pub use states::StatesTally;

use history::History;
use std::any::Any;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use world::World;

/// A run in which something was not as it must be.
#[derive(Clone, Debug)]
pub struct Violation {
    /// The seed of the run.
    pub seed: u64,
    /// What was wrong.
    pub message: String,
    /// The last events, in words.
    pub events: Vec<String>,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for event in &self.events {
            writeln!(f, "  {event}")?;
        }
        write!(f, "seed {}: {}", self.seed, self.message)
    }
}

/// Runs one seed.
///
/// # Errors
/// The rule that was broken. The run is made a second time then, for its events in words.
pub fn run(seed: u64) -> Result<Tally, Box<Violation>> {
    let (result, history) = run_noting(seed, false);
    match result {
        Ok(()) => Ok(history.tally),
        Err(message) => {
            let events = run_noting(seed, true).1.into_words();
            Err(Box::new(Violation { seed, message, events }))
        }
    }
}

/// Runs one seed, and gives what was broken, and what has happened.
fn run_noting(seed: u64, with_words: bool) -> (Result<(), String>, History) {
    let mut history = History::new(with_words);
    let result = catch_unwind(AssertUnwindSafe(|| World::new(seed, &mut history).run()));
    (result.map_err(|panic| text_of(&*panic)), history)
}

fn text_of(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("a panic without a text").to_owned()
}
