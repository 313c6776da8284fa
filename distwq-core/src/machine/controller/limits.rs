//! Limits in time: what tasks ask for, deadlines, and the attempts that were given up
//! because they had reached a limit. Those run until their function returns: what they
//! give is dropped then, and their worker gets tasks again.

use super::Controller;
use super::input::{Awaited, Terms};
use super::outbox::Outbox;
use super::retry::what_follows;
use super::status::SHOWN_MAX;
use super::table::RanOn;
use super::workers::{Workers, unknown};
use crate::codec::CodecError;
use crate::function::remote::Failure;
use crate::id::{GraphRunId, TaskId, WorkerId};
use crate::machine::Ns;
use crate::machine::scheduler::{Event, Retry};
use crate::outcome::error::Limit;
use crate::wire::members::Members;
use crate::wire::message::ToWorker;
use rustc_hash::FxHashMap;
use std::collections::{BTreeMap, BTreeSet};

/// The tasks of one deadline.
#[derive(Default, Debug)]
struct OfDeadline {
    tasks: Vec<TaskId>,
    /// With so many, those that have ended are taken out.
    full: usize,
}

/// So many tasks of a deadline are kept before those that have ended are looked for.
const FULL_MIN: usize = 1 << 10;

/// What a task asks for, and what is done about its run limit here: its worker looks
/// after that, but a worker may be unable to.
#[derive(Debug)]
struct OfTask {
    terms: Terms,
    look_at: Option<Ns>,
    /// Its attempt had begun when it was looked at last.
    had_begun: bool,
}

/// All that is limited.
#[derive(Default, Debug)]
pub(super) struct Limits {
    /// What few tasks ask for, until they end.
    terms: FxHashMap<TaskId, OfTask>,
    /// When to look whether workers are silent that run these tasks.
    looks: BTreeSet<(Ns, TaskId)>,
    deadlines: BTreeMap<Ns, OfDeadline>,
    /// The end of the time of the whole run.
    time_limit: Option<Ns>,
    /// Attempts that go on, with the names of their tasks, which may be gone.
    given_up: FxHashMap<(WorkerId, TaskId), String>,
}

impl Limits {
    /// Notes what a task asks for, until it ends.
    pub(super) fn note(&mut self, task: TaskId, terms: Terms) {
        self.terms.insert(task, OfTask { terms, look_at: None, had_begun: false });
    }

    /// What a task asks for.
    pub(super) fn terms(&self, task: TaskId) -> Terms {
        self.terms.get(&task).map_or(Terms::NONE, |of_task| of_task.terms)
    }

    /// For how long an attempt of a task may run.
    #[inline]
    pub(super) fn run_limit_ns(&self, task: TaskId) -> Option<Ns> {
        if self.terms.is_empty() { None } else { self.terms(task).run_limit_ns }
    }

    /// A task has ended.
    pub(super) fn ended(&mut self, task: TaskId) {
        if let Some(OfTask { look_at: Some(at), .. }) = self.terms.remove(&task) {
            self.looks.remove(&(at, task));
        }
    }

    /// A task with a run limit was sent to its worker, or entered its group, or was
    /// looked at: it is looked at again at this time.
    pub(super) fn look(&mut self, task: TaskId, at: Ns, has_begun: bool) {
        let Some(of_task) = self.terms.get_mut(&task) else { return };
        of_task.had_begun = has_begun;
        if let Some(before) = of_task.look_at.replace(at) {
            self.looks.remove(&(before, task));
        }
        self.looks.insert((at, task));
    }

    fn take_look(&mut self, now: Ns) -> Option<(TaskId, bool)> {
        let &(at, task) = self.looks.first().filter(|(at, _)| *at <= now)?;
        self.looks.remove(&(at, task));
        let of_task = self.terms.get_mut(&task)?;
        of_task.look_at = None;
        Some((task, of_task.had_begun))
    }

    /// Whether attempts go on that were given up.
    #[inline]
    pub(super) fn has_given_up(&self) -> bool {
        !self.given_up.is_empty()
    }

    /// Whether this attempt was given up.
    pub(super) fn was_given_up(&self, worker: WorkerId, task: TaskId) -> bool {
        self.given_up.contains_key(&(worker, task))
    }

    /// The names of the tasks whose attempts go on at a worker.
    pub(super) fn given_up_at(&self, worker: WorkerId) -> impl Iterator<Item = &String> {
        self.given_up.iter().filter(move |((at, _), _)| *at == worker).map(|(_, name)| name)
    }

    /// All attempts that go on, in words.
    pub(super) fn describe(&self, workers: &Workers) -> String {
        let mut all: Vec<_> = self.given_up.iter().collect();
        all.sort();
        let words = all.iter().take(SHOWN_MAX).map(|((worker, _), name)| {
            format!("{} has not returned from {name}, which has reached its limit", workers.get(*worker))
        });
        let mut words = words.collect::<Vec<_>>().join(", ");
        if let Some(more @ 1..) = all.len().checked_sub(SHOWN_MAX) {
            words += &format!(", and {more} more like that");
        }
        words
    }

    /// When something is due next.
    pub(super) fn next_ns(&self) -> Option<Ns> {
        let deadline = self.deadlines.keys().next().copied();
        let look = self.looks.first().map(|(at, _)| *at);
        deadline.into_iter().chain(look).chain(self.time_limit).min()
    }

    fn take_due(&mut self, now: Ns) -> Option<Vec<TaskId>> {
        let first = self.deadlines.first_entry().filter(|first| *first.key() <= now)?;
        Some(first.remove().tasks)
    }

    /// How many tasks ask for something, and how many attempts go on.
    #[cfg(any(test, feature = "simulation"))]
    pub(super) fn counts(&self) -> (usize, usize) {
        (self.terms.len(), self.given_up.len())
    }
}

impl Controller {
    /// These tasks have to end by this time.
    pub(super) fn deadline(&mut self, tasks: &[TaskId], at: Ns, out: &mut Outbox) {
        if at <= self.now {
            return self.expire(tasks, out);
        }
        let of_deadline = self.limits.deadlines.entry(at).or_default();
        of_deadline.tasks.extend_from_slice(tasks);
        if of_deadline.tasks.len() >= of_deadline.full.max(FULL_MIN) {
            let table = &self.table;
            of_deadline.tasks.retain(|task| table.is_pending(*task));
            of_deadline.full = 2 * of_deadline.tasks.len();
        }
    }

    /// All tasks of a graph that have not ended have to end by this time.
    pub(super) fn graph_deadline(&mut self, graph_run: GraphRunId, at: Ns, out: &mut Outbox) {
        if at > self.now {
            self.graph_runs.limit(graph_run, at);
        } else {
            self.expire_graph(graph_run, out);
        }
    }

    fn expire_graph(&mut self, graph_run: GraphRunId, out: &mut Outbox) {
        let tasks = self.table.pending_of_graph(graph_run);
        self.expire(&tasks, out);
    }

    /// All tasks have to end by this time, and those that come later at once.
    pub(super) fn time_limit(&mut self, at: Ns) {
        self.limits.time_limit = Some(at);
    }

    /// Ends what has reached its deadline.
    pub(super) fn do_due(&mut self, out: &mut Outbox) {
        let pending = self.pending();
        self.look_at_silent(out);
        self.note_drained(pending, out);
        // Those that have come by now are one.
        self.end_together(out, |this, out| {
            while let Some(tasks) = this.limits.take_due(this.now) {
                this.expire(&tasks, out);
            }
            while let Some(graph_run) = this.graph_runs.take_due(this.now) {
                this.expire_graph(graph_run, out);
            }
        });
        if self.limits.time_limit.is_some_and(|at| at <= self.now) {
            self.limits.time_limit = None;
            self.time_is_over();
            let tasks = self.table.pending(|_| true);
            self.expire(&tasks, out);
        }
    }

    /// An attempt with a run limit starts, or was found not to have reached it: it is
    /// looked at after that limit and the grace, by when its worker should have said
    /// something.
    pub(super) fn look_later(&mut self, task: TaskId, limit_ns: Ns, has_begun: bool) {
        let at = self.now.saturating_add(limit_ns).saturating_add(self.settings.stuck_grace_ns);
        self.limits.look(task, at, has_begun);
    }

    /// Looks at attempts whose workers have been silent for so long. When one begins is
    /// not known here: it is given up if it had begun at the last look.
    fn look_at_silent(&mut self, out: &mut Outbox) {
        while let Some((task, had_begun)) = self.limits.take_look(self.now) {
            let Some(limit_ns) = self.limits.run_limit_ns(task) else { continue };
            let single = match self.table.get(task).map(|entry| &entry.ran_on) {
                Some(&RanOn::Single(worker)) if self.scheduler.is_in_flight_on(worker, task) => Some(worker),
                _ => None,
            };
            let by = single.or_else(|| self.groups.first_member(task));
            // Otherwise it has not started, or has paused since.
            let Some(by) = by else { continue };
            let has_begun = self.scheduler.has_begun(task) && (single.is_some() || self.groups.has_entered(task));
            if !(had_begun && has_begun) {
                self.look_later(task, limit_ns, has_begun);
                continue;
            }
            let failure = Failure::Limit { limit_ns };
            match single {
                None => self.give_up_group(task, by, Limit::Run, &failure, out),
                Some(worker) => {
                    self.note_given_up(task, worker);
                    self.cancelled.to_tell.push((worker, task));
                    let retry = self.retry_after(task, &failure, worker);
                    self.note_to_scheduler(Event::Overdue { worker, task, retry, is_silent: true });
                    self.attempt_failed(task, worker, &failure, out);
                }
            }
            self.tell_who_has_them(out);
        }
    }

    /// The deadline of these tasks has come.
    pub(super) fn expire(&mut self, tasks: &[TaskId], out: &mut Outbox) {
        if self.is_over() {
            return;
        }
        self.end_together(out, |this, out| {
            this.tell_scheduler(Event::Expire { tasks }, out);
            for &task in tasks {
                if let Some(first) = this.groups.first_member(task) {
                    let failure = Failure::Group("the deadline of the task has come".to_owned());
                    this.give_up_group(task, first, Limit::Deadline, &failure, out);
                }
            }
            this.tell_who_has_them(out);
        });
    }

    /// Ends several tasks. Graphs whose others are to be cancelled for one of them come
    /// after all.
    fn end_together(&mut self, out: &mut Outbox, end: impl FnOnce(&mut Self, &mut Outbox)) {
        let pending = self.pending();
        let held = self.graph_runs.hold();
        end(self, out);
        self.graph_runs.release(held);
        if self.graph_runs.has_failed() {
            self.cancel_failed_graphs(out);
        }
        self.note_drained(pending, out);
    }

    /// A task goes on without its attempt at a worker.
    pub(super) fn note_given_up(&mut self, task: TaskId, worker: WorkerId) {
        let name = self.table.get(task).map_or_else(|| task.to_string(), super::table::Entry::full_name);
        self.limits.given_up.insert((worker, task), name);
    }

    /// What is to follow an attempt that has failed.
    pub(super) fn retry_after(&self, task: TaskId, failure: &Failure, worker: WorkerId) -> Retry {
        what_follows(failure, self.limits.terms(task).retry_on, worker)
    }

    /// A worker says that an attempt has reached its run limit, and goes on.
    ///
    /// # Errors
    /// If it was not given that task, or neither the task has a limit nor `failure` says
    /// why it ends.
    pub(super) fn overran(
        &mut self,
        worker: WorkerId,
        task: TaskId,
        (started_ns, failure): (Ns, Option<&str>),
        out: &mut Outbox,
    ) -> Result<(), CodecError> {
        if self.is_over() || self.limits.was_given_up(worker, task) {
            // It has crossed what the worker is told.
            return Ok(());
        }
        let has_no_state = failure.is_some();
        let (failure, ran_ns) = match failure {
            Some(text) => (Failure::Init(self.init_failure().unwrap_or(text).to_owned()), 0),
            None => {
                let limit_ns = self.limits.run_limit_ns(task).ok_or_else(|| unknown(task))?;
                (Failure::Limit { limit_ns }, limit_ns)
            }
        };
        if let Some(entry) = self.table.get_mut(task) {
            (entry.started_ns, entry.finished_ns) = (started_ns, started_ns.saturating_add(ran_ns));
        }
        if self.groups.contains(task) {
            self.give_up_group(task, worker, Limit::Run, &failure, out);
            self.tell_who_has_them(out);
        } else {
            self.note_given_up(task, worker);
            let retry = self.retry_after(task, &failure, worker);
            self.report_to_scheduler(&[task], Event::Overdue { worker, task, retry, is_silent: false })?;
            self.attempt_failed(task, worker, &failure, out);
        }
        if has_no_state {
            self.has_no_state(out);
        }
        Ok(())
    }

    /// The task of a group goes on without it. Its members are told to leave, and that
    /// they are not wanted any more.
    fn give_up_group(&mut self, task: TaskId, by: WorkerId, limit: Limit, failure: &Failure, out: &mut Outbox) {
        let Some(inside) = self.groups.give_up(task, by, failure, out) else { return };
        for &member in &inside {
            self.note_given_up(task, member);
            self.cancelled.to_tell.push((member, task));
        }
        let retry = match limit {
            Limit::Run => self.retry_after(task, failure, by),
            _ => Retry::Never,
        };
        self.note_to_scheduler(Event::GroupOverdue { task, inside: &inside, limit, retry });
        self.attempt_failed(task, by, failure, out);
    }

    /// If an attempt was given up that a worker answers now, drops what it has given, and
    /// gives the worker tasks again. `raw`: it has used the raw communicator of its
    /// group; `keeps`: its output stayed there. False if it is an attempt like any other.
    pub(super) fn came_back(
        &mut self,
        worker: WorkerId,
        task: TaskId,
        (raw, keeps): (bool, bool),
        out: &mut Outbox,
    ) -> bool {
        if self.limits.given_up.remove(&(worker, task)).is_none() {
            return false;
        }
        self.note_returned(out);
        if keeps {
            out.post(worker, &ToWorker::Forget { values: vec![task] });
        }
        out.post(worker, &ToWorker::CancelOver { tasks: vec![task] });
        // Not in one frame with a large payload: overtaken, it would reach the next
        // attempt.
        out.flush_to(worker);
        self.member_back(worker, raw, out);
        self.tell_scheduler(Event::Back { worker, task }, out);
        true
    }

    /// Tells who waits for all tasks, those past their limits included, if none is left.
    fn note_returned(&self, out: &mut Outbox) {
        if !self.is_running() {
            out.happened.note(Awaited::Drained);
        }
    }

    /// A member of a group that was given up has left it, or is lost. When all have left,
    /// the raw communicator that they have used goes.
    pub(super) fn member_back(&mut self, worker: WorkerId, raw: bool, out: &mut Outbox) {
        let Some(left) = self.groups.came_back(worker, raw) else { return };
        if let Some(members) = self.groups.used_communicator(&left) {
            self.free_communicator(&members, out);
        }
    }

    /// All members are to free their raw communicator.
    pub(super) fn free_communicator(&self, members: &[WorkerId], out: &mut Outbox) {
        let encoded = Members::of(self.workers.ranks(members)).encoded();
        for member in members {
            out.post(*member, &ToWorker::FreeGroup { members: &encoded });
            // Not in one frame with a large payload, which later ones may overtake.
            out.flush_to(*member);
        }
    }

    /// A lost worker has nothing that could return. Gives the tasks of which it had
    /// attempts that were given up.
    pub(super) fn lose_given_up(&mut self, worker: WorkerId, out: &mut Outbox) -> Vec<TaskId> {
        let lost: Vec<TaskId> =
            self.limits.given_up.keys().filter(|(at, _)| *at == worker).map(|(_, task)| *task).collect();
        self.limits.given_up.retain(|(at, _), _| *at != worker);
        if !lost.is_empty() {
            self.note_returned(out);
        }
        self.member_back(worker, false, out);
        lost
    }

    /// After the end of the run such attempts of a lost worker hold no values any more.
    /// Nothing starts again for that.
    pub(super) fn forget_given_up(&mut self, worker: WorkerId, tasks: &[TaskId], out: &mut Outbox) {
        self.note_to_scheduler(Event::Hold);
        for &task in tasks {
            self.tell_scheduler(Event::Back { worker, task }, out);
        }
    }

    /// Whether something is due at a time for tasks that have not ended.
    pub(crate) fn waits_for_time(&self) -> bool {
        let is_due = || self.limits.next_ns().or(self.graph_runs.next_due()).is_some();
        self.pending() > 0 && (self.scheduler.has_due() || is_due())
    }
}
