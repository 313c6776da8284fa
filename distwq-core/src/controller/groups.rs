//! Collective tasks under way: all members get ready, then all enter, and the task ends when all have left.

use super::engine::ControllerEngine;
use super::reports::is_worth_a_retry;
use super::table::{Given, Place};
use super::waits::{Verdict, Waits};
use crate::fault;
use crate::id::{TaskId, WorkerId};
use crate::machine::scheduler::{Event, GroupFailure, GroupValue};
use crate::message::{ToWorker, WaitReport};
use crate::remote::Failure;
use rustc_hash::FxHashMap;

/// Raw communicators that are kept at the same time.
const COMMUNICATORS_MAX: usize = 256;

/// One attempt of a collective task.
#[derive(Debug)]
struct Attempt {
    epoch: u64,
    members: Box<[WorkerId]>,
    ready: usize,
    entered: bool,
    /// Which members have left.
    left: Vec<bool>,
    output: Option<Given>,
    failure: Option<(Failure, WorkerId)>,
    /// Since when the members that have not left were told to, and which of them have heard.
    leaving: Option<(u64, Vec<bool>)>,
    /// Whether a member asked for the raw communicator.
    raw: bool,
    /// What members say that wait for long.
    waits: Waits,
    started_ns: u64,
    ended_ns: u64,
}

/// The collective tasks under way.
#[derive(Default, Debug)]
pub(super) struct Groups {
    attempts: FxHashMap<TaskId, Attempt>,
    tasks: FxHashMap<u64, TaskId>,
    epoch: u64,
    /// Groups that have a raw communicator, the last used one at the end.
    communicators: Vec<Box<[WorkerId]>>,
    /// How many of them have a failed member.
    leaving: usize,
}

impl Groups {
    pub(super) fn contains(&self, task: TaskId) -> bool {
        !self.attempts.is_empty() && self.attempts.contains_key(&task)
    }

    /// The collective tasks that a worker is a member of and has not left.
    pub(super) fn of_member(&self, worker: WorkerId) -> impl Iterator<Item = TaskId> + '_ {
        let inside = move |attempt: &Attempt| attempt.member(worker).is_some_and(|member| !attempt.left[member]);
        self.attempts.iter().filter(move |(_, attempt)| inside(attempt)).map(|(task, _)| *task)
    }

    /// A member has answered `Leave`: it is not stuck.
    pub(super) fn heard(&mut self, epoch: u64, worker: WorkerId) {
        let attempt = self.tasks.get(&epoch).and_then(|task| self.attempts.get_mut(task));
        if let Some(attempt) = attempt
            && let Some(member) = attempt.member(worker)
            && let Some((_, heard)) = &mut attempt.leaving
        {
            heard[member] = true;
        }
    }
}

impl Attempt {
    /// The members that have not left.
    fn inside(&self) -> Vec<WorkerId> {
        let members = self.members.iter().zip(&self.left);
        members.filter(|(_, left)| !**left).map(|(member, _)| *member).collect()
    }

    fn member(&self, worker: WorkerId) -> Option<usize> {
        self.members.iter().position(|member| *member == worker)
    }
}

impl ControllerEngine {
    #[inline(never)]
    pub(super) fn start_group(&mut self, task: TaskId, workers: &[WorkerId], attempt: u32) {
        let workers: Box<[WorkerId]> = workers.into();
        self.groups.epoch += 1;
        let epoch = self.groups.epoch;
        let ranks: Vec<_> = workers.iter().map(|worker| self.workers[worker.index()].rank).collect();
        for worker in &workers {
            let members = ranks.clone();
            self.push_run(task, *worker, attempt, |run| ToWorker::Prepare { epoch, members, run });
        }
        if let Some(entry) = self.table.get_mut(task) {
            entry.attempts = attempt;
            entry.place = Place::Group(workers.clone());
        }
        self.groups.tasks.insert(epoch, task);
        let attempt = Attempt {
            epoch,
            ready: 0,
            entered: false,
            left: vec![false; workers.len()],
            waits: Waits::new(workers.len()),
            members: workers,
            output: None,
            failure: None,
            leaving: None,
            raw: false,
            started_ns: u64::MAX,
            ended_ns: 0,
        };
        self.groups.attempts.insert(task, attempt);
    }

    /// A member waits for long. If all wait for each other, they are told.
    pub(super) fn member_waits(&mut self, worker: WorkerId, report: WaitReport) {
        let epoch = report.epoch;
        let task = self.groups.tasks.get(&epoch);
        let Some(attempt) = task.and_then(|task| self.groups.attempts.get_mut(task)) else {
            return;
        };
        let Some(member) = attempt.member(worker) else {
            return;
        };
        let verdict = attempt.waits.report(member, report, &attempt.left);
        let inside = attempt.inside();
        match verdict {
            Verdict::Wait => {}
            Verdict::Ask => inside.iter().for_each(|member| self.post(*member, &ToWorker::AskWait { epoch })),
            Verdict::Deadlock(waits) => {
                inside.iter().for_each(|member| self.post(*member, &ToWorker::Deadlock { epoch, waits: &waits }));
            }
        }
    }

    /// A member has its inputs. When all have, all enter.
    pub(super) fn group_ready(&mut self, epoch: u64) {
        let task = self.groups.tasks.get(&epoch);
        let Some(attempt) = task.and_then(|task| self.groups.attempts.get_mut(task)) else {
            return;
        };
        attempt.ready += 1;
        if attempt.ready == attempt.members.len() && attempt.failure.is_none() {
            attempt.entered = true;
            for member in attempt.members.clone() {
                self.post(member, &ToWorker::Enter { epoch });
            }
        }
    }

    /// A member's part has ended.
    pub(super) fn member_done(
        &mut self,
        task: TaskId,
        worker: WorkerId,
        (started_ns, ran_ns): (u64, u64),
        raw: bool,
        value: Result<Given, Failure>,
    ) {
        let Some(attempt) = self.groups.attempts.get_mut(&task) else {
            return;
        };
        let Some(member) = attempt.member(worker) else {
            return;
        };
        attempt.left[member] = true;
        attempt.raw |= raw;
        attempt.started_ns = attempt.started_ns.min(started_ns);
        attempt.ended_ns = attempt.ended_ns.max(started_ns + ran_ns);
        match value {
            Ok(output) if member == 0 => attempt.output = Some(output),
            Ok(_) => {}
            Err(failure) => self.member_failed(task, worker, failure),
        }
        self.group_left(task);
    }

    /// Keeps the failure that explains most: one of a member itself rather than that it lost another one. The
    /// first failure makes the other members leave.
    fn member_failed(&mut self, task: TaskId, worker: WorkerId, failure: Failure) {
        let Some(attempt) = self.groups.attempts.get_mut(&task) else {
            return;
        };
        let explains = |failure: &Failure| !matches!(failure, Failure::Group(_));
        let better = match &attempt.failure {
            None => true,
            Some((known, _)) => !explains(known) && explains(&failure),
        };
        if better {
            attempt.failure = Some((failure, worker));
        }
        if attempt.leaving.is_none() {
            attempt.leaving = Some((self.now_ns, attempt.left.clone()));
            self.groups.leaving += 1;
            let epoch = attempt.epoch;
            let inside = attempt.inside();
            for member in inside {
                self.post(member, &ToWorker::Leave { epoch });
            }
        }
    }

    /// Ends the task if all members have left.
    fn group_left(&mut self, task: TaskId) {
        let all_left = |attempt: &Attempt| attempt.left.iter().all(|left| *left);
        if !self.groups.attempts.get(&task).is_some_and(all_left) {
            return;
        }
        let Some(attempt) = self.groups.attempts.remove(&task) else {
            return;
        };
        self.groups.tasks.remove(&attempt.epoch);
        self.groups.leaving -= usize::from(attempt.leaving.is_some());
        let times = (attempt.started_ns, attempt.ended_ns);
        let ran_ns = attempt.ended_ns.saturating_sub(attempt.started_ns);
        let communicator = attempt.raw.then(|| (attempt.members.clone(), attempt.failure.is_some()));
        let result = match (attempt.failure, attempt.output) {
            (None, Some(output)) => {
                let (bytes, resident) = output.size();
                if self.succeeded(task, times, |entry| entry.give(output)).is_err() {
                    return;
                }
                Ok(GroupValue { bytes, resident })
            }
            (failure, output) => {
                if let Some(Given::Resident { .. }) = output {
                    // The first member kept its output before another one failed.
                    self.post(attempt.members[0], &ToWorker::Forget { values: vec![task] });
                }
                let (failure, worker) = failure.expect("a member that gives nothing has failed");
                let retry = is_worth_a_retry(&failure);
                self.failures.insert(task, (failure, worker));
                if let Some(entry) = self.table.get_mut(task) {
                    (entry.started_ns, entry.finished_ns) = times;
                }
                Err(GroupFailure { retry })
            }
        };
        if let Some((members, failed)) = communicator {
            self.used_communicator(members, failed);
        }
        self.tell_scheduler(Event::GroupFinished { task, result, ran_ns });
        self.failures.remove(&task);
    }

    /// Communicators are few and dear: those used last are kept. One that a failed task has used may have operations
    /// pending on it, and goes. Freeing is collective, so it is decided here: nobody uses it now, and all members
    /// hear of it before they hear of a next group.
    fn used_communicator(&mut self, members: Box<[WorkerId]>, failed: bool) {
        let cache = &mut self.groups.communicators;
        cache.retain(|known| *known != members);
        let goes = if failed {
            Some(members)
        } else {
            cache.push(members);
            // Not one that a task uses at this moment: its members would not all notice at the same place.
            let in_use = |known: &[WorkerId]| self.groups.attempts.values().any(|other| *other.members == *known);
            let full = self.groups.communicators.len() > COMMUNICATORS_MAX;
            let oldest = self.groups.communicators.iter().position(|known| !in_use(known));
            oldest.filter(|_| full).map(|index| self.groups.communicators.remove(index))
        };
        let Some(goes) = goes else {
            return;
        };
        let members: Vec<_> = goes.iter().map(|worker| self.workers[worker.index()].rank).collect();
        for worker in goes {
            self.post(worker, &ToWorker::FreeGroup { members: members.clone() });
        }
    }

    /// Ends the run if a member of a group that has failed does not answer: it sits in raw MPI, waiting for one
    /// that will not come.
    pub(super) fn check_groups(&mut self) {
        // After the end of the run nobody hears of a `Leave`, and the shutdown grace bounds all that is left.
        if self.groups.leaving == 0 || self.is_over() {
            return;
        }
        let grace_ns = self.limits.collective_grace.as_nanos() as u64;
        for (task, attempt) in &self.groups.attempts {
            let Some((since_ns, heard)) = &attempt.leaving else {
                continue;
            };
            let silent = heard.iter().zip(&attempt.left).position(|(heard, left)| !heard && !left);
            if let Some(member) = silent
                && self.now_ns.saturating_sub(*since_ns) > grace_ns
            {
                let place = &self.workers[attempt.members[member].index()];
                let failure = attempt.failure.as_ref().map_or_else(String::new, |(failure, worker)| {
                    format!("{} failed: {failure}", self.workers[worker.index()].rank)
                });
                let entry = self.table.get(*task).map_or_else(String::new, |entry| entry.name());
                let text = format!(
                    "collective task {entry}: {failure}; {} (host {}) did not leave raw MPI within {} ms",
                    place.rank,
                    place.host,
                    self.limits.collective_grace.as_millis()
                );
                fault::end_run(&mut *self.transport, &text);
            }
        }
    }
}
