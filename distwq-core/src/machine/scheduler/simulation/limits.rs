//! Limits in a simulated run: attempts that go on past theirs, deadlines, pauses, workers
//! that want tasks to run elsewhere. What workers say of an attempt that was given up is
//! told to the scheduler as its return, as the controller does.

use super::super::{Event, FailedBefore, Patience, Retry};
use super::model::{Book, Model};
use super::world::{Happening, Report, ToWorker, World};
use crate::id::{TaskId, WorkerId};
use crate::outcome::error::Limit;
use std::collections::BTreeSet;

/// Attempts in a hundred that reach their limit and never return.
const NEVER_PERCENT: u64 = 8;

/// An attempt that was given up and has not returned, as the scheduler knows it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct GivenUp {
    pub(super) worker: WorkerId,
    pub(super) task: TaskId,
    pub(super) since_ns: u64,
    pub(super) keeps_worker: bool,
}

/// What a task is like that has to do with limits.
#[derive(Clone, Debug, Default)]
pub(super) struct Limits {
    /// An attempt that would run for longer goes on past this limit.
    pub(super) run_limit_ns: Option<u64>,
    /// An attempt that has reached it is followed by another one.
    pub(super) retry_limits: bool,
    pub(super) patience: Option<Patience>,
    pub(super) wait_at: Option<u64>,
    /// So often its workers say something else than that it has failed.
    pub(super) wishes: u64,
    pub(super) refused: Vec<WorkerId>,
    pub(super) not_before_ns: u64,
    /// An attempt has been reported.
    pub(super) was_tried: bool,
    /// Which of its groups runs.
    pub(super) epoch: u64,
}

impl Book {
    /// The slots that a worker has beside attempts that were given up.
    pub(super) fn slots_left(&self, worker: WorkerId) -> u32 {
        let at = || self.given_up.iter().filter(|given_up| given_up.worker == worker);
        if at().any(|given_up| given_up.keeps_worker) {
            return 0;
        }
        self.workers[worker.index()].slots.saturating_sub(at().count() as u32)
    }

    pub(super) fn was_given_up(&self, worker: WorkerId, task: TaskId) -> bool {
        self.given_up.iter().any(|given_up| (given_up.worker, given_up.task) == (worker, task))
    }

    /// Whether a task cannot run on a worker at present.
    pub(super) fn is_barred(&self, model: &Model, worker: WorkerId) -> bool {
        self.slots_left(worker) == 0 || model.limits.refused.contains(&worker) || self.was_given_up(worker, model.id)
    }

    /// The living workers that a task could ever run on: those that have not refused it,
    /// and no attempts keep that were given up longer ago than the grace.
    pub(super) fn possible(&self, model: &Model, now_ns: u64, grace_ns: u64) -> usize {
        let is_stuck = |worker: WorkerId| {
            let old = |given_up: &&GivenUp| given_up.worker == worker && given_up.since_ns + grace_ns <= now_ns;
            let old: Vec<&GivenUp> = self.given_up.iter().filter(old).collect();
            (model.collective && !old.is_empty())
                || old.iter().any(|given_up| given_up.keeps_worker || given_up.task == model.id)
                || old.len() as u32 >= self.workers[worker.index()].slots
        };
        let living = (0..).map(WorkerId::new).zip(&self.workers).filter(|(_, seen)| seen.living);
        living.filter(|&(worker, _)| !model.limits.refused.contains(&worker) && !is_stuck(worker)).count()
    }

    fn give_up(&mut self, now_ns: u64, worker: WorkerId, task: TaskId, keeps_worker: bool) {
        let seen = &mut self.workers[worker.index()];
        seen.in_flight.retain(|&serial| serial != task.serial());
        seen.group.take_if(|group| *group == task.serial());
        assert!(!self.was_given_up(worker, task), "{task} is given up on {worker} once");
        self.given_up.push(GivenUp { worker, task, since_ns: now_ns, keeps_worker });
    }

    /// A task reached its deadline while a worker had it.
    pub(super) fn set_aside(&mut self, now_ns: u64, worker: WorkerId, task: TaskId) {
        assert!(self.to_expire.contains(&task) && self.task(task).on == [worker], "{task} is with {worker}");
        self.waits_again(task);
        self.give_up(now_ns, worker, task, false);
    }

    /// An attempt that counts has failed: from when on there may be another one.
    pub(super) fn note_pause(&mut self, now_ns: u64, task: TaskId) {
        let model = self.task_mut(task);
        let first_ns = model.limits.patience.map_or(0, |patience| patience.backoff_ns);
        model.limits.not_before_ns = now_ns + (first_ns << (model.failures - 1).min(20));
    }
}

impl World {
    /// Draws what a task is like that has to do with limits.
    pub(super) fn draw_limits(&mut self) -> Limits {
        let (profile, random) = (self.profile, &mut self.random);
        if !random.percent(profile.limit_percent) {
            return Limits::default();
        }
        let patience = Patience {
            wait_limit_ns: random.percent(30).then(|| random.up_to(6 * profile.run_ns_max)),
            backoff_ns: if random.percent(40) { random.up_to(profile.run_ns_max) } else { 0 },
            retry_lost: random.percent(70),
        };
        Limits {
            run_limit_ns: random.percent(60).then(|| random.up_to(profile.run_ns_max)),
            retry_limits: random.percent(60),
            patience: random.percent(70).then_some(patience),
            wait_at: None,
            wishes: if random.percent(30) { random.up_to(3) } else { 0 },
            ..Limits::default()
        }
    }

    /// Draws where a task has failed before it is added, and what is to follow.
    pub(super) fn draw_failed(&mut self, model: &mut Model) -> FailedBefore {
        let (random, profile) = (&mut self.random, self.profile);
        let on = WorkerId::new(random.below(self.workers.len() as u64) as u32);
        let retry = match random.below(4) {
            0 if profile.limit_percent > 0 => Retry::Elsewhere { not_on: on },
            1 if profile.limit_percent > 0 => Retry::Later { pause_ns: random.up_to(profile.run_ns_max) },
            _ => Retry::Again,
        };
        match retry {
            Retry::Elsewhere { .. } => model.limits.refused.push(on),
            Retry::Later { .. } => {}
            Retry::Again | Retry::Never => model.tried.push(on),
        }
        FailedBefore { times: model.failures, on, retry }
    }

    /// Notes until when a task pauses that has failed before it is added, if it waits for
    /// nothing else.
    pub(super) fn begin_pause(&mut self, task: TaskId, retry: Retry) {
        let model = self.book.task(task);
        let mut before = self.book.dependencies(task).into_iter().chain(model.ends.iter().copied());
        if before.any(|before| !self.book.task(before).has_ended()) {
            return;
        }
        match retry {
            Retry::Again => self.book.note_pause(self.now_ns, task),
            Retry::Later { pause_ns } => self.book.task_mut(task).limits.not_before_ns = self.now_ns + pause_ns,
            Retry::Never | Retry::Elsewhere { .. } => {}
        }
    }

    /// Notes when a task that is added now has waited for too long.
    pub(super) fn begin_waiting(&mut self, task: TaskId) {
        let now_ns = self.now_ns;
        let limits = &mut self.book.task_mut(task).limits;
        let limit_ns = limits.patience.and_then(|patience| patience.wait_limit_ns);
        limits.wait_at = limit_ns.map(|limit_ns| now_ns + limit_ns);
    }

    /// When an attempt ends that would run for so long, if it reaches its limit before;
    /// not at all, now and then.
    pub(super) fn draw_overrun(&mut self, task: TaskId, ran_ns: u64) -> Option<(u64, Option<u64>)> {
        let limit_ns = self.book.task(task).limits.run_limit_ns.filter(|limit_ns| *limit_ns <= ran_ns)?;
        let returns = (!self.random.percent(NEVER_PERCENT)).then(|| ran_ns + self.random.up_to(ran_ns));
        Some((limit_ns, returns))
    }

    /// An attempt of a worker has reached its limit.
    pub(super) fn overran(&mut self, worker: WorkerId, task: TaskId) {
        let state = &mut self.workers[worker.index()];
        if state.alive && state.running.contains(&task) {
            state.overrun.insert(task);
            self.report(worker, Report::Overran(worker, task));
        }
    }

    /// A worker says that an attempt has reached its limit.
    pub(super) fn told_of_overrun(&mut self, worker: WorkerId, task: TaskId) {
        if self.book.was_given_up(worker, task) {
            return;
        }
        self.left(worker, task);
        self.book.give_up(self.now_ns, worker, task, false);
        let retry = self.limit_reached(task);
        self.book.task_mut(task).tried.push(worker);
        let is_silent = self.random.percent(30);
        self.tell(Event::Overdue { worker, task, retry, is_silent });
    }

    fn limit_reached(&mut self, task: TaskId) -> Retry {
        self.book.tally.overruns += 1;
        let model = self.book.task_mut(task);
        model.failures += 1;
        model.limits.was_tried = true;
        let retry = if model.limits.retry_limits { Retry::Again } else { Retry::Never };
        self.book.note_pause(self.now_ns, task);
        retry
    }

    /// A group has reached its limit: its members leave it one by one.
    pub(super) fn group_overran(&mut self, task: TaskId, epoch: u64) {
        if self.parties.get(&task).is_none_or(|party| party.epoch != epoch || party.broken) {
            return;
        }
        let party = self.parties.remove(&task).expect("just seen");
        let living = |member: &&WorkerId| self.workers[member.index()].alive;
        let Some(&first) = party.members.iter().find(living) else { return };
        self.report(first, Report::GroupOverran(task, party.begun));
        for &member in &party.members {
            self.leaves_some_time(member, task);
        }
    }

    fn leaves_some_time(&mut self, member: WorkerId, task: TaskId) {
        if !self.random.percent(NEVER_PERCENT) {
            let leaves_ns = self.random.up_to(2 * self.profile.run_ns_max);
            self.after(leaves_ns, Happening::Leaves(member, task));
        }
    }

    /// A member leaves a group that was given up.
    pub(super) fn leaves(&mut self, member: WorkerId, task: TaskId) {
        let state = &mut self.workers[member.index()];
        if state.alive && state.group == Some(task) {
            state.group = None;
            self.report(member, Report::Left(member, task));
        }
    }

    /// The controller gives a group up, whose members are told so or know it.
    fn give_up_group(&mut self, task: TaskId, limit: Limit, retry: Retry) {
        let members = std::mem::take(&mut self.book.task_mut(task).on);
        let early = std::mem::take(&mut self.book.left_early);
        let (here, others): (Vec<_>, Vec<_>) = early.into_iter().partition(|(of, _)| *of == task);
        self.book.left_early = others;
        let early: BTreeSet<WorkerId> = here.into_iter().map(|(_, member)| member).collect();
        let living = members.into_iter().filter(|member| self.book.workers[member.index()].living);
        let (left, inside): (Vec<WorkerId>, Vec<WorkerId>) = living.partition(|member| early.contains(member));
        for member in left {
            self.book.workers[member.index()].group = None;
        }
        for &member in &inside {
            self.book.give_up(self.now_ns, member, task, true);
        }
        self.tell(Event::GroupOverdue { task, inside: &inside, limit, retry });
        if limit == Limit::Deadline {
            self.parties.remove(&task);
            for member in inside {
                self.send(member, ToWorker::Leave(task));
            }
        }
    }

    /// A member says that its group has reached its limit.
    pub(super) fn told_of_group_overrun(&mut self, task: TaskId, epoch: u64) {
        let model = self.book.task(task);
        if model.limits.epoch == epoch && !model.on.is_empty() {
            let retry = self.limit_reached(task);
            self.give_up_group(task, Limit::Run, retry);
        }
    }

    /// A member says that it has left a group that reached its limit.
    pub(super) fn told_of_leaving(&mut self, member: WorkerId, task: TaskId) {
        if !self.came_back(member, task) && self.book.task(task).on.contains(&member) {
            self.book.left_early.push((task, member));
        }
    }

    /// A worker is told to leave a group whose deadline has come.
    pub(super) fn told_to_leave(&mut self, member: WorkerId, task: TaskId) {
        match self.workers[member.index()].group == Some(task) {
            true => self.leaves_some_time(member, task),
            false => self.report(member, Report::Left(member, task)),
        }
    }

    /// A worker is told that it has a task whose deadline has come.
    pub(super) fn told_of_deadline(&mut self, worker: WorkerId, task: TaskId) {
        let state = &mut self.workers[worker.index()];
        if let Some(at) = state.queue.iter().position(|&queued| queued == task) {
            state.queue.remove(at);
            self.report(worker, Report::NotBegun(worker, task));
        }
    }

    /// Whether what a worker says is the return of an attempt that was given up.
    pub(super) fn came_back(&mut self, worker: WorkerId, task: TaskId) -> bool {
        if !self.book.was_given_up(worker, task) {
            return false;
        }
        self.book.given_up.retain(|given_up| (given_up.worker, given_up.task) != (worker, task));
        if !self.book.task(task).holders.contains(&worker) {
            self.workers[worker.index()].copies.remove(&task);
        }
        self.book.tally.came_back += 1;
        self.tell(Event::Back { worker, task });
        true
    }

    /// A deadline of some tasks, or of all, has come.
    pub(super) fn expire_some(&mut self) {
        let known: Vec<TaskId> = self.book.tasks.iter().filter(|model| !model.released).map(|model| model.id).collect();
        let count = if self.random.percent(5) { known.len() as u64 } else { self.random.up_to(8) };
        let any = |_| *self.random.pick(&known).expect("one was added just now");
        let mut tasks: Vec<TaskId> =
            if count == known.len() as u64 { known.clone() } else { (0..count).map(any).collect() };
        tasks.sort_unstable();
        tasks.dedup();
        let in_groups = |task: &TaskId| self.book.task(*task).collective && !self.book.task(*task).on.is_empty();
        let groups: Vec<TaskId> = tasks.iter().copied().filter(in_groups).collect();
        self.book.to_expire.clone_from(&tasks);
        self.tell(Event::Expire { tasks: &tasks });
        for &task in &groups {
            if !self.book.task(task).on.is_empty() {
                self.give_up_group(task, Limit::Deadline, Retry::Never);
            }
        }
        self.book.to_expire.clear();
        for task in tasks {
            assert!(self.book.task(task).has_ended(), "{task} goes on after its deadline");
        }
    }
}
