//! Wide tasks: workers are kept free for the first of them until it can start.
//!
//! Only one wide task, the first, holds a reservation. As soon as it is ready, and no single-rank task of strictly
//! higher priority is, it reserves as many workers as it needs: idle ones first, then those that should be free
//! soonest. A reserved worker gets nothing new, and what it has not begun is taken back; so the wide task starts after
//! at most the work that had begun. Whenever another worker becomes idle while a reserved one still works, the two
//! change places. All other workers go on with single-rank tasks. A reservation gives way to a wide task of strictly
//! higher priority; single-rank tasks, of whatever priority, do not break it.

use super::links::NONE;
use super::tasks::{Cold, State, priority_of};
use super::workers::Standing;
use super::{Action, Actions, End, GroupFailure, GroupValue, Scheduler};
use crate::id::{TaskId, WorkerId};

/// Sizes of groups whose last members are remembered.
const LAST_GROUPS_MAX: usize = 64;

/// The workers kept free for one task.
#[derive(Debug)]
pub(super) struct Reservation {
    pub(super) task: u32,
    ranks: u32,
    /// The worker that has to be the first of the group, or [`NONE`].
    root: u32,
    /// Reserved workers with nothing in flight.
    pub(super) empty: Vec<u32>,
    /// Reserved workers that still work; each knows its place here.
    pub(super) busy: Vec<u32>,
}

/// A collective task that runs.
#[derive(Debug)]
pub(super) struct Group {
    /// In the order of the ranks of the group.
    pub(super) members: Box<[WorkerId]>,
    /// Members not lost.
    pub(super) living: u32,
    /// The member that was lost first.
    pub(super) lost: Option<WorkerId>,
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
        self.reservation.is_none() && self.ready.key().is_none_or(|ready| priority_of(ready) <= priority_of(key))
    }

    /// Reserves for the first wide task and starts it if all its workers are free; then for the next.
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

    fn reserving(&mut self) -> &mut Reservation {
        self.reservation.as_mut().expect("a reservation is held")
    }

    /// Ends a reservation that is not complete for the sake of a wide task of strictly higher priority.
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

    /// Makes a reservation for the first wide task. False if there are too few workers for it: to keep all of them
    /// free would not help it and stop the others.
    fn reserve_next(&mut self, actions: &mut Actions) -> bool {
        let task = self.wide.pop(&mut self.tasks).expect("a wide task is due");
        let &Cold { ranks, pin: root, .. } = self.tasks.cold(task);
        if ranks > self.workers.living {
            self.tasks[task].state = State::TooWide;
            self.too_wide.push_back(&mut self.tasks, task);
            return false;
        }
        self.tasks[task].state = State::Reserving;
        self.reservation = Some(Reservation { task, ranks, root, empty: Vec::new(), busy: Vec::new() });
        self.claim_root(actions);
        self.claim_last_group(ranks, actions);
        true
    }

    /// Reserves as many workers as are missing, if there are so many.
    fn top_up(&mut self, actions: &mut Actions) {
        self.claim_root(actions);
        while self.missing() > 0 {
            self.step();
            let idle = self.workers.least_loaded().filter(|&worker| self.workers[worker].in_flight == 0);
            let Some(worker) = idle.or_else(|| self.workers.soonest_free().next()) else { return };
            self.claim(worker, actions);
        }
    }

    /// Reserves the worker that has to be the first of the group.
    fn claim_root(&mut self, actions: &mut Actions) {
        let root = self.reserving().root;
        if root != NONE && self.workers[root].standing == Standing::Open {
            self.claim(root, actions);
        }
    }

    /// Workers still to be reserved, without the first of the group if it has to be a certain one.
    fn missing(&mut self) -> usize {
        let &mut Reservation { ranks, root, .. } = self.reserving();
        let root_to_come = root != NONE && self.workers[root].standing != Standing::Reserved;
        (ranks as usize - usize::from(root_to_come)).saturating_sub(self.reserving().held())
    }

    /// The idle members of the last group of this size: the communicator of the same ranks exists already.
    fn claim_last_group(&mut self, ranks: u32, actions: &mut Actions) {
        let Some(last) = self.last_groups.remove(&ranks) else { return };
        for &WorkerId(worker) in &last {
            self.step();
            let place = &self.workers[worker];
            let idle = place.standing == Standing::Open && place.in_flight == 0;
            if idle && self.missing() > 0 {
                self.claim(worker, actions);
            }
        }
        self.last_groups.insert(ranks, last);
    }

    fn claim(&mut self, worker: u32, actions: &mut Actions) {
        let place = &mut self.workers[worker];
        place.standing = Standing::Reserved;
        let busy = place.in_flight > 0;
        self.workers.relist(worker);
        let reservation = self.reserving();
        if !busy {
            reservation.empty.push(worker);
            return;
        }
        let at = reservation.busy.len();
        reservation.busy.push(worker);
        self.workers[worker].place = at as u32;
        self.take_back_all(worker, actions);
    }

    /// Takes a worker out of the busy reserved ones.
    fn leave_busy(&mut self, worker: u32) {
        let at = std::mem::replace(&mut self.workers[worker].place, NONE);
        let busy = &mut self.reserving().busy;
        let left = busy.swap_remove(at as usize);
        debug_assert_eq!(left, worker, "a busy reserved worker knows its place");
        if let Some(&moved) = busy.get(at as usize) {
            self.workers[moved].place = at;
        }
    }

    /// A reserved worker has become less loaded.
    pub(super) fn reserved_freed(&mut self, worker: u32) {
        if self.workers[worker].in_flight == 0 && self.workers[worker].place != NONE {
            self.leave_busy(worker);
            self.reserving().empty.push(worker);
        }
    }

    /// Offers an idle worker to the reservation; true if it was taken.
    pub(super) fn offer(&mut self, worker: u32, actions: &mut Actions) -> bool {
        let root = self.reserving().root;
        if root != worker && self.missing() == 0 {
            // The one reserved last was expected to be free last.
            let Some(&busy) = self.reserving().busy.iter().rev().take(2).find(|&&busy| busy != root) else {
                return false;
            };
            self.leave_busy(busy);
            self.set_free(busy);
        }
        self.claim(worker, actions);
        true
    }

    /// Makes a reserved worker or a member of a group take single-rank tasks again.
    fn set_free(&mut self, worker: u32) {
        let place = &mut self.workers[worker];
        (place.standing, place.place) = (Standing::Open, NONE);
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

    pub(super) fn is_reserved(&self, worker: u32) -> bool {
        self.workers[worker].standing == Standing::Reserved
    }

    /// Takes a lost worker out of the reservation.
    pub(super) fn unreserve_lost(&mut self, worker: u32) {
        if self.workers[worker].place != NONE {
            return self.leave_busy(worker);
        }
        self.reserving().empty.retain(|&empty| empty != worker);
    }

    fn start_group(&mut self, actions: &mut Actions) {
        let Reservation { task, ranks, root, mut empty, .. } =
            self.reservation.take().expect("a complete reservation is held");
        // A fixed order gives the same set the same ranks each time, so its communicator fits.
        empty.sort_unstable_by_key(|&worker| (worker != root, worker));
        let members: Box<[WorkerId]> = empty.iter().map(|&worker| WorkerId(worker)).collect();
        for worker in empty {
            self.step();
            let place = &mut self.workers[worker];
            (place.standing, place.place, place.reported_ns) = (Standing::Grouped, task, self.now_ns);
        }
        self.tasks[task].state = State::Running;
        let attempt = self.tasks.cold(task).attempt();
        if self.last_groups.len() >= LAST_GROUPS_MAX {
            self.last_groups.clear();
        }
        self.last_groups.insert(ranks, members.clone());
        self.groups.insert(task, Group { members: members.clone(), living: ranks, lost: None });
        actions.push(Action::StartGroup { task: self.tasks.id(task), workers: members.into_vec(), attempt });
    }

    pub(super) fn group_finished(
        &mut self,
        id: TaskId,
        result: Result<GroupValue, GroupFailure>,
        actions: &mut Actions,
    ) -> bool {
        let Some(slot) = self.tasks.find(id) else { return false };
        if self.tasks[slot].state != State::Running {
            return false;
        }
        let group = self.groups.remove(&slot).expect("a running collective task has a group");
        self.group_ended(slot, &group, result, actions);
        // All are free before the first is fed: else that one would take what the others could begin at once.
        let living = |WorkerId(worker): &WorkerId| self.workers.is_living(*worker);
        let members: Vec<u32> = group.members.iter().copied().filter(living).map(|WorkerId(worker)| worker).collect();
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
        slot: u32,
        group: &Group,
        result: Result<GroupValue, GroupFailure>,
        actions: &mut Actions,
    ) {
        let WorkerId(root) = group.members[0];
        match result {
            Ok(value) if !value.resident || self.workers.is_living(root) => {
                self.done(slot, root, value.bytes, value.resident, actions);
            }
            failed => {
                let retry = group.lost.is_some() || failed.is_err_and(|failure| failure.retry);
                let end = group.lost.map_or(End::Failed, |worker| End::WorkerLost { worker });
                self.attempt_failed(slot, None, retry, end, actions);
            }
        }
    }

    /// A member of a running group is lost. The others report when they are out of it; if there are none, it is over.
    pub(super) fn member_lost(&mut self, worker: u32, actions: &mut Actions) {
        let slot = self.workers[worker].place;
        let group = self.groups.get_mut(&slot).expect("a grouped worker knows its task");
        group.living -= 1;
        let lost = *group.lost.get_or_insert(WorkerId(worker));
        if group.living == 0 {
            self.groups.remove(&slot);
            self.attempt_failed(slot, None, true, End::WorkerLost { worker: lost }, actions);
        }
    }
}
