//! The machine of a worker: it receives tasks, asks for their inputs at the ranks that
//! hold them, gives them to executors, keeps what is large. It decides nothing about
//! order or place.

mod attempt;
mod cancel;
mod descriptions;
mod groups;
mod input;
mod inputs;
#[cfg(any(test, feature = "simulation"))]
mod inspect;
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

pub(crate) use attempt::Attempt;
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
use crate::function::remote::Failure;
use crate::id::{GroupKey, Rank, Slot, TaskId};
use crate::task::group::GroupError;
use crate::wire::attempt::{Given, GroupOfRun, Run, RunTail};
use crate::wire::members::Members;
use crate::wire::message::{ToController, ToPeer, ToWorker};
use descriptions::Descriptions;
use groups::Groups;
use inputs::{Failed, Gathered, Purpose};
use membership::Membership;
use queue::{Queue, ReadyTask};
use running::Running;
use rustc_hash::FxHashSet;
use states::{States, tell_states};
use std::mem::take;
use values::{Found, Missing, Values};

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
            cancelled: FxHashSet::default(),
            states: States::new(settings.slots, settings.has_states),
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
                out.flush();
            }
            Input::Reports { kept_bytes } => {
                let running = self.running.told(now);
                let (resident_bytes, values) = self.values.held();
                out.tell(&ToController::Report { resident_bytes, values, kept_bytes, running });
            }
            Input::StateMade { failure } => self.state_made(failure.as_deref(), out),
            Input::StateLost { failure } => tell_states(Some(&failure), out),
            Input::StateEnded { slot, finals } => self.state_ended(slot, finals, out),
            Input::Finished => {
                out.tell(&ToController::Stopped);
                out.flush();
                let Self { ready, values, groups, .. } = self;
                out.garbage.push(Box::new((take(ready), take(values), take(groups))));
            }
        }
    }

    /// When [`Input::TurnEnds`] is needed at the latest.
    pub(crate) fn next_deadline(&self) -> Option<Ns> {
        self.groups.next_deadline()
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

    #[inline(always)]
    fn begin(&mut self, slot: Slot, attempt: &mut Attempt) {
        let is_there = self.ready.take_first(&mut attempt.ready);
        debug_assert!(is_there, "an executor begins a task that is ready");
        let task = attempt.ready.task.id;
        attempt.description = self.descriptions.take(task);
        attempt.started_ns = self.now;
        self.running.begin(slot, task, self.now);
    }

    #[inline(always)]
    fn ended(&mut self, slot: Slot, attempt: &mut Attempt, out: &mut Outbox) {
        self.running.end(slot);
        let raw = attempt.ready.epoch.is_some_and(|epoch| self.left_group(epoch, attempt));
        let &mut Attempt { ref ready, started_ns, ran_ns, ref mut output, ref mut failure, .. } = attempt;
        let task = ready.task.id;
        let bytes = output.len() as u64;
        let outcome = match failure.take() {
            Some(failure) => Err(failure),
            // A small output goes to the controller, a large one stays.
            None if bytes <= self.inline_bytes_max => Ok(Given::Here(output)),
            None => {
                self.values.keep(task, output.take());
                Ok(Given::Resident { bytes })
            }
        };
        out.done(task, (started_ns, ran_ns), raw, outcome);
    }

    /// This member's part of a group task has ended. The controller hears of it, and
    /// tells those whom it concerns. Says whether it asked for the raw communicator.
    fn left_group(&mut self, epoch: u64, attempt: &mut Attempt) -> bool {
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
        let RunTail { arguments, inputs, label, attempt, group } = tail;
        self.descriptions.keep(id, label, attempt);
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

    /// Asks for the inputs that a task lacks.
    fn gather(&mut self, task: Task, purpose: Purpose, missing: Vec<Missing>, out: &mut Outbox) {
        if missing.is_empty() {
            return self.has_gathered(Gathered::Complete(task, purpose), out);
        }
        for Missing { value, holder } in self.values.wait(task, purpose, missing) {
            // If it should be here and nobody has asked for it, it never will be.
            if holder == self.here || self.lost.contains(&holder) {
                self.cannot_come(&[value], holder, out);
            } else {
                out.say(holder, None, |_| ToPeer::Fetch { value });
            }
        }
    }

    /// These values cannot come from a rank that was asked for them: the tasks that wait
    /// for them have failed.
    fn cannot_come(&mut self, values: &[TaskId], holder: Rank, out: &mut Outbox) {
        let failed = values.iter().filter_map(|value| Some((*value, self.values.refused(*value, holder)?)));
        let failed: Vec<(TaskId, Failed)> = failed.collect();
        let missing = failed.iter().filter(|(_, failed)| failed.is_missing).map(|(value, _)| *value);
        let missing: Vec<TaskId> = missing.collect();
        // Before the failures of the tasks: they are tried again where the value is.
        if !missing.is_empty() {
            out.tell(&ToController::Missing { values: missing });
        }
        failed.into_iter().for_each(|(_, failed)| self.gathered(failed.tasks, out));
    }

    /// A rank is gone, and with it what it was asked for, or what a message that is late
    /// will say that it has.
    fn lost(&mut self, rank: Rank, out: &mut Outbox) {
        self.lost.push(rank);
        let values = self.values.asked_of(rank);
        self.cannot_come(&values, rank, out);
    }

    fn gathered(&mut self, gathered: Vec<Gathered>, out: &mut Outbox) {
        gathered.into_iter().for_each(|gathered| self.has_gathered(gathered, out));
    }

    /// A task has its inputs, or will not get them.
    fn has_gathered(&mut self, gathered: Gathered, out: &mut Outbox) {
        match gathered {
            Gathered::Complete(task, Purpose::Single) => {
                *self.ready.push_back() = ReadyTask { task, epoch: None };
            }
            Gathered::Complete(task, Purpose::Member(epoch)) => {
                if let Some(membership) = self.groups.get_mut(epoch) {
                    membership.task = Some(task);
                    out.tell(&ToController::Ready { epoch });
                }
            }
            Gathered::Failed(task, purpose, reason) => {
                if let Purpose::Member(epoch) = purpose {
                    self.groups.remove(epoch);
                }
                self.gave_up(task, Failure::Input(reason), out);
            }
        }
    }

    /// A task that never began has ended.
    fn gave_up(&mut self, task: Task, failure: Failure, out: &mut Outbox) {
        self.descriptions.take(task.id);
        out.done(task.id, (self.now, 0), false, Err(Box::new(failure)));
        out.garbage.push(Box::new(task));
    }

    /// Gives back what has not begun: one pass over what is queued, however many are
    /// asked for.
    fn give_back(&mut self, mut asked: Vec<TaskId>, out: &mut Outbox) {
        let wanted = asked.iter().copied().collect();
        let mut given = self.ready.remove_all(&wanted);
        given.extend(asked.iter().filter_map(|&id| self.values.take_back(id)));
        let ids: FxHashSet<TaskId> = given.iter().map(|task| task.id).collect();
        // In the order in which they were asked for, which is the one in which they were
        // to run.
        asked.retain(|id| ids.contains(id));
        asked.iter().for_each(|id| drop(self.descriptions.take(*id)));
        // One by one: what a task holds may be dropped by users' code, which may panic.
        given.into_iter().for_each(|task| out.garbage.push(Box::new(task)));
        out.tell(&ToController::Returned { tasks: asked });
    }

    fn prepare(
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

    /// The controller takes these values to be here or on their way: those that are
    /// neither it must not count on.
    fn say_missing(&self, values: impl Iterator<Item = TaskId>, out: &mut Outbox) {
        let missing: Vec<TaskId> = values.filter(|value| !self.values.is_expected(*value)).collect();
        if !missing.is_empty() {
            out.tell(&ToController::Missing { values: missing });
        }
    }

    fn enter(&mut self, epoch: u64) {
        if let Some(membership) = self.groups.get_mut(epoch)
            && let Some(task) = membership.task.take()
        {
            membership.entered = true;
            self.ready.push_front(ReadyTask { task, epoch: Some(epoch) });
        }
    }

    /// A member of the group has failed: it will not begin, or no operation of it can
    /// succeed any more. That this rank answers shows that it is not stuck.
    fn leave(&mut self, epoch: u64, (member, failure): (usize, &str), out: &mut Outbox) {
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
