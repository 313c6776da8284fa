//! What users hold: calls, graphs, handles, the cluster.

mod admission;
pub mod argument;
pub(crate) mod batch;
pub mod call;
pub(crate) mod callbacks;
pub(crate) mod cluster;
mod ending;
pub(crate) mod future;
pub(crate) mod graph;
pub(crate) mod handle;
pub(crate) mod map;
pub(crate) mod progress;
pub(crate) mod reference;
pub(crate) mod run;
