//! Drawings of graphs, in the language of Graphviz.

use super::{Edge, Graph};
use petgraph::visit::EdgeRef;
use std::fmt::Write as _;

/// The graph as Graphviz reads it.
pub(super) fn draw(graph: &Graph) -> String {
    let mut text = String::from("digraph {\n    rankdir=LR\n");
    for index in graph.nodes.node_indices() {
        let shape = if graph.is_task(index) { "box" } else { "ellipse" };
        let label = graph.name(index).replace('\\', "\\\\").replace('"', "\\\"");
        // Writing to a String cannot fail, here and below.
        let _ = writeln!(text, "    {} [shape={shape} label=\"{label}\"]", index.index());
    }
    for edge in graph.nodes.edge_references() {
        let style = if matches!(edge.weight(), Edge::Input(_)) { "" } else { " [style=dashed]" };
        let _ = writeln!(text, "    {} -> {}{style}", edge.source().index(), edge.target().index());
    }
    text.push_str("}\n");
    text
}
