//! The descriptions of the few tasks of a worker that have one and have not begun.

use crate::id::TaskId;
use crate::task::current::Described;
use crate::task::items::Items;
use rustc_hash::FxHashMap;

/// Descriptions by task.
#[derive(Default, Debug)]
pub(super) struct Descriptions(FxHashMap<TaskId, Box<Described>>);

impl Descriptions {
    /// A task has come; few have a description.
    pub(super) fn keep(
        &mut self,
        task: TaskId,
        label: Option<&str>,
        attempt: u32,
        limit_ns: Option<u64>,
        items: Option<Items>,
    ) {
        if label.is_some() || attempt > 1 || limit_ns.is_some() || items.is_some() {
            let described = Described { limit_ns, ..Described::new(label, attempt, items) };
            self.0.insert(task, Box::new(described));
        }
    }

    /// How many there are.
    #[cfg(any(test, feature = "simulation"))]
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// That of a task that begins, or never will.
    #[inline]
    pub(super) fn take(&mut self, task: TaskId) -> Option<Box<Described>> {
        // Asked for each task, and there are none as a rule.
        if self.0.is_empty() { None } else { self.0.remove(&task) }
    }
}
