//! Decides which task runs where and when: a pure state machine, events in, actions out.
//!
//! The controller owns one [`Scheduler`], tells it all that happens as an [`Event`] and
//! carries out what it answers as [`Action`]s. The scheduler knows ids, sizes and
//! durations. It never sees bytes, threads, messages or a clock: the time is an argument,
//! in nanoseconds from any origin, and the same events at the same times always give the
//! same actions.
//!
//! # Calling order
//!
//! - [`Scheduler::handle`] appends to [`Actions`]; the caller takes them when it likes,
//!   but carries them out in their order. What goes to one worker must arrive there in
//!   order, and its reports come back in order.
//! - [`Event::Added`] only names tasks that were added before: a graph is added in an
//!   order in which dependencies come first. The caller says [`Event::Dropped`] of a task
//!   after the last `Added` that names it.
//! - The caller allots ids. A slot is free again from [`Action::Release`] on; small dense
//!   slots keep the tables small.
//! - A task ends by exactly one [`Action::Ended`] and goes by exactly one
//!   [`Action::Release`]. Values that were given ([`Event::Value`]) are never reported as
//!   ended, but released like any other.
//! - Each `Start` is answered by one `Finished`, `Failed` or `Returned`, after a `Cancel`
//!   also by `NotBegun`, or by the `Lost` of its worker. An `Overdue` answers it for the
//!   time being: a `Back` follows, whatever becomes of the task meanwhile. So does one
//!   each `SetAside`, and one of each member that a `GroupOverdue` names. Each
//!   `StartGroup` is answered by one `GroupFinished` when all its members are out of it
//!   or lost, after the `Lost` of those. Each `TakeBack` is answered by one `Returned`,
//!   also by an empty one, or by the `Lost` of its worker.
//! - `Copied` of a value comes before the report of the task that fetched it; to say it
//!   again changes nothing. `Missing` takes it back, and another `Copied` may follow.
//! - A worker's index is never used again after `Lost`.
//! - [`Event::Tick`] at [`Scheduler::next_deadline`] lets work move from workers that
//!   have been silent for long, and does what is due. When nothing moves and
//!   [`Scheduler::pending`] is not 0, [`Scheduler::stalled`] says whether anything can,
//!   and [`Event::GiveUp`] ends what cannot.
//!
//! An event that does not fit the state (a report of a task that the worker does not
//! hold) changes nothing and makes [`Scheduler::handle`] return false: its sender has
//! broken the rules above.
//!
//! # What it decides
//!
//! - *Order.* Ready tasks by priority. Of equal ones one of each origin is next in turn
//!   (module `turns`); of one origin by `level` (the longest remaining path), then as
//!   they became ready.
//! - *Place.* Where it is estimated to begin first: the time that the worker's queue
//!   needs plus the time to move inputs that lie elsewhere. Only the holders of inputs
//!   and the least loaded worker are looked at; among equally idle ones the most recently
//!   idle is taken, it still spins.
//! - *Prefetch.* A worker gets as many tasks beyond its slots as fill
//!   [`Settings::prefetch_ns`] by its measured durations. When one runs dry and nothing
//!   is ready, the later half of what another has queued is taken back, if that is worth
//!   a message.
//! - *Wide tasks.* Only the first ready one reserves workers (module `groups`), so it
//!   cannot starve and two cannot each hold half.
//! - *Retries.* On a worker that has not tried the task as long as one lives that is not
//!   set aside, else on any; under `follow` always on the one worker.
//!
//! Each event costs O(1) or O(its degree in the graph), whatever the number of tasks and
//! workers; O(log n) if it has a limit. [`Event::Lost`], and the end of the grace of a
//! worker that is set aside, may look at all tasks that wait for workers, and at all
//! groups. Chains are followed by worklists, never by recursion.

mod actions;
mod add;
mod arena;
mod aside;
mod cancel;
mod copies;
mod due;
mod end;
mod event;
mod groups;
mod lanes;
mod links;
mod lists;
mod lost;
mod place;
mod ready;
mod report;
mod retry;
mod stall;
mod take_back;
mod task;
mod tasks;
mod turns;
mod validate;
mod why;
mod workers;

#[cfg(test)]
mod simulation;
#[cfg(test)]
mod tests;

pub use actions::Actions;
pub use arena::{ListOf, TaskList, WorkerList};
pub use due::PAUSE_NS_MAX;
pub use event::{Action, End, Event, FailedBefore, GroupFailure, Made, Patience, Retry, Settings, Spec};
pub use stall::{Stall, Waits};
pub use why::{AllWaiters, Waiters, Why};

use crate::id::{TaskId, TaskSlot, WorkerId};
use aside::Aside;
use due::Agenda;
use groups::Reservation;
use lanes::Lanes;
use links::Links;
use ready::Queue;
use report::Turn;
use rustc_hash::{FxHashMap, FxHashSet};
use smallvec::SmallVec;
use std::collections::VecDeque;
use task::State;
use tasks::Tasks;
use turns::Turns;
use workers::{Standing, Workers};

/// The state machine. See the [module documentation](self) for the order of calls.
#[derive(Debug)]
pub struct Scheduler {
    settings: Settings,
    now_ns: u64,
    tasks: Tasks,
    links: Links,
    workers: Workers,
    /// Tasks that have not ended.
    pending: usize,
    /// Which tasks are of the same origin.
    lanes: Lanes,
    /// Tasks that may start anywhere.
    ready: Turns,
    /// Tasks that have failed and wait for a worker that has not tried them.
    retries: Queue,
    /// The last of the tasks that may start anywhere was such a retry.
    retry_was_last: bool,
    /// Who has tried a task that has failed.
    tried: FxHashMap<TaskSlot, SmallVec<[WorkerId; 4]>>,
    /// Who has said of a task that it is to run elsewhere.
    refused: FxHashMap<TaskSlot, SmallVec<[WorkerId; 4]>>,
    /// What is due at its time.
    agenda: Agenda,
    /// Workers that are set aside.
    aside: Aside,
    /// Every living worker can run every task: none is set aside, and none has said that
    /// a task is to run elsewhere.
    all_possible: bool,
    /// Tasks bound to one worker, by worker.
    pinned: Vec<Queue>,
    /// By worker: the last task that was started there, while there were such, was one.
    own_was_last: Vec<bool>,
    /// Collective tasks that may start.
    wide: Queue,
    /// Collective tasks that need more workers than have joined.
    too_wide: Queue,
    reservation: Option<Reservation>,
    /// Between `Hold` and `Resume`.
    held: bool,
    /// Workers that have become less loaded meanwhile.
    freed_while_held: Vec<WorkerId>,
    /// Collective tasks that run, and their members in the order of the ranks of the
    /// group. The end of a group is reported when all that are not lost are out of it.
    groups: FxHashMap<TaskSlot, Box<[WorkerId]>>,
    /// The members of the last group of each size: taken again if they are free, their
    /// communicator exists.
    last_groups: FxHashMap<u32, Box<[WorkerId]>>,
    /// All copies of values that are counted on. The tasks have them as lists; this finds
    /// one of thousands at once.
    copies: FxHashSet<(TaskSlot, WorkerId)>,
    /// Tasks whose ends are arguments, each with the pending task that takes it,
    /// whichever it is.
    taken_ends: FxHashSet<(TaskSlot, TaskSlot)>,
    /// Workers whose own queue may have something for them; empty between events that are
    /// not held.
    to_serve: Vec<WorkerId>,
    /// A worker has a free slot since this event; false between events.
    ran_dry: bool,
    /// Tasks about to end without a value, each above one that it names; nothing marks
    /// where that may go. Empty between events.
    ending: Vec<(TaskSlot, Option<End>)>,
    /// Tasks that may start because others have ended without values; empty between
    /// events.
    unblocked: VecDeque<TaskSlot>,
    /// Holders looked at while a task is placed; empty in between.
    touched: Vec<WorkerId>,
    /// Steps taken in loops, to prove in tests that work is linear in the size of a
    /// graph.
    #[cfg(test)]
    steps: u64,
}

impl Scheduler {
    /// A scheduler without workers or tasks.
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        Self {
            settings,
            now_ns: 0,
            tasks: Tasks::default(),
            links: Links::default(),
            workers: Workers::default(),
            pending: 0,
            lanes: Lanes::default(),
            ready: Turns::default(),
            retries: Queue::default(),
            retry_was_last: false,
            tried: FxHashMap::default(),
            refused: FxHashMap::default(),
            agenda: Agenda::default(),
            aside: Aside::default(),
            all_possible: true,
            pinned: Vec::new(),
            own_was_last: Vec::new(),
            wide: Queue::default(),
            too_wide: Queue::default(),
            reservation: None,
            held: false,
            freed_while_held: Vec::new(),
            groups: FxHashMap::default(),
            last_groups: FxHashMap::default(),
            copies: FxHashSet::default(),
            taken_ends: FxHashSet::default(),
            to_serve: Vec::new(),
            ran_dry: false,
            ending: Vec::new(),
            unblocked: VecDeque::new(),
            touched: Vec::new(),
            #[cfg(test)]
            steps: 0,
        }
    }

    /// Takes in one event and appends what is to be done to `actions`.
    ///
    /// `now_ns` never goes back. Returns false if the event does not fit the state; then
    /// nothing has changed, but for those of the tasks of a `Dropped` that do fit.
    ///
    /// # Panics
    /// If a slot is used for a new task before its release, if 2^31 slots are in use, or
    /// if a worker's index is 2^24 - 1 or more.
    // Where the event is known at compile time, only its own arm is left.
    #[inline(always)]
    pub fn handle(&mut self, now_ns: u64, event: Event<'_>, actions: &mut Actions) -> bool {
        self.now_ns = now_ns;
        match event {
            Event::Finished { worker, task, made, ran_ns } => self.finished(worker, task, made, ran_ns, actions),
            Event::Added { task, spec } => self.added(task, spec, actions),
            Event::Dropped { tasks } => self.dropped(tasks, actions),
            Event::Copied { task, worker } => self.copied(task, worker),
            Event::Missing { task, worker } => self.not_copied(task, worker),
            Event::Fetched { task } => self.fetched(task),
            Event::Value { task, bytes } => self.given(task, bytes),
            Event::Failed { worker, task, ran_ns, retry } => self.failed(worker, task, ran_ns, retry, actions),
            Event::GroupFinished { task, result } => self.group_finished(task, result, actions),
            Event::Returned { worker, tasks } => self.returned(worker, tasks, actions),
            Event::Cancel { tasks } => self.cancel(tasks, actions),
            Event::NotBegun { worker, tasks } => self.not_begun(worker, tasks, actions),
            Event::Overdue { worker, task, retry, is_silent } => {
                self.overdue(worker, task, (retry, is_silent), actions)
            }
            Event::GroupOverdue { task, inside, limit, retry } => {
                self.group_overdue(task, inside, limit, retry, actions)
            }
            Event::Expire { tasks } => self.expire(tasks, actions),
            Event::Back { worker, task } => self.back(worker, task, actions),
            Event::Hold => self.hold(),
            Event::Resume => self.resume(actions),
            Event::Tick => self.tick(actions),
            Event::Joined { worker, slots } => self.joined(worker, slots, actions),
            Event::Lost { worker } => self.lost(worker, actions),
            Event::GiveUp => self.give_up(actions),
        }
    }

    /// Makes room for so many tasks, some of them in slots that were never used, and for
    /// what they name: inputs, and others that come first.
    pub fn reserve(&mut self, tasks: usize, new_slots: usize, named: usize) {
        self.tasks.reserve(new_slots);
        // Each is noted with both tasks, and two numbers of a list need no room in the
        // arena: at least so much is needed.
        self.links.reserve(2 * named.saturating_sub(2 * tasks));
    }

    /// Tasks that were added and have not ended.
    #[must_use]
    pub fn pending(&self) -> usize {
        self.pending
    }

    /// Tasks that a worker has been given and has not reported, a collective one
    /// included.
    #[must_use]
    pub fn in_flight(&self, worker: WorkerId) -> usize {
        self.workers.get(worker).map_or(0, |state| match state.standing {
            Standing::Grouped => 1,
            _ => state.in_flight as usize,
        })
    }

    /// Workers that have joined and were not lost.
    #[must_use]
    pub fn workers(&self) -> usize {
        self.workers.living as usize
    }

    /// The living workers that hold the value of a task; none for a value that only the
    /// controller has.
    pub fn holders(&self, task: TaskId) -> impl Iterator<Item = WorkerId> + '_ {
        self.tasks.find(task).into_iter().flat_map(|slot| self.holders_of(slot))
    }

    /// What a worker has in flight, in order; nothing of a collective task.
    pub fn in_flight_tasks(&self, worker: WorkerId) -> impl Iterator<Item = TaskId> + '_ {
        let tasks = self.workers.get(worker).map(|state| state.tasks.iter(&self.tasks));
        tasks.into_iter().flatten().map(|slot| self.tasks.id(slot))
    }

    fn holders_of(&self, slot: TaskSlot) -> impl Iterator<Item = WorkerId> {
        let task = &self.tasks[slot];
        let maker = if task.state == State::Done && task.is_resident() { task.worker() } else { None };
        maker
            .into_iter()
            .chain(self.tasks.cold(slot).copies.iter(&self.links))
            .filter(|&worker| self.workers.is_living(worker))
    }

    fn hold(&mut self) -> bool {
        self.held = true;
        true
    }

    fn resume(&mut self, actions: &mut Actions) -> bool {
        self.held = false;
        self.free_held(actions);
        self.settle(actions);
        true
    }

    fn joined(&mut self, worker: WorkerId, slots: u32, actions: &mut Actions) -> bool {
        if !self.workers.join(worker, slots) {
            return false;
        }
        if worker.index() >= self.pinned.len() {
            self.pinned.resize_with(worker.index() + 1, Queue::default);
            self.own_was_last.resize(worker.index() + 1, false);
        }
        self.try_too_wide();
        self.freed(worker, actions);
        self.settle(actions);
        true
    }

    #[cfg(test)]
    fn step(&mut self) {
        self.steps += 1;
    }

    #[cfg(not(test))]
    #[inline(always)]
    fn step(&mut self) {}
}
