//! What the loss of a worker means for the tasks and groups it had.

use super::task::State;
use super::workers::Standing;
use super::{Actions, End, Scheduler, Turn};
use crate::id::{TaskSlot, WorkerId};

impl Scheduler {
    /// A worker is gone. Values that it alone held are found lost when a task that needs
    /// one would start.
    pub(super) fn lost(&mut self, worker: WorkerId, actions: &mut Actions) -> bool {
        if !self.workers.is_living(worker) {
            return false;
        }
        if self.workers[worker].standing == Standing::Reserved {
            self.unreserve(worker);
        }
        self.workers.lose(worker);
        self.lose_aside(worker, actions);
        self.lose_in_flight(worker, actions);
        self.lose_pinned(worker, actions);
        self.end_impossible(actions);
        self.settle(actions);
        true
    }

    /// What may have begun has used up an attempt; the rest goes back as if never
    /// started.
    fn lose_in_flight(&mut self, worker: WorkerId, actions: &mut Actions) {
        let state = &self.workers[worker];
        let begun = state.slots as usize;
        let in_flight: Vec<TaskSlot> = state.tasks.iter(&self.tasks).collect();
        // From the last to the first: each goes to the front, so they come out in order.
        for (index, slot) in in_flight.into_iter().enumerate().rev() {
            self.step();
            self.workers.remove(&mut self.tasks, worker, slot);
            if index < begun && self.tasks.cold(slot).pinned_to().is_none() {
                let retry = self.after_loss(slot);
                self.attempt_failed(slot, None, retry, End::WorkerLost { worker }, actions);
            } else {
                // One that is bound to the lost worker ends here.
                self.wait_again(slot, actions);
            }
        }
    }

    fn lose_pinned(&mut self, worker: WorkerId, actions: &mut Actions) {
        self.workers[worker].pinned = 0;
        for slot in self.pinned[worker.index()].drain(&mut self.tasks) {
            self.step();
            self.end(slot, End::WorkerLost { worker }, actions);
        }
    }

    /// Ends the ready tasks that now need more workers, or another one, than there are,
    /// or than will ever be free.
    pub(super) fn end_impossible(&mut self, actions: &mut Actions) {
        if let Some(reservation) = &self.reservation {
            let task = reservation.task;
            if let Some(end) = self.why_impossible(task) {
                self.cancel_reservation();
                self.end(task, end, actions);
            }
        }
        let mut wide = self.wide.drain(&mut self.tasks);
        wide.extend(self.too_wide.drain(&mut self.tasks));
        for slot in wide {
            self.requeue(slot, actions);
        }
        let none_left = self.workers.living as usize == self.aside.stuck().count();
        if none_left || !self.all_possible {
            for slot in self.retries.drain(&mut self.tasks) {
                self.requeue(slot, actions);
            }
        }
        if none_left {
            for slot in self.ready.drain(&mut self.tasks) {
                self.requeue(slot, actions);
            }
        }
    }

    fn requeue(&mut self, slot: TaskSlot, actions: &mut Actions) {
        self.step();
        // Seen as waiting for a queue, which it is: the one it was in has been emptied.
        self.tasks[slot].state = State::Blocked;
        self.enqueue(slot, Turn::Last, actions);
    }
}
