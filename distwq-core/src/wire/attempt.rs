//! The two messages that every attempt costs: `Run`, to a worker, and `Done`, from it.
//!
//! Each is a header of fixed size, which is read where it lies in the frame, a few bytes
//! of arguments or of the output, and a tail in the general encoding for what few
//! attempts have:
//!
//! ```text
//! mark  count of bytes  fields            bytes        tail, if the mark says so
//! u8    u8              Run 12, Done 24   at most 255  u32 length, then the encoding
//! ```

use crate::codec::frame::{Blob, GENERAL, raw};
use crate::codec::{self, CodecError};
use crate::function::registry::FunctionId;
use crate::function::remote::{Failure, InputArgument};
use crate::id::{Rank, TaskId};
use crate::task::items::Items;
use crate::wire::chunk::WithoutValue;
use serde::{Deserialize, Serialize};
use smallvec::SmallVec;
use zerocopy::little_endian::{U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// A message of an attempt, as it lies in a frame.
#[derive(Clone, Copy, Debug)]
pub(crate) struct OfAttempt<'a, F> {
    fields: &'a F,
    /// Behind a [`Run`] the arguments, behind a [`Done`] the output, unless the tail has
    /// them.
    pub(crate) bytes: &'a [u8],
    /// Encoded; empty if there is none.
    tail: &'a [u8],
}

/// One attempt of one task is to be run.
pub(crate) type Run<'a> = OfAttempt<'a, RunFields>;

/// An attempt has ended; of a collective task, this member's part.
pub(crate) type Done<'a> = OfAttempt<'a, DoneFields>;

/// What the header of a message says, and what its tail may add.
pub(crate) trait Fields: FromBytes + IntoBytes + Immutable + KnownLayout + Unaligned {
    /// The mark of the message.
    const MARK: u8;
    /// What few attempts have.
    type Tail<'a>: Serialize + Deserialize<'a>;
}

/// What every [`Run`] says.
#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned, Debug)]
#[repr(C)]
pub(crate) struct RunFields {
    task: U64,
    function: U32,
}

/// What few [`Run`]s add.
#[derive(Serialize, Deserialize, Debug)]
pub(crate) struct RunTail<'a> {
    /// Arguments that came as values, if they are not behind the header: they are too
    /// many bytes.
    #[serde(borrow)]
    pub(crate) arguments: Option<Blob<'a>>,
    /// Arguments that are outputs of other tasks and were not put among those behind the
    /// header.
    #[serde(borrow)]
    pub(crate) inputs: SmallVec<[InputArgument<Source<'a>>; 2]>,
    #[serde(borrow)]
    pub(crate) label: Option<&'a str>,
    /// Counted from 1. Without a tail it is the first.
    pub(crate) attempt: u32,
    /// For how many nanoseconds it may run.
    pub(crate) limit_ns: Option<u64>,
    /// The attempt is that of a member of this group: it has to fetch the inputs, say
    /// `Ready`, and begin when told to `Enter`.
    #[serde(borrow)]
    pub(crate) group: Option<GroupOfRun<'a>>,
    /// It is of these items of a map. If they are several, the arguments that came as
    /// values are those of all, as a [chunk](super::chunk).
    pub(crate) items: Option<Items>,
}

impl RunTail<'_> {
    /// That of a first attempt whose arguments are all behind the header, and which has
    /// nothing else.
    pub(crate) fn empty() -> Self {
        let (arguments, inputs) = (None, SmallVec::new());
        Self { arguments, inputs, label: None, attempt: 1, limit_ns: None, group: None, items: None }
    }
}

/// The group that a member is to join. Its members are
/// [encoded](super::members::Members).
#[derive(Serialize, Deserialize, Clone, Copy, Debug)]
pub(crate) struct GroupOfRun<'a> {
    pub(crate) epoch: u64,
    #[serde(with = "raw")]
    pub(crate) members: &'a [u8],
}

/// Where the bytes of an input are.
#[derive(Serialize, Deserialize, Clone, Copy, Debug)]
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

/// What every [`Done`] says. Times are in nanoseconds, by the worker's clock since the
/// Unix epoch.
#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned, Debug)]
#[repr(C)]
pub(crate) struct DoneFields {
    task: U64,
    started_ns: U64,
    ran_ns: U64,
}

/// What few [`Done`]s say instead of the bytes of a small output.
#[derive(Serialize, Deserialize, Debug)]
pub(crate) struct DoneTail<'a> {
    /// Whether the attempt asked for the raw communicator of its group.
    pub(crate) raw: bool,
    /// Of the items of a map whose outcomes it gives.
    pub(crate) without_value: WithoutValue,
    #[serde(borrow)]
    pub(crate) outcome: Result<Given<Blob<'a>>, Failure>,
}

/// The value that an attempt has given: its bytes, of which `B` says where they are, or
/// how many of them stayed on the worker.
#[derive(Serialize, Deserialize, Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Given<B> {
    Here(B),
    Resident { bytes: u64 },
}

impl<B> Given<B> {
    /// The same with its bytes elsewhere.
    #[inline]
    pub(crate) fn map<C>(self, to: impl FnOnce(B) -> C) -> Given<C> {
        match self {
            Self::Here(bytes) => Given::Here(to(bytes)),
            Self::Resident { bytes } => Given::Resident { bytes },
        }
    }
}

impl Fields for RunFields {
    const MARK: u8 = GENERAL + 1;
    type Tail<'a> = RunTail<'a>;
}

impl Fields for DoneFields {
    const MARK: u8 = GENERAL + 2;
    type Tail<'a> = DoneTail<'a>;
}

impl RunFields {
    #[inline]
    pub(crate) fn new(task: TaskId, function: FunctionId) -> Self {
        Self { task: task.to_bits().into(), function: function.0.into() }
    }
}

impl DoneFields {
    #[inline]
    pub(crate) fn new(task: TaskId, started_ns: u64, ran_ns: u64) -> Self {
        Self { task: task.to_bits().into(), started_ns: started_ns.into(), ran_ns: ran_ns.into() }
    }
}

impl Run<'_> {
    #[inline]
    pub(crate) fn task(&self) -> TaskId {
        TaskId::from_bits(self.fields.task.get())
    }

    #[inline]
    pub(crate) fn function(&self) -> FunctionId {
        FunctionId(self.fields.function.get())
    }
}

impl Done<'_> {
    #[inline]
    pub(crate) fn task(&self) -> TaskId {
        TaskId::from_bits(self.fields.task.get())
    }

    /// When it began and when it ended.
    #[inline]
    pub(crate) fn times(&self) -> (u64, u64) {
        let started_ns = self.fields.started_ns.get();
        (started_ns, started_ns.saturating_add(self.ran_ns()))
    }

    #[inline]
    pub(crate) fn ran_ns(&self) -> u64 {
        self.fields.ran_ns.get()
    }
}

/// What a message begins with.
#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct Header<F> {
    mark: u8,
    bytes: u8,
    fields: F,
}

/// Of a mark: there is a tail.
const TAIL: u8 = 1 << 7;

/// Bytes of arguments or of an output that go behind a header at most.
pub(crate) const BYTES_MAX: usize = u8::MAX as usize;

/// Appends a message, with the bytes that `push` appends. If that is false, or they are
/// too many, nothing is appended and this is false.
#[inline(always)]
pub(crate) fn push<F: Fields>(
    body: &mut Vec<u8>,
    fields: F,
    push: impl FnOnce(&mut Vec<u8>) -> bool,
    tail: Option<&F::Tail<'_>>,
) -> bool {
    let begin = body.len();
    let header = Header { mark: F::MARK, bytes: 0, fields };
    body.extend_from_slice(header.as_bytes());
    let end = body.len();
    let bytes = if push(body) { u8::try_from(body.len() - end).ok() } else { None };
    let Some(bytes) = bytes else {
        body.truncate(begin);
        return false;
    };
    body[begin + 1] = bytes;
    if let Some(tail) = tail {
        body[begin] |= TAIL;
        push_tail(body, tail);
    }
    true
}

#[inline(never)]
fn push_tail<T: Serialize>(body: &mut Vec<u8>, tail: &T) {
    let begin = body.len();
    body.extend_from_slice(U32::ZERO.as_bytes());
    let end = body.len();
    codec::encode_into(tail, body).expect("a tail is made of plain data");
    let len = u32::try_from(body.len() - end).expect("large payloads are beside the messages");
    body[begin..end].copy_from_slice(U32::new(len).as_bytes());
}

impl<'a, F: Fields> OfAttempt<'a, F> {
    /// Reads one, if it is what `input` begins with, and says how many bytes it took.
    #[inline(always)]
    pub(crate) fn read(input: &'a [u8]) -> Option<(Self, usize)> {
        let (header, rest) = Header::<F>::ref_from_prefix(input).ok()?;
        if header.mark & !TAIL != F::MARK {
            return None;
        }
        let (bytes, rest) = rest.split_at_checked(header.bytes.into())?;
        let (tail, rest) = if header.mark & TAIL == 0 { (&[][..], rest) } else { split_tail(rest)? };
        Some((Self { fields: &header.fields, bytes, tail }, input.len() - rest.len()))
    }

    /// The tail, if there is one.
    ///
    /// # Errors
    /// If it does not decode, or has something left behind it.
    #[inline]
    pub(crate) fn tail(&self) -> Result<Option<F::Tail<'a>>, CodecError> {
        if self.tail.is_empty() { Ok(None) } else { decode_tail(self.tail).map(Some) }
    }
}

#[inline(never)]
fn split_tail(input: &[u8]) -> Option<(&[u8], &[u8])> {
    let (len, rest) = U32::ref_from_prefix(input).ok()?;
    rest.split_at_checked(len.get() as usize)
}

fn decode_tail<'a, T: Deserialize<'a>>(tail: &'a [u8]) -> Result<T, CodecError> {
    let (decoded, used) = codec::decode_borrowed(tail)?;
    if used < tail.len() {
        return Err(CodecError(format!("{} bytes are left behind a tail", tail.len() - used)));
    }
    Ok(decoded)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::frame::{Frame, Messages};
    use crate::wire::message::{ToController, ToWorker};
    use std::io::Write;

    const TASK: TaskId = TaskId::new(7, 8);
    const STOP: ToWorker<'static> = ToWorker::Stop { failed: true };

    /// A run with these bytes, if it is taken.
    fn pushed(body: &mut Vec<u8>, bytes: &[u8], tail: Option<&RunTail<'_>>) -> bool {
        let push_all = |body: &mut Vec<u8>| {
            body.extend_from_slice(bytes);
            true
        };
        push(body, RunFields::new(TASK, FunctionId(9)), push_all, tail)
    }

    fn tail() -> RunTail<'static> {
        RunTail { label: Some("x"), attempt: 3, ..RunTail::empty() }
    }

    #[test]
    fn the_headers_have_the_sizes_that_the_table_says() {
        assert_eq!((size_of::<RunFields>(), size_of::<Header<RunFields>>()), (12, 14));
        assert_eq!((size_of::<DoneFields>(), size_of::<Header<DoneFields>>()), (24, 26));
    }

    #[test]
    fn a_run_is_read_as_it_was_written_whatever_stands_beside_it() {
        let bytes = [5; 255];
        for (len, has_tail) in [0, 1, 8, 255].into_iter().flat_map(|len| [(len, false), (len, true)]) {
            let mut frame = Frame::default();
            frame.push(&STOP);
            assert!(pushed(&mut frame.body, &bytes[..len], has_tail.then_some(&tail())));
            frame.push(&STOP);
            let mut messages = Messages::of(&frame);
            assert!(messages.next_fixed(Run::read).is_none());
            assert!(matches!(messages.next(), Ok(Some(ToWorker::Stop { failed: true }))));
            let run = messages.next_fixed(Run::read).expect("it is there");
            assert_eq!((run.task(), run.function(), run.bytes), (TASK, FunctionId(9), &bytes[..len]));
            let found = run.tail().expect("it decodes").map(|tail| (tail.label, tail.attempt));
            assert_eq!(found, has_tail.then_some((Some("x"), 3)));
            assert!(messages.next_fixed(Run::read).is_none());
            assert!(matches!(messages.next(), Ok(Some(ToWorker::Stop { failed: true }))));
            assert!(messages.is_empty());
        }
    }

    #[test]
    fn what_does_not_fit_behind_a_header_leaves_nothing_behind() {
        let mut body = Vec::new();
        assert!(pushed(&mut body, &[1, 2], None));
        let before = body.clone();
        assert!(!pushed(&mut body, &[5; 256], Some(&tail())), "too long");
        let refused = push(
            &mut body,
            RunFields::new(TASK, FunctionId(9)),
            |body| {
                body.extend_from_slice(&[1; 40]);
                false
            },
            None,
        );
        assert!(!refused);
        assert_eq!(body, before);
    }

    #[test]
    fn a_done_is_read_as_it_was_written() {
        let mut frame = Frame::default();
        let outcome = Err(Failure::Panicked("no".to_owned()));
        for tail in [None, Some(DoneTail { raw: true, without_value: WithoutValue::NONE, outcome })] {
            let fields = DoneFields::new(TASK, 1 << 60, 3);
            assert!(push(&mut frame.body, fields, |body| body.write_all(&[4]).is_ok(), tail.as_ref()));
        }
        let mut messages = Messages::of(&frame);
        for has_tail in [false, true] {
            let done = messages.next_fixed(Done::read).expect("it is there");
            assert_eq!((done.task(), done.times(), done.bytes), (TASK, (1 << 60, (1 << 60) + 3), &[4][..]));
            let tail = done.tail().expect("it decodes");
            let failure = tail.map(|tail| (tail.raw, tail.outcome.expect_err("it has failed").to_string()));
            assert_eq!(failure, has_tail.then(|| (true, "panicked: no".to_owned())));
        }
        assert!(messages.is_empty());
    }

    #[test]
    fn a_torn_message_is_an_error() {
        let mut frame = Frame::default();
        assert!(pushed(&mut frame.body, &[1, 2, 3], Some(&tail())));
        for len in 1..frame.body.len() {
            let torn = Frame { body: frame.body[..len].to_vec(), attachments: Vec::new() };
            let mut messages = Messages::of(&torn);
            assert!(messages.next_fixed(Run::read).is_none(), "{len} bytes");
            assert!(messages.next::<ToWorker<'_>>().is_err(), "{len} bytes");
            assert!(Messages::of(&torn).next::<ToController<'_>>().is_err(), "{len} bytes");
        }
    }

    #[test]
    fn a_tail_with_something_behind_it_is_an_error() {
        let mut body = Vec::new();
        assert!(pushed(&mut body, &[], Some(&tail())));
        let len_at = size_of::<Header<RunFields>>();
        body[len_at] += 1;
        body.push(0);
        let (run, used) = Run::read(&body).expect("its length is right");
        assert_eq!(used, body.len());
        assert!(run.tail().expect_err("there is a byte too many").0.contains("1 bytes are left"));
    }
}
