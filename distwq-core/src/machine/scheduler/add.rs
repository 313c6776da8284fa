//! How tasks come in and are tied to those before them; handles that go.

use super::task::State;
use super::tasks::Pin;
use super::{Actions, End, Retry, Scheduler, Spec, Turn};
use crate::id::{TaskId, TaskSlot};

impl Scheduler {
    pub(super) fn added(&mut self, id: TaskId, spec: &Spec<'_>, actions: &mut Actions) -> bool {
        let lane = self.lanes.enter(spec.origin);
        let slot = self.tasks.add(id, lane, spec);
        self.pending += 1;
        let is_rare = spec.failed.is_some() | spec.patience.is_some() | !spec.ends.is_empty();
        let mut doom = if is_rare { self.note_what_is_rare(slot, spec) } else { None };
        for &input in spec.inputs {
            doom = self.link_input(slot, input).or(doom);
        }
        for &before in spec.after {
            doom = self.link_after(slot, before).or(doom);
        }
        if let Some(target) = spec.follow {
            doom = self.link_after(slot, target).or(doom);
            self.link_follow(slot, target);
        }
        if is_rare && !spec.ends.is_empty() {
            self.link_values(slot, spec);
        }
        if let Some(end) = doom {
            self.end(slot, end, actions);
        } else if self.tasks[slot].blockers() == 0 {
            match spec.failed {
                Some(failed) => self.go_on(slot, failed.retry, actions),
                None => self.enqueue(slot, Turn::Last, actions),
            }
        }
        self.settle(actions);
        true
    }

    /// Notes what few tasks have, and has a task wait for those whose ends it takes. Says
    /// how it ends if one of these is not known.
    #[inline(never)]
    fn note_what_is_rare(&mut self, slot: TaskSlot, spec: &Spec<'_>) -> Option<End> {
        if let Some(failed) = spec.failed {
            match failed.retry {
                Retry::Elsewhere { not_on } => self.note_refused(slot, not_on),
                Retry::Later { .. } => {}
                Retry::Again | Retry::Never => self.note_tried(slot, failed.on),
            }
        }
        if let Some(patience) = spec.patience {
            self.note_patience(slot, *patience);
        }
        let mut doom = None;
        for &input in spec.ends {
            doom = self.link_end(slot, input).or(doom);
        }
        doom
    }

    /// A task that waits for nothing else has failed before.
    #[inline(never)]
    fn go_on(&mut self, slot: TaskSlot, retry: Retry, actions: &mut Actions) {
        match self.pause_before(slot, retry) {
            0 => self.enqueue(slot, Turn::Last, actions),
            pause_ns => self.pause(slot, pause_ns),
        }
    }

    /// How long a task pauses that waits for nothing else and has failed before.
    fn pause_before(&self, slot: TaskSlot, retry: Retry) -> u64 {
        match retry {
            Retry::Later { pause_ns } => pause_ns,
            Retry::Again => self.backoff_ns(slot),
            Retry::Never | Retry::Elsewhere { .. } => 0,
        }
    }

    pub(super) fn given(&mut self, id: TaskId, bytes: u64) -> bool {
        self.tasks.add_value(id, bytes);
        true
    }

    #[inline(always)]
    fn link_input(&mut self, slot: TaskSlot, id: TaskId) -> Option<End> {
        let Some(input) = self.tasks.find(id) else {
            return Some(End::ValueLost { value: id });
        };
        let doom = self.link_to(slot, input, id);
        let value = &mut self.tasks[input];
        value.need();
        if value.state == State::Done && value.attracts_consumers() {
            self.tasks[slot].note_place_matters();
        }
        self.tasks.add_input(slot, input, &mut self.links);
        doom
    }

    /// Has a task wait for the end of one whose end is an argument.
    #[inline(never)]
    fn link_end(&mut self, slot: TaskSlot, id: TaskId) -> Option<End> {
        let doom = self.link_input(slot, id);
        if let Some(input) = self.tasks.find(id) {
            self.taken_ends.insert((input, slot));
        }
        doom.filter(|end| matches!(end, End::ValueLost { .. }))
    }

    /// Of the tasks whose ends are arguments, those that have to give values all the
    /// same.
    #[inline(never)]
    fn link_values(&mut self, slot: TaskSlot, spec: &Spec<'_>) {
        for &before in spec.inputs.iter().chain(spec.after).chain(&spec.follow) {
            self.step();
            if let Some(before) = self.tasks.find(before) {
                self.taken_ends.remove(&(before, slot));
            }
        }
    }

    /// Has a task wait for one that has not ended. Says how it ends if that one has no
    /// value.
    fn link_after(&mut self, slot: TaskSlot, id: TaskId) -> Option<End> {
        // One that is gone has ended; that it is named all the same breaks the calling
        // order, and order is kept.
        let before = self.tasks.find(id)?;
        self.link_to(slot, before, id)
    }

    /// The same with the slot of that one.
    #[inline]
    fn link_to(&mut self, slot: TaskSlot, before: TaskSlot, id: TaskId) -> Option<End> {
        match self.tasks[before].state {
            State::Done => None,
            State::Failed => Some(End::Upstream { via: id }),
            _ => {
                self.tasks.add_dependent(before, slot, &mut self.links);
                self.tasks[slot].block();
                None
            }
        }
    }

    fn link_follow(&mut self, slot: TaskSlot, id: TaskId) {
        let Some(target) = self.tasks.find(id) else { return };
        let leader = &self.tasks[target];
        self.tasks.cold_mut(slot).pin = if leader.state.is_pending() {
            Pin::Follows(target)
        } else {
            leader.worker().map_or(Pin::Anywhere, Pin::On)
        };
    }

    pub(super) fn dropped(&mut self, ids: &[TaskId], actions: &mut Actions) -> bool {
        let mut fits = true;
        for &id in ids {
            self.step();
            let slot = self.tasks.find(id);
            fits &= slot.is_some_and(|slot| self.tasks[slot].drop_handle());
            if let Some(slot) = slot {
                self.try_release(slot, actions);
            }
        }
        fits
    }
}
