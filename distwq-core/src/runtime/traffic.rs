//! What a rank measures of itself, for its machine to tell: bytes that it has sent and
//! received, and how long it exists.

use super::clock::now_ns;
use crate::machine::Ns;
use crate::memory::buffers;
use crate::transport::Transport;
use crate::wire::report::Measured;

/// The bytes of the frames of a rank.
#[derive(Clone, Copy, Default, Debug)]
pub(crate) struct Traffic {
    pub(crate) bytes_in: u64,
    pub(crate) bytes_out: u64,
}

impl Traffic {
    /// All that is measured of a rank that was launched and then served from these
    /// times on.
    pub(crate) fn measured(&self, (launched_ns, serving_ns): (Ns, Ns), transport: &dyn Transport) -> Measured {
        let Self { bytes_in, bytes_out } = *self;
        Measured {
            kept_bytes: (transport.kept_bytes() + buffers::kept_bytes()) as u64,
            bytes_in,
            bytes_out,
            starting_ns: serving_ns.saturating_sub(launched_ns),
            serving_ns: now_ns().saturating_sub(serving_ns),
            busy_ns: 0,
        }
    }
}

/// For how long the controller handles what has come. The first turns in which something
/// has are all timed, and then each eighth, which counts for eight: to read the clock
/// twice takes 70 ns, a turn for one short task 2 us.
#[derive(Default, Debug)]
pub(crate) struct Busy {
    turns: u64,
    pub(crate) ns: u64,
}

/// So many turns are all timed.
const TURNS_TIMED: u64 = 64;

/// From then on each of so many.
const TIMED_EACH: u64 = 8;

impl Busy {
    /// A turn begins to handle something. Gives when, if it is timed.
    #[inline]
    pub(crate) fn begins(&mut self) -> Option<Ns> {
        self.turns += 1;
        (self.turns <= TURNS_TIMED || self.turns.is_multiple_of(TIMED_EACH)).then(now_ns)
    }

    /// It has handled all.
    #[inline]
    pub(crate) fn ends(&mut self, begun: Option<Ns>) {
        if let Some(begun) = begun {
            let weight = if self.turns <= TURNS_TIMED { 1 } else { TIMED_EACH };
            self.ns += weight * now_ns().saturating_sub(begun);
        }
    }
}
