//! What the nodes of a graph are to run, from when they are added until it starts.

use super::edge::Edge;
use crate::api::call::{Options, Parts};
use crate::api::reference::{NodeReference, Nodes, Reference};
use crate::codec::{Payload, PayloadWriter};
use crate::function::argument::{ArgumentPosition, Input};
use crate::function::registry::Remote;
use crate::id::TaskId;
use crate::machine::controller::Encoded;
use petgraph::Direction;
use petgraph::graph::{DiGraph, NodeIndex};
use petgraph::visit::EdgeRef;
use rustc_hash::FxHashMap;

/// The nodes of a graph that has not started, beside the graph itself. There may be
/// millions: what few have lies apart.
pub(super) struct Waiting {
    pub(super) nodes: Nodes,
    /// By node, where its bytes end; they begin with the end of those of the node before.
    ends: Vec<usize>,
    /// The arguments that came as values, or the value, of all nodes one behind another.
    bytes: Vec<u8>,
    /// Those of nodes that have many.
    large: FxHashMap<u32, Payload>,
    /// In the order of their nodes and positions.
    pub(super) outside: Vec<Outside>,
    /// What the calls of few nodes say besides their functions and arguments.
    pub(super) options: FxHashMap<u32, Box<Options>>,
    /// How many inputs each node has, rounded up to powers of two, in all.
    pub(super) inputs_room: usize,
}

/// An input that is a task outside of this graph.
pub(super) struct Outside {
    pub(super) node: u32,
    pub(super) source: Reference,
    position: ArgumentPosition,
    /// Its index among all inputs of the node.
    at: usize,
}

/// More bytes than this are kept as they are.
const COPIED_BYTES_MAX: usize = 256;

/// A node on its way to the controller. What it depends on has become tasks before.
pub(crate) struct StartingNode<'a> {
    /// The function; a value has none.
    pub(crate) remote: Option<&'static Remote>,
    /// The arguments that came as values; of a value that.
    pub(crate) plain: Encoded<'a>,
    pub(crate) inputs: &'a [Input<TaskId>],
    pub(crate) options: Option<&'a Options>,
    /// The tasks that explicit edges put before it.
    pub(crate) before: &'a [TaskId],
    /// How many tasks the longest path has that hangs on it.
    pub(crate) level: u32,
}

impl Waiting {
    pub(super) fn new(graph: u64) -> Self {
        Self {
            nodes: Nodes::new(graph),
            ends: Vec::new(),
            bytes: Vec::new(),
            large: FxHashMap::default(),
            outside: Vec::new(),
            options: FxHashMap::default(),
            inputs_room: 0,
        }
    }

    /// Adds a task, and tells of each node of this graph that comes before it.
    pub(super) fn add_task(&mut self, parts: &mut Parts, mut depends: impl FnMut(u32, Edge)) -> NodeReference {
        let node = self.ends.len() as u32;
        let inputs = &parts.arguments.inputs;
        if !inputs.is_empty() {
            self.inputs_room += inputs.len().next_power_of_two();
        }
        for (at, input) in inputs.iter().enumerate() {
            match self.nodes.index_of(&input.source) {
                Some(other) => depends(other, Edge::Input(input.position)),
                None => self.outside.push(Outside { node, source: input.source.clone(), position: input.position, at }),
            }
        }
        if let Some(options) = parts.options.take() {
            for before in options.dependencies().filter_map(|before| self.nodes.index_of(before)) {
                depends(before, Edge::After);
            }
            self.options.insert(node, options);
        }
        self.add(&mut parts.arguments.plain)
    }

    /// Adds a value, or a task with these arguments.
    pub(super) fn add(&mut self, plain: &mut PayloadWriter) -> NodeReference {
        if plain.len() <= COPIED_BYTES_MAX {
            plain.append_to(&mut self.bytes);
        } else {
            self.large.insert(self.ends.len() as u32, plain.take());
        }
        self.ends.push(self.bytes.len());
        self.nodes.add()
    }

    /// Hands over one node and notes the task that it becomes.
    #[inline]
    pub(super) fn start(
        &mut self,
        graph: &DiGraph<Option<&'static Remote>, Edge>,
        node: NodeIndex,
        level: u32,
        named: &mut Named,
        take: impl FnOnce(StartingNode<'_>) -> TaskId,
    ) {
        let number = node.index() as u32;
        let Named { inputs, before } = named;
        inputs.clear();
        before.clear();
        // The newest comes first.
        for edge in graph.edges_directed(node, Direction::Incoming) {
            let source = self.nodes.task(edge.source().index() as u32);
            match *edge.weight() {
                Edge::Input(position) => inputs.push(Input { source, position }),
                Edge::Order => before.push(source),
                // The options name it.
                Edge::After => {}
            }
        }
        inputs.reverse();
        if !self.outside.is_empty() {
            self.insert_outside(number, inputs);
        }
        let options = if self.options.is_empty() { None } else { self.options.get(&number).map(|options| &**options) };
        let large = if self.large.is_empty() { None } else { self.large.remove(&number) };
        let plain = large.map_or_else(
            || {
                let begin = node.index().checked_sub(1).map_or(0, |last| self.ends[last]);
                Encoded::Few(&self.bytes[begin..self.ends[node.index()]])
            },
            Encoded::Many,
        );
        let task = take(StartingNode { remote: graph[node], plain, inputs, options, before, level });
        self.nodes.set_task(number, task);
    }

    /// Puts the inputs of a node that are not of this graph between those that are, from
    /// the last to the first, so that each is moved once.
    fn insert_outside(&self, node: u32, inputs: &mut Vec<Input<TaskId>>) {
        let first = self.outside.partition_point(|other| other.node < node);
        let count = self.outside[first..].iter().take_while(|other| other.node == node).count();
        let mut outside = &self.outside[first..first + count];
        let mut own = inputs.len();
        while let Some((last, others)) = outside.split_last() {
            let input = Input { source: last.source.task(), position: last.position };
            if inputs.len() < own + count {
                inputs.resize(own + count, input);
            }
            let position = own + others.len();
            if last.at == position {
                inputs[position] = input;
                outside = others;
            } else {
                own -= 1;
                inputs[position] = inputs[own];
            }
        }
    }
}

/// What one node names, in memory that is used again for the next.
#[derive(Default)]
pub(super) struct Named {
    inputs: Vec<Input<TaskId>>,
    before: Vec<TaskId>,
}
