//! The task that a thread runs, for the last words of a process that ends within one.

use crate::id::TaskId;
use std::cell::Cell;

thread_local! {
    static CURRENT: Cell<Option<(TaskId, &'static str)>> = const { Cell::new(None) };
}

/// The task that the calling thread runs, with the path of its function.
pub(crate) fn task() -> Option<(TaskId, &'static str)> {
    CURRENT.try_with(Cell::get).ok().flatten()
}

/// The calling thread runs this task from here on; none, if it runs none.
pub(crate) fn set(task: Option<(TaskId, &'static str)>) {
    CURRENT.set(task);
}
