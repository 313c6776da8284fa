//! The loss of a worker: what it had to do is done elsewhere or ends, what it alone held
//! is lost, and whoever waits for it is told.

use super::Controller;
use super::ends::{VALUE_GONE, WORKER_GONE};
use super::groups::Part;
use super::input::Awaited;
use super::outbox::Outbox;
use super::table::{HomeCopy, Output};
use crate::function::remote::Failure;
use crate::id::{Rank, TaskId, WorkerId};
use crate::machine::Notice;
use crate::machine::scheduler::Event;
use crate::outcome::error::TaskError;
use crate::wire::message::ToWorker;
use std::sync::Arc;

impl Controller {
    /// A worker is gone. Frames of it that come later mean nothing.
    pub(super) fn lost(&mut self, rank: Rank, out: &mut Outbox) {
        let Some((worker, tasks)) = self.workers.lose(rank) else { return };
        out.lose(worker);
        out.notices.note(|| Notice::WorkerLost { rank, host: self.workers.get(worker).host.clone(), tasks });
        let given_up = self.lose_given_up(worker, out);
        if self.workers.has_reports() {
            self.reported(out);
        }
        if self.settings.has_states {
            // Nobody waits for its own any more.
            out.happened.note(Awaited::States);
        }
        if self.is_over() {
            return self.forget_given_up(worker, &given_up, out);
        }
        let pending = self.pending();
        self.tell_others(rank, out);
        let values = self.table.on_worker(worker);
        self.keep_what_is_here(&values);
        self.note_to_scheduler(Event::Lost { worker });
        // Before anything starts that takes one of them.
        for value in values {
            self.look_elsewhere(value, worker, out);
        }
        self.carry_out(out);
        self.fail_group(worker, out);
        self.note_drained(pending, out);
    }

    /// What the others have asked of it never comes. They hear that at once, in a frame
    /// without large payloads: no later one overtakes it, and later ones name who has
    /// what it had.
    fn tell_others(&mut self, rank: Rank, out: &mut Outbox) {
        for other in self.workers.ids() {
            out.post(other, &ToWorker::Lost { rank });
            out.flush_to(other);
        }
    }

    /// Of these values, those that a user has asked for and got are held here.
    fn keep_what_is_here(&mut self, values: &[TaskId]) {
        for &value in values {
            if let Some(entry) = self.table.get_mut(value)
                && let Output::Resident { copy: HomeCopy::Here, .. } = entry.output
            {
                entry.output = Output::Here;
                self.note_to_scheduler(Event::Fetched { task: value });
            }
        }
    }

    /// A worker does not have a value that it was taken to have.
    pub(super) fn missing(&mut self, value: TaskId, worker: WorkerId, out: &mut Outbox) {
        if self.is_over() {
            return;
        }
        if self.scheduler.has_copy(value, worker) {
            self.note_to_scheduler(Event::Missing { task: value, worker });
        }
        self.look_elsewhere(value, worker, out);
    }

    /// Whoever wants a value that was to come from a worker gets it from another one. If
    /// none has it, its handles give an error.
    fn look_elsewhere(&mut self, value: TaskId, not_on: WorkerId, out: &mut Outbox) {
        // The oldest copy is the likeliest to have come.
        let other = self.scheduler.holders(value).filter(|holder| *holder != not_on).last();
        let Some(entry) = self.table.get_mut(value) else { return };
        let Output::Resident { by, copy, .. } = &mut entry.output else { return };
        if *by != not_on || *copy == HomeCopy::Here {
            return;
        }
        match other {
            Some(other) => {
                *by = other;
                if *copy == HomeCopy::Asked {
                    self.ask_for(value, other, out);
                }
            }
            None => {
                let site = Arc::new(entry.site(&self.workers, Some(not_on)));
                let message = Arc::from(format!("its output {VALUE_GONE}"));
                entry.output = Output::Failed(Arc::new(TaskError::ValueLost { site, message }));
                out.happened.note(Awaited::Task(value));
            }
        }
    }

    /// The group that it was a member of has failed, also if it had left: what it sent to
    /// others before may be gone with it.
    fn fail_group(&mut self, worker: WorkerId, out: &mut Outbox) {
        if let Some(task) = self.groups.with_member(worker) {
            let outcome = Err(Failure::Lost(WORKER_GONE.to_owned()));
            let part = Part { times: (self.now, self.now), raw: false, outcome };
            self.member_done(task, worker, part, out);
        }
    }
}
