//! The settings of a run: by builder in code, and by `DISTWQ_*` variables, which win over
//! the code so that a program can be tuned without building it again.

mod environment;
mod words;

pub(crate) use environment::unknown_variables;
use serde::{Deserialize, Serialize};
use std::any::Any;
use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;
pub use words::{LogLevel, ProgressStyle};

/// The settings of a run. The controller's settings hold for all ranks; they travel to
/// the workers when these report, so variables need to be set for the controller's
/// process only (`DISTWQ_CONTROLLER` and `DISTWQ_PIECE_BYTES`: for rank 0;
/// `DISTWQ_MPI_THREAD_MULTIPLE` and `DISTWQ_HANDLE_SIGNALS`: for all ranks).
///
/// | method | variable | default |
/// |---|---|---|
/// | [`workers`](Self::workers) | `DISTWQ_WORKERS` | one for each core |
/// | [`slots`](Self::slots) | `DISTWQ_SLOTS` | 1 |
/// | [`controller`](Self::controller) | `DISTWQ_CONTROLLER` | 0 |
/// | [`inline_bytes_max`](Self::inline_bytes_max) | `DISTWQ_INLINE_BYTES_MAX` | 4096 |
/// | [`piece_bytes`](Self::piece_bytes) | `DISTWQ_PIECE_BYTES` | 64 MiB |
/// | [`stack_bytes`](Self::stack_bytes) | `DISTWQ_STACK_BYTES` | 8 MiB |
/// | [`seed`](Self::seed) | `DISTWQ_SEED` | 0 |
/// | [`init_limit`](Self::init_limit) | `DISTWQ_INIT_LIMIT_MS` | 5 min |
/// | [`finish_limit`](Self::finish_limit) | `DISTWQ_FINISH_LIMIT_MS` | 1 min |
/// | [`handshake_limit`](Self::handshake_limit) | `DISTWQ_HANDSHAKE_LIMIT_MS` | 60 s |
/// | [`collective_grace`](Self::collective_grace) | `DISTWQ_COLLECTIVE_GRACE_MS` | 10 s |
/// | [`shutdown_grace`](Self::shutdown_grace) | `DISTWQ_SHUTDOWN_GRACE_MS` | 10 s |
/// | [`stuck_grace`](Self::stuck_grace) | `DISTWQ_STUCK_GRACE_MS` | 1 min |
/// | [`time_limit`](Self::time_limit) | `DISTWQ_TIME_LIMIT_MS` | none |
/// | [`queue_max`](Self::queue_max) | `DISTWQ_QUEUE_MAX` | 4,000,000 |
/// | [`queue_bytes_max`](Self::queue_bytes_max) | `DISTWQ_QUEUE_BYTES_MAX` | 4 GiB |
/// | [`handle_signals`](Self::handle_signals) | `DISTWQ_HANDLE_SIGNALS` | 1 |
/// | [`mpi_thread_multiple`](Self::mpi_thread_multiple) | `DISTWQ_MPI_THREAD_MULTIPLE` | 0 |
/// | [`progress`](Self::progress) | `DISTWQ_PROGRESS` | auto |
/// | [`forward_logs`](Self::forward_logs) | `DISTWQ_FORWARD_LOGS` | off |
///
/// `S` is the type of the state that [`init`](Self::init) makes for each slot, and `F`
/// that of what [`finish`](Self::finish) makes of it in the end.
///
/// Times in variables are milliseconds, sizes bytes. A variable that is no number, or out
/// of its range, ends the program at its start with a message and exit code 2. One that
/// begins with `DISTWQ_` and means nothing, because it is misspelt for example, is named
/// on standard error by the controller.
///
/// # Examples
/// ```
/// use distwq::prelude::*;
/// use std::time::Duration;
///
/// #[distwq::main(config = Config::new().workers(3).shutdown_grace(Duration::from_secs(30)))]
/// fn main(cluster: &Cluster) {
///     assert_eq!(cluster.workers(), 3);
/// }
/// ```
#[derive(Clone, PartialEq, Eq, Debug)]
#[must_use]
pub struct Config<S = (), F = ()> {
    pub(crate) workers: Option<usize>,
    pub(crate) slots: u32,
    pub(crate) controller: i32,
    pub(crate) inline_bytes_max: u64,
    pub(crate) piece_bytes: usize,
    pub(crate) stack_bytes: usize,
    pub(crate) seed: u64,
    pub(crate) handshake_limit: Duration,
    pub(crate) collective_grace: Duration,
    pub(crate) shutdown_grace: Duration,
    pub(crate) stuck_grace: Duration,
    pub(crate) time_limit: Option<Duration>,
    pub(crate) mpi_thread_multiple: bool,
    pub(crate) progress: ProgressStyle,
    pub(crate) forward_logs: Option<LogLevel>,
    pub(crate) init_limit: Duration,
    pub(crate) finish_limit: Duration,
    pub(crate) queue_max: u64,
    pub(crate) queue_bytes_max: u64,
    pub(crate) handle_signals: bool,
    /// How the states of the slots are made, if they have any.
    pub(crate) recipe: Option<AnyRecipe>,
    pub(crate) types: PhantomData<fn(S) -> F>,
}

/// A recipe for states, as whoever has made it knows it: functions on it name contexts,
/// which do not exist on this floor.
#[derive(Clone)]
pub(crate) struct AnyRecipe(pub(crate) Arc<dyn Any + Send + Sync>);

impl PartialEq for AnyRecipe {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for AnyRecipe {}

impl fmt::Debug for AnyRecipe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Recipe")
    }
}

/// What all ranks of a run have to agree on: the controller's settings, as they travel to
/// the workers. Times are in nanoseconds.
#[derive(Serialize, Deserialize, Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Settings {
    pub(crate) slots: u32,
    pub(crate) inline_bytes_max: u64,
    pub(crate) stack_bytes: usize,
    pub(crate) seed: u64,
    pub(crate) collective_grace_ns: u64,
    pub(crate) shutdown_grace_ns: u64,
    pub(crate) stuck_grace_ns: u64,
    pub(crate) queue_max: u64,
    pub(crate) queue_bytes_max: u64,
    /// Whether each slot has a state.
    pub(crate) has_states: bool,
    /// How long `init` and `finish` may take where a state is made anew.
    pub(crate) init_limit_ns: u64,
    pub(crate) finish_limit_ns: u64,
    /// From which level on lines of tasks travel to the controller.
    pub(crate) forward_logs: Option<LogLevel>,
}

/// A setting that cannot be.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// A variable does not hold what it should.
    #[error("{variable}={value:?} is not {expected}")]
    Variable {
        /// Its name.
        variable: &'static str,
        /// What it holds.
        value: String,
        /// What it should hold.
        expected: &'static str,
    },
    /// A setting is out of its range.
    #[error("{setting} (DISTWQ_{}) is {value}, but has to be {expected}", setting.to_uppercase())]
    Range {
        /// Its name.
        setting: &'static str,
        /// What it is.
        value: i64,
        /// What it has to be.
        expected: String,
    },
}

impl Default for Config {
    fn default() -> Self {
        Self {
            workers: None,
            slots: 1,
            controller: 0,
            inline_bytes_max: 4 << 10,
            piece_bytes: 64 << 20,
            stack_bytes: 8 << 20,
            seed: 0,
            handshake_limit: Duration::from_secs(60),
            collective_grace: Duration::from_secs(10),
            shutdown_grace: Duration::from_secs(10),
            stuck_grace: Duration::from_secs(60),
            time_limit: None,
            mpi_thread_multiple: false,
            progress: ProgressStyle::Auto,
            forward_logs: None,
            init_limit: Duration::from_secs(300),
            finish_limit: Duration::from_secs(60),
            queue_max: 4_000_000,
            queue_bytes_max: 4 << 30,
            handle_signals: true,
            recipe: None,
            types: PhantomData,
        }
    }
}

impl Config {
    /// The defaults.
    pub fn new() -> Self {
        Self::default()
    }
}

impl<S, F> Config<S, F> {
    /// The same settings with a recipe for states of these types.
    pub(crate) fn with_recipe<T, G>(self, recipe: Option<AnyRecipe>) -> Config<T, G> {
        Config {
            workers: self.workers,
            slots: self.slots,
            controller: self.controller,
            inline_bytes_max: self.inline_bytes_max,
            piece_bytes: self.piece_bytes,
            stack_bytes: self.stack_bytes,
            seed: self.seed,
            handshake_limit: self.handshake_limit,
            collective_grace: self.collective_grace,
            shutdown_grace: self.shutdown_grace,
            stuck_grace: self.stuck_grace,
            time_limit: self.time_limit,
            mpi_thread_multiple: self.mpi_thread_multiple,
            progress: self.progress,
            forward_logs: self.forward_logs,
            init_limit: self.init_limit,
            finish_limit: self.finish_limit,
            queue_max: self.queue_max,
            queue_bytes_max: self.queue_bytes_max,
            handle_signals: self.handle_signals,
            recipe,
            types: PhantomData,
        }
    }

    /// The same, without the types in its own.
    pub(crate) fn untyped(mut self) -> Config {
        let recipe = self.recipe.take();
        self.with_recipe(recipe)
    }

    /// How many workers the local backend has, each a thread, from 1 to 4096. Over MPI
    /// every rank but the controller is one, and this says nothing.
    pub fn workers(mut self, workers: usize) -> Self {
        self.workers = Some(workers);
        self
    }

    /// How many single-rank tasks a worker rank runs at once, each on a thread of its
    /// own, from 1 to 1024. A worker of the local backend has one slot always.
    pub fn slots(mut self, slots: u32) -> Self {
        self.slots = slots;
        self
    }

    /// Which rank is the controller; negative numbers count from the end, -1 is the last.
    pub fn controller(mut self, rank: i32) -> Self {
        self.controller = rank;
        self
    }

    /// Outputs of up to so many encoded bytes ride back with the news that their task is
    /// done; larger ones stay on the worker that made them.
    pub fn inline_bytes_max(mut self, bytes: u64) -> Self {
        self.inline_bytes_max = bytes;
        self
    }

    /// Larger payloads travel over MPI in pieces of so many bytes, from 64 B to 1 GiB.
    /// For tests; nobody has to set it.
    pub fn piece_bytes(mut self, bytes: usize) -> Self {
        self.piece_bytes = bytes;
        self
    }

    /// The stack of a thread that runs tasks, in bytes, at least 64 KiB.
    pub fn stack_bytes(mut self, bytes: usize) -> Self {
        self.stack_bytes = bytes;
        self
    }

    /// The seed of the run, from which each task has one of its own:
    /// [`Context::seed`](crate::Context::seed).
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// How long the ranks wait for each other's first word at the start, before the run
    /// is ended: in the start of MPI, and again in the handshake after it.
    pub fn handshake_limit(mut self, limit: Duration) -> Self {
        self.handshake_limit = limit;
        self
    }

    /// How long a member of a group may stay in raw MPI after another member failed,
    /// before the run is ended.
    pub fn collective_grace(mut self, grace: Duration) -> Self {
        self.collective_grace = grace;
        self
    }

    /// How long the ranks may take to end once there is nothing left to do, before the
    /// run is ended. It bounds the end of MPI as well. A run that waits for its last
    /// tasks says for which after this time, and then each minute;
    /// [`Cluster::shutdown_now`](crate::Cluster::shutdown_now) waits for no task longer.
    pub fn shutdown_grace(mut self, grace: Duration) -> Self {
        self.shutdown_grace = grace;
        self
    }

    /// How long tasks wait for workers that are set aside. A worker is, when an attempt
    /// has reached its [`run_limit`](crate::Call::run_limit) there, or its task a
    /// deadline, and the function does not return: it gets tasks again when it does. A
    /// task that no other worker could run ends after this time as
    /// [`Stalled`](crate::TaskError::Stalled), naming what still runs where.
    pub fn stuck_grace(mut self, grace: Duration) -> Self {
        self.stuck_grace = grace;
        self
    }

    /// How long the whole run may take, from when its body begins. What has not ended by
    /// then ends as [`LimitReached`](crate::TaskError::LimitReached), as by
    /// [`Batch::deadline`](crate::Batch::deadline), and so does what is submitted later.
    /// The body goes on, and the program ends as it says.
    pub fn time_limit(mut self, limit: Duration) -> Self {
        self.time_limit = Some(limit);
        self
    }

    /// Asks for an MPI that any thread may call at any time (`MPI_THREAD_MULTIPLE`). For
    /// programs that call MPI themselves, outside of [`Group::with_mpi`](crate::Group) or
    /// on threads of their own, and for safe code inside; see `RawCommunicator`. An MPI
    /// that does not provide it is an error at the start, with exit code 2. The variable,
    /// which is 0 or 1, has to reach all ranks.
    ///
    /// It is off unless asked for, because locks within MPI cost every message: in Open
    /// MPI 5.0.11 a farm of small messages, written in C, falls from 7.1 to 5.7 million a
    /// second. The local backend does not look at it.
    pub fn mpi_thread_multiple(mut self, multiple: bool) -> Self {
        self.mpi_thread_multiple = multiple;
        self
    }

    /// How [progress bars](crate::ProgressBar) are shown. The variable is one of `auto`,
    /// `bar`, `lines` and `off`.
    pub fn progress(mut self, style: ProgressStyle) -> Self {
        self.progress = style;
        self
    }

    /// Lets the lines that tasks log with `tracing`, from this level on, travel to the
    /// controller, each with its task. There they are events of the target
    /// `distwq::task`, with the fields `task`, `function`, `label`, `attempt`, `rank`,
    /// `host` and `from`, the target of the line, for the subscriber of that process; or
    /// lines on standard error, if it has set none. The variable is one of `off`,
    /// `error`, `warn`, `info`, `debug` and `trace`.
    ///
    /// A subscriber of the worker's process is told the lines as well. On the local
    /// backend that is the one of the controller's, so they travel only where it has set
    /// none before [`launch`](crate::launch()). What tasks log on threads of their own is
    /// not known as theirs, and stays. Another one stands in front of that subscriber
    /// while tasks run: a crate that asks it for a part of itself by its type, as those
    /// do that add to the spans of `tracing-opentelemetry`, finds none within tasks.
    ///
    /// To log never waits. In a second 1000 lines of a rank travel, with 256 KiB in all
    /// and 4 KiB each; of what is beyond that the count is told.
    pub fn forward_logs(mut self, level: LogLevel) -> Self {
        self.forward_logs = Some(level);
        self
    }

    /// How long the [`init`](Self::init) of all slots may take, before it counts as
    /// failed. The body begins when all have ended, or after this time. So long it may
    /// also take by itself where a state is made anew.
    pub fn init_limit(mut self, limit: Duration) -> Self {
        self.init_limit = limit;
        self
    }

    /// How many tasks that have not ended there may be, at least 1, before
    /// [`Cluster::submit`](crate::Cluster::submit) waits until one has ended. It bounds
    /// what a program keeps that submits faster than its workers can run: a task takes
    /// some 300 bytes of the controller's memory, besides its arguments. Graphs are taken
    /// whole, and a [map](crate::Cluster::map) pulls no items meanwhile.
    pub fn queue_max(mut self, tasks: u64) -> Self {
        self.queue_max = tasks;
        self
    }

    /// The same for the bytes of the arguments of these tasks that came as values, at
    /// least 1; calls of which they are less than 1 KiB are not counted. A call of any
    /// size is taken while there are less of the others.
    pub fn queue_bytes_max(mut self, bytes: u64) -> Self {
        self.queue_bytes_max = bytes;
        self
    }

    /// Whether [`launch`](crate::launch()) and `#[distwq::main]` handle SIGINT and
    /// SIGTERM, on every rank: the first [cancels all](crate::Cluster::cancel_all), also
    /// what is submitted [later](crate::Cluster::is_interrupted), so that the body goes
    /// on with what there is; the second ends all ranks at once, with 128 more than its
    /// number as exit code. A signal that reaches a worker alone cancels nothing, and one
    /// that is ignored when the program starts stays ignored. It is on unless said
    /// otherwise; a program that handles these signals itself says otherwise. The
    /// variable, which is 0 or 1, has to reach all ranks.
    pub fn handle_signals(mut self, handle: bool) -> Self {
        self.handle_signals = handle;
        self
    }

    /// How long [`Cluster::finish`](crate::Cluster::finish) waits for what
    /// [`finish`](Self::finish) makes of the states, once all tasks have ended. So long
    /// it may also take where a state is made anew: past that no task runs any more, as
    /// if `init` had failed there.
    pub fn finish_limit(mut self, limit: Duration) -> Self {
        self.finish_limit = limit;
        self
    }
}

impl Config {
    /// Those that hold for all ranks.
    pub(crate) fn settings(&self) -> Settings {
        // A year at most, which is checked.
        let ns = |limit: Duration| limit.as_nanos() as u64;
        Settings {
            slots: self.slots,
            inline_bytes_max: self.inline_bytes_max,
            stack_bytes: self.stack_bytes,
            seed: self.seed,
            collective_grace_ns: ns(self.collective_grace),
            shutdown_grace_ns: ns(self.shutdown_grace),
            stuck_grace_ns: ns(self.stuck_grace),
            queue_max: self.queue_max,
            queue_bytes_max: self.queue_bytes_max,
            has_states: self.recipe.is_some(),
            init_limit_ns: ns(self.init_limit),
            finish_limit_ns: ns(self.finish_limit),
            forward_logs: self.forward_logs,
        }
    }

    fn checked(self) -> Result<Self, ConfigError> {
        const WORKERS_MAX: usize = 4096;
        const YEAR_MS: i64 = 365 * 24 * 3_600_000;
        let workers = self.workers.unwrap_or(1);
        within("workers", workers as i64, 1, WORKERS_MAX as i64)?;
        within("slots", self.slots.into(), 1, 1024)?;
        within("piece_bytes", self.piece_bytes as i64, 64, 1 << 30)?;
        within("stack_bytes", self.stack_bytes as i64, 64 << 10, 1 << 40)?;
        for (setting, value) in [("queue_max", self.queue_max), ("queue_bytes_max", self.queue_bytes_max)] {
            within(setting, value.try_into().unwrap_or(i64::MAX), 1, i64::MAX)?;
        }
        let limits = [
            ("handshake_limit_ms", self.handshake_limit),
            ("collective_grace_ms", self.collective_grace),
            ("shutdown_grace_ms", self.shutdown_grace),
            ("stuck_grace_ms", self.stuck_grace),
            ("time_limit_ms", self.time_limit.unwrap_or_default()),
            ("init_limit_ms", self.init_limit),
            ("finish_limit_ms", self.finish_limit),
        ];
        for (setting, limit) in limits {
            within(setting, limit.as_millis().try_into().unwrap_or(i64::MAX), 0, YEAR_MS)?;
        }
        Ok(self)
    }

    /// The rank that `controller` means in a run of `ranks` ranks.
    #[cfg(any(feature = "mpi", test))]
    pub(crate) fn controller_rank(&self, ranks: u32) -> Result<u32, ConfigError> {
        let ranks = i64::from(ranks);
        let given = i64::from(self.controller);
        within("controller", given, -ranks, ranks - 1)?;
        Ok(given.rem_euclid(ranks) as u32)
    }
}

fn within(setting: &'static str, value: i64, min: i64, max: i64) -> Result<(), ConfigError> {
    if (min..=max).contains(&value) {
        return Ok(());
    }
    Err(ConfigError::Range { setting, value, expected: format!("from {min} to {max}") })
}
