//! What the nodes of a graph are to run, from when they are added until it starts.

use super::Edge;
use crate::call::{Input, InputPlace, Options, Parts};
use crate::codec::{Payload, PayloadWriter};
use crate::id::TaskId;
use crate::reference::{NodeReference, Nodes, Reference};
use crate::registry::Remote;
use petgraph::Direction;
use petgraph::graph::{DiGraph, NodeIndex};
use petgraph::visit::EdgeRef;
use rustc_hash::FxHashMap;

/// The nodes of a graph that has not started, beside the graph itself. There may be millions: what few have lies apart.
pub(super) struct Waiting {
    pub(super) nodes: Nodes,
    /// By node, where its bytes end; they begin with the end of those of the node before.
    ends: Vec<usize>,
    /// The arguments that came as values, or the value, of all nodes one behind another.
    bytes: Vec<u8>,
    /// Those of nodes that have many.
    large: FxHashMap<u32, Payload>,
    /// Inputs that are tasks outside of this graph, each with its node and its place among all inputs of that.
    pub(super) outside: Vec<(u32, usize, Input<Reference>)>,
    /// What the calls of few nodes say besides their functions and arguments.
    pub(super) options: FxHashMap<u32, Box<Options>>,
}

/// More bytes than this are kept as they are.
const COPIED_BYTES_MAX: usize = 256;

/// A node on its way to the controller. What it depends on has become tasks before.
pub(crate) struct StartingNode<'a> {
    /// The function; a value has none.
    pub(crate) remote: Option<&'static Remote>,
    /// The arguments that came as values; of a value that.
    pub(crate) plain: Plain<'a>,
    pub(crate) inputs: &'a [Input<TaskId>],
    pub(crate) options: &'a Options,
    /// The tasks that explicit edges put before it.
    pub(crate) before: &'a [TaskId],
    /// How many tasks the longest path has that hangs on it.
    pub(crate) level: u32,
}

/// Bytes of a node.
pub(crate) enum Plain<'a> {
    Few(&'a [u8]),
    Many(Payload),
}

impl Plain<'_> {
    /// Puts the bytes into their place.
    #[inline]
    pub(crate) fn move_to(self, place: &mut Payload) {
        match self {
            Self::Few(bytes) => place.set(bytes),
            Self::Many(payload) => *place = payload,
        }
    }
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
        }
    }

    /// Adds a task, and tells of each input that is a node of this graph.
    pub(super) fn add_task(&mut self, parts: &mut Parts, mut depends: impl FnMut(u32, InputPlace)) -> NodeReference {
        let node = self.ends.len() as u32;
        for (at, input) in parts.arguments.inputs.iter().enumerate() {
            match self.nodes.index_of(&input.source) {
                Some(other) => depends(other, input.place),
                None => self.outside.push((node, at, Input { source: input.source.clone(), place: input.place })),
            }
        }
        self.add_value(&mut parts.arguments.plain)
    }

    /// Adds a value.
    pub(super) fn add_value(&mut self, plain: &mut PayloadWriter) -> NodeReference {
        if plain.len() <= COPIED_BYTES_MAX {
            plain.append_to(&mut self.bytes);
        } else {
            self.large.insert(self.ends.len() as u32, std::mem::take(plain).finish());
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
        let place = node.index();
        let index = place as u32;
        let Named { inputs, before } = named;
        inputs.clear();
        before.clear();
        // The newest comes first.
        for edge in graph.edges_directed(node, Direction::Incoming) {
            let source = self.nodes.task(edge.source().index() as u32);
            match *edge.weight() {
                Edge::Input(place) => inputs.push(Input { source, place }),
                Edge::Order => before.push(source),
                // The options name it.
                Edge::After => {}
            }
        }
        inputs.reverse();
        if !self.outside.is_empty() {
            // They are sorted, because nodes come in order.
            let first = self.outside.partition_point(|(other, ..)| *other < index);
            for (_, at, input) in self.outside[first..].iter().take_while(|(other, ..)| *other == index) {
                inputs.insert(*at, Input { source: input.source.task(), place: input.place });
            }
        }
        let large = if self.large.is_empty() { None } else { self.large.remove(&index) };
        let plain = large.map_or_else(
            || {
                let begin = place.checked_sub(1).map_or(0, |last| self.ends[last]);
                Plain::Few(&self.bytes[begin..self.ends[place]])
            },
            Plain::Many,
        );
        let options = if self.options.is_empty() { None } else { self.options.get(&index) };
        let options = options.map_or(Options::NONE, |options| options);
        let task = take(StartingNode { remote: graph[node], plain, inputs, options, before, level });
        self.nodes.set_task(index, task);
    }
}

/// What nodes name, one after another: kept for the memory.
#[derive(Default)]
pub(super) struct Named {
    inputs: Vec<Input<TaskId>>,
    before: Vec<TaskId>,
}
