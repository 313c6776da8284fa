//! What it takes to run a task, as a worker is told.

use super::ends::upstream;
use super::items::ItemsOfTasks;
use super::limits::Limits;
use super::outbox::Outbox;
use super::table::{Entry, Output, Table};
use super::workers::Workers;
use crate::codec::frame::Frame;
use crate::codec::{self, Payload};
use crate::function::argument::{ArgumentPosition, Input, Part, Role, Shape};
use crate::function::registry::{FunctionId, Registry, Remote};
use crate::function::remote::InputArgument;
use crate::id::{Rank, TaskId, WorkerId};
use crate::machine::scheduler::Scheduler;
use crate::outcome::error::TaskError;
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
    pub(super) limits: &'a Limits,
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
        let limit_ns = self.limits.run_limit_ns(task);
        let has_tail = label.is_some() || attempt > 1 || group.is_some() || entry.of_map || limit_ns.is_some();
        let items = || self.items_of(task, entry);
        let tail = has_tail.then(|| RunTail { label, attempt, limit_ns, group, items: items(), ..RunTail::empty() });
        let push = |body: &mut Vec<u8>| match self.table.inputs(entry) {
            [] => push_few(plain, body),
            inputs => self.push_arguments(remote, plain.as_slice(), inputs, body).is_some(),
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
        let errors = self.errors_taken(entry);
        let inputs = self.inputs(entry, remote, worker, &errors, out.frame(worker), &mut copied);
        let arguments = (plain.len() > BYTES_MAX).then(|| out.frame(worker).blob(plain));
        let (limit_ns, items) = (self.limits.run_limit_ns(task), self.items_of(task, entry));
        let tail = RunTail { arguments, inputs, label: entry.label(), attempt, limit_ns, group, items };
        let push = |body: &mut Vec<u8>| arguments.is_some() || push_few(plain, body);
        out.run(worker, fields, push, Some(&tail));
        copied
    }

    /// The items of a map that a task is made of, if it is.
    fn items_of(&self, task: TaskId, entry: &Entry) -> Option<Items> {
        if entry.of_map { self.items.get(task) } else { None }
    }

    /// The errors that are arguments, each with the task that has ended so, in the order
    /// of the arguments.
    fn errors_taken(&self, entry: &Entry) -> Vec<Payload> {
        let ends = self.table.inputs(entry).iter().filter(|input| input.position.role == Role::End);
        let errors = ends.filter_map(|input| self.error_of(self.table.get(input.source)?));
        errors.map(|error| codec::encode_plain(&error).expect("an error is plain data")).collect()
    }

    /// Why a task has no value, if it has ended without one.
    fn error_of(&self, entry: &Entry) -> Option<TaskError> {
        match &entry.output {
            Output::Failed(error) => Some((**error).clone()),
            Output::Upstream(step) => Some(upstream(step, entry.site(self.workers, None))),
            Output::Pending | Output::Here | Output::Resident { .. } => None,
        }
    }

    /// The inputs of a task as a worker is told of them; `errors` are those among them.
    fn inputs<'a>(
        &'a self,
        entry: &Entry,
        remote: &Remote,
        worker: WorkerId,
        errors: &'a [Payload],
        frame: &mut Frame,
        copied: &mut Vec<TaskId>,
    ) -> SmallVec<[InputArgument<Source<'a>>; 2]> {
        let mut inputs = SmallVec::new();
        let mut errors = errors.iter();
        let arguments = self.table.inputs(entry);
        for arguments in arguments.chunk_by(|one, next| one.position.parameter == next.position.parameter) {
            let ArgumentPosition { parameter, role, .. } = arguments[0].position;
            let shared = role.may_be_shared() && remote.shares(parameter);
            let mut values = SmallVec::with_capacity(arguments.len());
            for &Input { source: value, position } in arguments {
                let source = match errors.as_slice().first() {
                    Some(error) if position.role == Role::End && self.has_no_value(value) => {
                        errors.next();
                        Source::Inline { bytes: frame.blob(error), keep: false }
                    }
                    _ => self.source_of(value, worker, shared, frame, copied),
                };
                values.push((value, source));
            }
            inputs.push(InputArgument { parameter, shape: self.shape_of(arguments), values });
        }
        inputs
    }

    /// Whether a task has ended without a value.
    fn has_no_value(&self, task: TaskId) -> bool {
        let output = self.table.get(task).map(|entry| &entry.output);
        matches!(output, Some(Output::Failed(_) | Output::Upstream(_)))
    }

    /// How the outputs of one parameter make an argument.
    fn shape_of(&self, arguments: &[Input<TaskId>]) -> Shape {
        let part = |&Input { source, position }: &Input<TaskId>| {
            let tag = if self.has_no_value(source) { codec::ERR } else { codec::OK };
            Part { offset: position.offset, tag: (position.role == Role::End).then_some(tag) }
        };
        match arguments[0].position.role {
            Role::Whole => Shape::Whole,
            Role::Element => Shape::Gathered,
            Role::Part | Role::End => Shape::Composed(arguments.iter().map(part).collect()),
        }
    }

    /// Appends all arguments in the order of the parameters, as if all had come as
    /// values. Nothing if one is not here, is to be shared, or they are too many bytes;
    /// what was appended by then is left to the caller.
    #[inline(never)]
    fn push_arguments(
        &self,
        remote: &Remote,
        plain: &[u8],
        inputs: &[Input<TaskId>],
        body: &mut Vec<u8>,
    ) -> Option<()> {
        let mut room = BYTES_MAX.checked_sub(plain.len())?;
        let mut done = 0;
        let mut last = None;
        for (index, Input { source, position }) in inputs.iter().enumerate() {
            let input = self.table.get(*source)?;
            if position.role == Role::End {
                room = room.checked_sub(codec::VARIANT_BYTES)?;
            } else if !matches!(input.output, Output::Here) {
                return None;
            }
            if position.role.may_be_shared() && remote.shares(position.parameter) {
                return None;
            }
            let offset = position.offset as usize;
            body.extend_from_slice(plain.get(done..offset)?);
            done = offset;
            if position.role == Role::Element && last != Some(position.parameter) {
                let same = inputs[index..].iter().take_while(|other| other.position.parameter == position.parameter);
                room = room.checked_sub(codec::SEQUENCE_LENGTH_BYTES)?;
                codec::encode_sequence_length(same.count(), body);
            }
            last = Some(position.parameter);
            if position.role == Role::End {
                room = room.checked_sub(self.push_end(input, room, body)?)?;
            } else {
                room = room.checked_sub(input.payload.len())?;
                input.payload.append_to(body);
            }
        }
        body.extend_from_slice(&plain[done..]);
        Some(())
    }

    /// Appends the end of a task, and says how many bytes its value or error has. Nothing
    /// if that is a value that is not here, or too large.
    fn push_end(&self, entry: &Entry, room: usize, body: &mut Vec<u8>) -> Option<usize> {
        let before = match &entry.output {
            Output::Here if entry.payload.len() <= room => {
                codec::encode_variant(codec::OK, body);
                let before = body.len();
                entry.payload.append_to(body);
                before
            }
            _ => {
                let error = self.error_of(entry)?;
                codec::encode_variant(codec::ERR, body);
                let before = body.len();
                codec::encode_into(&error, body).expect("an error is plain data");
                before
            }
        };
        Some(body.len() - before)
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
                unreachable!("a task starts when its inputs have values, or takes their ends")
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
