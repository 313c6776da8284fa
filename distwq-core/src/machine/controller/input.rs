//! All that can happen to the controller.

use super::references::ReferenceNote;
use crate::codec::frame::Frame;
use crate::codec::{Payload, PayloadWriter};
use crate::function::argument;
use crate::function::registry::Remote;
use crate::function::remote::Failure;
use crate::id::{CollectorId, GraphRunId, Origin, Rank, TaskId};
use crate::machine::Ns;
use crate::outcome::failure::RetryOn;
use crate::task::items::Items;

/// What has happened.
pub(crate) enum Input<'a> {
    /// A frame has come from a worker.
    Frame { from: Rank, frame: &'a Frame },
    /// A user adds a task whose parts have been checked.
    /// [`Outbox::added`](super::Outbox::added) is its id then.
    Task { new: &'a NewTask<'a>, plain: Encoded<'a> },
    /// The same of items of a map.
    Items { new: &'a NewTask<'a>, plain: Encoded<'a>, of: ItemsOfMap<'a> },
    /// A user gives a value, whose id is found there too.
    Value { payload: Payload },
    /// A user starts a graph; its tasks and values follow one by one, dependencies first.
    /// [`Outbox::graph_run`](super::Outbox::graph_run) is its id then.
    /// `cancels`: when a task of it fails, all others are cancelled.
    GraphBegins { size: GraphSize, cancels: bool },
    /// All of them have come.
    GraphEnds,
    /// Handles were cloned and dropped. What is counted is taken out.
    References { notes: &'a mut Vec<ReferenceNote> },
    /// A user waits for the output of a task.
    Awaited { task: TaskId },
    /// The end of a task, of which the user has a handle, is to be told:
    /// [`Outbox::ended`](super::Outbox::ended).
    Watch { task: TaskId, watch: Watch },
    /// A user does not want these tasks any more; some may have ended.
    Cancel { tasks: &'a [TaskId] },
    /// The same of all tasks of a graph.
    CancelGraph { graph_run: GraphRunId },
    /// The same of all tasks.
    CancelAll,
    /// A signal asks for the end: the same of all tasks, and those that are added later
    /// are cancelled at once.
    Interrupted,
    /// These tasks have to end by this time; some may have ended.
    Deadline { tasks: &'a [TaskId], at: Ns },
    /// The same of all tasks of a graph.
    GraphDeadline { graph_run: GraphRunId, at: Ns },
    /// All have to, and those that are added later end at once.
    TimeLimit { at: Ns },
    /// A user waits until [more tasks](super::Controller::has_room) may be queued.
    RoomWanted,
    /// A user asks what all workers hold and run.
    ReportsWanted,
    /// The states of the slots were to be made within this time.
    StatesOverdue { limit_ms: u128 },
    /// A user asks what the states of all slots were made to: they end.
    FinalsWanted,
    /// No tasks are taken any more.
    Closing,
    /// The same, and those that were are cancelled. Those that run are waited for only so
    /// long that they need not be told.
    ClosingNow,
    /// After [`ClosingNow`](Self::ClosingNow): nobody waits any more for the tasks that
    /// have not ended. [`Stop`](Self::Stop) or [`Exit`](Self::Exit) follows.
    LeavesBehind,
    /// A worker is gone: nothing that it was told or asked is answered. Frames of it may
    /// still come.
    #[cfg_attr(
        not(any(test, feature = "simulation")),
        allow(dead_code, reason = "what drives the machine ends the run when a process is lost")
    )]
    Lost { rank: Rank },
    /// All that had come was handled: deadlines that have come are looked at, and what
    /// the workers are told goes out.
    TurnEnds,
    /// The run is over. That is the last that this rank sends: ranks join in the end once
    /// what they have sent is out.
    Stop { failed: bool },
    /// The process exits. Like [`Stop`](Self::Stop), it is the last that this rank sends.
    Exit,
    /// All ranks have joined in the end.
    Closed,
}

/// Whom the end of a task is told to, and as which of his tasks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Watch {
    pub(crate) collector: CollectorId,
    pub(crate) index: u32,
}

/// How much a graph has.
#[derive(Clone, Copy, Debug)]
pub(crate) struct GraphSize {
    pub(crate) tasks: usize,
    /// Values that no task makes.
    pub(crate) values: usize,
    /// How often a task or value is named as one that comes first.
    pub(crate) dependencies: usize,
    /// Room for the inputs of all tasks, each in a run of a power of two.
    pub(crate) inputs_room: usize,
}

/// A task to be taken.
pub(crate) struct NewTask<'a> {
    pub(crate) remote: &'static Remote,
    pub(crate) inputs: &'a [argument::Input<TaskId>],
    /// What few tasks say.
    pub(crate) options: Option<&'a Options<'a>>,
    /// Tasks that come first without being arguments.
    pub(crate) before: &'a [TaskId],
    /// How many tasks the longest path has that hangs on it.
    pub(crate) level: u32,
    pub(crate) origin: Origin,
    /// Whom its end is told to.
    pub(crate) watch: Option<Watch>,
}

/// Items of a map that make one task.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ItemsOfMap<'a> {
    pub(crate) items: Items,
    /// It is one that has failed among others.
    pub(crate) failed: Option<FailedItem<'a>>,
}

/// An item that has failed among others, and goes again.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FailedItem<'a> {
    /// The task of all of them, which has a handle.
    pub(crate) with: TaskId,
    /// What the item has failed of.
    pub(crate) failure: &'a Failure,
}

/// What a task may say besides its function, its arguments and what comes before it.
#[derive(Clone, Copy, Default, Debug)]
pub(crate) struct Options<'a> {
    pub(crate) label: Option<&'a str>,
    pub(crate) follow: Option<TaskId>,
    pub(crate) ranks: Option<u32>,
    pub(crate) priority: i32,
    pub(crate) retries: u32,
    pub(crate) terms: Terms,
}

/// For how long a task may wait and run, and when it is tried again. Times are in
/// nanoseconds.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub(crate) struct Terms {
    pub(crate) run_limit_ns: Option<Ns>,
    pub(crate) wait_limit_ns: Option<Ns>,
    pub(crate) backoff_ns: Ns,
    pub(crate) retry_on: RetryOn,
}

impl Terms {
    /// Those of a task that asks for nothing.
    pub(crate) const NONE: Self =
        Self { run_limit_ns: None, wait_limit_ns: None, backoff_ns: 0, retry_on: RetryOn::DEFAULT };
}

/// Encoded bytes, wherever they are now: the arguments of a task that came as values, one
/// after another; or a value.
pub(crate) enum Encoded<'a> {
    /// Where they were written. They are taken out.
    Written(&'a mut PayloadWriter),
    Few(&'a [u8]),
    Many(Payload),
}

impl Encoded<'_> {
    /// How many bytes.
    #[inline]
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Written(writer) => writer.len(),
            Self::Few(bytes) => bytes.len(),
            Self::Many(payload) => payload.len(),
        }
    }

    pub(crate) fn into_payload(self) -> Payload {
        let mut payload = Payload::EMPTY;
        self.move_to(&mut payload);
        payload
    }

    /// Moves the bytes to where they stay.
    #[inline(always)]
    pub(crate) fn move_to(self, target: &mut Payload) {
        match self {
            Self::Written(writer) => writer.move_to(target),
            Self::Few(bytes) => target.set(bytes),
            Self::Many(payload) => *target = payload,
        }
    }
}

/// What threads of the user wait for. Of several the one with the greatest drives: it is
/// likely to wait for longest.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Awaited {
    /// The output of a task, or its end.
    Task(TaskId),
    /// The end of one of the tasks that are collected together, or of all.
    Collected(CollectorId),
    /// Fewer tasks being queued than may be.
    Room,
    /// The reports of all workers.
    Reports,
    /// The states of all slots being made, or what they were made to.
    States,
    /// The end of a graph.
    GraphRun(GraphRunId),
    /// The end of all tasks.
    Drained,
    /// All ranks having joined in the end.
    Closed,
}
