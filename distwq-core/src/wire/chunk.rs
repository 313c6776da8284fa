//! Chunks: the calls of several items of a map, and what becomes of them, as one sequence
//! of bytes each.
//!
//! ```text
//! calls     for each item: u64 length of the arguments, arguments
//!           with its top bit: u64 length, u32 length of the label, label, arguments
//! outcomes  for each item: u64 length and, in the two top bits, which; then the bytes
//!           0 value · 1 failure · 2 cancelled
//! ```
//!
//! Each item has its length, so that one that does not decode leaves its neighbours as
//! they are.

use crate::codec::{self, CodecError, PayloadWriter};
use crate::function::remote::Failure;
use serde::{Deserialize, Serialize};

/// Of the length of arguments: a label comes first.
const LABEL: u64 = 1 << 63;

/// Of the length of an outcome: where its kind stands.
const KIND_AT: u32 = 62;
const VALUE: u64 = 0;
const FAILURE: u64 = 1;
const CANCELLED: u64 = 2;

/// Appends a call. `push` appends its arguments, which are so many bytes.
#[inline]
pub(crate) fn push_call(label: Option<&str>, bytes: usize, into: &mut Vec<u8>, push: impl FnOnce(&mut Vec<u8>)) {
    let mark = if label.is_some() { LABEL } else { 0 };
    into.extend_from_slice(&(bytes as u64 | mark).to_le_bytes());
    if let Some(label) = label {
        into.extend_from_slice(&(label.len() as u32).to_le_bytes());
        into.extend_from_slice(label.as_bytes());
    }
    push(into);
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
    let header = u64::from_le_bytes(*take::<8>(calls)?);
    let label = if header & LABEL == 0 {
        None
    } else {
        let len = u32::from_le_bytes(*take::<4>(calls)?);
        Some(std::str::from_utf8(take_many(calls, u64::from(len))?).ok()?)
    };
    Some(Call { label, arguments: take_many(calls, header & !LABEL)? })
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
    /// Those that have been written and are no values.
    without_value: WithoutValue,
}

impl<'a> OutcomeWriter<'a> {
    pub(crate) fn new(output: &'a mut PayloadWriter) -> Self {
        let begin = output.len();
        Self { output, begin, without_value: WithoutValue::NONE }
    }

    /// Where the value of the next item is written.
    #[inline]
    pub(crate) fn value(&mut self) -> &mut PayloadWriter {
        self.begin = self.output.append_bytes(&0_u64.to_le_bytes());
        self.output
    }

    /// That value is complete.
    #[inline]
    pub(crate) fn end_value(&mut self) {
        let bytes = self.output.len() - self.begin - size_of::<u64>();
        self.output.overwrite(self.begin, &(bytes as u64 | VALUE << KIND_AT).to_le_bytes());
        self.begin = self.output.len();
    }

    /// There is a failure instead; what was written of the value goes.
    pub(crate) fn failure(&mut self, failure: &Failure) {
        self.output.truncate(self.begin);
        let mut bytes = Vec::new();
        codec::encode_into(failure, &mut bytes).expect("a failure is made of plain data");
        self.without_value.failed += 1;
        self.output.append_bytes(&(bytes.len() as u64 | FAILURE << KIND_AT).to_le_bytes());
        self.output.append_bytes(&bytes);
        self.begin = self.output.len();
    }

    /// The item was cancelled and gives no value; what was written of one goes.
    pub(crate) fn cancelled(&mut self) {
        self.output.truncate(self.begin);
        self.without_value.cancelled += 1;
        self.output.append_bytes(&(CANCELLED << KIND_AT).to_le_bytes());
        self.begin = self.output.len();
    }

    /// How many outcomes were no values.
    pub(crate) fn without_value(&self) -> WithoutValue {
        self.without_value
    }
}

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
    let header = u64::from_le_bytes(*take::<8>(outcomes)?);
    let bytes = take_many(outcomes, header & !(3 << KIND_AT))?;
    match header >> KIND_AT {
        VALUE => Some(Outcome::Value(bytes)),
        FAILURE => Some(Outcome::Failure(bytes)),
        CANCELLED => Some(Outcome::Cancelled),
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

#[inline]
fn take_many<'a>(from: &mut &'a [u8], count: u64) -> Option<&'a [u8]> {
    let (taken, rest) = from.split_at_checked(usize::try_from(count).ok()?)?;
    *from = rest;
    Some(taken)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_read_as_they_were_written() {
        let mut bytes = Vec::new();
        let calls: [(Option<&str>, &[u8]); 4] =
            [(None, &[1, 2]), (Some("a label"), &[3]), (None, &[]), (Some(""), &[0; 300])];
        for (label, arguments) in calls {
            push_call(label, arguments.len(), &mut bytes, |into| into.extend_from_slice(arguments));
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
        for large in [3, 100_000] {
            let mut output = PayloadWriter::new();
            let mut writer = OutcomeWriter::new(&mut output);
            writer.value().append_bytes(&[7; 5]);
            writer.end_value();
            writer.value().append_bytes(&[8; 90]);
            writer.failure(&failure);
            writer.value().append_bytes(&vec![9; large]);
            writer.end_value();
            writer.value();
            writer.end_value();
            writer.cancelled();
            assert_eq!(writer.without_value(), WithoutValue { failed: 1, cancelled: 1 });
            let payload = output.finish();
            let mut left = payload.as_slice();
            assert_eq!(next_outcome(&mut left), Some(Outcome::Value(&[7; 5])));
            let Some(Outcome::Failure(bytes)) = next_outcome(&mut left) else { panic!("it has failed") };
            assert_eq!(failure_of(bytes), Ok(failure.clone()));
            assert_eq!(next_outcome(&mut left), Some(Outcome::Value(&vec![9; large])));
            assert_eq!(next_outcome(&mut left), Some(Outcome::Value(&[])));
            assert_eq!(next_outcome(&mut left), Some(Outcome::Cancelled));
            assert_eq!((next_outcome(&mut left), left), (None, &[][..]));
        }
        assert_eq!(next_outcome(&mut &u64::MAX.to_le_bytes()[..]), None);
    }
}
