//! Work that was handed out too early is asked back: for a worker that has run dry, or
//! because its worker is reserved.

use super::due::Due;
use super::workers::Standing;
use super::{Actions, End, Scheduler, Turn};
use crate::id::{TaskId, TaskSlot, WorkerId};
use crate::outcome::error::Limit;

/// How many loaded workers are looked at before the search is given up until the next
/// occasion.
const LOOKED_AT_MAX: usize = 4;

impl Scheduler {
    /// Time has passed: workers that have been silent for long may have become worth
    /// asking.
    pub(super) fn tick(&mut self, actions: &mut Actions) -> bool {
        self.do_due(actions);
        self.balance(actions);
        true
    }

    /// Asks one loaded worker for half of what it has queued, if another has a free slot
    /// and nothing is ready.
    pub(super) fn balance(&mut self, actions: &mut Actions) {
        if !self.ready.is_empty() || !self.workers.any_free_slot() {
            return;
        }
        let mut loaded = [None; LOOKED_AT_MAX];
        for (entry, worker) in loaded.iter_mut().zip(self.workers.most_loaded()) {
            *entry = Some(worker);
        }
        for worker in loaded.into_iter().flatten() {
            self.step();
            let is_worth_asking = self.worth_asking_from(worker).is_some_and(|from| from <= self.now_ns);
            if is_worth_asking && self.take_back_half(worker, actions) {
                return;
            }
        }
    }

    /// When a [`Tick`](super::Event::Tick) may next let work move, if nothing else
    /// happens. An earlier one does nothing.
    #[must_use]
    pub fn next_deadline(&self) -> Option<u64> {
        self.agenda.next_ns().into_iter().chain(self.next_balance()).min()
    }

    /// Whether something is due at a time for some task or worker.
    #[must_use]
    pub fn has_due(&self) -> bool {
        self.agenda.next_ns().is_some()
    }

    fn next_balance(&self) -> Option<u64> {
        if self.held || !self.ready.is_empty() || !self.workers.any_free_slot() {
            return None;
        }
        let loaded = self.workers.most_loaded().take(LOOKED_AT_MAX);
        loaded.filter_map(|worker| self.worth_asking_from(worker)).min()
    }

    /// From when on it is worth asking a worker, by what is known of it now.
    fn worth_asking_from(&self, worker: WorkerId) -> Option<u64> {
        let state = &self.workers[worker];
        if state.queued() == 0 || state.asked {
            return None;
        }
        let backlog_ns = u64::from(state.queued()).saturating_mul(state.mean_ns) / u64::from(state.slots);
        let is_long = backlog_ns >= self.settings.take_back_ns;
        let from_ns = if is_long { 0 } else { state.reported_ns.saturating_add(self.settings.silent_ns) };
        Some(from_ns.max(state.ask_from_ns))
    }

    /// Nothing can be had from a worker: it is asked again later, and the later the
    /// longer it has been silent.
    fn ask_later(&mut self, worker: WorkerId) {
        let pause_ns = self.settings.silent_ns.max(self.silent_ns(worker));
        self.workers[worker].ask_from_ns = self.now_ns.saturating_add(pause_ns);
    }

    /// How long a worker has been at what it does without a report.
    fn silent_ns(&self, worker: WorkerId) -> u64 {
        self.now_ns.saturating_sub(self.workers[worker].reported_ns)
    }

    /// Asks for the later half of a queue, without tasks that must stay or whose inputs
    /// cost more to move than they would have to wait. False if there are none.
    fn take_back_half(&mut self, worker: WorkerId, actions: &mut Actions) -> bool {
        let state = &self.workers[worker];
        let queued = state.queued() as usize;
        let wait_ns = state.wait_ns(0).max(self.silent_ns(worker));
        let gains = |&slot: &TaskSlot| {
            let cold = self.tasks.cold(slot);
            // One that has failed is here because the others have tried it, or may have.
            cold.pinned_to().is_none() && cold.failures == 0 && self.move_ns(self.bytes_on(slot, worker)) <= wait_ns
        };
        let back = state.tasks.iter_back(&self.tasks).take(queued);
        let asked: Vec<TaskId> = back.filter(gains).take(queued.div_ceil(2)).map(|slot| self.tasks.id(slot)).collect();
        self.ask(worker, asked, actions)
    }

    /// Asks for all that a reserved worker cannot have begun.
    pub(super) fn take_back_all(&mut self, worker: WorkerId, actions: &mut Actions) {
        let state = &self.workers[worker];
        if state.queued() == 0 || state.asked {
            return;
        }
        let back = state.tasks.iter_back(&self.tasks).take(state.queued() as usize);
        let asked: Vec<TaskId> = back.map(|slot| self.tasks.id(slot)).collect();
        self.ask(worker, asked, actions);
    }

    /// Sends the question for tasks collected from the tail on.
    fn ask(&mut self, worker: WorkerId, mut tasks: Vec<TaskId>, actions: &mut Actions) -> bool {
        if tasks.is_empty() {
            self.ask_later(worker);
            return false;
        }
        tasks.reverse();
        self.workers[worker].asked = true;
        actions.take_back(worker, &tasks);
        true
    }

    /// A task has come back from a worker as if it had never been there. It waits again,
    /// unless it was cancelled meanwhile.
    pub(super) fn wait_again(&mut self, slot: TaskSlot, actions: &mut Actions) {
        if self.tasks.cold(slot).is_cancelled {
            self.end(slot, End::Cancelled, actions);
        } else if self.is_wait_over(slot) {
            self.end(slot, End::LimitReached { limit: Limit::Wait }, actions);
        } else {
            self.enqueue(slot, Turn::First, actions);
        }
    }

    pub(super) fn returned(&mut self, worker: WorkerId, ids: &[TaskId], actions: &mut Actions) -> bool {
        let fits = self.workers.get(worker).is_some_and(|state| state.asked && state.is_living())
            && ids.iter().all(|&id| self.in_flight_on(worker, id).is_some());
        if !fits {
            return false;
        }
        self.workers[worker].asked = false;
        if ids.is_empty() {
            // It is ahead of what is known here; to ask again at once would only delay
            // it.
            self.ask_later(worker);
        }
        for id in ids.iter().rev() {
            self.step();
            if let Some(slot) = self.in_flight_on(worker, *id) {
                self.workers.remove(&mut self.tasks, worker, slot);
                self.wait_again(slot, actions);
            }
        }
        self.freed(worker, actions);
        // The first question was for a part of the queue only, asked before the worker
        // was reserved or set aside.
        let is_aside = self.workers[worker].standing == Standing::Aside;
        if !ids.is_empty() && (is_aside || self.is_reserved(worker)) {
            self.take_back_all(worker, actions);
        } else if is_aside && self.workers[worker].queued() > 0 {
            // They may be on their way still.
            self.agenda.add(self.workers[worker].ask_from_ns, Due::Ask(worker));
        }
        self.settle(actions);
        true
    }
}
