//! What the members of a group do, step by step.

use crate::id::GroupKey;
use crate::machine::Ns;
use crate::task::group::Operation;
use std::time::Duration;

/// What the members of a group do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Part {
    /// They return.
    Nothing,
    /// They meet: what all have is combined along a tree, and the sum goes back down.
    Tree,
    /// The same, but the first member computes for long before.
    Late,
    /// Each waits for the next one.
    Circle,
    /// The first returns at once, and all others wait for it.
    FirstLeaves,
    /// All wait for the last, which fails after some time.
    LastFails,
}

/// How long the members of [`Part::Late`] wait for the first, and those of
/// [`Part::LastFails`] for the last.
const LATE_NS: Ns = 2_000_000_000;

/// One thing that a member does.
#[derive(Clone, Copy, Debug)]
pub(super) enum Step {
    Compute(Ns),
    Send { to: usize, key: GroupKey },
    Receive { from: usize, key: GroupKey },
    Fail,
}

impl Part {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Nothing => "return at once",
            Self::Tree => "meet along a tree",
            Self::Late => "wait 2 s for one, then meet",
            Self::Circle => "wait for each other",
            Self::FirstLeaves => "wait for one that has left",
            Self::LastFails => "wait 2 s for one that fails",
        }
    }

    /// For how long a member computes.
    pub(super) fn computing(self) -> Duration {
        Duration::from_nanos(if matches!(self, Self::Late | Self::LastFails) { LATE_NS } else { 0 })
    }

    /// Whether the group must give a value.
    pub(super) fn succeeds(self) -> bool {
        matches!(self, Self::Nothing | Self::Tree | Self::Late)
    }

    /// The steps of one of so many members.
    pub(super) fn steps(self, member: usize, members: usize) -> Vec<Step> {
        let waits = |from: usize| Step::Receive { from, key: key(0) };
        match self {
            Self::Nothing => Vec::new(),
            Self::Tree => tree(member, members),
            Self::Late if member == 0 => [vec![Step::Compute(LATE_NS)], tree(member, members)].concat(),
            Self::Late => tree(member, members),
            Self::Circle => vec![waits((member + 1) % members)],
            Self::FirstLeaves if member == 0 => Vec::new(),
            Self::FirstLeaves => vec![waits(0)],
            Self::LastFails if member + 1 == members => vec![Step::Compute(LATE_NS), Step::Fail],
            Self::LastFails => vec![waits(members - 1)],
        }
    }
}

fn key(round: u32) -> GroupKey {
    GroupKey { operation: Operation::AllReduce as u8, sequence: 0, round }
}

/// As `Group::all_reduce` does it where members are not a power of two.
fn tree(member: usize, members: usize) -> Vec<Step> {
    const UP: u32 = 0;
    const DOWN: u32 = 1;
    let mut steps = Vec::new();
    let mut step = 1;
    while step < members && member & step == 0 {
        if member + step < members {
            steps.push(Step::Receive { from: member + step, key: key(UP) });
        }
        step *= 2;
    }
    if member > 0 {
        steps.push(Step::Send { to: member - step, key: key(UP) });
        steps.push(Step::Receive { from: member - step, key: key(DOWN) });
    }
    while step > 1 {
        step /= 2;
        if member + step < members {
            steps.push(Step::Send { to: member + step, key: key(DOWN) });
        }
    }
    steps
}
