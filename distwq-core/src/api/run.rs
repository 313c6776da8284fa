//! A graph that runs.

use crate::api::batch::Progress;
use crate::api::cluster::Cluster;
use crate::api::graph::Graph;
use crate::api::progress::{HowFar, ProgressBar};
use crate::id::GraphRunId;
use crate::machine::controller::{Awaited, GraphProgress, ReferenceNote};
use crate::outcome::error::RunError;
use crate::task::current;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A graph that was started by [`Cluster::start`]. Dropping it cancels nothing; the tasks
/// go on, and their handles tell how they went.
///
/// # Examples
/// ```
/// use distwq::prelude::*;
///
/// #[remote]
/// fn square(x: u64) -> u64 {
///     x * x
/// }
///
/// #[distwq::main]
/// fn main(cluster: &Cluster) -> Result<(), Box<dyn std::error::Error>> {
///     let mut graph = Graph::new();
///     let squares: Vec<_> = (1..=3).map(|x| graph.add(square::call(x))).collect();
///     let run = cluster.start(&mut graph)?;
///     println!("{}", run.progress()); // such as "1 of 3"
///     run.wait()?;
///     assert_eq!((run.progress().ended, squares[2].get()?), (3, 9));
///     Ok(())
/// }
/// ```
pub struct Run {
    known: Arc<Known>,
}

/// What the cluster knows of a run as long as somebody may ask.
struct Known {
    cluster: Cluster,
    graph_run: GraphRunId,
}

impl Cluster {
    /// Runs a graph: starts it and waits until each of its tasks has ended. Tasks that
    /// were submitted before go on beside it.
    ///
    /// # Errors
    /// [`RunError::Refused`] as [`start`](Self::start); [`RunError::Failed`] if tasks
    /// failed. All others have their values even so, and handles stay readable.
    pub fn run(&self, graph: &mut Graph) -> Result<(), RunError> {
        self.start(graph)?.wait()
    }

    /// Starts a graph and goes on. Its handles are arguments anywhere from now on. The
    /// graph is taken whole, however many tasks are [queued](crate::Config::queue_max).
    ///
    /// # Errors
    /// [`RunError::Refused`] if the graph has run before, or if one of its tasks can
    /// never run; then nothing of it runs and all its handles have ended as refused.
    pub fn start(&self, graph: &mut Graph) -> Result<Run, RunError> {
        let graph_run = self.begin(graph)?;
        Ok(Run { known: Arc::new(Known { cluster: self.clone(), graph_run }) })
    }
}

impl Run {
    /// Waits until each task has ended. May be called again, and from several threads.
    ///
    /// # Errors
    /// [`RunError::Failed`] if tasks failed or were cancelled, [`RunError::Closed`] if
    /// the cluster has ended before them.
    ///
    /// # Panics
    /// Within a task of this process.
    #[track_caller]
    pub fn wait(&self) -> Result<(), RunError> {
        self.wait_until(None).expect("without a deadline a wait ends with an answer")
    }

    /// The same for `timeout` at most; nothing if a task has not ended by then.
    ///
    /// # Panics
    /// Within a task of this process.
    #[track_caller]
    pub fn wait_timeout(&self, timeout: Duration) -> Option<Result<(), RunError>> {
        // A timeout beyond what the clock can tell is no timeout.
        self.wait_until(Instant::now().checked_add(timeout))
    }

    #[track_caller]
    fn wait_until(&self, deadline: Option<Instant>) -> Option<Result<(), RunError>> {
        current::assert_outside("Run::wait");
        let graph_run = self.known.graph_run;
        // Without a deadline it ends because every task ends: with a value, an error, or
        // when nothing can move any more.
        self.known.cluster.inner().driver.wait_until(Awaited::GraphRun(graph_run), deadline, |engine| {
            let machine = engine.machine();
            machine.has_graph_run_ended(graph_run).then(|| machine.result_of_graph_run(graph_run))
        })
    }

    /// Whether each task has ended. Never waits, and moves things on like a wait does, so
    /// that a loop that asks comes to an end.
    ///
    /// # Panics
    /// Within a task of this process, where such a loop would not come to an end.
    #[must_use]
    #[track_caller]
    pub fn is_done(&self) -> bool {
        current::assert_outside("Run::is_done");
        self.known.cluster.inner().driver.with(|engine| {
            engine.machine().has_graph_run_ended(self.known.graph_run) || {
                engine.turn_now();
                engine.machine().has_graph_run_ended(self.known.graph_run)
            }
        })
    }

    /// How far the tasks are. Those that did not run because of others count as failed.
    /// Never waits.
    #[must_use]
    pub fn progress(&self) -> Progress {
        self.known.progress()
    }

    /// Shows on standard error how far the tasks are, until what this gives is dropped: a
    /// bar on a terminal, lines elsewhere.
    ///
    /// # Examples
    /// ```
    /// use distwq::prelude::*;
    ///
    /// #[remote]
    /// fn square(x: u64) -> u64 {
    ///     x * x
    /// }
    ///
    /// #[distwq::main]
    /// fn main(cluster: &Cluster) -> Result<(), Box<dyn std::error::Error>> {
    ///     let mut graph = Graph::new();
    ///     (1..=100).for_each(|x| drop(graph.add(square::call(x))));
    ///     let run = cluster.start(&mut graph)?;
    ///     let _bar = run.progress_bar();
    ///     run.wait()?;
    ///     Ok(())
    /// }
    /// ```
    pub fn progress_bar(&self) -> ProgressBar {
        let known = Arc::clone(&self.known);
        ProgressBar::show(known.cluster.inner().progress, move || {
            let Progress { tasks, ended, failed, cancelled } = known.progress();
            HowFar::of([ended, failed, cancelled].map(|count| count as u64), Some(tasks as u64))
        })
    }

    /// Ends the tasks that have not ended within this time from now, as
    /// [`LimitReached`](crate::TaskError::LimitReached). What has ended stays. Tasks that
    /// run learn of it by [`Context::cancelled`](crate::Context::cancelled); what they
    /// give later is dropped, and they keep their slots until they return. Said again,
    /// the earlier time counts. Never waits; allowed anywhere, also within a task.
    ///
    /// # Examples
    /// ```
    /// use distwq::prelude::*;
    /// use std::time::Duration;
    ///
    /// #[remote]
    /// fn nap(ms: u64) -> u64 {
    ///     std::thread::sleep(Duration::from_millis(ms));
    ///     ms
    /// }
    ///
    /// #[distwq::main]
    /// fn main(cluster: &Cluster) -> Result<(), RunError> {
    ///     let mut graph = Graph::new();
    ///     let [short, long] = [0, 400].map(|ms| graph.add(nap::call(ms)));
    ///     let run = cluster.start(&mut graph)?;
    ///     run.deadline(Duration::from_millis(100));
    ///     assert!(run.wait().is_err());
    ///     assert_eq!((short.get().is_ok(), long.get().is_ok()), (true, false));
    ///     Ok(())
    /// }
    /// ```
    pub fn deadline(&self, time: Duration) {
        self.known.cluster.inner().driver.with(|engine| engine.graph_deadline_in(self.known.graph_run, time));
    }

    /// Cancels the tasks that have not ended, as
    /// [`Handle::cancel`](crate::Handle::cancel) does: those that wait end at once, and
    /// those that run learn it. Never waits; allowed anywhere, also within a task.
    pub fn cancel(&self) {
        self.known.cluster.inner().driver.with(|engine| engine.cancel_graph(self.known.graph_run));
    }
}

impl Known {
    fn progress(&self) -> Progress {
        let progress = self.cluster.inner().driver.with(|engine| engine.machine().graph_progress(self.graph_run));
        // It is known while somebody may ask, which this says.
        let GraphProgress { tasks, ended, failed, cancelled } = progress.unwrap_or_default();
        Progress { tasks, ended, failed, cancelled }
    }
}

/// Only notes that nobody will ask any more, so it may happen anywhere.
impl Drop for Known {
    fn drop(&mut self) {
        self.cluster.inner().note(ReferenceNote::GraphForgotten(self.graph_run));
    }
}

impl fmt::Debug for Run {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Run({:?})", self.known.graph_run)
    }
}
