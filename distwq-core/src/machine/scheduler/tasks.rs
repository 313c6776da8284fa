//! The table of tasks, indexed by slot.
//!
//! A scheduler waits for memory more than for anything else: with many workers, a task, its inputs and its dependents
//! have left the caches by the time it ends. So a task is half a cache line. What belongs to one stage of its life only
//! shares a field with another stage, and what few tasks have lies apart, in the cold part
//! ([`Cold`]).

use super::links::{Chain, ITEMS_MAX, Links, NONE};
use super::{End, Spec};
use crate::id::TaskId;
use crate::memory::buffers;
use crate::memory::prefetch;

/// A value that the controller has is sent to whoever needs it, wherever that is; from this size on it pays to use
/// a copy that a worker has already.
const LARGE_BYTES: u64 = 64 * 1024;

/// Where a task is in its life, and so in which list it is kept.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum State {
    /// The slot is free.
    Vacant,
    /// Waits for dependencies; kept in their lists of dependents.
    Blocked,
    /// A dependency has failed and it is on the worklist of ends.
    Doomed,
    /// May start on any worker; in the queue of ready tasks.
    Ready,
    /// Has failed before and wants a worker that has not tried it; in the queue of retries.
    Retry,
    /// May start on one worker only; in that worker's own queue.
    Pinned,
    /// A collective task that may start; in the queue of wide tasks.
    Wide,
    /// A collective task that needs more workers than have joined so far; in a queue of its own.
    TooWide,
    /// The collective task for which workers are kept free.
    Reserving,
    /// With a worker, begun or prefetched; in the worker's list of tasks in flight.
    InFlight,
    /// A collective task that runs on its group.
    Running,
    /// Ended with a value.
    Done,
    /// Ended without one.
    Failed,
}

impl State {
    /// A list of tasks leads through the task.
    pub(super) const fn is_listed(self) -> bool {
        use State::{InFlight, Pinned, Ready, Retry, TooWide, Wide};
        matches!(self, Ready | Retry | Pinned | Wide | TooWide | InFlight)
    }

    /// The task has not ended.
    pub(super) const fn is_pending(self) -> bool {
        !matches!(self, Self::Vacant | Self::Done | Self::Failed)
    }
}

/// A number below 2^24 - 1, or [`NONE`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Small([u8; 3]);

impl Small {
    const NONE: Self = Self([u8::MAX; 3]);

    /// The numbers that fit are smaller.
    const MAX: u32 = (1 << 24) - 1;

    /// The three lower bytes: all of a number that fits, and of [`NONE`].
    #[inline]
    const fn new(number: u32) -> Self {
        debug_assert!(number < Self::MAX || number == NONE, "a number that fits");
        let [a, b, c, _] = number.to_le_bytes();
        Self([a, b, c])
    }

    #[inline]
    const fn get(self) -> u32 {
        let Self([a, b, c]) = self;
        let number = u32::from_le_bytes([a, b, c, 0]);
        if number == Self::MAX { NONE } else { number }
    }
}

/// The index of a worker is smaller than this.
pub(super) const WORKERS_MAX: u32 = Small::MAX;

/// What is known of every task.
#[derive(Debug)]
#[repr(align(32))]
pub(super) struct Task {
    pub(super) serial: u32,
    /// The newest of the tasks whose outputs are arguments. Done: the lower half of the size of the value.
    inputs: u32,
    /// The newest of the tasks that wait for this one. Done: the upper half of that size.
    dependents: u32,
    /// Arguments of pending tasks that are this value, and [`HANDLE`].
    uses: u32,
    /// In a list of tasks: who is before it there; no matter what at the head. In none: links from dependencies that
    /// have not ended.
    pub(super) before: u32,
    /// In a list of tasks: who is next.
    pub(super) next: u32,
    /// In flight: with whom. Done: where it ran, [`NONE`] for a value that was given.
    worker: Small,
    pub(super) state: State,
    /// With a priority of 0 it is the order key; [`Small::NONE`] if the key lies in [`Cold`] with all else.
    level: Small,
    kind: Kind,
}

/// Somebody may still ask for the value.
const HANDLE: u32 = 1 << 31;

/// What few tasks have.
#[derive(Debug)]
pub(super) struct Cold {
    key: u64,
    /// Slot of the task to follow while `follows`, else the only worker it may run on, or [`NONE`].
    pub(super) pin: u32,
    /// List of the workers that hold a copy besides the one where it ran.
    pub(super) copies: u32,
    pub(super) ranks: u32,
    pub(super) retries: u32,
    /// Attempts that have failed.
    pub(super) failures: u32,
    /// `pin` names a task whose worker is not known yet.
    pub(super) follows: bool,
}

impl Cold {
    const NOTHING: Self = Self { key: 0, pin: NONE, copies: NONE, ranks: 1, retries: 0, failures: 0, follows: false };

    /// The attempt that runs or comes next, counted from 1.
    #[inline]
    pub(super) fn attempt(&self) -> u32 {
        self.failures.saturating_add(1)
    }
}

/// What a task is while it waits, and where its value is afterwards.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    /// Runs on one worker, any one.
    Narrow,
    /// Runs on one worker, and it matters which: an argument lies on workers or is large.
    Drawn,
    /// Needs a group.
    Collective,
    /// Done; the controller has the value.
    Home,
    /// Done; the value stayed on `worker` and goes from there.
    Resident,
}

impl Task {
    const VACANT: Self = Self {
        serial: 0,
        inputs: NONE,
        dependents: NONE,
        uses: 0,
        before: 0,
        next: NONE,
        worker: Small::NONE,
        state: State::Vacant,
        level: Small::new(0),
        kind: Kind::Narrow,
    };

    /// Somebody may still ask for the value.
    pub(super) fn has_handle(&self) -> bool {
        self.uses & HANDLE != 0
    }

    /// Nobody will ask any more; false if that was so already.
    #[inline]
    pub(super) fn drop_handle(&mut self) -> bool {
        let had = self.has_handle();
        self.uses &= !HANDLE;
        had
    }

    /// Arguments of pending tasks that are this value.
    pub(super) fn needed(&self) -> u32 {
        self.uses & !HANDLE
    }

    /// One more argument of a pending task is this value.
    #[inline]
    pub(super) fn need(&mut self) {
        assert!(self.needed() < HANDLE - 1, "fewer than 2^31 arguments of pending tasks are one value");
        self.uses += 1;
    }

    /// One less.
    #[inline]
    pub(super) fn need_no_more(&mut self) {
        debug_assert!(self.needed() > 0, "a need was counted");
        self.uses -= 1;
    }

    /// It has ended, and neither a handle nor a pending task needs it.
    ///
    /// One that has failed stays while links of pending dependencies lead to it: its slot must not be another's by
    /// the time these end.
    #[inline]
    pub(super) fn is_over(&self) -> bool {
        self.uses == 0 && matches!(self.state, State::Done | State::Failed) && self.before == 0
    }

    /// Links from dependencies that have not ended.
    #[inline]
    pub(super) fn blockers(&self) -> u32 {
        if self.state.is_listed() { 0 } else { self.before }
    }

    /// One more.
    #[inline]
    pub(super) fn block(&mut self) {
        self.before += 1;
    }

    /// One less; how many there are now.
    #[inline]
    pub(super) fn unblock(&mut self) -> u32 {
        debug_assert!(self.blockers() > 0, "a dependency was counted");
        self.before -= 1;
        self.before
    }

    #[inline]
    pub(super) fn worker(&self) -> u32 {
        self.worker.get()
    }

    #[inline]
    pub(super) fn set_worker(&mut self, worker: u32) {
        self.worker = Small::new(worker);
    }

    pub(super) fn is_resident(&self) -> bool {
        self.kind == Kind::Resident
    }

    pub(super) fn is_collective(&self) -> bool {
        self.kind == Kind::Collective
    }

    /// It matters where it runs: an argument lies on workers or is large.
    #[inline]
    pub(super) fn is_drawn(&self) -> bool {
        self.kind == Kind::Drawn
    }

    /// It gets an argument whose place matters; a group is chosen without regard to that.
    pub(super) fn draw(&mut self) {
        if self.kind == Kind::Narrow {
            self.kind = Kind::Drawn;
        }
    }

    pub(super) fn bytes(&self) -> u64 {
        debug_assert_eq!(self.state, State::Done, "only an ended task has a value");
        u64::from(self.dependents) << 32 | u64::from(self.inputs)
    }

    /// The value lies on a worker, or is so large that tasks should go where a copy of it is.
    #[inline]
    pub(super) fn draws(&self) -> bool {
        let bytes = self.bytes();
        (self.is_resident() && bytes > 0) || bytes >= LARGE_BYTES
    }

    /// Turns it into a value of `bytes` made by `worker`; its lists are another's now.
    #[inline]
    fn become_value(&mut self, worker: u32, bytes: u64, resident: bool) {
        self.state = State::Done;
        (self.inputs, self.dependents) = (bytes as u32, (bytes >> 32) as u32);
        self.worker = Small::new(worker);
        self.kind = if resident { Kind::Resident } else { Kind::Home };
    }

    /// Makes it one that will end without a value, whose list is not kept any more.
    pub(super) fn doom(&mut self) {
        self.before = self.blockers();
        self.state = State::Doomed;
    }

    /// What it has beyond others lies in [`Cold`].
    #[inline]
    fn is_cold(&self) -> bool {
        self.level == Small::NONE
    }
}

/// What does not fit into a task of its lists: the numbers behind the newest.
#[derive(Clone, Copy, Debug)]
struct Behind {
    inputs: u32,
    dependents: u32,
}

impl Behind {
    const NOTHING: Self = Self { inputs: NONE, dependents: NONE };
}

/// The tasks that one was tied to when it ended.
pub(super) struct Ties {
    /// Whose outputs it took.
    pub(super) inputs: Chain,
    /// Who waits for it.
    pub(super) dependents: Chain,
}

/// The key that sorts ready tasks: priority, then the length of the path that hangs on it.
pub(super) const fn order_key(priority: i32, level: u32) -> u64 {
    // Flipping the sign bit makes the order of the unsigned numbers that of the signed ones.
    let priority = priority.cast_unsigned() ^ (1 << 31);
    ((priority as u64) << 32) | level as u64
}

/// The part of an order key that is the priority; comparable with another's.
pub(super) const fn priority_of(key: u64) -> u64 {
    key >> 32
}

/// The tasks by slot.
#[derive(Debug, Default)]
pub(super) struct Tasks {
    table: Vec<Task>,
    /// By slot as well; nothing of a task that has ended. It lies apart, so that it can be looked at together with the
    /// task and not after it.
    behind: Vec<Behind>,
    /// By slot as well, in pages that are made when the first of their tasks needs one.
    cold: Vec<Option<Box<ColdPage>>>,
}

/// Tasks whose [`Cold`] is made room for at once.
const PAGE: usize = 256;

type ColdPage = [Cold; PAGE];

/// The page of a slot, and the place in it.
#[inline]
const fn in_pages(slot: u32) -> (usize, usize) {
    (slot as usize / PAGE, slot as usize % PAGE)
}

impl Tasks {
    /// Puts a new task into its slot, blocked until something is done with it.
    ///
    /// # Panics
    /// If the slot is taken: the caller uses a slot again only after its release.
    #[inline]
    pub(super) fn add(&mut self, id: TaskId, spec: &Spec<'_>) -> u32 {
        let kind = if spec.collective || spec.ranks > 1 { Kind::Collective } else { Kind::Narrow };
        let task = Task { uses: HANDLE, state: State::Blocked, kind, ..Task::VACANT };
        let slot = self.insert(id, task);
        if spec.level < Small::MAX && spec.priority == 0 && spec.ranks <= 1 && spec.retries == 0 {
            self[slot].level = Small::new(spec.level);
        } else {
            let cold = self.cold_mut(slot);
            (cold.key, cold.ranks, cold.retries) =
                (order_key(spec.priority, spec.level), spec.ranks.max(1), spec.retries);
        }
        slot
    }

    /// Puts a value into its slot that exists without having been made by a task.
    ///
    /// # Panics
    /// Like [`Tasks::add`].
    pub(super) fn add_value(&mut self, id: TaskId, bytes: u64) {
        let slot = self.insert(id, Task { uses: HANDLE, ..Task::VACANT });
        self[slot].become_value(NONE, bytes, false);
    }

    #[inline]
    fn insert(&mut self, id: TaskId, task: Task) -> u32 {
        let index = id.slot();
        assert!(index < ITEMS_MAX as usize, "fewer than 2^31 tasks are pending or held");
        if let Some(more) = (index + 1).checked_sub(self.table.len()) {
            buffers::reserve(&mut self.table, more);
            self.table.resize_with(index + 1, || Task::VACANT);
            buffers::reserve(&mut self.behind, more);
            self.behind.resize(index + 1, Behind::NOTHING);
            self.cold.resize_with(self.table.len().div_ceil(PAGE), || None);
        }
        let place = &mut self.table[index];
        assert_eq!(place.state, State::Vacant, "slot of {id} is taken by #{}", place.serial);
        *place = Task { serial: id.serial(), ..task };
        slot_of(id)
    }

    /// Makes room for tasks in slots that were never used.
    pub(super) fn reserve(&mut self, tasks: usize) {
        buffers::reserve(&mut self.table, tasks);
        buffers::reserve(&mut self.behind, tasks);
    }

    /// Notes that the output of `input` is an argument of a pending task.
    #[inline]
    pub(super) fn add_input(&mut self, slot: u32, input: u32, links: &mut Links) {
        let task = &mut self.table[slot as usize];
        debug_assert!(task.state.is_pending(), "what has ended has no lists");
        links.push_behind(&mut task.inputs, &mut self.behind[slot as usize].inputs, input);
    }

    /// Notes that `dependent` waits for a pending task.
    #[inline]
    pub(super) fn add_dependent(&mut self, slot: u32, dependent: u32, links: &mut Links) {
        let task = &mut self.table[slot as usize];
        debug_assert!(task.state.is_pending(), "what has ended has no lists");
        links.push_behind(&mut task.dependents, &mut self.behind[slot as usize].dependents, dependent);
    }

    /// The tasks whose outputs are arguments, newest first; none once the task has ended.
    pub(super) fn inputs<'a>(&self, slot: u32, links: &'a Links) -> impl Iterator<Item = u32> + use<'a> {
        self.ties(slot).inputs.iter(links)
    }

    /// The tasks that wait for one, newest first; none once it has ended.
    pub(super) fn dependents<'a>(&self, slot: u32, links: &'a Links) -> impl Iterator<Item = u32> + use<'a> {
        self.ties(slot).dependents.iter(links)
    }

    fn ties(&self, slot: u32) -> Ties {
        let (task, behind) = (&self[slot], self.behind[slot as usize]);
        if task.state == State::Done {
            return Ties { inputs: Chain::EMPTY, dependents: Chain::EMPTY };
        }
        Ties {
            inputs: Chain { newest: task.inputs, behind: behind.inputs },
            dependents: Chain { newest: task.dependents, behind: behind.dependents },
        }
    }

    /// Turns a pending task into a value of `bytes` made by `worker`, without its ties.
    #[inline]
    pub(super) fn become_value(&mut self, slot: u32, worker: u32, bytes: u64, resident: bool) -> Ties {
        let ties = self.take_ties(slot);
        self[slot].become_value(worker, bytes, resident);
        ties
    }

    /// Turns a pending task into one that has ended without a value, without its ties.
    pub(super) fn become_failure(&mut self, slot: u32) -> Ties {
        let ties = self.take_ties(slot);
        let task = &mut self[slot];
        (task.inputs, task.dependents, task.state) = (NONE, NONE, State::Failed);
        ties
    }

    #[inline]
    fn take_ties(&mut self, slot: u32) -> Ties {
        let ties = self.ties(slot);
        if ties.inputs.behind != NONE || ties.dependents.behind != NONE {
            self.behind[slot as usize] = Behind::NOTHING;
        }
        ties
    }

    /// Has the memory of the tasks fetched that a pending one is tied to, which are about to be looked at: of two inputs
    /// and two dependents at most, as most tasks have.
    #[inline]
    pub(super) fn prefetch_ties(&self, slot: u32) {
        let Ties { inputs, dependents } = self.ties(slot);
        for tied in [inputs.newest, dependents.newest, Links::only(inputs.behind), Links::only(dependents.behind)] {
            prefetch::element(&self.table, tied as usize);
        }
    }

    /// The slot of a task that is still known.
    #[inline]
    pub(super) fn find(&self, id: TaskId) -> Option<u32> {
        let task = self.table.get(id.slot())?;
        (task.serial == id.serial() && task.state != State::Vacant).then(|| slot_of(id))
    }

    /// Has the memory of a task fetched, which is about to be looked at; [`NONE`] is none.
    #[inline(always)]
    pub(super) fn prefetch(&self, slot: u32) {
        prefetch::element(&self.table, slot as usize);
    }

    #[inline]
    pub(super) fn id(&self, slot: u32) -> TaskId {
        TaskId::new(slot, self[slot].serial)
    }

    /// Checks that nothing is left of the lists of a task that has ended.
    pub(super) fn validate_behind(&self, slot: u32) {
        let (task, Behind { inputs, dependents }) = (&self[slot], self.behind[slot as usize]);
        let nothing = inputs == NONE && dependents == NONE;
        assert!(task.state.is_pending() || nothing, "lists of ended {slot}");
        let newest = task.state != State::Failed || (task.inputs == NONE && task.dependents == NONE);
        assert!(newest, "lists of failed {slot}");
    }

    /// The place of a pending task among those that are ready: the greater goes first.
    #[inline]
    pub(super) fn key(&self, slot: u32) -> u64 {
        let task = &self[slot];
        debug_assert!(task.state.is_pending(), "an ended task has no order");
        if task.is_cold() { self.cold(slot).key } else { order_key(0, task.level.get()) }
    }

    /// What few tasks have: a look at it costs nothing for all the others.
    #[inline]
    pub(super) fn cold(&self, slot: u32) -> &Cold {
        if !self[slot].is_cold() {
            return &Cold::NOTHING;
        }
        let (page, place) = in_pages(slot);
        &self.cold[page].as_ref().expect("a cold task has a page")[place]
    }

    /// From here on it is one of the few.
    pub(super) fn cold_mut(&mut self, slot: u32) -> &mut Cold {
        let task = &mut self.table[slot as usize];
        let (page, place) = in_pages(slot);
        let page = self.cold[page].get_or_insert_with(|| Box::new([const { Cold::NOTHING }; PAGE]));
        let cold = &mut page[place];
        if !task.is_cold() {
            *cold = Cold { key: order_key(0, task.level.get()), ..Cold::NOTHING };
            task.level = Small::NONE;
        }
        cold
    }

    /// All slots in use.
    pub(super) fn iter(&self) -> impl Iterator<Item = (u32, &Task)> {
        (0..).zip(&self.table).filter(|(_, task)| task.state != State::Vacant)
    }
}

impl std::ops::Index<u32> for Tasks {
    type Output = Task;
    #[inline]
    fn index(&self, slot: u32) -> &Task {
        &self.table[slot as usize]
    }
}

impl std::ops::IndexMut<u32> for Tasks {
    #[inline]
    fn index_mut(&mut self, slot: u32) -> &mut Task {
        &mut self.table[slot as usize]
    }
}

#[inline]
fn slot_of(id: TaskId) -> u32 {
    u32::try_from(id.slot()).expect("an id is made of two u32")
}

/// How a task ends when the parent `via` has ended without a value.
pub(super) const fn upstream(via: TaskId) -> End {
    End::Upstream { via }
}
