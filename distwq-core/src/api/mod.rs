//! What users hold: calls, graphs, handles, the cluster.

mod admission;
pub mod call;
pub(crate) mod cluster;
pub(crate) mod graph;
pub(crate) mod handle;
pub(crate) mod reference;
