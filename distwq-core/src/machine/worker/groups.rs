//! The groups that a worker is a member of.

use super::membership::Membership;
use crate::id::Rank;
use crate::machine::Ns;
use crate::wire::message::WaitReport;
use rustc_hash::{FxHashMap, FxHashSet};

/// How many later groups begin before one whose `Leave` has come alone is forgotten.
const EPOCHS_REMEMBERED: u64 = 1_000;

/// Groups by their epochs.
#[derive(Default, Debug)]
pub(super) struct Groups {
    memberships: FxHashMap<u64, Membership>,
    /// The group that this rank has left last: others may still be inside, until the next one begins here.
    departed: Option<(u64, Box<Membership>)>,
    /// Groups that ended before their `Prepare` came.
    ended_early: FxHashSet<u64>,
}

impl Groups {
    pub(super) fn get_mut(&mut self, epoch: u64) -> Option<&mut Membership> {
        self.memberships.get_mut(&epoch)
    }

    /// The group of a task that runs here.
    pub(super) fn of_running(&mut self, epoch: u64) -> &mut Membership {
        let membership = self.memberships.get_mut(&epoch);
        membership.expect("a task that runs in a group has it until it ends")
    }

    /// A group and the place of a rank in it. A message of one that this rank has left already is late and means nothing.
    pub(super) fn member(&mut self, epoch: u64, rank: Rank) -> Option<(&mut Membership, usize)> {
        let membership = self.memberships.get_mut(&epoch)?;
        let member = membership.members.index_of(rank)?;
        Some((membership, member))
    }

    /// A group that this rank has just left.
    pub(super) fn departed(&mut self, epoch: u64) -> Option<&mut Membership> {
        let (left, membership) = self.departed.as_mut()?;
        (*left == epoch).then_some(&mut **membership)
    }

    /// One that this rank is in or has just left.
    pub(super) fn of_answer(&mut self, epoch: u64) -> Option<&mut Membership> {
        if self.memberships.contains_key(&epoch) {
            return self.memberships.get_mut(&epoch);
        }
        self.departed(epoch)
    }

    /// A group begins. All have left the one before it: its members were not free until then.
    pub(super) fn insert(&mut self, epoch: u64, membership: Membership) {
        self.departed = None;
        self.memberships.insert(epoch, membership);
    }

    /// This rank has left a group.
    pub(super) fn depart(&mut self, epoch: u64, mut membership: Membership) {
        membership.leaves();
        self.departed = Some((epoch, Box::new(membership)));
    }

    pub(super) fn remove(&mut self, epoch: u64) -> Option<Membership> {
        self.memberships.remove(&epoch)
    }

    /// A group that is not here will not begin: either its `Prepare` is still to come, or this rank has left it. Such old
    /// ones are forgotten in time.
    pub(super) fn end_early(&mut self, epoch: u64) {
        if self.departed(epoch).is_some() {
            return;
        }
        self.ended_early.retain(|other| other + EPOCHS_REMEMBERED > epoch);
        self.ended_early.insert(epoch);
    }

    /// Whether a group whose `Prepare` comes now has ended before. It is asked once.
    pub(super) fn has_ended_early(&mut self, epoch: u64) -> bool {
        self.ended_early.remove(&epoch)
    }

    /// How many there are.
    #[cfg(any(test, feature = "simulation"))]
    pub(super) fn len(&self) -> usize {
        self.memberships.len()
    }

    /// When a member is next to say that it waits for long.
    pub(super) fn next_deadline(&self) -> Option<Ns> {
        self.memberships.values().filter_map(Membership::next_deadline).min()
    }

    /// What members have to say that wait for long by now.
    pub(super) fn overdue(&mut self, now: Ns) -> impl Iterator<Item = WaitReport> {
        self.memberships.iter_mut().filter_map(move |(epoch, membership)| membership.overdue_report(now, *epoch))
    }
}
