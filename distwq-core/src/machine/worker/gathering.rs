//! Gets the inputs of a task together before it is ready, and gives back what was not
//! begun.

use super::inputs::{Failed, Gathered, Purpose};
use super::outbox::Outbox;
use super::queue::ReadyTask;
use super::values::Missing;
use super::{Task, Worker};
use crate::function::remote::Failure;
use crate::id::{Rank, TaskId};
use crate::wire::chunk::WithoutValue;
use crate::wire::message::{ToController, ToPeer};
use rustc_hash::FxHashSet;

impl Worker {
    /// Asks for the inputs that a task lacks.
    pub(super) fn gather(&mut self, task: Task, purpose: Purpose, missing: Vec<Missing>, out: &mut Outbox) {
        if missing.is_empty() {
            return self.has_gathered(Gathered::Complete(task, purpose), out);
        }
        for Missing { value, holder } in self.values.wait(task, purpose, missing) {
            // If it should be here and nobody has asked for it, it never will be.
            if holder == self.here || self.lost.contains(&holder) {
                self.cannot_come(&[value], holder, out);
            } else {
                out.say(holder, None, |_| ToPeer::Fetch { value });
            }
        }
    }

    /// These values cannot come from a rank that was asked for them: the tasks that wait
    /// for them have failed.
    pub(super) fn cannot_come(&mut self, values: &[TaskId], holder: Rank, out: &mut Outbox) {
        let failed = values.iter().filter_map(|value| Some((*value, self.values.refused(*value, holder)?)));
        let failed: Vec<(TaskId, Failed)> = failed.collect();
        let missing = failed.iter().filter(|(_, failed)| failed.is_missing).map(|(value, _)| *value);
        let missing: Vec<TaskId> = missing.collect();
        // Before the failures of the tasks: they are tried again where the value is.
        if !missing.is_empty() {
            out.tell(&ToController::Missing { values: missing });
        }
        failed.into_iter().for_each(|(_, failed)| self.gathered(failed.tasks, out));
    }

    /// A rank is gone, and with it what it was asked for, or what a message that is late
    /// will say that it has.
    pub(super) fn lost(&mut self, rank: Rank, out: &mut Outbox) {
        self.lost.push(rank);
        let values = self.values.asked_of(rank);
        self.cannot_come(&values, rank, out);
    }

    pub(super) fn gathered(&mut self, gathered: Vec<Gathered>, out: &mut Outbox) {
        gathered.into_iter().for_each(|gathered| self.has_gathered(gathered, out));
    }

    /// A task has its inputs, or will not get them.
    pub(super) fn has_gathered(&mut self, gathered: Gathered, out: &mut Outbox) {
        match gathered {
            Gathered::Complete(task, Purpose::Single) => {
                *self.ready.push_back() = ReadyTask { task, epoch: None };
            }
            Gathered::Complete(task, Purpose::Member(epoch)) => {
                if let Some(membership) = self.groups.get_mut(epoch) {
                    membership.task = Some(task);
                    out.tell(&ToController::Ready { epoch });
                }
            }
            Gathered::Failed(task, purpose, reason) => {
                if let Purpose::Member(epoch) = purpose {
                    self.groups.remove(epoch);
                }
                self.gave_up(task, Failure::Input(reason), out);
            }
        }
    }

    /// A task that never began has ended.
    pub(super) fn gave_up(&mut self, task: Task, failure: Failure, out: &mut Outbox) {
        self.descriptions.take(task.id);
        out.done(task.id, (self.now, 0), (false, WithoutValue::NONE), Err(Box::new(failure)));
        out.garbage.push(Box::new(task));
    }

    /// The controller takes these values to be here or on their way: those that are
    /// neither it must not count on.
    pub(super) fn say_missing(&self, values: impl Iterator<Item = TaskId>, out: &mut Outbox) {
        let missing: Vec<TaskId> = values.filter(|value| !self.values.is_expected(*value)).collect();
        if !missing.is_empty() {
            out.tell(&ToController::Missing { values: missing });
        }
    }

    /// Gives back what has not begun: one pass over what is queued, however many are
    /// asked for.
    pub(super) fn give_back(&mut self, mut asked: Vec<TaskId>, out: &mut Outbox) {
        let wanted = asked.iter().copied().collect();
        let mut given = self.ready.remove_all(&wanted);
        given.extend(asked.iter().filter_map(|&id| self.values.take_back(id)));
        let ids: FxHashSet<TaskId> = given.iter().map(|task| task.id).collect();
        // In the order in which they were asked for, which is the one in which they were
        // to run.
        asked.retain(|id| ids.contains(id));
        asked.iter().for_each(|id| drop(self.descriptions.take(*id)));
        // One by one: what a task holds may be dropped by users' code, which may panic.
        given.into_iter().for_each(|task| out.garbage.push(Box::new(task)));
        out.tell(&ToController::Returned { tasks: asked });
    }
}
