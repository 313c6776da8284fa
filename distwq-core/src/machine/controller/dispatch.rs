//! What it takes to run a task, as a worker is told.

use super::copies::Copies;
use super::outbox::Outbox;
use super::table::{Entry, Output, Table};
use super::workers::Workers;
use crate::codec::frame::Frame;
use crate::codec::{self, Payload};
use crate::function::argument::{Input, InputPlace};
use crate::function::registry::{FunctionId, Registry, Remote};
use crate::id::{Rank, TaskId, WorkerId};
use crate::wire::message::{Run, RunInput, SHORT_BYTES_MAX, Source, ToWorker};
use smallvec::SmallVec;
use std::ptr;

/// Encodes a task whose arguments are few bytes, all of them here, and for it alone: to the worker it makes no
/// difference then whether they came as values or are outputs of other tasks. False if it is no such task, or if
/// there is more to say of it.
#[inline]
pub(super) fn run_shortly(
    out: &mut Outbox,
    table: &Table,
    functions: &mut Functions,
    task: TaskId,
    worker: WorkerId,
    attempt: u32,
) -> bool {
    let (entry, remote, plain) = startable(table, task);
    if entry.described(attempt).is_some() {
        return false;
    }
    let function = functions.id_of(remote);
    out.run_shortly(worker, task, function, |body| match table.inputs(entry) {
        [] => (plain.len() <= SHORT_BYTES_MAX).then(|| plain.append_to(body)),
        inputs => push_arguments(table, remote, plain.as_slice(), inputs, body),
    })
}

/// Where values are, as seen by the controller.
pub(super) struct Whereabouts<'a> {
    pub(super) table: &'a Table,
    pub(super) workers: &'a Workers,
    pub(super) copies: &'a Copies,
    pub(super) here: Rank,
    pub(super) inline_bytes_max: u64,
}

impl<'a> Whereabouts<'a> {
    /// Encodes a task for a worker: small inputs travel with it, large ones are named with who holds them. Gives the
    /// values of which the worker will keep a copy.
    pub(super) fn run(
        &self,
        out: &mut Outbox,
        functions: &mut Functions,
        (task, worker, attempt): (TaskId, WorkerId, u32),
        message: impl FnOnce(Run<'a>) -> ToWorker<'a>,
    ) -> Vec<TaskId> {
        let (entry, remote, plain) = startable(self.table, task);
        let function = functions.id_of(remote);
        let mut copied = Vec::new();
        let run = |frame: &mut Frame| {
            let plain = frame.blob(plain);
            let mut inputs = SmallVec::new();
            let arguments = self.table.inputs(entry);
            for arguments in arguments.chunk_by(|one, next| one.place.parameter == next.place.parameter) {
                let InputPlace { parameter, gathered, .. } = arguments[0].place;
                let mut values = SmallVec::with_capacity(arguments.len());
                for argument in arguments {
                    let shared = remote.shares(parameter);
                    let source = self.source_of(argument.source, worker, shared, frame, &mut copied);
                    values.push((argument.source, source));
                }
                inputs.push(RunInput { parameter, gathered, values });
            }
            Run { task, function, plain, inputs, described: entry.described(attempt) }
        };
        out.run(worker, run, message);
        copied
    }

    /// Where a worker gets a value from. What it will keep is noted in `copied`.
    fn source_of(
        &self,
        value: TaskId,
        worker: WorkerId,
        shared: bool,
        frame: &mut Frame,
        copied: &mut Vec<TaskId>,
    ) -> Source<'a> {
        let table: &'a Table = self.table;
        let entry = table.get(value).expect("an input does not go before its consumer");
        let is_there = || self.copies.has(value, worker);
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
