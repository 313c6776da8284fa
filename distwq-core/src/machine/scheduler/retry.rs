//! Tasks that have failed: which workers have tried them, and who is next.

use super::Scheduler;
use crate::id::{TaskSlot, WorkerId};

impl Scheduler {
    /// Remembers that an attempt of a task has failed on a worker.
    pub(super) fn note_tried(&mut self, slot: TaskSlot, worker: WorkerId) {
        let tried = self.tried.entry(slot).or_default();
        if !tried.contains(&worker) {
            tried.push(worker);
        }
    }

    /// The first retry that may go to a worker with room, and that worker, if no ready
    /// task comes before it.
    ///
    /// Only the first few retries are looked at. That cannot starve one: a worker that
    /// has not tried the first of them has room in the end, and then it goes there.
    #[inline]
    pub(super) fn match_retry(&self) -> Option<(TaskSlot, WorkerId)> {
        if self.retries.is_empty() || self.retries.key() < self.ready.key() {
            return None;
        }
        self.retries.window(&self.tasks).find_map(|slot| Some((slot, self.worker_for_retry(slot)?)))
    }

    /// The first retry that may go to this worker.
    #[inline]
    pub(super) fn retry_for(&self, worker: WorkerId) -> Option<TaskSlot> {
        if self.retries.is_empty() {
            return None;
        }
        let fits = |slot: &TaskSlot| !self.tried_by(*slot).contains(&worker) || self.all_have_tried(*slot);
        self.retries.window(&self.tasks).find(fits)
    }

    fn worker_for_retry(&self, slot: TaskSlot) -> Option<WorkerId> {
        let tried = self.tried_by(slot);
        // One more than have tried: among so many there is one that has not, unless fewer
        // have room.
        let untried = self.workers.by_load().take(tried.len() + 1).find(|worker| !tried.contains(worker));
        untried.or_else(|| if self.all_have_tried(slot) { self.workers.least_loaded() } else { None })
    }

    fn tried_by(&self, slot: TaskSlot) -> &[WorkerId] {
        self.tried.get(&slot).map_or(&[], |tried| tried.as_slice())
    }

    fn all_have_tried(&self, slot: TaskSlot) -> bool {
        let living = self.tried_by(slot).iter().filter(|&&worker| self.workers.is_living(worker)).count();
        living >= self.workers.living as usize
    }
}
