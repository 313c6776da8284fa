//! Carries out what the scheduler says: ids become messages here.

use super::engine::ControllerEngine;
use super::table::{Entry, Output, Place, Table};
use crate::call::{Input, InputPlace};
use crate::codec::{self, Payload};
use crate::error::plural;
use crate::frame::Frame;
use crate::id::{TaskId, WorkerId};
use crate::machine::scheduler::{Action, End, Event, NextAction, Stall, Waits};
use crate::message::{self, Run, RunInput, SHORT_BYTES_MAX, Source, ToWorker};
use crate::registry::{FunctionId, Registry, Remote};
use smallvec::SmallVec;
use std::mem::take;
use std::ptr;

/// Entries of a stall that its message tells.
const WAITS_SHOWN_MAX: usize = 8;

impl ControllerEngine {
    /// Carries out all actions, in order, those included that follow from them.
    #[inline]
    pub(super) fn carry_out(&mut self) {
        if !self.actions.is_empty() {
            self.carry_out_all(None);
        }
    }

    fn carry_out_all(&mut self, stall: Option<&str>) {
        // The scheduler is not entered from here but for copies, which lead to no actions.
        while let Some(action) = self.actions.take_next() {
            match action {
                NextAction::Start(task, worker, attempt) => self.start(task, worker, attempt),
                // Settled when its output came.
                NextAction::Done(_) => {}
                NextAction::Release(task) => self.table.remove(task),
                NextAction::Rare => {
                    let action = self.actions.take_rare();
                    self.act(&action, stall);
                }
            }
        }
    }

    fn act(&mut self, action: &Action, stall: Option<&str>) {
        match action {
            Action::Start { task, worker, attempt } => self.start(*task, *worker, *attempt),
            Action::StartGroup { task, workers, attempt } => self.start_group(*task, workers, *attempt),
            Action::TakeBack { worker, tasks } => self.post(*worker, &ToWorker::TakeBack { tasks: tasks.clone() }),
            Action::Ended { task, end } => self.ended(*task, *end, stall),
            Action::Release { task, holders } => self.let_go(*task, holders),
        }
    }

    /// Ends all that waits for what cannot come, saying who waits for what.
    pub(super) fn give_up(&mut self, stall: &Stall) {
        let message = self.describe_stall(stall);
        self.note_to_scheduler(Event::GiveUp);
        self.carry_out_all(Some(&message));
    }

    fn ended(&mut self, task: TaskId, end: End, stall: Option<&str>) {
        let failure = match end {
            End::Failed => self.failures.remove(&task),
            _ => None,
        };
        self.failed(task, end, failure, stall);
    }

    #[inline(never)]
    fn start(&mut self, task: TaskId, worker: WorkerId, attempt: u32) {
        let prompt = self.submitting && self.workers[worker.index()].in_flight == 0 && self.goes_at_once();
        if self.push_short(task, worker, attempt) {
            self.pushed(worker);
        } else {
            #[expect(clippy::redundant_closure, reason = "the variant itself is for one lifetime only")]
            self.push_run(task, worker, attempt, |run| ToWorker::Run(run));
        }
        if let Some(entry) = self.table.get_mut(task) {
            entry.attempts = attempt;
            entry.place = Place::Single(worker);
        }
        if prompt {
            self.flush_to(worker);
        }
    }

    /// Encodes a task whose arguments are few bytes, all of them here, and for it alone: to the worker it makes no
    /// difference then whether they came as values or are outputs of other tasks. False if it is no such task, or if
    /// there is more to say of it.
    #[inline]
    fn push_short(&mut self, task: TaskId, worker: WorkerId, attempt: u32) -> bool {
        let Self { table, workers, functions, .. } = self;
        let (entry, remote, plain) = startable(table, task);
        if entry.described(attempt).is_some() {
            return false;
        }
        let function = functions.id_of(remote);
        let body = &mut workers[worker.index()].out.body;
        message::push_run(body, task, function, |body| match table.inputs(entry) {
            [] => (plain.len() <= SHORT_BYTES_MAX).then(|| plain.append_to(body)),
            inputs => push_arguments(table, remote, plain.as_slice(), inputs, body),
        })
    }

    /// Encodes a task for a worker: small inputs travel with it, large ones are named with who holds them.
    pub(super) fn push_run(
        &mut self,
        task: TaskId,
        worker: WorkerId,
        attempt: u32,
        message: impl for<'a> FnOnce(Run<'a>) -> ToWorker<'a>,
    ) {
        // Attachments are numbered as they are met, so they are gathered on the side.
        let mut frame = take(&mut self.workers[worker.index()].out);
        let (entry, remote, plain) = startable(&self.table, task);
        let function = self.functions.id_of(remote);
        let plain = frame.blob(plain);
        let mut inputs = SmallVec::new();
        let mut copied = Vec::new();
        for arguments in self.table.inputs(entry).chunk_by(|one, next| one.place.parameter == next.place.parameter) {
            let InputPlace { parameter, gathered, .. } = arguments[0].place;
            let mut values = SmallVec::with_capacity(arguments.len());
            for argument in arguments {
                let shared = remote.shares(parameter);
                let source = self.source_of(argument.source, worker, shared, &mut frame, &mut copied);
                values.push((argument.source, source));
            }
            inputs.push(RunInput { parameter, gathered, values });
        }
        let message = message(Run { task, function, plain, inputs, described: entry.described(attempt) });
        frame.push(&message);
        drop(message);
        self.workers[worker.index()].out = frame;
        for value in copied {
            if self.copies.insert((value, worker)) {
                self.tell_scheduler_later(Event::Copied { task: value, worker });
            }
        }
        self.pushed(worker);
    }

    /// A task is on its way to a worker.
    #[inline]
    fn pushed(&mut self, worker: WorkerId) {
        self.in_flight += 1;
        let place = &mut self.workers[worker.index()];
        place.in_flight += 1;
        place.count_message(&mut self.unsent);
        if !place.out.attachments.is_empty() || place.out_count >= super::engine::BATCH_COUNT {
            self.flush_to(worker);
        }
    }

    /// The scheduler must not be entered while its actions are carried out; a copy has no consequences that
    /// could not wait, so it may be told at once.
    fn tell_scheduler_later(&mut self, event: Event<'_>) {
        let fits = self.scheduler.handle(self.now_ns, event, &mut self.actions);
        debug_assert!(fits, "a value that is an input has not gone");
    }

    /// Where a worker gets a value from. What it will keep is noted in `copied`.
    fn source_of<'a>(
        &'a self,
        value: TaskId,
        worker: WorkerId,
        shared: bool,
        frame: &mut Frame,
        copied: &mut Vec<TaskId>,
    ) -> Source<'a> {
        let entry = self.table.get(value).expect("an input does not go before its consumer");
        let is_here = || self.copies.contains(&(value, worker));
        match &entry.output {
            Output::Here if entry.payload.len() as u64 <= self.limits.inline_bytes_max && !(shared && is_here()) => {
                if shared {
                    copied.push(value);
                }
                Source::Inline { bytes: frame.blob(&entry.payload), keep: shared }
            }
            // The worker looks at home first, and asks who has it for certain.
            Output::Here => {
                copied.push(value);
                Source::Held { by: self.transport.rank() }
            }
            Output::Resident { by, .. } => {
                if *by != worker {
                    copied.push(value);
                }
                Source::Held { by: self.workers[by.index()].rank }
            }
            Output::Pending | Output::Failed(_) | Output::Upstream(_) => {
                unreachable!("a task starts when its inputs have values")
            }
        }
    }

    /// Nobody needs the task any more.
    #[inline(never)]
    fn let_go(&mut self, task: TaskId, holders: &[WorkerId]) {
        for holder in holders {
            self.copies.remove(&(task, *holder));
            self.post(*holder, &ToWorker::Forget { values: vec![task] });
        }
        self.table.remove(task);
    }

    fn describe_stall(&self, stall: &Stall) -> String {
        let name = |task: TaskId| self.table.get(task).map_or_else(|| task.to_string(), Entry::name);
        let mut waits = stall.waits.iter().map(|(task, waits)| {
            let what = match waits {
                Waits::Workers { wanted, living } => {
                    format!("{} (the cluster has {living})", plural(*wanted, "worker"))
                }
                Waits::Worker(worker) => worker.to_string(),
                Waits::Task(other) => name(*other),
            };
            format!("{} waits for {what}", name(*task))
        });
        let shown: Vec<String> = waits.by_ref().take(WAITS_SHOWN_MAX).collect();
        format!("{} left; {}", plural(stall.pending, "task"), shown.join("; "))
    }
}

/// What a task that starts is made of: its entry, its function, the arguments that came as values.
#[inline]
fn startable(table: &Table, task: TaskId) -> (&Entry, &'static Remote, &Payload) {
    let entry = table.get(task).expect("what starts has not gone");
    match (entry.function, &entry.output) {
        (Some(remote), Output::Pending) => (entry, remote, &entry.payload),
        _ => unreachable!("a value does not start, and a task not after its end"),
    }
}

/// The functions of the program, with the one that was looked up last: as a rule it is the next one too.
#[derive(Debug)]
pub(super) struct Functions {
    registry: &'static Registry,
    last: Option<(&'static Remote, FunctionId)>,
}

impl Functions {
    pub(super) fn new(registry: &'static Registry) -> Self {
        Self { registry, last: None }
    }

    #[inline]
    fn id_of(&mut self, remote: &'static Remote) -> FunctionId {
        match self.last {
            Some((last, id)) if ptr::eq(last, remote) => id,
            _ => {
                let id = self.registry.id_of(remote).expect("every remote function is in the table");
                self.last = Some((remote, id));
                id
            }
        }
    }
}

/// Appends all arguments in the order of the parameters, as if all had come as values. Nothing if one is not here, is
/// to be shared, or they are too many bytes; what was appended by then is left to the caller.
fn push_arguments(
    table: &Table,
    remote: &Remote,
    plain: &[u8],
    inputs: &[Input<TaskId>],
    body: &mut Vec<u8>,
) -> Option<()> {
    let mut room = SHORT_BYTES_MAX.checked_sub(plain.len())?;
    let mut done = 0;
    let mut last = None;
    for (index, Input { source, place }) in inputs.iter().enumerate() {
        let input = table.get(*source)?;
        let (Output::Here, payload) = (&input.output, &input.payload) else { return None };
        if remote.shares(place.parameter) {
            return None;
        }
        room = room.checked_sub(payload.len())?;
        let offset = place.offset as usize;
        body.extend_from_slice(plain.get(done..offset)?);
        done = offset;
        if place.gathered && last != Some(place.parameter) {
            let same = inputs[index..].iter().take_while(|other| other.place.parameter == place.parameter);
            room = room.checked_sub(codec::SEQUENCE_LENGTH_BYTES)?;
            codec::encode_sequence_length(same.count(), body);
        }
        last = Some(place.parameter);
        payload.append_to(body);
    }
    body.extend_from_slice(&plain[done..]);
    Some(())
}
