//! How much is queued: tasks that were taken and have not ended, and the bytes of their
//! arguments. Users who submit more than is wished for wait until less is.

use super::outbox::Outbox;
use super::{Awaited, Controller};

/// Arguments of fewer bytes are not counted: a task takes memory like theirs anyway.
const COUNTED_BYTES_MIN: usize = 1 << 10;

/// What is queued besides the number of tasks, which the scheduler knows.
#[derive(Default, Debug)]
pub(super) struct Queue {
    /// Bytes of arguments that came as values.
    bytes: u64,
    /// Somebody waits until there is room.
    pub(super) is_wanted: bool,
}

impl Queue {
    /// A task was taken with arguments of so many bytes.
    #[inline(always)]
    pub(super) fn takes(&mut self, bytes: usize) {
        if bytes >= COUNTED_BYTES_MIN {
            self.bytes += bytes as u64;
        }
    }

    /// A task has ended that was taken with so many.
    #[inline(always)]
    pub(super) fn gives(&mut self, bytes: usize) {
        if bytes >= COUNTED_BYTES_MIN {
            debug_assert!(self.bytes >= bytes as u64, "what was taken is given back once");
            self.bytes = self.bytes.saturating_sub(bytes as u64);
        }
    }

    /// How many bytes are queued.
    #[cfg(any(test, feature = "simulation"))]
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }
}

impl Controller {
    /// Whether one more task may be queued.
    #[inline]
    pub(crate) fn has_room(&self) -> bool {
        (self.pending() as u64) < self.settings.queue_max && self.queue.bytes < self.settings.queue_bytes_max
    }

    /// Whether somebody is told when there is room.
    pub(crate) fn is_room_wanted(&self) -> bool {
        self.queue.is_wanted
    }

    /// Tells who waits for room, if there is some, or none will be needed.
    pub(super) fn note_room(&mut self, out: &mut Outbox) {
        if self.queue.is_wanted && (self.has_room() || self.ends_new_tasks()) {
            self.queue.is_wanted = false;
            out.happened.note(Awaited::Room);
        }
    }
}
