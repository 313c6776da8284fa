//! What a worker does as a member of groups.

use super::inputs::Purpose;
use super::membership::Membership;
use super::outbox::Outbox;
use super::queue::ReadyTask;
use super::values::Missing;
use super::{Attempt, Awaited, Phase, Task, Worker};
use crate::codec::{CodecError, Payload};
use crate::function::remote::Failure;
use crate::id::GroupKey;
use crate::task::group::GroupError;
use crate::wire::members::Members;
use crate::wire::message::{ToController, ToPeer};

impl Worker {
    /// The index of this member in the group of a task that runs here, and how many
    /// members it has.
    pub(crate) fn index_in_group(&mut self, epoch: u64) -> (usize, usize) {
        let membership = self.groups.of_running(epoch);
        (membership.index, membership.members.len())
    }

    /// Sends a message to another member of a group.
    ///
    /// # Errors
    /// If a member has failed.
    pub(crate) fn send_in_group(
        &mut self,
        epoch: u64,
        to: usize,
        key: GroupKey,
        payload: &Payload,
        out: &mut Outbox,
    ) -> Result<(), GroupError> {
        let membership = self.groups.of_running(epoch);
        let rank = membership.sending(to)?;
        if to == membership.index {
            membership.arrived(to, key, payload.clone());
            out.happened.note(Awaited::Group(epoch));
        } else {
            out.say(rank, Some(payload), |bytes| ToPeer::Group {
                epoch,
                key,
                bytes: bytes.expect("it is given as it travels"),
            });
        }
        Ok(())
    }

    /// A message of another member of a group, if it is here or cannot come any more.
    /// Otherwise the member waits for it, which the machine has to be
    /// [told](Input::Awaits).
    pub(crate) fn take_in_group(
        &mut self,
        epoch: u64,
        from: usize,
        key: GroupKey,
    ) -> Option<Result<Payload, GroupError>> {
        let membership = self.groups.of_running(epoch);
        if self.phase == Phase::Failed {
            membership.end_wait();
            return Some(Err(GroupError::Closed("an operation of the group")));
        }
        membership.take(from, key)
    }

    /// Whether the machine has been [told](Input::Awaits) that the member waits for this.
    pub(crate) fn is_awaiting(&mut self, epoch: u64, from: usize, key: GroupKey) -> bool {
        self.groups.of_running(epoch).is_awaiting(from, key)
    }

    /// This member is about to use the raw communicator of its group; gives all members.
    ///
    /// # Errors
    /// If a member has failed.
    #[cfg_attr(not(feature = "mpi"), allow(dead_code, reason = "only MPI has raw communicators"))]
    pub(crate) fn enter_raw(&mut self, epoch: u64) -> Result<&Members, GroupError> {
        let membership = self.groups.of_running(epoch);
        if let Some(error) = membership.failure() {
            return Err(error.clone());
        }
        membership.raw = true;
        Ok(&membership.members)
    }

    /// This member's part of a group task has ended. The controller hears of it, and
    /// tells those whom it concerns. Says whether it asked for the raw communicator.
    pub(super) fn left_group(&mut self, epoch: u64, attempt: &mut Attempt) -> bool {
        let Some(membership) = self.groups.depart(epoch) else { return false };
        let Attempt { output, failure, .. } = attempt;
        if let (Some(failure), Some(cause)) = (failure.as_deref_mut(), membership.failure()) {
            // What this member failed of after another one did only follows from that.
            *failure = Failure::Group(cause.to_string());
        }
        if membership.index > 0 {
            // The output of a group is that of its first member.
            output.clear();
        }
        membership.raw
    }

    pub(super) fn prepare(
        &mut self,
        epoch: u64,
        members: Members,
        task: Task,
        missing: Vec<Missing>,
        out: &mut Outbox,
    ) -> Result<(), CodecError> {
        let here = self.here;
        let index = members.index_of(here).ok_or_else(|| CodecError(format!("{here} is no member of its group")))?;
        if self.groups.has_ended_early(epoch) {
            self.say_missing(missing.iter().map(|missing| missing.value), out);
            self.gave_up(task, Failure::Group("the group did not begin".to_owned()), out);
        } else {
            self.groups.insert(epoch, Membership::new(task.id, members, index));
            self.gather(task, Purpose::Member(epoch), missing, out);
        }
        Ok(())
    }

    pub(super) fn enter(&mut self, epoch: u64) {
        if let Some(membership) = self.groups.get_mut(epoch)
            && let Some(task) = membership.task.take()
        {
            membership.entered = true;
            self.ready.push_front(ReadyTask { task, epoch: Some(epoch) });
        }
    }

    /// A member of the group has failed: it will not begin, or no operation of it can
    /// succeed any more. That this rank answers shows that it is not stuck.
    pub(super) fn leave(&mut self, epoch: u64, (member, failure): (usize, &str), out: &mut Outbox) {
        out.tell(&ToController::Heard { epoch });
        let Some(membership) = self.groups.get_mut(epoch) else {
            return self.groups.end_early(epoch);
        };
        if membership.entered {
            membership.member_failed(member, failure);
            out.happened.note(Awaited::Group(epoch));
            return;
        }
        let task = membership.task.take();
        let task = task.or_else(|| self.values.take_back(membership.id));
        self.groups.remove(epoch);
        if let Some(task) = task {
            self.gave_up(task, Failure::Group("the group did not begin".to_owned()), out);
        }
    }
}
