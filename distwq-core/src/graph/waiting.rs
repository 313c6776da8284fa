//! What the nodes of a graph are to run, from when they are added until it starts.

use crate::call::{Input, Options, Parts};
use crate::codec::Payload;
use crate::id::TaskId;
use crate::reference::{NodeReference, Nodes, Reference};
use crate::registry::Remote;
use rustc_hash::FxHashMap;

/// The nodes of a graph that has not started. There may be millions: what few have lies apart.
pub(super) struct Waiting {
    pub(super) nodes: Nodes,
    contents: Vec<Content>,
    /// Of all nodes, one behind another.
    inputs: Vec<Input<Source>>,
    /// Tasks that are not of this graph, each with the node that it is an input of.
    pub(super) outside: Vec<(u32, Reference)>,
    /// What the calls of few nodes say besides their functions and arguments.
    pub(super) options: FxHashMap<u32, Box<Options>>,
}

/// One node.
struct Content {
    /// The arguments that came as values; of a value that.
    plain: Payload,
    /// Where its inputs end; they begin with the end of those of the node before.
    inputs_end: usize,
}

/// Where an input comes from.
#[derive(Clone, Copy, Debug)]
enum Source {
    /// A node of this graph.
    Node(u32),
    /// A place in `outside`.
    Outside(u32),
}

/// A node on its way to the controller. What it depends on has become tasks before.
pub(crate) struct StartingNode<'a> {
    /// The function; a value has none.
    pub(crate) remote: Option<&'static Remote>,
    /// The arguments that came as values; of a value that.
    pub(crate) plain: &'a mut Payload,
    pub(crate) inputs: &'a [Input<TaskId>],
    pub(crate) options: &'a Options,
    /// The tasks that explicit edges put before it.
    pub(crate) before: &'a [TaskId],
    /// How many tasks the longest path has that hangs on it.
    pub(crate) level: u32,
}

impl Waiting {
    pub(super) fn new(graph: u64) -> Self {
        Self {
            nodes: Nodes::new(graph),
            contents: Vec::new(),
            inputs: Vec::new(),
            outside: Vec::new(),
            options: FxHashMap::default(),
        }
    }

    /// Adds a task, and tells of each input that is a node of this graph.
    pub(super) fn add_task(&mut self, parts: &mut Parts, mut depends: impl FnMut(u32)) -> NodeReference {
        let node = self.contents.len() as u32;
        for input in &parts.arguments.inputs {
            let source = if let Some(other) = self.nodes.index_of(&input.source) {
                depends(other);
                Source::Node(other)
            } else {
                self.outside.push((node, input.source.clone()));
                Source::Outside(self.outside.len() as u32 - 1)
            };
            self.inputs.push(Input { source, place: input.place });
        }
        let reference = self.add_value(Payload::EMPTY);
        if let Some(content) = self.contents.last_mut() {
            parts.arguments.plain.move_to(&mut content.plain);
        }
        reference
    }

    /// Adds a value.
    pub(super) fn add_value(&mut self, plain: Payload) -> NodeReference {
        self.contents.push(Content { plain, inputs_end: self.inputs.len() });
        self.nodes.add()
    }

    /// Hands over one node and notes the task that it becomes. `inputs` is memory for its inputs.
    #[inline]
    pub(super) fn start(
        &mut self,
        node: u32,
        (remote, level): (Option<&'static Remote>, u32),
        before: &[TaskId],
        inputs: &mut Vec<Input<TaskId>>,
        take: impl FnOnce(StartingNode<'_>) -> TaskId,
    ) {
        let place = node as usize;
        let begin = place.checked_sub(1).map_or(0, |last| self.contents[last].inputs_end);
        let Content { plain, inputs_end } = &mut self.contents[place];
        inputs.clear();
        for input in &self.inputs[begin..*inputs_end] {
            let source = match input.source {
                Source::Node(other) => self.nodes.task(other),
                Source::Outside(other) => self.outside[other as usize].1.task(),
            };
            inputs.push(Input { source, place: input.place });
        }
        let options = if self.options.is_empty() { None } else { self.options.get(&node) };
        let options = options.map_or(Options::NONE, |options| options);
        let task = take(StartingNode { remote, plain, inputs, options, before, level });
        self.nodes.set_task(node, task);
    }
}
