//! The running thing, as the body of a program sees it.

use crate::api::admission::Admission;
use crate::api::call::{self, IsCall, Parts};
use crate::api::callbacks::{Callback, Callbacks, Owner};
use crate::api::graph::{Graph, StartingNode};
use crate::api::handle::Handle;
use crate::api::reference::{Bound, Outcomes, Reference};
use crate::codec::{self, Payload, Portable};
use crate::config::{Config, ProgressStyle};
use crate::function::argument::Input;
use crate::id::{GraphRunId, Origin, TaskId};
use crate::machine::controller::{Awaited, Encoded, NewTask, Options, ReferenceNote, Watch, WhatWas};
use crate::outcome::error::{PathStep, Refusal, RunError, TaskError, TaskSite, plural};
use crate::outcome::info::{CancelState, TaskInfo};
use crate::outcome::stats::Stats;
use crate::outcome::status::{Explanation, Status};
use crate::panics;
use crate::runtime::driver::Driver;
use crate::runtime::fault;
use crate::runtime::observer;
use crate::runtime::{ControllerEngine, NOTES_TOGETHER, ReferenceNotes};
use crate::task::current;
use smallvec::SmallVec;
use std::any::Any;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::AtomicU32;
use std::task::Waker;
use std::time::{Duration, Instant};

/// A controller and its workers: takes graphs, calls and values, and gives handles.
/// Clones are the same cluster, to be used from any thread. What is submitted runs on the
/// workers, also while the body computes.
///
/// The body of `#[distwq::main]`, of [`launch`](crate::launch()) and of `#[distwq::test]`
/// is given one.
///
/// It is for the body and its threads, and no task can use it. On the local backend one
/// could get hold of it, in a static: what it submits, runs and gets ends as an error at
/// once, because all workers might wait for tasks that no worker is left for. A thread
/// that a task starts is not known as one of a task, so that error is missing there: a
/// task must not wait for a thread that waits for tasks.
///
/// # Examples
/// Threads that submit; the cluster is shared like any reference:
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
///     std::thread::scope(|scope| {
///         for x in 0..3 {
///             scope.spawn(move || assert_eq!(cluster.submit(square::call(x)).get(), Ok(x * x)));
///         }
///     });
///     assert_eq!(cluster.stats().done, 3);
/// }
/// ```
#[derive(Clone)]
pub struct Cluster {
    inner: Arc<Inner>,
}

/// What all clones share: the engine of the controller, and what is known without asking
/// it.
pub(crate) struct Inner {
    pub(crate) driver: Driver<ControllerEngine>,
    notes: ReferenceNotes,
    workers: usize,
    session: u64,
    inline_bytes_max: u64,
    callbacks: Callbacks,
    pub(crate) finish: Finish,
    pub(crate) progress: ProgressStyle,
    /// How many maps were made.
    pub(super) maps: AtomicU32,
}

/// What becomes of the states of the slots.
#[derive(Clone, Copy)]
pub(crate) struct Finish {
    /// How long that may take.
    pub(crate) limit: Duration,
    /// The type that they are made to, if to any.
    pub(crate) final_type: Option<&'static str>,
}

/// How long a question waits for the answer of a worker that may sit in a call of raw
/// MPI.
const REPORT_LIMIT: Duration = Duration::from_secs(5);

/// How often it is told that a callback keeps the run from ending, after the first time.
const CALLBACK_TOLD_EVERY: Duration = Duration::from_secs(60);

impl Cluster {
    pub(crate) fn new(driver: Driver<ControllerEngine>, session: u64, config: &Config, finish: Finish) -> Self {
        let &Config { inline_bytes_max, progress, .. } = config;
        let (notes, workers) = driver.with(|engine| (engine.reference_notes(), engine.machine().workers()));
        let callbacks = Callbacks::default();
        let maps = AtomicU32::new(0);
        let inner = Inner { driver, notes, workers, session, inline_bytes_max, callbacks, finish, progress, maps };
        Self { inner: Arc::new(inner) }
    }

    pub(crate) fn inner(&self) -> &Arc<Inner> {
        &self.inner
    }

    /// How many workers there are that run tasks: the ranks but the controller's, or the
    /// threads of the local backend. None once a state could not be
    /// [made](Config::init), for then no worker runs any: all tasks end as
    /// [`Init`](TaskError::Init).
    #[must_use]
    pub fn workers(&self) -> usize {
        let has_failed = self.inner.driver.with(|engine| engine.machine().init_failure().is_some());
        if has_failed { 0 } else { self.inner.workers }
    }

    /// Whether it takes no tasks any more.
    pub(crate) fn is_closing(&self) -> bool {
        self.inner.driver.with(|engine| engine.machine().is_closing())
    }

    /// Takes one task, which starts as soon as its inputs are there and a worker has
    /// room. What cannot run has ended as [`Refused`](TaskError::Refused) when this
    /// returns.
    ///
    /// It waits only while as much is queued as the [config](crate::Config::queue_max)
    /// allows, until a task has ended or the cluster shuts down. A function that
    /// [`Handle::on_end`] calls never waits here.
    pub fn submit<C: IsCall>(&self, mut call: C) -> Handle<C::Output> {
        let taken = self.submit_parts(&mut call.as_call().parts, take_alone);
        Handle::new(self.reference(taken))
    }

    /// Like [`submit`](Self::submit), and never waits.
    ///
    /// # Errors
    /// The call, if as much is queued as the [config](crate::Config::queue_max) allows.
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
    /// #[distwq::main(config = Config::new().queue_max(1))]
    /// fn main(cluster: &Cluster) -> Result<(), TaskError> {
    ///     let mut call = square::call(3);
    ///     let nine = loop {
    ///         match cluster.try_submit(call) {
    ///             Ok(handle) => break handle,
    ///             Err(same) => call = same, // there is something else to do
    ///         }
    ///     };
    ///     assert_eq!(nine.get()?, 9);
    ///     Ok(())
    /// }
    /// ```
    pub fn try_submit<C: IsCall>(&self, mut call: C) -> Result<Handle<C::Output>, C> {
        match self.try_submit_parts(&mut call.as_call().parts, take_alone) {
            Some(taken) => Ok(Handle::new(self.reference(taken))),
            None => {
                // So that a loop that tries comes to an end.
                self.inner.driver.with(ControllerEngine::turn_now);
                Err(call)
            }
        }
    }

    /// The same as [`submit`](Self::submit) by `take`, which has [`Inner::take`] take the
    /// task. What follows from that is told afterwards.
    pub(crate) fn submit_parts<R>(
        &self,
        parts: &mut Parts,
        mut take: impl FnMut(&Inner, &mut ControllerEngine, &mut Parts) -> Result<R, Arc<PathStep>>,
    ) -> Result<R, Arc<PathStep>> {
        loop {
            match self.try_submit_parts(parts, &mut take) {
                Some(taken) => return taken,
                None => self.await_room(None),
            }
        }
    }

    /// The same; nothing if as much is queued as may be.
    pub(crate) fn try_submit_parts<R>(
        &self,
        parts: &mut Parts,
        take: impl FnOnce(&Inner, &mut ControllerEngine, &mut Parts) -> Result<R, Arc<PathStep>>,
    ) -> Option<Result<R, Arc<PathStep>>> {
        match refusal_inside(|| parts.name()) {
            None => self.inner.driver.with(|engine| {
                if self.inner.is_full(engine) {
                    return None;
                }
                let taken = take(&self.inner, engine, parts);
                if taken.is_ok() {
                    engine.submitted();
                }
                Some(taken)
            }),
            Some(step) => Some(Err(step)),
        }
    }

    /// Waits until less is queued than may be, until `deadline` at most.
    pub(super) fn await_room(&self, deadline: Option<Instant>) {
        // Ends because every task ends, or when those that are added end at once.
        self.inner.driver.wait_until(Awaited::Room, deadline, |engine| engine.has_room().then_some(()));
    }

    /// Takes a value that tasks share: it is sent to a worker once, and decoded there
    /// once for all tasks that take it by reference. It stays while its handle, or a task
    /// that takes it, is left.
    pub fn value<T: Portable>(&self, value: &T) -> Handle<T> {
        Handle::new(self.reference(self.take_value(value)))
    }

    fn take_value<T: Portable>(&self, value: &T) -> Result<TaskId, Arc<PathStep>> {
        if let Some(step) = refusal_inside(|| "value") {
            return Err(step);
        }
        let encoded = panics::caught_error("its `Serialize`", || codec::encode(value));
        let payload = encoded.map_err(|error| PathStep::refused("value", Refusal::Value(error)))?;
        let is_large = payload.len() as u64 > self.inner.inline_bytes_max;
        self.inner.driver.with(|engine| {
            self.inner.admission(engine).check_value()?;
            Ok(engine.submit_value(payload, is_large))
        })
    }

    #[inline]
    fn reference(&self, taken: Result<TaskId, Arc<PathStep>>) -> Reference {
        match taken {
            Ok(task) => self.first_reference(task),
            Err(step) => refused(step),
        }
    }

    /// The reference to a task that was just taken.
    #[inline]
    pub(crate) fn first_reference(&self, task: TaskId) -> Reference {
        Reference::Task(Bound::first(task, self.outcomes()))
    }

    pub(super) fn outcomes(&self) -> Arc<dyn Outcomes> {
        Arc::clone(&self.inner) as _
    }

    /// Starts a graph, all of whose tasks are taken at once.
    pub(crate) fn begin(&self, graph: &mut Graph) -> Result<GraphRunId, RunError> {
        let started = match refusal_inside(|| "graph") {
            Some(step) => Err(step),
            // Checked and started in one go: the cluster may begin to close at any
            // moment.
            None => self.inner.driver.with(|engine| {
                self.inner.admission(engine).check_graph(graph)?;
                Ok(start(engine, graph, &self.outcomes()))
            }),
        };
        started.map_err(|step| {
            observer::refused(&step);
            graph.refuse_all(&step);
            RunError::Refused(step.refusal())
        })
    }

    /// What was done so far, how long it took, and what lies where; [`Stats`] prints as
    /// tables. Asks every worker, so it takes a round trip; a worker that sits in raw MPI
    /// for longer than 5 s is told as it last reported.
    ///
    /// # Panics
    /// Within a task of this process.
    #[must_use]
    #[track_caller]
    pub fn stats(&self) -> Stats {
        current::assert_outside("Cluster::stats");
        self.inner.ask_reports();
        self.inner.driver.with(|engine| engine.stats())
    }

    /// What each worker runs and for how long, how many tasks wait, and what for;
    /// [`Status`] prints as a few lines. Asks every worker as [`stats`](Self::stats)
    /// does, and looks at all tasks: some milliseconds for a million.
    /// [`Handle::explain`] says the same of one task.
    ///
    /// # Panics
    /// Within a task of this process.
    #[must_use]
    #[track_caller]
    pub fn status(&self) -> Status {
        current::assert_outside("Cluster::status");
        self.inner.ask_reports();
        self.inner.driver.with(|engine| engine.machine().status())
    }

    /// Takes no tasks from here on, and returns when all that were taken have ended.
    /// Their values stay readable until the body returns. Any further call returns at
    /// once. Leaving the body does the same.
    ///
    /// A task that never returns keeps it waiting. After the
    /// [grace](crate::Config::shutdown_grace), and each minute from then on, standard
    /// error tells which tasks run where and since when, and which wait for them; or
    /// whose [callback](Handle::on_end) does not return.
    /// [`shutdown_now`](Self::shutdown_now) bounds the wait.
    ///
    /// # Panics
    /// Within a task of this process.
    #[track_caller]
    pub fn shutdown(&self) {
        current::assert_outside("Cluster::shutdown");
        self.inner.driver.with(ControllerEngine::begin_closing);
        self.inner.drain(None);
    }
}

/// The reference to what was not taken.
pub(crate) fn refused(step: Arc<PathStep>) -> Reference {
    observer::refused(&step);
    Reference::Refused(step)
}

/// The refusal of what a task gives to a cluster of its process.
#[inline]
fn refusal_inside<N: AsRef<str>>(name: impl FnOnce() -> N) -> Option<Arc<PathStep>> {
    let task = current::name()?;
    Some(PathStep::refused(name().as_ref(), Refusal::InsideTask { task }))
}

/// Starts a graph, all of it checked before. Its handles ask for their outputs at
/// `outcomes`.
fn start(engine: &mut ControllerEngine, graph: &mut Graph, outcomes: &Arc<dyn Outcomes>) -> GraphRunId {
    let graph_run = engine.begin_graph(graph.size(), graph.cancels_on_failure());
    graph.start(outcomes, |node| {
        let StartingNode { remote, plain, inputs, options, before, level } = node;
        let Some(remote) = remote else {
            let mut payload = Payload::EMPTY;
            plain.move_to(&mut payload);
            return engine.add_value(payload);
        };
        let new =
            NewTask { remote, inputs, options: None, before, level, origin: Origin::Graph(graph_run), watch: None };
        match options {
            None => engine.add(&new, plain),
            Some(options) => with_options(new, options, |new| engine.add(new, plain)),
        }
    });
    engine.end_graph();
    graph_run
}

/// Gives `take` a task with what its call says besides its function and arguments, all of
/// it checked before.
pub(super) fn with_options<R>(new: NewTask<'_>, options: &call::Options, take: impl FnOnce(&NewTask<'_>) -> R) -> R {
    let call::Options { label, after, follow, ranks, priority, retries, terms } = options;
    let mut before = SmallVec::<[TaskId; 8]>::from_slice(new.before);
    before.extend(after.iter().map(Reference::task));
    let options = Options {
        label: label.as_deref(),
        follow: follow.as_ref().map(Reference::task),
        ranks: *ranks,
        priority: *priority,
        retries: *retries,
        terms: *terms,
    };
    take(&NewTask { options: Some(&options), before: &before, ..new })
}

/// The error for an output that does not decode.
fn undecodable(site: Arc<TaskSite>, message: &str) -> TaskError {
    TaskError::Codec { site, message: Arc::from(format!("the output does not decode: {message}")) }
}

/// Takes a task whose result nobody collects.
fn take_alone(inner: &Inner, engine: &mut ControllerEngine, parts: &mut Parts) -> Result<TaskId, Arc<PathStep>> {
    inner.take(engine, parts, Origin::Alone, None)
}

impl Inner {
    pub(super) fn admission(&self, engine: &ControllerEngine) -> Admission {
        let is_closing = engine.machine().is_closing();
        Admission { session: self.session, workers: self.workers as u32, is_closing }
    }

    /// Whether a thread that submits has to wait, because as much is queued as may be.
    #[inline]
    pub(super) fn is_full(&self, engine: &ControllerEngine) -> bool {
        !engine.machine().has_room() && self.may_wait(engine)
    }

    /// Whether a thread that submits may wait until less is queued.
    #[cold]
    fn may_wait(&self, engine: &ControllerEngine) -> bool {
        !engine.machine().ends_new_tasks() && !self.callbacks.is_own_thread()
    }

    /// Takes one task, or says why not. What is left of its parts is the caller's to
    /// drop. What follows is told and sent with [`ControllerEngine::submitted`].
    #[inline]
    pub(super) fn take(
        &self,
        engine: &mut ControllerEngine,
        parts: &mut Parts,
        origin: Origin,
        watch: Option<Watch>,
    ) -> Result<TaskId, Arc<PathStep>> {
        if !parts.is_plain() || engine.machine().is_closing() {
            self.admission(engine).check(parts)?;
        }
        let mut inputs = SmallVec::<[Input<TaskId>; 4]>::new();
        // A loop, because collecting costs several times as much.
        for input in &parts.arguments.inputs {
            inputs.push(Input { source: input.source.task(), position: input.position });
        }
        let Parts { remote, arguments, options } = parts;
        let plain = Encoded::Written(&mut arguments.plain);
        let new = NewTask { remote, inputs: &inputs, options: None, before: &[], level: 0, origin, watch };
        Ok(match options {
            None => engine.submit(&new, plain),
            Some(options) => with_options(new, options, |new| engine.submit(new, plain)),
        })
    }

    /// Waits until all tasks have ended and all callbacks have returned; false if they
    /// have not by `deadline`. Without one it ends because every task ends, and callbacks
    /// should. While a task does not, the machine says now and then which; of a callback
    /// that is said here.
    pub(crate) fn drain(&self, deadline: Option<Instant>) -> bool {
        let mut until = deadline.unwrap_or_else(|| Instant::now() + self.grace());
        loop {
            let drained = self.driver.wait_until(Awaited::Drained, Some(until), |engine| {
                let machine = engine.machine();
                (machine.is_over() || machine.pending() == 0 && self.callbacks.are_done()).then_some(())
            });
            if drained.is_some() || deadline.is_some() {
                return drained.is_some();
            }
            if self.driver.with(|engine| engine.machine().pending() == 0)
                && let Some(callback) = self.running_callback()
            {
                fault::say(&format!("the run cannot end yet: {callback} has not returned"));
            }
            until = Instant::now() + CALLBACK_TOLD_EVERY;
        }
    }

    /// Asks all workers what they hold and run, and waits for their answers, though not
    /// for long.
    fn ask_reports(&self) {
        self.driver.with(ControllerEngine::ask_reports);
        let deadline = Instant::now() + REPORT_LIMIT;
        self.driver.wait_until(Awaited::Reports, Some(deadline), |engine| engine.machine().has_reports().then_some(()));
    }

    /// Leaves a note for the next turn. When they are many they are read if the engine is
    /// free, for a user who only clones and drops handles takes no turns.
    #[inline]
    pub(crate) fn note(&self, note: ReferenceNote) {
        let mut notes = self.notes.lock();
        notes.push(note);
        let many = notes.len().is_multiple_of(NOTES_TOGETHER);
        drop(notes);
        if many {
            self.driver.try_with(ControllerEngine::count_references);
        }
    }

    /// The error for the output of a task that may have gone.
    pub(super) fn undecodable_as(&self, was: WhatWas, message: &str) -> TaskError {
        undecodable(Arc::new(self.driver.with(|engine| engine.machine().site_of(was))), message)
    }

    fn site(&self, task: TaskId) -> Arc<TaskSite> {
        Arc::new(self.driver.with(|engine| engine.machine().site(task)))
    }
}

impl Outcomes for Inner {
    fn wait(&self, task: TaskId, deadline: Option<Instant>, into: &mut Payload) -> Result<(), TaskError> {
        if let Some(inside) = current::name() {
            return Err(TaskError::InsideTask { site: self.site(task), task: Arc::from(inside) });
        }
        if self.driver.with(|engine| engine.machine().output_here(task, into)) {
            return Ok(());
        }
        // Without a deadline this ends because every task ends.
        let output = self.driver.wait_until(Awaited::Task(task), deadline, |engine| engine.output(task, into));
        output.unwrap_or_else(|| Err(TaskError::Timeout { site: self.site(task), waited_ms: 0 }))
    }

    fn poll(&self, task: TaskId, waker: &Waker, into: &mut Payload) -> Option<Result<(), TaskError>> {
        if let Some(inside) = current::name() {
            return Some(Err(TaskError::InsideTask { site: self.site(task), task: Arc::from(inside) }));
        }
        self.driver.poll(Awaited::Task(task), waker, |engine| engine.output(task, into))
    }

    fn on_end(self: Arc<Self>, task: TaskId, callback: Callback) {
        Callbacks::add(&self, task, callback);
    }

    fn is_done(&self, task: TaskId) -> bool {
        self.driver.with(|engine| {
            engine.machine().has_ended(task) || {
                engine.turn_now();
                engine.machine().has_ended(task)
            }
        })
    }

    fn cancel(&self, task: TaskId) -> CancelState {
        self.driver.with(|engine| engine.cancel(task))
    }

    fn info(&self, task: TaskId) -> TaskInfo {
        let info = self.driver.with(|engine| engine.machine().info(task));
        info.expect("a task stays while a handle of it does")
    }

    fn explain(&self, task: TaskId) -> Explanation {
        self.ask_reports();
        self.driver.with(|engine| engine.machine().explain(task))
    }

    fn undecodable(&self, task: TaskId, message: String) -> TaskError {
        undecodable(self.site(task), &message)
    }

    fn retained(&self, task: TaskId) {
        self.note(ReferenceNote::Retained(task));
    }

    fn dropped(&self, task: TaskId) {
        self.note(ReferenceNote::Dropped(task));
    }

    fn session(&self) -> u64 {
        self.session
    }

    fn as_any(self: Arc<Self>) -> Arc<dyn Any + Send + Sync> {
        self
    }
}

impl Owner for Inner {
    fn callbacks(&self) -> &Callbacks {
        &self.callbacks
    }

    fn driver(&self) -> &Driver<ControllerEngine> {
        &self.driver
    }
}

impl From<Arc<Inner>> for Cluster {
    fn from(inner: Arc<Inner>) -> Self {
        Self { inner }
    }
}

impl fmt::Debug for Cluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Cluster({})", plural(self.workers(), "worker"))
    }
}
