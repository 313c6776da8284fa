//! What is driven.

use super::waiters::Waiters;
use crate::codec::frame::Frame;
use crate::machine::{Garbage, Notice, Ns, Outgoing};
use crate::runtime::traffic::Traffic;
use crate::transport::{Flow, Transport};
use std::fmt::Debug;
use std::time::Duration;

/// The state of a rank, advanced in turns.
pub(crate) trait Engine: Send {
    /// What threads of the rank wait for. Of several that wait the one with the greatest
    /// drives.
    type Awaited: Awaited;

    /// Receives all there is, decides, sends. `now` may be a moment ago.
    fn turn(&mut self, now: Ns) -> Turn;

    /// Whether turns are needed although nobody waits, because tasks run or messages
    /// flow.
    fn is_busy(&self) -> bool;

    /// Whether messages wait here for a turn to send them. Nobody rings for these.
    fn has_unsent(&self) -> bool;

    /// How many turns threads have taken in passing, without driving.
    fn turns_in_passing(&self) -> u64;

    /// After how long at most a turn is needed although nobody has rung.
    fn nap_max(&self) -> Duration;

    /// When a turn is needed at the latest, whatever happens.
    fn next_deadline(&self) -> Option<Ns> {
        None
    }

    /// Whether users' values have become garbage here. The controller has none: what it
    /// keeps of them is encoded.
    fn has_garbage(&self) -> bool {
        false
    }

    /// Takes them, to be dropped outside the lock.
    fn take_garbage(&mut self) -> Garbage {
        Garbage::new()
    }

    /// Whether observers are to be told something.
    fn has_notices(&self) -> bool {
        false
    }

    /// Takes it, to be told outside the lock: observers are users' code.
    fn take_notices(&mut self) -> Vec<Notice> {
        Vec::new()
    }

    /// Wakes the threads that wait for what has happened since the last call.
    fn wake(&mut self, waiters: &mut Waiters<Self::Awaited>);
}

/// What a thread waits for.
pub(crate) trait Awaited: Copy + Ord + Debug + Send {
    /// Whether a thread that waits for this may drop users' values meanwhile: its stack
    /// is as large as tasks were promised, and it is not in the middle of a task.
    fn may_drop_values(self) -> bool {
        false
    }
}

/// What a turn found.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Turn {
    /// Nothing to do.
    Idle,
    /// Nothing new, but something is on its way and wants to be moved on.
    Moving,
    /// Something happened.
    Worked,
}

impl Turn {
    /// One in which something has happened, or not, and after which the transport is in
    /// this state.
    pub(crate) fn of(worked: bool, flow: Flow) -> Self {
        match (worked, flow) {
            (true, _) => Self::Worked,
            (false, Flow::Moving) => Self::Moving,
            (false, Flow::Still) => Self::Idle,
        }
    }
}

/// Sends what lies in an outbox, and counts it.
#[inline(never)]
pub(crate) fn send_all(outgoing: &mut Outgoing, transport: &mut dyn Transport, traffic: &mut Traffic) {
    let send = |(transport, traffic): &mut (&mut dyn Transport, &mut Traffic), rank, frame: Frame| {
        traffic.bytes_out += frame.bytes();
        transport.send(rank, frame);
    };
    outgoing.take(&mut (transport, traffic), send, |(transport, _)| transport.buffer());
}
