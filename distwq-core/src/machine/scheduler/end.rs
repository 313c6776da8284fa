//! How tasks end, what that sets free, and how failure spreads.

use super::links::Chain;
use super::task::State;
use super::tasks::{Cold, Pin, Ties};
use super::{Actions, End, Made, Scheduler, Turn};
use crate::id::{TaskSlot, WorkerId};
use smallvec::SmallVec;

impl Scheduler {
    /// A task has ended with a value, made by `worker`.
    pub(super) fn done(&mut self, slot: TaskSlot, worker: WorkerId, made: Made, actions: &mut Actions) {
        self.pending -= 1;
        self.lanes.leave(self.tasks[slot].lane());
        let Ties { inputs, dependents } = self.tasks.become_value(slot, worker, made);
        actions.ended(self.tasks.id(slot), End::Done);
        self.free_inputs(slot, inputs, actions);
        let attracts = self.tasks[slot].attracts_consumers();
        let mut waiting = dependents.reversed(&mut self.links);
        while let Some(dependent) = waiting.pop(&mut self.links) {
            self.step();
            if attracts {
                self.tasks[dependent].note_place_matters();
            }
            self.unblock(dependent, slot, worker, actions);
        }
        self.try_release(slot, actions);
    }

    /// The dependency `before` of `slot` has ended with a value.
    fn unblock(&mut self, slot: TaskSlot, before: TaskSlot, worker: WorkerId, actions: &mut Actions) {
        if self.tasks.cold(slot).pin == Pin::Follows(before) {
            self.tasks.cold_mut(slot).pin = Pin::On(worker);
        }
        let task = &mut self.tasks[slot];
        match (task.unblock(), task.state) {
            (0, State::Blocked) => self.enqueue(slot, Turn::Last, actions),
            (0, _) => self.try_release(slot, actions),
            _ => {}
        }
    }

    /// A task, in no queue any more, ends without a value, and with it all that depend on
    /// it.
    pub(super) fn end(&mut self, slot: TaskSlot, end: End, actions: &mut Actions) {
        debug_assert!(self.ending.is_empty(), "no end leads to another call of this");
        self.tasks[slot].doom();
        self.ending.push((slot, Some(end)));
        loop {
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
            let Some(slot) = self.unblocked.pop_front() else { break };
            if let Some(end) = self.why_impossible(slot) {
                self.tasks[slot].doom();
                self.ending.push((slot, Some(end)));
            } else {
                self.enqueue(slot, Turn::Last, actions);
            }
        }
    }

    fn end_one(&mut self, slot: TaskSlot, end: End, actions: &mut Actions) {
        let id = self.tasks.id(slot);
        self.pending -= 1;
        self.lanes.leave(self.tasks[slot].lane());
        let Ties { inputs, dependents: mut waiting } = self.tasks.become_failure(slot);
        actions.ended(id, end);
        self.free_inputs(slot, inputs, actions);
        // Newest first onto a stack: so the dependents end in the order in which they
        // were added.
        let mut is_named = false;
        let unblocked = self.unblocked.len();
        while let Some(dependent) = waiting.pop(&mut self.links) {
            self.step();
            let blockers = self.tasks[dependent].unblock();
            if self.tasks[dependent].state == State::Blocked && self.takes_end(dependent, slot) {
                if blockers == 0 {
                    self.unblocked.push_back(dependent);
                }
            } else if self.tasks[dependent].state == State::Blocked {
                if !std::mem::replace(&mut is_named, true) {
                    // Their ends name it, so it goes behind them: until then it counts as
                    // blocked.
                    self.tasks[slot].block();
                    self.ending.push((slot, None));
                }
                self.tasks[dependent].doom();
                self.ending.push((dependent, Some(End::Upstream { via: id })));
            } else {
                self.try_release(dependent, actions);
            }
        }
        self.unblocked.make_contiguous()[unblocked..].reverse();
        if !is_named {
            self.try_release(slot, actions);
        }
    }

    /// What every end sets free: the arguments, and the memory of attempts.
    #[inline]
    fn free_inputs(&mut self, slot: TaskSlot, mut inputs: Chain<TaskSlot>, actions: &mut Actions) {
        if self.tasks.cold(slot).has_more {
            self.forget_attempts(slot);
        }
        while let Some(input) = inputs.pop(&mut self.links) {
            self.step();
            if !self.taken_ends.is_empty() {
                self.taken_ends.remove(&(input, slot));
            }
            self.tasks[input].need_no_more();
            self.try_release(input, actions);
        }
    }

    /// Lets a task go if nobody needs it any more.
    #[inline]
    pub(super) fn try_release(&mut self, slot: TaskSlot, actions: &mut Actions) {
        if !self.tasks[slot].is_over() {
            return;
        }
        let id = self.tasks.id(slot);
        if self.tasks.cold(slot).has_no_copies() && !self.tasks[slot].is_resident() {
            actions.release(id, &[]);
        } else {
            actions.release(id, &self.release_copies(slot));
        }
        self.tasks[slot].state = State::Vacant;
    }

    /// The living workers that hold a value that goes, or may hold it, in order.
    fn release_copies(&mut self, slot: TaskSlot) -> SmallVec<[WorkerId; 16]> {
        let mut holders: SmallVec<[WorkerId; 16]> = self.holders_of(slot).collect();
        let Cold { mut copies, mut doubtful, .. } = *self.tasks.cold(slot);
        while let Some(worker) = copies.pop(&mut self.links) {
            self.step();
            self.copies.remove(&(slot, worker));
        }
        while let Some(worker) = doubtful.pop(&mut self.links) {
            self.step();
            holders.extend(Some(worker).filter(|&worker| self.workers.is_living(worker)));
        }
        holders.sort_unstable();
        holders.dedup();
        holders
    }

    /// The end of `input` is an argument of a pending task, whichever it is.
    #[inline]
    pub(super) fn takes_end(&self, slot: TaskSlot, input: TaskSlot) -> bool {
        !self.taken_ends.is_empty() && self.taken_ends.contains(&(input, slot))
    }

    /// The value can no longer be had from anywhere.
    pub(super) fn is_value_lost(&self, slot: TaskSlot) -> bool {
        self.tasks[slot].is_resident() && self.holders_of(slot).next().is_none()
    }
}
