//! Reports of single-rank tasks, and the queue that a task goes to when it may start, for
//! the first time or again.

use super::task::State;
use super::tasks::Cold;
use super::{Actions, End, Made, Retry, Scheduler};
use crate::id::{TaskId, TaskSlot, WorkerId};

/// Whether a task goes before or behind its like.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Turn {
    /// It has waited before.
    First,
    /// It comes newly.
    Last,
}

impl Scheduler {
    #[inline(always)]
    pub(super) fn finished(
        &mut self,
        worker: WorkerId,
        id: TaskId,
        made: Made,
        ran_ns: u64,
        actions: &mut Actions,
    ) -> bool {
        let Some(slot) = self.reported(worker, id, ran_ns) else { return false };
        self.done(slot, worker, made, actions);
        self.freed(worker, actions);
        self.settle(actions);
        true
    }

    pub(super) fn failed(
        &mut self,
        worker: WorkerId,
        id: TaskId,
        ran_ns: u64,
        retry: Retry,
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
    fn reported(&mut self, worker: WorkerId, id: TaskId, ran_ns: u64) -> Option<TaskSlot> {
        let slot = self.in_flight_on(worker, id)?;
        // What the end of the task changes: asked for before the first of it is needed,
        // it is waited for together.
        self.tasks.prefetch_ties(slot);
        self.workers.remove(&mut self.tasks, worker, slot);
        let state = &mut self.workers[worker];
        state.reported_ns = self.now_ns;
        state.learn(ran_ns, &self.settings);
        Some(slot)
    }

    /// The slot of a task that is in flight on this worker.
    #[inline]
    pub(super) fn in_flight_on(&self, worker: WorkerId, id: TaskId) -> Option<TaskSlot> {
        let slot = self.tasks.find(id)?;
        let task = &self.tasks[slot];
        (task.state == State::InFlight && task.worker() == Some(worker)).then_some(slot)
    }

    /// A task has used up an attempt: it goes back to wait for the next one, which should
    /// not be on `worker`, or ends.
    pub(super) fn attempt_failed(
        &mut self,
        slot: TaskSlot,
        worker: Option<WorkerId>,
        retry: Retry,
        end: End,
        actions: &mut Actions,
    ) {
        let &Cold { failures, retries, is_cancelled, has_more, .. } = self.tasks.cold(slot);
        if is_cancelled {
            return self.end(slot, End::Cancelled, actions);
        }
        if has_more {
            self.forget_wait(slot);
        }
        match retry {
            Retry::Never => return self.end(slot, end, actions),
            Retry::Again if failures >= retries => return self.end(slot, end, actions),
            Retry::Again => {
                self.tasks.cold_mut(slot).failures += 1;
                if let Some(worker) = worker {
                    self.note_tried(slot, worker);
                }
                let pause_ns = self.backoff_ns(slot);
                if pause_ns > 0 {
                    return self.pause(slot, pause_ns);
                }
            }
            Retry::Elsewhere { not_on } => self.note_refused(slot, not_on),
            Retry::Later { pause_ns } => return self.pause(slot, pause_ns),
        }
        self.enqueue(slot, Turn::First, actions);
    }

    /// Puts a task that may start into the queue it belongs to.
    #[inline]
    pub(super) fn enqueue(&mut self, slot: TaskSlot, turn: Turn, actions: &mut Actions) {
        if let Some(end) = self.why_impossible(slot) {
            return self.end(slot, end, actions);
        }
        let state = self.state_to_wait_in(slot);
        self.tasks[slot].state = state;
        match (state, turn) {
            (State::Ready, Turn::First) => self.ready.push_front(&mut self.tasks, slot),
            (State::Ready, Turn::Last) => self.ready.push_back(&mut self.tasks, slot),
            _ => self.enqueue_apart(slot, state, turn),
        }
    }

    /// Puts a task that may not start just anywhere into its queue.
    #[inline(never)]
    fn enqueue_apart(&mut self, slot: TaskSlot, state: State, turn: Turn) {
        let queue = match state {
            // Until it is told that the attempt has returned.
            State::Paused => return,
            State::Retry => &mut self.retries,
            State::Wide => &mut self.wide,
            _ => {
                let worker = self.tasks.cold(slot).pinned_to().expect("it may run on one worker only");
                self.to_serve.push(worker);
                self.workers[worker].pinned += 1;
                &mut self.pinned[worker.index()]
            }
        };
        match turn {
            Turn::First => queue.push_front(&mut self.tasks, slot),
            Turn::Last => queue.push_back(&mut self.tasks, slot),
        }
    }

    #[inline(always)]
    fn state_to_wait_in(&self, slot: TaskSlot) -> State {
        let cold = self.tasks.cold(slot);
        let is_plain = !cold.has_more && cold.pinned_to().is_none() && !self.tasks[slot].is_collective();
        if is_plain { State::Ready } else { self.state_to_wait_in_apart(slot) }
    }

    #[inline(never)]
    fn state_to_wait_in_apart(&self, slot: TaskSlot) -> State {
        let cold = self.tasks.cold(slot);
        if self.tasks[slot].is_collective() {
            State::Wide
        } else if let Some(worker) = cold.pinned_to() {
            if self.is_barred_from(slot, worker) { State::Paused } else { State::Pinned }
        } else if cold.has_more && (self.tried.contains_key(&slot) || self.refused.contains_key(&slot)) {
            State::Retry
        } else {
            State::Ready
        }
    }

    /// How a task must end that could start but for the workers that were lost, are set
    /// aside for too long, or have said that it is to run elsewhere.
    #[inline(always)]
    pub(super) fn why_impossible(&self, slot: TaskSlot) -> Option<End> {
        if self.workers.lost == 0 && self.all_possible { None } else { self.what_is_missing(slot) }
    }

    #[inline(never)]
    fn what_is_missing(&self, slot: TaskSlot) -> Option<End> {
        let cold = self.tasks.cold(slot);
        if let Some(worker) = cold.pinned_to()
            && !self.workers.is_living(worker)
        {
            return Some(End::WorkerLost { worker });
        }
        if self.workers.lost > 0 && cold.ranks > self.workers.living {
            return Some(End::Infeasible);
        }
        if self.all_possible { None } else { self.why_barred(slot) }
    }

    #[inline(never)]
    fn why_barred(&self, slot: TaskSlot) -> Option<End> {
        let cold = self.tasks.cold(slot);
        let refused = self.refused_by(slot);
        let barred = self.barred(slot, true);
        let only_here = cold.pinned_to().filter(|worker| barred.contains(worker));
        let too_few = |without: usize| (self.workers.living as usize).saturating_sub(without) < cold.ranks as usize;
        if only_here.is_some_and(|worker| refused.contains(&worker))
            || too_few(refused.iter().filter(|&&worker| self.workers.is_living(worker)).count())
        {
            return (!refused.is_empty()).then_some(End::Nowhere);
        }
        if only_here.is_none() && !too_few(barred.len()) {
            return None;
        }
        let stuck = only_here.or_else(|| barred.iter().copied().filter(|worker| !refused.contains(worker)).min());
        stuck.map(|worker| End::Stuck { worker })
    }
}
