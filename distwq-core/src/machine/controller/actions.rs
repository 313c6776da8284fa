//! What the scheduler is told, and how what it decides is carried out.

use super::dispatch::{Start, Whereabouts};
use super::ends::{self, Cause};
use super::outbox::Outbox;
use super::table::{Ended, RanOn};
use super::{Awaited, Controller};
use crate::codec::{CodecError, Payload};
use crate::id::{TaskId, WorkerId};
use crate::machine::Notice;
use crate::machine::scheduler::{self, Action, Event, Stall, TaskList, WorkerList};
use crate::outcome::error::Limit;
use crate::outcome::info::TaskState;
use crate::wire::message::ToWorker;

impl Controller {
    /// Tells who waits for the end of all tasks, of which there were so many before, or
    /// for that of some.
    pub(super) fn note_drained(&mut self, before: usize, out: &mut Outbox) {
        self.note_room(out);
        if before > 0 && self.pending() == 0 {
            out.happened.note(Awaited::Drained);
        }
    }

    /// Ends all that waits for what cannot come, saying who waits for what.
    pub(super) fn give_up(&mut self, stall: &Stall, out: &mut Outbox) {
        let message = self.describe_stall(stall);
        out.notices.note(|| Notice::Stalled { waits: message.clone() });
        self.note_to_scheduler(Event::GiveUp);
        self.carry_out_all(&Cause::Stall(&message), out);
    }

    /// Passes an event on and carries out what follows. Events that follow from that come
    /// after it.
    #[inline(always)]
    pub(super) fn tell_scheduler(&mut self, event: Event<'_>, out: &mut Outbox) {
        self.note_to_scheduler(event);
        self.carry_out(out);
    }

    /// Passes an event on; the caller sees to it that what follows is carried out soon.
    #[inline(always)]
    pub(super) fn note_to_scheduler(&mut self, event: Event<'_>) {
        let fits = self.scheduler.handle(self.now, event, &mut self.actions);
        debug_assert!(fits, "the controller keeps to the calling order");
    }

    /// The same with what a worker has said of these tasks.
    ///
    /// # Errors
    /// If it does not fit what the worker was given: what it says next could not be
    /// trusted.
    #[inline(always)]
    pub(super) fn report_to_scheduler(&mut self, tasks: &[TaskId], event: Event<'_>) -> Result<(), CodecError> {
        if self.scheduler.handle(self.now, event, &mut self.actions) { Ok(()) } else { Err(misfit(tasks)) }
    }

    /// Carries out all actions, in order, those included that follow from them.
    #[inline]
    pub(super) fn carry_out(&mut self, out: &mut Outbox) {
        if !self.actions.is_empty() {
            self.carry_out_all(&Cause::Known, out);
        }
    }

    /// The same; `cause` says of tasks that end what the scheduler cannot.
    pub(super) fn carry_out_all(&mut self, cause: &Cause<'_>, out: &mut Outbox) {
        self.carry_out_actions(cause, out);
        if self.graph_runs.has_failed() {
            self.cancel_failed_graphs(out);
        }
    }

    pub(super) fn carry_out_actions(&mut self, cause: &Cause<'_>, out: &mut Outbox) {
        // The scheduler is not entered from here but for copies, which lead to no
        // actions.
        while let Some(action) = self.actions.take_next() {
            match *action {
                Action::Start { task, worker, attempt } => self.start(task, worker, attempt, out),
                // Settled when its output came.
                Action::Ended { end: scheduler::End::Done, .. } => {}
                Action::Release { task, holders } => {
                    if !holders.is_empty() {
                        self.forget_at(task, holders, out);
                    }
                    self.table.remove(task);
                }
                Action::StartGroup { task, workers, attempt } => {
                    let members = self.actions.workers(workers).into();
                    self.start_group(task, members, attempt, out);
                }
                Action::TakeBack { worker, tasks } => self.take_back(worker, tasks, out),
                Action::Cancel { task, workers } => self.has_cancelled(task, workers, out),
                Action::SetAside { task, worker } => {
                    self.note_given_up(task, worker);
                    self.cancelled.to_tell.push((worker, task));
                }
                Action::Ended { task, end } => self.end_without_value(task, end, cause, out),
            }
        }
    }

    /// Asks a worker for tasks that it may not have begun.
    fn take_back(&self, worker: WorkerId, tasks: TaskList, out: &mut Outbox) {
        let (rank, tasks) = (self.workers.rank(worker), self.actions.tasks(tasks).to_vec());
        out.notices.note(|| Notice::AskedBack { rank, count: tasks.len() });
        out.post(worker, &ToWorker::TakeBack { tasks });
    }

    fn end_without_value(&mut self, task: TaskId, end: scheduler::End, cause: &Cause<'_>, out: &mut Outbox) {
        let may_not_have_begun =
            matches!(end, scheduler::End::Cancelled | scheduler::End::LimitReached { limit: Limit::Wait });
        if may_not_have_begun && let Some(entry) = self.table.get_mut(task) {
            // One that was given up may go on: it counts.
            let was_given_up = |&worker: &WorkerId| self.limits.was_given_up(worker, task);
            if !entry.ran_on.workers().iter().any(was_given_up) {
                entry.forget_unbegun();
            }
        }
        let (is_interrupted, no_state) = (self.is_interrupted(), self.no_state());
        let Self { table, workers, limits, now, .. } = &*self;
        let known = ends::Known { table, workers, limits, is_interrupted, no_state, now: *now };
        let output = ends::output_of(task, end, &known, cause);
        self.ended(task, Ended::Nothing(output), out);
    }

    /// Tells the workers that hold a value to let it go.
    fn forget_at(&mut self, value: TaskId, holders: WorkerList, out: &mut Outbox) {
        for &holder in self.actions.workers(holders) {
            out.post(holder, &ToWorker::Forget { values: vec![value] });
        }
    }

    #[inline(always)]
    fn start(&mut self, task: TaskId, worker: WorkerId, attempt: u32, out: &mut Outbox) {
        self.workers.given(worker);
        self.run(Start { task, worker, attempt, group: None }, out);
        if let Some(entry) = self.table.get_mut(task) {
            entry.starts(attempt, RanOn::Single(worker));
        }
        if let Some(limit_ns) = self.limits.run_limit_ns(task) {
            self.look_later(task, limit_ns, false);
        }
    }

    /// Tells a worker to run a task.
    #[inline(never)]
    pub(super) fn run(&mut self, start: Start<'_>, out: &mut Outbox) {
        let Self { table, workers, scheduler, functions, limits, items, here, settings, .. } = self;
        let inline_bytes_max = settings.inline_bytes_max;
        let whereabouts = Whereabouts { table, workers, scheduler, limits, items, here: *here, inline_bytes_max };
        for value in whereabouts.run(out, functions, start) {
            // The scheduler must not be entered while its actions are carried out; a copy
            // leads to none.
            self.note_to_scheduler(Event::Copied { task: value, worker: start.worker });
        }
    }

    /// A task has ended: from now on its handles give what it ended with. False if there
    /// is no such task.
    #[inline(always)]
    pub(super) fn ended(&mut self, task: TaskId, ended: Ended<'_>, out: &mut Outbox) -> bool {
        let Some(entry) = self.table.end(task, self.now) else { return false };
        // Of items of a map as many as there are.
        let count = if entry.of_map { self.items.ended(task).into() } else { 1 };
        self.queue.gives(entry.payload.len());
        match ended {
            Ended::Value { given, worker, times } => {
                entry.give(given, worker);
                (entry.started_ns, entry.finished_ns) = times;
                self.counts.done += count;
            }
            Ended::Nothing(output) => {
                (entry.output, entry.payload) = (output, Payload::EMPTY);
                if entry.finished_ns == 0 {
                    entry.finished_ns = self.now;
                }
                match entry.state() {
                    TaskState::Cancelled => self.counts.cancelled += count,
                    _ => self.counts.failed += count,
                }
            }
        }
        if entry.watched {
            out.happened.note(Awaited::Task(task));
            self.cancelled.ended(task, out);
            self.limits.ended(task);
        }
        if let Some(last) = entry.watches.take() {
            self.watches.take(last, |watch| out.ended.push(entry.watched_end(watch)));
        }
        if let Some(graph_run) = self.graph_runs.ended(entry) {
            out.happened.note(Awaited::GraphRun(graph_run));
        }
        true
    }
}

#[cold]
fn misfit(tasks: &[TaskId]) -> CodecError {
    CodecError(format!("it reports on {tasks:?}, of which it does not have all"))
}
