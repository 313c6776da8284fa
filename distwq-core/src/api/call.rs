//! What a user says of one task: the function, its arguments, its options. One builder
//! for graphs and `submit`.

use crate::api::argument::{Arguments, IntoArg};
use crate::api::handle::Handle;
use crate::api::reference::Reference;
use crate::function::registry::Remote;
use crate::machine::controller::Terms;
use crate::outcome::error::Refusal;
use crate::outcome::failure::RetryOn;
use std::borrow::Cow;
use std::cell::Cell;
use std::fmt;
use std::marker::PhantomData;
use std::ops::{Deref, DerefMut};
use std::time::Duration;

/// A call of a `#[remote]` function that gives a `T`: a description of one task, made by
/// `function::call(…)`, refined by the methods below, and handed to
/// [`Graph::add`](crate::Graph::add) or [`Cluster::submit`](crate::Cluster::submit).
///
/// # Examples
/// ```
/// use distwq::prelude::*;
///
/// #[remote]
/// fn area(width: f64, height: f64) -> f64 {
///     width * height
/// }
///
/// #[distwq::main]
/// fn main(cluster: &Cluster) -> Result<(), TaskError> {
///     let call = area::call(2.0, 3.0).label("the floor").priority(1).retries(2);
///     let floor = cluster.submit(call);
///     let cube = cluster.submit(area::call(&floor, 2.5).follow(&floor)); // a handle as an argument
///     assert_eq!(cube.get()?, 15.0);
///     Ok(())
/// }
/// ```
#[must_use = "a call does nothing until it is added to a graph or submitted"]
pub struct Call<T> {
    pub(crate) parts: PartsBox,
    output: PhantomData<fn() -> T>,
}

/// All that a call says, without its type.
#[derive(Clone)]
pub(crate) struct Parts {
    pub(crate) remote: &'static Remote,
    pub(crate) arguments: Arguments,
    /// What most calls do not say, and so need not carry from hand to hand.
    pub(crate) options: Option<Box<Options>>,
}

/// The parts of a call, in memory of their own: so a call is moved as a pointer. The
/// memory of one that is gone serves the next one of its thread, so that a loop which
/// makes calls and hands them on allocates once.
#[derive(Clone)]
pub(crate) struct PartsBox {
    /// None only while it is dropped.
    parts: Option<Box<Parts>>,
}

thread_local! {
    /// The memory of a call that is gone. It holds nothing.
    static SPARE: Cell<Option<Box<Parts>>> = const { Cell::new(None) };
}

impl PartsBox {
    /// Those of a call of `remote` that says nothing else yet.
    #[inline]
    fn of(remote: &'static Remote) -> Self {
        let mut parts = SPARE.try_with(Cell::take).ok().flatten().unwrap_or_else(|| Self::allocate(remote));
        parts.remote = remote;
        Self { parts: Some(parts) }
    }

    #[cold]
    fn allocate(remote: &'static Remote) -> Box<Parts> {
        Box::new(Parts { remote, arguments: Arguments::new(), options: None })
    }
}

impl Drop for PartsBox {
    #[inline]
    fn drop(&mut self) {
        if let Some(mut parts) = self.parts.take() {
            parts.arguments.clear();
            if parts.options.is_some() {
                parts.options = None;
            }
            // A thread that ends keeps nothing.
            let _ = SPARE.try_with(|spare| spare.set(Some(parts)));
        }
    }
}

impl Deref for PartsBox {
    type Target = Parts;

    #[inline]
    fn deref(&self) -> &Parts {
        self.parts.as_deref().expect("parts stay until they are dropped")
    }
}

impl DerefMut for PartsBox {
    #[inline]
    fn deref_mut(&mut self) -> &mut Parts {
        self.parts.as_deref_mut().expect("parts stay until they are dropped")
    }
}

/// What a call may say besides its function and its arguments.
#[derive(Clone, Default)]
pub(crate) struct Options {
    pub(crate) label: Option<Cow<'static, str>>,
    /// Tasks to wait for without taking their outputs.
    pub(crate) after: Vec<Reference>,
    pub(crate) follow: Option<Reference>,
    pub(crate) ranks: Option<u32>,
    pub(crate) priority: i32,
    pub(crate) retries: u32,
    pub(crate) terms: Terms,
}

impl Options {
    /// What a call says that says nothing.
    pub(crate) const NONE: &Self = &Self {
        label: None,
        after: Vec::new(),
        follow: None,
        ranks: None,
        priority: 0,
        retries: 0,
        terms: Terms::NONE,
    };

    /// The tasks to wait for without taking their outputs.
    pub(crate) fn dependencies(&self) -> impl Iterator<Item = &Reference> {
        self.after.iter().chain(&self.follow)
    }
}

impl Parts {
    /// What the call says besides its function and its arguments.
    pub(crate) fn options(&self) -> &Options {
        self.options.as_deref().unwrap_or(Options::NONE)
    }

    fn options_mut(&mut self) -> &mut Options {
        self.options.get_or_insert_default()
    }

    /// It depends on no other task and has no options: nothing can be wrong with it.
    #[inline]
    pub(crate) fn is_plain(&self) -> bool {
        self.arguments.is_plain() && self.options.is_none()
    }

    /// The label, or else the function.
    pub(crate) fn name(&self) -> Cow<'static, str> {
        self.options().label.clone().unwrap_or(Cow::Borrowed(self.remote.path))
    }

    /// Why this can never run, whatever the cluster.
    pub(crate) fn refusal(&self) -> Option<Refusal> {
        let options = self.options();
        if let Some(error) = &self.arguments.unencodable {
            return Some(Refusal::Encode { argument: error.0, message: error.1.clone() });
        }
        match options.ranks {
            Some(0) => Some(Refusal::NoRanks),
            Some(wanted) if wanted > 1 && !self.remote.is_collective() => Some(Refusal::NotCollective { wanted }),
            _ => None,
        }
    }

    /// All tasks that this one depends on.
    #[inline]
    pub(crate) fn dependencies(&self) -> impl Iterator<Item = &Reference> {
        let inputs = self.arguments.inputs.iter().map(|input| &input.source);
        inputs.chain(self.options().dependencies())
    }
}

impl<T> Call<T> {
    /// A name for people: in errors, in [`TaskInfo`](crate::TaskInfo), in drawings. It
    /// need not be unique.
    pub fn label(mut self, label: impl Into<Cow<'static, str>>) -> Self {
        self.parts.options_mut().label = Some(label.into());
        self
    }

    /// Starts only when `other` has given its value, without taking it. If `other` fails,
    /// this task does not run and ends as [`Upstream`](crate::TaskError::Upstream). May
    /// be said several times.
    pub fn after<U>(mut self, other: &Handle<U>) -> Self {
        self.parts.options_mut().after.push(other.reference().clone());
        self
    }

    /// Starts only when all of `others` have given their values, without taking them; as
    /// [`after`](Self::after) for each.
    ///
    /// # Examples
    /// ```
    /// # use distwq::prelude::*;
    /// # #[remote]
    /// # fn work(x: u8) {}
    /// # let mut graph = Graph::new();
    /// let parts: Vec<_> = (0..4).map(|x| graph.add(work::call(x))).collect();
    /// let last = graph.add(work::call(9).after_all(&parts));
    /// # let _ = last;
    /// ```
    pub fn after_all<'a, U: 'a>(mut self, others: impl IntoIterator<Item = &'a Handle<U>>) -> Self {
        let others = others.into_iter().map(|other| other.reference().clone());
        self.parts.options_mut().after.extend(others);
        self
    }

    /// Runs on the worker that ran `other` (of a collective task: on the first rank of
    /// its group), after it. A retry stays there too. Good for tasks that use what
    /// `other` left in the memory or on the disk of its worker; for its output alone
    /// there is no need, tasks go where their inputs are anyway. A value that no task
    /// made has no worker, and then this says nothing. Said again, it replaces what was
    /// said before.
    pub fn follow<U>(mut self, other: &Handle<U>) -> Self {
        self.parts.options_mut().follow = Some(other.reference().clone());
        self
    }

    /// How many ranks a collective task runs on, from 1 to
    /// [`Cluster::workers`](crate::Cluster::workers); without it, on all workers. More
    /// than there are is refused, and so is more than 1 for a function that is not
    /// `collective`.
    pub fn ranks(mut self, ranks: usize) -> Self {
        self.parts.options_mut().ranks = Some(u32::try_from(ranks).unwrap_or(u32::MAX));
        self
    }

    /// Among tasks that are ready, those of higher priority start first. The default is
    /// 0; what has started is not interrupted. Of tasks of equal priority, one of each
    /// batch, map and graph is next in turn.
    pub fn priority(mut self, priority: i32) -> Self {
        self.parts.options_mut().priority = priority;
        self
    }

    /// How many times to try again after an `Err`, a panic, a failed group or the loss of
    /// the worker, or after what [`retry_on`](Self::retry_on) says: `retries` + 1
    /// attempts at most in all. A further attempt runs on a worker that has not tried it
    /// yet as long as there is one that is not set aside, else on any; after
    /// [`follow`](Self::follow) always on the one. The default is 0. An argument that
    /// does not decode is not tried again.
    pub fn retries(mut self, retries: u32) -> Self {
        self.parts.options_mut().retries = retries;
        self
    }

    /// After which failures [`retries`](Self::retries) are made. A function can say that
    /// itself: [`TaskFailure`](crate::TaskFailure).
    ///
    /// # Examples
    /// ```
    /// use distwq::RetryOn;
    /// # use distwq::prelude::*;
    /// # #[remote]
    /// # fn work(x: u8) {}
    /// let call = work::call(1).retries(2).retry_on(RetryOn::ERRORS | RetryOn::LIMITS);
    /// # let _ = call;
    /// ```
    pub fn retry_on(mut self, failures: RetryOn) -> Self {
        self.parts.options_mut().terms.retry_on = failures;
        self
    }

    /// How long to wait before the first of the [`retries`](Self::retries); twice as long
    /// before each next one, up to a minute, or `first` if that is longer. Without it
    /// there is no pause.
    pub fn backoff(mut self, first: Duration) -> Self {
        self.parts.options_mut().terms.backoff_ns = nanoseconds(first);
        self
    }

    /// How long each attempt may run, from when its function begins. Reaching it, the
    /// attempt ends as [`LimitReached`](crate::TaskError::LimitReached), which is tried
    /// again if [`retry_on`](Self::retry_on) says so.
    ///
    /// No thread can be ended from outside: the function learns of it by
    /// [`Context::cancelled`](crate::Context::cancelled), and keeps its slot until it
    /// returns. What it gives then is dropped. Of a collective task operations of the
    /// group end with an error, and a member keeps its worker. See
    /// [`Config::stuck_grace`](crate::Config::stuck_grace) for tasks that wait for such
    /// workers. A function that never returns ends the run with an error, within the
    /// [shutdown grace](crate::Config::shutdown_grace) after its last task.
    ///
    /// # Examples
    /// ```
    /// use distwq::Limit;
    /// use distwq::prelude::*;
    /// use std::time::Duration;
    ///
    /// #[remote]
    /// fn search(ctx: &Context) -> Result<u64, String> {
    ///     loop {
    ///         if ctx.cancelled() {
    ///             return Err("stopped".to_owned());
    ///         }
    ///         std::thread::yield_now();
    ///     }
    /// }
    ///
    /// #[distwq::main]
    /// fn main(cluster: &Cluster) {
    ///     let found = cluster.submit(search::call().run_limit(Duration::from_millis(20)));
    ///     assert!(matches!(found.get(), Err(TaskError::LimitReached { limit: Limit::Run, .. })));
    /// }
    /// ```
    pub fn run_limit(mut self, limit: Duration) -> Self {
        self.parts.options_mut().terms.run_limit_ns = Some(nanoseconds(limit));
        self
    }

    /// How long the task may wait for its first attempt, from when it was submitted, or
    /// its graph started: for other tasks and for a worker. Reaching it, it ends as
    /// [`LimitReached`](crate::TaskError::LimitReached). What it waits for goes on. Once
    /// an attempt has begun this says nothing any more.
    ///
    /// # Examples
    /// ```
    /// use distwq::Limit;
    /// use distwq::prelude::*;
    /// use std::time::Duration;
    ///
    /// #[remote]
    /// fn slow(ms: u64) -> u64 {
    ///     std::thread::sleep(Duration::from_millis(ms));
    ///     ms
    /// }
    ///
    /// #[distwq::main]
    /// fn main(cluster: &Cluster) {
    ///     let parent = cluster.submit(slow::call(200));
    ///     let child = cluster.submit(slow::call(&parent).wait_limit(Duration::from_millis(20)));
    ///     assert!(matches!(child.get(), Err(TaskError::LimitReached { limit: Limit::Wait, .. })));
    ///     assert_eq!(parent.get(), Ok(200));
    /// }
    /// ```
    pub fn wait_limit(mut self, limit: Duration) -> Self {
        self.parts.options_mut().terms.wait_limit_ns = Some(nanoseconds(limit));
        self
    }
}

/// A time of centuries is as good as one without an end.
fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// The same call, to be submitted again: arguments are not encoded anew.
impl<T> Clone for Call<T> {
    fn clone(&self) -> Self {
        Self { parts: self.parts.clone(), output: PhantomData }
    }
}

impl<T> fmt::Debug for Call<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Call")
            .field("function", &self.parts.remote.path)
            .field("label", &self.parts.options().label)
            .field("inputs", &self.parts.arguments.inputs)
            .finish_non_exhaustive()
    }
}

/// What [`Cluster::submit`](crate::Cluster::submit) and [`Graph::add`](crate::Graph::add)
/// take: a [`Call`], and nothing else. It is a trait so that the compiler can say what to
/// do where something else stands, such as a closure.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no call of a remote function",
    label = "expected a `Call`",
    note = "a task is a call of a function with `#[remote]`: `square::call(3)` describes one, where `square(3)` runs the function here",
    note = "a closure cannot travel: make a function of it that takes what it captures as parameters"
)]
pub trait IsCall {
    /// What the task gives.
    type Output;

    /// The call itself.
    #[doc(hidden)]
    fn as_call(&mut self) -> &mut Call<Self::Output>;
}

impl<T> IsCall for Call<T> {
    type Output = T;

    #[inline]
    fn as_call(&mut self) -> &mut Self {
        self
    }
}

/// What generated code calls.
impl<T> Call<T> {
    /// A call of `remote` without arguments yet.
    #[doc(hidden)]
    #[inline]
    pub fn of(remote: &'static Remote) -> Self {
        Self { parts: PartsBox::of(remote), output: PhantomData }
    }

    /// Adds the next argument.
    #[doc(hidden)]
    #[inline]
    pub fn argument<A>(&mut self, argument: impl IntoArg<A>) {
        self.parts.arguments.add(argument);
    }
}
