//! How a thread passes the time between two turns: it spins, then yields, then sleeps.

use super::engine::Turn;
use crate::machine::Ns;
use crate::runtime::clock::now_ns;
use std::time::Duration;

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

/// A driver takes so many turns for one look at the clock, and for one yield while nobody
/// else wants its core. Either takes as long as some turns that find nothing, and nobody
/// sees meanwhile what has arrived.
const TURNS_TOGETHER: u32 = 8;

/// A yield that takes longer has lent the core to another thread. One that finds nobody
/// takes half of it, one that finds a thread that yields in turn about three times as
/// much (Linux 6, virtual machine).
const YIELD_MAX_NS: Ns = 1_500;

/// Whether other threads want the core that this one runs on, by what its last yield has
/// shown.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(super) enum Core {
    #[default]
    Wanted,
    Free,
}

impl Core {
    /// Lets other threads at the core, and says whether one was there.
    pub(super) fn yields() -> Self {
        let begun = now_ns();
        std::thread::yield_now();
        if now_ns() - begun > YIELD_MAX_NS { Self::Wanted } else { Self::Free }
    }
}

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
    idle_since: Option<Ns>,
    turns: u32,
    /// When the clock was last read.
    now: Ns,
    /// How many turns it has spun since it did something else.
    spun: u32,
}

impl Backoff {
    pub(super) fn new(patience: Patience) -> Self {
        Self { patience, idle_since: None, turns: 0, now: 0, spun: 0 }
    }

    /// The time for the next turn.
    pub(super) fn time(&mut self) -> Ns {
        if self.spun.is_multiple_of(TURNS_TOGETHER) {
            self.now = now_ns();
        }
        self.now
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

    /// A thread of this rank has left something to do: what follows from it may come in
    /// the moment in which nobody listens. Naps begin short again, so that this costs
    /// little.
    pub(super) fn rung_from_inside(&mut self) {
        self.idle_since = Some(now_ns().saturating_sub(self.patience.yielding.as_nanos() as Ns));
    }

    /// For how long it has found nothing.
    pub(super) fn idle(&self) -> Duration {
        self.idle_since.map_or(Duration::ZERO, |since| Duration::from_nanos(now_ns().saturating_sub(since)))
    }

    /// Changes how long it yields before it naps.
    pub(super) fn set_yielding(&mut self, yielding: Duration) {
        self.patience.yielding = yielding;
    }

    pub(super) fn step(&mut self, core: Core) -> Step {
        let step = self.next_step(core);
        self.spun = if matches!(step, Step::Spin) { self.spun + 1 } else { 0 };
        step
    }

    fn next_step(&mut self, core: Core) -> Step {
        if self.turns == 0 {
            // Something moves: at once again, but with more threads than cores the other
            // side needs the core.
            return if self.patience.spin.is_zero() { Step::Yield } else { Step::Again };
        }
        let since = *self.idle_since.get_or_insert(self.now);
        let idle = Duration::from_nanos(self.now.saturating_sub(since));
        let together = core == Core::Free && self.spun + 1 < TURNS_TOGETHER;
        if idle < self.patience.spin || (together && idle < self.patience.yielding) {
            Step::Spin
        } else if idle < self.patience.yielding {
            Step::Yield
        } else {
            Step::Nap(idle / NAP_PART)
        }
    }
}
