//! What a user holds of a task: a typed promise of its output.

use crate::api::reference::{Reference, State};
use crate::codec::{self, Payload};
use crate::outcome::error::TaskError;
use crate::outcome::info::{CancelState, TaskInfo, TaskState};
use crate::outcome::status::{Explanation, Reason, TaskName, TaskStatus};
use crate::panics;
use crate::task::current;
use serde::de::DeserializeOwned;
use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;
use std::task::Waker;
use std::time::{Duration, Instant};

/// The output of a task, now or later. Clones are the same task; when the last one is
/// dropped the *value* may go, but the task still runs.
///
/// Where a remote function takes a `T`, its call takes a `Handle<T>` or `&Handle<T>`; see
/// [`IntoArg`](crate::IntoArg).
///
/// # Examples
/// ```
/// use distwq::prelude::*;
/// use std::time::Duration;
///
/// #[remote]
/// fn count(text: &str) -> usize {
///     text.chars().count()
/// }
///
/// #[distwq::main]
/// fn main(cluster: &Cluster) -> Result<(), TaskError> {
///     let handle: Handle<usize> = cluster.submit(count::call("four").label("a word"));
///     assert_eq!(handle.get()?, 4); // waits
///     assert_eq!(handle.get_timeout(Duration::from_secs(1))?, 4);
///     assert!(handle.is_done());
///     assert_eq!(handle.try_get(), Some(Ok(4)));
///     let info = handle.info();
///     assert_eq!((info.label.as_deref(), info.attempts, info.ranks.len()), (Some("a word"), 1, 1));
///     Ok(())
/// }
/// ```
pub struct Handle<T> {
    reference: Reference,
    output: PhantomData<fn() -> T>,
}

impl<T> Handle<T> {
    #[inline]
    pub(crate) fn new(reference: Reference) -> Self {
        Self { reference, output: PhantomData }
    }

    pub(crate) fn into_reference(self) -> Reference {
        self.reference
    }

    pub(crate) fn reference(&self) -> &Reference {
        &self.reference
    }

    /// Whether the task has ended, with a value or without. Never waits, and moves things
    /// on like a wait does, so that a loop that asks comes to an end. False if its graph
    /// has not been started.
    ///
    /// # Panics
    /// Within a task of this process, where such a loop would not come to an end.
    #[must_use]
    #[track_caller]
    pub fn is_done(&self) -> bool {
        current::assert_outside("Handle::is_done");
        match self.reference.state() {
            State::Bound(task, outcomes) => outcomes.is_done(task),
            State::Refused(_) => true,
            State::Unbound(_) => false,
        }
    }

    /// Says that the value is not wanted any more, and what that has found. Never waits;
    /// allowed anywhere, also within a task.
    ///
    /// A task that waits ends as [`TaskError::Cancelled`], and so does one that a worker
    /// has not begun. One that runs goes on: it may look whether it was cancelled, and if
    /// it returns a value all the same, that is its value. It is not tried again. Tasks
    /// that need it end as [`TaskError::Upstream`]. A collective task whose members have
    /// not begun never begins.
    ///
    /// # Examples
    /// ```
    /// use distwq::{CancelState, prelude::*};
    /// use std::time::Duration;
    ///
    /// #[remote]
    /// fn pause(milliseconds: u64) -> u64 {
    ///     std::thread::sleep(Duration::from_millis(milliseconds));
    ///     milliseconds
    /// }
    ///
    /// #[distwq::main(config = Config::new().workers(1))]
    /// fn main(cluster: &Cluster) {
    ///     let running = cluster.submit(pause::call(50));
    ///     let behind = cluster.submit(pause::call(60_000));
    ///     assert_eq!(behind.cancel(), CancelState::Waiting);
    ///     assert!(matches!(behind.get(), Err(TaskError::Cancelled { .. })));
    ///     assert_eq!(running.get(), Ok(50));
    ///     assert_eq!(running.cancel(), CancelState::Ended);
    /// }
    /// ```
    pub fn cancel(&self) -> CancelState {
        match self.reference.state() {
            State::Bound(task, outcomes) => outcomes.cancel(task),
            State::Refused(_) => CancelState::Ended,
            State::Unbound(_) => CancelState::NotStarted,
        }
    }

    /// When it was submitted, where it ran, how long, how many times it was tried: a
    /// picture of this moment.
    #[must_use]
    pub fn info(&self) -> TaskInfo {
        let (state, name) = match self.reference.state() {
            State::Bound(task, outcomes) => return outcomes.info(task),
            State::Refused(step) => (TaskState::Failed, step.name().to_owned()),
            State::Unbound(_) => (TaskState::NotStarted, String::new()),
        };
        TaskInfo {
            id: 0,
            function: name,
            label: None,
            state,
            is_running: false,
            ranks: Vec::new(),
            hosts: Vec::new(),
            attempts: 0,
            submitted_ns: 0,
            started_ns: None,
            finished_ns: None,
            received_ns: None,
            output_bytes: 0,
        }
    }
}

impl<T> Handle<T> {
    /// Why the task has not ended: what it waits for, what that waits for, and so on down
    /// to what runs. Asks every worker what it runs, as
    /// [`Cluster::status`](crate::Cluster::status) does.
    ///
    /// # Panics
    /// Within a task of this process.
    ///
    /// # Examples
    /// ```
    /// use distwq::{Reason, prelude::*};
    ///
    /// #[remote]
    /// fn pause(milliseconds: u64) {
    ///     std::thread::sleep(std::time::Duration::from_millis(milliseconds));
    /// }
    ///
    /// #[distwq::main]
    /// fn main(cluster: &Cluster) -> Result<(), TaskError> {
    ///     let slow = cluster.submit(pause::call(300));
    ///     let next = cluster.submit(pause::call(0).after(&slow));
    ///     let why = next.explain();
    ///     assert!(matches!(why.steps[0].reason, Reason::Tasks { count: 1, .. }));
    ///     // pause #2 waits for pause #1; pause #1 has run on rank 1 (host a) for 0.0 s
    ///     println!("{why}");
    ///     next.get()?;
    ///     assert_eq!(next.explain().steps[0].reason, Reason::Done);
    ///     Ok(())
    /// }
    /// ```
    #[must_use]
    #[track_caller]
    pub fn explain(&self) -> Explanation {
        current::assert_outside("Handle::explain");
        let (function, reason) = match self.reference.state() {
            State::Bound(task, outcomes) => return outcomes.explain(task),
            State::Refused(step) => (step.name().to_owned(), Reason::Failed { error: step.refusal().to_string() }),
            State::Unbound(_) => (String::new(), Reason::NotStarted),
        };
        let task = TaskName { number: 0, function, label: None };
        Explanation { steps: vec![TaskStatus { task, reason }] }
    }
}

impl<T: DeserializeOwned> Handle<T> {
    /// Waits for the task and gives its output, decoded anew at each call.
    ///
    /// # Errors
    /// Why the task gave no value, [`TaskError::NotStarted`] at once if its graph has not
    /// been started, [`TaskError::InsideTask`] at once within a task, and
    /// [`TaskError::Codec`] if the output does not decode.
    pub fn get(&self) -> Result<T, TaskError> {
        self.wait(None)
    }

    /// Like [`get`](Self::get), for `timeout` at most. May be called again.
    ///
    /// # Errors
    /// As [`get`](Self::get), and [`TaskError::Timeout`] if the task has not ended in
    /// time; it goes on.
    pub fn get_timeout(&self, timeout: Duration) -> Result<T, TaskError> {
        let begun = Instant::now();
        // A timeout beyond what the clock can tell is no timeout.
        match self.wait(begun.checked_add(timeout)) {
            Err(TaskError::Timeout { site, .. }) => {
                Err(TaskError::Timeout { site, waited_ms: begun.elapsed().as_millis() })
            }
            other => other,
        }
    }

    /// The output if the task has ended, without waiting for the task. An output that
    /// lies on a worker is fetched, which takes the time of its transfer.
    #[must_use]
    pub fn try_get(&self) -> Option<Result<T, TaskError>> {
        // Within a task it is an error that tells so.
        (current::task().is_some() || self.is_done()).then(|| self.get())
    }

    /// Like [`get`](Self::get), and lets go of the handle.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub fn into_value(self) -> Result<T, TaskError> {
        self.get()
    }

    /// Calls `callback` once with the result, when the task has ended; soon, if it has.
    /// All callbacks of a cluster run on one thread of their own, in the order in which
    /// their tasks end, and have returned when [`shutdown`](crate::Cluster::shutdown)
    /// returns; if the body fails before, those of tasks that have not ended get
    /// [`TaskError::Closed`] and are waited for half of the
    /// [grace](crate::Config::shutdown_grace). A panic ends with its callback. It may use
    /// the cluster, but others wait while it does.
    ///
    /// Where no cluster has taken the task, it is called at once, on this thread.
    ///
    /// # Examples
    /// ```
    /// use distwq::prelude::*;
    /// use std::sync::mpsc::channel;
    ///
    /// #[remote]
    /// fn square(x: u64) -> u64 {
    ///     x * x
    /// }
    ///
    /// #[distwq::main]
    /// fn main(cluster: &Cluster) {
    ///     let (sender, receiver) = channel();
    ///     cluster.submit(square::call(3)).on_end(move |result| sender.send(result).expect("it is received"));
    ///     assert_eq!(receiver.recv(), Ok(Ok(9)));
    /// }
    /// ```
    pub fn on_end(&self, callback: impl FnOnce(Result<T, TaskError>) + Send + 'static)
    where
        T: 'static,
    {
        match self.reference.state() {
            State::Bound(task, outcomes) => {
                let handle = self.clone();
                // It is named as long as the callback runs.
                let callback = Box::new(move || callback(handle.get()));
                Arc::clone(outcomes).on_end(task, callback);
            }
            State::Refused(_) | State::Unbound(_) => callback(self.get()),
        }
    }

    /// The same until `deadline`.
    pub(crate) fn wait(&self, deadline: Option<Instant>) -> Result<T, TaskError> {
        let mut payload = Payload::EMPTY;
        match self.reference.state() {
            State::Bound(task, outcomes) => {
                let output = outcomes.wait(task, deadline, &mut payload);
                output.and_then(|()| decoded(&payload, |message| outcomes.undecodable(task, message)))
            }
            State::Refused(step) => Err(step.refusal()),
            State::Unbound(_) => Err(TaskError::NotStarted),
        }
    }

    /// The same without waiting: nothing if there is no result yet. `waker` is woken when
    /// there is.
    pub(crate) fn poll(&self, waker: &Waker) -> Option<Result<T, TaskError>> {
        let mut payload = Payload::EMPTY;
        match self.reference.state() {
            State::Bound(task, outcomes) => {
                let output = outcomes.poll(task, waker, &mut payload)?;
                Some(output.and_then(|()| decoded(&payload, |message| outcomes.undecodable(task, message))))
            }
            State::Refused(_) | State::Unbound(_) => Some(self.get()),
        }
    }
}

/// Decodes an output; `undecodable` makes an error of what is wrong with it.
pub(super) fn decoded<T: DeserializeOwned>(
    payload: &Payload,
    undecodable: impl FnOnce(String) -> TaskError,
) -> Result<T, TaskError> {
    panics::caught_error("its `Deserialize`", || codec::decode(payload.as_slice())).map_err(undecodable)
}

impl<T> Clone for Handle<T> {
    fn clone(&self) -> Self {
        Self::new(self.reference.clone())
    }
}

impl<T> fmt::Debug for Handle<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Handle({:?})", self.reference)
    }
}
