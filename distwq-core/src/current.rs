//! The task that a thread runs: for the last words of a process that ends within one, and so that a task which uses the
//! cluster that runs it is told so instead of waiting for a worker that it keeps busy itself.

use crate::id::TaskId;
use std::cell::Cell;

thread_local! {
    static CURRENT: Cell<Option<(TaskId, &'static str)>> = const { Cell::new(None) };
}

/// The task that the calling thread runs, with the path of its function.
#[inline]
pub(crate) fn task() -> Option<(TaskId, &'static str)> {
    CURRENT.try_with(Cell::get).ok().flatten()
}

/// The same in words, for errors of what a task cannot do.
#[inline]
pub(crate) fn name() -> Option<String> {
    task().map(|(id, path)| format!("task {id} {path}"))
}

/// The calling thread runs this task from here on; none, if it runs none.
pub(crate) fn set(task: Option<(TaskId, &'static str)>) {
    CURRENT.set(task);
}

/// For what has no other way to fail: ends the task that uses its cluster by `what`.
///
/// # Panics
/// If the calling thread runs a task.
#[inline]
#[track_caller]
pub(crate) fn assert_outside(what: &str) {
    if let Some(task) = name() {
        panic!("`{what}` was called within {task}; {INSTEAD}");
    }
}

/// Why a task cannot use a cluster, and what to do.
pub(crate) const INSTEAD: &str = "a task cannot use the cluster that runs it: all workers could wait for tasks that no \
    worker is left for. Let the body of the program submit, and take outputs of other tasks as arguments";
