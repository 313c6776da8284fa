//! Whether a task that a user adds goes to its worker at once. It does if that worker has
//! nothing else, as long as that happens now and then, and at the beginning of a burst,
//! once for each worker. Within a burst a frame for each task would cost more than the
//! worker has to wait for company.

use crate::machine::Ns;

/// A user who finds workers idle without this long a pause adds tasks in a burst.
const BURST_NS: Ns = 10_000;

/// What is known of the burst that may be under way.
#[derive(Default, Debug)]
pub(super) struct Prompt {
    /// When a user last added a task for an idle worker.
    found_idle_ns: Ns,
    /// How many of these tasks may still go at once.
    left: usize,
}

impl Prompt {
    /// Whether a task goes at once that a user adds now, for an idle one of so many
    /// workers.
    pub(super) fn goes_at_once(&mut self, now: Ns, workers: usize) -> bool {
        if now.saturating_sub(self.found_idle_ns) > BURST_NS {
            self.left = workers;
        }
        self.found_idle_ns = now;
        let goes = self.left > 0;
        self.left -= usize::from(goes);
        goes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn in_a_burst_the_first_task_for_each_worker_goes_at_once() {
        let mut prompt = Prompt::default();
        let start: Ns = 1_000_000_000;
        let burst: Vec<bool> = (0..5).map(|n| prompt.goes_at_once(start + n * BURST_NS, 2)).collect();
        assert_eq!(burst, [true, true, false, false, false]);
    }

    #[test]
    fn what_is_added_now_and_then_goes_at_once() {
        let mut prompt = Prompt::default();
        let start: Ns = 1_000_000_000;
        assert!((0..5).all(|n| prompt.goes_at_once(start + n * (BURST_NS + 1), 1)));
    }
}
