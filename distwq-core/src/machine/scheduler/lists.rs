//! Intrusive lists of tasks: the links are fields of the tasks.

use super::links::{NONE, successors};
use super::tasks::Tasks;

/// A doubly linked list of tasks through their own links.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct List {
    pub(super) head: u32,
    pub(super) tail: u32,
}

impl List {
    pub(super) const EMPTY: Self = Self { head: NONE, tail: NONE };

    pub(super) fn is_empty(self) -> bool {
        self.head == NONE
    }

    #[inline]
    pub(super) fn push_back(&mut self, tasks: &mut Tasks, slot: u32) {
        let task = &mut tasks[slot];
        task.before = self.tail;
        task.next = NONE;
        match self.tail {
            NONE => self.head = slot,
            tail => tasks[tail].next = slot,
        }
        self.tail = slot;
    }

    pub(super) fn push_front(&mut self, tasks: &mut Tasks, slot: u32) {
        let task = &mut tasks[slot];
        task.before = NONE;
        task.next = self.head;
        match self.head {
            NONE => self.tail = slot,
            head => tasks[head].before = slot,
        }
        self.head = slot;
    }

    #[inline]
    pub(super) fn remove(&mut self, tasks: &mut Tasks, slot: u32) {
        let task = &mut tasks[slot];
        // In no list any more, it counts who blocks it.
        let (before, next) = (std::mem::take(&mut task.before), task.next);
        if slot == self.head {
            // The common case leaves the new head alone, whose memory has not been used for long: the link back
            // of a head is never followed.
            self.head = next;
            if next == NONE {
                self.tail = NONE;
            }
            return;
        }
        tasks[before].next = next;
        match next {
            NONE => self.tail = before,
            next => tasks[next].before = before,
        }
    }

    /// From the head to the tail.
    pub(super) fn iter(self, tasks: &Tasks) -> impl Iterator<Item = u32> {
        successors(self.head, |slot| tasks[slot].next)
    }

    /// From the tail to the head.
    pub(super) fn iter_back(self, tasks: &Tasks) -> impl Iterator<Item = u32> {
        successors(self.tail, move |slot| if slot == self.head { NONE } else { tasks[slot].before })
    }
}
