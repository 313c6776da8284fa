//! How values become bytes and back. The only place that names the encoding (bincode over serde, fixed-width
//! integers, little endian).

mod runs;

use crate::buffers::{self, Reused};
use bincode::config::{Configuration, Fixint, LittleEndian};
use bincode::enc::write::Writer;
use bincode::error::EncodeError;
use bytes::Bytes;
use runs::Runs;
use serde::de::{DeserializeOwned, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::marker::PhantomData;

const CONFIG: Configuration<LittleEndian, Fixint> = bincode::config::standard().with_fixed_int_encoding();

/// A value could not be turned into bytes, or bytes not into a value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct CodecError(pub String);

/// Appends the bytes of `value`.
///
/// # Errors
/// What the value's `Serialize` reports. The buffer then ends where it ended before.
pub fn encode_into<T: Serialize + ?Sized>(value: &T, into: &mut Vec<u8>) -> Result<(), CodecError> {
    let before = into.len();
    bincode::serde::encode_into_writer(value, Appending(into), CONFIG).map_err(|error| {
        into.truncate(before);
        CodecError(error.to_string())
    })
}

struct Appending<'a>(&'a mut Vec<u8>);

impl Writer for Appending<'_> {
    fn write(&mut self, bytes: &[u8]) -> Result<(), EncodeError> {
        self.0.extend_from_slice(bytes);
        Ok(())
    }
}

/// The bytes of `value` as a payload of their own.
///
/// # Errors
/// What the value's `Serialize` reports.
pub fn encode<T: Serialize + ?Sized>(value: &T) -> Result<Payload, CodecError> {
    let mut writer = PayloadWriter::default();
    writer.append(value)?;
    Ok(writer.finish())
}

/// The value at the start of `bytes`, and how many bytes it took.
///
/// # Errors
/// What the value's `Deserialize` reports, or that the bytes end too early.
pub fn decode_prefix<T: DeserializeOwned>(bytes: &[u8]) -> Result<(T, usize), CodecError> {
    decode_borrowed(bytes)
}

/// The value that `bytes` hold, all of them.
///
/// # Errors
/// What the value's `Deserialize` reports, or that the bytes end too early or go on behind the value.
pub fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, CodecError> {
    let (value, used) = decode_prefix(bytes)?;
    if used == bytes.len() {
        Ok(value)
    } else {
        Err(CodecError(format!("{} of {} bytes are left over", bytes.len() - used, bytes.len())))
    }
}

/// The value at the start of `bytes`, borrowing from them, and how many bytes it took.
pub(crate) fn decode_borrowed<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Result<(T, usize), CodecError> {
    let seed = Runs(PhantomData);
    bincode::serde::seed_decode_from_slice(seed, bytes, CONFIG).map_err(|error| CodecError(error.to_string()))
}

/// What [`encode_sequence_length`] appends.
pub(crate) const SEQUENCE_LENGTH_BYTES: usize = size_of::<u64>();

/// Encodes `count`, as a sequence of that many elements begins: what follows are the elements.
pub(crate) fn encode_sequence_length(count: usize, into: &mut Vec<u8>) {
    into.extend_from_slice(&(count as u64).to_le_bytes());
}

/// Encoded bytes: a few in place, more behind a shared pointer, so that a clone never copies much.
#[derive(Clone)]
pub struct Payload(Repr);

const INLINE_BYTES_MAX: usize = 30;

#[derive(Clone)]
enum Repr {
    Inline { len: u8, bytes: [u8; INLINE_BYTES_MAX] },
    Shared(Bytes),
}

impl Payload {
    /// No bytes: what a unit value encodes to.
    pub const EMPTY: Self = Self(Repr::Inline { len: 0, bytes: [0; INLINE_BYTES_MAX] });

    /// A copy of `bytes`.
    #[must_use]
    #[inline]
    pub fn copy_of(bytes: &[u8]) -> Self {
        Self::inline(bytes).unwrap_or_else(|| {
            let mut copy = buffers::take(bytes.len());
            copy.extend_from_slice(bytes);
            Self(Repr::Shared(shared(copy)))
        })
    }

    #[inline]
    fn inline(bytes: &[u8]) -> Option<Self> {
        let mut array = [0; INLINE_BYTES_MAX];
        array.get_mut(..bytes.len())?.copy_from_slice(bytes);
        Some(Self(Repr::Inline { len: bytes.len() as u8, bytes: array }))
    }

    /// The bytes.
    #[must_use]
    #[inline]
    pub fn as_slice(&self) -> &[u8] {
        match &self.0 {
            Repr::Inline { len, bytes } => &bytes[..usize::from(*len)],
            Repr::Shared(bytes) => bytes,
        }
    }

    /// Lets go of bytes behind a shared pointer. Bytes in place stay, they cost nothing.
    #[inline]
    pub(crate) fn unshare(&mut self) {
        if let Repr::Shared(_) = &self.0 {
            *self = Self::EMPTY;
        }
    }

    /// Makes it a clone of `other`, put together where it stays.
    #[inline]
    pub(crate) fn copy_from(&mut self, other: &Self) {
        match (&mut self.0, &other.0) {
            (Repr::Inline { len, bytes }, Repr::Inline { len: others_len, bytes: others }) => {
                (*len, *bytes) = (*others_len, *others);
            }
            _ => *self = other.clone(),
        }
    }

    /// Makes it what `other` was, put together where it stays; `other` may keep what costs nothing.
    #[inline]
    pub(crate) fn take_from(&mut self, other: &mut Self) {
        match (&mut self.0, &other.0) {
            (Repr::Inline { len, bytes }, Repr::Inline { len: others_len, bytes: others }) => {
                (*len, *bytes) = (*others_len, *others);
            }
            _ => *self = std::mem::take(other),
        }
    }

    /// Makes it a copy of `bytes`, put together where it stays: a value made elsewhere is moved in larger pieces than
    /// it was written in, and the processor must finish all writes before it can read one such piece.
    #[inline]
    pub(crate) fn set(&mut self, bytes: &[u8]) {
        self.unshare();
        match (&mut self.0, <&[u8; 8]>::try_from(bytes)) {
            // A number, as most small values: a copy of a size that the compiler knows.
            (Repr::Inline { len, bytes: place }, Ok(number)) => {
                *len = 8;
                place[..8].copy_from_slice(number);
            }
            (Repr::Inline { len, .. }, Err(_)) if bytes.is_empty() => *len = 0,
            (Repr::Inline { len, bytes: place }, Err(_)) if bytes.len() <= INLINE_BYTES_MAX => {
                *len = bytes.len() as u8;
                place[..bytes.len()].copy_from_slice(bytes);
            }
            _ => *self = Self::copy_of(bytes),
        }
    }

    /// Appends the bytes.
    #[inline]
    pub(crate) fn append_to(&self, into: &mut Vec<u8>) {
        match &self.0 {
            Repr::Inline { len, bytes } => append_few(bytes, *len, into),
            Repr::Shared(bytes) => into.extend_from_slice(bytes),
        }
    }

    /// How many bytes.
    #[must_use]
    #[inline]
    pub fn len(&self) -> usize {
        self.as_slice().len()
    }

    /// Whether there are no bytes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The same bytes behind a shared pointer.
    #[must_use]
    pub fn into_bytes(self) -> Bytes {
        match self.0 {
            Repr::Inline { len, bytes } => Bytes::copy_from_slice(&bytes[..usize::from(len)]),
            Repr::Shared(bytes) => bytes,
        }
    }
}

/// Appends the first `len` bytes: a copy of a size that the compiler knows, and the surplus cut off. No call, no loop.
#[inline]
fn append_few(bytes: &[u8; INLINE_BYTES_MAX], len: u8, into: &mut Vec<u8>) {
    let end = into.len() + usize::from(len);
    into.extend_from_slice(bytes);
    into.truncate(end);
}

impl Default for Payload {
    fn default() -> Self {
        Self::EMPTY
    }
}

impl From<Bytes> for Payload {
    fn from(bytes: Bytes) -> Self {
        Self::inline(&bytes).unwrap_or(Self(Repr::Shared(bytes)))
    }
}

impl From<Vec<u8>> for Payload {
    fn from(bytes: Vec<u8>) -> Self {
        Self::inline(&bytes).unwrap_or_else(|| Self(Repr::Shared(shared(bytes))))
    }
}

/// The bytes behind a shared pointer; the memory of large ones is used again in the end.
pub(crate) fn shared(bytes: Vec<u8>) -> Bytes {
    if bytes.capacity() < buffers::LARGE_BYTES_MIN { Bytes::from(bytes) } else { Bytes::from_owner(Reused(bytes)) }
}

impl PartialEq for Payload {
    fn eq(&self, other: &Self) -> bool {
        self.as_slice() == other.as_slice()
    }
}

impl fmt::Debug for Payload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Payload({} bytes)", self.len())
    }
}

impl Serialize for Payload {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(self.as_slice())
    }
}

impl<'de> Deserialize<'de> for Payload {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Copied;
        impl Visitor<'_> for Copied {
            type Value = Payload;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("bytes")
            }
            fn visit_bytes<E>(self, bytes: &[u8]) -> Result<Payload, E> {
                Ok(Payload::copy_of(bytes))
            }
        }
        deserializer.deserialize_bytes(Copied)
    }
}

/// Builds a payload from values, one after another: without an allocation while it stays small, in memory that was
/// used before when it is large.
#[derive(Debug)]
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

    /// Appends the bytes of `value`.
    ///
    /// # Errors
    /// What the value's `Serialize` reports.
    pub fn append<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), CodecError> {
        bincode::serde::encode_into_writer(value, self, CONFIG).map_err(|error| CodecError(error.to_string()))
    }

    /// How many bytes were written.
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

    /// Moves what was written to its place; nothing is, afterwards.
    #[inline]
    pub(crate) fn move_to(&mut self, place: &mut Payload) {
        if !self.large.is_empty() {
            *place = Payload::from(std::mem::take(&mut self.large));
            return;
        }
        place.unshare();
        if let Repr::Inline { len, bytes } = &mut place.0 {
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
            // A buffer of twice the size leaves room for what comes; a single large slice comes alone as a rule.
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
            Some(place) if self.large.is_empty() => {
                place.copy_from_slice(bytes);
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_payload_keeps_its_bytes_at_every_size() {
        for len in [0, 1, INLINE_BYTES_MAX, INLINE_BYTES_MAX + 1, 5_000] {
            let bytes: Vec<u8> = (0..len).map(|i| i as u8).collect();
            assert_eq!(Payload::copy_of(&bytes).as_slice(), bytes);
            assert_eq!(Payload::from(bytes.clone()).as_slice(), bytes);
            assert_eq!(Payload::from(Bytes::from(bytes.clone())).into_bytes(), bytes);
        }
    }

    #[test]
    fn a_writer_keeps_its_bytes_while_it_grows() {
        let blocks: Vec<Vec<u8>> = [3, 40, 200_000, 7, 150_000, 900_000].map(|len| vec![len as u8; len]).into();
        let mut writer = PayloadWriter::new();
        let mut expected = Vec::new();
        for block in &blocks {
            writer.append(block).expect("bytes encode");
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
            bytes.iter().for_each(|byte| writer.append(byte).expect("bytes encode"));
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
    fn a_payload_takes_the_place_of_any_other() {
        let sizes = [0, 8, INLINE_BYTES_MAX, INLINE_BYTES_MAX + 1, 5_000];
        for (before, after) in sizes.into_iter().flat_map(|before| sizes.map(|after| (before, after))) {
            let (old, bytes) = (vec![1; before], vec![2; after]);
            let [mut copied, mut taken, mut set] = [(); 3].map(|()| Payload::copy_of(&old));
            let mut other = Payload::copy_of(&bytes);
            copied.copy_from(&other);
            taken.take_from(&mut other);
            set.set(&bytes);
            assert_eq!([copied.as_slice(), taken.as_slice(), set.as_slice()], [&bytes[..]; 3], "{before}, {after}");
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
}
