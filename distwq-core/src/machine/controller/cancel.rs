//! Tasks that their users do not want any more: what waits ends at once, and the workers
//! that have the others are told.

use super::ends::Cause;
use super::outbox::Outbox;
use super::watches::WatchedEnd;
use super::{Controller, Phase};
use crate::codec::CodecError;
use crate::id::{GraphRunId, TaskId, WorkerId};
use crate::machine::Notice;
use crate::machine::scheduler::{Event, WorkerList};
use crate::outcome::info::{CancelState, TaskState};
use crate::wire::message::ToWorker;
use rustc_hash::FxHashMap;

/// The cancelled tasks that workers have.
#[derive(Default, Debug)]
pub(super) struct Cancelled {
    /// Whom of each was told, until it has ended.
    told: FxHashMap<TaskId, Box<[WorkerId]>>,
    /// Who is to be told of which; empty between inputs.
    pub(super) to_tell: Vec<(WorkerId, TaskId)>,
}

impl Cancelled {
    /// How many there are.
    #[cfg(any(test, feature = "simulation"))]
    pub(super) fn len(&self) -> usize {
        self.told.len()
    }

    /// A task has ended of which somebody was to be told: a worker that has never had it,
    /// or has it no more, need not wait for it to come.
    #[inline]
    pub(super) fn ended(&mut self, task: TaskId, out: &mut Outbox) {
        if !self.told.is_empty() {
            self.forget(task, out);
        }
    }

    #[inline(never)]
    fn forget(&mut self, task: TaskId, out: &mut Outbox) {
        for &worker in self.told.remove(&task).iter().flatten() {
            out.post(worker, &ToWorker::CancelOver { tasks: vec![task] });
        }
    }
}

impl Controller {
    /// What a cancel of a task finds, as far as is known: a worker may have begun or
    /// ended it since it last reported.
    pub(crate) fn cancel_state(&self, task: TaskId) -> CancelState {
        if self.has_ended(task) {
            CancelState::Ended
        } else if self.scheduler.has_begun(task) {
            CancelState::Running
        } else {
            CancelState::Waiting
        }
    }

    /// Cancels tasks. Nothing happens to those that have ended.
    pub(super) fn cancel(&mut self, tasks: &[TaskId], out: &mut Outbox) {
        if self.is_over() {
            return;
        }
        let pending = self.pending();
        self.tell_scheduler(Event::Cancel { tasks }, out);
        self.tell_who_has_them(out);
        self.note_drained(pending, out);
    }

    /// Cancels all tasks of a graph that have not ended.
    pub(super) fn cancel_graph(&mut self, graph_run: GraphRunId, out: &mut Outbox) {
        let tasks = self.table.pending_of_graph(graph_run);
        self.cancel(&tasks, out);
    }

    /// All tasks of a graph have been added. Some may have failed, of what was before.
    pub(super) fn graph_has_begun(&mut self, out: &mut Outbox) {
        let pending = self.pending();
        self.graph_runs.release(false);
        self.tell_scheduler(Event::Resume, out);
        if self.graph_runs.has_failed() {
            self.cancel_failed_graphs(out);
        }
        self.note_drained(pending, out);
    }

    /// Cancels what has not ended of graphs of which a task has failed, and which want
    /// that. Others of these may fail of it.
    #[cold]
    pub(super) fn cancel_failed_graphs(&mut self, out: &mut Outbox) {
        while let Some(graph_run) = self.graph_runs.take_failed() {
            let tasks = self.table.pending_of_graph(graph_run);
            self.note_to_scheduler(Event::Cancel { tasks: &tasks });
            self.carry_out_actions(&Cause::Known, out);
            self.tell_who_has_them(out);
        }
    }

    /// Cancels all tasks that have not ended.
    pub(super) fn cancel_all(&mut self, out: &mut Outbox) {
        self.times_cancelled += 1;
        self.cancel_pending(out);
    }

    /// The same as a consequence of something else, which users are told.
    pub(super) fn cancel_pending(&mut self, out: &mut Outbox) {
        let tasks = self.table.pending(|_| true);
        self.cancel(&tasks, out);
    }

    /// The scheduler says who has a cancelled task. A group that has not entered never
    /// will; all others go on, and are told.
    pub(super) fn has_cancelled(&mut self, task: TaskId, workers: WorkerList, out: &mut Outbox) {
        if let Some(replies) = self.groups.cancel(self.now, task) {
            return replies.tell(out);
        }
        let workers = self.actions.workers(workers);
        let Self { cancelled, table, .. } = self;
        cancelled.to_tell.extend(workers.iter().map(|&worker| (worker, task)));
        cancelled.told.insert(task, workers.into());
        if let Some(entry) = table.get_mut(task) {
            // Its end is looked at, as if somebody waited for it.
            entry.watched = true;
        }
    }

    /// Each worker is told once of all that it has.
    pub(super) fn tell_who_has_them(&mut self, out: &mut Outbox) {
        let mut to_tell = std::mem::take(&mut self.cancelled.to_tell);
        to_tell.sort_by_key(|&(worker, _)| worker);
        for of_worker in to_tell.chunk_by(|(one, _), (next, _)| one == next) {
            let (worker, tasks) = (of_worker[0].0, of_worker.iter().map(|&(_, task)| task).collect());
            out.post(worker, &ToWorker::Cancel { tasks });
            // Not in one frame with a large payload: what is said when the task has ended
            // must not overtake it.
            out.flush_to(worker);
        }
    }

    /// A worker has not begun these tasks, which it was told are cancelled.
    ///
    /// # Errors
    /// If it does not have them, or was not told so.
    pub(super) fn not_begun(
        &mut self,
        worker: WorkerId,
        mut tasks: Vec<TaskId>,
        out: &mut Outbox,
    ) -> Result<(), CodecError> {
        let count = tasks.len();
        tasks.retain(|task| !self.came_back(worker, *task, (false, false), out));
        self.report_to_scheduler(&tasks, Event::NotBegun { worker, tasks: &tasks })?;
        self.workers.returned(worker, count)?;
        for task in &tasks {
            // It has forgotten them.
            self.cancelled.told.remove(task);
        }
        self.carry_out(out);
        Ok(())
    }

    /// No tasks are taken any more.
    pub(super) fn take_no_more(&mut self, out: &mut Outbox) {
        if !self.is_closing() {
            out.notices.note(|| Notice::Closing { pending: self.pending() });
        }
        self.phase = self.phase.max(Phase::Draining);
        self.note_room(out);
    }

    /// Nobody waits any more for the tasks that have not ended: whoever asks for one of
    /// them gets an error, and they have ended without a value for whom that is told. The
    /// workers are not told anything yet.
    pub(super) fn leave_behind(&mut self, out: &mut Outbox) {
        for task in self.table.pending(|entry| entry.watches.is_some()) {
            let Some(entry) = self.table.get_mut(task) else { continue };
            let Some(last) = entry.watches.take() else { continue };
            let end = |watch| WatchedEnd { state: TaskState::Failed, ..entry.watched_end(watch) };
            self.watches.take(last, |watch| out.ended.push(end(watch)));
        }
        self.phase = self.phase.max(Phase::Stopped);
        (self.leaves_behind, self.draining) = (true, None);
        out.happened.note_all();
    }

    /// Whether tasks still run for which nobody waits any more.
    pub(crate) fn leaves_behind(&self) -> bool {
        self.leaves_behind && self.is_running()
    }

    /// Whether tasks have not ended, or run on past their limits.
    pub(crate) fn is_running(&self) -> bool {
        self.pending() > 0 || self.limits.has_given_up()
    }

    /// How long a user who does not want to wait for tasks waits for them even so.
    pub(crate) fn shutdown_grace_ns(&self) -> u64 {
        self.settings.shutdown_grace_ns
    }
}
