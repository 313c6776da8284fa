//! What ranks say to each other besides the messages of [attempts](super::attempt): an
//! enum for each direction. What carries it is a [`Frame`](crate::codec::frame::Frame).

use crate::codec::frame::{Blob, raw};
use crate::config::Settings;
use crate::function::fingerprint::Fingerprint;
use crate::id::{GroupKey, Rank, TaskId};
use crate::peers::Process;
use crate::task::lines::Line;
use crate::wire::report::Report;
use serde::{Deserialize, Serialize};

/// The version of this protocol. Ranks that differ in it refuse each other.
pub(crate) const PROTOCOL: u32 = 1;

/// What the controller says to a worker, besides [`Run`](super::attempt::Run).
#[derive(Serialize, Deserialize, Debug)]
pub(crate) enum ToWorker<'a> {
    /// The answer to `Hello`: what holds for all ranks.
    Welcome(Welcome),
    /// The other answer to `Hello`: the ranks do not fit together.
    Refuse { reason: &'a str },
    /// Give back those of these tasks that have not begun.
    TakeBack { tasks: Vec<TaskId> },
    /// These tasks are not wanted any more: those that have not begun never will, and
    /// those that run learn of it. One may still be on its way.
    Cancel { tasks: Vec<TaskId> },
    /// These tasks, which were cancelled, have ended: none of them comes any more.
    CancelOver { tasks: Vec<TaskId> },
    /// All members are ready: begin.
    Enter { epoch: u64 },
    /// This member of the group has failed, so it will not begin or cannot go on.
    Leave { epoch: u64, member: u32, failure: &'a str },
    /// Say whether you wait in the group, and how much you have exchanged.
    AskWait { epoch: u64, round: u32 },
    /// These members of a group wait for you, who has left it: tell them so.
    SayLeft { epoch: u64, to: Vec<u32> },
    /// The members of the group wait for each other.
    Deadlock { epoch: u64, waits: &'a str },
    /// Free the raw communicator of these ranks, if there is one.
    FreeGroup {
        #[serde(with = "raw")]
        members: &'a [u8],
    },
    /// Nobody needs these values any more.
    Forget { values: Vec<TaskId> },
    /// This rank is gone: what was asked of it never comes.
    Lost { rank: Rank },
    /// A state could not be made, on some worker: no task begins any more.
    Bar { failure: &'a str },
    /// All tasks have ended: end the states of your slots.
    Finish,
    /// Say what you hold and what you run.
    Report,
    /// The run is over.
    Stop { failed: bool },
    /// The controller's process exits: so does this one, at once.
    Exit,
    /// What any rank may say to any other.
    #[serde(borrow)]
    Peer(ToPeer<'a>),
}

/// What a worker says to the controller, besides [`Done`](super::attempt::Done).
#[derive(Serialize, Deserialize, Debug)]
pub(crate) enum ToController<'a> {
    /// The first message of a rank.
    Hello(Hello),
    /// The answer to `TakeBack`: those that had not begun, of those that were asked for.
    Returned { tasks: Vec<TaskId> },
    /// An answer to `Cancel`: those that had not begun, and now never will.
    NotBegun { tasks: Vec<TaskId> },
    /// An attempt has reached its run limit and goes on; when it began. With a failure it
    /// has no state: that is not made in time. What comes of it later is dropped.
    Overran { task: TaskId, started_ns: u64, failure: Option<&'a str> },
    /// The inputs of a group task are here.
    Ready { epoch: u64 },
    /// The answer to `Leave`: this rank is not stuck in raw MPI.
    Heard { epoch: u64 },
    /// This member of a group waits for long, or answers `AskWait`; then it may have
    /// left.
    Waits(WaitReport),
    /// The answer to `Report`.
    Report(Report),
    /// The states of all slots are made, or one could not be.
    StatesMade { failure: Option<&'a str> },
    /// The answer to `Finish`: what the states were made to, in the order of the slots.
    Finals {
        #[serde(borrow)]
        values: Vec<Result<Blob<'a>, &'a str>>,
    },
    /// Lines that tasks here have logged, and of how many nobody will hear.
    Lines { lines: Vec<Line>, dropped: u64 },
    /// These values have not come, and this rank has none of them.
    Missing { values: Vec<TaskId> },
    /// After `Stop`: nothing runs on this rank any more, and what had not begun never
    /// will. With why a state could not be finished, if nobody has asked for that.
    Stopped { failure: Option<&'a str> },
    /// What any rank may say to any other.
    #[serde(borrow)]
    Peer(ToPeer<'a>),
}

/// What a member of a group waits for, and how much it has exchanged with all others
/// together.
#[derive(Serialize, Deserialize, Clone, PartialEq, Eq, Debug)]
pub(crate) struct WaitReport {
    pub(crate) epoch: u64,
    /// The member and the message that this one waits for; nothing if it does not wait,
    /// or has left.
    pub(crate) on: Option<(u32, GroupKey)>,
    /// How many messages it has sent, and how many have come to it, by now.
    pub(crate) sent: u64,
    pub(crate) received: u64,
    /// Of which `AskWait` this is the answer.
    pub(crate) answers: Option<u32>,
}

/// What any rank may say to any other.
#[derive(Serialize, Deserialize, Debug)]
pub(crate) enum ToPeer<'a> {
    /// Send me this value.
    Fetch { value: TaskId },
    /// The answer to `Fetch`; nothing if it is not here.
    Value {
        value: TaskId,
        #[serde(borrow)]
        bytes: Option<Blob<'a>>,
    },
    /// A message within a group.
    Group {
        epoch: u64,
        key: GroupKey,
        #[serde(borrow)]
        bytes: Blob<'a>,
    },
    /// The sender has left the group without an error, after `sent` messages to this
    /// member, which waits for it.
    GroupLeft { epoch: u64, sent: u64 },
}

/// What a rank says of itself before anything else.
#[derive(Serialize, Deserialize, Clone, PartialEq, Eq, Debug)]
pub(crate) struct Hello {
    pub(crate) protocol: u32,
    pub(crate) fingerprint: Fingerprint,
    pub(crate) host: String,
    pub(crate) process: Process,
}

/// What the controller says of the run before anything else.
#[derive(Serialize, Deserialize, Clone, PartialEq, Eq, Debug)]
pub(crate) struct Welcome {
    /// The controller's process, for the one worker of its host that watches it.
    pub(crate) controller_process: Option<Process>,
    pub(crate) settings: Settings,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::Payload;
    use crate::codec::frame::{ATTACHED_BYTES_MIN, Frame, Messages};

    #[test]
    fn small_payloads_ride_within_and_large_ones_beside() {
        let small = Payload::copy_of(&[7; 40]);
        let large = Payload::from(vec![9; ATTACHED_BYTES_MIN]);
        let mut frame = Frame::default();
        for payload in [&small, &large] {
            let bytes = Some(frame.blob(payload));
            let value = TaskId::new(3, 4);
            frame.push(&ToPeer::Value { value, bytes });
        }
        assert_eq!(frame.attachments.len(), 1);
        let mut messages = Messages::of(&frame);
        for expected in [small, large] {
            let Ok(Some(ToPeer::Value { bytes: Some(blob), .. })) = messages.next() else {
                panic!("a value was sent");
            };
            assert_eq!(frame.payload(blob), Ok(expected));
        }
        assert!(matches!(messages.next::<ToPeer<'_>>(), Ok(None)));
    }

    #[test]
    fn a_torn_frame_is_an_error() {
        let mut frame = Frame::default();
        frame.push(&ToWorker::Stop { failed: false });
        frame.push(&ToWorker::Forget { values: vec![TaskId::new(1, 1)] });
        frame.body.pop();
        let mut messages = Messages::of(&frame);
        assert!(matches!(messages.next(), Ok(Some(ToWorker::Stop { failed: false }))));
        assert!(messages.next::<ToWorker<'_>>().is_err());
    }
}
