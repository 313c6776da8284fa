//! What a handle and a call hold of a task. It knows nothing of types; [`Handle`](crate::Handle) adds them.

use crate::codec::Payload;
use crate::error::TaskError;
use crate::id::TaskId;
use crate::info::TaskInfo;
use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::Instant;

/// Where the ends of tasks are asked for: the controller, seen from a handle.
pub(crate) trait Outcomes: Send + Sync {
    /// Gives the output of a task, waiting for it until `deadline`; without one, until the task ends.
    fn wait(&self, task: TaskId, deadline: Option<Instant>, into: &mut Payload) -> Result<(), TaskError>;
    /// Whether the task has ended. Drives the engine for one turn, so that polling makes progress.
    fn is_done(&self, task: TaskId) -> bool;
    /// What is known of the task.
    fn info(&self, task: TaskId) -> TaskInfo;
    /// The error for an output that does not decode.
    fn undecodable(&self, task: TaskId, message: String) -> TaskError;
    /// There is one more reference to the task. Notes that and does nothing else, so it may happen anywhere.
    fn retained(&self, task: TaskId);
    /// There is one reference less. Notes that and does nothing else, so it may happen anywhere.
    fn dropped(&self, task: TaskId);
    /// Which cluster this is.
    fn session(&self) -> u64;
}

/// A task that a cluster has taken. The controller counts these, and keeps the value while there is one.
pub(crate) struct Bound {
    task: TaskId,
    outcomes: Arc<dyn Outcomes>,
}

impl Bound {
    /// The first of a task that was just taken: it is counted already.
    pub(crate) fn first(task: TaskId, outcomes: Arc<dyn Outcomes>) -> Self {
        Self { task, outcomes }
    }

    #[inline]
    pub(crate) fn task(&self) -> TaskId {
        self.task
    }

    #[inline]
    pub(crate) fn outcomes(&self) -> &dyn Outcomes {
        &*self.outcomes
    }
}

impl Clone for Bound {
    fn clone(&self) -> Self {
        self.outcomes.retained(self.task);
        Self { task: self.task, outcomes: Arc::clone(&self.outcomes) }
    }
}

impl Drop for Bound {
    fn drop(&mut self) {
        self.outcomes.dropped(self.task);
    }
}

/// A node of a graph.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Node {
    pub(crate) graph: u64,
    pub(crate) index: u32,
}

/// What the references to one node of a graph share: empty until the graph starts.
pub(crate) struct Cell {
    node: Node,
    binding: OnceLock<Result<Bound, Arc<TaskError>>>,
}

impl Cell {
    /// The cell of a node of a graph that has not started.
    pub(crate) fn new(graph: u64, index: u32) -> Arc<Self> {
        Arc::new(Self { node: Node { graph, index }, binding: OnceLock::new() })
    }

    /// Says what became of the node. Once only.
    pub(crate) fn bind(&self, to: Result<Bound, Arc<TaskError>>) {
        assert!(self.binding.set(to).is_ok(), "a node is bound once");
    }
}

/// One task as its handles see it.
#[derive(Clone)]
pub(crate) enum Reference {
    /// It runs, or has run.
    Task(Bound),
    /// It stands in a graph.
    Node(Arc<Cell>),
    /// It was not taken.
    Refused(Arc<TaskError>),
}

/// How far the task of a reference is.
pub(crate) enum State<'a> {
    /// A cluster has it.
    Bound(&'a Bound),
    /// Its graph has not been started.
    Unbound(Node),
    /// It was not taken.
    Refused(&'a Arc<TaskError>),
}

impl Reference {
    #[inline]
    pub(crate) fn state(&self) -> State<'_> {
        match self {
            Self::Task(bound) => State::Bound(bound),
            Self::Refused(error) => State::Refused(error),
            Self::Node(cell) => match cell.binding.get() {
                Some(Ok(bound)) => State::Bound(bound),
                Some(Err(error)) => State::Refused(error),
                None => State::Unbound(cell.node),
            },
        }
    }

    /// The node that it stands for, also once the graph has started.
    #[inline]
    pub(crate) fn node(&self) -> Option<Node> {
        match self {
            Self::Node(cell) => Some(cell.node),
            Self::Task(_) | Self::Refused(_) => None,
        }
    }

    /// The task.
    ///
    /// # Panics
    /// If no cluster has it.
    #[inline]
    pub(crate) fn task(&self) -> TaskId {
        match self.state() {
            State::Bound(bound) => bound.task,
            _ => unreachable!("dependencies are checked, and bound before what depends on them"),
        }
    }
}

impl fmt::Debug for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.state() {
            State::Bound(bound) => write!(f, "{}", bound.task),
            State::Refused(error) => write!(f, "refused: {error}"),
            State::Unbound(node) => write!(f, "node {}", node.index),
        }
    }
}
