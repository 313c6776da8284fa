//! Tasks that have failed: which workers have tried them, and who is next.

use super::Scheduler;
use super::task::priority_of;
use crate::id::{TaskSlot, WorkerId};
use rustc_hash::FxHashSet;

impl Scheduler {
    /// Remembers that an attempt of a task has failed on a worker.
    pub(super) fn note_tried(&mut self, slot: TaskSlot, worker: WorkerId) {
        self.tasks.cold_mut(slot).has_more = true;
        let tried = self.tried.entry(slot).or_default();
        if !tried.contains(&worker) {
            tried.push(worker);
        }
    }

    /// Remembers that a task is not to run on a worker.
    pub(super) fn note_refused(&mut self, slot: TaskSlot, worker: WorkerId) {
        self.tasks.cold_mut(slot).has_more = true;
        let refused = self.refused.entry(slot).or_default();
        if !refused.contains(&worker) {
            refused.push(worker);
        }
        self.find_all_possible();
    }

    /// A task has ended: nothing is left of its attempts.
    #[inline(never)]
    pub(super) fn forget_attempts(&mut self, slot: TaskSlot) {
        self.tried.remove(&slot);
        if self.refused.remove(&slot).is_some() {
            self.find_all_possible();
        }
        self.forget_due(slot);
    }

    pub(super) fn find_all_possible(&mut self) {
        self.all_possible = self.refused.is_empty() && self.aside.is_empty();
    }

    /// Whether a task may never run on a worker, or not before an earlier attempt of it
    /// has returned there.
    #[inline]
    pub(super) fn is_barred_from(&self, slot: TaskSlot, worker: WorkerId) -> bool {
        !self.all_possible
            && (self.refused_by(slot).contains(&worker) || self.aside.has_attempt(worker, self.tasks.id(slot)))
    }

    /// Whether a retry is next, if there is one: before the first of the ready tasks that
    /// are as urgent, and then each of the two in turn.
    #[inline]
    pub(super) fn retries_are_next(&self) -> bool {
        match (self.retries.key().map(priority_of), self.ready.priority()) {
            (None, _) => false,
            (Some(_), None) => true,
            (Some(retry), Some(ready)) => retry > ready || (retry == ready && !self.retry_was_last),
        }
    }

    /// The first retry that may go to a worker with room, and that worker, if a retry is
    /// next.
    ///
    /// Only the first few retries are looked at. That cannot starve one: a worker that
    /// has not tried the first of them has room in the end, and then it goes there.
    #[inline]
    pub(super) fn match_retry(&self) -> Option<(TaskSlot, WorkerId)> {
        if !self.retries_are_next() {
            return None;
        }
        self.retries.window(&self.tasks).find_map(|slot| Some((slot, self.worker_for_retry(slot)?)))
    }

    /// The first retry that may go to this worker.
    #[inline]
    pub(super) fn retry_for(&self, worker: WorkerId) -> Option<TaskSlot> {
        let fits = |slot: &TaskSlot| {
            !self.is_barred_from(*slot, worker)
                && (!self.tried_by(*slot).contains(&worker) || self.all_have_tried(*slot))
        };
        self.retries.window(&self.tasks).find(fits)
    }

    fn worker_for_retry(&self, slot: TaskSlot) -> Option<WorkerId> {
        let tried = self.tried_by(slot);
        // One more than have tried: among so many there is one that has not, unless fewer
        // have room.
        let barred = if self.all_possible { 0 } else { self.barred(slot, false).len() };
        let fits = |worker: &WorkerId| !self.is_barred_from(slot, *worker);
        let mut with_room = self.workers.by_load().take(tried.len() + barred + 1).filter(fits);
        let untried = with_room.find(|worker| !tried.contains(worker));
        untried.or_else(|| {
            let any = || self.workers.by_load().take(barred + 1).find(fits);
            if self.all_have_tried(slot) { any() } else { None }
        })
    }

    pub(super) fn refused_by(&self, slot: TaskSlot) -> &[WorkerId] {
        self.refused.get(&slot).map_or(&[], |refused| refused.as_slice())
    }

    /// The living workers on which a task cannot run at present: those that have refused
    /// it, have no slot left beside attempts that were given up, or have an attempt of
    /// its own; for a group those that have any. With `for_good` only attempts count
    /// whose grace is over.
    pub(super) fn barred(&self, slot: TaskSlot, for_good: bool) -> FxHashSet<WorkerId> {
        let mut barred: FxHashSet<WorkerId> = self.refused_by(slot).iter().copied().collect();
        barred.extend(self.aside.with(self.tasks.id(slot), for_good));
        match for_good {
            true if self.tasks[slot].is_collective() => barred.extend(self.aside.with_stuck()),
            true => barred.extend(self.aside.stuck()),
            false => barred.extend(self.aside.full()),
        }
        barred.retain(|&worker| self.workers.is_living(worker));
        barred
    }

    fn tried_by(&self, slot: TaskSlot) -> &[WorkerId] {
        self.tried.get(&slot).map_or(&[], |tried| tried.as_slice())
    }

    fn all_have_tried(&self, slot: TaskSlot) -> bool {
        let tried = self.tried_by(slot);
        if self.all_possible {
            let living = tried.iter().filter(|&&worker| self.workers.is_living(worker)).count();
            return living >= self.workers.living as usize;
        }
        let mut not_these = self.barred(slot, false);
        not_these.extend(tried.iter().copied().filter(|&worker| self.workers.is_living(worker)));
        not_these.len() >= self.workers.living as usize
    }
}
