//! When nothing can move any more: who waits for what, and the end of it.

use super::lists::List;
use super::task::State;
use super::workers::Standing;
use super::{Actions, End, Scheduler};
use crate::id::{TaskId, TaskSlot, WorkerId};

/// Entries of a [`Stall`] at most.
const WAITS_MAX: usize = 20;

/// Nothing is in flight, and no task that is pending can start.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Stall {
    /// Tasks that have not ended.
    pub pending: usize,
    /// Some of them, and what they wait for: first those that wait for workers, the cause
    /// of the others.
    pub waits: Vec<(TaskId, Waits)>,
}

/// What a task waits for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Waits {
    /// Workers, of which there are too few.
    Workers {
        /// As many as the task needs.
        wanted: u32,
        /// As many as live.
        living: u32,
    },
    /// One certain worker.
    Worker(WorkerId),
    /// Another task.
    Task(TaskId),
}

impl Scheduler {
    /// Whether nothing is in flight though tasks are pending. Between `Hold` and `Resume`
    /// that says nothing yet.
    #[must_use]
    pub fn is_stalled(&self) -> bool {
        let may_move = || self.workers.in_flight > 0 || self.agenda.paused > 0 || self.aside.may_come_back();
        self.pending > 0 && self.groups.is_empty() && !may_move()
    }

    /// Says who waits for what if nothing can move any more, else `None`.
    ///
    /// Looks at all tasks if there is a stall: for the one report at the end of a run.
    #[must_use]
    pub fn stalled(&self) -> Option<Stall> {
        if !self.is_stalled() {
            return None;
        }
        let waiting = || self.tasks.iter().filter(|(_, task)| task.state.is_pending());
        let for_workers = waiting().filter(|(_, task)| task.state != State::Blocked);
        let for_workers = for_workers.map(|(slot, _)| (self.tasks.id(slot), self.why_not_started(slot)));
        let for_tasks = self.waits_for_tasks().map(|(task, other)| (task, Waits::Task(other)));
        let waits = for_workers.chain(for_tasks).take(WAITS_MAX).collect();
        Some(Stall { pending: self.pending, waits })
    }

    /// Each task that waits for another one, with that one. Looks at all tasks.
    pub fn waits_for_tasks(&self) -> impl Iterator<Item = (TaskId, TaskId)> + '_ {
        let pending = self.tasks.iter().filter(|(_, task)| task.state.is_pending());
        pending.flat_map(move |(slot, _)| {
            let dependents = self.tasks.dependents(slot, &self.links).map(move |dependent| self.tasks.id(dependent));
            dependents.map(move |dependent| (dependent, self.tasks.id(slot)))
        })
    }

    fn why_not_started(&self, slot: TaskSlot) -> Waits {
        let cold = self.tasks.cold(slot);
        match (self.tasks[slot].state, cold.pinned_to()) {
            (State::Pinned, Some(worker)) => Waits::Worker(worker),
            _ => Waits::Workers { wanted: cold.ranks, living: self.workers.living },
        }
    }

    /// Ends all pending tasks, also those in flight: whatever is reported of them later
    /// does not fit any more. Those go on that take the ends of others, whichever, and
    /// what waits for these alone.
    pub(super) fn give_up(&mut self, actions: &mut Actions) -> bool {
        let pending: Vec<TaskSlot> =
            self.tasks.iter().filter(|(_, task)| task.state.is_pending()).map(|(slot, _)| slot).collect();
        self.forget_queues();
        let mut doomed: Vec<TaskSlot> = pending.clone();
        doomed.retain(|&slot| self.tasks[slot].state != State::Blocked);
        for &slot in &doomed {
            // Not as one that waits for its dependencies: those would end it as a
            // consequence of their end.
            self.tasks[slot].doom();
        }
        while let Some(slot) = doomed.pop() {
            for dependent in self.tasks.dependents(slot, &self.links) {
                if self.tasks[dependent].state == State::Blocked && !self.takes_end(dependent, slot) {
                    self.tasks[dependent].doom();
                    doomed.push(dependent);
                }
            }
        }
        for slot in pending {
            if self.tasks[slot].state == State::Doomed {
                self.end(slot, End::Stalled, actions);
            }
        }
        self.settle(actions);
        true
    }

    fn forget_queues(&mut self) {
        self.ready = Default::default();
        self.retries = Default::default();
        self.wide = Default::default();
        self.too_wide = Default::default();
        self.reservation = None;
        self.groups.clear();
        self.pinned.iter_mut().for_each(|queue| *queue = Default::default());
        self.workers.in_flight = 0;
        for worker in self.workers.ids() {
            let state = &mut self.workers[worker];
            (state.tasks, state.in_flight, state.pinned, state.busy_at) = (List::EMPTY, 0, 0, None);
            // Whoever was asked to give something back still answers that.
            if let Standing::Reserved | Standing::Grouped = state.standing {
                state.standing = Standing::Open;
            }
            self.workers.relist(worker);
        }
    }
}
