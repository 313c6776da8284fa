//! What a handle and a call hold of a task: a cell that is empty until the task has an id. It knows nothing of
//! types; [`Handle`](crate::Handle) adds them.

use crate::codec::Payload;
use crate::error::TaskError;
use crate::id::TaskId;
use crate::info::TaskInfo;
use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::Instant;

/// Where the ends of tasks are asked for: the controller, seen from a handle.
pub(crate) trait Outcomes: Send + Sync {
    /// The output of a task, waiting for it until `deadline`; without one, until the task ends.
    fn wait(&self, task: TaskId, deadline: Option<Instant>) -> Result<Payload, TaskError>;
    /// Whether the task has ended. Drives the engine for one turn, so that polling makes progress.
    fn is_done(&self, task: TaskId) -> bool;
    /// What is known of the task.
    fn info(&self, task: TaskId) -> TaskInfo;
    /// The error for an output that does not decode.
    fn undecodable(&self, task: TaskId, message: String) -> TaskError;
    /// The last handle of the task is gone. Notes that and does nothing else, so it may happen anywhere.
    fn dropped(&self, task: TaskId);
    /// Which cluster this is.
    fn session(&self) -> u64;
}

/// One task as its handles see it.
pub(crate) enum Cell {
    /// Of a task that was submitted: bound from the start.
    Cluster(Binding),
    /// Of a node of a graph: bound when that starts.
    Node { node: Node, binding: OnceLock<Binding> },
}

/// A node of a graph.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Node {
    pub(crate) graph: u64,
    pub(crate) index: u32,
}

/// What became of the task.
#[derive(Clone)]
pub(crate) enum Binding {
    /// It runs, or has run.
    Task { task: TaskId, outcomes: Arc<dyn Outcomes> },
    /// It was not taken.
    Refused(Box<TaskError>),
}

impl Cell {
    /// The cell of a node of a graph that has not started.
    pub(crate) fn of_node(graph: u64, index: u32) -> Arc<Self> {
        Arc::new(Self::Node { node: Node { graph, index }, binding: OnceLock::new() })
    }

    /// The cell of a task that was taken or refused at once.
    pub(crate) fn bound(binding: Binding) -> Arc<Self> {
        Arc::new(Self::Cluster(binding))
    }

    /// Says what became of a node. Once only.
    pub(crate) fn bind(&self, to: Binding) {
        let fresh = match self {
            Self::Cluster(_) => false,
            Self::Node { binding, .. } => binding.set(to).is_ok(),
        };
        assert!(fresh, "a task is bound once");
    }

    pub(crate) fn node(&self) -> Option<Node> {
        match self {
            Self::Cluster(_) => None,
            Self::Node { node, .. } => Some(*node),
        }
    }

    pub(crate) fn binding(&self) -> Option<&Binding> {
        match self {
            Self::Cluster(binding) => Some(binding),
            Self::Node { binding, .. } => binding.get(),
        }
    }
}

impl Drop for Cell {
    fn drop(&mut self) {
        if let Some(Binding::Task { task, outcomes }) = self.binding() {
            outcomes.dropped(*task);
        }
    }
}

impl fmt::Debug for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.binding(), self.node()) {
            (Some(Binding::Task { task, .. }), _) => write!(f, "{task}"),
            (Some(Binding::Refused(error)), _) => write!(f, "refused: {error}"),
            (None, node) => write!(f, "node {}", node.map_or(0, |node| node.index)),
        }
    }
}
