//! The clocks of the ranks, and how old a time their machines are told. It stands for
//! `runtime/clock.rs` and for the threads that read the clock: a driver does so once for
//! several turns, an executor before it comes to the engine. So a worker's machine may be
//! told of an end that was before its last turn, and of a turn that was before the last
//! begin. The controller's is never told an earlier time than before.

use super::network::CONTROLLER;
use super::random::Random;
use super::world::World;
use crate::id::Rank;
use crate::machine::Ns;

/// A thread that has read the clock and then lost its core comes so late at most.
const LAG_RARE_NS_MAX: Ns = 5_000_000;

/// The clock of a rank.
#[derive(Debug)]
pub(super) struct Clock {
    /// It is ahead of the world's by so much.
    ahead: Ns,
    /// The time of the last turn, or what was read since then to be kept.
    kept: Ns,
}

impl Clock {
    pub(super) fn new(now: Ns, ahead: Ns) -> Self {
        Self { ahead, kept: now + ahead }
    }

    /// What it shows at a time of the world.
    pub(super) fn shows(&self, now: Ns) -> Ns {
        now + self.ahead
    }

    /// The time of the world at which it shows this.
    pub(super) fn when(&self, shown: Ns) -> Ns {
        shown.saturating_sub(self.ahead)
    }

    /// What was kept last.
    pub(super) fn kept(&self) -> Ns {
        self.kept
    }

    /// Keeps what it has shown so long ago, but never less than was kept before.
    pub(super) fn keep(&mut self, now: Ns, lag: Ns) -> Ns {
        self.kept = self.kept.max(self.shows(now).saturating_sub(lag));
        self.kept
    }
}

impl World<'_> {
    /// The time that the machine of a rank is told in a turn. It may be an old one,
    /// unless the clock is read for this turn, as after a nap until a deadline.
    pub(super) fn time_of_turn(&mut self, rank: Rank, reads_clock: bool) -> Ns {
        let lag = if reads_clock { 0 } else { draw_lag(&mut self.random, self.shape.lag_ns_max) };
        let clock = match rank {
            CONTROLLER => &mut self.controller.clock,
            worker => &mut self.workers[worker.index() - 1].clock,
        };
        clock.keep(self.agenda.now(), lag)
    }
}

/// How old a time is: less than `most` as a rule. With 0 all times are true.
pub(super) fn draw_lag(random: &mut Random, most: Ns) -> Ns {
    match most {
        0 => 0,
        _ if random.below(200) == 0 => random.up_to(LAG_RARE_NS_MAX),
        _ => random.below(most),
    }
}
