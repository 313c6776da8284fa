//! What a worker tells of itself when the controller asks.

use crate::function::registry::FunctionId;
use crate::id::TaskId;
use crate::outcome::tally::Tally;
use serde::{Deserialize, Serialize};

/// What a worker holds, what it runs, and what its tasks took so far. Times are in
/// nanoseconds.
#[derive(Serialize, Deserialize, Clone, PartialEq, Eq, Default, Debug)]
pub(crate) struct Report {
    pub(crate) measured: Measured,
    pub(crate) resident_bytes: u64,
    pub(crate) values: u64,
    /// The tasks that run, and for how long each does.
    pub(crate) running: Vec<(TaskId, u64)>,
    /// The numbers of those of them that have said how much of their work is done, and
    /// that in hundredths.
    pub(crate) marks: Vec<(u32, u8)>,
    /// In which slots made their states.
    pub(crate) init_ns: u64,
    /// In which slots had nothing to run while inputs were on their way.
    pub(crate) moving_ns: u64,
    /// The functions of which an attempt has ended.
    pub(crate) runs: Vec<(FunctionId, Tally)>,
    /// The attempts that ran longest, the longest first.
    pub(crate) longest: Vec<LongAttempt>,
}

/// What the driver of a rank measures, and its machine does not know.
#[derive(Serialize, Deserialize, Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(crate) struct Measured {
    /// Of buffers that are kept to be used again.
    pub(crate) kept_bytes: u64,
    pub(crate) bytes_in: u64,
    pub(crate) bytes_out: u64,
    /// From the call of `launch` to when the ranks had come together.
    pub(crate) starting_ns: u64,
    /// Since then.
    pub(crate) serving_ns: u64,
    /// Of the controller: in which it handled what had come, by estimate.
    pub(crate) busy_ns: u64,
}

/// An attempt that ran long. The task may be gone by the time somebody asks, so it
/// carries its label.
#[derive(Serialize, Deserialize, Clone, PartialEq, Eq, Debug)]
pub(crate) struct LongAttempt {
    pub(crate) task: u32,
    pub(crate) function: FunctionId,
    pub(crate) label: Option<Box<str>>,
    pub(crate) ran_ns: u64,
}

impl Report {
    /// How many hundredths of its work a task that runs has done, if it has said so.
    pub(crate) fn percent_of(&self, task: TaskId) -> Option<u8> {
        self.marks.iter().find(|(serial, _)| *serial == task.serial()).map(|(_, percent)| *percent)
    }

    /// How long tasks have run, those that run now included.
    pub(crate) fn working_ns(&self) -> u64 {
        let ended: u64 = self.runs.iter().map(|(_, tally)| tally.total_ns()).sum();
        ended + self.running.iter().map(|(_, ran_ns)| ran_ns).sum::<u64>()
    }
}
