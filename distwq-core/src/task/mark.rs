//! How far a function that runs says that it is.

use crate::id::TaskId;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// What the last task of one executor that has said how far it is has said last.
#[derive(Clone, Default, Debug)]
pub(crate) struct Mark(Arc<AtomicU64>);

impl Mark {
    /// This task has done so many hundredths of its work.
    pub(crate) fn set(&self, task: TaskId, percent: u8) {
        self.0.store(u64::from(task.serial()) << 32 | 1 << 8 | u64::from(percent), Ordering::Relaxed);
    }

    /// The number of the task and its hundredths, if one has said so.
    pub(crate) fn get(&self) -> Option<(u32, u8)> {
        let mark = self.0.load(Ordering::Relaxed);
        (mark != 0).then_some(((mark >> 32) as u32, mark as u8))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_tells_what_was_said_last_and_of_which_task() {
        let mark = Mark::default();
        assert_eq!(mark.get(), None);
        mark.set(TaskId::new(3, 7), 0);
        assert_eq!(mark.clone().get(), Some((7, 0)));
        mark.set(TaskId::new(3, 8), 100);
        assert_eq!(mark.get(), Some((8, 100)));
    }
}
