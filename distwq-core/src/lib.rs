//! The engine of distwq. Programs use the crate `distwq`, which has the guide and
//! re-exports what is public; this one is where it is built. ARCHITECTURE.md draws the
//! house; `tests/layering.rs` holds what may import what.

#![warn(clippy::print_stdout, clippy::print_stderr)]

mod api;
pub mod codec;
mod config;
mod function;
mod id;
pub mod launch;
mod machine;
mod memory;
mod outcome;
mod panics;
mod peers;
mod runtime;
mod task;
pub mod testing;
mod transport;
mod wire;

pub use api::argument::{self, IntoArg};
pub use api::batch::{Batch, ByWorkerError, InOrder, IntoIter, Iter, Progress};
pub use api::call::{self, Call, IsCall};
pub use api::cluster::Cluster;
pub use api::future::HandleFuture;
pub use api::graph::{CycleError, Graph, OnFailure, OrderError};
pub use api::handle::Handle;
pub use api::map::{Indexed, Map};
pub use api::progress::ProgressBar;
pub use api::run::Run;
pub use config::{Config, ConfigError, LogLevel, ProgressStyle};
pub use function::{registry, remote, returned, travels};
pub use id::{Rank, TaskId, TaskSlot, WorkerId};
pub use launch::{BodyResult, launch};
pub use linkme;
#[doc(hidden)]
pub use machine::scheduler;
#[cfg(any(test, feature = "simulation"))]
#[doc(hidden)]
pub use machine::simulation;
#[cfg(feature = "mpi")]
pub use mpi;
pub use outcome::error::{Limit, Refusal, RunError, TaskError, TaskSite, UpstreamPath};
pub use outcome::failure::{RetryOn, TaskFailure};
pub use outcome::finish::FinishError;
pub use outcome::info::{CancelState, TaskInfo, TaskState};
pub use outcome::stats::{FunctionStats, LongTask, RankStats, Stats};
pub use outcome::status::{
    Explanation, Reason, RunningTask, Status, TaskName, TaskStatus, Waiting, WaitsFor, WorkerPhase, WorkerStatus,
};
pub use outcome::tally::RunTimes;
pub use task::context::Context;
pub use task::group::{Group, GroupError};
pub use task::state::{State, StateError};
#[cfg(feature = "mpi")]
pub use transport::{OneThreadAtATime, RawCommunicator};
