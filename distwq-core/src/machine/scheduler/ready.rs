//! A queue of tasks that could start: the greatest key first, within one key in order.
//!
//! The tasks of one key form a list through their own links. The list of the greatest key
//! lies outside the map, so that the common cases (one key for all; a chain, whose keys
//! come one at a time) never touch the map.

use super::lists::List;
use super::tasks::Tasks;
use crate::id::TaskSlot;
use std::collections::BTreeMap;

/// How many tasks of the first list may be looked at for a better fit.
pub(super) const WINDOW: usize = 8;

/// How often in a row a task other than the first may be taken before the first has its
/// turn.
const PASSED_MAX: u32 = 16;

/// Tasks by key.
#[derive(Debug)]
pub(super) struct Queue {
    /// Key of `first`; meaningless while that is empty.
    key: u64,
    first: List<TaskSlot>,
    /// The other lists, none of them empty, all keys below `key`.
    rest: BTreeMap<u64, List<TaskSlot>>,
    count: usize,
    passed: u32,
}

impl Default for Queue {
    fn default() -> Self {
        Self { key: 0, first: List::EMPTY, rest: BTreeMap::new(), count: 0, passed: 0 }
    }
}

impl Queue {
    pub(super) fn is_empty(&self) -> bool {
        self.first.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.count
    }

    /// The greatest key.
    #[inline]
    pub(super) fn key(&self) -> Option<u64> {
        (!self.is_empty()).then_some(self.key)
    }

    /// The task that goes first.
    #[inline]
    pub(super) fn first(&self) -> Option<TaskSlot> {
        self.first.head
    }

    /// The tasks of the greatest key from the first on, [`WINDOW`] at most.
    pub(super) fn window<'a>(&self, tasks: &'a Tasks) -> impl Iterator<Item = TaskSlot> + use<'a> {
        self.first.iter(tasks).take(WINDOW)
    }

    /// The first task has been passed over so often that it must be next.
    pub(super) fn first_is_due(&self) -> bool {
        self.passed >= PASSED_MAX
    }

    /// Adds a task behind those of its key.
    #[inline]
    pub(super) fn push_back(&mut self, tasks: &mut Tasks, slot: TaskSlot) {
        self.list_for(tasks.key(slot)).push_back(tasks, slot);
    }

    /// Adds a task before those of its key: it has waited already.
    pub(super) fn push_front(&mut self, tasks: &mut Tasks, slot: TaskSlot) {
        self.list_for(tasks.key(slot)).push_front(tasks, slot);
    }

    /// Takes out the first.
    pub(super) fn pop(&mut self, tasks: &mut Tasks) -> Option<TaskSlot> {
        let slot = self.first()?;
        self.remove(tasks, slot);
        Some(slot)
    }

    /// Takes out any task.
    #[inline]
    pub(super) fn remove(&mut self, tasks: &mut Tasks, slot: TaskSlot) {
        self.count -= 1;
        let key = tasks.key(slot);
        if key != self.key {
            let list = self.rest.get_mut(&key).expect("a queued task is in the list of its key");
            list.remove(tasks, slot);
            if list.is_empty() {
                self.rest.remove(&key);
            }
            return;
        }
        self.passed = if Some(slot) == self.first.head { 0 } else { self.passed + 1 };
        self.first.remove(tasks, slot);
        if self.first.is_empty()
            && let Some((key, list)) = self.rest.pop_last()
        {
            (self.key, self.first) = (key, list);
        }
        // It has waited for long, and is the next to be looked at.
        tasks.prefetch(self.first.head);
    }

    /// Empties the queue, in order.
    pub(super) fn drain(&mut self, tasks: &mut Tasks) -> Vec<TaskSlot> {
        std::iter::from_fn(|| self.pop(tasks)).collect()
    }

    /// All tasks with their key, in order.
    pub(super) fn iter<'a>(&'a self, tasks: &'a Tasks) -> impl Iterator<Item = (u64, TaskSlot)> + 'a {
        let lists =
            std::iter::once((self.key, self.first)).chain(self.rest.iter().rev().map(|(&key, &list)| (key, list)));
        lists.flat_map(|(key, list)| list.iter(tasks).map(move |slot| (key, slot)))
    }

    /// The list that a new task of this key goes to.
    #[inline]
    fn list_for(&mut self, key: u64) -> &mut List<TaskSlot> {
        self.count += 1;
        if self.first.is_empty() {
            self.key = key;
        } else if key > self.key {
            self.rest.insert(self.key, self.first);
            (self.key, self.first) = (key, List::EMPTY);
        } else if key < self.key {
            return self.rest.entry(key).or_insert(List::EMPTY);
        }
        &mut self.first
    }
}
