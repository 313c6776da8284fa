//! How many items of a map are under way, and how many travel together.

use std::time::Duration;

/// So much work goes into one message: some hundred times what a message costs, and so
/// little that workers end at the same time.
const CHUNK_NS: f64 = 200_000.0;

/// So much time the source may take to fill a message: who waits for it must not wait for
/// long.
const PULL_NS: f64 = 500_000.0;

/// More items in a message would save nothing.
const CHUNK_MAX: usize = 1_024;

/// So many bytes still go between other messages.
const CHUNK_BYTES: f64 = 15.0 * 1024.0;

/// Items under way for each slot, if nothing is said: one that takes 60 times as long as
/// the others holds nobody up.
const WINDOW_PER_SLOT: usize = 64;

/// Chunks under way for each slot: one runs, one lies ready, one is on its way, one is
/// being taken.
const CHUNKS_PER_SLOT: usize = 4;

/// Tasks for each slot while nothing is known of their durations.
const FIRST_PER_SLOT: usize = 2;

/// A new measurement counts as much as this part of all before.
const NEWS: f64 = 0.25;

/// What a user has said of sizes, and what was measured.
#[derive(Clone, Debug)]
pub(super) struct Sizes {
    pub(super) window: Option<usize>,
    pub(super) chunk: Option<usize>,
    /// Of all workers.
    slots: usize,
    /// Of an item: how long it runs.
    item_ns: Option<f64>,
    /// What was measured last.
    last_ns: f64,
    /// How many bytes its arguments or its output has, the more of both.
    item_bytes: f64,
    /// How long the source takes for it.
    pull_ns: f64,
}

impl Sizes {
    pub(super) fn new(slots: usize) -> Self {
        Self {
            window: None,
            chunk: None,
            slots: slots.max(1),
            item_ns: None,
            last_ns: 0.0,
            item_bytes: 0.0,
            pull_ns: 0.0,
        }
    }

    /// How many items may be pulled and not given.
    pub(super) fn window(&self) -> usize {
        let by_chunks = self.wished_chunk().saturating_mul(CHUNKS_PER_SLOT);
        self.window.unwrap_or_else(|| self.slots.saturating_mul(by_chunks.max(WINDOW_PER_SLOT)))
    }

    /// How many items travel together.
    pub(super) fn chunk(&self) -> usize {
        let share = match (self.chunk, self.window) {
            (Some(_), Some(window)) => window,
            (None, Some(window)) => window / (self.slots * CHUNKS_PER_SLOT),
            (_, None) => usize::MAX,
        };
        self.wished_chunk().min(share).max(1)
    }

    /// The same without a look at the window.
    fn wished_chunk(&self) -> usize {
        if let Some(chunk) = self.chunk {
            return chunk;
        }
        let Some(item_ns) = self.item_ns else { return 1 };
        let by_time = (CHUNK_NS / item_ns.max(1.0)).min(PULL_NS / self.pull_ns.max(1.0));
        let by_bytes = CHUNK_BYTES / self.item_bytes.max(1.0);
        (by_time.min(by_bytes) as usize).clamp(1, CHUNK_MAX)
    }

    /// Whether so many tasks under way are enough until something is known of their
    /// durations.
    pub(super) fn waits_to_learn(&self, tasks: usize) -> bool {
        self.chunk.is_none() && self.item_ns.is_none() && tasks >= self.slots * FIRST_PER_SLOT
    }

    /// A task of so many items has run for this time.
    pub(super) fn ran(&mut self, items: u32, ran_ns: u64) {
        let new = ran_ns as f64 / f64::from(items.max(1));
        let last = std::mem::replace(&mut self.last_ns, new);
        let Some(old) = self.item_ns else {
            self.item_ns = Some(new);
            return;
        };
        // A worker that has not had its core for a while is no news. What takes long
        // twice is believed at once: it must not be joined with others.
        let new = new.min(last);
        self.item_ns = Some(if new > 2.0 * old { new } else { old + NEWS * (new - old) });
    }

    /// So many items had so many bytes of arguments, or of outputs.
    pub(super) fn carried(&mut self, items: u32, bytes: usize) {
        let new = bytes as f64 / f64::from(items.max(1));
        self.item_bytes = new.max(self.item_bytes + NEWS * (new - self.item_bytes));
    }

    /// The source has given so many items in this time.
    pub(super) fn pulled(&mut self, items: usize, took: Duration) {
        if items > 0 {
            let new = took.as_nanos() as f64 / items as f64;
            self.pull_ns += NEWS * (new - self.pull_ns);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn measured(slots: usize, item_ns: u64) -> Sizes {
        let mut sizes = Sizes::new(slots);
        sizes.ran(1, item_ns);
        sizes
    }

    #[test]
    fn small_items_are_joined_and_slow_ones_go_singly() {
        for (item_ns, chunk) in [(0, 1_024), (100, 1_024), (1_000, 200), (50_000, 4), (150_000, 1), (1 << 40, 1)] {
            assert_eq!(measured(4, item_ns).chunk(), chunk, "{item_ns} ns");
        }
    }

    #[test]
    fn the_window_bounds_the_chunks() {
        let said = |window, chunk| Sizes { window: Some(window), chunk, ..measured(2, 100) };
        for (window, chunk, expected) in
            [(1, None, 1), (64, None, 8), (1_000, None, 125), (10, Some(50), 10), (10, Some(3), 3)]
        {
            let sizes = said(window, chunk);
            assert_eq!((sizes.window(), sizes.chunk()), (window, expected));
        }
    }

    #[test]
    fn without_a_word_the_window_holds_some_chunks_of_each_slot() {
        assert_eq!(measured(3, 1 << 30).window(), 3 * 64);
        assert_eq!(measured(3, 1).window(), 3 * 4 * 1_024);
        assert_eq!(Sizes { chunk: Some(1_000), ..Sizes::new(3) }.window(), 3 * 4_000);
        assert_eq!(Sizes { chunk: Some(usize::MAX), ..Sizes::new(3) }.window(), usize::MAX);
    }

    #[test]
    fn what_takes_long_twice_is_believed_at_once_and_what_is_quick_by_and_by() {
        let mut sizes = measured(1, 100);
        sizes.ran(256, 256 * 10_000_000);
        assert_eq!(sizes.chunk(), 1_024, "it may have been the machine");
        sizes.ran(256, 256 * 10_000_000);
        assert_eq!(sizes.chunk(), 1);
        for _ in 0..60 {
            sizes.ran(1, 100);
        }
        assert_eq!(sizes.chunk(), 1_024);
    }

    #[test]
    fn large_items_and_slow_sources_make_small_chunks() {
        let mut sizes = measured(1, 1);
        sizes.carried(10, 10 * 5_000);
        assert_eq!(sizes.chunk(), 3);
        let mut sizes = measured(1, 1);
        (0..50).for_each(|_| sizes.pulled(10, Duration::from_millis(1)));
        assert_eq!(sizes.chunk(), 5);
    }

    #[test]
    fn the_first_tasks_are_few_until_something_is_known() {
        let sizes = Sizes::new(2);
        assert_eq!([3, 4].map(|tasks| sizes.waits_to_learn(tasks)), [false, true]);
        assert!(!measured(2, 5).waits_to_learn(4));
        assert!(!Sizes { chunk: Some(7), ..Sizes::new(2) }.waits_to_learn(4));
    }
}
