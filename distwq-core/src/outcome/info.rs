//! What is known of a task: when it was submitted, where it ran, how long, how often it
//! was tried.

use crate::id::Rank;
use std::time::Duration;

/// How far a task is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum TaskState {
    /// Its graph has not been started.
    NotStarted,
    /// It waits for other tasks, for a worker, or for its ranks.
    Waiting,
    /// It was sent to a worker, which runs it or will next.
    Sent,
    /// It has given its value.
    Done,
    /// It has ended without a value, and was not cancelled itself.
    Failed,
    /// It was cancelled before it had given a value.
    Cancelled,
}

/// What [`Handle::cancel`](crate::Handle::cancel) has found, as far as the controller
/// knew: a worker may have begun or ended the task a moment before.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum CancelState {
    /// The graph of the task has not been started. Nothing was done.
    NotStarted,
    /// It had not begun. It has ended as
    /// [`TaskError::Cancelled`](crate::TaskError::Cancelled), or does as soon as the
    /// worker that has it has answered.
    Waiting,
    /// A worker, or a group, ran it or was about to. If it has begun, it goes on, and
    /// ends with its value if it returns one; if not, it ends as cancelled, whatever
    /// attempts it has left.
    Running,
    /// It had ended. Nothing was done.
    Ended,
}

/// A picture of a task at the moment of asking. Times are nanoseconds since the Unix
/// epoch by the clock of the host where it happened.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct TaskInfo {
    /// The number of the task, counted from 1; 0 before it has one.
    pub id: u32,
    /// The path of the function; of a value, `value`; of a task that was refused, its
    /// label or function.
    pub function: String,
    /// The label of the call.
    pub label: Option<String>,
    /// How far it is.
    pub state: TaskState,
    /// Whether it runs, as far as the controller knows: it is one of those with which its
    /// worker has begun, or a group has it. The worker may have begun or ended it a
    /// moment before.
    pub is_running: bool,
    /// The ranks that ran the last attempt, in the order of the group; one of a
    /// single-rank task.
    pub ranks: Vec<Rank>,
    /// The hosts of these ranks.
    pub hosts: Vec<String>,
    /// How many attempts have begun.
    pub attempts: u32,
    /// When it was submitted, or its graph started.
    pub submitted_ns: u64,
    /// When the last attempt began to run, which is told with its end. How long a task
    /// that has not ended runs so far, [`Cluster::status`](crate::Cluster::status) asks
    /// its worker.
    pub started_ns: Option<u64>,
    /// When the last attempt ended.
    pub finished_ns: Option<u64>,
    /// When the controller heard of its end, with the value unless that stays on its
    /// worker. Not before it has finished, though the clocks of two hosts may differ.
    pub received_ns: Option<u64>,
    /// The encoded size of the output.
    pub output_bytes: u64,
}

impl TaskInfo {
    /// How long the last attempt ran.
    #[must_use]
    pub fn run_time(&self) -> Option<Duration> {
        let (started, finished) = (self.started_ns?, self.finished_ns?);
        Some(Duration::from_nanos(finished.saturating_sub(started)))
    }
}
