//! The whole protocol: what ranks say to each other, an enum for each direction. What carries it is a
//! [`Frame`](crate::codec::frame::Frame).

use crate::codec::PayloadWriter;
use crate::codec::frame::{Blob, GENERAL};
use crate::config::Settings;
use crate::function::fingerprint::Fingerprint;
use crate::function::registry::FunctionId;
use crate::function::remote::Failure;
use crate::id::{GroupKey, Rank, TaskId};
use crate::peers::Process;
use serde::{Deserialize, Serialize};
use smallvec::SmallVec;

/// The version of this protocol. Ranks that differ in it refuse each other.
pub(crate) const PROTOCOL: u32 = 1;

/// What the controller says to a worker.
#[derive(Serialize, Deserialize, Debug)]
pub(crate) enum ToWorker<'a> {
    /// The answer to `Hello`: what holds for all ranks.
    Welcome(Welcome),
    /// The other answer to `Hello`: the ranks do not fit together.
    Refuse { reason: &'a str },
    /// Run this, as soon as the inputs are here and a slot is free.
    #[serde(borrow)]
    Run(Run<'a>),
    /// Give back those of these tasks that have not begun.
    TakeBack { tasks: Vec<TaskId> },
    /// Become a member of a group: fetch the inputs, then say `Ready`.
    Prepare {
        epoch: u64,
        members: Vec<Rank>,
        #[serde(borrow)]
        run: Run<'a>,
    },
    /// All members are ready: begin.
    Enter { epoch: u64 },
    /// The group will not begin, or a member of it has failed.
    Leave { epoch: u64 },
    /// Say whether you wait in the group.
    AskWait { epoch: u64 },
    /// The members of the group wait for each other.
    Deadlock { epoch: u64, waits: &'a str },
    /// Free the raw communicator of these ranks, if there is one.
    FreeGroup { members: Vec<Rank> },
    /// Nobody needs these values any more.
    Forget { values: Vec<TaskId> },
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

/// What a worker says to the controller.
#[derive(Serialize, Deserialize, Debug)]
pub(crate) enum ToController<'a> {
    /// The first message of a rank.
    Hello(Hello),
    /// An attempt has ended; of a collective task, this member's part.
    #[serde(borrow)]
    Done(Done<'a>),
    /// The answer to `TakeBack`: those that had not begun, of those that were asked for.
    Returned { tasks: Vec<TaskId> },
    /// The inputs of a group task are here.
    Ready { epoch: u64 },
    /// The answer to `Leave`: this rank is not stuck in raw MPI.
    Heard { epoch: u64 },
    /// This member of a group waits for long, or answers `AskWait`.
    Waits(WaitReport),
    /// The answer to `Report`; with each task that runs, for how many nanoseconds it does.
    Report { resident_bytes: u64, values: u64, running: Vec<(TaskId, u64)> },
    /// After `Stop`: nothing runs on this rank any more, and what had not begun never will.
    Stopped,
    /// What any rank may say to any other.
    #[serde(borrow)]
    Peer(ToPeer<'a>),
}

/// What a member of a group waits for, and what it has exchanged with each member.
#[derive(Serialize, Deserialize, Clone, Debug)]
pub(crate) struct WaitReport {
    pub(crate) epoch: u64,
    /// The member and the message that this one waits for; nothing if it does not wait.
    pub(crate) on: Option<(u32, GroupKey)>,
    pub(crate) sent: Vec<u64>,
    pub(crate) received: Vec<u64>,
    /// Of members that have left: how many messages they had sent to this one.
    pub(crate) left_after: Vec<Option<u64>>,
    /// Whether it answers `AskWait`.
    pub(crate) answers: bool,
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
    /// The sender has left the group, after `sent` messages to this member.
    GroupLeft {
        epoch: u64,
        sent: u64,
        #[serde(borrow)]
        failure: Option<&'a str>,
    },
}

/// One attempt of one task.
#[derive(Serialize, Deserialize, Debug)]
pub(crate) struct Run<'a> {
    pub(crate) task: TaskId,
    pub(crate) function: FunctionId,
    #[serde(borrow)]
    pub(crate) plain: Blob<'a>,
    #[serde(borrow)]
    pub(crate) inputs: SmallVec<[RunInput<'a>; 2]>,
    /// What people want to know of it if its process ends within it; few tasks have that.
    #[serde(borrow)]
    pub(crate) described: Option<Described<'a>>,
}

/// What few tasks have: a label, or an attempt after the first.
#[derive(Serialize, Deserialize, Debug)]
pub(crate) struct Described<'a> {
    pub(crate) label: Option<&'a str>,
    pub(crate) attempt: u32,
}

/// One argument that comes from other tasks.
#[derive(Serialize, Deserialize, Debug)]
pub(crate) struct RunInput<'a> {
    pub(crate) parameter: u16,
    pub(crate) gathered: bool,
    #[serde(borrow)]
    pub(crate) values: SmallVec<[(TaskId, Source<'a>); 1]>,
}

/// Where the bytes of an input are.
#[derive(Serialize, Deserialize, Debug)]
pub(crate) enum Source<'a> {
    /// Here. `keep`: as a value of this worker, until it is told to forget it.
    Inline {
        #[serde(borrow)]
        bytes: Blob<'a>,
        keep: bool,
    },
    /// On this rank, which may be the receiver.
    Held { by: Rank },
}

/// How an attempt ended.
#[derive(Serialize, Deserialize, Debug)]
pub(crate) struct Done<'a> {
    pub(crate) task: TaskId,
    /// Nanoseconds since the Unix epoch, by the worker's clock.
    pub(crate) started_ns: u64,
    pub(crate) ran_ns: u64,
    /// Whether it asked for the raw communicator of its group.
    pub(crate) raw: bool,
    #[serde(borrow)]
    pub(crate) outcome: Outcome<'a>,
}

/// What an attempt gave.
#[derive(Serialize, Deserialize, Debug)]
pub(crate) enum Outcome<'a> {
    /// A small output.
    #[serde(borrow)]
    Value(Blob<'a>),
    /// A large output, which stays where it was made.
    Resident { bytes: u64 },
    /// No output.
    Failed(Failure),
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

/// The mark of the short form of [`ToWorker::Run`].
const RUN: u8 = GENERAL + 1;

/// The mark of the short form of [`ToController::Done`].
const DONE: u8 = GENERAL + 2;

/// Mark, count of argument bytes, task, function; behind them the argument bytes.
const RUN_BYTES: usize = 1 + 1 + 8 + 4;

/// Mark, count of output bytes, task, start, duration; behind them the output bytes.
const DONE_BYTES: usize = 1 + 1 + 8 + 8 + 8;

/// Bytes of arguments or of an output that a short form has at most.
pub(crate) const SHORT_BYTES_MAX: usize = u8::MAX as usize;

/// Appends the short form of a [`Run`] whose arguments `push` appends. If that gives nothing, or too many bytes, nothing
/// is appended and this is false.
#[inline]
pub(crate) fn push_run(
    body: &mut Vec<u8>,
    task: TaskId,
    function: FunctionId,
    push: impl FnOnce(&mut Vec<u8>) -> Option<()>,
) -> bool {
    let begin = body.len();
    let mut head = [0; RUN_BYTES];
    head[0] = RUN;
    head[2..10].copy_from_slice(&task.to_bytes());
    head[10..14].copy_from_slice(&function.0.to_le_bytes());
    body.extend_from_slice(&head);
    let len = push(body).and_then(|()| u8::try_from(body.len() - begin - RUN_BYTES).ok());
    match len {
        Some(len) => body[begin + 1] = len,
        None => body.truncate(begin),
    }
    len.is_some()
}

/// What the short form of a [`Run`] says.
pub(crate) struct ShortRun<'a> {
    pub(crate) task: TaskId,
    pub(crate) function: FunctionId,
    pub(crate) plain: &'a [u8],
}

impl<'a> ShortRun<'a> {
    /// Reads one, if it is what `bytes` begin with, and says how many bytes it took.
    #[inline]
    pub(crate) fn read(bytes: &'a [u8]) -> Option<(Self, usize)> {
        let (&[RUN, len, ref head @ ..], rest) = bytes.split_first_chunk::<RUN_BYTES>()? else { return None };
        let run = Self {
            task: TaskId::from_bytes(field(head, 0)?),
            function: FunctionId(u32::from_le_bytes(field(head, 8)?)),
            plain: rest.get(..usize::from(len))?,
        };
        Some((run, RUN_BYTES + usize::from(len)))
    }
}

/// Appends the short form of a [`Done`] with this output, or nothing, and gives false, if that is too long.
#[inline]
pub(crate) fn push_done(
    body: &mut Vec<u8>,
    task: TaskId,
    started_ns: u64,
    ran_ns: u64,
    output: &PayloadWriter,
) -> bool {
    let Ok(len) = u8::try_from(output.len()) else { return false };
    let mut head = [0; DONE_BYTES];
    (head[0], head[1]) = (DONE, len);
    head[2..10].copy_from_slice(&task.to_bytes());
    head[10..18].copy_from_slice(&started_ns.to_le_bytes());
    head[18..26].copy_from_slice(&ran_ns.to_le_bytes());
    body.extend_from_slice(&head);
    output.append_to(body);
    true
}

/// What the short form of a [`Done`] says.
pub(crate) struct ShortDone<'a> {
    pub(crate) task: TaskId,
    pub(crate) started_ns: u64,
    pub(crate) ran_ns: u64,
    pub(crate) output: &'a [u8],
}

impl<'a> ShortDone<'a> {
    /// Reads one, if it is what `bytes` begin with, and says how many bytes it took.
    #[inline]
    pub(crate) fn read(bytes: &'a [u8]) -> Option<(Self, usize)> {
        let (&[DONE, len, ref head @ ..], rest) = bytes.split_first_chunk::<DONE_BYTES>()? else { return None };
        let done = Self {
            task: TaskId::from_bytes(field(head, 0)?),
            started_ns: u64::from_le_bytes(field(head, 8)?),
            ran_ns: u64::from_le_bytes(field(head, 16)?),
            output: rest.get(..usize::from(len))?,
        };
        Some((done, DONE_BYTES + usize::from(len)))
    }
}

/// The field at a place of a short form.
#[inline(always)]
fn field<const N: usize>(head: &[u8], at: usize) -> Option<[u8; N]> {
    head.get(at..)?.first_chunk().copied()
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

    /// The short form of a run whose arguments are these bytes, if it has one.
    fn pushed(body: &mut Vec<u8>, plain: &[u8]) -> bool {
        push_run(body, TaskId::new(7, 8), FunctionId(9), |body| {
            body.extend_from_slice(plain);
            Some(())
        })
    }

    #[test]
    fn a_short_run_is_read_as_it_was_written_whatever_stands_beside_it() {
        let bytes = [5; 256];
        for len in [0, 1, 8, 255] {
            let mut frame = Frame::default();
            frame.push(&ToWorker::Stop { failed: false });
            assert!(pushed(&mut frame.body, &bytes[..len]));
            frame.push(&ToWorker::Stop { failed: true });
            let mut messages = Messages::of(&frame);
            assert!(messages.next_short(ShortRun::read).is_none());
            assert!(matches!(messages.next(), Ok(Some(ToWorker::Stop { failed: false }))));
            let run = messages.next_short(ShortRun::read).expect("it is there");
            assert_eq!((run.task, run.function, run.plain), (TaskId::new(7, 8), FunctionId(9), &bytes[..len]));
            assert!(messages.next_short(ShortRun::read).is_none());
            assert!(matches!(messages.next(), Ok(Some(ToWorker::Stop { failed: true }))));
            assert!(messages.is_empty());
        }
    }

    #[test]
    fn what_has_no_short_form_leaves_nothing_behind() {
        let mut frame = Frame::default();
        assert!(pushed(&mut frame.body, &[1, 2]));
        let before = frame.body.clone();
        assert!(!pushed(&mut frame.body, &[5; 256]), "too long");
        let refused = push_run(&mut frame.body, TaskId::new(7, 8), FunctionId(9), |body| {
            body.extend_from_slice(&[1; 40]);
            None
        });
        assert!(!refused);
        assert!(!push_done(&mut frame.body, TaskId::new(7, 8), 1, 2, &written(&[5; 256])));
        assert_eq!(frame.body, before);
    }

    /// A writer of these bytes.
    fn written(bytes: &[u8]) -> PayloadWriter {
        let mut writer = PayloadWriter::new();
        bytes.iter().for_each(|byte| writer.append_plain(byte).expect("bytes encode"));
        writer
    }

    #[test]
    fn a_short_done_is_read_as_it_was_written() {
        let bytes = [5; 255];
        for len in [0, 1, 8, 30, 31, 255] {
            let mut frame = Frame::default();
            assert!(push_done(&mut frame.body, TaskId::new(7, 8), 1 << 60, 3, &written(&bytes[..len])));
            let mut messages = Messages::of(&frame);
            let done = messages.next_short(ShortDone::read).expect("it is there");
            assert_eq!((done.task, done.started_ns, done.ran_ns), (TaskId::new(7, 8), 1 << 60, 3));
            assert_eq!(done.output, &bytes[..len]);
            assert!(messages.is_empty());
        }
    }

    #[test]
    fn a_torn_short_form_is_an_error() {
        let mut frame = Frame::default();
        assert!(pushed(&mut frame.body, &[1, 2, 3]));
        for len in 1..frame.body.len() {
            let torn = Frame { body: frame.body[..len].to_vec(), attachments: Vec::new() };
            let mut messages = Messages::of(&torn);
            assert!(messages.next_short(ShortRun::read).is_none(), "{len} bytes");
            assert!(messages.next::<ToWorker<'_>>().is_err(), "{len} bytes");
            assert!(Messages::of(&torn).next::<ToController<'_>>().is_err(), "{len} bytes");
        }
    }
}
