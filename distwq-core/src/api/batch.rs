//! Tasks whose results are taken as they come.

mod by_worker;
mod deadline;
mod iter;
mod kept;

use crate::api::call::IsCall;
use crate::api::cluster::{Cluster, Inner, refused};
use crate::api::handle::Handle;
use crate::api::progress::{HowFar, ProgressBar, without_value};
use crate::api::reference::{Outcomes, Reference, State};
use crate::config::ProgressStyle;
use crate::id::{CollectorId, Origin, TaskId};
use crate::machine::controller::{Awaited, Watch};
use crate::outcome::error::TaskError;
use crate::runtime::collectors::{Counts, Ends, Taken};
use crate::task::current;
pub use by_worker::ByWorkerError;
pub use iter::{InOrder, IntoIter, Iter};
use kept::Kept;
use rustc_hash::FxHashSet;
use serde::de::DeserializeOwned;
use std::borrow::Borrow;
use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Tasks whose results are taken as they come, each once. A batch holds the handles of
/// its tasks until their results are taken, and may grow meanwhile. It is used by
/// reference, also from several threads: each result goes to one of them.
///
/// [`Cluster::batch`] makes an empty one, [`Cluster::submit_all`] one of many calls, and
/// [`Batch::of`] one of handles, such as those of a graph. Dropping it drops the handles;
/// the tasks go on.
///
/// When SIGINT or SIGTERM [has come](Cluster::is_interrupted), the results of all tasks
/// are still given, most of them as [`Cancelled`](TaskError::Cancelled). What is
/// submitted after one has told so is not given any more, but by its
/// [handle](Self::handle): a loop that submits again what has failed comes to its end.
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
/// fn main(cluster: &Cluster) -> Result<(), TaskError> {
///     let batch = cluster.submit_all((1..=3).map(square::call));
///     let mut sum = 0;
///     for (index, result) in &batch {
///         sum += result?;
///         if index == 0 {
///             batch.submit(square::call(4)); // it may grow
///         }
///     }
///     assert_eq!((sum, batch.next()), (1 + 4 + 9 + 16, None));
///     Ok(())
/// }
/// ```
pub struct Batch<T> {
    /// None if no task of it can be waited for.
    cluster: Option<(Cluster, CollectorId)>,
    /// With the references of the tasks, until their results are taken.
    ends: Arc<Ends<Kept>>,
    begun: Instant,
    /// When all tasks have to end at the latest, by the clock of the cluster;
    /// [`NO_DEADLINE`] if nobody has said so. Read and written under the engine's lock.
    deadline: AtomicU64,
    outputs: PhantomData<fn() -> T>,
}

const CANNOT_GROW: &str = "a batch of handles that no cluster knows cannot grow";

/// A time that never comes.
const NO_DEADLINE: u64 = u64::MAX;

/// How far the tasks of a batch are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Progress {
    /// All.
    pub tasks: usize,
    /// Those that have ended, with a value or without.
    pub ended: usize,
    /// Those of them without one that were not cancelled themselves.
    pub failed: usize,
    /// Those that were cancelled.
    pub cancelled: usize,
}

impl fmt::Display for Progress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let &Self { tasks, ended, failed, cancelled } = self;
        write!(f, "{ended} of {tasks}{}", without_value(failed as u64, cancelled as u64))
    }
}

/// What the search for the next result finds.
enum Found {
    Task(Taken<Kept>),
    /// All results were taken.
    Nothing,
}

impl Cluster {
    /// A batch without tasks, to be filled with [`Batch::submit`].
    #[must_use]
    pub fn batch<T>(&self) -> Batch<T> {
        Batch::new(Some(self))
    }

    /// Submits many calls, whose results are taken as they come.
    pub fn submit_all<C: IsCall>(&self, calls: impl IntoIterator<Item = C>) -> Batch<C::Output> {
        let (batch, calls) = (self.batch(), calls.into_iter());
        batch.ends.reserve(calls.size_hint().0);
        for call in calls {
            batch.submit(call);
        }
        batch
    }
}

impl<T> Batch<T> {
    fn new(cluster: Option<&Cluster>) -> Self {
        let ends = Arc::new(Ends::default());
        let cluster = cluster.map(|cluster| {
            let collector = cluster.inner().driver.with(|engine| engine.collect(&ends));
            (cluster.clone(), collector)
        });
        let deadline = AtomicU64::new(NO_DEADLINE);
        Self { cluster, ends, begun: Instant::now(), deadline, outputs: PhantomData }
    }

    /// The tasks of these handles, a task with several handles once. The index of a task
    /// is its position among them. Those of a graph that has not been started end as
    /// [`NotStarted`](TaskError::NotStarted).
    ///
    /// # Panics
    /// If the handles are of tasks of several clusters.
    #[must_use]
    #[track_caller]
    pub fn of<H: Borrow<Handle<T>>>(handles: impl IntoIterator<Item = H>) -> Self {
        let handles: Vec<Handle<T>> = handles.into_iter().map(|handle| handle.borrow().clone()).collect();
        let cluster = handles.iter().find_map(|handle| match handle.reference().state() {
            State::Bound(_, outcomes) => Arc::clone(outcomes).as_any().downcast::<Inner>().ok(),
            _ => None,
        });
        let batch = Self::new(cluster.map(Cluster::from).as_ref());
        let mut known = FxHashSet::default();
        for handle in handles {
            if known.insert(Identity::of(handle.reference())) {
                batch.add(handle);
            }
        }
        batch
    }

    /// Adds a task that has a handle.
    #[track_caller]
    fn add(&self, handle: Handle<T>) {
        let reference = handle.into_reference();
        let bound = match reference.state() {
            State::Bound(task, outcomes) => Some((task, outcomes.session())),
            _ => None,
        };
        match (bound, &self.cluster) {
            (Some((task, session)), Some((cluster, collector))) => {
                assert_eq!(session, cluster.inner().session(), "the handles of a batch are of one cluster");
                cluster.inner().driver.with(|engine| {
                    let index = self.ends.add(Kept::other(reference));
                    let watch = Watch { collector: *collector, index };
                    engine.watch(task, watch);
                });
            }
            _ => {
                self.never_ran(reference);
            }
        }
    }

    /// Submits one more call. Gives the index under which its result will come: calls are
    /// counted from 0.
    ///
    /// # Panics
    /// If the batch was made of handles, none of which was of a task that a cluster has
    /// taken.
    #[track_caller]
    pub fn submit<C: IsCall<Output = T>>(&self, mut call: C) -> usize {
        let &(ref cluster, collector) = self.cluster.as_ref().expect(CANNOT_GROW);
        let taken = cluster.submit_parts(&mut call.as_call().parts, |inner, engine, parts| {
            // Nothing is told of the task before it is there.
            let adding = self.ends.adding();
            let watch = Watch { collector, index: adding.index() };
            let task = inner.take(engine, parts, Origin::Collected(collector), Some(watch))?;
            adding.add(Kept::Own(task));
            match self.deadline.load(Ordering::Relaxed) {
                NO_DEADLINE => {}
                at => engine.deadline(&[task], at),
            }
            Ok(watch.index)
        });
        let index = taken.unwrap_or_else(|step| self.never_ran(refused(step)));
        index as usize
    }

    /// The cluster of a batch that has submitted tasks itself.
    fn own_cluster(&self) -> &Cluster {
        let (cluster, _) = self.cluster.as_ref().expect(CANNOT_GROW);
        cluster
    }

    /// Adds a task that no cluster has taken: it ends here. Gives its index.
    fn never_ran(&self, reference: Reference) -> u32 {
        let index = self.ends.add(Kept::other(reference));
        self.ends.never_ran(index);
        self.has_changed();
        index
    }

    /// Threads that wait for this batch look again.
    fn has_changed(&self) {
        if let Some((cluster, collector)) = &self.cluster {
            cluster.inner().driver.with(|engine| engine.collected(*collector));
        }
    }

    /// Cancels the tasks that have not ended, as [`Handle::cancel`] does: those that wait
    /// end at once, and those that run learn it. Their results are to be taken like all
    /// others. Never waits; allowed anywhere, also within a task.
    pub fn cancel(&self) {
        let Some((cluster, _)) = &self.cluster else { return };
        let tasks = self.left();
        cluster.inner().driver.with(|engine| engine.cancel_tasks(&tasks));
    }

    /// The tasks whose results were not taken, as far as a cluster has them.
    fn left(&self) -> Vec<TaskId> {
        self.ends.choose(Kept::task)
    }

    /// How many tasks there are, those included whose results were taken.
    #[must_use]
    pub fn len(&self) -> usize {
        self.ends.counts().tasks
    }

    /// Whether no task was ever added.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How far the tasks are. Never waits.
    #[must_use]
    pub fn progress(&self) -> Progress {
        let Counts { tasks, ended, failed, cancelled, .. } = self.ends.counts();
        Progress { tasks, ended, failed, cancelled }
    }

    /// Shows on standard error how far the tasks are, until what this gives is dropped: a
    /// bar on a terminal, lines elsewhere. The batch may grow meanwhile.
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
    /// fn main(cluster: &Cluster) {
    ///     let batch = cluster.submit_all((0..100).map(square::call));
    ///     let bar = batch.progress_bar();
    ///     let sum: u64 = batch.iter().filter_map(|(_, square)| square.ok()).sum();
    ///     drop(bar); // leaves its last state
    ///     assert_eq!(sum, 328_350);
    /// }
    /// ```
    pub fn progress_bar(&self) -> ProgressBar {
        let style = self.cluster.as_ref().map_or_else(ProgressStyle::default, |(cluster, _)| cluster.inner().progress);
        let ends = Arc::clone(&self.ends);
        ProgressBar::show(style, move || {
            let Counts { tasks, ended, failed, cancelled, .. } = ends.counts();
            HowFar::of([ended, failed, cancelled].map(|count| count as u64), Some(tasks as u64))
        })
    }

    /// Whether all tasks have given values; nothing while one has not ended. A value that
    /// does not decode is a value until its result is taken.
    #[must_use]
    pub fn is_ok(&self) -> Option<bool> {
        let Progress { tasks, ended, failed, cancelled } = self.progress();
        (ended == tasks).then_some(failed + cancelled == 0)
    }

    /// How long the batch exists.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        self.begun.elapsed()
    }

    /// From the first task's submission to the last one's end, by the clocks of the hosts
    /// where that happened; nothing while one has not ended.
    #[must_use]
    pub fn wall_time(&self) -> Option<Duration> {
        self.ends.times().map(|(wall, _)| wall)
    }

    /// How long the last attempts of all tasks have run in sum; nothing while one has not
    /// ended.
    #[must_use]
    pub fn serial_time(&self) -> Option<Duration> {
        self.ends.times().map(|(_, serial)| serial)
    }

    /// Waits until a task has ended, for `timeout` at most; with [`Duration::MAX`] for as
    /// long as it takes. Gives the indices of all that have ended by then, those included
    /// whose results were taken.
    ///
    /// # Panics
    /// Within a task of this process, as all that waits here.
    #[track_caller]
    pub fn wait_any(&self, timeout: Duration) -> Vec<usize> {
        self.wait_for(timeout, |counts| counts.ended > 0)
    }

    /// The same until all have ended.
    ///
    /// # Panics
    /// Within a task of this process.
    #[track_caller]
    pub fn wait_all(&self, timeout: Duration) -> Vec<usize> {
        self.wait_for(timeout, |counts| counts.ended == counts.tasks)
    }

    /// The same until one has ended without a value, or all have ended.
    ///
    /// # Panics
    /// Within a task of this process.
    #[track_caller]
    pub fn wait_first_error(&self, timeout: Duration) -> Vec<usize> {
        self.wait_for(timeout, |counts| counts.failed + counts.cancelled > 0 || counts.ended == counts.tasks)
    }

    #[track_caller]
    fn wait_for(&self, timeout: Duration, is_enough: impl Fn(Counts) -> bool) -> Vec<usize> {
        current::assert_outside("a wait for a batch");
        if let Some((cluster, collector)) = &self.cluster {
            let deadline = Instant::now().checked_add(timeout);
            cluster.inner().driver.wait_until(Awaited::Collected(*collector), deadline, |engine| {
                let counts = self.ends.counts();
                (is_enough(counts) || counts.tasks == 0 || engine.machine().is_over()).then_some(())
            });
        }
        self.ends.which_ended()
    }

    /// Takes the task that has ended first of those that are left, and waits for one
    /// until `deadline`. Without a deadline its result is given for good. Nothing if none
    /// has ended by then.
    fn take(&self, deadline: Option<Instant>) -> Option<Found> {
        let find = || match self.ends.take_next(deadline.is_none()) {
            Some(taken) => Some(Found::Task(taken)),
            None => self.ends.are_delivered().then_some(Found::Nothing),
        };
        match (find(), &self.cluster) {
            (None, Some((cluster, collector))) => {
                // Ends because every task ends.
                cluster.inner().driver.wait_until(Awaited::Collected(*collector), deadline, |engine| {
                    // Once the run is over those that are left give an error.
                    let is_over = engine.machine().is_over();
                    find().or_else(|| is_over.then(|| self.take_unended(deadline.is_none())))
                })
            }
            (found, _) => found,
        }
    }

    /// Takes the first task by its index of those that are left. While others have taken
    /// all that are, and may give some back, it waits.
    fn take_in_order(&self) -> Option<u32> {
        let find = || match self.ends.take_first() {
            Some(index) => Some(Some(index)),
            None => self.ends.are_delivered().then_some(None),
        };
        match (find(), &self.cluster) {
            (None, Some((cluster, collector))) => {
                // Ends because who has taken them gives them to the user, or back.
                let found = cluster.inner().driver.wait_until(Awaited::Collected(*collector), None, |_| find());
                found.flatten()
            }
            (found, _) => found.flatten(),
        }
    }

    /// Takes the first task of those that are left, which will not end.
    fn take_unended(&self, is_delivered: bool) -> Found {
        let taken = self.ends.take_first().and_then(|index| {
            let kept = self.ends.let_go(index)?;
            Some(Taken { index, kept, is_last: is_delivered && self.ends.deliver() })
        });
        taken.map_or(Found::Nothing, Found::Task)
    }

    /// The result of a task that was taken is about to be given to the user. Threads that
    /// wait for another one may wait for nothing now.
    fn deliver(&self) {
        if self.ends.deliver() {
            self.has_changed();
        }
    }
}

impl<T: DeserializeOwned> Batch<T> {
    /// Waits for the next result, in the order in which tasks end, and takes it with the
    /// index of its task. Nothing, at once, when no result is left.
    ///
    /// # Panics
    /// Within a task of this process.
    #[track_caller]
    #[allow(clippy::should_implement_trait, reason = "it takes &self: iterate over &batch")]
    pub fn next(&self) -> Option<(usize, Result<T, TaskError>)> {
        current::assert_outside("Batch::next");
        match self.take(None) {
            Some(Found::Task(taken)) => Some(self.result(taken)),
            _ => None,
        }
    }

    /// Like [`next`](Self::next), for `timeout` at most: nothing if no result has come
    /// until then, and if none is left. A result that has come stays for the next call if
    /// there was no time to fetch it from its worker.
    ///
    /// # Panics
    /// Within a task of this process.
    #[track_caller]
    pub fn next_timeout(&self, timeout: Duration) -> Option<(usize, Result<T, TaskError>)> {
        current::assert_outside("Batch::next_timeout");
        // A timeout beyond what the clock can tell is no timeout.
        let deadline = Instant::now().checked_add(timeout);
        match self.take(deadline) {
            Some(Found::Task(taken)) => self.result_until(taken, deadline),
            _ => None,
        }
    }

    /// Takes the next result of a task that has ended, without waiting for one. An output
    /// that lies on a worker is fetched, which takes the time of its transfer.
    ///
    /// # Panics
    /// Within a task of this process, where a loop that asks would not come to an end.
    #[track_caller]
    pub fn try_next(&self) -> Option<(usize, Result<T, TaskError>)> {
        current::assert_outside("Batch::try_next");
        let taken = self.ends.take_next(true).or_else(|| {
            let (cluster, _) = self.cluster.as_ref()?;
            cluster.inner().driver.with(|engine| engine.turn_now());
            self.ends.take_next(true)
        });
        Some(self.result(taken?))
    }

    /// Takes all results that have come, in the order in which their tasks ended, without
    /// waiting for others.
    ///
    /// # Panics
    /// Within a task of this process.
    #[track_caller]
    pub fn drain(&self) -> Vec<(usize, Result<T, TaskError>)> {
        std::iter::from_fn(|| self.try_next()).collect()
    }

    /// Takes the results as the tasks end, until none is left: [`next`](Self::next) again
    /// and again. The batch may grow meanwhile.
    pub fn iter(&self) -> Iter<'_, T> {
        Iter::of(self)
    }

    /// Takes the results in the order of their indices, waiting for each. It may be mixed
    /// with other ways to take them: each is taken once.
    pub fn in_order(&self) -> InOrder<'_, T> {
        InOrder::of(self)
    }

    /// Gives the result of a task that was taken and may not have ended: until then
    /// others get its handle, to cancel it.
    fn result_in_order(&self, index: u32) -> Option<Result<T, TaskError>> {
        let result = if self.ends.has_ended(index) {
            self.result_of(self.ends.let_go(index)?)
        } else {
            let result = self.handle(index as usize)?.get();
            self.let_go(index);
            result
        };
        self.give(&result);
        Some(result)
    }

    /// Gives the result of a task that was taken for good.
    fn result(&self, Taken { index, kept, is_last }: Taken<Kept>) -> (usize, Result<T, TaskError>) {
        let result = self.result_of(kept);
        self.look_for_signal(&result);
        if is_last {
            self.has_changed();
        }
        (index as usize, result)
    }

    /// Gives the result of a task that was taken. Nothing if it could not be fetched
    /// until `deadline`: then it is given back.
    fn result_until(&self, taken: Taken<Kept>, deadline: Option<Instant>) -> Option<(usize, Result<T, TaskError>)> {
        if deadline.is_none() {
            return Some(self.result(taken));
        }
        let Taken { index, kept, .. } = taken;
        let handle = self.handle_of(kept);
        let result = handle.wait(deadline);
        if let Err(TaskError::Timeout { .. }) = &result {
            self.ends.give_back(index, Some(Kept::other(handle.into_reference())));
            self.has_changed();
            return None;
        }
        self.give(&result);
        Some((index as usize, result))
    }

    /// This result goes to the user.
    fn give(&self, result: &Result<T, TaskError>) {
        self.look_for_signal(result);
        self.deliver();
    }

    /// This result, which goes to the user, may be the first that tells of a signal.
    fn look_for_signal(&self, result: &Result<T, TaskError>) {
        if result.as_ref().is_err_and(TaskError::is_interruption) {
            self.ends.close();
        }
    }
}

/// What two handles of one task have in common.
#[derive(PartialEq, Eq, Hash)]
enum Identity {
    Task(TaskId),
    Node(u64, u32),
    Refused(usize),
}

impl Identity {
    fn of(reference: &Reference) -> Self {
        match reference.state() {
            State::Bound(task, _) => Self::Task(task),
            State::Unbound(node) => Self::Node(node.graph, node.index),
            State::Refused(step) => Self::Refused(Arc::as_ptr(step).addr()),
        }
    }
}

impl<T> fmt::Debug for Batch<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Batch({})", self.progress())
    }
}
