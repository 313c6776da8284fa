//! The errors that users meet: of a task, of a graph, of a cluster.

mod path;
mod shared;
mod sources;

pub use path::UpstreamPath;
pub(crate) use path::{PathStep, Reason};
pub(crate) use sources::with_sources;

use crate::id::Rank;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// Why a task cannot use a cluster, and what to do.
pub(crate) const INSTEAD: &str = "a task cannot use the cluster that runs it: all workers could wait for tasks that no \
    worker is left for. Let the body of the program submit, and take outputs of other tasks as arguments";

/// Which task, and where it last ran.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskSite {
    /// The number of the task, counted from 1; 0 of a map as a whole.
    pub task: u32,
    /// The path of the function.
    pub function: String,
    /// The label given with [`Call::label`](crate::Call::label).
    pub label: Option<String>,
    /// The rank it last ran on (of a collective task: the rank that failed first).
    pub rank: Option<Rank>,
    /// The host of that rank.
    pub host: Option<String>,
    /// How many attempts were made.
    pub attempts: u32,
    /// Of a task that is made of several items of a map: which of them it is about, until
    /// that is [named](TaskError::of_item).
    #[serde(skip)]
    pub(crate) place: u32,
}

impl TaskSite {
    /// The label, or the function, with the number: how a path names its steps.
    #[must_use]
    pub fn name(&self) -> String {
        let name = self.label.as_ref().unwrap_or(&self.function);
        if self.task == 0 { format!("a map of {name}") } else { format!("{name} #{}", self.task) }
    }
}

impl fmt::Display for TaskSite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.task == 0 {
            return f.write_str(&self.name());
        }
        write!(f, "task #{} {}", self.task, self.function)?;
        if let Some(label) = &self.label {
            write!(f, " {label:?}")?;
        }
        if let Some(rank) = self.rank {
            write!(f, " on {rank}")?;
        }
        if let Some(host) = &self.host {
            write!(f, " (host {host})")?;
        }
        if self.attempts > 0 {
            write!(f, ", attempt {}", self.attempts)?;
        }
        Ok(())
    }
}

/// Why a task gives no value. Cheap to clone, and travels: a parameter of the type
/// `Result<T, TaskError>` takes the end of a task, whichever it is.
///
/// # Examples
/// ```
/// use distwq::prelude::*;
///
/// #[remote]
/// fn root(x: f64) -> Result<f64, String> {
///     if x < 0.0 { Err(format!("{x} has no root")) } else { Ok(x.sqrt()) }
/// }
///
/// #[distwq::main]
/// fn main(cluster: &Cluster) {
///     let handle = cluster.submit(root::call(-1.0).label("of -1"));
///     match handle.get() {
///         Err(TaskError::Failed { site, message }) => {
///             assert_eq!(&*message, "-1 has no root");
///             assert_eq!((site.label.as_deref(), site.attempts), (Some("of -1"), 1));
///         }
///         other => panic!("{other:?}"),
///     }
///     // What hangs on it tells where it began.
///     let error = cluster.submit(root::call(&handle)).get().unwrap_err();
///     assert_eq!(error.root().message(), Some("-1 has no root"));
/// }
/// ```
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TaskError {
    /// The function returned `Err`.
    #[error("{site} failed: {message}")]
    Failed {
        /// Which task, where.
        #[serde(with = "shared")]
        site: Arc<TaskSite>,
        /// The text of the error with the chain of its sources.
        #[serde(with = "shared")]
        message: Arc<str>,
    },
    /// The function panicked.
    #[error("{site} panicked: {message}")]
    Panicked {
        /// Which task, where.
        #[serde(with = "shared")]
        site: Arc<TaskSite>,
        /// What it panicked with.
        #[serde(with = "shared")]
        message: Arc<str>,
    },
    /// An argument could not be decoded, or the output not encoded, or the output not
    /// decoded where it was asked for.
    #[error("{site} could not exchange its values: {message}")]
    Codec {
        /// Which task, where.
        #[serde(with = "shared")]
        site: Arc<TaskSite>,
        /// Which value, and what the codec said.
        #[serde(with = "shared")]
        message: Arc<str>,
    },
    /// An input could not be fetched, or a value is gone with the rank that held it.
    #[error("{site} lost a value: {message}")]
    ValueLost {
        /// Which task, where.
        #[serde(with = "shared")]
        site: Arc<TaskSite>,
        /// Which value, and why.
        #[serde(with = "shared")]
        message: Arc<str>,
    },
    /// The group of a collective task did not begin, or broke without a member that says
    /// why. What members return or panic with is told as [`Failed`](Self::Failed) or
    /// [`Panicked`](Self::Panicked), also where they hand on the
    /// [`GroupError`](crate::task::group::GroupError) that they got because another one
    /// had left.
    #[error("{site} lost a member of its group: {message}")]
    Group {
        /// Which task, where.
        #[serde(with = "shared")]
        site: Arc<TaskSite>,
        /// Which member, and why.
        #[serde(with = "shared")]
        message: Arc<str>,
    },
    /// The worker that ran the task is gone.
    #[error("{site} was lost with its worker: {message}")]
    WorkerLost {
        /// Which task, where.
        #[serde(with = "shared")]
        site: Arc<TaskSite>,
        /// What is known of the end of the worker.
        #[serde(with = "shared")]
        message: Arc<str>,
    },
    /// The state that [`Config::init`](crate::Config::init) makes could not be made, on
    /// this worker or on another one.
    #[error("{site} did not run, because a state for it could not be made: {message}")]
    Init {
        /// Which task, and where it was to run.
        #[serde(with = "shared")]
        site: Arc<TaskSite>,
        /// Where `init` failed, and of what.
        #[serde(with = "shared")]
        message: Arc<str>,
    },
    /// The task cannot run, and was not taken.
    #[error("{task} was refused: {reason}")]
    Refused {
        /// The label or the function of the task; `graph` or `value` for what is no task.
        #[serde(with = "shared")]
        task: Arc<str>,
        /// Why it cannot run.
        reason: Refusal,
    },
    /// It was cancelled before it had given a value: by
    /// [`Handle::cancel`](crate::Handle::cancel),
    /// [`Cluster::cancel_all`](crate::Cluster::cancel_all),
    /// [`Cluster::shutdown_now`](crate::Cluster::shutdown_now) and the like, or by a
    /// signal. What it returned or panicked with after that is not told.
    #[error("{site} was cancelled before it gave a value; {}", after_cancel(*.interrupted))]
    Cancelled {
        /// Which task; where its last attempt ran, if one has begun.
        #[serde(with = "shared")]
        site: Arc<TaskSite>,
        /// Whether SIGINT or SIGTERM had come by then: see
        /// [`Cluster::is_interrupted`](crate::Cluster::is_interrupted).
        interrupted: bool,
    },
    /// It had given no value by a limit: of an attempt
    /// ([`Call::run_limit`](crate::Call::run_limit)), of the wait for the first attempt
    /// ([`Call::wait_limit`](crate::Call::wait_limit)), or of the task, its batch or the
    /// whole run. What it gives later is dropped.
    #[error("{site} reached {limit}, {}", shown(*.after, *.limit))]
    LimitReached {
        /// Which task; where the attempt ran.
        #[serde(with = "shared")]
        site: Arc<TaskSite>,
        /// Which limit.
        limit: Limit,
        /// How long the limit is; of a deadline, how long the task had been submitted
        /// when it came, or the map had gone on.
        after: Duration,
    },
    /// A task that this one needs gave no value.
    #[error("{site} did not run, because a task before it gave no value: {root} (path: {path})")]
    Upstream {
        /// Which task did not run.
        #[serde(with = "shared")]
        site: Arc<TaskSite>,
        /// The error of the task where it began.
        #[serde(with = "shared")]
        root: Arc<TaskError>,
        /// The tasks between, from the root to this one.
        path: UpstreamPath,
    },
    /// A task asked for the output of a task of the cluster that runs it.
    #[error("{site} was asked for its output within {task}; {INSTEAD}")]
    InsideTask {
        /// Whose output.
        #[serde(with = "shared")]
        site: Arc<TaskSite>,
        /// The task that asked.
        #[serde(with = "shared")]
        task: Arc<str>,
    },
    /// The graph of the task has not been started.
    #[error("the task has not started: run or start its graph first")]
    NotStarted,
    /// The time given to [`Handle::get_timeout`](crate::Handle::get_timeout) is over; the
    /// task goes on.
    #[error("{site} has not ended within {waited_ms} ms; it goes on")]
    Timeout {
        /// Which task.
        #[serde(with = "shared")]
        site: Arc<TaskSite>,
        /// How long it was waited for, in milliseconds.
        waited_ms: u128,
    },
    /// The task waits for what cannot come: nothing can move any more, or all workers
    /// that it could run on are [set aside](crate::Config::stuck_grace).
    #[error("{site} can never run: {message}")]
    Stalled {
        /// Which task.
        #[serde(with = "shared")]
        site: Arc<TaskSite>,
        /// Who waits for what.
        #[serde(with = "shared")]
        message: Arc<str>,
    },
    /// The cluster shut down before the task ended.
    #[error("{site} had not ended when the cluster shut down")]
    Closed {
        /// Which task.
        #[serde(with = "shared")]
        site: Arc<TaskSite>,
    },
}

/// The site in an error, by a reference of the kind that leads to the error.
macro_rules! site_of {
    ($error:expr) => {
        match $error {
            Self::Failed { site, .. }
            | Self::Panicked { site, .. }
            | Self::Codec { site, .. }
            | Self::ValueLost { site, .. }
            | Self::Group { site, .. }
            | Self::WorkerLost { site, .. }
            | Self::Init { site, .. }
            | Self::Upstream { site, .. }
            | Self::InsideTask { site, .. }
            | Self::Timeout { site, .. }
            | Self::Stalled { site, .. }
            | Self::Cancelled { site, .. }
            | Self::LimitReached { site, .. }
            | Self::Closed { site } => Some(site),
            Self::Refused { .. } | Self::NotStarted => None,
        }
    };
}

impl TaskError {
    /// The error of something that is not taken.
    pub(crate) fn refused(task: &str, reason: Refusal) -> Self {
        Self::Refused { task: Arc::from(task), reason }
    }

    /// Which task it is about, where that is known.
    #[must_use]
    pub fn site(&self) -> Option<&TaskSite> {
        site_of!(self)
    }

    /// The error where it began: of the task itself, or of the one upstream that failed
    /// or was refused.
    #[must_use]
    pub fn root(&self) -> &Self {
        let mut error = self;
        while let Self::Upstream { root, .. } | Self::Refused { reason: Refusal::RefusedDependency { root, .. }, .. } =
            error
        {
            error = root;
        }
        error
    }

    /// Whether it tells that a signal has asked for the end of the run.
    pub(crate) fn is_interruption(&self) -> bool {
        matches!(self.root(), Self::Cancelled { interrupted: true, .. })
    }

    /// The same of an item of a map, which has a number and a label of its own.
    pub(crate) fn of_item(mut self, number: u32, label: Option<&str>) -> Self {
        let site: Option<&mut Arc<TaskSite>> = site_of!(&mut self);
        if let Some(site) = site {
            let site = Arc::make_mut(site);
            site.task = number.wrapping_add(std::mem::take(&mut site.place));
            if label.is_some() {
                site.label = label.map(str::to_owned);
            }
        }
        if let Self::Upstream { site, path, .. } = &mut self
            && let Some(last) = path.steps.last_mut()
        {
            *last = site.name();
        }
        self
    }

    /// What the function or the runtime said, where there is such a text.
    #[must_use]
    pub fn message(&self) -> Option<&str> {
        match self {
            Self::Failed { message, .. }
            | Self::Panicked { message, .. }
            | Self::Codec { message, .. }
            | Self::ValueLost { message, .. }
            | Self::Group { message, .. }
            | Self::WorkerLost { message, .. }
            | Self::Init { message, .. }
            | Self::Stalled { message, .. } => Some(message),
            _ => None,
        }
    }
}

/// What a task can reach before it has given its value.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Limit {
    /// [`Call::run_limit`](crate::Call::run_limit), of its last attempt.
    Run,
    /// [`Call::wait_limit`](crate::Call::wait_limit).
    Wait,
    /// [`Batch::deadline`](crate::Batch::deadline),
    /// [`Run::deadline`](crate::Run::deadline),
    /// [`Map::deadline`](crate::Map::deadline) or
    /// [`Config::time_limit`](crate::Config::time_limit).
    Deadline,
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Run => "its run limit",
            Self::Wait => "its wait limit",
            Self::Deadline => "its deadline or that of the whole run",
        })
    }
}

/// What to do about a cancel, or why there is nothing to be done.
fn after_cancel(interrupted: bool) -> &'static str {
    if interrupted {
        "a signal has come (SIGINT or SIGTERM), which cancels all tasks, also those that are submitted later"
    } else {
        "while the cluster is open, the call can be submitted again"
    }
}

/// How long a limit is, in words.
fn shown(after: Duration, limit: Limit) -> String {
    let ms = after.as_millis();
    match limit {
        Limit::Run => format!("{ms} ms after it began; the function is told by `ctx.cancelled()`"),
        Limit::Wait => format!("{ms} ms after it was submitted, before its first attempt began"),
        Limit::Deadline => format!("after {ms} ms"),
    }
}

/// Why a task or a graph was not taken.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// A collective task wants more ranks than there are workers.
    #[error(
        "it wants {wanted} ranks, but the cluster has {}; start more ranks or ask for fewer",
        plural(*workers, "worker")
    )]
    TooManyRanks {
        /// What `ranks` asked for.
        wanted: u32,
        /// How many workers there are.
        workers: u32,
    },
    /// A task for no rank at all.
    #[error("it wants 0 ranks; a task needs at least 1")]
    NoRanks,
    /// `ranks` on a function that runs on one rank.
    #[error("it wants {wanted} ranks, but its function runs on one; declare it `#[remote(collective)]`")]
    NotCollective {
        /// What `ranks` asked for.
        wanted: u32,
    },
    /// An argument could not be encoded.
    #[error("argument {argument} cannot be encoded: {message}")]
    Encode {
        /// Which one, counted from 1.
        argument: usize,
        /// What the encoder said.
        message: String,
    },
    /// A value given to `graph.value` or `cluster.value` could not be encoded.
    #[error("the value cannot be encoded: {0}")]
    Value(String),
    /// A handle of a graph that has not started, given to another graph or to `submit`.
    #[error("a handle among its arguments or dependencies belongs to a graph that has not started")]
    NotStartedDependency,
    /// A handle of another cluster.
    #[error("a handle among its arguments or dependencies belongs to another cluster")]
    ForeignHandle,
    /// A task that this one needs was itself refused.
    #[error("a task that it needs was refused: {root} (path: {path})")]
    RefusedDependency {
        /// The refusal where it began.
        #[serde(with = "shared")]
        root: Arc<TaskError>,
        /// The tasks between, from the root to this one.
        path: UpstreamPath,
    },
    /// A task gave it to the cluster that runs the task.
    #[error("it was given to the cluster within {task}; {INSTEAD}")]
    InsideTask {
        /// The task that did.
        task: String,
    },
    /// The cluster has shut down.
    #[error("the cluster has shut down")]
    Closed,
    /// A map of windows or chunks of no items.
    #[error("the map was given a {what} of 0 items, so that none would run; say 1 at least, or nothing")]
    NoItems {
        /// `window` or `chunk`.
        what: String,
    },
    /// A graph runs once.
    #[error("the graph has been started before; a graph runs once")]
    StartedTwice,
}

/// Why a graph did not give all its values.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RunError {
    /// The graph was not taken: nothing of it runs, and each of its handles has ended as
    /// refused.
    #[error("nothing of the graph runs: {0}")]
    Refused(TaskError),
    /// Some tasks failed. Those that depend on them did not run; all the others have
    /// values.
    #[error("{}", describe(.failed, *.upstream))]
    Failed {
        /// The tasks that failed themselves or were cancelled, in the order of their ids.
        failed: Vec<TaskError>,
        /// How many tasks did not run because of them.
        upstream: usize,
    },
    /// The cluster ended while another thread still ran the graph.
    #[error("the cluster ended before {} of the graph", plural(*outstanding, "task"))]
    Closed {
        /// How many tasks had not ended.
        outstanding: usize,
    },
}

fn describe(failed: &[TaskError], upstream: usize) -> String {
    const SHOWN_MAX: usize = 5;
    let cancelled = failed.iter().filter(|error| matches!(error, TaskError::Cancelled { .. })).count();
    let mut text = match (failed.len() - cancelled, cancelled) {
        (failed, 0) => format!("{} failed", plural(failed, "task")),
        (0, cancelled) => format!("{} cancelled", plural(cancelled, "task")),
        (failed, cancelled) => format!("{} failed, {cancelled} cancelled", plural(failed, "task")),
    };
    if upstream > 0 {
        text += &format!(", and {} after them did not run", plural(upstream, "task"));
    }
    for error in failed.iter().take(SHOWN_MAX) {
        text += &format!("\n  {error}");
    }
    if failed.len() > SHOWN_MAX {
        text += &format!("\n  … and {} more", failed.len() - SHOWN_MAX);
    }
    text
}

/// "1 task", "2 tasks".
pub(crate) fn plural<N: PartialEq + From<u8> + fmt::Display>(count: N, noun: &str) -> String {
    let ending = if count == N::from(1) { "" } else { "s" };
    format!("{count} {noun}{ending}")
}
