//! What workers say: read from their frames, and told to the scheduler.

use super::engine::{Awaited, ControllerEngine};
use super::table::{Given, Output};
use crate::codec::CodecError;
use crate::frame::{Frame, Messages};
use crate::id::{Rank, TaskId, WorkerId};
use crate::machine::scheduler::Event;
use crate::message::{Done, Outcome, ShortDone, ToController, ToPeer};
use crate::remote::Failure;

impl ControllerEngine {
    pub(super) fn receive(&mut self, from: Rank, frame: &Frame) -> Result<(), CodecError> {
        let Some(&worker) = self.worker_of.get(&from) else {
            return Err(CodecError("it is no worker".to_owned()));
        };
        let mut messages = Messages::of(frame);
        let mut several = false;
        loop {
            while let Some(done) = messages.next_short(ShortDone::read) {
                self.hold_unless_last(&messages, &mut several);
                self.done_shortly(worker, done)?;
            }
            let Some(message) = messages.next()? else { break };
            self.hold_unless_last(&messages, &mut several);
            match message {
                ToController::Done(done) => self.done(worker, frame, done)?,
                ToController::Returned { tasks } => {
                    self.in_flight -= tasks.len();
                    self.workers[worker.index()].in_flight -= tasks.len() as u32;
                    self.tell_scheduler(Event::Returned { worker, tasks: &tasks });
                }
                ToController::Ready { epoch } => self.group_ready(epoch),
                ToController::Heard { epoch } => self.groups.heard(epoch, worker),
                ToController::Waits(report) => self.member_waits(worker, report),
                ToController::Report { resident_bytes, values, running } => {
                    let place = &mut self.workers[worker.index()];
                    place.reported = (resident_bytes, values);
                    place.running = Some(running);
                    self.reports_missing = self.reports_missing.saturating_sub(1);
                    if self.reports_missing == 0 {
                        self.happened.note(Awaited::Reports);
                    }
                }
                ToController::Stopped => self.workers[worker.index()].is_stopped = true,
                ToController::Peer(ToPeer::Fetch { value }) => self.answer_fetch(worker, value),
                ToController::Peer(ToPeer::Value { value, bytes }) => {
                    let payload = bytes.map(|blob| frame.payload(blob)).transpose()?;
                    self.fetched(value, payload);
                }
                ToController::Peer(_) | ToController::Hello(_) => {
                    return Err(CodecError("it is out of place".to_owned()));
                }
            }
        }
        if several {
            self.note_to_scheduler(Event::Resume);
        }
        self.carry_out();
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

    /// Nine reports of ten: a single-rank task has given a few bytes.
    #[inline]
    fn done_shortly(&mut self, worker: WorkerId, done: ShortDone<'_>) -> Result<(), CodecError> {
        let ShortDone { task, started_ns, ran_ns, output } = done;
        if self.groups.contains(task) {
            return Err(CodecError(format!("{task} has members, who report at length")));
        }
        self.answered(worker, ran_ns);
        self.succeeded(task, (started_ns, started_ns + ran_ns), |entry| {
            entry.payload.set(output);
            entry.output = Output::Here;
        })?;
        let bytes = output.len() as u64;
        self.note_to_scheduler(Event::Finished { worker, task, bytes, resident: false, ran_ns });
        Ok(())
    }

    fn done(&mut self, worker: WorkerId, frame: &Frame, done: Done<'_>) -> Result<(), CodecError> {
        let Done { task, started_ns, ran_ns, raw, outcome } = done;
        self.answered(worker, ran_ns);
        let value = match outcome {
            Outcome::Failed(failure) => Err(failure),
            Outcome::Value(blob) => Ok(Given::Here(frame.payload(blob)?)),
            Outcome::Resident { bytes } => Ok(Given::Resident { by: worker, bytes }),
        };
        if self.groups.contains(task) {
            self.member_done(task, worker, (started_ns, ran_ns), raw, value);
            return Ok(());
        }
        let times = (started_ns, started_ns + ran_ns);
        match value {
            Ok(given) => {
                let (bytes, resident) = given.size();
                self.succeeded(task, times, |entry| entry.give(given))?;
                self.note_to_scheduler(Event::Finished { worker, task, bytes, resident, ran_ns });
            }
            Err(failure) => {
                let entry = self.table.get_mut(task).ok_or_else(|| unknown(task))?;
                (entry.started_ns, entry.finished_ns) = times;
                let retry = is_worth_a_retry(&failure);
                self.carry_out();
                self.failures.insert(task, (failure, worker));
                self.tell_scheduler(Event::Failed { worker, task, ran_ns, retry });
                self.failures.remove(&task);
            }
        }
        Ok(())
    }

    /// A worker has answered one message.
    #[inline]
    fn answered(&mut self, worker: WorkerId, ran_ns: u64) {
        let place = &mut self.workers[worker.index()];
        place.attempts += 1;
        place.busy_ns += ran_ns;
        place.in_flight -= 1;
        self.in_flight -= 1;
    }
}

/// What a worker reported makes no sense.
pub(super) fn unknown(task: TaskId) -> CodecError {
    CodecError(format!("there is no task {task}"))
}

/// Whether another attempt may do better: what does not decode here does not decode elsewhere.
pub(super) fn is_worth_a_retry(failure: &Failure) -> bool {
    !matches!(failure, Failure::Decode { .. })
}
