//! What the executors of a rank run, and since when.

use crate::id::{Slot, TaskId};
use crate::machine::Ns;

/// One entry for each executor.
#[derive(Debug)]
pub(super) struct Running {
    slots: Box<[Option<(TaskId, Ns)>]>,
    count: u32,
}

impl Running {
    pub(super) fn new(slots: u32) -> Self {
        Self { slots: vec![None; slots as usize].into(), count: 0 }
    }

    /// An executor begins a task.
    #[inline]
    pub(super) fn begin(&mut self, slot: Slot, task: TaskId, now: Ns) {
        self.slots[slot.index()] = Some((task, now));
        self.count += 1;
    }

    /// Its task has ended.
    #[inline]
    pub(super) fn end(&mut self, slot: Slot) {
        self.slots[slot.index()] = None;
        self.count -= 1;
    }

    /// The executor that runs a task.
    pub(super) fn slot_of(&self, task: TaskId) -> Option<Slot> {
        let at = self.slots.iter().position(|running| running.is_some_and(|(running, _)| running == task))?;
        Some(Slot(at as u32))
    }

    /// What an executor runs, and since when.
    pub(super) fn at(&self, slot: Slot) -> Option<(TaskId, Ns)> {
        self.slots[slot.index()]
    }

    /// How many executors there are.
    pub(super) fn slots(&self) -> usize {
        self.slots.len()
    }

    /// How many tasks run.
    pub(super) fn count(&self) -> u32 {
        self.count
    }

    /// How many executors have nothing to run.
    #[inline]
    pub(super) fn idle(&self) -> u32 {
        (self.slots.len() as u32).saturating_sub(self.count)
    }

    /// The tasks that run, and for how many nanoseconds each does.
    pub(super) fn told(&self, now: Ns) -> Vec<(TaskId, u64)> {
        self.slots.iter().flatten().map(|(task, since)| (*task, now.saturating_sub(*since))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn those_that_run_are_told_with_how_long_they_do() {
        let mut running = Running::new(3);
        assert!(running.told(100).is_empty());
        running.begin(Slot(0), TaskId::new(0, 1), 40);
        running.begin(Slot(2), TaskId::new(5, 2), 90);
        assert_eq!(running.told(100), [(TaskId::new(0, 1), 60), (TaskId::new(5, 2), 10)]);
        running.end(Slot(0));
        assert_eq!((running.told(80), running.count()), (vec![(TaskId::new(5, 2), 0)], 1), "clocks may differ");
    }
}
