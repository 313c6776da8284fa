//! Copies of values: which workers hold one besides the worker that made it.

use super::Scheduler;
use super::links::Stack;
use super::task::State;
use crate::id::{TaskId, TaskSlot, WorkerId};

impl Scheduler {
    /// Whether a worker is known to hold a copy of a value, or will by what it was told.
    pub fn has_copy(&self, id: TaskId, worker: WorkerId) -> bool {
        self.tasks.find(id).is_some_and(|slot| self.copies.contains(&(slot, worker)))
    }

    /// How many copies are known.
    #[cfg(any(test, feature = "simulation"))]
    pub fn copies(&self) -> usize {
        self.copies.len()
    }

    /// A copy of a value lies on a worker.
    pub(super) fn copied(&mut self, id: TaskId, worker: WorkerId) -> bool {
        let Some(slot) = self.tasks.find(id) else { return false };
        if self.tasks[slot].state != State::Done || !self.workers.is_living(worker) {
            return false;
        }
        self.add_copy(slot, worker);
        true
    }

    fn add_copy(&mut self, slot: TaskSlot, worker: WorkerId) {
        if self.copies.insert((slot, worker)) {
            self.tasks.cold_mut(slot).copies.push(&mut self.links, worker);
        }
    }

    /// A worker has no copy after all, as far as is known: it is not counted on, but told
    /// to let it go as the others are.
    pub(super) fn not_copied(&mut self, id: TaskId, worker: WorkerId) -> bool {
        let Some(slot) = self.tasks.find(id) else { return false };
        if !self.copies.remove(&(slot, worker)) {
            return false;
        }
        let mut rest = std::mem::replace(&mut self.tasks.cold_mut(slot).copies, Stack::EMPTY);
        let mut kept = Stack::EMPTY;
        while let Some(copy) = rest.pop(&mut self.links) {
            self.step();
            if copy != worker {
                kept.push(&mut self.links, copy);
            }
        }
        let kept = kept.reversed(&mut self.links);
        let cold = self.tasks.cold_mut(slot);
        cold.copies = kept;
        cold.doubtful.push(&mut self.links, worker);
        true
    }

    /// The value of a task that stayed on a worker is at the controller as well, and
    /// cannot be lost.
    pub(super) fn fetched(&mut self, id: TaskId) -> bool {
        let Some(slot) = self.tasks.find(id) else { return false };
        if self.tasks[slot].state != State::Done || !self.tasks[slot].is_resident() {
            return false;
        }
        let maker = self.tasks[slot].worker();
        self.tasks[slot].come_home();
        // The maker holds a copy from here on.
        if let Some(maker) = maker.filter(|&maker| self.workers.is_living(maker)) {
            self.add_copy(slot, maker);
        }
        true
    }
}
