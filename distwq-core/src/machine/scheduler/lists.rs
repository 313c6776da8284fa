//! Intrusive lists: the links are fields of what is in the list.

use super::tasks::Tasks;
use crate::id::TaskSlot;

/// The ends of a doubly linked list of tasks or of workers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct List<T> {
    pub(super) head: Option<T>,
    pub(super) tail: Option<T>,
}

impl<T> List<T> {
    pub(super) const EMPTY: Self = Self { head: None, tail: None };

    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.head.is_none()
    }
}

impl List<TaskSlot> {
    #[inline]
    pub(super) fn push_back(&mut self, tasks: &mut Tasks, slot: TaskSlot) {
        let task = &mut tasks[slot];
        task.set_before(self.tail);
        task.next = None;
        match self.tail {
            None => self.head = Some(slot),
            Some(tail) => tasks[tail].next = Some(slot),
        }
        self.tail = Some(slot);
    }

    pub(super) fn push_front(&mut self, tasks: &mut Tasks, slot: TaskSlot) {
        let task = &mut tasks[slot];
        task.set_before(None);
        task.next = self.head;
        match self.head {
            None => self.tail = Some(slot),
            Some(head) => tasks[head].set_before(Some(slot)),
        }
        self.head = Some(slot);
    }

    #[inline]
    pub(super) fn remove(&mut self, tasks: &mut Tasks, slot: TaskSlot) {
        let task = &mut tasks[slot];
        let (before, next) = (task.take_before(), task.next);
        if Some(slot) == self.head {
            // The common case leaves the new head alone, whose memory has not been used
            // for long: the link back of a head is never followed.
            self.head = next;
            if next.is_none() {
                self.tail = None;
            }
            return;
        }
        let before = before.expect("only the head has nobody before it");
        tasks[before].next = next;
        match next {
            None => self.tail = Some(before),
            Some(next) => tasks[next].set_before(Some(before)),
        }
    }

    /// From the head to the tail.
    pub(super) fn iter(self, tasks: &Tasks) -> impl Iterator<Item = TaskSlot> {
        std::iter::successors(self.head, |&slot| tasks[slot].next)
    }

    /// From the tail to the head.
    pub(super) fn iter_back(self, tasks: &Tasks) -> impl Iterator<Item = TaskSlot> {
        std::iter::successors(self.tail, move |&slot| if Some(slot) == self.head { None } else { tasks[slot].before() })
    }
}
