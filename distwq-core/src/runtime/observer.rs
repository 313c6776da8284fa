//! What a run tells subscribers of `tracing`: its own events, and the span of each
//! attempt. The one file that names the crate.
//!
//! A subscriber is users' code. It is told with panics contained, and never under the
//! lock of an engine: it may take long, or use the cluster. It is told nothing before a
//! run is ended by force, because it could stand in the way of that: the [last
//! words](crate::runtime::fault) say why.
//!
//! Without a subscriber an attempt pays one load and one comparison, and all else the
//! same where it is rare.

mod forwarding;

#[cfg(feature = "mpi")]
pub(crate) use forwarding::Subscribed;
pub(crate) use forwarding::forward;

use crate::config::LogLevel;
use crate::id::Rank;
use crate::machine::{NamedTask, Notice};
use crate::outcome::error::PathStep;
use crate::outcome::stats::Stats;
use crate::panics;
use crate::runtime::fault;
use crate::task::current;
use crate::task::lines::Line;
use std::fmt::Display;
use tracing::level_filters::LevelFilter;
use tracing::subscriber::NoSubscriber;
use tracing::{Level, debug, dispatcher, event, info, info_span};

/// The target of all events and spans, by which users filter them.
const TARGET: &str = "distwq";

/// Whether somebody may listen: a load and a comparison. To ask the subscribers
/// themselves would run them under the lock.
#[inline]
pub(crate) fn is_wanted() -> bool {
    Level::INFO <= LevelFilter::current()
}

/// Emits an event, if somebody may listen.
fn emit(event: impl FnOnce()) {
    if is_wanted() {
        panics::discarded(event);
    }
}

/// Runs `code` in the span of the attempt that this thread [runs](crate::task::current).
#[inline]
pub(crate) fn in_attempt<R>(code: impl FnOnce() -> R) -> R {
    // Two ways, because a guard that may be none is looked at again in the end, and this
    // is done for each task.
    if is_wanted() { in_span_of_attempt(code) } else { code() }
}

#[cold]
#[inline(never)]
fn in_span_of_attempt<R>(code: impl FnOnce() -> R) -> R {
    let Some((number, function)) = current::numbered() else { return code() };
    let description = current::description();
    let span = info_span!(
        target: TARGET,
        "distwq_task",
        task = number,
        function,
        label = description.label(),
        attempt = description.attempt(),
        rank = current::rank().map(|rank| rank.0),
    );
    span.in_scope(code)
}

/// The controller looks for the other ranks.
pub(crate) fn run_starts(backend: &str, ranks: u32, slots: u32) {
    let workers = ranks - 1;
    emit(|| info!(target: TARGET, backend, ranks, workers, slots, "run starts"));
}

/// All ranks run the same program, and tasks can begin.
pub(crate) fn handshake_done(workers: usize) {
    emit(|| info!(target: TARGET, workers, "handshake done"));
}

/// The ranks did not come together.
pub(crate) fn handshake_failed(rank: Rank, error: &dyn Display) {
    emit(|| info!(target: TARGET, rank = rank.0, %error, "handshake failed"));
}

/// A rank takes tasks from here on.
pub(crate) fn worker_starts(rank: Rank, slots: u32) {
    emit(|| debug!(target: TARGET, rank = rank.0, slots, "worker starts"));
}

/// A rank has joined in the end.
pub(crate) fn worker_ends(rank: Rank) {
    emit(|| debug!(target: TARGET, rank = rank.0, "worker ends"));
}

/// All is over: why, and what was done.
pub(crate) fn run_ends(why: &str, has_failed: bool, stats: impl FnOnce() -> Stats) {
    emit(|| {
        let Stats { submitted, done, failed, cancelled, .. } = stats();
        info!(target: TARGET, why, has_failed, submitted, done, failed, cancelled, "run ends");
    });
}

/// A call, a value or a graph is not taken.
pub(crate) fn refused(step: &PathStep) {
    emit(|| debug!(target: TARGET, what = step.name(), error = %step.refusal(), "refused"));
}

/// What the machine of the controller has noted.
pub(crate) fn tell(notices: Vec<Notice>) {
    for notice in notices {
        match notice {
            Notice::Line { rank, host, line } => tell_line(rank, &host, &line),
            Notice::LinesDropped { rank, count } => tell_dropped(rank, count),
            Notice::Left { ref tasks } => {
                fault::say(tasks);
                emit(|| tell_one(notice));
            }
            notice => emit(|| tell_one(notice)),
        }
    }
}

fn tell_one(notice: Notice) {
    match notice {
        Notice::Closing { pending } => info!(target: TARGET, pending, "closing"),
        Notice::Left { tasks: left } => info!(target: TARGET, left, "run waits for its last tasks"),
        Notice::Stalled { waits } => info!(target: TARGET, waits, "stalled"),
        Notice::Retried { task, attempt, rank, error } => {
            let NamedTask { number: task, function, label } = task;
            let label = label.as_deref();
            debug!(target: TARGET, task, function, label, attempt, rank = rank.0, error, "attempt failed, retrying");
        }
        Notice::AskedBack { rank, count } => debug!(target: TARGET, rank = rank.0, count, "tasks asked back"),
        Notice::Returned { rank, count } => debug!(target: TARGET, rank = rank.0, count, "tasks returned"),
        Notice::WorkerLost { rank, host, tasks } => {
            info!(target: TARGET, rank = rank.0, host, tasks, "worker lost");
        }
        Notice::GroupBegan { epoch, task, attempt, members } => {
            let NamedTask { number: task, function, label } = task;
            let (label, ranks) = (label.as_deref(), members.iter().map(|rank| rank.0).collect::<Vec<_>>());
            debug!(target: TARGET, epoch, task, function, label, attempt, members = ?ranks, "group began");
        }
        Notice::GroupEntered { epoch } => debug!(target: TARGET, epoch, "group entered"),
        Notice::GroupFailed { epoch, rank, error } => {
            debug!(target: TARGET, epoch, rank = rank.0, error, "group failed");
        }
        Notice::GroupLeft { epoch, error } => debug!(target: TARGET, epoch, error, "group left"),
        Notice::Deadlocked { epoch, waits } => info!(target: TARGET, epoch, waits, "group deadlocked"),
        Notice::Line { .. } | Notice::LinesDropped { .. } => {}
    }
}

/// The target of lines that tasks have logged elsewhere.
const LINES_TARGET: &str = "distwq::task";

/// Whether the calling thread has a subscriber, its own or that of the process, which may
/// be told lines of tasks. Where there is none they go to standard error.
pub(crate) fn has_subscriber() -> bool {
    dispatcher::get_default(|dispatch| !dispatch.is::<NoSubscriber>())
}

/// A line that a task has logged on a worker.
fn tell_line(rank: Rank, host: &str, line: &Line) {
    let Line { task, function, label, attempt, level, target, text } = line;
    if !has_subscriber() {
        let label = label.as_ref().map_or_else(String::new, |label| format!(" {label:?}"));
        return fault::say(&format!("{level} {rank} (host {host}) {function} #{task}{label}: {text}"));
    }
    macro_rules! emit_at {
        ($level:expr) => {
            panics::discarded(|| {
                let (label, rank, text) = (label.as_deref(), rank.0, text.as_str());
                event!(target: LINES_TARGET, $level, task, function, label, attempt, rank, host, from = target, "{text}");
            })
        };
    }
    match level {
        LogLevel::Error => emit_at!(Level::ERROR),
        LogLevel::Warn => emit_at!(Level::WARN),
        LogLevel::Info => emit_at!(Level::INFO),
        LogLevel::Debug => emit_at!(Level::DEBUG),
        LogLevel::Trace => emit_at!(Level::TRACE),
    }
}

/// Lines of which nobody will hear.
fn tell_dropped(rank: Rank, count: u64) {
    if has_subscriber() {
        emit(|| info!(target: LINES_TARGET, rank = rank.0, count, "lines of tasks were dropped"));
    } else {
        fault::say(&format!("{rank}: {count} lines of tasks were too many in a second, and were dropped"));
    }
}
