//! The lists of actions, one behind the other in memory that is used again.

use crate::id::{TaskId, WorkerId};
use std::marker::PhantomData;

/// The workers of an action; [`Actions::workers`](super::Actions::workers) gives them.
pub type WorkerList = ListOf<WorkerId>;

/// The tasks of an action; [`Actions::tasks`](super::Actions::tasks) gives them.
pub type TaskList = ListOf<TaskId>;

/// A list in an arena, by its number: 0 is the empty list, the others count from 1.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ListOf<T> {
    number: u32,
    of: PhantomData<T>,
}

impl<T> ListOf<T> {
    /// The list of nothing.
    pub const EMPTY: Self = Self { number: 0, of: PhantomData };

    /// Whether there is nothing in the list.
    #[must_use]
    #[inline]
    pub const fn is_empty(&self) -> bool {
        self.number == 0
    }
}

/// Lists one behind the other.
#[derive(Debug)]
pub(super) struct Lists<T> {
    items: Vec<T>,
    /// Where each list ends among the items, in the order of their numbers.
    ends: Vec<usize>,
}

impl<T> Default for Lists<T> {
    fn default() -> Self {
        Self { items: Vec::new(), ends: Vec::new() }
    }
}

impl<T: Copy> Lists<T> {
    /// Adds a list.
    #[inline]
    pub(super) fn add(&mut self, items: &[T]) -> ListOf<T> {
        if items.is_empty() { ListOf::EMPTY } else { self.append(items) }
    }

    fn append(&mut self, items: &[T]) -> ListOf<T> {
        self.items.extend_from_slice(items);
        self.ends.push(self.items.len());
        ListOf { number: u32::try_from(self.ends.len()).expect("fewer than 2^32 lists at once"), of: PhantomData }
    }

    /// The items of a list that was added.
    pub(super) fn get(&self, list: ListOf<T>) -> &[T] {
        let Some(index) = (list.number as usize).checked_sub(1) else { return &[] };
        let begin = index.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.items[begin..self.ends[index]]
    }

    /// Forgets all lists.
    #[inline]
    pub(super) fn clear(&mut self) {
        self.items.clear();
        self.ends.clear();
    }
}
