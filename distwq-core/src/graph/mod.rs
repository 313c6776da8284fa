//! A graph of tasks before it runs: a description that needs no rank to be built, checked, drawn or measured.

mod dot;

use crate::call::{Call, Parts};
use crate::codec::{self, Payload};
use crate::error::{Refusal, TaskError};
use crate::handle::Handle;
use crate::reference::{Cell, Reference, State};
use crate::registry::Remote;
use petgraph::Direction;
use petgraph::graph::{DiGraph, NodeIndex};
use petgraph::visit::EdgeRef;
use rustc_hash::FxHashMap;
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
    /// What each node is to run, by its place; nothing once the graph has started.
    waiting: Vec<Waiting>,
    /// Nodes with something that only a cluster can check.
    unchecked: Vec<u32>,
    has_explicit_edges: bool,
    /// Whether one of them leads from a later node to an earlier one.
    is_reordered: bool,
    started: bool,
    /// The first thing that was refused when it was added.
    refusal: Option<TaskError>,
}

/// One task or value: what there is to draw and to measure, also after the graph has run.
struct Node {
    /// The function; a value has none.
    remote: Option<&'static Remote>,
    label: Option<Cow<'static, str>>,
}

/// A node that has not started.
struct Waiting {
    cell: Arc<Cell>,
    content: Content,
}

/// What a node is.
pub(crate) enum Content {
    /// A task.
    Task(Parts),
    /// A value.
    Value(Payload),
}

/// A graph on its way to the controller.
pub(crate) struct StartedGraph {
    waiting: Vec<Waiting>,
    /// Places in `waiting` such that dependencies come first; none if that is so already.
    order: Option<Vec<NodeIndex>>,
    levels: Vec<u32>,
    before: FxHashMap<u32, Vec<Reference>>,
}

/// A node on its way to the controller.
pub(crate) struct GraphTask<'a> {
    pub(crate) cell: &'a Cell,
    pub(crate) content: &'a mut Content,
    /// The tasks that explicit edges put before it.
    pub(crate) before: &'a [Reference],
    /// How many tasks the longest path has that hangs on it.
    pub(crate) level: u32,
}

impl StartedGraph {
    /// Hands over each node, in an order in which dependencies come first.
    pub(crate) fn for_each(mut self, mut take: impl FnMut(GraphTask<'_>)) {
        for place in 0..self.waiting.len() {
            let index = self.order.as_ref().map_or(place, |order| order[place].index());
            let before = if self.before.is_empty() { None } else { self.before.get(&(index as u32)) };
            let Waiting { cell, content } = &mut self.waiting[index];
            let before = before.map_or(&[] as &[_], Vec::as_slice);
            take(GraphTask { cell, content, before, level: self.levels[index] });
        }
    }
}

/// The name of a value.
const VALUE: &str = "value";

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
        Self {
            id: GRAPHS.fetch_add(1, Ordering::Relaxed),
            nodes: DiGraph::new(),
            waiting: Vec::new(),
            unchecked: Vec::new(),
            has_explicit_edges: false,
            is_reordered: false,
            started: false,
            refusal: None,
        }
    }

    /// Adds a task. What can never run has ended as [`Refused`](crate::TaskError::Refused) when this returns, and
    /// makes the whole graph be refused when it starts. What only a cluster can know, such as more ranks than it has
    /// workers, is refused at the start.
    pub fn add<T>(&mut self, call: Call<T>) -> Handle<T> {
        let parts = call.parts;
        if let Some(reason) = self.refusal_of(&parts) {
            return Handle::new(self.refuse(&parts.name(), reason));
        }
        let index = self.nodes.add_node(Node { remote: Some(parts.remote), label: parts.options().label.clone() });
        let mut unchecked = !parts.has_no_options();
        for input in &parts.arguments.inputs {
            match self.index_of(&input.source) {
                Some(parent) => _ = self.nodes.add_edge(parent, index, Edge::Input),
                None => unchecked = true,
            }
        }
        for before in parts.options().after.iter().chain(&parts.options().follow) {
            if let Some(parent) = self.index_of(before) {
                self.nodes.add_edge(parent, index, Edge::After);
            }
        }
        if unchecked {
            self.unchecked.push(index.index() as u32);
        }
        Handle::new(self.wait(index, Content::Task(parts)))
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
        let content = match codec::encode(value) {
            _ if self.started => Err(Refusal::StartedTwice),
            Err(error) => Err(Refusal::Value(error.0)),
            Ok(payload) => Ok(Content::Value(payload)),
        };
        Handle::new(match content {
            Err(reason) => self.refuse(VALUE, reason),
            Ok(content) => {
                let index = self.nodes.add_node(Node { remote: None, label: None });
                self.wait(index, content)
            }
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
        let index = |of: &Reference| self.index_of(of).ok_or_else(|| OrderError::Foreign(format!("{of:?}")));
        let (from, to) = (index(earlier.reference())?, index(later.reference())?);
        if let Some(path) = self.path(to, from) {
            let around = path.iter().chain(path.first());
            let path = around.map(|node| self.nodes[*node].name_with(*node)).collect();
            return Err(CycleError { path }.into());
        }
        self.nodes.add_edge(from, to, Edge::Order);
        self.has_explicit_edges = true;
        self.is_reordered |= from > to;
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
        let order = self.in_order();
        match direction {
            Direction::Incoming => self.longest_in(order.into_iter(), direction),
            Direction::Outgoing => self.longest_in(order.into_iter().rev(), direction),
        }
    }

    /// The same, given an order in which each node comes after those that are beyond it.
    fn longest_in(&self, order: impl Iterator<Item = NodeIndex>, beyond: Direction) -> Vec<u32> {
        let mut longest = vec![0; self.nodes.node_count()];
        for node in order {
            let others = self.nodes.neighbors_directed(node, beyond);
            longest[node.index()] =
                others.map(|other| longest[other.index()] + u32::from(self.nodes[other].is_task())).max().unwrap_or(0);
        }
        longest
    }

    /// All nodes, each after those before it: as they were added, unless an explicit edge says otherwise.
    fn in_order(&self) -> Vec<NodeIndex> {
        if self.is_reordered { self.sorted() } else { self.nodes.node_indices().collect() }
    }

    /// All nodes, each after those before it (Kahn 1962).
    fn sorted(&self) -> Vec<NodeIndex> {
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

    /// Keeps what the newest node is to run.
    #[inline]
    fn wait(&mut self, index: NodeIndex, content: Content) -> Reference {
        let cell = Cell::new(self.id, index.index() as u32);
        self.waiting.push(Waiting { cell: Arc::clone(&cell), content });
        Reference::Node(cell)
    }

    /// A node that will never run; its graph will not either.
    fn refuse(&mut self, name: &str, reason: Refusal) -> Reference {
        let error = TaskError::refused(name, reason);
        self.refusal.get_or_insert_with(|| error.clone());
        Reference::Refused(Arc::new(error))
    }

    fn refusal_of(&self, parts: &Parts) -> Option<Refusal> {
        if self.started {
            return Some(Refusal::StartedTwice);
        }
        if let Some(reason) = parts.refusal() {
            return Some(reason);
        }
        let refusal_of = |other: &Reference| match other.state() {
            State::Refused(error) => Some(Refusal::RefusedDependency(Box::new((**error).clone()))),
            State::Bound(_) => None,
            State::Unbound(node) if node.graph == self.id => None,
            State::Unbound(_) => Some(Refusal::NotStartedDependency),
        };
        parts.dependencies().find_map(refusal_of)
    }

    /// The node of a task of this graph.
    fn index_of(&self, task: &Reference) -> Option<NodeIndex> {
        let node = task.node().filter(|node| node.graph == self.id)?;
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

    /// The calls that only a cluster can check.
    pub(crate) fn unchecked(&self) -> impl Iterator<Item = &Parts> {
        self.unchecked.iter().filter_map(|index| match &self.waiting.get(*index as usize)?.content {
            Content::Task(parts) => Some(parts),
            Content::Value(_) => None,
        })
    }

    /// Gives up all nodes that have not been bound: they were refused with the graph.
    pub(crate) fn refuse_all(&mut self, error: &TaskError) {
        self.started = true;
        let error = Arc::new(error.clone());
        for waiting in std::mem::take(&mut self.waiting) {
            waiting.cell.bind(Err(Arc::clone(&error)));
        }
    }

    /// Takes out what is to run. From here on handles alone keep the values.
    pub(crate) fn start(&mut self) -> StartedGraph {
        self.started = true;
        let order = self.is_reordered.then(|| self.sorted());
        let levels = match &order {
            Some(order) => self.longest_in(order.iter().rev().copied(), Direction::Outgoing),
            None => self.longest_in(self.nodes.node_indices().rev(), Direction::Outgoing),
        };
        let mut before = FxHashMap::<u32, Vec<Reference>>::default();
        if self.has_explicit_edges {
            for edge in self.nodes.edge_references().filter(|edge| *edge.weight() == Edge::Order) {
                let earlier = Reference::Node(Arc::clone(&self.waiting[edge.source().index()].cell));
                before.entry(edge.target().index() as u32).or_default().push(earlier);
            }
        }
        StartedGraph { waiting: std::mem::take(&mut self.waiting), order, levels, before }
    }
}

impl Node {
    fn is_task(&self) -> bool {
        self.remote.is_some()
    }

    /// The label, or else the function.
    fn name(&self) -> &str {
        self.label.as_deref().unwrap_or_else(|| self.remote.map_or(VALUE, |remote| remote.path))
    }

    fn name_with(&self, index: NodeIndex) -> String {
        format!("{} [{}]", self.name(), index.index())
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
