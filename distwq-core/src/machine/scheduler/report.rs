//! Reports of single-rank tasks, and the queue that a task goes to when it may start, for the first time or again.

use super::links::NONE;
use super::tasks::{Cold, State};
use super::{Actions, End, Scheduler};
use crate::id::{TaskId, WorkerId};

/// Whether a task goes before or behind its like.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Turn {
    /// It has waited before.
    First,
    /// It comes newly.
    Last,
}

impl Scheduler {
    pub(super) fn finished(
        &mut self,
        WorkerId(worker): WorkerId,
        id: TaskId,
        bytes: u64,
        resident: bool,
        ran_ns: u64,
        actions: &mut Actions,
    ) -> bool {
        let Some(slot) = self.reported(worker, id, ran_ns) else { return false };
        self.done(slot, worker, bytes, resident, actions);
        self.freed(worker, actions);
        self.settle(actions);
        true
    }

    pub(super) fn failed(
        &mut self,
        WorkerId(worker): WorkerId,
        id: TaskId,
        ran_ns: u64,
        retry: bool,
        actions: &mut Actions,
    ) -> bool {
        let Some(slot) = self.reported(worker, id, ran_ns) else { return false };
        self.attempt_failed(slot, Some(worker), retry, End::Failed, actions);
        self.freed(worker, actions);
        self.settle(actions);
        true
    }

    /// Takes a task that its worker has reported out of what that has in flight.
    #[inline]
    fn reported(&mut self, worker: u32, id: TaskId, ran_ns: u64) -> Option<u32> {
        let slot = self.in_flight_on(worker, id)?;
        // What the end of the task changes: asked for before the first of it is needed, it is waited for together.
        self.tasks.prefetch_ties(slot);
        self.workers.remove(&mut self.tasks, worker, slot);
        let place = &mut self.workers[worker];
        place.reported_ns = self.now_ns;
        place.learn(ran_ns, &self.settings);
        Some(slot)
    }

    /// The slot of a task that is in flight on this worker.
    #[inline]
    pub(super) fn in_flight_on(&self, worker: u32, id: TaskId) -> Option<u32> {
        let slot = self.tasks.find(id)?;
        let task = &self.tasks[slot];
        (task.state == State::InFlight && task.worker() == worker).then_some(slot)
    }

    /// A task has used up an attempt: it goes back to wait for the next one, which should not be on `worker`, or ends.
    pub(super) fn attempt_failed(
        &mut self,
        slot: u32,
        worker: Option<u32>,
        retry: bool,
        end: End,
        actions: &mut Actions,
    ) {
        let &Cold { failures, retries, .. } = self.tasks.cold(slot);
        if !retry || failures >= retries {
            return self.end(slot, end, actions);
        }
        self.tasks.cold_mut(slot).failures += 1;
        if let Some(worker) = worker {
            self.note_tried(slot, worker);
        }
        self.enqueue(slot, Turn::First, actions);
    }

    /// Puts a task that may start into the queue it belongs to.
    #[inline]
    pub(super) fn enqueue(&mut self, slot: u32, turn: Turn, actions: &mut Actions) {
        if let Some(end) = self.why_impossible(slot) {
            return self.end(slot, end, actions);
        }
        let state = self.state_to_wait_in(slot);
        self.tasks[slot].state = state;
        let queue = match state {
            State::Ready => &mut self.ready,
            State::Retry => &mut self.retries,
            State::Wide => &mut self.wide,
            _ => {
                let pin = self.tasks.cold(slot).pin;
                self.to_serve.push(pin);
                self.workers[pin].pinned += 1;
                &mut self.pinned[pin as usize]
            }
        };
        match turn {
            Turn::First => queue.push_front(&mut self.tasks, slot),
            Turn::Last => queue.push_back(&mut self.tasks, slot),
        }
    }

    #[inline]
    fn state_to_wait_in(&self, slot: u32) -> State {
        let cold = self.tasks.cold(slot);
        if self.tasks[slot].is_collective() {
            State::Wide
        } else if cold.pin != NONE {
            State::Pinned
        } else if cold.failures > 0 && self.tried.contains_key(&slot) {
            State::Retry
        } else {
            State::Ready
        }
    }

    /// How a task must end that could start but for the workers that were lost.
    #[inline]
    pub(super) fn why_impossible(&self, slot: u32) -> Option<End> {
        let &Cold { pin, ranks, .. } = self.tasks.cold(slot);
        if pin != NONE && !self.workers.is_living(pin) {
            return Some(End::WorkerLost { worker: WorkerId(pin) });
        }
        (self.workers.lost > 0 && ranks > self.workers.living).then_some(End::Infeasible)
    }
}
