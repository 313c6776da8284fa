//! What the run does at this moment, by what the workers have last said that they run,
//! and why a task has not ended. Nothing changes by that.

use super::Controller;
use super::table::Entry;
use super::workers::WorkerState;
use crate::id::{TaskId, WorkerId};
use crate::machine::scheduler::{Waiters, Why};
use crate::outcome::status::{
    Explanation, Reason, RunningTask, STEPS_MAX, Status, TaskName, TaskStatus, Waiting, WaitsFor, WorkerPhase,
    WorkerStatus,
};
use std::time::Duration;

/// Tasks of each kind that are named.
pub(super) const SHOWN_MAX: usize = 5;

impl Controller {
    /// Who runs what, and what the others wait for. Looks at all tasks.
    pub(crate) fn status(&self) -> Status {
        let all = self.scheduler.all_waiters(SHOWN_MAX);
        let kinds = [
            (WaitsFor::Ranks, &all.workers),
            (WaitsFor::OneWorker, &all.worker),
            (WaitsFor::AnotherWorker, &all.retry),
            (WaitsFor::Room, &all.room),
            (WaitsFor::Time, &all.pause),
            (WaitsFor::Tasks, &all.tasks),
        ];
        let waiting = kinds.into_iter().filter(|(_, waiters)| waiters.count > 0);
        Status {
            pending: self.pending() as u64,
            given: all.given as u64,
            workers: self.workers.iter().map(|(worker, state)| self.worker_status(worker, state)).collect(),
            waiting: waiting.map(|(what, waiters)| self.waiting(what, waiters)).collect(),
        }
    }

    /// Why a task has not ended: what it waits for, what that waits for, and so on.
    pub(crate) fn explain(&self, task: TaskId) -> Explanation {
        let mut steps = Vec::new();
        let mut next = Some(task);
        while let Some(task) = next.filter(|_| steps.len() < STEPS_MAX) {
            // Once the run is over nothing that waits ever moves.
            let why = if self.is_over() { None } else { self.scheduler.why(task) };
            steps.push(TaskStatus { task: self.task_name(task), reason: self.reason(task, why) });
            next = match why {
                Some(Why::Tasks { first, .. }) => Some(first),
                _ => None,
            };
        }
        Explanation { steps }
    }

    fn waiting(&self, what: WaitsFor, waiters: &Waiters) -> Waiting {
        let status = |&(task, why): &(TaskId, Why)| TaskStatus {
            task: self.task_name(task),
            reason: self.reason(task, Some(why)),
        };
        Waiting { what, count: waiters.count as u64, first: waiters.first.iter().map(status).collect() }
    }

    fn worker_status(&self, worker: WorkerId, state: &WorkerState) -> WorkerStatus {
        let phase = match state.running() {
            _ if state.is_lost => WorkerPhase::Lost,
            _ if self.is_in_init(worker) => WorkerPhase::InInit,
            None => WorkerPhase::Silent,
            Some(_) => WorkerPhase::Serving,
        };
        let named = |&(task, ran_ns): &(TaskId, u64)| {
            // It may have ended since.
            let runs = self.table.is_pending(task) && !self.limits.was_given_up(worker, task);
            runs.then_some(())?;
            let percent = state.report.percent_of(task);
            Some(RunningTask { task: self.task_name(task), time: Duration::from_nanos(ran_ns), percent })
        };
        let running: Vec<RunningTask> = state.running().unwrap_or_default().iter().filter_map(named).collect();
        let mut past_limit: Vec<String> = self.limits.given_up_at(worker).cloned().collect();
        past_limit.sort_unstable();
        let ahead = u64::from(state.in_flight()).saturating_sub((running.len() + past_limit.len()) as u64);
        WorkerStatus { rank: state.rank, host: state.host.clone(), phase, running, past_limit, ahead }
    }

    fn task_name(&self, task: TaskId) -> TaskName {
        let entry = self.table.get(task);
        TaskName {
            number: self.items.number_of(task),
            function: entry.map_or("gone", Entry::path).to_owned(),
            label: entry.and_then(Entry::label).map(str::to_owned),
        }
    }

    /// What keeps a task, of which the scheduler says this, or how it has ended.
    fn reason(&self, task: TaskId, why: Option<Why>) -> Reason {
        let Some(why) = why else { return self.how_it_ended(task) };
        let workers = self.workers.living() as u64;
        let at = |worker| {
            let state = self.workers.get(worker);
            (state.rank, state.host.clone())
        };
        match why {
            Why::Tasks { first, count } => Reason::Tasks { first: self.task_name(first), count: u64::from(count) },
            Why::Room { aside } => Reason::Room { workers, aside: aside.into() },
            Why::Worker(worker) => {
                let (rank, host) = at(worker);
                Reason::OneWorker { rank, host }
            }
            Why::Aside(worker) => {
                let (rank, host) = at(worker);
                Reason::Aside { rank, host }
            }
            Why::Pause { left_ns } => Reason::Pause { left: Duration::from_nanos(left_ns) },
            Why::Retry { failures } => Reason::AnotherWorker { failures: u64::from(failures) },
            Why::Workers { wanted, free } => Reason::Ranks { wanted: wanted.into(), free: free.into(), workers },
            Why::With { worker, before } => self.runs(task, &[worker]).unwrap_or_else(|| {
                let (rank, host) = at(worker);
                match self.workers.get(worker).running() {
                    Some(_) => Reason::Given { rank, host, before: before.into() },
                    None => Reason::Silent { rank, host },
                }
            }),
            Why::Group => {
                let members = self.table.get(task).map(|entry| entry.ran_on.workers()).unwrap_or_default();
                self.runs(task, members).unwrap_or_else(|| Reason::GroupGathers {
                    ranks: members.len() as u64,
                    ready: self.groups.ready_members(task) as u64,
                })
            }
        }
    }

    /// For how long a task has run, if one of these workers says that it runs it.
    fn runs(&self, task: TaskId, workers: &[WorkerId]) -> Option<Reason> {
        let time = |worker: &WorkerId| {
            let running = self.workers.get(*worker).running()?;
            running.iter().find(|(other, _)| *other == task).map(|(_, ran_ns)| (*worker, *ran_ns))
        };
        let mut runs = workers.iter().filter_map(time);
        let (worker, first_ns) = runs.next()?;
        let (ranks, ran_ns) =
            runs.fold((1, first_ns), |(ranks, longest), (_, ran_ns)| (ranks + 1, longest.max(ran_ns)));
        let state = self.workers.get(worker);
        let (time, percent) = (Duration::from_nanos(ran_ns), state.report.percent_of(task));
        Some(Reason::Runs { rank: state.rank, host: state.host.clone(), ranks, time, percent })
    }

    fn how_it_ended(&self, task: TaskId) -> Reason {
        match self.no_output(task) {
            Some(Err(error)) => Reason::Failed { error: error.to_string() },
            _ => Reason::Done,
        }
    }
}
