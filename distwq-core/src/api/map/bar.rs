//! What a map shows on standard error of how far it is.

use crate::api::progress::{HowFar, ProgressBar};
use crate::config::ProgressStyle;
use crate::outcome::error::TaskError;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// A bar, or lines, and what they show.
#[derive(Debug)]
pub(super) struct Bar {
    counts: Arc<Counts>,
    _shown: ProgressBar,
}

#[derive(Default, Debug)]
struct Counts {
    ended: AtomicU64,
    failed: AtomicU64,
    cancelled: AtomicU64,
}

impl Bar {
    /// One of so many items, if that is known.
    pub(super) fn new(style: ProgressStyle, of: Option<u64>) -> Self {
        let counts = Arc::new(Counts::default());
        let shown = Arc::clone(&counts);
        let look = move || {
            let Counts { ended, failed, cancelled } = &*shown;
            HowFar::of([ended, failed, cancelled].map(|count| count.load(Ordering::Relaxed)), of)
        };
        Self { counts, _shown: ProgressBar::show(style, look) }
    }

    /// So many items have ended.
    pub(super) fn ended(&self, items: usize) {
        self.counts.ended.store(items as u64, Ordering::Relaxed);
    }

    /// One more item has no value.
    pub(super) fn has_none(&self, error: &TaskError) {
        let Counts { failed, cancelled, .. } = &*self.counts;
        let count = if matches!(error, TaskError::Cancelled { .. }) { cancelled } else { failed };
        count.fetch_add(1, Ordering::Relaxed);
    }
}
