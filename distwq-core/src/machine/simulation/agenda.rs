//! What will happen when: the only clock of a simulated run.

use crate::codec::frame::Frame;
use crate::id::Rank;
use crate::machine::Ns;
use crate::machine::controller;
use std::cmp::Ordering;
use std::collections::BinaryHeap;

/// Something that will happen at its time.
#[derive(Debug)]
pub(super) enum Happening {
    /// A frame comes out of the network.
    Arrives { from: Rank, to: Rank, frame: Frame },
    /// The controller takes a turn.
    ControllerTurn,
    /// A worker takes a turn.
    WorkerTurn(usize),
    /// An executor was woken and looks for what is next.
    Looks { worker: usize, slot: usize },
    /// What an executor computes is done.
    Computed { worker: usize, slot: usize },
    /// What it does for the state of its slot is done.
    Attended { worker: usize, slot: usize },
    /// The user gives up on states that are not made.
    StatesOverdue,
    /// The user asks what the states are made to.
    Finishes,
    /// The user gives up on that.
    FinishOverdue,
    /// The user does something.
    User,
    /// The user drops a handle of this task.
    Drops(usize),
    /// The user goes on with this map.
    Slides(usize),
    /// Threads of the user were woken, and look whether what they wait for is here.
    Woken(Option<controller::Awaited>),
    /// The user cancels all tasks.
    CancelsAll,
    /// The user closes the cluster.
    Closes,
    /// The body of the user's program fails.
    BodyFails,
    /// The controller's process exits.
    Exits,
    /// A worker dies.
    Dies(usize),
    /// The controller is told of that.
    ToldOfLoss(usize),
    /// The next frame that is sent comes with its end torn.
    Tears,
}

#[derive(Debug)]
struct Entry {
    at: Ns,
    /// What was put down first comes first among those of one time.
    sequence: u64,
    happening: Happening,
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Entry {}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Entry {
    /// The earliest is the greatest: the heap gives that first.
    fn cmp(&self, other: &Self) -> Ordering {
        (other.at, other.sequence).cmp(&(self.at, self.sequence))
    }
}

/// All that is still to happen, and the time.
#[derive(Debug)]
pub(super) struct Agenda {
    now: Ns,
    sequence: u64,
    entries: BinaryHeap<Entry>,
}

impl Agenda {
    pub(super) fn new(now: Ns) -> Self {
        Self { now, sequence: 0, entries: BinaryHeap::new() }
    }

    pub(super) fn now(&self) -> Ns {
        self.now
    }

    /// Puts something down for a time that has not passed.
    pub(super) fn at(&mut self, at: Ns, happening: Happening) {
        self.sequence += 1;
        self.entries.push(Entry { at: at.max(self.now), sequence: self.sequence, happening });
    }

    /// Takes out what happens next; it is that time then.
    pub(super) fn next(&mut self) -> Option<Happening> {
        let entry = self.entries.pop()?;
        self.now = entry.at;
        Some(entry.happening)
    }
}
