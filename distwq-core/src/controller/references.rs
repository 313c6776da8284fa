//! How many references users have to each task: counted from what handles note when they are cloned and dropped. Those to
//! a node of a graph are counted beside it, and only the last of them leaves a note.

use super::engine::ControllerEngine;
use crate::id::TaskId;
use crate::machine::scheduler::Event;
use parking_lot::Mutex;
use std::sync::Arc;

/// What became of the references of users, noted by any thread in the order in which it happened. The lock is held for
/// the moment of noting or taking only.
pub(crate) type ReferenceNotes = Arc<Mutex<Vec<ReferenceNote>>>;

/// So many notes want to be read although nobody takes a turn.
pub(crate) const NOTES_TOGETHER: usize = 4 << 10;

/// Memory for so many notes is kept.
const NOTES_KEPT: usize = 256 << 10;

/// What became of a reference to a task.
#[derive(Clone, Copy, Debug)]
pub(crate) enum ReferenceNote {
    /// There is one more.
    Retained(TaskId),
    /// There is one less.
    Dropped(TaskId),
}

/// The notes of users, and what was read in them.
#[derive(Default)]
pub(super) struct References {
    pub(super) notes: ReferenceNotes,
    /// What was taken of them; empty in between.
    taken: Vec<ReferenceNote>,
    /// Tasks without references of which the scheduler has not been told.
    dropped: Vec<TaskId>,
}

/// Tasks whose last handle is gone are told of together, but so few that what follows stays in the cache.
const DROPPED_TOGETHER: usize = 64;

impl ControllerEngine {
    /// Counts the references of users.
    pub(crate) fn count_references(&mut self) {
        let mut notes = std::mem::take(&mut self.references.taken);
        std::mem::swap(&mut *self.references.notes.lock(), &mut notes);
        for note in notes.drain(..) {
            let (ReferenceNote::Retained(task) | ReferenceNote::Dropped(task)) = note;
            let Some(entry) = self.table.get_mut(task) else { continue };
            match note {
                ReferenceNote::Retained(_) => entry.references += 1,
                ReferenceNote::Dropped(_) => {
                    debug_assert!(entry.references > 0, "a reference is dropped once");
                    entry.references = entry.references.saturating_sub(1);
                    if entry.references == 0 {
                        self.references.dropped.push(task);
                    }
                }
            }
        }
        notes.shrink_to(NOTES_KEPT);
        self.references.taken = notes;
    }

    /// Lets go of what nobody holds any more.
    pub(super) fn release(&mut self) {
        self.count_references();
        if self.references.dropped.is_empty() {
            return;
        }
        let mut dropped = std::mem::take(&mut self.references.dropped);
        for tasks in dropped.chunks(DROPPED_TOGETHER) {
            self.tell_scheduler(Event::Dropped { tasks });
        }
        dropped.clear();
        dropped.shrink_to(NOTES_KEPT);
        self.references.dropped = dropped;
    }
}
