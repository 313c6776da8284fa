//! Whom the ends of certain tasks are told to: those that a user takes as they end.

use super::input::Watch;
use super::table::Entry;
use crate::id::TaskId;
use crate::machine::Ns;
use crate::outcome::info::TaskState;
use rustc_hash::FxHashMap;
use smallvec::SmallVec;

/// A watched task has ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct WatchedEnd {
    pub(crate) watch: Watch,
    /// How it has ended.
    pub(crate) state: TaskState,
    pub(crate) submitted_ns: Ns,
    /// When its last attempt began; 0 if it never ran.
    pub(crate) started_ns: Ns,
    pub(crate) finished_ns: Ns,
}

impl WatchedEnd {
    /// That of a task which has ended.
    pub(super) fn of(entry: &Entry, watch: Watch) -> Self {
        let &Entry { submitted_ns, started_ns, finished_ns, .. } = entry;
        Self { watch, state: entry.state(), submitted_ns, started_ns, finished_ns }
    }

    /// Whether it has given a value.
    pub(crate) fn has_value(&self) -> bool {
        self.state == TaskState::Done
    }
}

/// The watches of all tasks that have not ended.
#[derive(Default, Debug)]
pub(super) struct Watches {
    of_task: FxHashMap<TaskId, SmallVec<[Watch; 1]>>,
}

impl Watches {
    /// The end of this task, which has not ended, is to be told.
    pub(super) fn add(&mut self, task: TaskId, watch: Watch) {
        self.of_task.entry(task).or_default().push(watch);
    }

    /// A task has ended: gives whom that is told to.
    pub(super) fn take(&mut self, task: TaskId) -> SmallVec<[Watch; 1]> {
        self.of_task.remove(&task).unwrap_or_default()
    }

    /// How many tasks are watched.
    #[cfg(any(test, feature = "simulation"))]
    pub(super) fn len(&self) -> usize {
        self.of_task.len()
    }
}
