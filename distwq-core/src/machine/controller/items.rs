//! Tasks that are made of items of a map. To the scheduler each is one task like any
//! other.

use super::input::{FailedItem, ItemsOfMap};
use super::outbox::Outbox;
use super::retry::what_follows;
use super::table::RanOn;
use super::{Controller, Encoded, NewTask};
use crate::codec::CodecError;
use crate::function::remote::Failure;
use crate::id::{TaskId, WorkerId};
use crate::machine::scheduler::{FailedBefore, Retry};
use crate::outcome::error::TaskError;
use crate::outcome::failure::RetryOn;
use crate::task::items::Items;
use crate::wire::chunk::WithoutValue;
use rustc_hash::FxHashMap;

/// The items of each such task that has not ended.
#[derive(Default, Debug)]
pub(super) struct ItemsOfTasks(FxHashMap<TaskId, Items>);

impl ItemsOfTasks {
    /// Those of a task.
    pub(super) fn get(&self, task: TaskId) -> Option<Items> {
        self.0.get(&task).copied()
    }

    /// A task has ended. Gives how many items it was made of.
    pub(super) fn ended(&mut self, task: TaskId) -> u32 {
        self.0.remove(&task).map_or(1, |items| items.count)
    }

    /// The number by which people know a task: that of its first item, if it has some.
    pub(super) fn number_of(&self, task: TaskId) -> u32 {
        self.get(task).map_or(task.serial(), |items| items.item(0).number())
    }

    /// How many tasks there are.
    #[cfg(any(test, feature = "simulation"))]
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }
}

impl Controller {
    /// Adds a task that is made of items of a map.
    pub(super) fn add_items(
        &mut self,
        new: &NewTask<'_>,
        plain: Encoded<'_>,
        of: ItemsOfMap<'_>,
        out: &mut Outbox,
    ) -> TaskId {
        self.will_add(out);
        let ItemsOfMap { items, failed } = of;
        let (remote, now, bytes) = (new.remote, self.now, plain.len());
        let task = self.table.insert_of_map(new.inputs, |entry| {
            entry.function = Some(remote);
            plain.move_to(&mut entry.payload);
            entry.submitted_ns = now;
            entry.of_map = true;
            entry.watches = new.watch.map(|watch| self.watches.add(None, watch));
        });
        self.items.0.insert(task, items);
        self.queue.takes(bytes);
        match failed {
            None => self.counts.submitted += u64::from(items.count),
            // It was submitted before, and has not failed for good.
            Some(_) => self.counts.failed -= u64::from(items.count),
        }
        let retry_on = new.options.map_or(RetryOn::DEFAULT, |options| options.terms.retry_on);
        let failed = failed.and_then(|failed| self.failed_before(&failed, retry_on));
        let may_prompt = self.workers.has_idle();
        self.add_with_wishes(task, new, failed.as_ref(), out);
        self.was_added(task, may_prompt, out);
        task
    }

    /// A worker tells how many items of a task have no value.
    ///
    /// # Errors
    /// If there are not so many.
    pub(super) fn check_items(&self, task: TaskId, without_value: WithoutValue) -> Result<(), CodecError> {
        let WithoutValue { failed, cancelled } = without_value;
        let count = if without_value == WithoutValue::NONE { 0 } else { self.items.get(task).map_or(0, |of| of.count) };
        match failed.checked_add(cancelled) {
            Some(told) if told <= count => Ok(()),
            _ => Err(CodecError(format!("it tells of more items of {task} than there are"))),
        }
    }

    /// What the scheduler has to know of an item that has failed among others. What is no
    /// further attempt does not count.
    fn failed_before(&self, failed: &FailedItem<'_>, retry_on: RetryOn) -> Option<FailedBefore> {
        let &FailedItem { with, failure } = failed;
        let on = self.ran_on(with)?;
        let retry = what_follows(failure, retry_on, on);
        let attempts = self.attempts(with);
        let times = if retry == Retry::Again { attempts } else { attempts.saturating_sub(1) };
        Some(FailedBefore { times, on, retry })
    }

    /// The error of an item whose task has ended with a value, because other items have.
    pub(crate) fn error_of_item(&self, task: TaskId, failure: &Failure) -> TaskError {
        let entry = self.table.get(task).expect("a task stays while a handle of it does");
        let worker = self.ran_on(task).expect("a worker has told the failure");
        entry.error_of(&self.workers, failure, worker)
    }

    /// How many attempts of a task were made.
    pub(crate) fn attempts(&self, task: TaskId) -> u32 {
        self.table.get(task).map_or(0, |entry| entry.attempts)
    }

    /// How many tasks all workers run at the same time.
    pub(crate) fn slots(&self) -> usize {
        self.workers.living() * self.settings.slots as usize
    }

    /// The worker of the last attempt of a task of one rank.
    fn ran_on(&self, task: TaskId) -> Option<WorkerId> {
        match self.table.get(task)?.ran_on {
            RanOn::Single(worker) => Some(worker),
            RanOn::Nowhere | RanOn::Group(_) => None,
        }
    }
}
