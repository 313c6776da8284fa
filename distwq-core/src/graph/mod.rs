//! A graph of tasks before it runs: a description that needs no rank to be built, checked, drawn or measured.

mod dot;

use crate::call::{Call, Parts};
use crate::cell::{Binding, Cell};
use crate::codec::{self, Payload};
use crate::error::{Refusal, TaskError};
use crate::handle::Handle;
use petgraph::Direction;
use petgraph::graph::{DiGraph, NodeIndex};
use petgraph::visit::EdgeRef;
use serde::Serialize;
use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Tasks and values with their dependencies, to be run by [`Cluster::run`](crate::Cluster::run). A graph runs
/// once. Handles of a graph are arguments within it, and anywhere once it has started.
///
/// # Examples
/// ```
/// use distwq::prelude::*;
///
/// #[remote]
/// fn square(x: i64) -> i64 {
///     x * x
/// }
///
/// #[remote]
/// fn sum(values: Vec<i64>) -> i64 {
///     values.iter().sum()
/// }
///
/// #[distwq::main]
/// fn main(cluster: &Cluster) -> Result<(), Box<dyn std::error::Error>> {
///     let mut graph = Graph::new();
///     let squares: Vec<_> = (1..=3).map(|x| graph.add(square::call(x))).collect();
///     let total = graph.add(sum::call(&squares));
///     assert_eq!((graph.len(), graph.width(), graph.critical_path().len()), (4, 3, 2));
///     cluster.run(&mut graph)?;
///     assert_eq!(total.get()?, 14);
///     Ok(())
/// }
/// ```
pub struct Graph {
    id: u64,
    nodes: DiGraph<Node, Edge>,
    started: bool,
    /// The first thing that was refused when it was added.
    refusal: Option<TaskError>,
}

/// One task or value.
struct Node {
    /// Until the graph starts; from then on only handles keep it.
    cell: Option<Arc<Cell>>,
    name: Name,
    is_task: bool,
    /// Until the graph starts.
    content: Option<Content>,
}

/// The name of a node; most are names of functions or literals, which cost nothing.
type Name = Cow<'static, str>;

/// What a node is.
pub(crate) enum Content {
    /// A task.
    Task(Box<Parts>),
    /// A value.
    Value(Payload),
}

/// A node on its way to the controller.
pub(crate) struct GraphTask {
    pub(crate) cell: Arc<Cell>,
    pub(crate) content: Content,
    /// The tasks that explicit edges put before it.
    pub(crate) before: Vec<Arc<Cell>>,
    /// How many tasks the longest path has that hangs on it.
    pub(crate) level: u32,
}

/// Why one node comes before another.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Edge {
    /// The output of the one is an argument of the other.
    Input,
    /// The call said `after` or `follow`.
    After,
    /// [`Graph::order`].
    Order,
}

/// An edge would have closed a cycle.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the tasks would wait for each other in a cycle: {}", .path.join(" -> "))]
pub struct CycleError {
    /// The names of the tasks of the cycle, the first one again at the end.
    pub path: Vec<String>,
}

/// Why an edge was not added.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OrderError {
    /// It would have closed a cycle.
    #[error(transparent)]
    Cycle(#[from] CycleError),
    /// A handle belongs to another graph or to a task that was submitted.
    #[error("{0} is no task of this graph")]
    Foreign(String),
    /// The graph has started.
    #[error("the graph has started; add its edges before")]
    Started,
}

impl Graph {
    /// An empty graph.
    #[must_use]
    pub fn new() -> Self {
        static GRAPHS: AtomicU64 = AtomicU64::new(1);
        Self { id: GRAPHS.fetch_add(1, Ordering::Relaxed), nodes: DiGraph::new(), started: false, refusal: None }
    }

    /// Adds a task. What can never run has ended as [`Refused`](crate::TaskError::Refused) when this returns, and
    /// makes the whole graph be refused when it starts. What only a cluster can know, such as more ranks than it has
    /// workers, is refused at the start.
    pub fn add<T>(&mut self, call: Call<T>) -> Handle<T> {
        let parts = call.parts;
        let name = parts.name();
        if let Some(reason) = self.refusal_of(&parts) {
            return Handle::new(self.refuse(name, reason));
        }
        let inputs = parts.inputs.iter().flat_map(|input| &input.sources).map(|cell| (cell, Edge::Input));
        let order = parts.options().after.iter().chain(&parts.options().follow).map(|cell| (cell, Edge::After));
        let before: Vec<_> =
            inputs.chain(order).filter_map(|(cell, edge)| Some((self.index_of(cell)?, edge))).collect();
        let (node, cell) = self.node(name, Content::Task(Box::new(parts)));
        for (parent, edge) in before {
            self.nodes.add_edge(parent, node, edge);
        }
        Handle::new(cell)
    }

    /// Adds a value that tasks share: it is sent to a worker once, and decoded there once for all tasks that take
    /// it by reference. It is encoded here and now.
    ///
    /// # Examples
    /// ```
    /// # use distwq::prelude::*;
    /// # #[remote]
    /// # fn look_up(table: &[f64], place: usize) -> f64 { table[place] }
    /// # let mut graph = Graph::new();
    /// let table = graph.value(&vec![1.0, 2.0, 4.0]); // a Handle<Vec<f64>>
    /// let found: Vec<_> = (0..3).map(|place| graph.add(look_up::call(&table, place))).collect();
    /// # let _ = found;
    /// ```
    pub fn value<T: Serialize>(&mut self, value: &T) -> Handle<T> {
        let name = Cow::Borrowed("value");
        let content = match codec::encode(value) {
            _ if self.started => Err(Refusal::StartedTwice),
            Err(error) => Err(Refusal::Value(error.0)),
            Ok(payload) => Ok(Content::Value(payload)),
        };
        Handle::new(match content {
            Err(reason) => self.refuse(name, reason),
            Ok(content) => self.node(name, content).1,
        })
    }

    /// Makes `later` start only after `earlier` has given its value.
    ///
    /// # Errors
    /// [`OrderError::Cycle`] if `later` comes before `earlier` already, [`OrderError::Foreign`] if a handle is not of
    /// this graph, [`OrderError::Started`] if the graph has started. The graph is then as it was.
    ///
    /// # Examples
    /// ```
    /// # use distwq::prelude::*;
    /// # #[remote]
    /// # fn step() {}
    /// let mut graph = Graph::new();
    /// let first = graph.add(step::call().label("first"));
    /// let second = graph.add(step::call().label("second").after(&first));
    /// let error = graph.order(&second, &first).unwrap_err();
    /// assert!(error.to_string().ends_with("first [0] -> second [1] -> first [0]"));
    /// ```
    pub fn order<T, U>(&mut self, earlier: &Handle<T>, later: &Handle<U>) -> Result<(), OrderError> {
        if self.started {
            return Err(OrderError::Started);
        }
        let index = |cell: &Arc<Cell>| self.index_of(cell).ok_or_else(|| OrderError::Foreign(format!("{cell:?}")));
        let (from, to) = (index(earlier.cell())?, index(later.cell())?);
        if let Some(path) = self.path(to, from) {
            let around = path.iter().chain(path.first());
            let path = around.map(|node| self.nodes[*node].name_with(*node)).collect();
            return Err(CycleError { path }.into());
        }
        self.nodes.add_edge(from, to, Edge::Order);
        Ok(())
    }

    /// How many tasks and values there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.nodes.node_count()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many tasks can run at the same time at most, by the levels of the graph: the largest number of tasks
    /// that have the same number of tasks on the longest path before them.
    #[must_use]
    pub fn width(&self) -> usize {
        let mut tasks_at = Vec::new();
        let depths = self.longest(Direction::Incoming);
        for node in self.nodes.node_indices().filter(|node| self.nodes[*node].is_task()) {
            let depth = depths[node.index()] as usize;
            tasks_at.resize(tasks_at.len().max(depth + 1), 0);
            tasks_at[depth] += 1;
        }
        tasks_at.into_iter().max().unwrap_or(0)
    }

    /// The names of the tasks of a longest path, in order, each with its place in the graph: no run takes less time
    /// than these one after another. The longest is that of most tasks; durations are not known before a run.
    #[must_use]
    pub fn critical_path(&self) -> Vec<String> {
        let levels = self.longest(Direction::Outgoing);
        let weight = |node: &NodeIndex| levels[node.index()] + u32::from(self.nodes[*node].is_task());
        let first = |nodes: &mut dyn Iterator<Item = NodeIndex>| {
            nodes.max_by_key(|node| (weight(node), std::cmp::Reverse(node.index())))
        };
        let mut path = Vec::new();
        let mut next = first(&mut self.nodes.node_indices());
        while let Some(node) = next {
            if self.nodes[node].is_task() {
                path.push(self.nodes[node].name_with(node));
            }
            next = first(&mut self.nodes.neighbors(node));
        }
        path
    }

    /// The graph in the language of Graphviz, a node for each task (a box) and value (an ellipse); dashed edges order
    /// without handing on a value. Also after the graph has run.
    #[must_use]
    pub fn to_dot(&self) -> String {
        dot::draw(&self.nodes)
    }

    /// For each node, the number of tasks on the longest path that leads to it or from it, itself not counted.
    fn longest(&self, direction: Direction) -> Vec<u32> {
        let mut longest = vec![0; self.nodes.node_count()];
        let mut order = self.in_order();
        if direction == Direction::Outgoing {
            order.reverse();
        }
        for node in order {
            let beyond = self.nodes.neighbors_directed(node, direction);
            longest[node.index()] =
                beyond.map(|other| longest[other.index()] + u32::from(self.nodes[other].is_task())).max().unwrap_or(0);
        }
        longest
    }

    /// All nodes, each after those before it; as they were added unless explicit edges say otherwise (Kahn 1962).
    fn in_order(&self) -> Vec<NodeIndex> {
        let mut waits_for: Vec<usize> = self
            .nodes
            .node_indices()
            .map(|node| self.nodes.neighbors_directed(node, Direction::Incoming).count())
            .collect();
        let mut order: Vec<NodeIndex> = self.nodes.node_indices().filter(|node| waits_for[node.index()] == 0).collect();
        let mut next = 0;
        while let Some(&node) = order.get(next) {
            next += 1;
            for later in self.nodes.neighbors(node) {
                waits_for[later.index()] -= 1;
                if waits_for[later.index()] == 0 {
                    order.push(later);
                }
            }
        }
        assert_eq!(order.len(), self.nodes.node_count(), "edges that close a cycle are never added");
        order
    }

    /// The nodes of a path, if there is one.
    fn path(&self, from: NodeIndex, to: NodeIndex) -> Option<Vec<NodeIndex>> {
        petgraph::algo::astar(&self.nodes, from, |node| node == to, |_| 1_u32, |_| 0).map(|(_, path)| path)
    }

    fn node(&mut self, name: Name, content: Content) -> (NodeIndex, Arc<Cell>) {
        let cell = Cell::of_node(self.id, self.nodes.node_count() as u32);
        let is_task = matches!(content, Content::Task(_));
        let node = Node { cell: Some(Arc::clone(&cell)), name, is_task, content: Some(content) };
        (self.nodes.add_node(node), cell)
    }

    /// A node that will never run; its graph will not either.
    fn refuse(&mut self, name: Name, reason: Refusal) -> Arc<Cell> {
        let error = TaskError::refused(&name, reason);
        let cell = Cell::bound(Binding::Refused(Box::new(error.clone())));
        self.refusal.get_or_insert(error);
        cell
    }

    fn refusal_of(&self, parts: &Parts) -> Option<Refusal> {
        if self.started {
            return Some(Refusal::StartedTwice);
        }
        if let Some(reason) = parts.refusal() {
            return Some(reason);
        }
        parts.cells().find_map(|cell| match (cell.binding(), cell.node()) {
            (Some(Binding::Refused(error)), _) => Some(Refusal::RefusedDependency(error.clone())),
            (Some(Binding::Task { .. }), _) => None,
            (None, Some(node)) if node.graph == self.id => None,
            (None, _) => Some(Refusal::NotStartedDependency),
        })
    }

    /// The node of a cell of this graph.
    fn index_of(&self, cell: &Arc<Cell>) -> Option<NodeIndex> {
        let node = cell.node().filter(|node| node.graph == self.id)?;
        Some(NodeIndex::new(node.index as usize))
    }

    pub(crate) fn id(&self) -> u64 {
        self.id
    }

    /// Why the graph as a whole cannot start, as far as it knows without a cluster.
    pub(crate) fn refusal(&self) -> Option<TaskError> {
        let twice = || TaskError::refused("graph", Refusal::StartedTwice);
        self.refusal.clone().or_else(|| self.started.then(twice))
    }

    /// All calls of the graph, to be checked.
    pub(crate) fn calls(&self) -> impl Iterator<Item = &Parts> {
        self.nodes.node_weights().filter_map(|node| match &node.content {
            Some(Content::Task(parts)) => Some(&**parts),
            _ => None,
        })
    }

    /// Gives up all cells that have not been bound: they were refused with the graph.
    pub(crate) fn refuse_all(&mut self, error: &TaskError) {
        self.started = true;
        for node in self.nodes.node_weights_mut() {
            node.content = None;
            if let Some(cell) = node.cell.take() {
                cell.bind(Binding::Refused(Box::new(error.clone())));
            }
        }
    }

    /// Takes out what is to run, in an order in which dependencies come first.
    pub(crate) fn start(&mut self) -> Vec<GraphTask> {
        self.started = true;
        let levels = self.longest(Direction::Outgoing);
        let order = self.in_order();
        let mut tasks = Vec::with_capacity(order.len());
        for node in order {
            let before = self.nodes.edges_directed(node, Direction::Incoming);
            let before = before.filter(|edge| *edge.weight() == Edge::Order);
            let before = before.filter_map(|edge| self.nodes[edge.source()].cell.clone()).collect();
            let (content, cell) = (self.nodes[node].content.take(), self.nodes[node].cell.clone());
            let (Some(content), Some(cell)) = (content, cell) else {
                unreachable!("a graph starts once, and nodes keep what they are until then");
            };
            tasks.push(GraphTask { cell, content, before, level: levels[node.index()] });
        }
        // From here on handles alone keep the values.
        self.nodes.node_weights_mut().for_each(|node| node.cell = None);
        tasks
    }
}

impl Node {
    fn is_task(&self) -> bool {
        self.is_task
    }

    fn name_with(&self, index: NodeIndex) -> String {
        format!("{} [{}]", self.name, index.index())
    }
}

impl Default for Graph {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Graph {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Graph")
            .field("nodes", &self.nodes.node_count())
            .field("edges", &self.nodes.edge_count())
            .field("started", &self.started)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
