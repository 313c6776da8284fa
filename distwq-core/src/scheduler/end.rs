//! How tasks end, what that sets free, and how failure spreads.

use super::tasks::{Kind, NONE, State, Task, upstream};
use super::{Action, Actions, End, Scheduler, Turn};
use crate::id::WorkerId;

impl Scheduler {
    /// A task has ended with a value, made by `worker`.
    pub(super) fn done(&mut self, slot: u32, worker: u32, bytes: u64, resident: bool, actions: &mut Actions) {
        self.pending -= 1;
        self.tasks[slot].become_value(worker, bytes, resident);
        actions.done(self.tasks.id(slot));
        self.leave(slot, actions);
        let draws = self.tasks[slot].draws();
        let mut waiting = std::mem::replace(&mut self.tasks[slot].dependents, NONE);
        if waiting != NONE {
            waiting = self.links.reverse(waiting);
        }
        while let Some(dependent) = self.links.pop(&mut waiting) {
            self.step();
            if draws {
                self.tasks[dependent].draw();
            }
            self.unblock(dependent, slot, worker, actions);
        }
        if !self.tasks[slot].handle {
            self.try_release(slot, actions);
        }
    }

    /// The dependency `before` of `slot` has ended with a value.
    fn unblock(&mut self, slot: u32, before: u32, worker: u32, actions: &mut Actions) {
        let task = &mut self.tasks[slot];
        task.blockers -= 1;
        if task.follows && task.pin == before {
            (task.pin, task.follows) = (worker, false);
        }
        match (task.blockers, task.state) {
            (0, State::Blocked) => self.enqueue(slot, Turn::Last, actions),
            (0, _) => self.try_release(slot, actions),
            _ => {}
        }
    }

    /// A task, in no queue any more, ends without a value, and with it all that depend on it.
    pub(super) fn end(&mut self, slot: u32, end: End, actions: &mut Actions) {
        debug_assert!(self.ending.is_empty(), "ends do not nest");
        self.tasks[slot].state = State::Doomed;
        self.ending.push((slot, end));
        while let Some((slot, end)) = self.ending.pop() {
            self.step();
            self.end_one(slot, end, actions);
        }
    }

    fn end_one(&mut self, slot: u32, end: End, actions: &mut Actions) {
        let id = self.tasks.id(slot);
        self.pending -= 1;
        self.tasks[slot].state = State::Failed;
        actions.push(Action::Ended { task: id, end });
        self.leave(slot, actions);
        // Newest first onto a stack: so the dependents end in the order in which they were added.
        let mut waiting = std::mem::replace(&mut self.tasks[slot].dependents, NONE);
        while let Some(dependent) = self.links.pop(&mut waiting) {
            self.step();
            let task = &mut self.tasks[dependent];
            task.blockers -= 1;
            if task.state == State::Blocked {
                task.state = State::Doomed;
                self.ending.push((dependent, upstream(id)));
            } else {
                self.try_release(dependent, actions);
            }
        }
        self.try_release(slot, actions);
    }

    /// What every end sets free: the arguments, and the memory of attempts.
    #[inline]
    fn leave(&mut self, slot: u32, actions: &mut Actions) {
        let task = &mut self.tasks[slot];
        let mut inputs = std::mem::replace(&mut task.inputs, NONE);
        if task.failures > 0 {
            self.tried.remove(&slot);
        }
        while let Some(input) = self.links.pop(&mut inputs) {
            self.step();
            self.tasks[input].needed -= 1;
            self.try_release(input, actions);
        }
    }

    /// Lets a task go if it has ended and neither a handle nor a pending task needs it.
    ///
    /// One that has failed stays while links of pending dependencies lead to it: its slot must not be another's by
    /// the time these end.
    pub(super) fn try_release(&mut self, slot: u32, actions: &mut Actions) {
        let task = &self.tasks[slot];
        let ended = matches!(task.state, State::Done | State::Failed);
        if !ended || task.handle || task.needed > 0 || task.blockers > 0 {
            return;
        }
        let holders = self.release_copies(slot);
        actions.release(self.tasks.id(slot), holders);
        self.tasks[slot].state = State::Vacant;
    }

    #[inline]
    fn release_copies(&mut self, slot: u32) -> Vec<WorkerId> {
        let &Task { kind, state, copies, .. } = &self.tasks[slot];
        if copies == NONE && (state == State::Failed || kind != Kind::Resident) {
            return Vec::new();
        }
        let mut holders: Vec<WorkerId> = self.holders_of(slot).map(WorkerId).collect();
        holders.sort_unstable();
        holders.dedup();
        let mut copies = std::mem::replace(&mut self.tasks[slot].copies, NONE);
        while self.links.pop(&mut copies).is_some() {
            self.step();
        }
        holders
    }

    /// The value can no longer be had from anywhere.
    pub(super) fn is_value_lost(&self, slot: u32) -> bool {
        self.tasks[slot].kind == Kind::Resident && self.holders_of(slot).next().is_none()
    }
}
