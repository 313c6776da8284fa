//! All that can happen to a worker.

use super::attempt::Attempt;
use crate::codec::frame::Frame;
use crate::id::{GroupKey, Rank, Slot};
use crate::task::lines::Line;
use crate::task::recipe::{Final, Renewal};
use crate::wire::report::Measured;

/// What has happened.
pub(crate) enum Input<'a> {
    /// A frame has come from another rank.
    Frame { from: Rank, frame: &'a Frame },
    /// An executor takes the first task that is ready; the caller knows that there is
    /// one.
    Begin { slot: Slot, attempt: &'a mut Attempt },
    /// What an executor has taken has ended.
    Ended { slot: Slot, attempt: &'a mut Attempt },
    /// A member of a group waits for a message that is not here.
    Awaits { epoch: u64, from: usize, key: GroupKey },
    /// All that had come was handled: deadlines that have come are looked at, and what
    /// the controller is told goes out.
    TurnEnds,
    /// The controller is to be told what this rank holds and runs, as the
    /// [outbox](super::Outbox::take_asked) has asked. Tasks of these numbers have said
    /// that they have done so many hundredths of their work; some may have ended.
    Reports { measured: Measured, marks: Vec<(u32, u8)> },
    /// Tasks have logged these lines, and some of which nobody will hear.
    Lines { lines: Vec<Line>, dropped: u64 },
    /// An executor has made the first state of its slot in so many nanoseconds, or could
    /// not.
    StateMade { failure: Option<String>, took_ns: u64 },
    /// An executor makes the state of its slot anew, of which this is next; with nothing,
    /// it goes on with its task.
    Renews { slot: Slot, by: Option<Renewal> },
    /// An executor could not make the state of its slot anew.
    StateLost { failure: String },
    /// An executor has ended the state of its slot, as it was
    /// [asked](super::Worker::wants_final) to.
    StateEnded { slot: Slot, finals: Vec<Final> },
    /// An executor could not end the state of its slot, which nobody has asked for.
    StateNotFinished { failure: String },
    /// All executors have returned: nothing runs here any more.
    Finished,
}

/// What threads of the rank wait for. Of several the one with the greatest drives.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Awaited {
    /// Something new in the group of this epoch.
    Group(u64),
    /// A task to run.
    Task,
    /// All ranks having joined in the end.
    Closed,
}

/// What an executor does next.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Next {
    /// Begin a task.
    Begin,
    /// End the state of the slot.
    Finish,
    /// Nothing more will come.
    Stop,
}
