//! A graph of tasks before it runs: a description that needs no rank to be built,
//! checked, drawn or measured.

mod dot;
mod edge;
mod order;
mod waiting;

pub(crate) use waiting::StartingNode;

use crate::api::call::{IsCall, Options, Parts};
use crate::api::handle::Handle;
use crate::api::reference::{Outcomes, Reference};
use crate::codec::{PayloadWriter, Portable};
use crate::function::registry::Remote;
use crate::id::TaskId;
use crate::machine::controller::GraphSize;
use crate::outcome::error::{PathStep, Reason, Refusal};
use crate::panics;
use edge::Edge;
use order::TopologicalOrder;
use petgraph::Direction;
use petgraph::graph::{DiGraph, NodeIndex};
use rustc_hash::FxHashMap;
use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use waiting::{Named, Waiting};

/// Tasks and values with their dependencies, to be run by
/// [`Cluster::run`](crate::Cluster::run). A graph runs once. Handles of a graph are
/// arguments within it, and anywhere once it has started.
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
    on_failure: OnFailure,
    id: u64,
    /// The functions and the edges: what there is to draw and to measure, also after the
    /// graph has run. A value has no function.
    nodes: DiGraph<Option<&'static Remote>, Edge>,
    /// Of those that have one.
    labels: FxHashMap<NodeIndex, Cow<'static, str>>,
    /// What is to run, and its references; nothing once the graph has started.
    waiting: Waiting,
    /// An order in which all edges lead forwards.
    topology: TopologicalOrder,
    started: bool,
    /// The first thing that was refused when it was added.
    refusal: Option<Arc<PathStep>>,
}

/// The name of a value.
const VALUE: &str = "value";

/// What becomes of the other tasks of a run of a graph once one has failed.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
#[non_exhaustive]
pub enum OnFailure {
    /// Those that need its value end as [`Upstream`](crate::TaskError::Upstream), all
    /// others go on.
    #[default]
    FailDependents,
    /// The same, and all others that have not ended are cancelled, as by
    /// [`Run::cancel`](crate::Run::cancel). A task that is tried again has not failed
    /// yet, and one that a user has cancelled has not failed.
    CancelRun,
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
        let id = GRAPHS.fetch_add(1, Ordering::Relaxed);
        Self {
            id,
            nodes: DiGraph::new(),
            labels: FxHashMap::default(),
            waiting: Waiting::new(id),
            topology: TopologicalOrder::default(),
            started: false,
            refusal: None,
            on_failure: OnFailure::default(),
        }
    }

    /// What becomes of the other tasks once one has failed. Said again, it replaces what
    /// was said before; it counts when the graph starts.
    ///
    /// # Examples
    /// ```
    /// use distwq::{OnFailure, prelude::*};
    ///
    /// #[remote]
    /// fn check(x: u64) -> Result<u64, String> {
    ///     if x == 0 { Err("nothing to check".to_string()) } else { Ok(x) }
    /// }
    ///
    /// #[distwq::main(config = Config::new().workers(1))]
    /// fn main(cluster: &Cluster) {
    ///     let mut graph = Graph::new();
    ///     graph.on_failure(OnFailure::CancelRun);
    ///     graph.add(check::call(0).priority(1));
    ///     let others: Vec<_> = (1..=1_000).map(|x| graph.add(check::call(x))).collect();
    ///     assert!(cluster.run(&mut graph).is_err());
    ///     assert!(matches!(others[999].get(), Err(TaskError::Cancelled { .. })));
    /// }
    /// ```
    pub fn on_failure(&mut self, choice: OnFailure) {
        self.on_failure = choice;
    }

    /// What was said of failures.
    pub(crate) fn cancels_on_failure(&self) -> bool {
        self.on_failure == OnFailure::CancelRun
    }

    /// Adds a task. What can never run has ended as
    /// [`Refused`](crate::TaskError::Refused) when this returns, and makes the whole
    /// graph be refused when it starts. What only a cluster can know, such as more ranks
    /// than it has workers, is refused at the start.
    pub fn add<C: IsCall>(&mut self, mut call: C) -> Handle<C::Output> {
        Handle::new(self.add_task(&mut call.as_call().parts))
    }

    fn add_task(&mut self, parts: &mut Parts) -> Reference {
        if let Some(reason) = self.refusal_of(parts) {
            return self.refuse(&parts.name(), reason);
        }
        let Self { nodes, topology, waiting, labels, .. } = self;
        let index = nodes.add_node(Some(parts.remote));
        if let Some(label) = &parts.options().label {
            labels.insert(index, label.clone());
        }
        let reference = waiting.add_task(parts, |parent, edge| {
            nodes.add_edge(parent.into(), index, edge);
        });
        topology.added(nodes, index);
        Reference::Node(reference)
    }

    /// Adds a value that tasks share: it is sent to a worker once, and decoded there once
    /// for all tasks that take it by reference. It is encoded here and now.
    ///
    /// # Examples
    /// ```
    /// # use distwq::prelude::*;
    /// # #[remote]
    /// # fn look_up(table: &[f64], index: usize) -> f64 { table[index] }
    /// # let mut graph = Graph::new();
    /// let table = graph.value(&vec![1.0, 2.0, 4.0]); // a Handle<Vec<f64>>
    /// let found: Vec<_> = (0..3).map(|index| graph.add(look_up::call(&table, index))).collect();
    /// # let _ = found;
    /// ```
    pub fn value<T: Portable>(&mut self, value: &T) -> Handle<T> {
        let mut plain = PayloadWriter::new();
        let refusal = match panics::caught_error("its `Serialize`", || plain.append::<T, T>(value)) {
            _ if self.started => Some(Refusal::StartedTwice),
            Err(error) => Some(Refusal::Value(error)),
            Ok(()) => None,
        };
        Handle::new(match refusal {
            Some(reason) => self.refuse(VALUE, reason),
            None => {
                let index = self.nodes.add_node(None);
                self.topology.added(&self.nodes, index);
                Reference::Node(self.waiting.add(&mut plain))
            }
        })
    }

    /// Makes `later` start only after `earlier` has given its value.
    ///
    /// # Errors
    /// [`OrderError::Cycle`] if `later` comes before `earlier` already,
    /// [`OrderError::Foreign`] if a handle is not of this graph, [`OrderError::Started`]
    /// if the graph has started. The graph is then as it was.
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
        let index = |of: &Reference| {
            let index = self.waiting.nodes.index_of(of).ok_or_else(|| OrderError::Foreign(format!("{of:?}")))?;
            Ok::<NodeIndex, OrderError>(index.into())
        };
        let (from, to) = (index(earlier.reference())?, index(later.reference())?);
        if !self.topology.put_before(&self.nodes, from, to) {
            let path = self.path(to, from);
            let around = path.iter().chain(path.first());
            let path = around.map(|node| self.name_with(*node)).collect();
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

    /// How many tasks can run at the same time at most, by the levels of the graph: the
    /// largest number of tasks that have the same number of tasks on the longest path
    /// before them.
    #[must_use]
    pub fn width(&self) -> usize {
        let mut tasks_at = Vec::new();
        let depths = self.longest(Direction::Incoming);
        for node in self.nodes.node_indices().filter(|node| self.is_task(*node)) {
            let depth = depths[node.index()] as usize;
            tasks_at.resize(tasks_at.len().max(depth + 1), 0);
            tasks_at[depth] += 1;
        }
        tasks_at.into_iter().max().unwrap_or(0)
    }

    /// The names of the tasks of a longest path, in order, each with its index in the
    /// graph: no run takes less time than these one after another. The longest is that of
    /// most tasks; durations are not known before a run.
    #[must_use]
    pub fn critical_path(&self) -> Vec<String> {
        let levels = self.longest(Direction::Outgoing);
        let weight = |node: &NodeIndex| levels[node.index()] + u32::from(self.is_task(*node));
        let first = |nodes: &mut dyn Iterator<Item = NodeIndex>| {
            nodes.max_by_key(|node| (weight(node), std::cmp::Reverse(node.index())))
        };
        let mut path = Vec::new();
        let mut next = first(&mut self.nodes.node_indices());
        while let Some(node) = next {
            if self.is_task(node) {
                path.push(self.name_with(node));
            }
            next = first(&mut self.nodes.neighbors(node));
        }
        path
    }

    /// The graph in the language of Graphviz, a node for each task (a box) and value (an
    /// ellipse); dashed edges order without handing on a value. Also after the graph has
    /// run.
    #[must_use]
    pub fn to_dot(&self) -> String {
        dot::draw(self)
    }

    /// For each node, the number of tasks on the longest path that leads to it or from
    /// it, itself not counted.
    fn longest(&self, direction: Direction) -> Vec<u32> {
        let order = self.topology.sorted(&self.nodes);
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
                others.map(|other| longest[other.index()] + u32::from(self.is_task(other))).max().unwrap_or(0);
        }
        longest
    }

    /// The nodes of a shortest path from one node to another one behind it.
    fn path(&self, from: NodeIndex, to: NodeIndex) -> Vec<NodeIndex> {
        let found = petgraph::algo::astar(&self.nodes, from, |node| node == to, |_| 1_u32, |_| 0);
        found.expect("there is a path wherever an edge back closes a cycle").1
    }

    /// A node that will never run; its graph will not either.
    fn refuse(&mut self, name: &str, reason: impl Into<Reason>) -> Reference {
        let step = PathStep::refused(name, reason);
        self.refusal.get_or_insert_with(|| Arc::clone(&step));
        Reference::Refused(step)
    }

    fn refusal_of(&self, parts: &Parts) -> Option<Reason> {
        if self.started {
            return Some(Refusal::StartedTwice.into());
        }
        if let Some(reason) = parts.refusal() {
            return Some(reason.into());
        }
        parts.dependencies().find_map(|other| other.refusal(None, Some(self.id)))
    }

    /// How much a cluster has to take.
    pub(crate) fn size(&self) -> GraphSize {
        let nodes = self.nodes.node_count();
        let values = self.nodes.node_weights().filter(|remote| remote.is_none()).count();
        GraphSize {
            tasks: nodes - values,
            values,
            dependencies: self.nodes.edge_count() + self.waiting.outside.len(),
            inputs_room: self.waiting.inputs_room,
        }
    }

    pub(crate) fn id(&self) -> u64 {
        self.id
    }

    /// Why the graph as a whole cannot start, as far as it knows without a cluster.
    pub(crate) fn refusal(&self) -> Option<Arc<PathStep>> {
        let twice = || PathStep::refused("graph", Refusal::StartedTwice);
        self.refusal.clone().or_else(|| self.started.then(twice))
    }

    /// The first node that a cluster refuses: for what its call says besides its function
    /// and arguments, or for an input that is not of this graph. Everything else was
    /// checked when it was added.
    pub(crate) fn refused_by(
        &self,
        options: impl Fn(&Options) -> Option<Reason>,
        outside: impl Fn(&Reference) -> Option<Reason>,
    ) -> Option<Arc<PathStep>> {
        let Waiting { options: said, outside: others, .. } = &self.waiting;
        let by_options = said.iter().filter_map(|(node, said)| Some((*node, options(said)?)));
        let by_input = others.iter().filter_map(|other| Some((other.node, outside(&other.source)?)));
        let (node, reason) = by_input.chain(by_options).min_by_key(|(node, _)| *node)?;
        Some(PathStep::refused(self.name(node.into()), reason))
    }

    /// Gives up all nodes if they have not been bound: they were refused with the graph.
    pub(crate) fn refuse_all(&mut self, step: &Arc<PathStep>) {
        self.take_waiting().nodes.refuse(step);
    }

    /// Hands over each node, in an order in which dependencies come first, to become a
    /// task. From here on handles alone keep the values; they ask for them at `outcomes`.
    pub(crate) fn start(&mut self, outcomes: &Arc<dyn Outcomes>, mut take: impl FnMut(StartingNode<'_>) -> TaskId) {
        let mut waiting = self.take_waiting();
        let order = self.topology.is_reordered().then(|| self.topology.sorted(&self.nodes));
        let levels = match &order {
            Some(order) => self.longest_in(order.iter().rev().copied(), Direction::Outgoing),
            None => self.longest_in(self.nodes.node_indices().rev(), Direction::Outgoing),
        };
        let mut named = Named::default();
        for index in 0..levels.len() {
            let node = order.as_ref().map_or(NodeIndex::new(index), |order| order[index]);
            waiting.start(&self.nodes, node, levels[node.index()], &mut named, &mut take);
        }
        waiting.nodes.start(outcomes);
    }

    fn take_waiting(&mut self) -> Waiting {
        self.started = true;
        std::mem::replace(&mut self.waiting, Waiting::new(self.id))
    }

    fn is_task(&self, node: NodeIndex) -> bool {
        self.nodes[node].is_some()
    }

    /// The label of a node, or else its function.
    fn name(&self, node: NodeIndex) -> &str {
        match (self.labels.get(&node), self.nodes[node]) {
            (Some(label), _) => label,
            (None, Some(remote)) => remote.path,
            (None, None) => VALUE,
        }
    }

    fn name_with(&self, node: NodeIndex) -> String {
        format!("{} [{}]", self.name(node), node.index())
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
