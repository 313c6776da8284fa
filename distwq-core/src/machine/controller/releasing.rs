//! Lets go of what no user refers to any more.

use super::Controller;
use super::outbox::Outbox;
use super::references::ReferenceNote;
use crate::machine::scheduler::Event;

/// The scheduler hears of tasks without handles in groups: so small that what it touches
/// stays in the cache.
const DROPPED_TOGETHER: usize = 64;

impl Controller {
    /// Counts the references of users.
    pub(super) fn count_references(&mut self, notes: &mut Vec<ReferenceNote>) {
        for note in notes.drain(..) {
            match note {
                ReferenceNote::Retained(task) => {
                    if let Some(entry) = self.table.get_mut(task) {
                        entry.references += 1;
                    }
                }
                ReferenceNote::Dropped(task) => {
                    let Some(entry) = self.table.get_mut(task) else { continue };
                    debug_assert!(entry.references > 0, "a reference is dropped once");
                    entry.references = entry.references.saturating_sub(1);
                    if entry.references == 0 {
                        self.unreferenced.add(task);
                    }
                }
                ReferenceNote::GraphForgotten(graph_run) => self.graph_runs.forget(graph_run),
            }
        }
    }

    /// Lets go of what nobody holds any more.
    pub(super) fn release(&mut self, out: &mut Outbox) {
        if self.unreferenced.is_empty() {
            return;
        }
        let dropped = self.unreferenced.take();
        for tasks in dropped.chunks(DROPPED_TOGETHER) {
            self.tell_scheduler(Event::Dropped { tasks }, out);
        }
        self.unreferenced.give_back(dropped);
    }
}
