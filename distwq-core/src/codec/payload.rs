//! Encoded bytes that are cheap to clone.

use crate::memory::buffers::{self, Reused};
use bytes::Bytes;
use serde::de::Visitor;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;

/// Encoded bytes: a few in place, more behind a shared pointer, so that a clone never
/// copies much.
#[derive(Clone)]
pub struct Payload(pub(super) Repr);

pub(super) const INLINE_BYTES_MAX: usize = 30;

#[derive(Clone)]
pub(super) enum Repr {
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

    /// Makes it what `other` was, put together where it stays; `other` may keep what
    /// costs nothing.
    #[inline]
    pub(crate) fn take_from(&mut self, other: &mut Self) {
        match (&mut self.0, &other.0) {
            (Repr::Inline { len, bytes }, Repr::Inline { len: others_len, bytes: others }) => {
                (*len, *bytes) = (*others_len, *others);
            }
            _ => *self = std::mem::take(other),
        }
    }

    /// Makes it a copy of `bytes`, put together where it stays: a value made elsewhere is
    /// moved in larger pieces than it was written in, and the processor must finish all
    /// writes before it can read one such piece.
    #[inline(always)]
    pub(crate) fn set(&mut self, bytes: &[u8]) {
        self.unshare();
        match (&mut self.0, <&[u8; 8]>::try_from(bytes)) {
            // A number, as most small values: a copy of a size that the compiler knows.
            (Repr::Inline { len, bytes: array }, Ok(number)) => {
                *len = 8;
                array[..8].copy_from_slice(number);
            }
            (Repr::Inline { len, .. }, Err(_)) if bytes.is_empty() => *len = 0,
            (Repr::Inline { len, bytes: array }, Err(_)) if bytes.len() <= INLINE_BYTES_MAX => {
                *len = bytes.len() as u8;
                array[..bytes.len()].copy_from_slice(bytes);
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

/// Appends the first `len` bytes: a copy of a size that the compiler knows, and the
/// surplus cut off. No call, no loop.
#[inline]
pub(super) fn append_few(bytes: &[u8; INLINE_BYTES_MAX], len: u8, into: &mut Vec<u8>) {
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
    fn a_payload_replaces_any_other() {
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
}
