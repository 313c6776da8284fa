//! The engine of distwq. Programs use the crate `distwq`, which has the guide and re-exports what is public; this one
//! is where it is built. ARCHITECTURE.md draws the house; `tests/layering.rs` holds which module may import which.

#![warn(clippy::print_stdout, clippy::print_stderr)]

mod admission;
mod argument;
mod buffers;
pub mod call;
mod cluster;
pub mod codec;
mod config;
mod contain;
mod current;
mod error;
mod fault;
mod fingerprint;
mod frame;
mod graph;
mod group;
mod handle;
mod handshake;
mod id;
mod info;
pub mod launch;
mod machine;
mod message;
mod peers;
mod prefetch;
mod reference;
pub mod registry;
pub mod remote;
pub mod returned;
mod runtime;
mod stats;
pub mod testing;
mod transport;
pub mod travels;

pub use call::{Call, IntoArg, IsCall};
pub use cluster::Cluster;
pub use config::{Config, ConfigError};
pub use error::{Refusal, RunError, TaskError, TaskSite, UpstreamPath};
pub use graph::{CycleError, Graph, OrderError};
pub use group::{Group, GroupError};
pub use handle::Handle;
pub use id::{Rank, TaskId, WorkerId};
pub use info::{TaskInfo, TaskState};
pub use launch::{BodyResult, launch};
pub use linkme;
#[doc(hidden)]
pub use machine::scheduler;
#[cfg(feature = "mpi")]
pub use mpi;
pub use stats::{RankStats, Stats};
#[cfg(feature = "mpi")]
pub use transport::{OneThreadAtATime, RawCommunicator};
