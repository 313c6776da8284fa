//! Workers that are set aside: attempts of tasks were given up there, because they had
//! reached a limit, and have not returned. A function cannot be ended from outside, so it
//! keeps its slot until it returns; a member of a group keeps its worker.
//!
//! The task goes on without that attempt: it ends, or is tried again elsewhere, and on
//! this worker only once the attempt has returned. So what the worker says of the task is
//! always of the one attempt. What waits for workers all of which have been set aside for
//! longer than the grace ends.

use super::due::Due;
use super::task::State;
use super::workers::Standing;
use super::{Actions, End, Retry, Scheduler};
use crate::id::{TaskId, TaskSlot, WorkerId};
use crate::outcome::error::Limit;
use rustc_hash::{FxHashMap, FxHashSet};

/// An attempt that was given up and has not returned.
#[derive(Debug)]
struct GivenUp {
    task: TaskId,
    /// When the grace is over.
    stuck_ns: u64,
    is_stuck: bool,
    /// It is that of a member of a group: nothing else runs on the worker.
    keeps_worker: bool,
    /// Its inputs, if it may still be on its way to the worker: these stay until then.
    inputs: Vec<TaskSlot>,
}

/// A worker on which there are some.
#[derive(Debug)]
struct WithGivenUp {
    /// The slots that it has without them.
    slots: u32,
    attempts: Vec<GivenUp>,
}

impl WithGivenUp {
    /// The slots that are left beside some of the attempts.
    fn slots_beside(&self, counts: impl Fn(&GivenUp) -> bool) -> u32 {
        let counted = || self.attempts.iter().filter(|attempt| counts(attempt));
        if counted().any(|attempt| attempt.keeps_worker) {
            return 0;
        }
        self.slots.saturating_sub(counted().count() as u32)
    }
}

/// All of them.
#[derive(Debug, Default)]
pub(super) struct Aside {
    workers: FxHashMap<WorkerId, WithGivenUp>,
    /// Attempts whose grace is not over.
    fresh: usize,
}

impl Aside {
    pub(super) fn is_empty(&self) -> bool {
        self.workers.is_empty()
    }

    /// Whether one of these workers may still come back within its grace.
    pub(super) fn may_come_back(&self) -> bool {
        self.fresh > 0
    }

    /// Whether attempts were given up on a worker that have not returned.
    #[inline]
    pub(super) fn has(&self, worker: WorkerId) -> bool {
        !self.workers.is_empty() && self.workers.contains_key(&worker)
    }

    /// Whether this is one of them.
    pub(super) fn has_attempt(&self, worker: WorkerId, task: TaskId) -> bool {
        let known = self.workers.get(&worker);
        known.is_some_and(|worker| worker.attempts.iter().any(|attempt| attempt.task == task))
    }

    /// The workers that have no slot left beside attempts whose grace is over.
    pub(super) fn stuck(&self) -> impl Iterator<Item = WorkerId> + '_ {
        let stuck = self.workers.iter().filter(|(_, state)| state.slots_beside(|attempt| attempt.is_stuck) == 0);
        stuck.map(|(worker, _)| *worker)
    }

    /// The workers that keep an attempt whose grace is over.
    pub(super) fn with_stuck(&self) -> impl Iterator<Item = WorkerId> + '_ {
        let stuck = |state: &WithGivenUp| state.attempts.iter().any(|attempt| attempt.is_stuck);
        self.workers.iter().filter(move |(_, state)| stuck(state)).map(|(worker, _)| *worker)
    }

    /// The workers that have no slot left.
    pub(super) fn full(&self) -> impl Iterator<Item = WorkerId> + '_ {
        self.workers.iter().filter(|(_, state)| state.slots_beside(|_| true) == 0).map(|(worker, _)| *worker)
    }

    /// The workers on which an attempt of this task has not returned; those alone where
    /// its grace is over, if that is asked for.
    pub(super) fn with(&self, task: TaskId, stuck_only: bool) -> impl Iterator<Item = WorkerId> + '_ {
        let is_one = move |attempt: &GivenUp| attempt.task == task && (attempt.is_stuck || !stuck_only);
        self.workers.iter().filter(move |(_, state)| state.attempts.iter().any(is_one)).map(|(worker, _)| *worker)
    }

    /// All workers on which there are some.
    pub(super) fn all(&self) -> impl Iterator<Item = WorkerId> + '_ {
        self.workers.keys().copied()
    }
}

impl Scheduler {
    /// A single-rank task has reached its run limit, and goes on.
    pub(super) fn overdue(
        &mut self,
        worker: WorkerId,
        id: TaskId,
        (retry, is_silent): (Retry, bool),
        actions: &mut Actions,
    ) -> bool {
        let Some(slot) = self.in_flight_on(worker, id) else { return false };
        self.workers.remove(&mut self.tasks, worker, slot);
        let inputs = if is_silent { self.hold_inputs(slot) } else { Vec::new() };
        self.set_aside(worker, (id, inputs), false, actions);
        self.attempt_failed(slot, Some(worker), retry, End::LimitReached { limit: Limit::Run }, actions);
        self.freed(worker, actions);
        self.settle(actions);
        true
    }

    /// A group has reached a limit: the task goes on without it. Those of its members
    /// that are inside are set aside.
    pub(super) fn group_overdue(
        &mut self,
        id: TaskId,
        inside: &[WorkerId],
        limit: Limit,
        retry: Retry,
        actions: &mut Actions,
    ) -> bool {
        let Some(slot) = self.tasks.find(id).filter(|&slot| self.tasks[slot].state == State::Running) else {
            return false;
        };
        let members = self.groups.remove(&slot).expect("a running collective task has a group");
        let inside: FxHashSet<WorkerId> = inside.iter().copied().collect();
        let living: Vec<WorkerId> = members.iter().copied().filter(|&member| self.workers.is_living(member)).collect();
        for &member in &living {
            self.step();
            self.set_free(member);
            if inside.contains(&member) {
                let inputs = if limit == Limit::Deadline { self.hold_inputs(slot) } else { Vec::new() };
                self.set_aside(member, (id, inputs), true, actions);
            }
        }
        self.attempt_failed(slot, None, retry, End::LimitReached { limit }, actions);
        for &member in &living {
            self.freed(member, actions);
        }
        self.settle(actions);
        true
    }

    /// The deadline of these tasks has come: all end that have not, but for those that
    /// run in groups. What workers have is set aside until they have answered.
    pub(super) fn expire(&mut self, ids: &[TaskId], actions: &mut Actions) -> bool {
        let (mut ending, mut with_workers) = (Vec::new(), Vec::new());
        for &id in ids {
            self.step();
            let Some(slot) = self.tasks.find(id) else { continue };
            match self.tasks[slot].state {
                State::Running | State::Vacant | State::Doomed | State::Done | State::Failed => continue,
                State::InFlight => {
                    let worker = self.tasks[slot].worker().expect("a task in flight is with a worker");
                    self.workers.remove(&mut self.tasks, worker, slot);
                    with_workers.push((worker, slot));
                }
                state => self.stop_waiting(slot, state),
            }
            // As all that are cancelled together.
            self.tasks[slot].doom();
            ending.push(slot);
        }
        for &(worker, slot) in &with_workers {
            let id = self.tasks.id(slot);
            actions.set_aside(id, worker);
            let inputs = self.hold_inputs(slot);
            self.set_aside(worker, (id, inputs), false, actions);
        }
        for slot in ending {
            let is_cancelled = self.tasks.cold(slot).is_cancelled;
            let end = if is_cancelled { End::Cancelled } else { End::LimitReached { limit: Limit::Deadline } };
            self.end(slot, end, actions);
        }
        for (worker, _) in with_workers {
            self.freed(worker, actions);
        }
        self.settle(actions);
        true
    }

    /// An attempt that was given up has returned, or had not begun and never will.
    pub(super) fn back(&mut self, worker: WorkerId, task: TaskId, actions: &mut Actions) -> bool {
        if !self.aside.has_attempt(worker, task) {
            return false;
        }
        let state = self.aside.workers.get_mut(&worker).expect("it was found");
        let at = state.attempts.iter().position(|attempt| attempt.task == task).expect("it was found");
        let attempt = state.attempts.swap_remove(at);
        let slots = state.slots_beside(|_| true);
        if state.attempts.is_empty() {
            self.aside.workers.remove(&worker);
        }
        self.forget_given_up(worker, attempt, actions);
        self.resize(worker, slots, actions);
        self.find_all_possible();
        if let Some(slot) = self.waits_for_return(task, worker) {
            self.leave_pause(slot, actions);
        }
        self.try_too_wide();
        self.freed(worker, actions);
        self.settle(actions);
        true
    }

    /// A lost worker has nothing that could return.
    pub(super) fn lose_aside(&mut self, worker: WorkerId, actions: &mut Actions) {
        let Some(state) = self.aside.workers.remove(&worker) else { return };
        for attempt in state.attempts {
            self.step();
            let task = attempt.task;
            self.forget_given_up(worker, attempt, actions);
            if let Some(slot) = self.waits_for_return(task, worker) {
                self.leave_pause(slot, actions);
            }
        }
        self.find_all_possible();
    }

    /// What an attempt takes that may be on its way to a worker does not go before that
    /// has answered: else it would be kept there for ever.
    fn hold_inputs(&mut self, slot: TaskSlot) -> Vec<TaskSlot> {
        let inputs: Vec<TaskSlot> = self.tasks.inputs(slot, &self.links).collect();
        inputs.iter().for_each(|&input| self.tasks[input].need());
        inputs
    }

    /// The inputs of attempts that were given up, once for each that holds one.
    pub(super) fn held_inputs(&self) -> impl Iterator<Item = TaskSlot> + '_ {
        let attempts = self.aside.workers.values().flat_map(|state| &state.attempts);
        attempts.flat_map(|attempt| attempt.inputs.iter().copied())
    }

    fn forget_given_up(&mut self, worker: WorkerId, attempt: GivenUp, actions: &mut Actions) {
        for input in attempt.inputs {
            self.tasks[input].need_no_more();
            self.try_release(input, actions);
        }
        if !attempt.is_stuck {
            self.aside.fresh -= 1;
            self.agenda.remove(attempt.stuck_ns, Due::Stuck(worker, attempt.task));
        }
    }

    /// The task, if it may run on this worker only, and waits for an earlier attempt of
    /// its own to return there.
    fn waits_for_return(&self, task: TaskId, worker: WorkerId) -> Option<TaskSlot> {
        let slot = self.tasks.find(task)?;
        let waits = self.tasks[slot].state == State::Paused && !self.is_in_pause(slot);
        (waits && self.tasks.cold(slot).pinned_to() == Some(worker)).then_some(slot)
    }

    /// A worker keeps an attempt that was given up.
    fn set_aside(
        &mut self,
        worker: WorkerId,
        (task, inputs): (TaskId, Vec<TaskSlot>),
        keeps_worker: bool,
        actions: &mut Actions,
    ) {
        let own = self.workers[worker].slots;
        let state = self.aside.workers.entry(worker);
        let state = state.or_insert_with(|| WithGivenUp { slots: own, attempts: Vec::new() });
        let stuck_ns = self.now_ns.saturating_add(self.settings.stuck_grace_ns);
        state.attempts.push(GivenUp { task, stuck_ns, is_stuck: false, keeps_worker, inputs });
        let slots = state.slots_beside(|_| true);
        self.aside.fresh += 1;
        self.agenda.add(stuck_ns, Due::Stuck(worker, task));
        self.find_all_possible();
        if self.is_reserved(worker) {
            self.unreserve(worker);
            self.set_free(worker);
        }
        self.end_hopeless_reservation();
        self.resize(worker, slots, actions);
    }

    /// A group that cannot get enough workers at present keeps none of them free.
    fn end_hopeless_reservation(&mut self) {
        let Some(reservation) = &self.reservation else { return };
        let task = reservation.task;
        if !self.has_enough_for(task) {
            self.cancel_reservation();
            self.tasks[task].state = State::TooWide;
            self.too_wide.push_back(&mut self.tasks, task);
        }
    }

    /// A worker has so many slots from here on. Without any it gets nothing, and what it
    /// has and cannot have begun is asked back.
    fn resize(&mut self, worker: WorkerId, slots: u32, actions: &mut Actions) {
        let state = &mut self.workers[worker];
        state.resize(slots, &self.settings);
        match (state.standing, slots) {
            (Standing::Open, 0) => {
                state.standing = Standing::Aside;
                self.workers.relist(worker);
                self.take_back_all(worker, actions);
            }
            (Standing::Aside, 1..) => self.set_free(worker),
            _ => self.workers.relist(worker),
        }
    }

    /// The grace of an attempt that was given up is over: what waits for workers, and for
    /// none but such ones, ends. Looks at all that wait.
    pub(super) fn is_stuck_now(&mut self, worker: WorkerId, task: TaskId, actions: &mut Actions) {
        let Some(state) = self.aside.workers.get_mut(&worker) else { return };
        let Some(attempt) = state.attempts.iter_mut().find(|attempt| attempt.task == task) else { return };
        attempt.is_stuck = true;
        self.aside.fresh -= 1;
        if let Some(slot) = self.waits_for_return(task, worker) {
            self.leave_pause(slot, actions);
        }
        if self.aside.stuck().any(|stuck| stuck == worker) {
            self.workers[worker].pinned = 0;
            for slot in self.pinned[worker.index()].drain(&mut self.tasks) {
                self.step();
                self.end(slot, End::Stuck { worker }, actions);
            }
        }
        self.end_impossible(actions);
    }
}
