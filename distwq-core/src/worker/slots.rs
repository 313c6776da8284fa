//! What the executors of a rank run, and since when: written by each for itself, read by who answers the controller.

use crate::id::TaskId;
use std::sync::atomic::{AtomicU64, Ordering};

/// One place for each executor.
#[derive(Debug)]
pub(super) struct Slots(Box<[Slot]>);

/// Two of them share no cache line, nor a pair of lines that processors fetch together: executors write for each task.
#[derive(Default, Debug)]
#[repr(align(128))]
struct Slot {
    /// The number of the task; 0 if none runs.
    task: AtomicU64,
    started_ns: AtomicU64,
}

impl Slots {
    pub(super) fn new(count: u32) -> Self {
        Self((0..count).map(|_| Slot::default()).collect())
    }

    /// The executor `slot` begins a task.
    #[inline]
    pub(super) fn begin(&self, slot: u32, task: TaskId, started_ns: u64) {
        let slot = &self.0[slot as usize];
        slot.started_ns.store(started_ns, Ordering::Relaxed);
        slot.task.store(task.to_number(), Ordering::Release);
    }

    /// Its task has ended.
    #[inline]
    pub(super) fn end(&self, slot: u32) {
        self.0[slot as usize].task.store(0, Ordering::Relaxed);
    }

    /// The tasks that run, and for how long each does. A task that ends or begins meanwhile may be there or not.
    pub(super) fn running(&self, now_ns: u64) -> Vec<(TaskId, u64)> {
        let running = self.0.iter().filter_map(|slot| {
            let task = TaskId::from_number(slot.task.load(Ordering::Acquire))?;
            Some((task, now_ns.saturating_sub(slot.started_ns.load(Ordering::Relaxed))))
        });
        running.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn those_that_run_are_told_with_how_long_they_do() {
        let slots = Slots::new(3);
        assert!(slots.running(100).is_empty());
        slots.begin(0, TaskId::new(0, 1), 40);
        slots.begin(2, TaskId::new(5, 2), 90);
        assert_eq!(slots.running(100), [(TaskId::new(0, 1), 60), (TaskId::new(5, 2), 10)]);
        slots.end(0);
        assert_eq!(slots.running(80), [(TaskId::new(5, 2), 0)], "clocks may differ by a little");
    }
}
