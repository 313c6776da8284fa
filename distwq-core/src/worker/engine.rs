//! The state of a worker rank, advanced in turns by whoever waits.

#[cfg(test)]
mod tests;
mod values;

use super::attempt::{Attempt, Next};
use super::descriptions::Descriptions;
use super::inputs::{Gathered, Inputs, Purpose};
use super::membership::Membership;
use super::queue::{Queue, ReadyTask};
use super::slots::Slots;
use super::store::Store;
use super::task::Task;
use crate::clock::now_ns;
use crate::codec::{CodecError, Payload};
use crate::drive::{self, Engine, Garbage, Happened, Turn, Waiters};
use crate::fault;
use crate::frame::{Frame, Messages};
use crate::group::GroupError;
use crate::id::{GroupKey, Rank, TaskId};
use crate::message::{self, Done, Outcome, Settings, ShortRun, ToController, ToPeer, ToWorker};
use crate::registry::{FunctionId, Registry, Remote};
use crate::remote::{Failure, Resident};
use crate::transport::{Flow, Transport};
use rustc_hash::{FxHashMap, FxHashSet};
use std::mem::take;
use std::sync::Arc;
use std::time::Duration;

/// Results wait for company this long at most while there is more to run.
const FLUSH_NS: u64 = 50_000;
/// How many later groups begin before one whose `Leave` has come alone is forgotten.
const EPOCHS_REMEMBERED: u64 = 1_000;
/// So many results go out at once, even if none has waited that long.
const FLUSH_COUNT: u32 = 32;

/// The state of a worker rank.
pub(crate) struct WorkerEngine {
    pub(super) transport: Box<dyn Transport>,
    registry: &'static Registry,
    settings: Settings,
    ready: Queue,
    inputs: Inputs,
    store: Store,
    pub(super) groups: FxHashMap<u64, Membership>,
    /// Groups that ended before their `Prepare` came.
    left: FxHashSet<u64>,
    out: Frame,
    out_count: u32,
    turned_ns: u64,
    running: u32,
    /// What runs, for who asks.
    pub(super) slots: Arc<Slots>,
    pub(super) descriptions: Descriptions,
    stopped: Option<bool>,
    garbage: Garbage,
    happened: Happened<Awaited>,
    turns_in_passing: u64,
}

/// What threads of the rank wait for. Of several the one with the greatest drives.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Awaited {
    /// Something new in the group of this epoch.
    Group(u64),
    /// A task to run.
    Task,
    /// All ranks having joined in the end.
    Closed,
}

impl drive::Awaited for Awaited {
    fn may_drop_values(self) -> bool {
        self == Self::Task
    }
}

/// The values that a task lacks, each with who holds it.
type Missing = Vec<(TaskId, Rank)>;

impl WorkerEngine {
    pub(crate) fn new(transport: Box<dyn Transport>, registry: &'static Registry, settings: Settings) -> Self {
        Self {
            transport,
            registry,
            slots: Arc::new(Slots::new(settings.slots)),
            descriptions: Descriptions::default(),
            settings,
            ready: Queue::default(),
            inputs: Inputs::default(),
            store: Store::default(),
            groups: FxHashMap::default(),
            left: FxHashSet::default(),
            out: Frame::default(),
            out_count: 0,
            turned_ns: 0,
            running: 0,
            stopped: None,
            garbage: Garbage::new(),
            happened: Happened::default(),
            turns_in_passing: 0,
        }
    }

    /// The next thing to do for an executor, with the task in its place. While there is something, a turn is taken only
    /// now and then.
    #[inline]
    pub(super) fn next_ready(&mut self, now_ns: u64, place: &mut ReadyTask) -> Option<Next> {
        let due = self.out_count >= FLUSH_COUNT || now_ns.saturating_sub(self.turned_ns) > FLUSH_NS;
        if due {
            self.turns_in_passing += 1;
            self.turn();
        }
        if self.ready.take_first(place) {
            self.running += 1;
            return Some(Next::Run);
        }
        self.stopped.map(|_| Next::Stop)
    }

    /// When the last turn was taken.
    pub(super) fn turned_ns(&self) -> u64 {
        self.turned_ns
    }

    /// An attempt has ended.
    #[inline]
    pub(super) fn ended(&mut self, attempt: &mut Attempt) {
        self.running -= 1;
        let &mut Attempt { ref ready, started_ns, ran_ns, ref output, ref failure } = attempt;
        let (id, times) = (ready.task.id, (started_ns, ran_ns));
        if let Some(epoch) = ready.epoch {
            return self.left_group(epoch, id, times, attempt.take_result());
        }
        // A small output goes to the controller, a large one stays.
        let short = failure.is_none() && output.len() as u64 <= self.settings.inline_bytes_max;
        if short && message::push_done(&mut self.out.body, id, started_ns, ran_ns, output) {
            self.out_count += 1;
        } else {
            self.report(id, times, false, attempt.take_result());
        }
    }

    fn report(&mut self, task: TaskId, (started_ns, ran_ns): (u64, u64), raw: bool, result: Result<Payload, Failure>) {
        let payload;
        let outcome = match result {
            Err(failure) => Outcome::Failed(failure),
            Ok(output) if output.len() as u64 <= self.settings.inline_bytes_max => {
                payload = output;
                Outcome::Value(self.out.blob(&payload))
            }
            Ok(output) => {
                let bytes = output.len() as u64;
                self.store.insert(task, Resident::new(output));
                Outcome::Resident { bytes }
            }
        };
        self.tell_controller(&ToController::Done(Done { task, started_ns, ran_ns, raw, outcome }));
    }

    /// This member's part of a group task has ended. Its peers hear of it from here, so that none waits for it.
    fn left_group(&mut self, epoch: u64, task: TaskId, times: (u64, u64), mut result: Result<Payload, Failure>) {
        let mut raw = false;
        if let Some(membership) = self.groups.remove(&epoch) {
            raw = membership.raw;
            if let (Err(failure), Some(cause)) = (&mut result, membership.failure()) {
                // What this member failed of after another one did only follows from that.
                *failure = Failure::Group(cause.to_string());
            }
            let failure = result.as_ref().err().map(Failure::to_string);
            self.tell_members(epoch, &membership, failure.as_deref());
            if membership.index > 0 {
                // The output of a group is that of its first member.
                result = result.map(|_| Payload::EMPTY);
            }
        }
        self.report(task, times, raw, result);
    }

    fn tell_members(&mut self, epoch: u64, membership: &Membership, failure: Option<&str>) {
        for (member, rank) in membership.members.iter().enumerate() {
            if member != membership.index {
                let sent = membership.sent_to(member);
                let frame = self.frame();
                let left = ToPeer::GroupLeft { epoch, sent, failure };
                self.send(*rank, frame, left);
            }
        }
    }

    /// A message to another member of a group.
    pub(super) fn send_in_group(
        &mut self,
        epoch: u64,
        to: usize,
        key: GroupKey,
        payload: &Payload,
    ) -> Result<(), GroupError> {
        let membership = self.membership(epoch);
        let rank = membership.sending(to)?;
        if to == membership.index {
            membership.arrived(to, key, payload.clone());
            self.happened.note(Awaited::Group(epoch));
            return Ok(());
        }
        let mut frame = self.frame();
        let bytes = frame.blob(payload);
        self.send(rank, frame, ToPeer::Group { epoch, key, bytes });
        Ok(())
    }

    /// A message of another member of a group, if it is here or cannot come any more.
    pub(super) fn take_in_group(
        &mut self,
        epoch: u64,
        from: usize,
        key: GroupKey,
    ) -> Option<Result<Payload, GroupError>> {
        if self.stopped == Some(true) {
            return Some(Err(GroupError::Closed("an operation of the group")));
        }
        self.membership(epoch).take(from, key)
    }

    /// A member waits for long: the controller finds out whether all members of its group do.
    pub(super) fn waits_in_group(&mut self, epoch: u64, from: usize, key: GroupKey) {
        let membership = self.membership(epoch);
        membership.waits_for_long(from, key);
        let report = membership.wait_report(epoch, false);
        self.tell_controller(&ToController::Waits(report));
    }

    /// The group of a task that runs here.
    pub(super) fn membership(&mut self, epoch: u64) -> &mut Membership {
        let membership = self.groups.get_mut(&epoch);
        membership.expect("a task that runs in a group has it until it ends")
    }

    fn frame(&mut self) -> Frame {
        Frame { body: self.transport.buffer(), attachments: Vec::new() }
    }

    fn send(&mut self, to: Rank, mut frame: Frame, message: ToPeer<'_>) {
        // Once the run is over nobody needs it, and a rank that has joined in the end would never take it.
        if self.stopped.is_some() {
            return;
        }
        if to == self.settings.controller {
            frame.push(&ToController::Peer(message));
        } else {
            frame.push(&ToWorker::Peer(message));
        }
        self.transport.send(to, frame);
    }

    fn tell_controller(&mut self, message: &ToController<'_>) {
        self.out.push(message);
        self.out_count += 1;
    }

    fn flush(&mut self) {
        if self.out_count > 0 {
            let fresh = self.frame();
            let frame = std::mem::replace(&mut self.out, fresh);
            self.out_count = 0;
            self.transport.send(self.settings.controller, frame);
        }
    }

    fn receive(&mut self, from: Rank, frame: &Frame) -> Result<(), CodecError> {
        let mut messages = Messages::of(frame);
        loop {
            while let Some(run) = messages.next_short(ShortRun::read) {
                self.run_shortly(&run)?;
            }
            match messages.next()? {
                Some(message) => self.handle(from, frame, message)?,
                None => break,
            }
        }
        if self.stopped == Some(true) {
            self.discard();
        }
        Ok(())
    }

    /// Nine messages of ten: a task that has all it needs. It is put together where it waits.
    #[inline]
    fn run_shortly(&mut self, run: &ShortRun<'_>) -> Result<(), CodecError> {
        let remote = self.function(run.function)?;
        let ReadyTask { task, .. } = self.ready.push_back();
        (task.id, task.remote) = (run.task, Some(remote));
        task.plain.set(run.plain);
        Ok(())
    }

    fn function(&self, id: FunctionId) -> Result<&'static Remote, CodecError> {
        self.registry.function(id).ok_or_else(|| CodecError(format!("there is no function number {}", id.0)))
    }

    fn handle(&mut self, from: Rank, frame: &Frame, message: ToWorker<'_>) -> Result<(), CodecError> {
        match message {
            ToWorker::Run(run) => {
                let (task, wanted) = self.accept(frame, run)?;
                self.await_inputs(task, Purpose::Single, wanted);
            }
            ToWorker::TakeBack { tasks } => self.give_back(tasks),
            ToWorker::Prepare { epoch, members, run } => {
                let (task, wanted) = self.accept(frame, run)?;
                self.prepare(epoch, members, task, wanted);
            }
            ToWorker::Enter { epoch } => self.enter(epoch),
            ToWorker::Leave { epoch } => self.leave(epoch),
            ToWorker::AskWait { epoch } => {
                if let Some(membership) = self.groups.get(&epoch) {
                    let report = membership.wait_report(epoch, true);
                    self.tell_controller(&ToController::Waits(report));
                }
            }
            ToWorker::Deadlock { epoch, waits } => {
                if let Some(membership) = self.groups.get_mut(&epoch) {
                    membership.deadlocked(waits);
                    self.happened.note(Awaited::Group(epoch));
                }
            }
            ToWorker::FreeGroup { members } => self.transport.free_group(&members),
            ToWorker::Forget { values } => values.into_iter().for_each(|value| self.forget(value)),
            ToWorker::Report => {
                let running = self.slots.running(now_ns());
                let (resident_bytes, values) = (self.store.bytes(), self.store.len() as u64);
                self.tell_controller(&ToController::Report { resident_bytes, values, running });
            }
            ToWorker::Stop { failed } => self.stop(failed),
            ToWorker::Exit => fault::exit_with_others(&mut *self.transport),
            ToWorker::Peer(ToPeer::Fetch { value }) => self.answer_fetch(from, value),
            ToWorker::Peer(ToPeer::Value { value, bytes }) => {
                let payload = bytes.map(|blob| frame.payload(blob)).transpose()?;
                self.arrived(from, value, payload);
            }
            ToWorker::Peer(ToPeer::Group { epoch, key, bytes }) => {
                let payload = frame.payload(bytes)?;
                if let Some((membership, member)) = self.member_of(epoch, from) {
                    membership.arrived(member, key, payload);
                }
            }
            ToWorker::Peer(ToPeer::GroupLeft { epoch, sent, failure }) => {
                if let Some((membership, member)) = self.member_of(epoch, from) {
                    membership.left(member, sent, failure);
                }
            }
            // Said once, before this engine existed.
            ToWorker::Welcome(_) | ToWorker::Refuse { .. } => {}
        }
        Ok(())
    }

    /// The run is over; if it has failed, what has not begun never will.
    fn stop(&mut self, failed: bool) {
        self.stopped = Some(failed);
        self.happened.note_all();
    }

    /// After the end of a failed run: lets go of what has not begun, also of what `Stop` has overtaken, or whose inputs
    /// have come only now.
    fn discard(&mut self) {
        let unbegun = (take(&mut self.ready), take(&mut self.inputs));
        self.garbage.push(Box::new(unbegun));
    }

    /// Nothing runs here any more: the controller is told, and what users have left here goes.
    pub(super) fn at_end(&mut self) {
        self.tell_controller(&ToController::Stopped);
        // At once: no turn is taken while users' values are dropped, which may take long.
        self.flush();
        let Self { ready, inputs, store, groups, .. } = self;
        self.garbage.push(Box::new((take(ready), take(inputs), take(store), take(groups))));
    }

    /// A message of a group that this rank has left already is late and means nothing.
    fn member_of(&mut self, epoch: u64, rank: Rank) -> Option<(&mut Membership, usize)> {
        let membership = self.groups.get_mut(&epoch)?;
        let member = membership.member(rank)?;
        self.happened.note(Awaited::Group(epoch));
        Some((membership, member))
    }

    fn begin(&mut self, gathered: Gathered) {
        match gathered {
            Gathered::Complete(task, Purpose::Single) => {
                *self.ready.push_back() = ReadyTask { task, epoch: None };
            }
            Gathered::Complete(task, Purpose::Member(epoch)) => {
                if let Some(membership) = self.groups.get_mut(&epoch) {
                    membership.task = Some(task);
                    self.tell_controller(&ToController::Ready { epoch });
                }
            }
            Gathered::Failed(task, purpose, reason) => {
                if let Purpose::Member(epoch) = purpose {
                    self.groups.remove(&epoch);
                }
                self.gave_up(task, Failure::Input(reason));
            }
        }
    }

    /// A task that never began has ended.
    fn gave_up(&mut self, task: Task, failure: Failure) {
        self.descriptions.take(task.id);
        self.tell_controller(&ToController::Done(Done {
            task: task.id,
            started_ns: now_ns(),
            ran_ns: 0,
            raw: false,
            outcome: Outcome::Failed(failure),
        }));
        self.garbage.push(Box::new(task));
    }

    /// Gives back what has not begun: one pass over what is queued, however many are asked for.
    fn give_back(&mut self, mut asked: Vec<TaskId>) {
        let wanted = asked.iter().copied().collect();
        let mut given = self.ready.remove_all(&wanted);
        given.extend(asked.iter().filter_map(|&id| self.inputs.remove(id)));
        let ids: FxHashSet<TaskId> = given.iter().map(|task| task.id).collect();
        // In the order in which they were asked for, which is the one in which they were to run.
        asked.retain(|id| ids.contains(id));
        ids.iter().for_each(|id| drop(self.descriptions.take(*id)));
        // One by one: what a task holds may be dropped by users' code, which may panic.
        given.into_iter().for_each(|task| self.garbage.push(Box::new(task)));
        self.tell_controller(&ToController::Returned { tasks: asked });
    }

    fn prepare(&mut self, epoch: u64, members: Vec<Rank>, task: Task, wanted: Missing) {
        let here = self.transport.rank();
        let index = members.iter().position(|rank| *rank == here);
        if self.left.remove(&epoch) {
            self.gave_up(task, Failure::Group("the group did not begin".to_owned()));
        } else if let Some(index) = index {
            self.groups.insert(epoch, Membership::new(task.id, members, index));
            self.await_inputs(task, Purpose::Member(epoch), wanted);
        }
    }

    fn enter(&mut self, epoch: u64) {
        let Some(membership) = self.groups.get_mut(&epoch) else {
            return;
        };
        if let Some(task) = membership.task.take() {
            membership.entered = true;
            self.ready.push_front(ReadyTask { task, epoch: Some(epoch) });
        }
    }

    /// The group will not begin, or one of its members has failed. A member that has begun hears of that from
    /// its peer; here it only says that it is alive to the engine.
    fn leave(&mut self, epoch: u64) {
        self.tell_controller(&ToController::Heard { epoch });
        let Some(membership) = self.groups.get_mut(&epoch) else {
            // Either its `Prepare` is still to come, or this rank has left it; such old ones are forgotten in time.
            self.left.retain(|other| other + EPOCHS_REMEMBERED > epoch);
            self.left.insert(epoch);
            return;
        };
        if membership.entered {
            return;
        }
        let task = membership.task.take();
        let task = task.or_else(|| self.inputs.remove(membership.id));
        self.groups.remove(&epoch);
        if let Some(task) = task {
            self.gave_up(task, Failure::Group("the group did not begin".to_owned()));
        }
    }
}

impl Engine for WorkerEngine {
    type Awaited = Awaited;

    fn turn(&mut self) -> Turn {
        let mut worked = false;
        while let Some((from, frame)) = self.transport.receive() {
            worked = true;
            if let Err(error) = self.receive(from, &frame) {
                fault::unreadable(&mut *self.transport, from, &error);
            }
            self.transport.recycle(frame.body);
        }
        self.flush();
        self.turned_ns = now_ns();
        let flow = self.transport.progress();
        match (worked || !self.happened.is_empty(), flow) {
            (true, _) => Turn::Worked,
            (false, Flow::Moving) => Turn::Moving,
            (false, Flow::Still) => Turn::Idle,
        }
    }

    fn is_busy(&self) -> bool {
        self.running > 0
    }

    fn has_unsent(&self) -> bool {
        self.out_count > 0 || self.transport.is_sending()
    }

    fn turns_in_passing(&self) -> u64 {
        self.turns_in_passing
    }

    fn nap_max(&self) -> Duration {
        self.transport.nap_max()
    }

    fn has_garbage(&self) -> bool {
        !self.garbage.is_empty()
    }

    fn take_garbage(&mut self) -> Garbage {
        take(&mut self.garbage)
    }

    fn wake(&mut self, waiters: &mut Waiters<Awaited>) {
        self.happened.tell(waiters);
        waiters.wake_some(Awaited::Task, self.ready.len());
    }
}
