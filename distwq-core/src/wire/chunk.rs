//! Chunks: the calls of several items of a map, and what becomes of them, as one sequence
//! of bytes each.
//!
//! ```text
//! frame     u8: a kind in the two top bits, the length of the bytes below,
//!           or 63 and then u64 the length; the bytes
//! calls     for each item: a frame of the arguments (0),
//!           before which there may be one of its label (1)
//! outcomes  for each item: a frame of the value (0) or the failure (1),
//!           or an empty one, if it was cancelled (2)
//! ```
//!
//! Each item has its length, so that one that does not decode leaves its neighbours as
//! they are.

use crate::codec::{self, CodecError, PayloadWriter};
use crate::function::remote::Failure;
use serde::{Deserialize, Serialize};

/// Kinds of frames of calls.
const ARGUMENTS: u8 = 0;
const LABEL: u8 = 1;

/// Kinds of frames of outcomes.
const VALUE: u8 = 0;
const FAILURE: u8 = 1;
const CANCELLED: u8 = 2;

/// Of the first byte of a frame: where its kind stands, and what stands below if the
/// length follows.
const KIND_AT: u32 = 6;
const LONG: u8 = (1 << KIND_AT) - 1;

/// Appends a call.
#[inline]
pub(crate) fn push_call(label: Option<&str>, arguments: &[u8], into: &mut Vec<u8>) {
    if let Some(label) = label {
        push_frame(LABEL, label.as_bytes(), into);
    }
    push_frame(ARGUMENTS, arguments, into);
}

#[inline(always)]
fn push_frame(kind: u8, bytes: &[u8], into: &mut Vec<u8>) {
    if let Ok(&[a, b, c, d, e, f, g, h]) = <&[u8; 8]>::try_from(bytes) {
        // As most small values are: a copy of a size that the compiler knows.
        into.extend_from_slice(&[kind << KIND_AT | 8, a, b, c, d, e, f, g, h]);
    } else {
        push_any_frame(kind, bytes, into);
    }
}

fn push_any_frame(kind: u8, bytes: &[u8], into: &mut Vec<u8>) {
    if bytes.len() < LONG.into() {
        into.push(kind << KIND_AT | bytes.len() as u8);
    } else {
        into.push(kind << KIND_AT | LONG);
        into.extend_from_slice(&(bytes.len() as u64).to_le_bytes());
    }
    into.extend_from_slice(bytes);
}

/// Takes the first frame off. None if the bytes are not what [`push_frame`] writes.
#[inline]
fn next_frame<'a>(from: &mut &'a [u8]) -> Option<(u8, &'a [u8])> {
    let [header] = *take::<1>(from)?;
    let len = match header & LONG {
        LONG => usize::try_from(u64::from_le_bytes(*take::<8>(from)?)).ok()?,
        len => usize::from(len),
    };
    let (taken, rest) = from.split_at_checked(len)?;
    *from = rest;
    Some((header >> KIND_AT, taken))
}

/// One call of a chunk.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Call<'a> {
    pub(crate) label: Option<&'a str>,
    pub(crate) arguments: &'a [u8],
}

/// Takes the first call off. None if the bytes are not what [`push_call`] writes.
#[inline]
pub(crate) fn next_call<'a>(calls: &mut &'a [u8]) -> Option<Call<'a>> {
    match next_frame(calls)? {
        (ARGUMENTS, arguments) => Some(Call { label: None, arguments }),
        (LABEL, label) => {
            let label = Some(std::str::from_utf8(label).ok()?);
            let (kind, arguments) = next_frame(calls)?;
            (kind == ARGUMENTS).then_some(Call { label, arguments })
        }
        _ => None,
    }
}

/// How many items of a chunk have given no value.
#[derive(Serialize, Deserialize, Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(crate) struct WithoutValue {
    pub(crate) failed: u32,
    pub(crate) cancelled: u32,
}

impl WithoutValue {
    /// All have given one.
    pub(crate) const NONE: Self = Self { failed: 0, cancelled: 0 };
}

/// Writes the outcomes of a chunk behind each other.
#[derive(Debug)]
pub(crate) struct OutcomeWriter<'a> {
    output: &'a mut PayloadWriter,
    /// Where the next outcome begins, or the one that is being written.
    begin: usize,
    /// The value before was long, so that the next one is likely to be.
    is_long: bool,
    /// Those that have been written and are no values.
    without_value: WithoutValue,
}

impl<'a> OutcomeWriter<'a> {
    pub(crate) fn new(output: &'a mut PayloadWriter) -> Self {
        let begin = output.len();
        Self { output, begin, is_long: false, without_value: WithoutValue::NONE }
    }

    /// Where the value of the next item is written.
    #[inline]
    pub(crate) fn value(&mut self) -> &mut PayloadWriter {
        // By itself each, so that the compiler knows the sizes.
        if self.is_long {
            self.output.append_bytes(&[0; LONG_HEADER_BYTES]);
        } else {
            self.output.append_bytes(&[0]);
        }
        self.output
    }

    /// That value is complete.
    #[inline]
    pub(crate) fn end_value(&mut self) {
        let bytes = self.output.len() - self.begin;
        if bytes <= LONG.into() && !self.is_long {
            self.output.overwrite(self.begin, &[VALUE << KIND_AT | (bytes - 1) as u8]);
        } else {
            self.end_long_value(bytes);
        }
        self.begin = self.output.len();
    }

    /// The same for one whose length does not stand in the first byte.
    fn end_long_value(&mut self, bytes: usize) {
        if !self.is_long {
            self.output.make_room::<{ LONG_HEADER_BYTES - 1 }>(self.begin);
        }
        let len = bytes - if self.is_long { LONG_HEADER_BYTES } else { 1 };
        self.output.overwrite(self.begin, &[VALUE << KIND_AT | LONG]);
        self.output.overwrite(self.begin + 1, &(len as u64).to_le_bytes());
        self.is_long = len >= usize::from(LONG);
    }

    /// There is a failure instead; what was written of the value goes.
    pub(crate) fn failure(&mut self, failure: &Failure) {
        let mut bytes = Vec::new();
        codec::encode_into(failure, &mut bytes).expect("a failure is made of plain data");
        self.without_value.failed += 1;
        self.instead(FAILURE, &bytes);
    }

    /// The item was cancelled and gives no value; what was written of one goes.
    pub(crate) fn cancelled(&mut self) {
        self.without_value.cancelled += 1;
        self.instead(CANCELLED, &[]);
    }

    fn instead(&mut self, kind: u8, bytes: &[u8]) {
        let mut frame = Vec::new();
        push_frame(kind, bytes, &mut frame);
        self.output.truncate(self.begin);
        self.output.append_bytes(&frame);
        self.begin = self.output.len();
    }

    /// How many outcomes were no values.
    pub(crate) fn without_value(&self) -> WithoutValue {
        self.without_value
    }
}

/// Of a frame whose length does not stand in the first byte.
const LONG_HEADER_BYTES: usize = size_of::<u8>() + size_of::<u64>();

/// What has become of one item.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Outcome<'a> {
    /// Its encoded value.
    Value(&'a [u8]),
    /// Its encoded failure, for [`failure_of`].
    Failure(&'a [u8]),
    /// It was cancelled: before its turn, or before it failed.
    Cancelled,
}

/// Takes the first outcome off. None if the bytes are not what an [`OutcomeWriter`]
/// writes.
#[inline]
pub(crate) fn next_outcome<'a>(outcomes: &mut &'a [u8]) -> Option<Outcome<'a>> {
    match next_frame(outcomes)? {
        (VALUE, bytes) => Some(Outcome::Value(bytes)),
        (FAILURE, bytes) => Some(Outcome::Failure(bytes)),
        (CANCELLED, _) => Some(Outcome::Cancelled),
        _ => None,
    }
}

/// The failure of an item.
///
/// # Errors
/// If the bytes are none.
pub(crate) fn failure_of(bytes: &[u8]) -> Result<Failure, CodecError> {
    codec::decode(bytes)
}

#[inline]
fn take<'a, const N: usize>(from: &mut &'a [u8]) -> Option<&'a [u8; N]> {
    let (taken, rest) = from.split_first_chunk()?;
    *from = rest;
    Some(taken)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_read_as_they_were_written() {
        let mut bytes = Vec::new();
        let long = "long ".repeat(20);
        let calls: [(Option<&str>, &[u8]); 8] = [
            (None, &[1, 2]),
            (Some("a label"), &[3]),
            (None, &[]),
            (None, &[4; 8]),
            (Some(&long), &[5; 62]),
            (None, &[6; 63]),
            (None, &[7; 64]),
            (Some(""), &[8; 300]),
        ];
        for (label, arguments) in calls {
            push_call(label, arguments, &mut bytes);
        }
        let mut left = &bytes[..];
        for (label, arguments) in calls {
            assert_eq!(next_call(&mut left), Some(Call { label, arguments }));
        }
        assert_eq!(next_call(&mut left), None);
        for len in 0..bytes.len() {
            let mut torn = &bytes[..len];
            while next_call(&mut torn).is_some() {}
        }
    }

    #[test]
    fn outcomes_are_read_as_they_were_written() {
        let failure = Failure::Returned("no".to_owned());
        for large in [3, 62, 63, 64, 100_000] {
            let mut output = PayloadWriter::new();
            let mut writer = OutcomeWriter::new(&mut output);
            writer.value().append_bytes(&[7; 5]);
            writer.end_value();
            writer.value().append_bytes(&[8; 90]);
            writer.failure(&failure);
            // The first of its size, others after it, and one that is short again.
            for _ in 0..3 {
                writer.value().append_bytes(&vec![9; large]);
                writer.end_value();
            }
            writer.value();
            writer.end_value();
            writer.value().append_bytes(&[10]);
            writer.end_value();
            writer.cancelled();
            assert_eq!(writer.without_value(), WithoutValue { failed: 1, cancelled: 1 });
            let payload = output.finish();
            let mut left = payload.as_slice();
            assert_eq!(next_outcome(&mut left), Some(Outcome::Value(&[7; 5])));
            let Some(Outcome::Failure(bytes)) = next_outcome(&mut left) else { panic!("it has failed") };
            assert_eq!(failure_of(bytes), Ok(failure.clone()));
            for _ in 0..3 {
                assert_eq!(next_outcome(&mut left), Some(Outcome::Value(&vec![9; large])));
            }
            assert_eq!(next_outcome(&mut left), Some(Outcome::Value(&[])));
            assert_eq!(next_outcome(&mut left), Some(Outcome::Value(&[10])));
            assert_eq!(next_outcome(&mut left), Some(Outcome::Cancelled));
            assert_eq!((next_outcome(&mut left), left), (None, &[][..]));
            for len in 0..payload.len() {
                let mut torn = &payload.as_slice()[..len];
                while next_outcome(&mut torn).is_some() {}
            }
        }
        assert_eq!(next_outcome(&mut &[u8::MAX; 9][..]), None);
    }
}
