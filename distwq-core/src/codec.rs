//! How values become bytes and back. The one module that names the encoding (bincode
//! over serde, fixed-width integers, little endian).

mod compared;
mod described;
mod error;
pub(crate) mod frame;
mod payload;
mod portable;
mod record;
mod refused;
mod runs;
mod sites;
mod watched;

pub use described::Described;
pub use error::CodecError;
pub use payload::Payload;
#[cfg(feature = "mpi")]
pub(crate) use payload::shared;
pub use portable::{Portable, Shareable};

use crate::memory::buffers;
use crate::panics;
use bincode::config::{Configuration, Fixint, LittleEndian};
use bincode::de::read::Reader;
use bincode::enc::write::Writer;
use bincode::error::{DecodeError, EncodeError};
use bincode::serde::DecodeError as SerdeDecodeError;
use compared::{Compared, Comparison};
use payload::{INLINE_BYTES_MAX, Repr, append_few};
use record::Record;
use runs::Runs;
use serde::de::{DeserializeOwned, DeserializeSeed};
use serde::{Deserialize, Serialize};
use sites::Site;
use std::cell::Cell;
use std::marker::PhantomData;
use watched::{Known, Watched};

const CONFIG: Configuration<LittleEndian, Fixint> = bincode::config::standard().with_fixed_int_encoding();

impl From<EncodeError> for CodecError {
    fn from(error: EncodeError) -> Self {
        match error {
            EncodeError::OtherString(text) => Self(text),
            other => Self(other.to_string()),
        }
    }
}

impl From<DecodeError> for CodecError {
    fn from(error: DecodeError) -> Self {
        match error {
            DecodeError::OtherString(text) => Self(text),
            other => Self(other.to_string()),
        }
    }
}

/// Appends the bytes of `value`, which is plain data of this crate: nothing is checked.
///
/// # Errors
/// What the value's `Serialize` reports. The buffer then ends where it ended before.
pub fn encode_into<T: Serialize + ?Sized>(value: &T, into: &mut Vec<u8>) -> Result<(), CodecError> {
    let before = into.len();
    bincode::serde::encode_into_writer(value, Appending(into), CONFIG).map_err(|error| {
        into.truncate(before);
        error.into()
    })
}

struct Appending<'a>(&'a mut Vec<u8>);

impl Writer for Appending<'_> {
    fn write(&mut self, bytes: &[u8]) -> Result<(), EncodeError> {
        self.0.extend_from_slice(bytes);
        Ok(())
    }
}

/// The bytes of `value`, which will be read as the same type, as a payload of their own.
///
/// # Errors
/// As [`PayloadWriter::append`].
pub fn encode<T: Serialize + DeserializeOwned>(value: &T) -> Result<Payload, CodecError> {
    let mut writer = PayloadWriter::default();
    writer.append::<T, T>(value)?;
    Ok(writer.finish())
}

/// The bytes of a value of this crate as a payload of their own: nothing is checked.
///
/// # Errors
/// What the value's `Serialize` reports.
pub(crate) fn encode_plain<T: Serialize + ?Sized>(value: &T) -> Result<Payload, CodecError> {
    let mut writer = PayloadWriter::default();
    writer.append_plain(value)?;
    Ok(writer.finish())
}

/// The value at the start of `bytes`, and how many bytes it took.
///
/// # Errors
/// What the value's `Deserialize` reports, or that the bytes end too early.
#[inline]
pub fn decode_prefix<T: DeserializeOwned>(bytes: &[u8]) -> Result<(T, usize), CodecError> {
    decode_borrowed(bytes)
}

/// The value that `bytes` hold, all of them.
///
/// # Errors
/// What the value's `Deserialize` reports, or that the bytes end too early or go on
/// behind the value.
#[inline]
pub fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, CodecError> {
    let (value, used) = decode_prefix(bytes)?;
    if used == bytes.len() { Ok(value) } else { Err(left_over(bytes.len() - used, bytes.len())) }
}

#[cold]
fn left_over(bytes: usize, all: usize) -> CodecError {
    CodecError(format!("{bytes} of {all} bytes are left over"))
}

/// The value at the start of `bytes`, borrowing from them, and how many bytes it took.
#[inline]
pub(crate) fn decode_borrowed<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Result<(T, usize), CodecError> {
    let seed = Runs(PhantomData);
    bincode::serde::seed_decode_from_slice(seed, bytes, CONFIG).map_err(|error| match error {
        DecodeError::Serde(
            SerdeDecodeError::AnyNotSupported
            | SerdeDecodeError::IdentifierNotSupported
            | SerdeDecodeError::IgnoredAnyNotSupported,
        ) => refused::undescribed_whole::<T>(),
        other => other.into(),
    })
}

/// Reads an `R` where a value was just written, and gives what does not fit. What reading
/// it reports, or panics with, is no reason here: it may hang on where it is read, and is
/// told there.
fn compare<R: DeserializeOwned>(record: &Record, bytes: &[u8]) -> Result<(), CodecError> {
    let (read, past_end) = (Cell::new(0), Cell::new(false));
    let comparison = Comparison::new(record, bytes, &read);
    let result = panics::caught(|| {
        let mut decoder = bincode::serde::OwnedSerdeDecoder::from_reader(
            Counting { bytes, read: &read, past_end: &past_end },
            CONFIG,
        );
        let seed = Compared(PhantomData::<R>, &comparison);
        seed.deserialize(decoder.as_deserializer()).map(drop)
    });
    match (comparison.into_finding(), result) {
        (Some(finding), _) => Err(CodecError(finding)),
        (None, _) if past_end.get() => Err(CodecError(refused::other_length_whole::<R>())),
        (None, Ok(Ok(()))) if read.get() != bytes.len() => Err(CodecError(refused::other_length_whole::<R>())),
        (None, Ok(Ok(()))) => {
            record.add_sites();
            Ok(())
        }
        (None, _) => Ok(()),
    }
}

/// Reads from a slice and counts, so that one knows where it is.
struct Counting<'a> {
    bytes: &'a [u8],
    read: &'a Cell<usize>,
    /// Whether more was asked for than there is.
    past_end: &'a Cell<bool>,
}

impl Reader for Counting<'_> {
    fn read(&mut self, into: &mut [u8]) -> Result<(), DecodeError> {
        let begin = self.read.get();
        let missing = (begin + into.len()).saturating_sub(self.bytes.len());
        if missing > 0 {
            self.past_end.set(true);
            return Err(DecodeError::UnexpectedEnd { additional: missing });
        }
        self.read.set(begin + into.len());
        into.copy_from_slice(&self.bytes[begin..begin + into.len()]);
        Ok(())
    }
}

/// What [`encode_sequence_length`] appends.
pub(crate) const SEQUENCE_LENGTH_BYTES: usize = size_of::<u64>();

/// Encodes `count`, as a sequence of that many elements begins: what follows are the
/// elements.
pub(crate) fn encode_sequence_length(count: usize, into: &mut Vec<u8>) {
    into.extend_from_slice(&(count as u64).to_le_bytes());
}

/// What `Some` begins with: what follows is its value.
pub(crate) const SOME: u8 = 1;

/// What `Ok` begins with.
pub(crate) const OK: u32 = 0;

/// What `Err` begins with.
pub(crate) const ERR: u32 = 1;

/// How many bytes [`encode_variant`] appends.
pub(crate) const VARIANT_BYTES: usize = size_of::<u32>();

/// Encodes which variant of a `Result` it is: what follows is its value or error.
pub(crate) fn encode_variant(tag: u32, into: &mut Vec<u8>) {
    into.extend_from_slice(&tag.to_le_bytes());
}

/// Builds a payload from values, one after another: without an allocation while it stays
/// small, in memory that was used before when it is large.
#[derive(Clone, Debug)]
pub struct PayloadWriter {
    small: [u8; INLINE_BYTES_MAX],
    /// How many bytes `small` has.
    small_len: u8,
    /// All bytes once there are more; then `small` is empty.
    large: Vec<u8>,
}

impl PayloadWriter {
    /// A writer of nothing yet.
    #[must_use]
    pub const fn new() -> Self {
        Self { small: [0; INLINE_BYTES_MAX], small_len: 0, large: Vec::new() }
    }

    /// Appends the bytes of `value`, which will be read as an `R`. Where the first value
    /// of a type, and of each variant and type in it, is written, it is read back and
    /// compared.
    ///
    /// # Errors
    /// What the value's `Serialize` reports, and that an `R` would not be what was
    /// written.
    #[inline]
    pub fn append<R: DeserializeOwned, T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), CodecError> {
        let before = self.len();
        if Site::whole::<R, T>().is_known() {
            match bincode::serde::encode_into_writer(Watched(value, Known), &mut *self, CONFIG) {
                Ok(()) => return Ok(()),
                Err(error) if !watched::met_unknown() => return Err(error.into()),
                Err(_) => self.truncate(before),
            }
        }
        self.append_compared::<R, T>(value, before)
    }

    /// Appends a value of which a part was not compared yet, behind the `before` bytes
    /// that there are.
    #[cold]
    fn append_compared<R: DeserializeOwned, T: Serialize + ?Sized>(
        &mut self,
        value: &T,
        before: usize,
    ) -> Result<(), CodecError> {
        let record = Record::of::<R, T>();
        let writer = CountingWriter { inner: &mut *self, written: &record.written };
        bincode::serde::encode_into_writer(Watched(value, &record), writer, CONFIG)?;
        compare::<R>(&record, &self.as_slice()[before..])
    }

    /// Appends the bytes of a value of this crate: nothing is checked.
    pub(crate) fn append_plain<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), CodecError> {
        Ok(bincode::serde::encode_into_writer(value, self, CONFIG)?)
    }

    /// Appends bytes as they are, and gives where they begin.
    #[inline]
    pub(crate) fn append_bytes(&mut self, bytes: &[u8]) -> usize {
        let begin = self.len();
        // Writing to memory does not fail.
        let _ = Writer::write(&mut &mut *self, bytes);
        begin
    }

    /// So many bytes more are likely to come.
    pub(crate) fn reserve(&mut self, bytes: usize) {
        // Memory for more is taken when it is needed, from what was used before.
        if bytes < buffers::LARGE_BYTES_MIN {
            self.large.reserve(bytes);
        }
    }

    /// Puts other bytes where those begin that are there.
    #[inline]
    pub(crate) fn overwrite(&mut self, begin: usize, bytes: &[u8]) {
        let all = if self.large.is_empty() { &mut self.small[..] } else { &mut self.large[..] };
        all[begin..begin + bytes.len()].copy_from_slice(bytes);
    }

    /// Moves what was written from `begin` on behind so many other bytes.
    pub(crate) fn make_room<const BYTES: usize>(&mut self, begin: usize) {
        let end = self.append_bytes(&[0; BYTES]);
        let all = if self.large.is_empty() { &mut self.small[..] } else { &mut self.large[..] };
        all.copy_within(begin..end, begin + BYTES);
    }

    /// What was written so far.
    #[inline]
    pub(crate) fn as_slice(&self) -> &[u8] {
        if self.large.is_empty() { &self.small[..usize::from(self.small_len)] } else { &self.large }
    }

    /// Forgets what was written behind the first `len` bytes.
    pub(crate) fn truncate(&mut self, len: usize) {
        if self.large.is_empty() {
            self.small_len = self.small_len.min(len as u8);
        } else if len == 0 {
            self.clear();
        } else {
            self.large.truncate(len);
        }
    }

    /// How many bytes were written.
    #[inline]
    pub(crate) fn len(&self) -> usize {
        if self.large.is_empty() { usize::from(self.small_len) } else { self.large.len() }
    }

    /// What was written.
    #[must_use]
    pub fn finish(mut self) -> Payload {
        self.take()
    }

    /// What was written; nothing is, afterwards.
    pub(crate) fn take(&mut self) -> Payload {
        let mut payload = Payload::EMPTY;
        self.move_to(&mut payload);
        payload
    }

    /// Forgets what was written, and lets go of its memory.
    #[inline]
    pub(crate) fn clear(&mut self) {
        self.small_len = 0;
        if self.large.capacity() > 0 {
            buffers::give_back(std::mem::take(&mut self.large));
        }
    }

    /// Moves what was written to `target`; nothing is, afterwards.
    #[inline]
    pub(crate) fn move_to(&mut self, target: &mut Payload) {
        if !self.large.is_empty() {
            *target = Payload::from(std::mem::take(&mut self.large));
            return;
        }
        target.unshare();
        if let Repr::Inline { len, bytes } = &mut target.0 {
            (*len, *bytes) = (std::mem::take(&mut self.small_len), self.small);
        }
    }

    /// Appends what was written to other bytes.
    #[inline]
    pub(crate) fn append_to(&self, into: &mut Vec<u8>) {
        if self.large.is_empty() {
            append_few(&self.small, self.small_len, into);
        } else {
            into.extend_from_slice(&self.large);
        }
    }

    /// Appends to `large`, what was small first.
    fn write_large(&mut self, bytes: &[u8]) {
        let small = &self.small[..usize::from(std::mem::take(&mut self.small_len))];
        let len = self.large.len() + small.len();
        let end = len + bytes.len();
        if end >= buffers::LARGE_BYTES_MIN && end > self.large.capacity() {
            // A buffer of twice the size leaves room for what comes; a single large slice
            // comes alone as a rule.
            let mut grown = buffers::take(end.max(2 * len) + SLACK_BYTES);
            grown.extend_from_slice(&self.large);
            buffers::give_back(std::mem::replace(&mut self.large, grown));
        }
        self.large.extend_from_slice(small);
        self.large.extend_from_slice(bytes);
    }
}

/// Room beside a large slice for what is encoded before and behind it.
const SLACK_BYTES: usize = 256;

impl Default for PayloadWriter {
    fn default() -> Self {
        Self::new()
    }
}

impl Writer for &mut PayloadWriter {
    #[inline]
    fn write(&mut self, bytes: &[u8]) -> Result<(), EncodeError> {
        let (begin, end) = (usize::from(self.small_len), usize::from(self.small_len) + bytes.len());
        match self.small.get_mut(begin..end) {
            Some(room) if self.large.is_empty() => {
                room.copy_from_slice(bytes);
                self.small_len = end as u8;
            }
            _ if !self.large.is_empty() && bytes.len() <= self.large.capacity() - self.large.len() => {
                self.large.extend_from_slice(bytes);
            }
            _ => self.write_large(bytes),
        }
        Ok(())
    }
}

/// Writes and counts, so that one knows where it is.
struct CountingWriter<'a> {
    inner: &'a mut PayloadWriter,
    written: &'a Cell<usize>,
}

impl Writer for CountingWriter<'_> {
    fn write(&mut self, bytes: &[u8]) -> Result<(), EncodeError> {
        self.written.set(self.written.get() + bytes.len());
        (&mut *self.inner).write(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_writer_keeps_its_bytes_while_it_grows() {
        let blocks: Vec<Vec<u8>> = [3, 40, 200_000, 7, 150_000, 900_000].map(|len| vec![len as u8; len]).into();
        let mut writer = PayloadWriter::new();
        let mut expected = Vec::new();
        for block in &blocks {
            writer.append_plain(block).expect("bytes encode");
            encode_into(block, &mut expected).expect("bytes encode");
        }
        assert_eq!(writer.finish().as_slice(), expected);
    }

    #[test]
    fn a_writer_is_used_again_for_more_and_for_less() {
        let mut writer = PayloadWriter::new();
        let mut arena = b"before".to_vec();
        for len in [5, 200_000, 0, 31, 30, 300, 1] {
            writer.clear();
            assert_eq!(writer.len(), 0);
            let bytes = vec![len as u8; len];
            bytes.iter().for_each(|byte| writer.append_plain(byte).expect("bytes encode"));
            assert_eq!(writer.len(), len);
            arena.truncate(6);
            writer.append_to(&mut arena);
            assert_eq!(arena, [&b"before"[..], &bytes].concat());
            if len % 2 == 0 {
                assert_eq!(writer.take().as_slice(), bytes);
                assert_eq!(writer.len(), 0);
            }
        }
    }

    #[test]
    fn left_over_bytes_are_an_error() {
        let payload = encode(&(1_u8, 2_u8)).expect("plain numbers encode");
        assert!(decode::<u8>(payload.as_slice()).is_err());
        assert_eq!(decode::<(u8, u8)>(payload.as_slice()), Ok((1, 2)));
    }

    #[test]
    fn a_sequence_is_its_length_and_its_elements() {
        let mut bytes = Vec::new();
        encode_sequence_length(2, &mut bytes);
        encode_into("ab", &mut bytes).expect("text encodes");
        encode_into("c", &mut bytes).expect("text encodes");
        assert_eq!(decode(&bytes), Ok(vec!["ab".to_owned(), "c".to_owned()]));
    }

    #[test]
    fn an_option_and_a_result_are_a_tag_and_their_value() {
        let mut bytes = vec![SOME];
        encode_into(&7_u16, &mut bytes).expect("a number encodes");
        assert_eq!(decode(&bytes), Ok(Some(7_u16)));
        for (tag, expected) in [(OK, Ok(7_u16)), (ERR, Err(7_u16))] {
            let mut bytes = Vec::new();
            encode_variant(tag, &mut bytes);
            assert_eq!(bytes.len(), VARIANT_BYTES);
            encode_into(&7_u16, &mut bytes).expect("a number encodes");
            assert_eq!(decode::<Result<u16, u16>>(&bytes), Ok(expected));
        }
    }

    #[test]
    fn a_tuple_and_an_array_are_their_elements() {
        let mut bytes = Vec::new();
        encode_into("ab", &mut bytes).expect("text encodes");
        encode_into("c", &mut bytes).expect("text encodes");
        assert_eq!(decode(&bytes), Ok(("ab".to_owned(), "c".to_owned())));
        assert_eq!(decode(&bytes), Ok(["ab".to_owned(), "c".to_owned()]));
    }
}
