//! Actions in their order, until the caller has carried them out.

use super::arena::{Lists, TaskList, WorkerList};
use super::event::{Action, End};
use crate::id::{TaskId, WorkerId};

/// What the scheduler has decided and was not carried out. The lists of the actions lie
/// here as well, in arenas: no action allocates anything.
#[derive(Debug, Default)]
pub struct Actions {
    all: Vec<Action>,
    /// How many were taken.
    taken: usize,
    workers: Lists<WorkerId>,
    tasks: Lists<TaskId>,
}

impl Actions {
    /// How many are left.
    #[must_use]
    #[inline]
    pub fn len(&self) -> usize {
        self.all.len() - self.taken
    }

    /// Whether none is left.
    #[must_use]
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.all.len() == self.taken
    }

    /// Takes the next one; after the last, the lists of all are forgotten.
    ///
    /// It is given where it lies, and best matched there (`match *action`), field by
    /// field. A copy of the whole would be loaded in larger pieces than it was just
    /// stored in, and for that the processor waits until the stores are through (a failed
    /// store-to-load forwarding).
    #[inline]
    pub fn take_next(&mut self) -> Option<&Action> {
        if self.is_empty() {
            self.clear();
            return None;
        }
        self.taken += 1;
        self.all.get(self.taken - 1)
    }

    /// All were taken: their memory is used again.
    #[inline]
    fn clear(&mut self) {
        self.all.clear();
        self.taken = 0;
        self.workers.clear();
        self.tasks.clear();
    }

    /// The workers of an action that was taken, until [`take_next`](Self::take_next)
    /// gives nothing.
    #[must_use]
    pub fn workers(&self, list: WorkerList) -> &[WorkerId] {
        self.workers.get(list)
    }

    /// The tasks of an action that was taken, until [`take_next`](Self::take_next) gives
    /// nothing.
    #[must_use]
    pub fn tasks(&self, list: TaskList) -> &[TaskId] {
        self.tasks.get(list)
    }

    #[inline]
    pub(super) fn start(&mut self, task: TaskId, worker: WorkerId, attempt: u32) {
        self.all.push(Action::Start { task, worker, attempt });
    }

    pub(super) fn start_group(&mut self, task: TaskId, workers: &[WorkerId], attempt: u32) {
        let workers = self.workers.add(workers);
        self.all.push(Action::StartGroup { task, workers, attempt });
    }

    pub(super) fn take_back(&mut self, worker: WorkerId, tasks: &[TaskId]) {
        let tasks = self.tasks.add(tasks);
        self.all.push(Action::TakeBack { worker, tasks });
    }

    pub(super) fn cancel(&mut self, task: TaskId, workers: &[WorkerId]) {
        let workers = self.workers.add(workers);
        self.all.push(Action::Cancel { task, workers });
    }

    pub(super) fn set_aside(&mut self, task: TaskId, worker: WorkerId) {
        self.all.push(Action::SetAside { task, worker });
    }

    #[inline]
    pub(super) fn ended(&mut self, task: TaskId, end: End) {
        self.all.push(Action::Ended { task, end });
    }

    #[inline]
    pub(super) fn release(&mut self, task: TaskId, holders: &[WorkerId]) {
        let holders = self.workers.add(holders);
        self.all.push(Action::Release { task, holders });
    }
}

/// An action with its lists.
#[cfg(test)]
pub(super) type Whole = Action<Vec<WorkerId>, Vec<TaskId>>;

/// Tests compare actions with what they should be, lists included.
#[cfg(test)]
impl Iterator for Actions {
    type Item = Whole;

    fn next(&mut self) -> Option<Whole> {
        let action = *self.take_next()?;
        Some(match action {
            Action::Start { task, worker, attempt } => Action::Start { task, worker, attempt },
            Action::StartGroup { task, workers, attempt } => {
                Action::StartGroup { task, workers: self.workers(workers).to_vec(), attempt }
            }
            Action::TakeBack { worker, tasks } => Action::TakeBack { worker, tasks: self.tasks(tasks).to_vec() },
            Action::Cancel { task, workers } => Action::Cancel { task, workers: self.workers(workers).to_vec() },
            Action::SetAside { task, worker } => Action::SetAside { task, worker },
            Action::Ended { task, end } => Action::Ended { task, end },
            Action::Release { task, holders } => Action::Release { task, holders: self.workers(holders).to_vec() },
        })
    }
}
