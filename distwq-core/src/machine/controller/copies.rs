//! Which workers have a copy of which value, besides the one that made it.

use crate::id::{TaskId, WorkerId};
use rustc_hash::FxHashSet;

#[derive(Default, Debug)]
pub(super) struct Copies(FxHashSet<(TaskId, WorkerId)>);

impl Copies {
    /// Whether a worker has, or will have by what it was told, a copy of a value.
    pub(super) fn has(&self, value: TaskId, worker: WorkerId) -> bool {
        self.0.contains(&(value, worker))
    }

    /// A worker will have a copy. False if that is known.
    pub(super) fn add(&mut self, value: TaskId, worker: WorkerId) -> bool {
        self.0.insert((value, worker))
    }

    /// All copies.
    #[cfg(any(test, feature = "simulation"))]
    pub(super) fn iter(&self) -> impl Iterator<Item = (TaskId, WorkerId)> + '_ {
        self.0.iter().copied()
    }

    /// A worker forgets its copy, or does not have it. False if none is known.
    pub(super) fn remove(&mut self, value: TaskId, worker: WorkerId) -> bool {
        self.0.remove(&(value, worker))
    }

    /// A worker is gone with all it had.
    pub(super) fn lose(&mut self, worker: WorkerId) {
        self.0.retain(|(_, holder)| *holder != worker);
    }
}
