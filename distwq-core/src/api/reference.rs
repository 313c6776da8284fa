//! What a handle and a call hold of a task. It knows nothing of types;
//! [`Handle`](crate::Handle) adds them.

use crate::codec::Payload;
use crate::id::TaskId;
use crate::outcome::error::{PathStep, Reason, Refusal, TaskError};
use crate::outcome::info::{CancelState, TaskInfo};
use crate::outcome::status::Explanation;
use std::any::Any;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::Waker;
use std::time::Instant;

/// Where the ends of tasks are asked for: the controller, seen from a handle.
pub(crate) trait Outcomes: Send + Sync {
    /// Gives the output of a task, waiting for it until `deadline`; without one, until
    /// the task ends.
    fn wait(&self, task: TaskId, deadline: Option<Instant>, into: &mut Payload) -> Result<(), TaskError>;
    /// Gives the output of a task, or has `waker` woken when it is there.
    fn poll(&self, task: TaskId, waker: &Waker, into: &mut Payload) -> Option<Result<(), TaskError>>;
    /// Calls `callback` once when the task has ended.
    fn on_end(self: Arc<Self>, task: TaskId, callback: Box<dyn FnOnce() + Send>);
    /// Whether the task has ended. Drives the engine for one turn, so that polling makes
    /// progress.
    fn is_done(&self, task: TaskId) -> bool;
    /// What is known of the task.
    fn info(&self, task: TaskId) -> TaskInfo;
    /// What keeps the task, by what the workers say that they run.
    fn explain(&self, task: TaskId) -> Explanation;
    /// Cancels the task.
    fn cancel(&self, task: TaskId) -> CancelState;
    /// The error for an output that does not decode.
    fn undecodable(&self, task: TaskId, message: String) -> TaskError;
    /// There is one more reference to the task; those to a node of a graph count as one
    /// together. Notes that and does nothing else, so it may happen anywhere.
    fn retained(&self, task: TaskId);
    /// There is one reference less. Notes that and does nothing else, so it may happen
    /// anywhere.
    fn dropped(&self, task: TaskId);
    /// Which cluster this is.
    fn session(&self) -> u64;
    /// The cluster itself.
    fn as_any(self: Arc<Self>) -> Arc<dyn Any + Send + Sync>;
}

/// A task that a cluster has taken. The controller counts these, and keeps the value
/// while there is one.
pub(crate) struct Bound {
    task: TaskId,
    outcomes: Arc<dyn Outcomes>,
}

impl Bound {
    /// The first of a task that was just taken: it is counted already.
    #[inline]
    pub(crate) fn first(task: TaskId, outcomes: Arc<dyn Outcomes>) -> Self {
        Self { task, outcomes }
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

/// Nodes whose references share their memory: few enough that a last handle keeps little
/// of it.
const NODES_TOGETHER: usize = 64;

/// All nodes of a graph, as references see them.
pub(crate) struct Nodes {
    graph: u64,
    blocks: Vec<Arc<Block>>,
    len: u32,
}

/// Some nodes of one graph. The graph counts among those that refer to a node until it
/// starts.
struct Block {
    graph: u64,
    /// The node of the first cell.
    first: u32,
    cells: [Cell; NODES_TOGETHER],
    /// What became of the nodes: nothing until the graph starts.
    binding: OnceLock<Result<Arc<dyn Outcomes>, Arc<PathStep>>>,
}

/// One node.
struct Cell {
    /// Its task as a number, 0 until there is one.
    task: AtomicU64,
    references: AtomicU64,
}

/// A reference to a node of a graph.
pub(crate) struct NodeReference {
    block: Arc<Block>,
    cell: u32,
}

impl Nodes {
    /// Those of a graph that has none yet.
    pub(crate) fn new(graph: u64) -> Self {
        Self { graph, blocks: Vec::new(), len: 0 }
    }

    /// One more node, and the first reference to it.
    #[inline]
    pub(crate) fn add(&mut self) -> NodeReference {
        let cell = self.len % NODES_TOGETHER as u32;
        if cell == 0 {
            // The graph and the first reference.
            let cells = [const { Cell { task: AtomicU64::new(0), references: AtomicU64::new(2) } }; NODES_TOGETHER];
            let binding = OnceLock::new();
            self.blocks.push(Arc::new(Block { graph: self.graph, first: self.len, cells, binding }));
        }
        self.len += 1;
        let block = self.blocks.last().expect("the node is in the last block");
        NodeReference { block: Arc::clone(block), cell }
    }

    /// The number of a task of this graph.
    #[inline]
    pub(crate) fn index_of(&self, reference: &Reference) -> Option<u32> {
        reference.node().filter(|node| node.graph == self.graph).map(|node| node.index)
    }

    /// The task that a node has become.
    #[inline]
    pub(crate) fn task(&self, node: u32) -> TaskId {
        self.cell(node).task().expect("dependencies come before what depends on them")
    }

    /// A node has become a task.
    #[inline]
    pub(crate) fn set_task(&self, node: u32, task: TaskId) {
        self.cell(node).task.store(task.to_number(), Ordering::Relaxed);
    }

    #[inline]
    fn cell(&self, node: u32) -> &Cell {
        &self.blocks[node as usize / NODES_TOGETHER].cells[node as usize % NODES_TOGETHER]
    }

    /// All nodes have become tasks: from now on handles alone refer to them.
    pub(crate) fn start(self, outcomes: &Arc<dyn Outcomes>) {
        for block in &self.blocks {
            block.bind(Ok(Arc::clone(outcomes)));
        }
        for node in 0..self.len {
            let block = &self.blocks[node as usize / NODES_TOGETHER];
            block.let_go(node % NODES_TOGETHER as u32);
        }
    }

    /// None of them ever will.
    pub(crate) fn refuse(self, step: &Arc<PathStep>) {
        for block in &self.blocks {
            block.bind(Err(Arc::clone(step)));
        }
    }
}

impl Block {
    fn bind(&self, to: Result<Arc<dyn Outcomes>, Arc<PathStep>>) {
        assert!(self.binding.set(to).is_ok(), "a graph starts once");
    }

    /// There is one reference less to a node.
    #[inline]
    fn let_go(&self, cell: u32) {
        let cell = &self.cells[cell as usize];
        // The last one sees what was bound, because the graph lets go after that.
        if cell.references.fetch_sub(1, Ordering::AcqRel) == 1
            && let (Some(Ok(outcomes)), Some(task)) = (self.binding.get(), cell.task())
        {
            outcomes.dropped(task);
        }
    }
}

impl Cell {
    #[inline]
    fn task(&self) -> Option<TaskId> {
        TaskId::from_number(self.task.load(Ordering::Relaxed))
    }
}

impl NodeReference {
    #[inline]
    fn cell(&self) -> &Cell {
        &self.block.cells[self.cell as usize]
    }

    fn node(&self) -> Node {
        Node { graph: self.block.graph, index: self.block.first + self.cell }
    }

    #[inline]
    fn state(&self) -> State<'_> {
        match (self.block.binding.get(), self.cell().task()) {
            (Some(Ok(outcomes)), Some(task)) => State::Bound(task, outcomes),
            (Some(Err(step)), _) => State::Refused(step),
            _ => State::Unbound(self.node()),
        }
    }
}

impl Clone for NodeReference {
    #[inline]
    fn clone(&self) -> Self {
        self.cell().references.fetch_add(1, Ordering::Relaxed);
        Self { block: Arc::clone(&self.block), cell: self.cell }
    }
}

impl Drop for NodeReference {
    #[inline]
    fn drop(&mut self) {
        self.block.let_go(self.cell);
    }
}

/// One task as its handles see it.
#[derive(Clone)]
pub(crate) enum Reference {
    /// It runs, or has run.
    Task(Bound),
    /// It stands in a graph.
    Node(NodeReference),
    /// It was not taken.
    Refused(Arc<PathStep>),
}

/// How far the task of a reference is.
pub(crate) enum State<'a> {
    /// A cluster has it.
    Bound(TaskId, &'a Arc<dyn Outcomes>),
    /// Its graph has not been started.
    Unbound(Node),
    /// It was not taken.
    Refused(&'a Arc<PathStep>),
}

impl Reference {
    /// Why no task can depend on this one: in the cluster of this session, where it is
    /// known, and in this graph, whose nodes need not have started.
    pub(crate) fn refusal(&self, session: Option<u64>, graph: Option<u64>) -> Option<Reason> {
        match self.state() {
            State::Bound(_, outcomes) => {
                let is_foreign = session.is_some_and(|session| outcomes.session() != session);
                is_foreign.then_some(Refusal::ForeignHandle.into())
            }
            State::Refused(step) => Some(Reason::Dependency(Arc::clone(step))),
            State::Unbound(node) if Some(node.graph) == graph => None,
            State::Unbound(_) => Some(Refusal::NotStartedDependency.into()),
        }
    }

    #[inline]
    pub(crate) fn state(&self) -> State<'_> {
        match self {
            Self::Task(bound) => State::Bound(bound.task, &bound.outcomes),
            Self::Node(reference) => reference.state(),
            Self::Refused(step) => State::Refused(step),
        }
    }

    /// The node that it stands for, also once the graph has started.
    #[inline]
    pub(crate) fn node(&self) -> Option<Node> {
        match self {
            Self::Node(reference) => Some(reference.node()),
            Self::Task(_) | Self::Refused(_) => None,
        }
    }

    /// The task; of a node also while its graph starts.
    ///
    /// # Panics
    /// If there is none.
    #[inline]
    pub(crate) fn task(&self) -> TaskId {
        let task = match self {
            Self::Task(bound) => Some(bound.task),
            Self::Node(reference) => reference.cell().task(),
            Self::Refused(_) => None,
        };
        task.expect("dependencies are checked, and come before what depends on them")
    }
}

impl fmt::Debug for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.state() {
            State::Bound(task, _) => write!(f, "{task}"),
            State::Refused(step) => write!(f, "refused: {}", step.refusal()),
            State::Unbound(node) => write!(f, "node {} of a graph that has not started", node.index),
        }
    }
}
