//! Which ready task goes to which worker.

use super::links::Links;
use super::task::{State, priority_of};
use super::tasks::Tasks;
use super::workers::Standing;
use super::{Actions, End, Scheduler};
use crate::id::{TaskId, TaskSlot, WorkerId};
use std::cmp::Ordering;

/// A value held by more workers than this is taken to be everywhere: it does not decide
/// where a task goes, and looking for it stays cheap.
const HOLDERS_MAX: usize = 16;

impl Scheduler {
    /// Hands out work until there is none for the workers that have room.
    #[inline]
    pub(super) fn settle(&mut self, actions: &mut Actions) {
        if !self.held && self.has_to_settle() {
            self.hand_out(actions);
        }
        if std::mem::take(&mut self.ran_dry) {
            self.balance(actions);
        }
    }

    /// Most events leave nothing to hand out, or nobody to take it.
    #[inline]
    fn has_to_settle(&self) -> bool {
        let waits = !self.ready.is_empty() || !self.retries.is_empty();
        (waits && self.workers.any_open())
            || !self.to_serve.is_empty()
            || self.reservation.is_some()
            || self.wide_is_due()
    }

    fn hand_out(&mut self, actions: &mut Actions) {
        loop {
            if self.reservation.is_some() || self.wide_is_due() {
                self.arrange(actions);
            }
            self.serve_pinned(Until::OthersAreNext, actions);
            self.dispatch(actions);
            self.serve_pinned(Until::Full, actions);
            // A task that ends because an input is lost may set others free.
            let waits = !self.ready.is_empty() && self.workers.any_open();
            if self.to_serve.is_empty() && !self.wide_is_due() && !waits {
                break;
            }
        }
    }

    /// A worker has become less loaded: gives it to the wide task that waits for it, or
    /// finds it work.
    pub(super) fn freed(&mut self, worker: WorkerId, actions: &mut Actions) {
        if self.held {
            if self.freed_while_held.last() != Some(&worker) {
                self.freed_while_held.push(worker);
            }
            return;
        }
        match self.workers[worker].standing {
            Standing::Reserved => self.reserved_freed(worker),
            Standing::Open => {
                let idle = self.workers[worker].in_flight == 0;
                if !(idle && self.reservation.is_some() && self.offer(worker, actions)) {
                    self.feed(worker, actions);
                }
            }
            _ => {}
        }
    }

    /// Does what was put off while events were held.
    pub(super) fn free_held(&mut self, actions: &mut Actions) {
        if self.freed_while_held.len() > 1 {
            // Each is to see what room the others have.
            for &worker in &self.freed_while_held {
                self.workers.relist(worker);
            }
        }
        while let Some(worker) = self.freed_while_held.pop() {
            self.step();
            self.freed(worker, actions);
        }
    }

    fn feed(&mut self, worker: WorkerId, actions: &mut Actions) {
        // While nobody else has room it takes what it can before it is sorted in again:
        // under full load each report is answered by one start, and the lists of loads
        // are never touched.
        if !self.workers.any_open() && !self.wide_is_due() {
            while self.workers[worker].has_room()
                && let Some(slot) = self.pull(worker)
            {
                self.step();
                self.start_unlisted(slot, worker, actions);
            }
        }
        self.workers.relist(worker);
        let state = &self.workers[worker];
        if state.pinned > 0 && state.has_room() {
            self.to_serve.push(worker);
        }
        self.ran_dry |= state.in_flight < state.slots;
    }

    /// Starts tasks of workers' own queues.
    fn serve_pinned(&mut self, until: Until, actions: &mut Actions) {
        let mut at = 0;
        while let Some(&worker) = self.to_serve.get(at) {
            at += 1;
            while self.is_open(worker) && self.workers[worker].pinned > 0 {
                if until == Until::OthersAreNext && !self.own_is_next(worker) {
                    break;
                }
                self.step();
                let slot = self.take_pinned(worker);
                self.start(slot, worker, actions);
            }
        }
        if until == Until::Full {
            self.to_serve.clear();
        }
    }

    fn is_open(&self, worker: WorkerId) -> bool {
        let state = &self.workers[worker];
        state.standing == Standing::Open && state.has_room()
    }

    fn take_pinned(&mut self, worker: WorkerId) -> TaskSlot {
        self.workers[worker].pinned -= 1;
        self.pinned[worker.index()].pop(&mut self.tasks).expect("the worker's own queue has a task")
    }

    /// Places ready tasks while anybody has room and no wide task comes before them.
    fn dispatch(&mut self, actions: &mut Actions) {
        while self.workers.any_open() {
            self.step();
            if let Some((slot, worker)) = self.match_retry() {
                self.retries.remove(&mut self.tasks, slot);
                self.start(slot, worker, actions);
            } else if let Some(slot) = self.ready.first()
                && !self.wide_is_due()
            {
                self.ready.take(&mut self.tasks, slot);
                let worker = self.place(slot);
                self.start(slot, worker, actions);
            } else {
                break;
            }
        }
    }

    /// Hands a task to a worker, unless an argument of it is lost.
    fn start(&mut self, slot: TaskSlot, worker: WorkerId, actions: &mut Actions) {
        self.start_unlisted(slot, worker, actions);
        self.workers.relist(worker);
    }

    fn start_unlisted(&mut self, slot: TaskSlot, worker: WorkerId, actions: &mut Actions) {
        if let Some(value) = self.lost_input(slot) {
            return self.end(slot, End::ValueLost { value }, actions);
        }
        self.workers.push(&mut self.tasks, worker, slot, self.now_ns);
        self.note_turn(self.tasks[slot].state, worker);
        self.tasks[slot].state = State::InFlight;
        let attempt = self.tasks.cold(slot).attempt();
        actions.start(self.tasks.id(slot), worker, attempt);
    }

    /// A task is started that has waited in this state.
    #[inline]
    fn note_turn(&mut self, waited_in: State, worker: WorkerId) {
        match waited_in {
            State::Pinned => return self.own_was_last[worker.index()] = true,
            State::Retry => self.retry_was_last = true,
            _ => self.retry_was_last = false,
        }
        if self.workers[worker].pinned > 0 {
            self.own_was_last[worker.index()] = false;
        }
    }

    /// An argument whose holders are all lost.
    #[inline(always)]
    pub(super) fn lost_input(&self, slot: TaskSlot) -> Option<TaskId> {
        if self.workers.lost == 0 { None } else { self.find_lost_input(slot) }
    }

    #[inline(never)]
    fn find_lost_input(&self, slot: TaskSlot) -> Option<TaskId> {
        let is_needed = |&input: &TaskSlot| self.is_value_lost(input) && !self.takes_end(slot, input);
        let lost = self.tasks.inputs(slot, &self.links).find(is_needed)?;
        Some(self.tasks.id(lost))
    }

    /// The best task for a worker that alone has room.
    fn pull(&mut self, worker: WorkerId) -> Option<TaskSlot> {
        if self.workers[worker].pinned > 0 && self.own_is_next(worker) {
            return Some(self.take_pinned(worker));
        }
        if self.retries_are_next()
            && let Some(slot) = self.retry_for(worker)
        {
            self.retries.remove(&mut self.tasks, slot);
            return Some(slot);
        }
        let slot = self.best_here(worker)?;
        self.ready.take(&mut self.tasks, slot);
        Some(slot)
    }

    /// Whether a task of a worker's own queue is next there. It takes turns with those of
    /// other origins that are as urgent.
    fn own_is_next(&self, worker: WorkerId) -> bool {
        let queue = &self.pinned[worker.index()];
        let (Some(own), Some(key)) = (queue.first(), queue.key()) else { return false };
        let others = self.ready.priority().max(self.retries.key().map(priority_of));
        match Some(priority_of(key)).cmp(&others) {
            Ordering::Less => false,
            Ordering::Greater => true,
            Ordering::Equal => match self.ready.first() {
                Some(first) if self.tasks[first].lane() == self.tasks[own].lane() => key >= self.tasks.key(first),
                _ => !self.own_was_last[worker.index()],
            },
        }
    }

    /// Of the first ready tasks the one with most input bytes on this worker.
    fn best_here(&mut self, worker: WorkerId) -> Option<TaskSlot> {
        let first = self.ready.first()?;
        if !self.tasks[first].place_matters() || self.ready.first_is_due() {
            return Some(first);
        }
        let (mut most, mut best) = (0, first);
        for slot in self.ready.window(&self.tasks) {
            let bytes = self.bytes_on(slot, worker);
            if bytes > most {
                (most, best) = (bytes, slot);
            }
        }
        Some(best)
    }

    /// The worker with room where a task should begin first.
    fn place(&mut self, slot: TaskSlot) -> WorkerId {
        let least = self.workers.least_loaded().expect("somebody has room");
        if !self.tasks[slot].place_matters() {
            return least;
        }
        let held_bytes = self.score_holders(slot);
        let mut best = (self.rank(least, held_bytes), least);
        for &worker in &self.touched {
            if self.is_open(worker) {
                best = best.min((self.rank(worker, held_bytes), worker));
            }
        }
        while let Some(worker) = self.touched.pop() {
            self.step();
            self.workers.scores[worker.index()] = 0;
        }
        best.1
    }

    /// What speaks against a worker: the estimated time until a task could begin there,
    /// then bytes it lacks, then its load.
    fn rank(&self, worker: WorkerId, held_bytes: u64) -> (u64, u64, u32) {
        let state = &self.workers[worker];
        let lacking_bytes = held_bytes.saturating_sub(self.workers.scores[worker.index()]);
        let begins_in_ns = state.wait_ns(self.settings.unknown_ns).saturating_add(self.move_ns(lacking_bytes));
        (begins_in_ns, lacking_bytes, state.in_flight)
    }

    /// How long values of so many bytes take from worker to worker.
    pub(super) fn move_ns(&self, bytes: u64) -> u64 {
        bytes.saturating_mul(1_000) / self.settings.move_bytes_per_us.max(1)
    }

    /// Adds up at each holder of inputs how many bytes of them it has, lists those
    /// holders in `touched`, and says how many bytes lie on workers.
    fn score_holders(&mut self, slot: TaskSlot) -> u64 {
        let Self { tasks, links, workers, touched, .. } = self;
        let mut held_bytes = 0;
        for input in tasks.inputs(slot, links) {
            let Some((bytes, holders)) = placed_bytes(tasks, links, input) else { continue };
            held_bytes += bytes;
            for worker in holders {
                let score = &mut workers.scores[worker.index()];
                if *score == 0 {
                    touched.push(worker);
                }
                *score += bytes;
            }
        }
        held_bytes
    }

    /// Bytes of a task's inputs that one worker holds.
    pub(super) fn bytes_on(&self, slot: TaskSlot, worker: WorkerId) -> u64 {
        if !self.tasks[slot].place_matters() {
            return 0;
        }
        let inputs = self.tasks.inputs(slot, &self.links);
        let here = inputs.filter_map(|input| {
            let (bytes, mut holders) = placed_bytes(&self.tasks, &self.links, input)?;
            holders.any(|holder| holder == worker).then_some(bytes)
        });
        here.sum()
    }
}

/// Size and holders of a value whose place matters: it is not empty, lies on a worker,
/// and not on very many.
fn placed_bytes<'a>(
    tasks: &'a Tasks,
    links: &'a Links,
    slot: TaskSlot,
) -> Option<(u64, impl Iterator<Item = WorkerId> + 'a)> {
    let value = &tasks[slot];
    let copies = tasks.cold(slot).copies;
    let maker = if value.is_resident() { value.worker() } else { None };
    let matters = (maker.is_some() || !copies.is_empty()) && value.bytes() > 0;
    if !matters || copies.iter(links).nth(HOLDERS_MAX).is_some() {
        return None;
    }
    Some((value.bytes(), maker.into_iter().chain(copies.iter(links))))
}

/// How far a worker's own queue is served.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Until {
    /// Up to the first task that comes after one that may go anywhere.
    OthersAreNext,
    /// As long as there is room.
    Full,
}
