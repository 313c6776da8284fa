//! What simulations look at, to compare it with what must be. Nothing changes by that.

use super::Controller;
use crate::id::{GraphRunId, TaskId};

impl Controller {
    /// Whether a task has not gone.
    pub(crate) fn knows(&self, task: TaskId) -> bool {
        self.table.get(task).is_some()
    }

    /// Whether the failure of a task of a graph would cancel the others; false once it
    /// has, and nothing if the graph is over and nobody asks for it.
    pub(crate) fn would_cancel(&self, graph_run: GraphRunId) -> Option<bool> {
        self.graph_runs.would_cancel(graph_run)
    }

    /// Whether an attempt of a task goes on that was given up.
    pub(crate) fn goes_on(&self, task: TaskId) -> bool {
        self.workers.ids().any(|worker| self.limits.was_given_up(worker, task))
    }

    /// How many tasks were cancelled.
    pub(crate) fn count_of_cancelled(&self) -> u64 {
        self.counts.cancelled
    }

    /// How many tasks were submitted, ended with a value, and failed.
    pub(crate) fn counts(&self) -> (u64, u64, u64) {
        (self.counts.submitted, self.counts.done, self.counts.failed)
    }

    /// Checks what is known twice. Looks at everything.
    ///
    /// # Panics
    /// If the state contradicts itself.
    pub(crate) fn validate(&self) {
        self.scheduler.validate();
        assert!(self.actions.is_empty(), "all actions are carried out");
        let in_flight: usize = self.workers.iter().map(|(_, state)| state.in_flight() as usize).sum();
        assert!(in_flight <= self.workers.in_flight(), "tasks in flight are counted in all");
        for (worker, state) in self.workers.iter() {
            assert_eq!(state.in_flight() as usize, self.in_flight_of(worker), "in flight on {worker}");
        }
    }

    /// How many tasks a worker has, as the scheduler and the groups know it.
    fn in_flight_of(&self, worker: crate::id::WorkerId) -> usize {
        let alone = self.scheduler.in_flight_tasks(worker).count();
        alone + usize::from(self.groups.of_member(worker).is_some()) + self.limits.given_up_at(worker).count()
    }

    /// What is left that should have gone when all has ended and nobody holds a handle,
    /// in words.
    pub(crate) fn leftovers(&self) -> Option<String> {
        let left = [
            (self.pending(), "tasks that have not ended"),
            (self.in_flight(), "tasks and questions in flight"),
            (self.table.iter().count(), "tasks and values"),
            (self.table.slices(), "lists of inputs"),
            (self.scheduler.copies(), "copies"),
            (self.groups.len(), "groups"),
            (self.cancelled.len(), "cancelled tasks"),
            (self.graph_runs.len(), "graphs"),
            (self.queue.bytes() as usize, "bytes of arguments"),
            (self.watches.len(), "watched tasks"),
            (self.items.len(), "tasks of maps"),
            (self.limits.counts().0, "tasks with limits"),
            (self.limits.counts().1, "attempts that were given up"),
            (usize::from(!self.unreferenced.is_empty()), "tasks without handles"),
        ];
        left.iter().find(|(count, _)| *count > 0).map(|(count, what)| format!("{count} {what}"))
    }
}
