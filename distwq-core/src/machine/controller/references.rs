//! What became of the references of users, as handles note it.

use crate::id::{GraphRunId, TaskId};

/// What became of a reference to a task. Those to a node of a graph are counted beside
/// it, and only the last of them leaves a note.
#[derive(Clone, Copy, Debug)]
pub(crate) enum ReferenceNote {
    /// There is one more.
    Retained(TaskId),
    /// There is one less.
    Dropped(TaskId),
    /// Nobody will ask how a graph as a whole went.
    GraphForgotten(GraphRunId),
}

/// Tasks without references of which the scheduler has not been told.
#[derive(Default, Debug)]
pub(super) struct Unreferenced {
    tasks: Vec<TaskId>,
}

/// Memory for so many tasks is kept.
const KEPT: usize = 256 << 10;

impl Unreferenced {
    pub(super) fn add(&mut self, task: TaskId) {
        self.tasks.push(task);
    }

    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.tasks.is_empty()
    }

    /// Takes them, to be [given back](Self::give_back) empty.
    pub(super) fn take(&mut self) -> Vec<TaskId> {
        std::mem::take(&mut self.tasks)
    }

    /// Gives the memory back.
    pub(super) fn give_back(&mut self, mut tasks: Vec<TaskId>) {
        tasks.clear();
        tasks.shrink_to(KEPT);
        self.tasks = tasks;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_memory_of_many_is_kept_and_that_of_very_many_is_not() {
        for (tasks, kept) in [(1_000, 1_000), (2 * KEPT, KEPT)] {
            let mut unreferenced = Unreferenced::default();
            (0..tasks).for_each(|slot| unreferenced.add(TaskId::new(slot as u32, 1)));
            assert!(!unreferenced.is_empty());
            let taken = unreferenced.take();
            assert_eq!((taken.len(), unreferenced.is_empty()), (tasks, true));
            unreferenced.give_back(taken);
            let room = unreferenced.tasks.capacity();
            assert!(unreferenced.is_empty() && room >= kept && room < 2 * kept, "{room} of {tasks}");
        }
    }
}
