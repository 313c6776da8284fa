//! All tasks and values that somebody still needs, by their slots.

use super::input::{Encoded, Watch};
use super::slices::{Slice, SliceArena};
use super::watches::{LinkId, WatchedEnd};
use crate::codec::Payload;
use crate::function::argument::Input;
use crate::function::registry::Remote;
use crate::id::{GraphRunId, TaskId, TaskSlot, WorkerId};
use crate::machine::Ns;
use crate::memory::buffers;
use crate::outcome::error::{PathStep, TaskError};
use crate::outcome::info::TaskState;
use crate::wire::attempt::Given;
use std::sync::Arc;

/// What the controller knows of one task or value. There may be millions: what few have
/// lies apart.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) serial: u32,
    /// The function; a value has none.
    pub(super) function: Option<&'static Remote>,
    pub(super) output: Output,
    /// The arguments that came as values while the task has not ended; then its output,
    /// if the bytes are here.
    pub(super) payload: Payload,
    /// While the task has not ended, its arguments that are outputs of other tasks, in
    /// the order of the parameters: the bits of a [`Slice`]. From then on when that was
    /// heard of.
    inputs_or_received: u64,
    pub(super) label: Option<Box<str>>,
    /// Who ran the last attempt.
    pub(super) ran_on: RanOn,
    pub(super) attempts: u32,
    /// References of users to the task.
    pub(super) references: u32,
    pub(super) submitted_ns: u64,
    pub(super) started_ns: u64,
    pub(super) finished_ns: u64,
    /// The started graph that it belongs to.
    pub(super) graph_run: Option<GraphRunId>,
    /// The last of those whom its end is told to because they take tasks as they end.
    pub(super) watches: Option<LinkId>,
    /// Somebody waits for the end of this task.
    pub(super) watched: bool,
    /// It is made of items of a map.
    pub(super) of_map: bool,
}

/// Where an attempt ran.
#[derive(Clone, Debug, Default)]
pub(super) enum RanOn {
    #[default]
    Nowhere,
    Single(WorkerId),
    Group(Box<[WorkerId]>),
}

impl RanOn {
    pub(super) fn workers(&self) -> &[WorkerId] {
        match self {
            Self::Nowhere => &[],
            Self::Single(worker) => std::slice::from_ref(worker),
            Self::Group(workers) => workers,
        }
    }
}

/// What a task has given.
#[derive(Debug)]
pub(super) enum Output {
    /// Nothing yet.
    Pending,
    /// A value, here.
    Here,
    /// A value that stayed on a worker.
    Resident { by: WorkerId, bytes: u64, copy: HomeCopy },
    /// An error of its own.
    Failed(Arc<TaskError>),
    /// Nothing, because of an error upstream: that of the task of this step.
    Upstream(Arc<PathStep>),
}

/// What a task has ended with.
pub(super) enum Ended<'a> {
    /// A value that this worker has given; when the attempt began and ended.
    Value { given: Given<Encoded<'a>>, worker: WorkerId, times: (Ns, Ns) },
    /// None, and why.
    Nothing(Output),
}

/// Whether the bytes of a value that stayed on a worker are here as well.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum HomeCopy {
    /// No.
    None,
    /// The user has asked for them.
    Asked,
    /// Yes.
    Here,
}

impl Entry {
    /// What a slot holds that was never used.
    const VACANT: Self = Self {
        serial: NO_SERIAL,
        function: None,
        output: Output::Pending,
        payload: Payload::EMPTY,
        inputs_or_received: Slice::EMPTY.to_bits(),
        label: None,
        ran_on: RanOn::Nowhere,
        attempts: 0,
        references: 1,
        submitted_ns: 0,
        started_ns: 0,
        finished_ns: 0,
        graph_run: None,
        watches: None,
        watched: false,
        of_map: false,
    };

    /// How far the task is.
    pub(super) fn state(&self) -> TaskState {
        match &self.output {
            Output::Pending if self.attempts == 0 => TaskState::Waiting,
            Output::Pending => TaskState::Sent,
            Output::Here | Output::Resident { .. } => TaskState::Done,
            Output::Failed(error) if matches!(**error, TaskError::Cancelled { .. }) => TaskState::Cancelled,
            Output::Failed(_) | Output::Upstream(_) => TaskState::Failed,
        }
    }

    /// Makes it that of a new task with one reference, with nothing known of it yet.
    #[inline]
    fn begin(&mut self, serial: u32) {
        self.serial = serial;
        self.function = None;
        (self.attempts, self.references) = (0, 1);
        (self.submitted_ns, self.started_ns, self.finished_ns) = (0, 0, 0);
        (self.graph_run, self.watches, self.watched, self.of_map) = (None, None, false, false);
    }

    /// Lets go of all that it holds.
    #[inline]
    fn vacate(&mut self) {
        self.serial = NO_SERIAL;
        self.output = Output::Pending;
        self.payload.unshare();
        self.label = None;
        self.ran_on = RanOn::Nowhere;
    }

    /// An attempt begins on these workers. What is known of the one before is over.
    #[inline]
    pub(super) fn starts(&mut self, attempt: u32, ran_on: RanOn) {
        (self.attempts, self.ran_on) = (attempt, ran_on);
        if attempt > 1 {
            (self.started_ns, self.finished_ns) = (0, 0);
        }
    }

    /// The name of the function.
    pub(super) fn path(&self) -> &'static str {
        self.function.map_or("value", |remote| remote.path)
    }

    /// How a path names the task.
    pub(super) fn name(&self) -> String {
        let name = self.label().unwrap_or(self.path());
        format!("{name} {}", self.number())
    }

    /// The number for people.
    fn number(&self) -> String {
        if self.of_map { format!("#{} of the maps", self.serial & !OF_MAP) } else { format!("#{}", self.serial) }
    }

    /// The last attempt does not count if it has not begun, as far as is known.
    pub(super) fn forget_unbegun(&mut self) {
        if self.started_ns == 0 {
            (self.attempts, self.ran_on) = (self.attempts.saturating_sub(1), RanOn::Nowhere);
        }
    }

    pub(super) fn label(&self) -> Option<&str> {
        self.label.as_deref()
    }

    /// The task for people who look for it in a program: function, number, and label if
    /// it has one.
    pub(super) fn full_name(&self) -> String {
        let label = self.label().map_or_else(String::new, |label| format!(" {label:?}"));
        format!("{} {}{label}", self.path(), self.number())
    }

    /// The task has given this, on a worker.
    #[inline(always)]
    pub(super) fn give(&mut self, given: Given<Encoded<'_>>, worker: WorkerId) {
        self.output = match given {
            Given::Here(bytes) => {
                bytes.move_to(&mut self.payload);
                Output::Here
            }
            Given::Resident { bytes } => {
                self.payload = Payload::EMPTY;
                Output::Resident { by: worker, bytes, copy: HomeCopy::None }
            }
        };
    }

    /// A value that no task makes is there from now on.
    pub(super) fn give_value(&mut self, payload: Payload, now: Ns) {
        (self.output, self.payload) = (Output::Here, payload);
        (self.submitted_ns, self.started_ns, self.finished_ns) = (now, now, now);
        self.inputs_or_received = now;
    }

    /// When the end of the task was heard of, which was not before it: clocks of hosts
    /// may differ, and the time of a turn is that of its begin.
    pub(super) fn received_ns(&self) -> Option<Ns> {
        let has_ended = !matches!(self.output, Output::Pending);
        has_ended.then(|| self.inputs_or_received.max(self.finished_ns))
    }

    /// The size of the output; nothing has no bytes.
    pub(super) fn output_bytes(&self) -> u64 {
        match &self.output {
            Output::Here => self.payload.len() as u64,
            Output::Resident { bytes, .. } => *bytes,
            Output::Pending | Output::Failed(_) | Output::Upstream(_) => 0,
        }
    }

    /// What one is told who watches the task, which has ended.
    pub(super) fn watched_end(&self, watch: Watch) -> WatchedEnd {
        let &Self { submitted_ns, started_ns, finished_ns, .. } = self;
        WatchedEnd { watch, state: self.state(), submitted_ns, started_ns, finished_ns }
    }

    /// The bytes of the output that lie here.
    #[inline]
    pub(super) fn payload_here(&self) -> Option<&Payload> {
        matches!(self.output, Output::Here | Output::Resident { copy: HomeCopy::Here, .. }).then_some(&self.payload)
    }
}

/// Entries by slot; slots are used again.
#[derive(Default, Debug)]
pub(super) struct Table {
    /// Blocks of [`BLOCK`] entries, all but the last full: a table of any size grows
    /// without moving what it has.
    blocks: Vec<Vec<Entry>>,
    free: Vec<TaskSlot>,
    serial: u32,
    /// The last one of the tasks of maps, without [`OF_MAP`].
    serial_of_map: u32,
    inputs: SliceArena<Input<TaskId>>,
}

/// The serial of no task: that of a free slot.
const NO_SERIAL: u32 = 0;

/// The part of a serial that tells the tasks of maps from all others. They are counted by
/// themselves, because how many a map has hangs on how its items travel, and the numbers
/// of other tasks must not.
const OF_MAP: u32 = 1 << 31;

/// Entries in one block: enough that most of it can lie in huge pages.
const BLOCK: usize = 64 << 10;

/// From so many entries on huge pages are asked for.
const MANY: usize = 4 << 10;

impl Table {
    /// Makes an entry and gives its id. `fill` is given that of a task with one reference
    /// that never ran, and sets its payload.
    #[inline]
    pub(super) fn insert(&mut self, inputs: &[Input<TaskId>], fill: impl FnOnce(&mut Entry)) -> TaskId {
        self.serial = (self.serial.wrapping_add(1) & !OF_MAP).max(1);
        self.insert_as(self.serial, inputs, fill)
    }

    /// The same for a task that is made of items of a map.
    pub(super) fn insert_of_map(&mut self, inputs: &[Input<TaskId>], fill: impl FnOnce(&mut Entry)) -> TaskId {
        self.serial_of_map = self.serial_of_map.wrapping_add(1) & !OF_MAP;
        self.insert_as(self.serial_of_map | OF_MAP, inputs, fill)
    }

    #[inline(always)]
    fn insert_as(&mut self, serial: u32, inputs: &[Input<TaskId>], fill: impl FnOnce(&mut Entry)) -> TaskId {
        let slot = self.free.pop().unwrap_or_else(|| self.append());
        let entry = &mut self.blocks[slot.index() / BLOCK][slot.index() % BLOCK];
        entry.begin(serial);
        entry.inputs_or_received = self.inputs.add(inputs).to_bits();
        fill(entry);
        slot.task(serial)
    }

    /// Makes room for the inputs of tasks that come, each in a run of a power of two, and
    /// says how many of these tasks will have slots that were never used.
    pub(super) fn reserve(&mut self, tasks: usize, inputs_room: usize) -> usize {
        self.inputs.reserve(inputs_room);
        tasks.saturating_sub(self.free.len())
    }

    /// A slot that was never used.
    #[inline(never)]
    fn append(&mut self) -> TaskSlot {
        if self.blocks.last().is_none_or(|block| block.len() == BLOCK) {
            self.blocks.push(Vec::with_capacity(BLOCK));
        }
        let before = (self.blocks.len() - 1) * BLOCK;
        let block = &mut self.blocks[before / BLOCK];
        // The first block is that of small runs, which are better off with small pages.
        let huge_from = if before == 0 { MANY } else { 0 };
        if block.len() == huge_from {
            buffers::ask_for_huge_pages(block);
        }
        block.push(Entry::VACANT);
        TaskSlot::new((before + block.len() - 1) as u32)
    }

    #[inline]
    pub(super) fn get(&self, task: TaskId) -> Option<&Entry> {
        let index = task.slot()?.index();
        let entry = self.blocks.get(index / BLOCK)?.get(index % BLOCK)?;
        (entry.serial == task.serial()).then_some(entry)
    }

    #[inline]
    pub(super) fn get_mut(&mut self, task: TaskId) -> Option<&mut Entry> {
        find_mut(&mut self.blocks, task)
    }

    /// The arguments of a task that has not ended which are outputs of other tasks.
    #[inline]
    pub(super) fn inputs(&self, entry: &Entry) -> &[Input<TaskId>] {
        debug_assert!(matches!(entry.output, Output::Pending), "what has ended has no inputs");
        self.inputs.get(Slice::from_bits(entry.inputs_or_received))
    }

    /// The entry of a task whose end is heard of now: what only others need is gone.
    #[inline(always)]
    pub(super) fn end(&mut self, task: TaskId, now: Ns) -> Option<&mut Entry> {
        let entry = find_mut(&mut self.blocks, task)?;
        if matches!(entry.output, Output::Pending) {
            self.inputs.remove(Slice::from_bits(entry.inputs_or_received));
        }
        entry.inputs_or_received = now;
        Some(entry)
    }

    /// Drops an entry: nothing in it is a user's own, so that may happen under the lock.
    #[inline]
    pub(super) fn remove(&mut self, task: TaskId) {
        if let Some(entry) = self.get_mut(task) {
            entry.vacate();
            self.free.extend(task.slot());
        }
    }

    /// The values that stayed on a worker. Looks at all entries.
    pub(super) fn on_worker(&self, worker: WorkerId) -> Vec<TaskId> {
        let is_there = |entry: &Entry| matches!(entry.output, Output::Resident { by, .. } if by == worker);
        let slots = (0..).zip(self.blocks.iter().flatten());
        let there = slots.filter(|(_, entry)| entry.serial != NO_SERIAL && is_there(entry));
        there.map(|(slot, entry)| TaskId::new(slot, entry.serial)).collect()
    }

    /// How many tasks have inputs noted.
    #[cfg(any(test, feature = "simulation"))]
    pub(super) fn slices(&self) -> usize {
        self.inputs.used()
    }

    /// Whether there is this task, and it has not ended.
    pub(super) fn is_pending(&self, task: TaskId) -> bool {
        self.get(task).is_some_and(|entry| matches!(entry.output, Output::Pending))
    }

    /// The tasks of this kind that have not ended. Looks at all entries.
    pub(super) fn pending(&self, is_meant: impl Fn(&Entry) -> bool) -> Vec<TaskId> {
        let slots = (0..).zip(self.blocks.iter().flatten());
        let is_pending = |entry: &Entry| entry.serial != NO_SERIAL && matches!(entry.output, Output::Pending);
        let pending = slots.filter(|(_, entry)| is_pending(entry) && is_meant(entry));
        pending.map(|(slot, entry)| TaskId::new(slot, entry.serial)).collect()
    }

    /// Those of a graph.
    pub(super) fn pending_of_graph(&self, graph_run: GraphRunId) -> Vec<TaskId> {
        self.pending(|entry| entry.graph_run == Some(graph_run))
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Entry> {
        self.blocks.iter().flatten().filter(|entry| entry.serial != NO_SERIAL)
    }
}

/// The entry of a task that has not gone; beside it the rest of the table can be used.
#[inline]
fn find_mut(blocks: &mut [Vec<Entry>], task: TaskId) -> Option<&mut Entry> {
    let index = task.slot()?.index();
    let entry = blocks.get_mut(index / BLOCK)?.get_mut(index % BLOCK)?;
    (entry.serial == task.serial()).then_some(entry)
}
