//! What the controller tells of its tasks and workers to those who ask. Nothing changes
//! by that.

use super::Controller;
use super::drain::Left;
use super::ends::{self, WhatWas};
use super::graph_runs::GraphProgress;
use super::status::SHOWN_MAX;
use super::table::{Entry, HomeCopy, Output};
use crate::codec::Payload;
use crate::id::{Rank, TaskId, WorkerId};
use crate::machine::scheduler::{Stall, Waits};
use crate::machine::{NamedTask, Ns};
use crate::outcome::error::{TaskError, TaskSite, plural};
use crate::outcome::info::TaskInfo;
use std::sync::Arc;
use std::time::Duration;

/// Entries of a stall that its message tells.
const WAITS_SHOWN_MAX: usize = 8;

impl Controller {
    /// How many workers there are that were not lost.
    pub(crate) fn workers(&self) -> usize {
        self.workers.living()
    }

    /// How many tasks are still to end.
    pub(crate) fn pending(&self) -> usize {
        self.scheduler.pending()
    }

    /// Whether a task that is added now may start on a worker that has nothing else.
    #[inline]
    pub(crate) fn has_idle_worker(&self) -> bool {
        self.workers.has_idle()
    }

    /// How many tasks and questions are in flight to and from the workers.
    #[inline]
    pub(crate) fn in_flight(&self) -> usize {
        self.workers.in_flight()
    }

    /// Whether all workers have answered when they were last asked what they hold and
    /// run.
    pub(crate) fn has_reports(&self) -> bool {
        self.workers.has_reports() || self.is_over()
    }

    /// Whether all tasks of a graph have ended.
    pub(crate) fn has_graph_run_ended(&self, graph_run: crate::id::GraphRunId) -> bool {
        self.is_over() || self.graph_runs.is_over(graph_run)
    }

    /// How far a graph is that somebody may ask for.
    pub(crate) fn graph_progress(&self, graph_run: crate::id::GraphRunId) -> Option<GraphProgress> {
        self.graph_runs.progress(graph_run)
    }

    /// Whether what follows from somebody [waiting](super::Input::Awaited) for a task has
    /// been done, by what is known of it now.
    pub(crate) fn is_awaited(&self, task: TaskId) -> bool {
        let done =
            |entry: &Entry| entry.watched && !matches!(entry.output, Output::Resident { copy: HomeCopy::None, .. });
        self.table.get(task).is_some_and(done)
    }

    /// Whether a task has ended.
    pub(crate) fn has_ended(&self, task: TaskId) -> bool {
        self.is_over() || self.table.get(task).is_none_or(|entry| !matches!(entry.output, Output::Pending))
    }

    /// Gives the output of a task if it is here. False if not.
    #[inline]
    pub(crate) fn output_here(&self, task: TaskId, into: &mut Payload) -> bool {
        let here = self.table.get(task).and_then(Entry::payload_here);
        here.is_some_and(|payload| {
            into.copy_from(payload);
            true
        })
    }

    /// Gives the output of a task without a label if it is here, and says what names the
    /// task.
    #[inline]
    pub(crate) fn output_of_unlabelled(&self, task: TaskId, into: &mut Payload) -> Option<WhatWas> {
        let entry = self.table.get(task).filter(|entry| entry.label.is_none())?;
        into.copy_from(entry.payload_here()?);
        Some(entry.what_was())
    }

    /// A task in words that may have gone.
    pub(crate) fn site_of(&self, was: WhatWas) -> TaskSite {
        was.site(&self.workers)
    }

    /// The task in words, for errors made outside.
    pub(crate) fn site(&self, task: TaskId) -> TaskSite {
        let entry = self.table.get(task).expect("a task stays while a handle of it does");
        entry.site(&self.workers, None)
    }

    /// The error of an item of a task, which was cancelled before a worker had begun it.
    pub(crate) fn cancelled_item(&self, task: TaskId) -> TaskError {
        ends::cancelled(Arc::new(self.site(task)), self.is_interrupted(), self.no_state())
    }

    /// The task for people, also if it has gone.
    pub(crate) fn name(&self, task: TaskId) -> String {
        self.table.get(task).map_or_else(|| task.to_string(), Entry::full_name)
    }

    /// What is known of a task.
    pub(crate) fn info(&self, task: TaskId) -> Option<TaskInfo> {
        let entry = self.table.get(task)?;
        let states = || entry.ran_on.workers().iter().map(|worker| self.workers.get(*worker));
        Some(TaskInfo {
            id: entry.serial,
            function: entry.path().to_owned(),
            label: entry.label().map(str::to_owned),
            state: entry.state(),
            is_running: self.scheduler.has_begun(task),
            ranks: states().map(|state| state.rank).collect(),
            hosts: states().map(|state| state.host.clone()).collect(),
            attempts: entry.attempts,
            submitted_ns: entry.submitted_ns,
            started_ns: (entry.started_ns > 0).then_some(entry.started_ns),
            finished_ns: (entry.finished_ns > 0).then_some(entry.finished_ns),
            received_ns: entry.received_ns(),
            output_bytes: entry.output_bytes(),
        })
    }

    /// After the run: which workers something still runs on, in words.
    pub(crate) fn who_is_busy(&self) -> String {
        let named = self.workers.not_stopped().map(|(worker, state)| {
            let at = state.to_string();
            if self.is_in_init(worker) {
                return format!("{at}, where `init` has not returned");
            }
            if state.in_flight() == 0 {
                let doubt = "does the `Drop` of a value not return, or does its process stand still?";
                return format!("{at} with no task ({doubt})");
            }
            let first =
                self.begun(worker).next().map_or_else(String::new, |name| format!(", the first of them {name}"));
            format!("{at} with {}{first}", plural(state.in_flight(), "task"))
        });
        match named.collect::<Vec<_>>() {
            none if none.is_empty() => "all have stopped: does the `Drop` of a value not return?".to_owned(),
            busy => format!("busy: {}", busy.join(", ")),
        }
    }

    /// The tasks that workers have not ended, in words.
    pub(crate) fn what_still_runs(&self) -> String {
        let busy = self.workers.iter().filter(|(_, state)| state.in_flight() > 0);
        let mut words = busy.map(|(worker, state)| {
            let names: Vec<String> = self.begun(worker).collect();
            format!("{} on {state}", names.join(", "))
        });
        let shown: Vec<String> = words.by_ref().take(SHOWN_MAX).collect();
        match words.count() {
            0 => shown.join("; "),
            more => format!("{}; and what {} have", shown.join("; "), plural(more, "more rank")),
        }
    }

    /// What a worker had to do when its process ended, in words.
    pub(crate) fn what_was_at(&self, rank: Rank) -> String {
        let Some(worker) = self.workers.of_rank(rank) else { return String::new() };
        let in_flight = self.workers.get(worker).in_flight();
        let tasks = match self.begun(worker).next() {
            None => "no task".to_owned(),
            Some(first) if in_flight == 1 => format!("task {first}"),
            Some(first) => format!("{}, the first of them {first}", plural(in_flight, "task")),
        };
        format!("; it had {tasks}")
    }

    /// The tasks that a worker has, by their names: what can have begun comes first.
    fn begun(&self, worker: WorkerId) -> impl Iterator<Item = String> + '_ {
        let tasks = self.groups.of_member(worker).into_iter().chain(self.scheduler.in_flight_tasks(worker));
        let named = tasks.filter_map(|task| self.table.get(task)).map(Entry::full_name);
        self.limits.given_up_at(worker).map(|name| format!("{name} (past its limit)")).chain(named)
    }

    /// What is left to end since this time, by what the workers have answered.
    pub(super) fn describe_left(&self, begun: Ns) -> String {
        let silent = self.workers.iter().filter(|(_, state)| state.running().is_none());
        let first_given = silent.filter_map(|(worker, state)| Some((state.rank, self.begun(worker).next()?)));
        let since = Duration::from_nanos(self.now.saturating_sub(begun));
        Left { since, status: self.status(), first_given: first_given.collect() }.to_string()
    }

    /// A task, for a notice.
    pub(super) fn named(&self, task: TaskId) -> NamedTask {
        let entry = self.table.get(task);
        NamedTask {
            number: self.items.number_of(task),
            function: entry.map_or("gone", Entry::path),
            label: entry.and_then(Entry::label).map(Box::from),
        }
    }

    /// Who waits for what, where nothing can move any more.
    pub(super) fn describe_stall(&self, stall: &Stall) -> String {
        let name = |task: TaskId| self.table.get(task).map_or_else(|| task.to_string(), Entry::name);
        let mut waits = stall.waits.iter().map(|(task, waits)| {
            let what = match waits {
                Waits::Workers { wanted, living } => {
                    format!("{} (the cluster has {living})", plural(*wanted, "worker"))
                }
                Waits::Worker(worker) => worker.to_string(),
                Waits::Task(other) => name(*other),
            };
            format!("{} waits for {what}", name(*task))
        });
        let shown: Vec<String> = waits.by_ref().take(WAITS_SHOWN_MAX).collect();
        format!("{} left; {}", plural(stall.pending, "task"), shown.join("; "))
    }

    /// Why the run ends because of a member that does not leave raw MPI.
    pub(super) fn describe_stuck(&self, stuck: &super::groups::Stuck<'_>) -> String {
        let state = self.workers.get(stuck.member);
        let failure = stuck
            .failure
            .map_or_else(String::new, |(failure, worker)| format!("{} failed: {failure}", self.workers.rank(*worker)));
        let entry = self.table.get(stuck.task).map_or_else(String::new, Entry::name);
        format!(
            "collective task {entry}: {failure}; {} (host {}) did not leave raw MPI within {} ms",
            state.rank,
            state.host,
            self.settings.collective_grace_ns / 1_000_000
        )
    }
}
