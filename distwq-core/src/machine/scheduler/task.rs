//! One task, in half a cache line.
//!
//! What belongs to one stage of its life only shares a field with another stage: the
//! state says which of the two is there, and the methods give it by its own type.

use super::Made;
use super::lanes::Lane;
use crate::id::{Indexed, TaskSlot, WorkerId};

/// A value that the controller has is sent to whoever needs it, wherever that is; from
/// this size on it pays to use a copy that a worker has already.
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
    /// Has failed before and wants a worker that has not tried it; in the queue of
    /// retries.
    Retry,
    /// May start on one worker only; in that worker's own queue.
    Pinned,
    /// A collective task that may start; in the queue of wide tasks.
    Wide,
    /// A collective task that needs more workers than have joined so far; in a queue of
    /// its own.
    TooWide,
    /// The collective task for which workers are kept free.
    Reserving,
    /// Waits for a time, or for an attempt that was given up to return from the only
    /// worker that it may run on; in no list.
    Paused,
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

/// A number of 24 bits, in three bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct U24([u8; 3]);

impl U24 {
    const MAX: u32 = (1 << 24) - 1;

    #[inline]
    const fn new(number: u32) -> Self {
        debug_assert!(number <= Self::MAX, "a number that fits");
        let [a, b, c, _] = number.to_le_bytes();
        Self([a, b, c])
    }

    #[inline]
    const fn get(self) -> u32 {
        let Self([a, b, c]) = self;
        u32::from_le_bytes([a, b, c, 0])
    }
}

/// The index of a worker is smaller than this: so that packed it fits into 24 bits.
pub(super) const WORKERS_MAX: usize = U24::MAX as usize;

/// A level that is smaller than this fits into 16 bits, one more than it is.
const LEVELS_MAX: u32 = u16::MAX as u32;

/// What is known of every task.
#[derive(Debug)]
#[repr(align(32))]
pub(super) struct Task {
    pub(super) serial: u32,
    /// Packed, the newest of the tasks whose outputs are arguments. Done: the lower half
    /// of the size of the value.
    inputs: u32,
    /// Packed, the newest of the tasks that wait for this one. Done: the upper half of
    /// that size.
    dependents: u32,
    /// Arguments of pending tasks that are this value, and [`HANDLE`].
    uses: u32,
    /// In a list of tasks: packed, who is before it there; no matter what at the head. In
    /// none: links from dependencies that have not ended.
    before: u32,
    /// In a list of tasks: who is next.
    pub(super) next: Option<TaskSlot>,
    /// Packed. In flight: with whom. Done: where it ran, none for a value that was given.
    worker: U24,
    pub(super) state: State,
    /// One more than the level, which with a priority of 0 is the order key; 0 if the key
    /// lies in [`Cold`](super::tasks::Cold) with all else.
    level: u16,
    /// The lane above, the kind below.
    lane_and_kind: u16,
}

/// Somebody may still ask for the value.
const HANDLE: u32 = 1 << 31;

/// What a task is while it waits, and where its value is afterwards.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u16)]
enum Kind {
    /// Runs on one worker, any one.
    Narrow,
    /// Runs on one worker, best near its inputs: an argument lies on workers or is large.
    NearInputs,
    /// Needs a group.
    Collective,
    /// Done; the controller has the value.
    Home,
    /// Done; the value stayed on `worker` and goes from there.
    Resident,
}

/// A kind fits into what a lane leaves.
const KIND_BITS: u32 = u16::BITS - Lane::BITS;

const fn pack(lane: Lane, kind: Kind) -> u16 {
    lane.bits() << KIND_BITS | kind as u16
}

impl Task {
    pub(super) const VACANT: Self = Self {
        serial: 0,
        inputs: 0,
        dependents: 0,
        uses: 0,
        before: 0,
        next: None,
        worker: U24::new(0),
        state: State::Vacant,
        level: 1,
        lane_and_kind: pack(Lane::ALONE, Kind::Narrow),
    };

    /// A pending one that nothing has been done with, and that somebody holds a handle
    /// of.
    #[inline]
    pub(super) fn new(serial: u32, lane: Lane, is_collective: bool) -> Self {
        let kind = if is_collective { Kind::Collective } else { Kind::Narrow };
        Self { serial, uses: HANDLE, state: State::Blocked, lane_and_kind: pack(lane, kind), ..Self::VACANT }
    }

    /// Of whose tasks it is one.
    #[inline]
    pub(super) fn lane(&self) -> Lane {
        Lane::new(self.lane_and_kind >> KIND_BITS)
    }

    #[inline]
    fn is(&self, kind: Kind) -> bool {
        self.lane_and_kind & ((1 << KIND_BITS) - 1) == kind as u16
    }

    #[inline]
    fn set_kind(&mut self, kind: Kind) {
        self.lane_and_kind = pack(self.lane(), kind);
    }

    /// The newest of the tasks whose outputs are arguments. It has not ended with a
    /// value.
    #[inline]
    pub(super) fn newest_input(&self) -> Option<TaskSlot> {
        debug_assert_ne!(self.state, State::Done, "the size of the value is there");
        TaskSlot::unpack(self.inputs)
    }

    /// Sets the newest; which one it was before.
    #[inline]
    pub(super) fn replace_newest_input(&mut self, input: TaskSlot) -> Option<TaskSlot> {
        debug_assert!(self.state.is_pending(), "what has ended has no lists");
        TaskSlot::unpack(std::mem::replace(&mut self.inputs, TaskSlot::pack(Some(input))))
    }

    /// The newest of the tasks that wait for this one, which has not ended with a value.
    #[inline]
    pub(super) fn newest_dependent(&self) -> Option<TaskSlot> {
        debug_assert_ne!(self.state, State::Done, "the size of the value is there");
        TaskSlot::unpack(self.dependents)
    }

    /// Sets the newest; which one it was before.
    #[inline]
    pub(super) fn replace_newest_dependent(&mut self, dependent: TaskSlot) -> Option<TaskSlot> {
        debug_assert!(self.state.is_pending(), "what has ended has no lists");
        TaskSlot::unpack(std::mem::replace(&mut self.dependents, TaskSlot::pack(Some(dependent))))
    }

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
    /// One that has failed stays while links of pending dependencies lead to it: its slot
    /// must not be another's by the time these end.
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

    /// In a list of tasks: who is before it there.
    #[inline]
    pub(super) fn before(&self) -> Option<TaskSlot> {
        debug_assert!(self.state.is_listed(), "out of a list it counts who blocks it");
        TaskSlot::unpack(self.before)
    }

    /// It goes into a list, behind this one, or that one goes.
    #[inline]
    pub(super) fn set_before(&mut self, before: Option<TaskSlot>) {
        self.before = TaskSlot::pack(before);
    }

    /// It goes out of a list, and nothing blocks it. Who was before it; no matter what if
    /// it was the head.
    #[inline]
    pub(super) fn take_before(&mut self) -> Option<TaskSlot> {
        TaskSlot::unpack(std::mem::take(&mut self.before))
    }

    #[inline]
    pub(super) fn worker(&self) -> Option<WorkerId> {
        WorkerId::unpack(self.worker.get())
    }

    #[inline]
    pub(super) fn set_worker(&mut self, worker: Option<WorkerId>) {
        self.worker = U24::new(WorkerId::pack(worker));
    }

    pub(super) fn is_resident(&self) -> bool {
        self.is(Kind::Resident)
    }

    pub(super) fn is_collective(&self) -> bool {
        self.is(Kind::Collective)
    }

    /// It matters where it runs: an argument lies on workers or is large.
    #[inline]
    pub(super) fn place_matters(&self) -> bool {
        self.is(Kind::NearInputs)
    }

    /// It gets an argument whose place matters; a group is chosen without regard to that.
    pub(super) fn note_place_matters(&mut self) {
        if self.is(Kind::Narrow) {
            self.set_kind(Kind::NearInputs);
        }
    }

    pub(super) fn bytes(&self) -> u64 {
        debug_assert_eq!(self.state, State::Done, "only an ended task has a value");
        u64::from(self.dependents) << 32 | u64::from(self.inputs)
    }

    /// The value lies on a worker, or is so large that tasks should go where a copy of it
    /// is.
    #[inline]
    pub(super) fn attracts_consumers(&self) -> bool {
        let bytes = self.bytes();
        (self.is_resident() && bytes > 0) || bytes >= LARGE_BYTES
    }

    /// Turns it into a value made by `worker`; its lists are another's now.
    #[inline]
    pub(super) fn become_value(&mut self, worker: Option<WorkerId>, Made { bytes, resident }: Made) {
        self.state = State::Done;
        (self.inputs, self.dependents) = (bytes as u32, (bytes >> 32) as u32);
        self.set_worker(worker);
        self.set_kind(if resident { Kind::Resident } else { Kind::Home });
    }

    /// Turns it into one that has ended without a value; its lists are another's now.
    pub(super) fn become_failure(&mut self) {
        (self.inputs, self.dependents, self.state) = (0, 0, State::Failed);
    }

    /// The value that stayed where it was made is at the controller as well.
    pub(super) fn come_home(&mut self) {
        self.set_kind(Kind::Home);
    }

    /// Makes it one that will end without a value, whose list is not kept any more.
    pub(super) fn doom(&mut self) {
        self.before = self.blockers();
        self.state = State::Doomed;
    }

    /// The order key, if its priority is 0 and the level is small. Else that lies apart,
    /// in [`Cold`](super::tasks::Cold), with all that it has beyond others.
    #[inline]
    pub(super) fn key(&self) -> Option<u64> {
        Some(order_key(0, u32::from(self.level).checked_sub(1)?))
    }

    /// Keeps the level here, where its key is made of that; false if it is too great.
    #[inline]
    pub(super) fn keep_level(&mut self, level: u32) -> bool {
        let fits = level < LEVELS_MAX;
        if fits {
            self.level = level as u16 + 1;
        }
        fits
    }

    /// From here on the order key lies apart.
    pub(super) fn give_away_key(&mut self) {
        self.level = 0;
    }
}

/// The key that sorts ready tasks: priority, then the length of the path that hangs on
/// it.
pub(super) const fn order_key(priority: i32, level: u32) -> u64 {
    // Flipping the sign bit makes the order of the unsigned numbers that of the signed
    // ones.
    let priority = priority.cast_unsigned() ^ (1 << 31);
    ((priority as u64) << 32) | level as u64
}

/// The part of an order key that is the priority; comparable with another's.
pub(super) const fn priority_of(key: u64) -> u64 {
    key >> 32
}
