//! What must be true of each task, kept beside the scheduler and independent of it.

use super::super::actions::Whole;
use super::super::{Action, End, Settings};
use super::limits::{GivenUp, Limits};
use crate::id::{Origin, TaskId, WorkerId};
use crate::outcome::error::Limit;
use rustc_hash::FxHashMap;
use std::collections::BTreeSet;

/// A task as the simulation knows it.
#[derive(Debug)]
pub(super) struct Model {
    pub(super) id: TaskId,
    pub(super) inputs: Vec<TaskId>,
    /// Tasks whose ends are arguments, whichever.
    pub(super) ends: Vec<TaskId>,
    pub(super) after: Vec<TaskId>,
    pub(super) follow: Option<TaskId>,
    pub(super) ranks: u32,
    pub(super) collective: bool,
    pub(super) priority: i32,
    pub(super) retries: u32,
    pub(super) level: u32,
    pub(super) origin: Origin,
    /// So many first attempts fail.
    pub(super) failing: u32,
    /// A failure is final.
    pub(super) fatal: bool,
    pub(super) bytes: u64,
    pub(super) resident: bool,

    pub(super) is_value: bool,
    pub(super) handle: bool,
    /// It was cancelled while it was with a worker or a group.
    pub(super) is_cancelled: bool,
    pub(super) end: Option<End>,
    pub(super) released: bool,
    /// Attempts that count.
    pub(super) failures: u32,
    pub(super) tried: Vec<WorkerId>,
    /// Where it is in flight.
    pub(super) on: Vec<WorkerId>,
    pub(super) ran_on: Option<WorkerId>,
    pub(super) holders: BTreeSet<WorkerId>,
    /// When its last dependency ended.
    pub(super) ready_ns: u64,
    /// Groups that had started by then.
    pub(super) groups_before: u64,
    /// Tasks that had started by then, or by the time it had to wait again.
    pub(super) starts_before: u64,
    pub(super) limits: Limits,
}

impl Model {
    pub(super) fn ended_well(&self) -> bool {
        self.is_value || self.end == Some(End::Done)
    }

    pub(super) fn has_ended(&self) -> bool {
        self.is_value || self.end.is_some()
    }

    /// It may go to any worker, and nothing but its turn may keep it waiting.
    fn takes_turns(&self) -> bool {
        let has_wishes = self.collective || self.follow.is_some() || self.failures > 0;
        let was_elsewhere = !self.tried.is_empty() || !self.limits.refused.is_empty();
        !has_wishes && !was_elsewhere && self.limits.not_before_ns == 0
    }
}

/// The workers as the scheduler should see them.
#[derive(Debug)]
pub(super) struct Seen {
    pub(super) living: bool,
    pub(super) slots: u32,
    /// In flight, in the order of the starts.
    pub(super) in_flight: Vec<u32>,
    pub(super) group: Option<u32>,
    pub(super) asked: bool,
}

/// How often what was seen: proof that the runs meet what they are meant to test.
#[derive(Clone, Copy, Default, Debug)]
pub(super) struct Tally {
    pub(super) ends: [u64; 13],
    pub(super) starts: u64,
    pub(super) groups: u64,
    pub(super) retries: u64,
    pub(super) asked: u64,
    pub(super) returned: u64,
    /// Tasks that have started though one whose end they take has no value.
    pub(super) took_errors: u64,
    /// Cancelled tasks that their workers had not begun.
    pub(super) not_begun: u64,
    /// Cancelled tasks that were asked back before.
    pub(super) came_back_cancelled: u64,
    /// Attempts that reached their run limits.
    pub(super) overruns: u64,
    /// Attempts that returned after they were given up.
    pub(super) came_back: u64,
    /// Attempts whose workers wanted something else than another one.
    pub(super) wishes: u64,
    /// Turns of origins that had had one before.
    pub(super) turns: u64,
}

impl std::ops::AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        self.ends.iter_mut().zip(other.ends).for_each(|(sum, count)| *sum += count);
        self.starts += other.starts;
        self.groups += other.groups;
        self.retries += other.retries;
        self.asked += other.asked;
        self.returned += other.returned;
        self.took_errors += other.took_errors;
        self.not_begun += other.not_begun;
        self.came_back_cancelled += other.came_back_cancelled;
        self.overruns += other.overruns;
        self.came_back += other.came_back;
        self.wishes += other.wishes;
        self.turns += other.turns;
    }
}

/// All tasks by serial, all workers by index.
#[derive(Debug, Default)]
pub(super) struct Book {
    pub(super) tasks: Vec<Model>,
    pub(super) workers: Vec<Seen>,
    pub(super) losses: bool,
    pub(super) tally: Tally,
    /// Longest that a wide task may wait for its workers once it is the first, 0 if not
    /// known.
    pub(super) wide_wait_ns_max: u64,
    /// Tasks that are being cancelled: those that wait end in this very event.
    pub(super) to_cancel: Vec<TaskId>,
    /// The same of tasks whose deadline has come.
    pub(super) to_expire: Vec<TaskId>,
    pub(super) given_up: Vec<GivenUp>,
    /// Members that have left a group of which it is not known yet that it is given up.
    pub(super) left_early: Vec<(TaskId, WorkerId)>,
    pub(super) stuck_grace_ns: u64,
    /// Tasks have limits.
    pub(super) has_limits: bool,
    /// By origin, how many tasks had started when the last one of it did: the last that
    /// takes turns, and the last of all.
    pub(super) turns: FxHashMap<Origin, (u64, u64)>,
}

impl Book {
    pub(super) fn task(&self, id: TaskId) -> &Model {
        let model = &self.tasks[id.serial() as usize - 1];
        assert_eq!(model.id, id, "the id is whole");
        model
    }

    pub(super) fn task_mut(&mut self, id: TaskId) -> &mut Model {
        &mut self.tasks[id.serial() as usize - 1]
    }

    pub(super) fn living(&self) -> usize {
        self.workers.iter().filter(|worker| worker.living).count()
    }

    /// Those whose values a task needs.
    pub(super) fn dependencies(&self, id: TaskId) -> Vec<TaskId> {
        let model = self.task(id);
        model.inputs.iter().chain(&model.after).chain(&model.follow).copied().collect()
    }

    /// Checks one action against all rules, and notes it.
    pub(super) fn take(&mut self, now_ns: u64, action: &Whole) {
        match action {
            Action::Start { task, worker, attempt } => self.start(now_ns, *task, *worker, *attempt),
            Action::SetAside { task, worker } => self.set_aside(now_ns, *worker, *task),
            Action::StartGroup { task, workers, attempt } => self.start_group(now_ns, *task, workers, *attempt),
            Action::TakeBack { worker, tasks } => self.take_back(*worker, tasks),
            Action::Cancel { task, workers } => self.asked_to_cancel(*task, workers),
            Action::Ended { task, end } => self.ended(now_ns, *task, *end),
            Action::Release { task, holders } => self.release(*task, holders),
        }
    }

    fn may_start(&self, now_ns: u64, task: TaskId, attempt: u32) {
        let model = self.task(task);
        assert!(now_ns >= model.limits.not_before_ns, "{task} starts within its pause");
        assert!(!model.has_ended(), "{task} starts after its end");
        assert!(!model.is_cancelled, "{task} starts after it was cancelled");
        assert!(model.on.is_empty(), "{task} starts twice");
        assert_eq!(attempt, model.failures + 1, "attempt of {task}");
        assert!(attempt <= model.retries + 1, "too many attempts of {task}");
        for before in self.dependencies(task) {
            assert!(self.task(before).ended_well(), "{task} starts before {before}");
            assert!(!model.inputs.contains(&before) || !self.task(before).released, "{task} needs {before}");
        }
        for &before in &model.ends {
            assert!(self.task(before).has_ended(), "{task} starts before the end of {before}");
            assert!(!self.task(before).released, "{task} takes the end of {before}");
        }
    }

    fn start(&mut self, now_ns: u64, task: TaskId, worker: WorkerId, attempt: u32) {
        self.may_start(now_ns, task, attempt);
        let (model, seen) = (self.task(task), &self.workers[worker.index()]);
        assert!(!model.collective, "{task} needs a group");
        assert!(seen.living && seen.group.is_none(), "{worker} can take tasks");
        assert!(!self.is_barred(model, worker), "{task} can run on {worker}");
        assert!(
            seen.in_flight.len() < (seen.slots + seen.slots * Settings::default().prefetch_tasks_max) as usize,
            "{worker} is given too much"
        );
        if let Some(leader) = self.leader(task) {
            assert_eq!(leader, worker, "{task} follows");
        } else if model.tried.contains(&worker) {
            let may_try = |worker| !model.tried.contains(&worker) && !self.is_barred(model, worker);
            let untried = (0..).map(WorkerId::new).zip(&self.workers).find(|(w, seen)| seen.living && may_try(*w));
            assert!(untried.is_none(), "{task} goes to {worker} again, {untried:?} has not tried it");
        }
        self.check_turn(task);
        let took_error = self.task(task).ends.iter().any(|&before| !self.task(before).ended_well());
        self.tally.took_errors += u64::from(took_error);
        self.tally.starts += 1;
        self.tally.retries += u64::from(attempt > 1);
        self.workers[worker.index()].in_flight.push(task.serial());
        self.task_mut(task).on = vec![worker];
    }

    /// No origin has its turn twice while a task of another one waits that is as urgent.
    fn check_turn(&mut self, task: TaskId) {
        let model = self.task(task);
        let (origin, priority, takes_turns) = (model.origin, model.priority, model.takes_turns());
        if takes_turns && let Some(&(last, _)) = self.turns.get(&origin) {
            let is_passed = |other: &&Model| {
                other.origin != origin
                    && other.priority >= priority
                    && other.starts_before < last
                    && self.turns.get(&other.origin).is_none_or(|(_, any)| *any < last)
                    && other.takes_turns()
                    && !other.has_ended()
                    && other.on.is_empty()
                    && self.dependencies(other.id).iter().all(|before| self.task(*before).ended_well())
                    && other.ends.iter().all(|before| self.task(*before).has_ended())
            };
            if let Some(passed) = self.tasks.iter().find(is_passed) {
                panic!("{task} of {origin:?} starts before {} of {:?}", passed.id, passed.origin);
            }
            self.tally.turns += u64::from(self.turns.len() > 1);
        }
        self.had_turn(origin, takes_turns);
    }

    fn had_turn(&mut self, origin: Origin, takes_turns: bool) {
        let starts = self.tally.starts;
        let (last, any) = self.turns.entry(origin).or_default();
        (*last, *any) = (if takes_turns { starts } else { *last }, starts);
    }

    /// The worker that a task has to run on.
    fn leader(&self, task: TaskId) -> Option<WorkerId> {
        self.task(self.task(task).follow?).ran_on
    }

    fn start_group(&mut self, now_ns: u64, task: TaskId, workers: &[WorkerId], attempt: u32) {
        self.may_start(now_ns, task, attempt);
        let model = self.task(task);
        assert!(model.collective && workers.len() == model.ranks as usize, "{task} gets its ranks");
        assert_eq!(workers.iter().collect::<BTreeSet<_>>().len(), workers.len(), "ranks of {task} are distinct");
        assert!(workers[1..].is_sorted(), "the order of ranks is deterministic");
        if let Some(leader) = self.leader(task) {
            assert_eq!(leader, workers[0], "{task} follows");
        }
        for worker in workers {
            let seen = &self.workers[worker.index()];
            assert!(seen.living && seen.group.is_none() && seen.in_flight.is_empty(), "{worker} is free for {task}");
            let is_aside = self.given_up.iter().any(|given_up| given_up.worker == *worker);
            assert!(!is_aside && !self.is_barred(model, *worker), "{worker} can be of the group of {task}");
        }
        let groups = self.tally.groups - model.groups_before + 1;
        let waited_ns = now_ns - model.ready_ns;
        let starved = self.wide_wait_ns_max > 0 && model.failures == 0 && waited_ns > groups * self.wide_wait_ns_max;
        assert!(!starved, "{task} waited {waited_ns} ns for its group behind {groups} groups");
        self.tally.groups += 1;
        for worker in workers {
            self.workers[worker.index()].group = Some(task.serial());
        }
        self.task_mut(task).on = workers.to_vec();
    }

    fn take_back(&mut self, worker: WorkerId, tasks: &[TaskId]) {
        let slots = self.slots_left(worker);
        let seen = &mut self.workers[worker.index()];
        assert!(seen.living && !seen.asked && !tasks.is_empty(), "{worker} can be asked");
        seen.asked = true;
        self.tally.asked += tasks.len() as u64;
        let at = tasks.iter().map(|task| seen.in_flight.iter().position(|&serial| serial == task.serial()));
        let at: Vec<usize> = at.map(|index| index.expect("asked for what is in flight")).collect();
        assert!(at.is_sorted() && at[0] >= slots as usize, "the begun ones are not asked for: {at:?}");
    }

    fn asked_to_cancel(&mut self, task: TaskId, workers: &[WorkerId]) {
        let model = self.task(task);
        assert!(!model.has_ended() && !model.is_cancelled, "{task} is cancelled once");
        let living = model.on.iter().copied().filter(|worker| self.workers[worker.index()].living);
        assert_eq!(living.collect::<Vec<_>>(), workers, "{task} is with them");
        self.task_mut(task).is_cancelled = true;
    }

    fn ended(&mut self, now_ns: u64, task: TaskId, end: End) {
        let model = self.task(task);
        assert!(!model.is_value && model.end.is_none() && !model.released, "{task} ends once");
        let may_be = !model.is_cancelled || matches!(end, End::Done | End::Cancelled);
        assert!(may_be, "{task} was cancelled, and ends as {end:?}");
        match end {
            End::Done => assert!(model.failing < model.retries.saturating_add(1), "{task} cannot succeed"),
            End::Failed => assert!(model.fatal || model.failures == model.retries + 1, "{task} has attempts left"),
            End::Upstream { via } => {
                assert!(self.dependencies(task).contains(&via), "{via} is a parent of {task}");
                assert!(self.task(via).has_ended() && !self.task(via).ended_well(), "{via} has no value");
                assert!(!self.task(via).released, "{via} is named before it goes");
            }
            End::WorkerLost { worker } => assert!(!self.workers[worker.index()].living, "{worker} is lost"),
            End::ValueLost { value } => {
                let lost = self.task(value);
                assert!(lost.resident && lost.holders.iter().all(|holder| !self.workers[holder.index()].living));
                assert!(model.inputs.contains(&value) || model.ends.contains(&value));
            }
            End::Infeasible => assert!(self.losses && model.ranks as usize > self.living(), "{task} can run"),
            End::Cancelled => {
                assert!(model.is_cancelled || self.to_cancel.contains(&task), "nobody has cancelled {task}");
            }
            End::LimitReached { limit: Limit::Run } => {
                assert!(model.limits.run_limit_ns.is_some(), "{task} has no run limit");
                let is_last = !model.limits.retry_limits || model.failures == model.retries + 1;
                assert!(is_last && model.limits.was_tried, "{task} has attempts left");
            }
            End::LimitReached { limit: Limit::Wait } => {
                assert!(model.limits.wait_at.is_some_and(|at_ns| at_ns <= now_ns), "{task} may wait on");
                assert!(!model.limits.was_tried, "{task} has had its first attempt");
            }
            End::LimitReached { limit: Limit::Deadline } => {
                assert!(self.to_expire.contains(&task), "{task} has time left");
            }
            End::Stuck { worker } => {
                let old = |given_up: &GivenUp| given_up.since_ns + self.stuck_grace_ns <= now_ns;
                let is_stuck = |given_up: &GivenUp| given_up.worker == worker && old(given_up);
                assert!(self.given_up.iter().any(is_stuck), "{worker} is not stuck");
                let possible = self.possible(model, now_ns, self.stuck_grace_ns);
                let must_be_here = self.leader(task) == Some(worker);
                assert!(must_be_here || possible < model.ranks as usize, "{task} can run elsewhere");
            }
            End::Nowhere => {
                let refused = |worker: WorkerId| model.limits.refused.contains(&worker);
                let living = (0..).map(WorkerId::new).zip(&self.workers).filter(|(_, seen)| seen.living);
                let left = living.filter(|(worker, _)| !refused(*worker)).count();
                let only = self.leader(task);
                assert!(only.is_some_and(refused) || left < model.ranks as usize, "{task} can run elsewhere");
            }
            End::Stalled => {
                let waits = model.ends.iter().any(|&before| !self.task(before).has_ended());
                let blocked = waits || self.dependencies(task).iter().any(|&before| !self.task(before).ended_well());
                let possible = self.possible(model, now_ns, self.stuck_grace_ns);
                assert!(blocked || model.ranks as usize > possible, "{task} could have run");
            }
        }
        if let End::ValueLost { .. } = end {
            // That may be seen when it is about to start.
            self.had_turn(self.task(task).origin, false);
        }
        self.tally.ends[kind_of(end)] += 1;
        self.task_mut(task).end = Some(end);
        self.note_ready(now_ns, task);
    }

    /// A task is with a worker no more, and waits unless it has ended.
    pub(super) fn waits_again(&mut self, task: TaskId) {
        let starts = self.tally.starts;
        let model = self.task_mut(task);
        model.on.clear();
        model.starts_before = starts;
    }

    /// Notes when the dependents of a task became ready.
    fn note_ready(&mut self, now_ns: u64, task: TaskId) {
        for at in 0..self.tasks.len() {
            let id = self.tasks[at].id;
            if self.dependencies(id).contains(&task) || self.tasks[at].ends.contains(&task) {
                let model = &mut self.tasks[at];
                (model.ready_ns, model.groups_before) = (now_ns, self.tally.groups);
                model.starts_before = self.tally.starts;
            }
        }
    }

    fn release(&mut self, task: TaskId, holders: &[WorkerId]) {
        let model = self.task(task);
        assert!(model.has_ended() && !model.handle && !model.released, "{task} is released once");
        let living = model.holders.iter().copied().filter(|holder| self.workers[holder.index()].living);
        assert_eq!(living.collect::<Vec<_>>(), holders, "holders of {task}");
        let takes = |other: &Model| other.inputs.contains(&task) || other.ends.contains(&task);
        let needed = self.tasks.iter().find(|other| !other.has_ended() && takes(other));
        assert!(needed.is_none(), "{task} is released, {needed:?} needs it");
        self.task_mut(task).released = true;
    }

    /// Checks what must hold when nothing happens any more.
    pub(super) fn at_the_end(&self) {
        for model in &self.tasks {
            assert!(model.has_ended(), "{} has ended", model.id);
            assert!(model.released || !self.given_up.is_empty(), "{} is released", model.id);
            if !self.losses
                && !self.has_limits
                && model.end.is_some_and(|end| !matches!(end, End::Stalled | End::Cancelled))
            {
                assert_eq!(model.end.map(|end| end == End::Done), Some(self.should_succeed(model)), "{model:?}");
            }
        }
    }

    fn should_succeed(&self, model: &Model) -> bool {
        let lasts = model.failing == 0 || (!model.fatal && model.failing <= model.retries);
        lasts && self.dependencies(model.id).iter().all(|&before| self.task(before).ended_well())
    }
}

/// The index of a kind of end in [`Tally::ends`].
fn kind_of(end: End) -> usize {
    match end {
        End::Done => 0,
        End::Failed => 1,
        End::Upstream { .. } => 2,
        End::WorkerLost { .. } => 3,
        End::ValueLost { .. } => 4,
        End::Infeasible => 5,
        End::Stalled => 6,
        End::Cancelled => 7,
        End::LimitReached { limit: Limit::Run } => 8,
        End::LimitReached { limit: Limit::Wait } => 9,
        End::LimitReached { limit: Limit::Deadline } => 10,
        End::Stuck { .. } => 11,
        End::Nowhere => 12,
    }
}
