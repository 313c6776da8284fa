//! Tasks that are cancelled while this worker has them: those that have not begun never
//! will, and those that run are to be told.
//!
//! A frame with large arguments may be overtaken by the cancel of the task that it
//! brings. So what is not here is remembered, until it comes, or the controller says that
//! it has ended: then the answer of this worker has crossed the cancel.

use super::Worker;
use super::outbox::Outbox;
use crate::id::{Slot, TaskId};
use crate::wire::message::ToController;
use rustc_hash::FxHashSet;

impl Worker {
    /// These tasks are not wanted any more.
    pub(super) fn cancel(&mut self, tasks: Vec<TaskId>, out: &mut Outbox) {
        for task in tasks {
            if let Some(slot) = self.running.slot_of(task) {
                out.cancelled.push((slot, task));
            } else if !self.groups.cancel(task) {
                self.cancelled.insert(task);
            }
        }
        self.drop_cancelled(out);
    }

    /// These have ended.
    pub(super) fn cancel_is_over(&mut self, tasks: &[TaskId]) {
        for task in tasks {
            self.cancelled.remove(task);
        }
    }

    /// Lets go of cancelled tasks that have come and not begun.
    #[inline(never)]
    pub(super) fn drop_cancelled(&mut self, out: &mut Outbox) {
        let mut dropped = self.ready.remove_all(&self.cancelled);
        let ids: FxHashSet<TaskId> = dropped.iter().map(|task| task.id).collect();
        let mut waiting: Vec<TaskId> = self.cancelled.iter().copied().filter(|id| !ids.contains(id)).collect();
        waiting.sort_unstable();
        dropped.extend(waiting.into_iter().filter_map(|id| self.values.take_back(id)));
        if dropped.is_empty() {
            return;
        }
        let tasks: Vec<TaskId> = dropped.iter().map(|task| task.id).collect();
        for task in &tasks {
            self.cancelled.remove(task);
            self.descriptions.take(*task);
        }
        // One by one: what a task holds may be dropped by users' code, which may panic.
        dropped.into_iter().for_each(|task| out.garbage.push(Box::new(task)));
        out.tell(&ToController::NotBegun { tasks });
    }

    /// The executor and the task of a member that has begun after its group was
    /// cancelled.
    pub(crate) fn cancelled_member(&mut self, epoch: u64) -> Option<(Slot, TaskId)> {
        let membership = self.groups.of_running(epoch);
        let task = membership.id;
        if membership.cancelled { Some((self.running.slot_of(task)?, task)) } else { None }
    }
}
