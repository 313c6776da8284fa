//! How a thread passes the time between two turns: it spins, then yields, then sleeps.

use super::engine::Turn;
use std::time::{Duration, Instant};

/// How long a driver that finds nothing spins, and then yields, before it naps.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Patience {
    pub(crate) spin: Duration,
    pub(crate) yielding: Duration,
}

impl Patience {
    /// For a rank on a host where so many threads of this run wait. With more of them
    /// than cores, spinning takes the core from whoever should answer.
    pub(crate) fn among(threads_on_host: usize) -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        // Longer than a round trip takes; past that, yielding costs little and lets
        // others at a core that they share.
        let spin = if threads_on_host > cores { 0 } else { 5 };
        Self { spin: Duration::from_micros(spin), yielding: Duration::from_micros(2_000) }
    }
}

/// A nap is this part of the time without work so far: two ranks that answer each other
/// must not learn to nap from each other's naps, so each nap is short beside what led to
/// it. So is what it costs if a ring comes before the message that it is for can be seen.
const NAP_PART: u32 = 4;

/// What a driver does between two turns.
#[derive(Debug)]
pub(super) enum Step {
    Again,
    Spin,
    Yield,
    Nap(Duration),
}

/// Spins first, then yields, then naps, longer and longer.
#[derive(Debug)]
pub(super) struct Backoff {
    patience: Patience,
    idle_since: Option<Instant>,
    turns: u32,
}

impl Backoff {
    pub(super) fn new(patience: Patience) -> Self {
        Self { patience, idle_since: None, turns: 0 }
    }

    pub(super) fn after(&mut self, turn: Turn) {
        match turn {
            Turn::Idle => self.turns = self.turns.wrapping_add(1),
            Turn::Moving | Turn::Worked => {
                self.idle_since = None;
                self.turns = 0;
            }
        }
    }

    /// Somebody has brought something that may not be seen yet: it is worth staying awake
    /// for a while.
    pub(super) fn rung(&mut self) {
        self.idle_since = None;
    }

    /// For how long it has found nothing.
    pub(super) fn idle(&self) -> Duration {
        self.idle_since.map_or(Duration::ZERO, |since| since.elapsed())
    }

    /// Changes how long it yields before it naps.
    pub(super) fn set_yielding(&mut self, yielding: Duration) {
        self.patience.yielding = yielding;
    }

    pub(super) fn step(&mut self) -> Step {
        if self.turns == 0 {
            // Something moves: at once again, but with more threads than cores the other
            // side needs the core.
            return if self.patience.spin.is_zero() { Step::Yield } else { Step::Again };
        }
        let since = *self.idle_since.get_or_insert_with(Instant::now);
        let idle = since.elapsed();
        if idle < self.patience.spin {
            Step::Spin
        } else if idle < self.patience.yielding {
            Step::Yield
        } else {
            Step::Nap(idle / NAP_PART)
        }
    }
}
