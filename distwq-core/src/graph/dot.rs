//! Drawings of graphs, in the language of Graphviz.

use super::{Edge, Node};
use petgraph::graph::DiGraph;
use petgraph::visit::EdgeRef;
use std::fmt::Write as _;

/// The graph as Graphviz reads it.
pub(super) fn draw(nodes: &DiGraph<Node, Edge>) -> String {
    let mut text = String::from("digraph {\n    rankdir=LR\n");
    for index in nodes.node_indices() {
        let node = &nodes[index];
        let shape = if node.is_task() { "box" } else { "ellipse" };
        let label = node.name().replace('\\', "\\\\").replace('"', "\\\"");
        // Writing to a String cannot fail, here and below.
        let _ = writeln!(text, "    {} [shape={shape} label=\"{label}\"]", index.index());
    }
    for edge in nodes.edge_references() {
        let style = if *edge.weight() == Edge::Input { "" } else { " [style=dashed]" };
        let _ = writeln!(text, "    {} -> {}{style}", edge.source().index(), edge.target().index());
    }
    text.push_str("}\n");
    text
}
