//! Wide tasks: workers are kept free for the first of them until it can start.
//!
//! Only one wide task, the first, holds a reservation. As soon as it is ready, and no
//! single-rank task of strictly higher priority is, it reserves as many workers as it
//! needs: idle ones first, then those that should be free soonest. A reserved worker gets
//! nothing new, and what it has not begun is taken back; so the wide task starts after at
//! most the work that had begun. Whenever another worker becomes idle while a reserved
//! one still works, the two swap. All other workers go on with single-rank
//! tasks. A reservation gives way to a wide task of strictly higher priority; single-rank
//! tasks, of whatever priority, do not break it.

use super::task::{State, priority_of};
use super::workers::Standing;
use super::{Actions, End, GroupFailure, Made, Scheduler};
use crate::id::{Index, TaskId, TaskSlot, WorkerId};
use rustc_hash::FxHashSet;

/// Sizes of groups whose last members are remembered.
const LAST_GROUPS_MAX: usize = 64;

/// From so many members on, workers are looked for that are neighbours.
const NEIGHBOURS_MIN: usize = 32;

/// So many idle workers are looked at for each of them.
const LOOKED_AT: usize = 8;

/// The workers kept free for one task.
#[derive(Debug)]
pub(super) struct Reservation {
    pub(super) task: TaskSlot,
    ranks: u32,
    /// The worker that has to be the first of the group, if it has to be a certain one.
    root: Option<WorkerId>,
    /// Reserved workers with nothing in flight.
    pub(super) empty: Vec<WorkerId>,
    /// Reserved workers that still work; each knows its index here.
    pub(super) busy: Vec<WorkerId>,
}

impl Reservation {
    fn held(&self) -> usize {
        self.empty.len() + self.busy.len()
    }

    fn is_complete(&self) -> bool {
        self.busy.is_empty() && self.empty.len() == self.ranks as usize
    }
}

impl Scheduler {
    /// A wide task should reserve workers before any other ready task starts.
    #[inline]
    pub(super) fn wide_is_due(&self) -> bool {
        let Some(key) = self.wide.key() else { return false };
        self.reservation.is_none() && self.ready.priority().is_none_or(|ready| ready <= priority_of(key))
    }

    /// Reserves for the first wide task and starts it if all its workers are free; then
    /// for the next.
    pub(super) fn arrange(&mut self, actions: &mut Actions) {
        loop {
            self.step();
            self.give_way();
            if self.reservation.is_none() && !self.wide_is_due() {
                return;
            }
            if self.reservation.is_none() && !self.reserve_next(actions) {
                continue;
            }
            self.top_up(actions);
            if !self.reserving().is_complete() {
                return;
            }
            let task = self.reserving().task;
            if let Some(value) = self.lost_input(task) {
                self.cancel_reservation();
                self.end(task, End::ValueLost { value }, actions);
            } else {
                self.start_group(actions);
            }
        }
    }

    /// Whether a worker can be a member of a group of this task: nothing that was given
    /// up runs there.
    #[inline]
    fn may_join(&self, task: TaskSlot, worker: WorkerId) -> bool {
        self.all_possible || !(self.aside.has(worker) || self.refused_by(task).contains(&worker))
    }

    /// Whether there are enough workers that can be members of a group of this task.
    pub(super) fn has_enough_for(&self, task: TaskSlot) -> bool {
        let cold = self.tasks.cold(task);
        if self.all_possible {
            return cold.ranks <= self.workers.living;
        }
        let others: FxHashSet<WorkerId> = self.aside.all().chain(self.refused_by(task).iter().copied()).collect();
        let others = others.into_iter().filter(|&worker| self.workers.is_living(worker)).count();
        cold.ranks as usize + others <= self.workers.living as usize
            && cold.pinned_to().is_none_or(|root| self.may_join(task, root))
    }

    fn reserving(&mut self) -> &mut Reservation {
        self.reservation.as_mut().expect("a reservation is held")
    }

    /// Ends a reservation that is not complete for the sake of a wide task of strictly
    /// higher priority.
    fn give_way(&mut self) {
        let Some(reservation) = &self.reservation else { return };
        let task = reservation.task;
        let urgent = self.wide.key().is_some_and(|key| priority_of(key) > priority_of(self.tasks.key(task)));
        if urgent {
            self.cancel_reservation();
            self.tasks[task].state = State::Wide;
            self.wide.push_front(&mut self.tasks, task);
        }
    }

    /// There are more workers: wide tasks that had too few are due again.
    pub(super) fn try_too_wide(&mut self) {
        for slot in self.too_wide.drain(&mut self.tasks) {
            self.tasks[slot].state = State::Wide;
            self.wide.push_back(&mut self.tasks, slot);
        }
    }

    /// Makes a reservation for the first wide task. False if there are too few workers
    /// for it: to keep all of them free would not help it and stop the others.
    fn reserve_next(&mut self, actions: &mut Actions) -> bool {
        let task = self.wide.pop(&mut self.tasks).expect("a wide task is due");
        let cold = self.tasks.cold(task);
        let (ranks, root) = (cold.ranks, cold.pinned_to());
        if !self.has_enough_for(task) {
            self.tasks[task].state = State::TooWide;
            self.too_wide.push_back(&mut self.tasks, task);
            return false;
        }
        self.tasks[task].state = State::Reserving;
        self.reservation = Some(Reservation { task, ranks, root, empty: Vec::new(), busy: Vec::new() });
        self.claim_root(actions);
        self.claim_last_group(ranks, actions);
        self.claim_neighbours(actions);
        true
    }

    /// Reserves as many workers as are missing, if there are so many.
    fn top_up(&mut self, actions: &mut Actions) {
        self.claim_root(actions);
        while self.missing() > 0 {
            self.step();
            let task = self.reserving().task;
            let may_join = |worker: &WorkerId| self.may_join(task, *worker);
            let is_idle = |worker: &WorkerId| self.workers[*worker].in_flight == 0;
            let idle = self.workers.by_load().take_while(is_idle).find(may_join);
            let Some(worker) = idle.or_else(|| self.workers.soonest_free().find(may_join)) else { return };
            self.claim(worker, actions);
        }
    }

    /// Reserves the worker that has to be the first of the group.
    fn claim_root(&mut self, actions: &mut Actions) {
        let &mut Reservation { task, root, .. } = self.reserving();
        if let Some(root) = root
            && self.workers[root].standing == Standing::Open
            && self.may_join(task, root)
        {
            self.claim(root, actions);
        }
    }

    /// Workers still to be reserved, without the first of the group if it has to be a
    /// certain one.
    fn missing(&mut self) -> usize {
        let &mut Reservation { ranks, root, .. } = self.reserving();
        let root_to_come = root.is_some_and(|root| !self.is_reserved(root));
        (ranks as usize - usize::from(root_to_come)).saturating_sub(self.reserving().held())
    }

    /// The idle members of the last group of this size: the communicator of the same
    /// ranks exists already.
    fn claim_last_group(&mut self, ranks: u32, actions: &mut Actions) {
        let Some(last) = self.last_groups.remove(&ranks) else { return };
        let task = self.reserving().task;
        for &worker in &last {
            self.step();
            let state = &self.workers[worker];
            let idle = state.standing == Standing::Open && state.in_flight == 0;
            if idle && self.may_join(task, worker) && self.missing() > 0 {
                self.claim(worker, actions);
            }
        }
        self.last_groups.insert(ranks, last);
    }

    /// Of many idle workers those that lie closest together: they are few bytes to tell,
    /// and likely share their hosts.
    fn claim_neighbours(&mut self, actions: &mut Actions) {
        let missing = self.missing();
        if missing < NEIGHBOURS_MIN {
            return;
        }
        let task = self.reserving().task;
        let is_idle = |&worker: &WorkerId| self.workers[worker].in_flight == 0;
        let idle = self.workers.by_load().take_while(is_idle).filter(|&worker| self.may_join(task, worker));
        let mut idle: Vec<WorkerId> = idle.take(LOOKED_AT * missing).collect();
        if idle.len() <= missing {
            return;
        }
        idle.sort_unstable();
        let closest = idle.windows(missing).min_by_key(|window| window[missing - 1].index() - window[0].index());
        for &worker in closest.expect("there are more than are missing") {
            self.step();
            self.claim(worker, actions);
        }
    }

    fn claim(&mut self, worker: WorkerId, actions: &mut Actions) {
        let state = &mut self.workers[worker];
        state.standing = Standing::Reserved;
        let busy = state.in_flight > 0;
        self.workers.relist(worker);
        let reservation = self.reserving();
        if !busy {
            reservation.empty.push(worker);
            return;
        }
        let at = reservation.busy.len();
        reservation.busy.push(worker);
        self.workers[worker].busy_at = Some(Index::new(at as u32));
        self.take_back_all(worker, actions);
    }

    /// Takes a worker out of the busy reserved ones.
    fn remove_busy(&mut self, worker: WorkerId) {
        let at = self.workers[worker].busy_at.take().expect("a busy reserved worker has its index among them");
        let busy = &mut self.reserving().busy;
        let removed = busy.swap_remove(at.get());
        debug_assert_eq!(removed, worker, "the index is its own");
        if let Some(&moved) = busy.get(at.get()) {
            self.workers[moved].busy_at = Some(at);
        }
    }

    /// A reserved worker has become less loaded.
    pub(super) fn reserved_freed(&mut self, worker: WorkerId) {
        if self.workers[worker].in_flight == 0 && self.workers[worker].busy_at.is_some() {
            self.remove_busy(worker);
            self.reserving().empty.push(worker);
        }
    }

    /// Offers an idle worker to the reservation; true if it was taken.
    pub(super) fn offer(&mut self, worker: WorkerId, actions: &mut Actions) -> bool {
        let &mut Reservation { task, root, .. } = self.reserving();
        if !self.may_join(task, worker) {
            return false;
        }
        if root != Some(worker) && self.missing() == 0 {
            // The one reserved last was expected to be free last.
            let Some(&busy) = self.reserving().busy.iter().rev().take(2).find(|&&busy| root != Some(busy)) else {
                return false;
            };
            self.remove_busy(busy);
            self.set_free(busy);
        }
        self.claim(worker, actions);
        true
    }

    /// Makes a reserved worker or a member of a group take single-rank tasks again.
    pub(super) fn set_free(&mut self, worker: WorkerId) {
        let state = &mut self.workers[worker];
        (state.standing, state.busy_at) = (Standing::Open, None);
        self.workers.relist(worker);
        self.to_serve.push(worker);
    }

    /// Ends the reservation without a start.
    pub(super) fn cancel_reservation(&mut self) {
        let reservation = self.reservation.take().expect("a reservation is held");
        for worker in reservation.empty.into_iter().chain(reservation.busy) {
            self.step();
            self.set_free(worker);
        }
    }

    pub(super) fn is_reserved(&self, worker: WorkerId) -> bool {
        self.workers[worker].standing == Standing::Reserved
    }

    /// Takes a worker out of the reservation that cannot be of the group.
    pub(super) fn unreserve(&mut self, worker: WorkerId) {
        if self.workers[worker].busy_at.is_some() {
            return self.remove_busy(worker);
        }
        self.reserving().empty.retain(|&empty| empty != worker);
    }

    fn start_group(&mut self, actions: &mut Actions) {
        let Reservation { task, ranks, root, mut empty, .. } =
            self.reservation.take().expect("a complete reservation is held");
        // A fixed order gives the same set the same ranks each time, so its communicator
        // fits.
        empty.sort_unstable_by_key(|&worker| (Some(worker) != root, worker));
        let members = empty.into_boxed_slice();
        for &worker in &members {
            self.step();
            let state = &mut self.workers[worker];
            (state.standing, state.reported_ns) = (Standing::Grouped, self.now_ns);
        }
        self.tasks[task].state = State::Running;
        let attempt = self.tasks.cold(task).attempt();
        if self.last_groups.len() >= LAST_GROUPS_MAX {
            self.last_groups.clear();
        }
        self.last_groups.insert(ranks, members.clone());
        actions.start_group(self.tasks.id(task), &members, attempt);
        self.groups.insert(task, members);
    }

    pub(super) fn group_finished(
        &mut self,
        id: TaskId,
        result: Result<Made, GroupFailure>,
        actions: &mut Actions,
    ) -> bool {
        let Some(slot) = self.tasks.find(id) else { return false };
        if self.tasks[slot].state != State::Running {
            return false;
        }
        let members = self.groups.remove(&slot).expect("a running collective task has a group");
        self.group_ended(slot, members[0], result, actions);
        // All are free before the first is fed: else that one would take what the others
        // could begin at once.
        let living = |&worker: &WorkerId| self.workers.is_living(worker);
        let members: Vec<WorkerId> = members.iter().copied().filter(living).collect();
        for &worker in &members {
            self.step();
            self.workers[worker].reported_ns = self.now_ns;
            self.set_free(worker);
        }
        for &worker in &members {
            self.freed(worker, actions);
        }
        self.settle(actions);
        true
    }

    fn group_ended(
        &mut self,
        slot: TaskSlot,
        root: WorkerId,
        result: Result<Made, GroupFailure>,
        actions: &mut Actions,
    ) {
        match result {
            Ok(made) if !made.resident || self.workers.is_living(root) => self.done(slot, root, made, actions),
            failed => {
                let retry = self.after_loss(slot);
                let lost_with_its_value = GroupFailure { retry, lost: Some(root) };
                let GroupFailure { retry, lost } = failed.err().unwrap_or(lost_with_its_value);
                let end = lost.map_or(End::Failed, |worker| End::WorkerLost { worker });
                self.attempt_failed(slot, None, retry, end, actions);
            }
        }
    }
}
