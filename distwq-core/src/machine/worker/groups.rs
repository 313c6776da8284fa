//! The group that a worker is a member of: one at a time, as the next one begins when all
//! have left it.

use super::membership::Membership;
use crate::id::{Rank, TaskId};
use crate::machine::Ns;
use crate::wire::message::WaitReport;

/// Where a worker is a member, and what is left of where it was.
#[derive(Default, Debug)]
pub(super) struct Groups {
    /// The epoch of the group, and this member's side of it.
    current: Option<(u64, Box<Membership>)>,
    /// The group that this rank has left last: others may still be inside, until the next
    /// one begins here.
    departed: Option<(u64, Box<Membership>)>,
    /// The last group whose `Leave` has come while it was not here: its `Run` may still
    /// come.
    ended_early: Option<u64>,
}

impl Groups {
    pub(super) fn get_mut(&mut self, epoch: u64) -> Option<&mut Membership> {
        of_epoch(&mut self.current, epoch)
    }

    /// The group of a task that runs here.
    pub(super) fn of_running(&mut self, epoch: u64) -> &mut Membership {
        self.get_mut(epoch).expect("a task that runs in a group has it until it ends")
    }

    /// A group and which member of it a rank is. A message of one that this rank has left
    /// already is late and means nothing.
    pub(super) fn member(&mut self, epoch: u64, rank: Rank) -> Option<(&mut Membership, usize)> {
        let membership = self.get_mut(epoch)?;
        let member = membership.members.index_of(rank)?;
        Some((membership, member))
    }

    /// A group that this rank has just left.
    pub(super) fn departed(&mut self, epoch: u64) -> Option<&mut Membership> {
        of_epoch(&mut self.departed, epoch)
    }

    /// One that this rank is in or has just left.
    pub(super) fn of_answer(&mut self, epoch: u64) -> Option<&mut Membership> {
        of_epoch(&mut self.current, epoch).or_else(|| of_epoch(&mut self.departed, epoch))
    }

    /// A group begins. All have left the one before it: its members were not free until
    /// then.
    pub(super) fn insert(&mut self, epoch: u64, membership: Membership) {
        debug_assert!(self.current.is_none(), "a rank is in one group at a time");
        self.departed = None;
        self.current = Some((epoch, Box::new(membership)));
    }

    /// This rank has left its group; gives that.
    pub(super) fn depart(&mut self, epoch: u64) -> Option<&mut Membership> {
        let (epoch, mut membership) = self.current.take_if(|(current, _)| *current == epoch)?;
        membership.leaves();
        Some(&mut self.departed.insert((epoch, membership)).1)
    }

    /// The group will not begin.
    pub(super) fn remove(&mut self, epoch: u64) {
        self.current.take_if(|(current, _)| *current == epoch);
    }

    /// A group that is not here will not begin: either its `Run` is still to come, or
    /// this rank has left it.
    pub(super) fn end_early(&mut self, epoch: u64) {
        if self.departed(epoch).is_none() {
            self.ended_early = self.ended_early.max(Some(epoch));
        }
    }

    /// Whether a group whose `Run` comes now has ended before. It is asked once.
    pub(super) fn has_ended_early(&mut self, epoch: u64) -> bool {
        self.ended_early.take_if(|ended| *ended == epoch).is_some()
    }

    /// A task is cancelled. False if it is not that of the group that is here.
    pub(super) fn cancel(&mut self, task: TaskId) -> bool {
        let Some((_, membership)) = self.current.as_mut().filter(|(_, membership)| membership.id == task) else {
            return false;
        };
        membership.cancelled = true;
        true
    }

    /// How many there are.
    #[cfg(any(test, feature = "simulation"))]
    pub(super) fn len(&self) -> usize {
        usize::from(self.current.is_some())
    }

    /// When the member is next to say that it waits for long.
    pub(super) fn next_deadline(&self) -> Option<Ns> {
        self.current.as_ref().and_then(|(_, membership)| membership.next_deadline())
    }

    /// What the member has to say that waits for long by now.
    pub(super) fn overdue(&mut self, now: Ns) -> Option<WaitReport> {
        let (epoch, membership) = self.current.as_mut()?;
        membership.overdue_report(now, *epoch)
    }
}

/// The membership, if it is that of this epoch.
fn of_epoch(known: &mut Option<(u64, Box<Membership>)>, epoch: u64) -> Option<&mut Membership> {
    known.as_mut().filter(|(known, _)| *known == epoch).map(|(_, membership)| &mut **membership)
}
