//! Collective tasks: what their members are told, and how they end.

use super::Controller;
use super::dispatch::Start;
use super::groups::{Part, forget_output};
use super::input::Encoded;
use super::outbox::Outbox;
use super::reports::made;
use super::table::{Ended, RanOn};
use crate::function::remote::Failure;
use crate::id::{TaskId, WorkerId};
use crate::machine::Notice;
use crate::machine::scheduler::{Event, GroupFailure};
use crate::wire::attempt::{Given, GroupOfRun};
use crate::wire::members::Members;

impl Controller {
    /// The scheduler has chosen the members of a collective task: they get ready.
    #[inline(never)]
    pub(super) fn start_group(&mut self, task: TaskId, members: Box<[WorkerId]>, attempt: u32, out: &mut Outbox) {
        let epoch = self.groups.begin(task, members.clone());
        out.notices.note(|| {
            let (task, members) = (self.named(task), self.workers.ranks(&members).collect());
            Notice::GroupBegan { epoch, task, attempt, members }
        });
        let encoded = Members::of(self.workers.ranks(&members)).encoded();
        let group = Some(GroupOfRun { epoch, members: &encoded });
        for worker in &members {
            self.workers.given(*worker);
            self.run(Start { task, worker: *worker, attempt, group }, out);
        }
        if let Some(entry) = self.table.get_mut(task) {
            entry.starts(attempt, RanOn::Group(members));
        }
        if let Some(limit_ns) = self.limits.run_limit_ns(task) {
            self.look_later(task, limit_ns, false);
        }
    }

    /// A member's part of a collective task has ended. The first failure makes the other
    /// members leave; the task ends when all have left.
    pub(super) fn member_done(&mut self, task: TaskId, worker: WorkerId, part: Part, out: &mut Outbox) {
        if let Some(replies) = self.groups.left(self.now, task, worker, part) {
            if let Some((_, failure)) = replies.failed {
                let (epoch, rank) = (replies.epoch, self.workers.rank(worker));
                out.notices.note(|| Notice::GroupFailed { epoch, rank, error: failure.to_string() });
            }
            replies.tell(out);
        }
        let Some(mut left) = self.groups.take_left(task) else { return };
        out.notices.note(|| {
            let error = left.failure.as_ref().map(|(failure, _)| failure.to_string());
            Notice::GroupLeft { epoch: left.epoch, error }
        });
        if let Some(members) = self.groups.used_communicator(&left) {
            self.free_communicator(&members, out);
        }
        let times = (left.started_ns, left.ended_ns);
        match (left.failure.take(), left.output.take()) {
            (None, Some(output)) => {
                let given = output.map(Encoded::Many);
                let made = made(&given);
                let first = left.members[0];
                self.ended(task, Ended::Value { given, worker: first, times }, out);
                self.tell_scheduler(Event::GroupFinished { task, result: Ok(made) }, out);
            }
            (failure, output) => {
                if let Some(Given::Resident { .. }) = output {
                    forget_output(left.members[0], task, out);
                }
                let (failure, worker) = failure.expect("a member that gives nothing has failed");
                let retry = self.retry_after(task, &failure, worker);
                let lost = matches!(failure, Failure::Lost(_)).then_some(worker);
                if let Some(entry) = self.table.get_mut(task) {
                    (entry.started_ns, entry.finished_ns) = times;
                }
                self.note_to_scheduler(Event::GroupFinished { task, result: Err(GroupFailure { retry, lost }) });
                self.attempt_failed(task, worker, &failure, out);
            }
        }
    }
}
