//! How a function that runs learns that its task was cancelled.

use crate::id::TaskId;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// The task of one executor that was cancelled last, or has reached a limit, as a number.
/// Nothing has to be reset from one task to the next, but for further attempts of one.
#[derive(Clone, Default, Debug)]
pub(crate) struct CancelFlag(Arc<AtomicU64>);

impl CancelFlag {
    /// This task, which the executor runs, was cancelled.
    pub(crate) fn raise(&self, task: TaskId) {
        self.0.store(task.to_number(), Ordering::Relaxed);
    }

    /// Another attempt of a task begins, which may have been cancelled before.
    pub(crate) fn lower(&self) {
        self.0.store(0, Ordering::Relaxed);
    }

    /// Whether this task, which the executor runs, was cancelled.
    pub(crate) fn is_raised(&self, task: TaskId) -> bool {
        self.0.load(Ordering::Relaxed) == task.to_number()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flag_is_raised_for_one_task_and_not_for_the_next() {
        let flag = CancelFlag::default();
        let [first, second] = [TaskId::new(0, 1), TaskId::new(0, 2)];
        assert!(!flag.is_raised(first));
        flag.clone().raise(first);
        assert!(flag.is_raised(first) && !flag.is_raised(second));
    }
}
