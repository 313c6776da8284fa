//! What simulations look at, to compare it with what must be. Nothing changes by that.

use super::{Phase, Worker};
use crate::id::TaskId;

impl Worker {
    /// Whether the run has failed, as far as this worker knows: nothing begins any more.
    pub(crate) fn has_failed(&self) -> bool {
        self.phase == Phase::Failed
    }

    /// Whether a value is here.
    pub(crate) fn holds(&self, value: TaskId) -> bool {
        self.values.get(value).is_some()
    }

    /// Whether a value is here or on its way.
    pub(crate) fn expects(&self, value: TaskId) -> bool {
        self.values.is_expected(value)
    }

    /// What is left that should have gone when all has ended, in words.
    pub(crate) fn leftovers(&self) -> Option<String> {
        let (waiting, asked) = self.values.expected();
        let left = [
            (self.ready.len(), "ready tasks"),
            (self.running.count() as usize, "tasks that run"),
            (self.values.held().1 as usize, "values"),
            (waiting, "tasks that wait for values"),
            (asked, "values that were asked for"),
            (self.groups.len(), "groups"),
            (self.cancelled.len(), "cancelled tasks that are to come"),
            (self.descriptions.len(), "descriptions"),
        ];
        left.iter().find(|(count, _)| *count > 0).map(|(count, what)| format!("{count} {what}"))
    }
}
