//! How far started graphs are.

use super::table::{Entry, Output};
use crate::id::GraphRunId;
use crate::outcome::error::{RunError, TaskError};
use rustc_hash::FxHashMap;
use std::num::NonZeroU32;
use std::sync::Arc;

/// One started graph.
#[derive(Default, Debug)]
struct GraphRun {
    outstanding: usize,
    failed: Vec<Arc<TaskError>>,
    upstream: usize,
    /// Why the first of them did not: needed where all that failed is outside of the
    /// graph.
    cause: Option<Arc<TaskError>>,
}

/// The graphs that somebody may ask for.
#[derive(Default, Debug)]
pub(super) struct GraphRuns {
    runs: FxHashMap<GraphRunId, GraphRun>,
    begun: u32,
}

impl GraphRuns {
    /// A graph of so many tasks starts.
    pub(super) fn begin(&mut self, tasks: usize) -> GraphRunId {
        self.begun = self.begun.checked_add(1).expect("fewer than 2^32 graphs are started");
        let run = GraphRunId(NonZeroU32::new(self.begun).expect("it was counted up"));
        self.runs.insert(run, GraphRun { outstanding: tasks, ..GraphRun::default() });
        run
    }

    /// Tells the graph of a task, if it is of one, that it has ended. Gives the graph if
    /// that is over then.
    #[inline]
    pub(super) fn ended(&mut self, task: &Entry) -> Option<GraphRunId> {
        let id = task.graph_run?;
        let run = self.runs.get_mut(&id)?;
        run.outstanding -= 1;
        match &task.output {
            Output::Failed(error) => run.failed.push(Arc::clone(error)),
            Output::Upstream(step) => {
                run.upstream += 1;
                run.cause.get_or_insert_with(|| Arc::clone(step.root()));
            }
            Output::Pending | Output::Here | Output::Resident { .. } => {}
        }
        (run.outstanding == 0).then_some(id)
    }

    /// How many there are.
    #[cfg(any(test, feature = "simulation"))]
    pub(super) fn len(&self) -> usize {
        self.runs.len()
    }

    /// Whether all tasks of a graph have ended.
    pub(super) fn is_over(&self, run: GraphRunId) -> bool {
        self.runs.get(&run).is_none_or(|run| run.outstanding == 0)
    }

    /// The failures of a graph that is over: those of tasks themselves, and how many did
    /// not run because of them.
    pub(super) fn result(&self, run: GraphRunId) -> Result<(), RunError> {
        let Some(run) = self.runs.get(&run) else { return Ok(()) };
        if run.outstanding > 0 {
            return Err(RunError::Closed { outstanding: run.outstanding });
        }
        let outside = run.cause.clone().filter(|_| run.failed.is_empty());
        let mut failed: Vec<TaskError> = run.failed.iter().chain(&outside).map(|error| (**error).clone()).collect();
        if failed.is_empty() {
            return Ok(());
        }
        failed.sort_by_key(|error| error.site().map(|site| site.task));
        Err(RunError::Failed { failed, upstream: run.upstream })
    }

    /// Nobody will ask how the graph as a whole went.
    pub(super) fn forget(&mut self, run: GraphRunId) {
        self.runs.remove(&run);
    }
}
