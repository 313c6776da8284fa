//! What workers say: read from their frames, and told to the scheduler.

use super::Controller;
use super::ends::Cause;
use super::groups::Part;
use super::input::{Awaited, Encoded};
use super::outbox::{Halt, Outbox};
use super::table::{Ended, Entry, HomeCopy, Output};
use super::workers::unknown;
use crate::codec::frame::{Frame, Messages};
use crate::codec::{CodecError, Payload};
use crate::function::remote::Failure;
use crate::id::{Rank, TaskId, WorkerId};
use crate::machine::scheduler::{Event, Made};
use crate::machine::{Notice, Ns};
use crate::wire::attempt::{Done, DoneTail, Given};
use crate::wire::chunk::WithoutValue;
use crate::wire::message::{ToController, ToPeer, ToWorker};
use crate::wire::report::Report;

impl Controller {
    pub(super) fn receive(&mut self, from: Rank, frame: &Frame, out: &mut Outbox) {
        let pending = self.pending();
        let read = match self.workers.of_rank(from) {
            Some(worker) => self.read(worker, frame, out),
            None if self.workers.was_lost(from) => Ok(()),
            None => Err(CodecError("it is no worker".to_owned())),
        };
        if let Err(error) = read {
            out.halt(Halt::Unreadable { from, error });
        }
        self.note_drained(pending, out);
    }

    fn read(&mut self, worker: WorkerId, frame: &Frame, out: &mut Outbox) -> Result<(), CodecError> {
        let mut messages = Messages::of(frame);
        let mut several = false;
        loop {
            while let Some(done) = messages.next_fixed(Done::read) {
                self.hold_unless_last(&messages, &mut several);
                self.done(worker, frame, &done, out)?;
            }
            let Some(message) = messages.next()? else { break };
            self.hold_unless_last(&messages, &mut several);
            self.take(worker, frame, message, out)?;
        }
        if several {
            self.note_to_scheduler(Event::Resume);
        }
        self.carry_out(out);
        Ok(())
    }

    /// What several messages set free is handed out together.
    #[inline]
    fn hold_unless_last(&mut self, messages: &Messages<'_>, several: &mut bool) {
        if !*several && !messages.is_empty() {
            *several = true;
            self.note_to_scheduler(Event::Hold);
        }
    }

    fn take(
        &mut self,
        worker: WorkerId,
        frame: &Frame,
        message: ToController<'_>,
        out: &mut Outbox,
    ) -> Result<(), CodecError> {
        match message {
            ToController::Returned { mut tasks } => {
                self.workers.returned(worker, tasks.len())?;
                tasks.retain(|task| !self.came_back(worker, *task, (false, false), out));
                let rank = self.workers.rank(worker);
                out.notices.note(|| Notice::Returned { rank, count: tasks.len() });
                self.report_to_scheduler(&tasks, Event::Returned { worker, tasks: &tasks })?;
                self.carry_out(out);
            }
            ToController::NotBegun { tasks } => self.not_begun(worker, tasks, out)?,
            ToController::Overran { task, started_ns, failure } => {
                self.overran(worker, task, (started_ns, failure), out)?;
            }
            ToController::Ready { epoch } => {
                if let Some(members) = self.groups.ready(epoch, worker) {
                    out.notices.note(|| Notice::GroupEntered { epoch });
                    members.iter().for_each(|member| out.post(*member, &ToWorker::Enter { epoch }));
                }
            }
            ToController::Heard { epoch } => self.groups.heard(epoch, worker),
            ToController::Waits(report) => {
                if let Some(replies) = self.groups.waits(worker, &report) {
                    replies.tell(out);
                }
            }
            ToController::Report(report) => self.report_came(worker, report, out)?,
            ToController::Lines { lines, dropped } => {
                let state = self.workers.get(worker);
                lines.into_iter().for_each(|line| out.notices.tell_line(state.rank, &state.host, line));
                out.notices.lines_dropped(state.rank, dropped);
            }
            ToController::StatesMade { failure } => self.states_made(worker, failure, out),
            ToController::Finals { values } => self.finals_came(worker, frame, values, out)?,
            ToController::Stopped { failure } => self.worker_stopped(worker, failure),
            ToController::Peer(ToPeer::Fetch { value }) => {
                let payload = self.table.get(value).and_then(Entry::payload_here);
                out.value(worker, value, payload);
            }
            ToController::Peer(ToPeer::Value { value, bytes }) => {
                let payload = bytes.map(|blob| frame.payload(blob)).transpose()?;
                self.fetched(value, worker, payload, out)?;
            }
            ToController::Missing { values } => {
                values.into_iter().for_each(|value| self.missing(value, worker, out));
            }
            ToController::Peer(_) | ToController::Hello(_) => {
                return Err(CodecError("it does not belong here".to_owned()));
            }
        }
        Ok(())
    }

    /// A worker has said what it holds and runs, and what its tasks took.
    ///
    /// # Errors
    /// If it names a function that there is not.
    fn report_came(&mut self, worker: WorkerId, report: Report, out: &mut Outbox) -> Result<(), CodecError> {
        let longest = report.longest.iter().map(|long| long.function);
        let mut functions = report.runs.iter().map(|(function, _)| *function).chain(longest);
        if let Some(unknown) = functions.find(|function| function.0 as usize >= self.functions.count()) {
            return Err(CodecError(format!("it tells of function number {}, which there is not", unknown.0)));
        }
        if self.workers.reported(worker, report) {
            self.reported(out);
        }
        Ok(())
    }

    /// All workers have said what they hold and run.
    pub(super) fn reported(&mut self, out: &mut Outbox) {
        out.happened.note(Awaited::Reports);
        self.report_what_is_left(out);
    }

    /// Tells what is left to end, if that is due and the workers have answered, or had
    /// the time to.
    pub(super) fn report_what_is_left(&mut self, out: &mut Outbox) {
        let have_answered = self.workers.has_reports();
        if let Some(draining) = &mut self.draining
            && draining.ends_report(self.now, have_answered)
            && self.scheduler.pending() > 0
        {
            let begun = draining.begun;
            out.notices.tell(Notice::Left { tasks: self.describe_left(begun) });
        }
    }

    /// An attempt has ended, or a member's part of one. Most have given a few bytes.
    #[inline(always)]
    fn done(&mut self, worker: WorkerId, frame: &Frame, done: &Done<'_>, out: &mut Outbox) -> Result<(), CodecError> {
        self.workers.answered(worker)?;
        match done.tail()? {
            None if !self.groups.contains(done.task()) && !self.limits.has_given_up() => {
                self.given(worker, done, Given::Here(Encoded::Few(done.bytes)), out)
            }
            tail => self.done_with_tail(worker, frame, done, tail, out),
        }
    }

    /// The same for one that has a tail, is a member's, or may have been given up.
    #[inline(never)]
    fn done_with_tail(
        &mut self,
        worker: WorkerId,
        frame: &Frame,
        done: &Done<'_>,
        tail: Option<DoneTail<'_>>,
        out: &mut Outbox,
    ) -> Result<(), CodecError> {
        let task = done.task();
        let (raw, without_value, outcome) = match tail {
            None => (false, WithoutValue::NONE, Ok(Given::Here(Encoded::Few(done.bytes)))),
            Some(DoneTail { raw, without_value, outcome }) => {
                let outcome = match outcome {
                    Ok(Given::Here(blob)) => Ok(Given::Here(Encoded::Many(frame.payload(blob)?))),
                    Ok(Given::Resident { bytes }) => Ok(Given::Resident { bytes }),
                    Err(failure) => Err(failure),
                };
                (raw, without_value, outcome)
            }
        };
        let keeps = matches!(outcome, Ok(Given::Resident { .. }));
        if self.came_back(worker, task, (raw, keeps), out) {
            return Ok(());
        }
        if self.groups.contains(task) {
            let outcome = outcome.map(|given| given.map(Encoded::into_payload));
            self.member_done(task, worker, Part { times: done.times(), raw, outcome }, out);
            return Ok(());
        }
        match outcome {
            Ok(given) => {
                self.check_items(task, without_value)?;
                self.given(worker, done, given, out)?;
                self.counts.gave_no_value(without_value);
                Ok(())
            }
            Err(failure) => self.failed(worker, task, done.times(), failure, out),
        }
    }

    /// A task has given a value.
    #[inline(always)]
    fn given(
        &mut self,
        worker: WorkerId,
        done: &Done<'_>,
        given: Given<Encoded<'_>>,
        out: &mut Outbox,
    ) -> Result<(), CodecError> {
        let (task, ran_ns) = (done.task(), done.ran_ns());
        let made = made(&given);
        if !self.ended(task, Ended::Value { given, worker, times: done.times() }, out) {
            return Err(unknown(task));
        }
        self.report_to_scheduler(&[task], Event::Finished { worker, task, made, ran_ns })
    }

    /// An attempt has failed.
    fn failed(
        &mut self,
        worker: WorkerId,
        task: TaskId,
        times: (Ns, Ns),
        failure: Failure,
        out: &mut Outbox,
    ) -> Result<(), CodecError> {
        let entry = self.table.get_mut(task).ok_or_else(|| unknown(task))?;
        (entry.started_ns, entry.finished_ns) = times;
        let (ran_ns, retry) = (times.1 - times.0, self.retry_after(task, &failure, worker));
        self.report_to_scheduler(&[task], Event::Failed { worker, task, ran_ns, retry })?;
        self.attempt_failed(task, worker, &failure, out);
        Ok(())
    }

    /// The scheduler was told that an attempt has failed: carries out what follows. If
    /// the task has not ended then, there is another attempt.
    pub(super) fn attempt_failed(&mut self, task: TaskId, worker: WorkerId, failure: &Failure, out: &mut Outbox) {
        let attempt = self.table.get(task).map_or(0, |entry| entry.attempts);
        self.carry_out_all(&Cause::Failure(failure, worker), out);
        if self.table.get(task).is_some_and(|entry| matches!(entry.output, Output::Pending)) {
            out.notices.note(|| Notice::Retried {
                task: self.named(task),
                attempt,
                rank: self.workers.rank(worker),
                error: failure.to_string(),
            });
        }
    }

    /// A value that a user waits for has come, or is not where it was thought to be.
    fn fetched(
        &mut self,
        value: TaskId,
        worker: WorkerId,
        payload: Option<Payload>,
        out: &mut Outbox,
    ) -> Result<(), CodecError> {
        self.workers.told(worker)?;
        let Some(payload) = payload else {
            self.missing(value, worker, out);
            return Ok(());
        };
        out.happened.note(Awaited::Task(value));
        if let Some(entry) = self.table.get_mut(value)
            && let Output::Resident { copy, .. } = &mut entry.output
        {
            *copy = HomeCopy::Here;
            entry.payload = payload;
        }
        Ok(())
    }
}

/// A value without its bytes, as the scheduler knows it.
#[inline]
pub(super) fn made(given: &Given<Encoded<'_>>) -> Made {
    match *given {
        Given::Here(ref bytes) => Made { bytes: bytes.len() as u64, resident: false },
        Given::Resident { bytes } => Made { bytes, resident: true },
    }
}
