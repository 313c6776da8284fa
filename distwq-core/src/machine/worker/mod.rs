//! The machine of a worker: it receives tasks, asks for their inputs at the ranks that
//! hold them, gives them to executors, keeps what is large. It decides nothing about
//! order or place.

mod attempt;
mod cancel;
mod descriptions;
mod figures;
mod gathering;
mod groups;
mod input;
mod inputs;
#[cfg(any(test, feature = "simulation"))]
mod inspect;
mod limits;
mod member;
mod membership;
mod outbox;
mod queue;
mod running;
mod states;
mod store;
mod task;
#[cfg(test)]
mod tests;
mod values;

pub(crate) use attempt::{Attempt, ItemsRun};
pub(crate) use input::{Awaited, Input, Next};
pub(crate) use outbox::{Halt, Outbox};
pub(crate) use task::Task;
#[cfg(any(test, feature = "simulation"))]
pub(crate) use values::not_there;

use super::Ns;
use crate::codec::frame::{Frame, Messages};
use crate::codec::{CodecError, Payload};
use crate::config::Settings;
use crate::function::registry::{FunctionId, Registry, Remote};
use crate::id::{Rank, Slot, TaskId};
use crate::wire::attempt::{Given, GroupOfRun, Run, RunTail};
use crate::wire::chunk::WithoutValue;
use crate::wire::members::Members;
use crate::wire::message::{ToController, ToPeer, ToWorker};
use crate::wire::report::Report;
use descriptions::Descriptions;
use figures::Figures;
use groups::Groups;
use inputs::Purpose;
use limits::Limits;
use queue::{Queue, ReadyTask};
use running::Running;
use rustc_hash::FxHashSet;
use states::{States, tell_states};
use std::mem::take;
use values::{Found, Values};

/// How far the run is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Phase {
    /// Tasks come.
    Open,
    /// No more tasks come; what is ready runs, and what it gives is reported.
    Stopped,
    /// The run has failed: what has not begun never will.
    Failed,
}

/// The outcomes of several items go to the controller if they are not more bytes.
const OUTCOMES_BYTES_MAX: u64 = 256 << 10;

/// The state of a worker.
pub(crate) struct Worker {
    here: Rank,
    /// When what is being handled has happened.
    now: Ns,
    inline_bytes_max: u64,
    functions: &'static Registry,
    ready: Queue,
    values: Values,
    groups: Groups,
    running: Running,
    descriptions: Descriptions,
    figures: Figures,
    limits: Limits,
    /// Tasks that were cancelled and are not here.
    cancelled: FxHashSet<TaskId>,
    states: States,
    /// Ranks that are gone.
    lost: Vec<Rank>,
    phase: Phase,
}

impl Worker {
    pub(crate) fn new(here: Rank, functions: &'static Registry, settings: &Settings) -> Self {
        Self {
            here,
            now: 0,
            inline_bytes_max: settings.inline_bytes_max,
            functions,
            ready: Queue::default(),
            values: Values::default(),
            groups: Groups::default(),
            running: Running::new(settings.slots),
            descriptions: Descriptions::default(),
            figures: Figures::new(functions),
            limits: Limits::default(),
            cancelled: FxHashSet::default(),
            states: States::new(settings),
            lost: Vec::new(),
            phase: Phase::Open,
        }
    }

    /// Takes in what has happened. All that follows lies in `out` then.
    #[inline(always)]
    pub(crate) fn handle(&mut self, now: Ns, input: Input<'_>, out: &mut Outbox) {
        self.now = now;
        match input {
            Input::Begin { slot, attempt } => self.begin(slot, attempt),
            Input::Ended { slot, attempt } => self.ended(slot, attempt, out),
            Input::Frame { from, frame } => {
                if let Err(error) = self.receive(from, frame, out) {
                    out.halt(Halt::Unreadable { from, error });
                }
            }
            other => self.handle_other(other, out),
        }
    }

    /// All that is rare next to tasks, out of line.
    fn handle_other(&mut self, input: Input<'_>, out: &mut Outbox) {
        let now = self.now;
        match input {
            Input::Begin { .. } | Input::Ended { .. } | Input::Frame { .. } => {
                unreachable!("these happen for each task")
            }
            Input::Awaits { epoch, from, key } => self.groups.of_running(epoch).begin_wait(now, from, key),
            Input::TurnEnds => {
                if let Some(report) = self.groups.overdue(now) {
                    out.tell(&ToController::Waits(report));
                }
                self.tell_overrun(out);
                self.tell_overdue_states(out);
                out.flush();
            }
            Input::Reports { measured, mut marks } => {
                let running = self.running.told(now);
                marks.retain(|(serial, _)| running.iter().any(|(task, _)| task.serial() == *serial));
                let (resident_bytes, values) = self.values.held();
                let mut report = Report { measured, resident_bytes, values, running, marks, ..Report::default() };
                self.figures.tell(now, self.running.idle(), &mut report);
                out.tell(&ToController::Report(report));
            }
            Input::Lines { lines, dropped } => out.tell(&ToController::Lines { lines, dropped }),
            Input::StateMade { failure, took_ns } => {
                self.figures.state_made(took_ns);
                self.state_made(failure.as_deref(), out);
            }
            Input::Renews { slot, by } => self.states.renews(slot, by, now),
            Input::StateLost { failure } => tell_states(Some(&failure), out),
            Input::StateEnded { slot, finals } => self.state_ended(slot, finals, out),
            Input::StateNotFinished { failure } => self.states.cannot_finish(failure),
            Input::Finished => {
                out.tell(&ToController::Stopped { failure: self.states.not_finished() });
                out.flush();
                let Self { ready, values, groups, .. } = self;
                out.garbage.push(Box::new((take(ready), take(values), take(groups))));
            }
        }
    }

    /// When [`Input::TurnEnds`] is needed at the latest.
    pub(crate) fn next_deadline(&self) -> Option<Ns> {
        let is_open = self.phase == Phase::Open;
        let limits = [self.limits.next_ns(), self.states.next_ns()].into_iter().filter(|_| is_open).flatten();
        self.groups.next_deadline().into_iter().chain(limits).min()
    }

    /// What is next for an executor; nothing if it has to wait.
    #[inline]
    pub(crate) fn next(&self) -> Option<Next> {
        if self.ready.len() > 0 {
            return Some(Next::Begin);
        }
        (self.phase != Phase::Open).then_some(Next::Stop)
    }

    /// Whether what is [next](Self::next) is for the executor of slot 0 alone: the part
    /// of a member of a group. Nothing else runs on its worker.
    #[inline]
    pub(crate) fn is_for_first_slot(&self) -> bool {
        self.ready.begins_with_member()
    }

    /// How many tasks are ready for an executor.
    pub(crate) fn ready(&self) -> usize {
        self.ready.len()
    }

    /// How many tasks run.
    pub(crate) fn running(&self) -> u32 {
        self.running.count()
    }

    #[inline(always)]
    fn begin(&mut self, slot: Slot, attempt: &mut Attempt) {
        let is_there = self.ready.take_first(&mut attempt.ready);
        debug_assert!(is_there, "an executor begins a task that is ready");
        let task = attempt.ready.task.id;
        attempt.description = self.descriptions.take(task);
        attempt.started_ns = self.now;
        self.figures.idle_until(self.now, self.running.idle());
        self.running.begin(slot, task, self.now);
        if let Some(limit_ns) = attempt.description.as_ref().and_then(|described| described.limit_ns) {
            self.limits.begin(slot, task, self.now, limit_ns);
        }
    }

    #[inline(always)]
    fn ended(&mut self, slot: Slot, attempt: &mut Attempt, out: &mut Outbox) {
        self.figures.idle_until(self.now, self.running.idle());
        self.running.end(slot);
        let raw = attempt.ready.epoch.is_some_and(|epoch| self.left_group(epoch, attempt));
        if !self.limits.is_empty() {
            self.limits.end(slot, attempt);
        }
        let without_value = attempt.items.map_or(WithoutValue::NONE, |items| items.without_value);
        self.figures.ended(attempt);
        let &mut Attempt { ref ready, started_ns, ran_ns, gives_outcomes, ref mut output, ref mut failure, .. } =
            attempt;
        let task = ready.task.id;
        let bytes = output.len() as u64;
        let outcome = match failure.take() {
            Some(failure) => Err(failure),
            // A small output goes to the controller, a large one stays.
            None if bytes <= self.inline_bytes_max => Ok(Given::Here(output)),
            // The values of several items, which go to the map that asks for them.
            None if gives_outcomes && bytes <= OUTCOMES_BYTES_MAX => Ok(Given::Here(output)),
            None => {
                self.values.keep(task, output.take());
                Ok(Given::Resident { bytes })
            }
        };
        out.done(task, (started_ns, ran_ns), (raw, without_value), outcome);
    }

    fn receive(&mut self, from: Rank, frame: &Frame, out: &mut Outbox) -> Result<(), CodecError> {
        let mut messages = Messages::of(frame);
        loop {
            while let Some(run) = messages.next_fixed(Run::read) {
                self.run(frame, &run, out)?;
            }
            match messages.next()? {
                Some(message) => self.take(from, frame, message, out)?,
                None => break,
            }
        }
        if !self.cancelled.is_empty() {
            self.drop_cancelled(out);
        }
        if self.phase == Phase::Failed {
            self.discard(out);
        } else if self.is_barred() {
            self.end_unbegun(out);
        }
        self.figures.moves(self.values.are_awaited(), self.now, self.running.idle());
        Ok(())
    }

    /// Takes a task in. Most have no tail: they are built in place in the queue.
    #[inline(always)]
    fn run(&mut self, frame: &Frame, run: &Run<'_>, out: &mut Outbox) -> Result<(), CodecError> {
        let remote = self.function(run.function())?;
        match run.tail()? {
            None => {
                let ReadyTask { task, .. } = self.ready.push_back();
                (task.id, task.remote) = (run.task(), Some(remote));
                task.plain.set(run.bytes);
                Ok(())
            }
            Some(tail) => self.run_with_tail(frame, run, remote, tail, out),
        }
    }

    fn run_with_tail(
        &mut self,
        frame: &Frame,
        run: &Run<'_>,
        remote: &'static Remote,
        tail: RunTail<'_>,
        out: &mut Outbox,
    ) -> Result<(), CodecError> {
        let id = run.task();
        let RunTail { arguments, inputs, label, attempt, limit_ns, group, items } = tail;
        if let Some(fold) = items.and_then(|items| items.fold) {
            self.function(FunctionId(fold))?;
        }
        self.descriptions.keep(id, label, attempt, limit_ns, items);
        let plain = match arguments {
            Some(blob) => frame.payload(blob)?,
            None => Payload::copy_of(run.bytes),
        };
        let Found { inputs, missing, completed } = self.values.find(frame, inputs)?;
        let task = Task { id, remote: Some(remote), plain, inputs };
        self.gathered(completed, out);
        match group {
            None => self.gather(task, Purpose::Single, missing, out),
            Some(GroupOfRun { epoch, members }) => {
                return self.prepare(epoch, Members::decode(members)?, task, missing, out);
            }
        }
        Ok(())
    }

    fn function(&self, id: FunctionId) -> Result<&'static Remote, CodecError> {
        self.functions.function(id).ok_or_else(|| CodecError(format!("there is no function number {}", id.0)))
    }

    fn take(&mut self, from: Rank, frame: &Frame, message: ToWorker<'_>, out: &mut Outbox) -> Result<(), CodecError> {
        match message {
            ToWorker::TakeBack { tasks } => self.give_back(tasks, out),
            ToWorker::Cancel { tasks } => self.cancel(tasks, out),
            ToWorker::CancelOver { tasks } => self.cancel_is_over(&tasks),
            ToWorker::Enter { epoch } => self.enter(epoch),
            ToWorker::Leave { epoch, member, failure } => self.leave(epoch, (member as usize, failure), out),
            ToWorker::AskWait { epoch, round } => {
                if let Some(membership) = self.groups.of_answer(epoch) {
                    out.tell(&ToController::Waits(membership.wait_report(epoch, Some(round))));
                }
            }
            ToWorker::SayLeft { epoch, to } => {
                if let Some(membership) = self.groups.departed(epoch) {
                    let members = membership.members.len();
                    for member in to.into_iter().map(|member| member as usize) {
                        if member >= members {
                            return Err(CodecError(format!("there is no member {member} of {members}")));
                        }
                        let sent = membership.sent_to(member);
                        out.say(membership.members.rank(member), None, |_| ToPeer::GroupLeft { epoch, sent });
                    }
                }
            }
            ToWorker::Deadlock { epoch, waits } => {
                if let Some(membership) = self.groups.get_mut(epoch) {
                    membership.deadlocked(waits);
                    out.happened.note(Awaited::Group(epoch));
                }
            }
            ToWorker::FreeGroup { members } => out.free_group(Members::decode(members)?.ranks().collect()),
            ToWorker::Forget { values } => {
                let gone = values.into_iter().filter_map(|value| self.values.forget(value));
                gone.for_each(|value| out.garbage.push(Box::new(value)));
            }
            ToWorker::Lost { rank } => self.lost(rank, out),
            ToWorker::Bar { failure } => self.bar(failure),
            ToWorker::Finish => self.finals_wanted(out),
            ToWorker::Report => out.ask_for_report(),
            ToWorker::Stop { failed } => {
                self.phase = if failed { Phase::Failed } else { Phase::Stopped };
                out.close();
                out.happened.note_all();
            }
            ToWorker::Exit => out.halt(Halt::Exit),
            ToWorker::Peer(ToPeer::Fetch { value }) => {
                let payload = self.values.get(value);
                out.say(from, payload, |bytes| ToPeer::Value { value, bytes });
                if payload.is_none() {
                    self.say_missing(std::iter::once(value), out);
                }
            }
            ToWorker::Peer(ToPeer::Value { value, bytes }) => match bytes {
                Some(blob) => {
                    let gathered = self.values.arrived(value, frame.payload(blob)?);
                    self.gathered(gathered, out);
                }
                None => self.cannot_come(&[value], from, out),
            },
            ToWorker::Peer(ToPeer::Group { epoch, key, bytes }) => {
                let payload = frame.payload(bytes)?;
                if let Some((membership, member)) = self.groups.member(epoch, from) {
                    membership.arrived(member, key, payload);
                    out.happened.note(Awaited::Group(epoch));
                } else if let Some(membership) = self.groups.departed(epoch)
                    && membership.arrived_late()
                {
                    out.tell(&ToController::Waits(membership.wait_report(epoch, None)));
                }
            }
            ToWorker::Peer(ToPeer::GroupLeft { epoch, sent }) => {
                if let Some((membership, member)) = self.groups.member(epoch, from) {
                    membership.left(member, sent);
                    out.happened.note(Awaited::Group(epoch));
                }
            }
            // Said once, before there was this machine.
            ToWorker::Welcome(_) | ToWorker::Refuse { .. } => {}
        }
        Ok(())
    }

    /// After the end of a failed run: lets go of what has not begun, also of what `Stop`
    /// has overtaken, or whose inputs have come only now.
    fn discard(&mut self, out: &mut Outbox) {
        let unbegun = (take(&mut self.ready), self.values.take_waiting());
        out.garbage.push(Box::new(unbegun));
    }
}
