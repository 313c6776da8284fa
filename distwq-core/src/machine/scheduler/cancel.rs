//! Tasks that are to end because a user does not want them any more.
//!
//! One that waits ends at once. One that is with a worker or a group goes on until that
//! has answered: it may not have begun there, and then it never does; it may give a value
//! all the same, and that counts; but whatever else becomes of its attempt, there is no
//! further one.

use super::task::State;
use super::{Actions, End, Scheduler};
use crate::id::{TaskId, TaskSlot, WorkerId};

impl Scheduler {
    /// Cancels tasks. Those that have ended stay as they are.
    pub(super) fn cancel(&mut self, ids: &[TaskId], actions: &mut Actions) -> bool {
        let mut waiting = Vec::new();
        for &id in ids {
            self.step();
            let Some(slot) = self.tasks.find(id) else { continue };
            match self.tasks[slot].state {
                State::InFlight | State::Running => self.ask_to_cancel(slot, actions),
                State::Vacant | State::Doomed | State::Done | State::Failed => {}
                state => {
                    self.stop_waiting(slot, state);
                    // All before the first of them ends: one that depends on another is
                    // cancelled as well, and does not end as a consequence.
                    self.tasks[slot].doom();
                    waiting.push(slot);
                }
            }
        }
        for slot in waiting {
            self.end(slot, End::Cancelled, actions);
        }
        self.settle(actions);
        true
    }

    /// Takes a task that is with no worker out of where it is kept.
    pub(super) fn stop_waiting(&mut self, slot: TaskSlot, state: State) {
        match state {
            State::Ready => self.ready.remove(&mut self.tasks, slot),
            State::Retry => self.retries.remove(&mut self.tasks, slot),
            State::Wide => self.wide.remove(&mut self.tasks, slot),
            State::TooWide => self.too_wide.remove(&mut self.tasks, slot),
            State::Reserving => self.cancel_reservation(),
            State::Pinned => {
                let worker = self.tasks.cold(slot).pinned_to().expect("it waits for one worker");
                self.workers[worker].pinned -= 1;
                self.pinned[worker.index()].remove(&mut self.tasks, slot);
            }
            // Kept by those that it depends on, which find it ended.
            State::Blocked => {}
            // What it waits for is forgotten when it ends.
            State::Paused => {}
            State::Vacant | State::Doomed | State::InFlight | State::Running | State::Done | State::Failed => {
                unreachable!("it does not wait")
            }
        }
    }

    /// Has those told that a task is with, once.
    fn ask_to_cancel(&mut self, slot: TaskSlot, actions: &mut Actions) {
        if std::mem::replace(&mut self.tasks.cold_mut(slot).is_cancelled, true) {
            return;
        }
        let id = self.tasks.id(slot);
        let Some(members) = self.groups.get(&slot) else {
            let worker = self.tasks[slot].worker().expect("a task in flight is with a worker");
            return actions.cancel(id, &[worker]);
        };
        let living: Vec<WorkerId> = members.iter().copied().filter(|&member| self.workers.is_living(member)).collect();
        actions.cancel(id, &living);
    }

    /// Tasks that were to be cancelled have not begun on their worker, and never will.
    pub(super) fn not_begun(&mut self, worker: WorkerId, ids: &[TaskId], actions: &mut Actions) -> bool {
        let is_cancelled = |slot| self.tasks.cold(slot).is_cancelled;
        if !ids.iter().all(|&id| self.in_flight_on(worker, id).is_some_and(is_cancelled)) {
            return false;
        }
        for &id in ids {
            self.step();
            if let Some(slot) = self.in_flight_on(worker, id) {
                self.workers.remove(&mut self.tasks, worker, slot);
                self.end(slot, End::Cancelled, actions);
            }
        }
        self.freed(worker, actions);
        self.settle(actions);
        true
    }

    /// Whether a single-rank task is in flight on this worker.
    #[must_use]
    pub fn is_in_flight_on(&self, worker: WorkerId, task: TaskId) -> bool {
        self.in_flight_on(worker, task).is_some()
    }

    /// Whether a task that has not ended runs, as far as is known: it is one of those
    /// with which its worker began, or in a group.
    #[must_use]
    pub fn has_begun(&self, task: TaskId) -> bool {
        let Some(slot) = self.tasks.find(task) else { return false };
        match (self.tasks[slot].state, self.tasks[slot].worker()) {
            (State::Running, _) => true,
            (State::InFlight, Some(worker)) => {
                let state = &self.workers[worker];
                state.tasks.iter(&self.tasks).take(state.slots as usize).any(|begun| begun == slot)
            }
            _ => false,
        }
    }
}
