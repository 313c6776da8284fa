//! How tasks end, what that sets free, and how failure spreads.

use super::links::Chain;
use super::links::NONE;
use super::tasks::{State, Ties, upstream};
use super::{Action, Actions, End, Scheduler, Turn};
use crate::id::WorkerId;

impl Scheduler {
    /// A task has ended with a value, made by `worker`.
    pub(super) fn done(&mut self, slot: u32, worker: u32, bytes: u64, resident: bool, actions: &mut Actions) {
        self.pending -= 1;
        let Ties { inputs, dependents } = self.tasks.become_value(slot, worker, bytes, resident);
        actions.done(self.tasks.id(slot));
        self.leave(slot, inputs, actions);
        let draws = self.tasks[slot].draws();
        let mut waiting = dependents.turned(&mut self.links);
        while let Some(dependent) = waiting.pop(&mut self.links) {
            self.step();
            if draws {
                self.tasks[dependent].draw();
            }
            self.unblock(dependent, slot, worker, actions);
        }
        self.try_release(slot, actions);
    }

    /// The dependency `before` of `slot` has ended with a value.
    fn unblock(&mut self, slot: u32, before: u32, worker: u32, actions: &mut Actions) {
        let cold = self.tasks.cold(slot);
        if cold.follows && cold.pin == before {
            let cold = self.tasks.cold_mut(slot);
            (cold.pin, cold.follows) = (worker, false);
        }
        let task = &mut self.tasks[slot];
        match (task.unblock(), task.state) {
            (0, State::Blocked) => self.enqueue(slot, Turn::Last, actions),
            (0, _) => self.try_release(slot, actions),
            _ => {}
        }
    }

    /// A task, in no queue any more, ends without a value, and with it all that depend on it.
    pub(super) fn end(&mut self, slot: u32, end: End, actions: &mut Actions) {
        debug_assert!(self.ending.is_empty(), "ends do not nest");
        self.tasks[slot].doom();
        self.ending.push((slot, Some(end)));
        while let Some((slot, end)) = self.ending.pop() {
            self.step();
            match end {
                Some(end) => self.end_one(slot, end, actions),
                None => {
                    self.tasks[slot].unblock();
                    self.try_release(slot, actions);
                }
            }
        }
    }

    fn end_one(&mut self, slot: u32, end: End, actions: &mut Actions) {
        let id = self.tasks.id(slot);
        self.pending -= 1;
        let Ties { inputs, dependents: mut waiting } = self.tasks.become_failure(slot);
        actions.push(Action::Ended { task: id, end });
        self.leave(slot, inputs, actions);
        // Newest first onto a stack: so the dependents end in the order in which they were added.
        let mut is_named = false;
        while let Some(dependent) = waiting.pop(&mut self.links) {
            self.step();
            self.tasks[dependent].unblock();
            if self.tasks[dependent].state == State::Blocked {
                if !std::mem::replace(&mut is_named, true) {
                    // Their ends name it, so it goes behind them: until then it counts as blocked.
                    self.tasks[slot].block();
                    self.ending.push((slot, None));
                }
                self.tasks[dependent].doom();
                self.ending.push((dependent, Some(upstream(id))));
            } else {
                self.try_release(dependent, actions);
            }
        }
        if !is_named {
            self.try_release(slot, actions);
        }
    }

    /// What every end sets free: the arguments, and the memory of attempts.
    #[inline]
    fn leave(&mut self, slot: u32, mut inputs: Chain, actions: &mut Actions) {
        if self.tasks.cold(slot).failures > 0 {
            self.tried.remove(&slot);
        }
        while let Some(input) = inputs.pop(&mut self.links) {
            self.step();
            self.tasks[input].need_no_more();
            self.try_release(input, actions);
        }
    }

    /// Lets a task go if nobody needs it any more.
    #[inline]
    pub(super) fn try_release(&mut self, slot: u32, actions: &mut Actions) {
        if !self.tasks[slot].is_over() {
            return;
        }
        let holders = self.release_copies(slot);
        actions.release(self.tasks.id(slot), holders);
        self.tasks[slot].state = State::Vacant;
    }

    #[inline]
    fn release_copies(&mut self, slot: u32) -> Vec<WorkerId> {
        let mut copies = self.tasks.cold(slot).copies;
        if copies == NONE && !self.tasks[slot].is_resident() {
            return Vec::new();
        }
        let mut holders: Vec<WorkerId> = self.holders_of(slot).map(WorkerId).collect();
        holders.sort_unstable();
        holders.dedup();
        while self.links.pop(&mut copies).is_some() {
            self.step();
        }
        holders
    }

    /// The value can no longer be had from anywhere.
    pub(super) fn is_value_lost(&self, slot: u32) -> bool {
        self.tasks[slot].is_resident() && self.holders_of(slot).next().is_none()
    }
}
