//! What it takes to run a task, as a worker is told.

use super::items::ItemsOfTasks;
use super::outbox::Outbox;
use super::table::{Entry, Output, Table};
use super::workers::Workers;
use crate::codec::frame::Frame;
use crate::codec::{self, Payload};
use crate::function::argument::{ArgumentPosition, Input};
use crate::function::registry::{FunctionId, Registry, Remote};
use crate::function::remote::InputArgument;
use crate::id::{Rank, TaskId, WorkerId};
use crate::machine::scheduler::Scheduler;
use crate::task::items::Items;
use crate::wire::attempt::{BYTES_MAX, GroupOfRun, RunFields, RunTail, Source};
use smallvec::SmallVec;
use std::ptr;

/// An attempt that starts.
#[derive(Clone, Copy)]
pub(super) struct Start<'a> {
    pub(super) task: TaskId,
    pub(super) worker: WorkerId,
    /// Counted from 1.
    pub(super) attempt: u32,
    /// The worker runs it as a member of this group.
    pub(super) group: Option<GroupOfRun<'a>>,
}

/// Where values are, as seen by the controller.
pub(super) struct Whereabouts<'a> {
    pub(super) table: &'a Table,
    pub(super) workers: &'a Workers,
    pub(super) scheduler: &'a Scheduler,
    pub(super) items: &'a ItemsOfTasks,
    pub(super) here: Rank,
    pub(super) inline_bytes_max: u64,
}

impl Whereabouts<'_> {
    /// Tells a worker to run a task. Gives the values of which the worker will keep a
    /// copy.
    ///
    /// Arguments that are few bytes, all of them here and for this task alone, go behind
    /// the header: to the worker it makes no difference then whether they came as values
    /// or are outputs of other tasks. Otherwise small inputs travel in the tail, and
    /// large ones are named there with who holds them.
    #[inline(always)]
    pub(super) fn run(&self, out: &mut Outbox, functions: &mut Functions, start: Start<'_>) -> Vec<TaskId> {
        let Start { task, worker, attempt, group } = start;
        let (entry, remote, plain) = startable(self.table, task);
        let function = functions.id_of(remote);
        let label = entry.label();
        let has_tail = label.is_some() || attempt > 1 || group.is_some() || entry.of_map;
        let tail = has_tail.then(|| RunTail::new(label, attempt, group, self.items_of(task, entry)));
        let push = |body: &mut Vec<u8>| match self.table.inputs(entry) {
            [] => push_few(plain, body),
            inputs => push_arguments(self.table, remote, plain.as_slice(), inputs, body).is_some(),
        };
        if out.run(worker, RunFields::new(task, function), push, tail.as_ref()) {
            return Vec::new();
        }
        self.run_with_inputs(out, RunFields::new(task, function), start)
    }

    /// The same for a task whose arguments do not all go behind the header.
    #[inline(never)]
    fn run_with_inputs(&self, out: &mut Outbox, fields: RunFields, start: Start<'_>) -> Vec<TaskId> {
        let Start { task, worker, attempt, group } = start;
        let (entry, remote, plain) = startable(self.table, task);
        let mut copied = Vec::new();
        let inputs = self.inputs(entry, remote, worker, out.frame(worker), &mut copied);
        let arguments = (plain.len() > BYTES_MAX).then(|| out.frame(worker).blob(plain));
        let items = self.items_of(task, entry);
        let tail = RunTail { arguments, inputs, label: entry.label(), attempt, group, items };
        let push = |body: &mut Vec<u8>| arguments.is_some() || push_few(plain, body);
        out.run(worker, fields, push, Some(&tail));
        copied
    }

    /// The items of a map that a task is made of, if it is.
    fn items_of(&self, task: TaskId, entry: &Entry) -> Option<Items> {
        if entry.of_map { self.items.get(task) } else { None }
    }

    /// The inputs of a task as a worker is told of them.
    fn inputs<'a>(
        &'a self,
        entry: &Entry,
        remote: &Remote,
        worker: WorkerId,
        frame: &mut Frame,
        copied: &mut Vec<TaskId>,
    ) -> SmallVec<[InputArgument<Source<'a>>; 2]> {
        let mut inputs = SmallVec::new();
        let arguments = self.table.inputs(entry);
        for arguments in arguments.chunk_by(|one, next| one.position.parameter == next.position.parameter) {
            let ArgumentPosition { parameter, gathered, .. } = arguments[0].position;
            let mut values = SmallVec::with_capacity(arguments.len());
            for argument in arguments {
                let source = self.source_of(argument.source, worker, remote.shares(parameter), frame, copied);
                values.push((argument.source, source));
            }
            inputs.push(InputArgument { parameter, gathered, values });
        }
        inputs
    }

    /// Where a worker gets a value from. What it will keep is noted in `copied`.
    fn source_of(
        &self,
        value: TaskId,
        worker: WorkerId,
        shared: bool,
        frame: &mut Frame,
        copied: &mut Vec<TaskId>,
    ) -> Source<'_> {
        let entry = self.table.get(value).expect("an input does not go before its consumer");
        let is_there = || self.scheduler.has_copy(value, worker);
        match &entry.output {
            Output::Here if entry.payload.len() as u64 <= self.inline_bytes_max && !(shared && is_there()) => {
                if shared {
                    copied.push(value);
                }
                Source::Inline { bytes: frame.blob(&entry.payload), keep: shared }
            }
            // The worker looks at home first, and asks who has it for certain.
            Output::Here => {
                copied.push(value);
                Source::Held { by: self.here }
            }
            Output::Resident { by, .. } => {
                if *by != worker {
                    copied.push(value);
                }
                Source::Held { by: self.workers.rank(*by) }
            }
            Output::Pending | Output::Failed(_) | Output::Upstream(_) => {
                unreachable!("a task starts when its inputs have values")
            }
        }
    }
}

/// What a task that starts is made of: its entry, its function, the arguments that came
/// as values.
#[inline]
fn startable(table: &Table, task: TaskId) -> (&Entry, &'static Remote, &Payload) {
    let entry = table.get(task).expect("what starts has not gone");
    match (entry.function, &entry.output) {
        (Some(remote), Output::Pending) => (entry, remote, &entry.payload),
        _ => unreachable!("a value does not start, and a task not after its end"),
    }
}

/// The functions of the program, with the one that was looked up last: as a rule it is
/// the next one too.
#[derive(Debug)]
pub(super) struct Functions {
    registry: &'static Registry,
    last: Option<(&'static Remote, FunctionId)>,
}

impl Functions {
    pub(super) fn new(registry: &'static Registry) -> Self {
        Self { registry, last: None }
    }

    /// How many there are.
    pub(super) fn count(&self) -> usize {
        self.registry.functions().len()
    }

    /// The path of a function.
    pub(super) fn path(&self, function: FunctionId) -> &'static str {
        self.registry.function(function).map_or("unknown", |remote| remote.path)
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

/// Appends the arguments that came as values, if they are few bytes.
#[inline]
fn push_few(plain: &Payload, body: &mut Vec<u8>) -> bool {
    let are_few = plain.len() <= BYTES_MAX;
    if are_few {
        plain.append_to(body);
    }
    are_few
}

/// Appends all arguments in the order of the parameters, as if all had come as values.
/// Nothing if one is not here, is to be shared, or they are too many bytes; what was
/// appended by then is left to the caller.
#[inline(never)]
fn push_arguments(
    table: &Table,
    remote: &Remote,
    plain: &[u8],
    inputs: &[Input<TaskId>],
    body: &mut Vec<u8>,
) -> Option<()> {
    let mut room = BYTES_MAX.checked_sub(plain.len())?;
    let mut done = 0;
    let mut last = None;
    for (index, Input { source, position }) in inputs.iter().enumerate() {
        let input = table.get(*source)?;
        let (Output::Here, payload) = (&input.output, &input.payload) else { return None };
        if remote.shares(position.parameter) {
            return None;
        }
        room = room.checked_sub(payload.len())?;
        let offset = position.offset as usize;
        body.extend_from_slice(plain.get(done..offset)?);
        done = offset;
        if position.gathered && last != Some(position.parameter) {
            let same = inputs[index..].iter().take_while(|other| other.position.parameter == position.parameter);
            room = room.checked_sub(codec::SEQUENCE_LENGTH_BYTES)?;
            codec::encode_sequence_length(same.count(), body);
        }
        last = Some(position.parameter);
        payload.append_to(body);
    }
    body.extend_from_slice(&plain[done..]);
    Some(())
}
