#![doc = include_str!("guide/calls.md")]
#![doc = include_str!("guide/running.md")]
#![doc = include_str!("guide/within.md")]
#![doc = include_str!("guide/errors.md")]
#![doc = include_str!("guide/launching.md")]

pub use distwq_core::codec::{Described, Portable};
pub use distwq_core::{
    Batch, BodyResult, ByWorkerError, Call, CancelState, Cluster, Config, ConfigError, Context, CycleError,
    Explanation, FinishError, FunctionStats, Graph, Group, GroupError, Handle, HandleFuture, InOrder, Indexed, IntoArg,
    IntoIter, IsCall, Iter, Limit, LogLevel, LongTask, Map, OnFailure, OrderError, Progress, ProgressBar,
    ProgressStyle, Rank, RankStats, Reason, Refusal, RetryOn, Run, RunError, RunTimes, RunningTask, State, StateError,
    Stats, Status, TaskError, TaskFailure, TaskInfo, TaskName, TaskSite, TaskState, TaskStatus, UpstreamPath, Waiting,
    WaitsFor, WorkerPhase, WorkerStatus, launch, testing,
};
#[cfg(feature = "mpi")]
pub use distwq_core::{OneThreadAtATime, RawCommunicator, mpi};
pub use distwq_macros::{main, remote, test};

/// What most programs use: `use distwq::prelude::*;`.
pub mod prelude {
    pub use crate::remote;
    pub use crate::{
        Batch, Call, Cluster, Config, Context, Graph, Group, GroupError, Handle, Limit, OnFailure, RetryOn, RunError,
        TaskError, TaskFailure,
    };
}

/// What the code that the macros generate names. Not for use by hand.
#[doc(hidden)]
pub mod __private {
    pub use distwq_core::argument::IntoArg;
    pub use distwq_core::call::Call;
    pub use distwq_core::codec::{Portable, Shareable};
    pub use distwq_core::linkme;
    pub use distwq_core::registry::{Body, DISTWQ_REMOTES, Remote};
    pub use distwq_core::remote::{BoxedErrorText, DisplayText, ErrorText, Failure, Invocation, PlainErrorText};
    pub use distwq_core::returned::{IsNoResult, Returned, UntoldText, tellable};
    pub use distwq_core::travels::{Unencodable, UnencodableAsWritten, Written};
}

// The examples of the README are compiled and run like those here.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
