//! The edges of a graph.

use crate::function::argument::ArgumentPosition;

/// Why one node comes before another.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Edge {
    /// The output of the one is an argument of the other, at this position.
    Input(ArgumentPosition),
    /// The call said `after` or `follow`.
    After,
    /// [`Graph::order`](super::Graph::order).
    Order,
}
