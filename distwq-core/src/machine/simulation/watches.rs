//! Tasks whose ends the user of a simulated run has asked to be told.

use super::task::Seen;
use super::world::World;
use crate::id::CollectorId;
use crate::machine::controller::{Input, Watch};
use crate::outcome::error::TaskError;
use crate::outcome::info::TaskState;

/// One that he has asked for.
#[derive(Debug)]
pub(super) struct Watched {
    pub(super) task: usize,
    is_told: bool,
    /// The map that it is of.
    pub(super) map: Option<usize>,
}

impl World<'_> {
    /// The user asks to be told the end of a task, which may have ended, and of which he
    /// may have asked before.
    pub(super) fn watch(&mut self, task: usize) {
        let watch = self.watch_of(task, CollectorId(1));
        self.tell(Input::Watch { task: self.book.tasks[task].id, watch });
        self.after_controller();
    }

    /// A watch of a task that is there, or is added next.
    pub(super) fn watch_of(&mut self, task: usize, collector: CollectorId) -> Watch {
        self.watched.push(Watched { task, is_told: false, map: None });
        Watch { collector, index: self.watched.len() as u32 - 1 }
    }

    /// What was told has happened, and is told once.
    pub(super) fn check_watches(&mut self) {
        for end in std::mem::take(&mut self.controller.out.ended) {
            let Watched { task, is_told, .. } = &mut self.watched[end.watch.index as usize];
            let model = &self.book.tasks[*task];
            assert!(!std::mem::replace(is_told, true), "the end of {} is told once", model.id);
            self.history.tally.watched += 1;
            if self.book.body_failed {
                continue;
            }
            let has_value = match &model.seen {
                None => panic!("{} is told to have ended, and has not", model.id),
                // Who asks late may ask for a value that was lost with its worker.
                Some(Seen::Value) => end.has_value() || self.workers.iter().all(|worker| !worker.is_dead),
                Some(Seen::Gone { gave }) => gave.unwrap_or(end.has_value()),
                // It may have been lost at once.
                Some(Seen::Error(TaskError::ValueLost { .. })) => end.has_value(),
                Some(Seen::Error(_)) => false,
            };
            assert_eq!(end.has_value(), has_value, "{} is told to have given a value", model.id);
            if let Some(Seen::Error(error)) = &model.seen
                && !has_value
            {
                let is_cancelled = matches!(error, TaskError::Cancelled { .. });
                assert_eq!(end.state == TaskState::Cancelled, is_cancelled, "{}: {error}", model.id);
            }
            self.told_of_map(end.watch.index as usize);
        }
    }
}
