//! The identities that travel: tasks, workers, ranks. Plain values without behaviour.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::num::NonZeroU32;

/// One task of one run. The slot is its index in the controller's tables and is used
/// again when the task is gone; the serial counts tasks from 1 and is what people see.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct TaskId(
    /// The serial above, the slot below: one number, so that an id is written and read as
    /// one.
    u64,
);

impl TaskId {
    /// The task number `serial` at index `slot`.
    #[must_use]
    #[inline]
    pub const fn new(slot: u32, serial: u32) -> Self {
        Self((serial as u64) << 32 | slot as u64)
    }

    /// The id as a number that is not 0.
    #[inline]
    pub(crate) fn to_number(self) -> u64 {
        self.0
    }

    /// What [`to_number`](Self::to_number) gave; nothing if it is 0.
    #[inline]
    pub(crate) fn from_number(number: u64) -> Option<Self> {
        (number != 0).then_some(Self(number))
    }

    /// The id as one number, for a message.
    #[inline]
    pub(crate) fn to_bits(self) -> u64 {
        self.0
    }

    /// What [`to_bits`](Self::to_bits) gave.
    #[inline]
    pub(crate) fn from_bits(bits: u64) -> Self {
        Self(bits)
    }

    /// The index in the controller's tables; none of an id from outside that names no
    /// index.
    #[must_use]
    #[inline]
    pub fn slot(self) -> Option<TaskSlot> {
        Index::from_number(self.0 as u32).map(TaskSlot)
    }

    /// The number that people see, counted from 1 in the order of addition.
    #[must_use]
    #[inline]
    pub const fn serial(self) -> u32 {
        (self.0 >> 32) as u32
    }
}

impl fmt::Display for TaskId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#{}", self.serial())
    }
}

impl fmt::Debug for TaskId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#{}@{}", self.serial(), self.0 as u32)
    }
}

/// An index below 2^32 - 1. It is kept as one more: so 0 is free for `None`, and an
/// `Option<Index>` takes no more room.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Index(NonZeroU32);

impl Index {
    /// The index as it is.
    #[inline]
    pub(crate) const fn new(index: u32) -> Self {
        Self::from_number(index).expect("an index is below 2^32 - 1")
    }

    /// The same; none for the one number that is no index.
    #[inline]
    const fn from_number(index: u32) -> Option<Self> {
        // Not `checked_add`: taken back, this leaves nothing to be done where both meet.
        match NonZeroU32::new(index.wrapping_add(1)) {
            Some(packed) => Some(Self(packed)),
            None => None,
        }
    }

    /// The index, to look into a table with.
    #[inline]
    pub(crate) const fn get(self) -> usize {
        self.number() as usize
    }

    #[inline]
    const fn number(self) -> u32 {
        self.0.get().wrapping_sub(1)
    }
}

impl fmt::Debug for Index {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.get().fmt(f)
    }
}

/// What is known by an index of its own kind: lists are written once for all of them.
pub(crate) trait Indexed: Copy + Eq {
    /// The one with this index.
    fn of(index: Index) -> Self;

    /// Its index.
    fn to_index(self) -> Index;

    /// One or none in 32 bits: none is 0, and the others are one more than their index.
    #[inline]
    fn pack(one: Option<Self>) -> u32 {
        one.map_or(0, |one| one.to_index().0.get())
    }

    /// What [`pack`](Self::pack) was given.
    #[inline]
    fn unpack(packed: u32) -> Option<Self> {
        NonZeroU32::new(packed).map(|packed| Self::of(Index(packed)))
    }
}

/// Makes a type that wraps an [`Index`] one of those that lists can hold.
macro_rules! indexed {
    ($($name:ident)*) => {$(
        impl Indexed for $name {
            #[inline]
            fn of(index: Index) -> Self {
                Self(index)
            }

            #[inline]
            fn to_index(self) -> Index {
                self.0
            }
        }
    )*};
}

indexed!(TaskSlot WorkerId);

/// An index into the controller's tables of tasks, counted from 0.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TaskSlot(Index);

impl TaskSlot {
    /// The slot with this index.
    ///
    /// # Panics
    /// If the index is 2^32 - 1.
    #[must_use]
    #[inline]
    pub const fn new(index: u32) -> Self {
        Self(Index::new(index))
    }

    /// The index, to look into a table with.
    #[must_use]
    #[inline]
    pub const fn index(self) -> usize {
        self.0.get()
    }

    /// The id of the task number `serial` at this index.
    #[must_use]
    #[inline]
    pub const fn task(self, serial: u32) -> TaskId {
        TaskId::new(self.0.number(), serial)
    }
}

impl fmt::Debug for TaskSlot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A worker by its index, counted from 0. The controller has none.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct WorkerId(Index);

impl WorkerId {
    /// The worker with this index.
    ///
    /// # Panics
    /// If the index is 2^32 - 1.
    #[must_use]
    #[inline]
    pub const fn new(index: u32) -> Self {
        Self(Index::new(index))
    }

    /// The index, to look into a table with.
    #[must_use]
    #[inline]
    pub const fn index(self) -> usize {
        self.0.get()
    }
}

impl fmt::Display for WorkerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "worker {}", self.index())
    }
}

impl fmt::Debug for WorkerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "WorkerId({})", self.index())
    }
}

/// One started graph.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct GraphRunId(pub(crate) NonZeroU32);

/// One who is told of ends, among all of the run.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct CollectorId(pub(crate) u64);

/// Where a task comes from. Origins with tasks of equal priority take turns.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Origin {
    /// It was submitted by itself, like all others of this kind.
    Alone,
    /// A graph that was started.
    Graph(GraphRunId),
    /// A batch or a map, by who collects its results first.
    Collected(CollectorId),
}

impl Origin {
    /// The graph.
    #[inline]
    pub(crate) const fn graph_run(self) -> Option<GraphRunId> {
        match self {
            Self::Graph(run) => Some(run),
            Self::Alone | Self::Collected(_) => None,
        }
    }
}

/// An executor of a worker by its index, counted from 0.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Slot(pub(crate) u32);

impl Slot {
    /// The index, to look into a table with.
    pub(crate) const fn index(self) -> usize {
        self.0 as usize
    }
}

/// A rank of the run: the controller's or a worker's number in the communicator.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub struct Rank(pub u32);

impl Rank {
    /// The rank, to look into a table with.
    #[must_use]
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

impl fmt::Display for Rank {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "rank {}", self.0)
    }
}

/// Which message within a group: the operation it belongs to, and its number there.
#[derive(Serialize, Deserialize, Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) struct GroupKey {
    /// The kind of operation, so that two members in different ones notice.
    pub(crate) operation: u8,
    /// Counts the operations of the group; of point-to-point messages, those between the
    /// two members.
    pub(crate) sequence: u64,
    /// Counts the messages between two members within one operation.
    pub(crate) round: u32,
}
