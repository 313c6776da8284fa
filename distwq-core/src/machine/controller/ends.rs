//! How tasks end, in words: from what a worker reported to the error that a handle gives.

use super::limits::Limits;
use super::table::{Entry, Output, Table};
use super::workers::Workers;
use crate::function::remote::Failure;
use crate::id::{TaskId, WorkerId};
use crate::machine::Ns;
use crate::machine::scheduler::End;
use crate::outcome::error::{Limit, PathStep, TaskError, TaskSite};
use std::sync::Arc;
use std::time::Duration;

/// What a task that ends without a value tells, as far as the scheduler does not know it.
pub(super) enum Cause<'a> {
    /// Nothing: the scheduler knows it all.
    Known,
    /// Nothing can move any more: who waits for what.
    Stall(&'a str),
    /// What the last attempt has failed of, and where.
    Failure(&'a Failure, WorkerId),
}

/// What a task tells whose worker was lost.
pub(super) const WORKER_GONE: &str = "the process of that rank has ended. A task with `retries` left that need not run on \
    one certain rank is run again by another one";

/// What is told of a value that was lost.
pub(super) const VALUE_GONE: &str = "was on a rank alone whose process has ended. Run the task that makes it again";

/// The step that all who hang on a task share, if it has ended without a value.
fn step_of(parent: &Entry) -> Option<Arc<PathStep>> {
    match &parent.output {
        Output::Failed(error) => Some(PathStep::first(&parent.name(), Arc::clone(error))),
        Output::Upstream(before) => Some(PathStep::after(before, &parent.name())),
        _ => None,
    }
}

/// The error of a task that did not run, because of the one of this step.
pub(super) fn upstream(step: &PathStep, site: TaskSite) -> TaskError {
    let path = step.path_to(Some(site.name()));
    TaskError::Upstream { site: Arc::new(site), root: Arc::clone(step.root()), path }
}

impl Entry {
    /// The task in words; `at` is the worker that matters most.
    pub(super) fn site(&self, workers: &Workers, at: Option<WorkerId>) -> TaskSite {
        let was = self.what_was();
        let was = WhatWas { worker: at.or(was.worker), ..was };
        TaskSite { label: self.label().map(str::to_owned), ..was.site(workers) }
    }

    /// What is left to say of it once it has gone, but for its label.
    #[inline]
    pub(super) fn what_was(&self) -> WhatWas {
        let worker = self.ran_on.workers().first().copied();
        WhatWas { serial: self.serial, path: self.path(), worker, attempts: self.attempts }
    }

    /// The error that a failure makes.
    pub(super) fn error_of(&self, workers: &Workers, failure: &Failure, at: WorkerId) -> TaskError {
        let mut site = self.site(workers, Some(at));
        let failure = match failure {
            Failure::Joining { place, merge, failure } => {
                site.place = *place;
                if let Some(path) = merge {
                    // The options are those of the items.
                    (site.function, site.label) = (path.clone(), None);
                }
                failure
            }
            _ => failure,
        };
        let site = Arc::new(site);
        let text = || Arc::from(failure.to_string());
        match failure {
            Failure::Returned(_) | Failure::Asks { .. } | Failure::Joining { .. } => {
                TaskError::Failed { site, message: text() }
            }
            Failure::Panicked(message) => TaskError::Panicked { site, message: Arc::from(message.as_str()) },
            Failure::Decode { .. } | Failure::Encode(_) => TaskError::Codec { site, message: text() },
            Failure::Input(_) => TaskError::ValueLost { site, message: text() },
            Failure::Group(_) => TaskError::Group { site, message: text() },
            Failure::Init(_) => TaskError::Init { site, message: text() },
            Failure::Lost(_) => TaskError::WorkerLost { site, message: text() },
            Failure::Limit { limit_ns } => {
                TaskError::LimitReached { site, limit: Limit::Run, after: Duration::from_nanos(*limit_ns) }
            }
        }
    }
}

/// What names a task without a label that may have gone.
#[derive(Clone, Copy, Debug)]
pub(crate) struct WhatWas {
    serial: u32,
    path: &'static str,
    /// Who ran the last attempt.
    worker: Option<WorkerId>,
    attempts: u32,
}

impl WhatWas {
    /// The same in words.
    pub(super) fn site(self, workers: &Workers) -> TaskSite {
        let state = self.worker.map(|worker| workers.get(worker));
        TaskSite {
            task: self.serial,
            function: self.path.to_owned(),
            label: None,
            rank: state.map(|state| state.rank),
            host: state.map(|state| state.host.clone()),
            attempts: self.attempts,
            place: 0,
        }
    }
}

/// What is known of tasks and workers.
pub(super) struct Known<'a> {
    pub(super) table: &'a Table,
    pub(super) workers: &'a Workers,
    pub(super) limits: &'a Limits,
    pub(super) is_interrupted: bool,
    /// Why no task begins any more, if they are cancelled for that.
    pub(super) no_state: Option<&'a str>,
    pub(super) now: Ns,
}

/// The error of a task that was cancelled, by users or for want of a state.
pub(super) fn cancelled(site: Arc<TaskSite>, interrupted: bool, no_state: Option<&str>) -> TaskError {
    match no_state {
        Some(text) => TaskError::Init { site, message: Arc::from(text) },
        None => TaskError::Cancelled { site, interrupted },
    }
}

/// What a task gives that has ended without a value.
pub(super) fn output_of(task: TaskId, end: End, known: &Known<'_>, cause: &Cause<'_>) -> Output {
    let &Known { table, workers, limits, is_interrupted, no_state, now } = known;
    let entry = table.get(task).expect("a task that ends has not gone");
    let site = |at| Arc::new(entry.site(workers, at));
    let error = match end {
        End::Done => unreachable!("it has a value"),
        End::Upstream { via } => {
            let step = table.get(via).and_then(step_of);
            return Output::Upstream(step.expect("a task ends upstream of one that gave no value"));
        }
        End::Failed => {
            let &Cause::Failure(failure, at) = cause else { unreachable!("a failed task has failed of something") };
            entry.error_of(workers, failure, at)
        }
        End::WorkerLost { worker } => {
            TaskError::WorkerLost { site: site(Some(worker)), message: Arc::from(WORKER_GONE) }
        }
        End::ValueLost { value } => {
            let maker = table.get(value).map_or_else(|| value.to_string(), Entry::full_name);
            let message = Arc::from(format!("its input, the output of {maker}, {VALUE_GONE}"));
            TaskError::ValueLost { site: site(None), message }
        }
        End::Infeasible => {
            TaskError::Stalled { site: site(None), message: Arc::from("it needs more workers than are left") }
        }
        End::Cancelled => cancelled(site(None), is_interrupted, no_state),
        End::LimitReached { .. } if let &Cause::Failure(failure @ Failure::Init(_), at) = cause => {
            entry.error_of(workers, failure, at)
        }
        End::LimitReached { limit } => {
            let terms = limits.terms(task);
            let after_ns = match limit {
                Limit::Run => terms.run_limit_ns,
                Limit::Wait => terms.wait_limit_ns,
                Limit::Deadline => Some(now.saturating_sub(entry.submitted_ns)),
            };
            let at = if let &Cause::Failure(_, at) = cause { Some(at) } else { None };
            let after = Duration::from_nanos(after_ns.unwrap_or_default());
            TaskError::LimitReached { site: site(at), limit, after }
        }
        End::Stuck { .. } => {
            let message = format!("all workers that it could run on are set aside: {}", limits.describe(workers));
            TaskError::Stalled { site: site(None), message: Arc::from(message) }
        }
        End::Nowhere => {
            let (why, at) = match cause {
                Cause::Failure(failure, at) => (format!("{failure}; "), Some(*at)),
                _ => (String::new(), None),
            };
            let message = format!("{why}no worker is left that it could run on and that has not said `not_here`");
            TaskError::Failed { site: site(at), message: Arc::from(message) }
        }
        End::Stalled => {
            let &Cause::Stall(waits) = cause else { unreachable!("it is told who waits for what") };
            TaskError::Stalled { site: site(None), message: Arc::from(format!("nothing moves any more: {waits}")) }
        }
    };
    Output::Failed(Arc::new(error))
}
