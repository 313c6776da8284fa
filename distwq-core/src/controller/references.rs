//! How many references users have to each task: counted from what handles note when they are cloned and dropped.

use super::engine::ControllerEngine;
use crate::id::TaskId;
use crate::scheduler::Event;
use parking_lot::Mutex;
use smallvec::SmallVec;
use std::sync::Arc;

/// What became of the references of users, noted by any thread in the order in which it happened. The lock is held for
/// the moment of noting or taking only.
pub(crate) type ReferenceNotes = Arc<Mutex<Vec<ReferenceNote>>>;

/// What became of a reference to a task.
#[derive(Clone, Copy, Debug)]
pub(crate) enum ReferenceNote {
    /// There is one more.
    Retained(TaskId),
    /// There is one less.
    Dropped(TaskId),
}

/// The notes of users, and the memory in which they are read.
#[derive(Default)]
pub(super) struct References {
    pub(super) notes: ReferenceNotes,
    /// What was taken of them; empty in between.
    taken: Vec<ReferenceNote>,
}

/// Tasks whose last handle is gone are told of together, but so few that what follows stays in the cache.
const DROPPED_TOGETHER: usize = 64;

impl ControllerEngine {
    /// Counts the references of users, and lets go of what nobody holds any more.
    pub(super) fn release(&mut self) {
        let mut notes = std::mem::take(&mut self.references.taken);
        std::mem::swap(&mut *self.references.notes.lock(), &mut notes);
        let mut dropped = SmallVec::<[TaskId; DROPPED_TOGETHER]>::new();
        for note in notes.drain(..) {
            match note {
                ReferenceNote::Retained(task) => {
                    if let Some(entry) = self.table.get_mut(task) {
                        entry.references += 1;
                    }
                }
                ReferenceNote::Dropped(task) => {
                    if let Some(entry) = self.table.get_mut(task) {
                        entry.references -= 1;
                        if entry.references == 0 {
                            dropped.push(task);
                        }
                    }
                    if dropped.len() == DROPPED_TOGETHER {
                        self.tell_scheduler(Event::Dropped { tasks: &dropped });
                        dropped.clear();
                    }
                }
            }
        }
        if !dropped.is_empty() {
            self.tell_scheduler(Event::Dropped { tasks: &dropped });
        }
        self.references.taken = notes;
    }
}
