//! Limits in a simulated run: attempts that run past theirs, waits and pauses, deadlines,
//! tasks that want another worker or some time.

use super::random::Random;
use super::task::{Seen, Task};
use super::world::World;
use crate::function::remote::Failure;
use crate::id::{GraphRunId, TaskId};
use crate::machine::Ns;
use crate::machine::controller::{Input, Terms};
use crate::outcome::error::{Limit, TaskError};
use crate::outcome::failure::{RetryOn, Wish};
use std::time::Duration;

/// How long tasks wait for workers that are set aside.
pub(super) const STUCK_GRACE_NS: Ns = 8_000_000;

/// What a task has to do with limits, and how far it is with them.
#[derive(Default, Debug)]
pub(super) struct Limits {
    pub(super) terms: Terms,
    /// So often it does not fail, but wants another worker or some time.
    pub(super) wishes: u32,
    /// So often it has.
    pub(super) wished: u32,
    /// When it has to end at the latest, if that was said.
    pub(super) deadline: Option<Ns>,
    /// Attempts that have reached their limit.
    pub(super) overran: Vec<u32>,
    pub(super) submitted_ns: Ns,
}

impl Limits {
    pub(super) fn draw(random: &mut Random, percent: u64, run_ns_max: Ns) -> Self {
        if !random.percent(percent) {
            return Self::default();
        }
        let causes = [RetryOn::ERRORS, RetryOn::PANICS, RetryOn::LIMITS, RetryOn::LOST_WORKERS];
        let mut retry_on = if random.percent(60) { RetryOn::ALL } else { RetryOn::default() };
        if random.percent(20) {
            retry_on = *random.pick(&causes).expect("there are some") | *random.pick(&causes).expect("there are some");
        }
        let terms = Terms {
            run_limit_ns: random.percent(60).then(|| random.up_to(run_ns_max)),
            wait_limit_ns: random.percent(30).then(|| random.up_to(8 * run_ns_max)),
            backoff_ns: if random.percent(30) { random.up_to(run_ns_max) } else { 0 },
            retry_on,
        };
        let wishes = if random.percent(25) { 1 + random.below(3) as u32 } else { 0 };
        Self { terms, wishes, ..Self::default() }
    }

    /// Whether it may end otherwise than it would without limits.
    pub(super) fn are_there(&self) -> bool {
        self.terms != Terms::default() || self.wishes + self.wished > 0 || self.deadline.is_some()
    }

    /// Whether an attempt may go on though the task has ended, or another one has begun.
    pub(super) fn may_go_on(&self) -> bool {
        self.terms.run_limit_ns.is_some() || self.deadline.is_some() || !self.overran.is_empty()
    }

    /// What it wants instead of a further attempt, if it has not said so often enough.
    pub(super) fn take_wish(&mut self, random: &mut Random, run_ns_max: Ns) -> Option<Failure> {
        self.wishes = self.wishes.checked_sub(1)?;
        self.wished += 1;
        let busy = Wish::Busy { delay_ns: random.up_to(run_ns_max) };
        let wish = if random.percent(40) { Wish::NotHere } else { busy };
        Some(Failure::Asks { message: "a wish".to_owned(), wish })
    }
}

/// A task has ended by a limit: it has reached it.
pub(super) fn check_limit(model: &Task, error: &TaskError, now: Ns) {
    let TaskError::LimitReached { site, limit, after } = error else { return };
    let limits = &model.limits;
    match limit {
        Limit::Run => {
            assert_eq!(limits.terms.run_limit_ns.map(Duration::from_nanos), Some(*after), "{error}");
            // Of a worker that is silent the controller finds it by itself, later.
            let by_controller = now >= limits.submitted_ns + 2 * (after.as_nanos() as Ns + STUCK_GRACE_NS);
            let has_time = !limits.overran.contains(&site.attempts) && !by_controller;
            assert!(!has_time, "{error}, but that attempt has time");
            let is_last = site.attempts == model.retries + 1 || !limits.terms.retry_on.contains(RetryOn::LIMITS);
            assert!(is_last, "{error}, but there are attempts left");
        }
        Limit::Wait => {
            let limit_ns = limits.terms.wait_limit_ns.expect("it has such a limit");
            assert!(now >= limits.submitted_ns + limit_ns, "{error}, but it may wait on");
            // A lost worker may have taken the word of that along.
            assert!(model.begun == 0 || !model.lost_with.is_empty(), "{error}, but it has begun");
        }
        Limit::Deadline => assert!(limits.deadline.is_some_and(|at| at <= now), "{error}, but it has time left"),
    }
}

impl World<'_> {
    /// The user says by when some tasks have to end, or all that are left of a graph.
    pub(super) fn user_sets_deadline(&mut self) {
        let of_graph = if self.random.percent(50) { self.any_graph() } else { None };
        match of_graph {
            Some((graph_run, tasks)) => self.sets_any_deadline(Some(graph_run), tasks),
            None => {
                let tasks = self.some_unended();
                self.sets_any_deadline(None, tasks);
            }
        }
    }

    /// The user has started a graph, which has to end by a time now and then.
    pub(super) fn may_limit(&mut self, graph_run: GraphRunId) {
        if self.random.percent(self.shape.limit_percent / 2) {
            let tasks = self.unended_of_graph(graph_run);
            self.sets_any_deadline(Some(graph_run), tasks);
        }
    }

    fn sets_any_deadline(&mut self, graph_run: Option<GraphRunId>, tasks: Vec<usize>) {
        let in_ns = self.random.below(6 * self.shape.run_ns_max);
        self.sets_deadline(graph_run, tasks, in_ns);
    }

    /// These tasks have to end within this time from now.
    pub(super) fn sets_deadline(&mut self, graph_run: Option<GraphRunId>, tasks: Vec<usize>, in_ns: Ns) {
        let at = self.controller.clock.keep(self.agenda.now(), 0) + in_ns;
        for &index in &tasks {
            let deadline = &mut self.book.tasks[index].limits.deadline;
            *deadline = Some(deadline.map_or(at, |before| before.min(at)));
        }
        self.book.may_be_given_up(&tasks);
        let ids: Vec<TaskId> = tasks.iter().map(|&index| self.book.tasks[index].id).collect();
        self.history.note(self.agenda.now(), || format!("the user wants {ids:?} of {graph_run:?} to end by {at}"));
        match graph_run {
            Some(graph_run) => self.tell(Input::GraphDeadline { graph_run, at }),
            None => self.tell(Input::Deadline { tasks: &ids, at }),
        }
        self.history.tally.graph_deadlines += u64::from(graph_run.is_some());
        self.after_controller();
    }

    fn some_unended(&mut self) -> Vec<usize> {
        let count = self.random.up_to(6);
        let mut tasks: Vec<usize> = (0..count).filter_map(|_| self.random.pick(&self.unended).copied()).collect();
        tasks.sort_unstable();
        tasks.dedup();
        tasks
    }

    /// A graph is cancelled because these of its tasks have failed. If that is their
    /// deadline, others of the same deadline have ended by it as well: gives it.
    pub(super) fn common_deadline(&self, failed: &[usize]) -> Option<Ns> {
        let deadline = |&index: &usize| match self.seen(index) {
            Some(Seen::Error(error)) => match error.root() {
                TaskError::LimitReached { limit: Limit::Deadline, site, .. } => {
                    let root = self.book.index_of_serial(site.task)?;
                    self.book.tasks[root].limits.deadline
                }
                _ => None,
            },
            _ => None,
        };
        let all: Option<Vec<Ns>> = failed.iter().map(deadline).collect();
        all?.into_iter().min()
    }

    /// After a turn of the controller: whatever had to end by now has.
    pub(super) fn check_deadlines(&self) {
        let kept = self.controller.clock.kept();
        if self.book.body_failed || self.controller.machine.is_over() {
            return;
        }
        for &index in &self.unended {
            let model = &self.book.tasks[index];
            assert!(model.limits.deadline.is_none_or(|at| at > kept), "{} goes on after its deadline", model.id);
        }
    }

    /// How long an attempt runs that would run for so long: some of those with a limit go
    /// on past it.
    pub(super) fn draw_run(&mut self, task: usize, ran_ns: Ns) -> Ns {
        match self.book.tasks[task].limits.terms.run_limit_ns {
            Some(limit_ns) if self.random.percent(50) => limit_ns + self.random.up_to(6 * limit_ns),
            _ => ran_ns,
        }
    }
}
