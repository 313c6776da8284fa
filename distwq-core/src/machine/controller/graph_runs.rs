//! How far started graphs are.

use super::table::{Entry, Output};
use crate::id::GraphRunId;
use crate::machine::Ns;
use crate::outcome::error::{RunError, TaskError};
use rustc_hash::FxHashMap;
use std::collections::BTreeSet;
use std::num::NonZeroU32;
use std::sync::Arc;

/// One started graph.
#[derive(Default, Debug)]
struct GraphRun {
    tasks: usize,
    outstanding: usize,
    /// When a task fails, all others are cancelled; not again after that.
    cancels: bool,
    /// When its tasks have to end, until they have.
    deadline: Option<Ns>,
    /// Nobody will ask how it went.
    is_forgotten: bool,
    /// Those that were cancelled among them.
    failed: Vec<Arc<TaskError>>,
    cancelled: usize,
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
    /// The tasks of the newest are being added, or some tasks end together: what follows
    /// from a failure comes after that.
    holds: bool,
    /// Those of which a task has failed, and whose others are to be cancelled.
    failed: Vec<GraphRunId>,
    /// The deadlines of those that have not ended.
    due: BTreeSet<(Ns, GraphRunId)>,
}

/// How far a graph is.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(crate) struct GraphProgress {
    pub(crate) tasks: usize,
    pub(crate) ended: usize,
    /// Those of them without a value that were not cancelled themselves.
    pub(crate) failed: usize,
    pub(crate) cancelled: usize,
}

impl GraphRuns {
    /// A graph of so many tasks starts. If a task of it fails, others are to be
    /// cancelled, if it `cancels`.
    pub(super) fn begin(&mut self, tasks: usize, cancels: bool) -> GraphRunId {
        self.holds = true;
        self.begun = self.begun.checked_add(1).expect("fewer than 2^32 graphs are started");
        let run = GraphRunId(NonZeroU32::new(self.begun).expect("it was counted up"));
        self.runs.insert(run, GraphRun { tasks, outstanding: tasks, cancels, ..GraphRun::default() });
        run
    }

    /// Tells the graph of a task, if it is of one, that it has ended. Gives the graph if
    /// that is over then.
    #[inline]
    pub(super) fn ended(&mut self, task: &Entry) -> Option<GraphRunId> {
        let id = task.graph_run?;
        let run = self.runs.get_mut(&id)?;
        run.outstanding -= 1;
        let error = match &task.output {
            Output::Pending | Output::Here | Output::Resident { .. } => None,
            Output::Failed(error) => {
                run.failed.push(Arc::clone(error));
                run.cancelled += usize::from(matches!(**error, TaskError::Cancelled { .. }));
                Some(error)
            }
            Output::Upstream(step) => {
                run.upstream += 1;
                run.cause.get_or_insert_with(|| Arc::clone(step.root()));
                Some(step.root())
            }
        };
        // What users have cancelled is no failure.
        let has_failed = error.is_some_and(|error| !matches!(**error, TaskError::Cancelled { .. }));
        if has_failed && std::mem::take(&mut run.cancels) {
            self.failed.push(id);
        }
        if run.outstanding > 0 {
            return None;
        }
        if let Some(at) = run.deadline.take() {
            self.due.remove(&(at, id));
        }
        if run.is_forgotten {
            self.runs.remove(&id);
        }
        Some(id)
    }

    /// All tasks of a graph have to end by this time, or by an earlier one that was said
    /// before.
    pub(super) fn limit(&mut self, id: GraphRunId, at: Ns) {
        let Some(run) = self.runs.get_mut(&id).filter(|run| run.outstanding > 0) else { return };
        let before = run.deadline.replace(run.deadline.map_or(at, |before| before.min(at)));
        if let Some(before) = before {
            self.due.remove(&(before, id));
        }
        self.due.extend(run.deadline.map(|at| (at, id)));
    }

    /// When the next deadline of a graph comes.
    pub(super) fn next_due(&self) -> Option<Ns> {
        self.due.first().map(|(at, _)| *at)
    }

    /// Takes a graph whose deadline has come.
    pub(super) fn take_due(&mut self, now: Ns) -> Option<GraphRunId> {
        let &(at, id) = self.due.first().filter(|(at, _)| *at <= now)?;
        self.due.remove(&(at, id));
        if let Some(run) = self.runs.get_mut(&id) {
            run.deadline = None;
        }
        Some(id)
    }

    /// Several tasks are about to end together. Gives whether that was so already.
    pub(super) fn hold(&mut self) -> bool {
        std::mem::replace(&mut self.holds, true)
    }

    /// They have ended, or all tasks of the newest graph have been added; `still`: what
    /// follows has to wait all the same.
    pub(super) fn release(&mut self, still: bool) {
        self.holds = still;
    }

    /// Whether a task has failed of one whose others are to be cancelled, as soon as all
    /// are there.
    #[inline]
    pub(super) fn has_failed(&self) -> bool {
        !self.failed.is_empty() && !self.holds
    }

    /// The next of these.
    pub(super) fn take_failed(&mut self) -> Option<GraphRunId> {
        self.failed.pop()
    }

    /// How far one is; nothing of one that is forgotten.
    pub(super) fn progress(&self, run: GraphRunId) -> Option<GraphProgress> {
        let &GraphRun { tasks, outstanding, ref failed, cancelled, upstream, .. } = self.runs.get(&run)?;
        let failed = failed.len() + upstream - cancelled;
        Some(GraphProgress { tasks, ended: tasks - outstanding, failed, cancelled })
    }

    /// How many there are.
    #[cfg(any(test, feature = "simulation"))]
    pub(super) fn len(&self) -> usize {
        self.runs.len()
    }

    /// Whether the failure of a task would cancel the others.
    #[cfg(any(test, feature = "simulation"))]
    pub(super) fn would_cancel(&self, run: GraphRunId) -> Option<bool> {
        self.runs.get(&run).map(|run| run.cancels)
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

    /// Nobody will ask how the graph as a whole went. It is kept while a failure would
    /// cancel others, or it has a deadline.
    pub(super) fn forget(&mut self, run: GraphRunId) {
        match self.runs.get_mut(&run) {
            Some(kept) if kept.outstanding > 0 && (kept.cancels || kept.deadline.is_some()) => kept.is_forgotten = true,
            _ => drop(self.runs.remove(&run)),
        }
    }
}
