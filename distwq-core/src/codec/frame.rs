//! What travels from rank to rank: one or more messages of one direction, encoded one
//! after another, with the large payloads beside them as attachments.
//!
//! Frames from one rank arrive in the order in which they were sent, but a frame with
//! attachments may be overtaken by later ones.

use crate::codec::{self, CodecError, Payload};
use bytes::Bytes;
use serde::{Deserialize, Serialize};

/// Bytes within a message: in place while they are few, else an attachment of the frame.
#[derive(Serialize, Deserialize, Clone, Copy, Debug)]
pub(crate) enum Blob<'a> {
    Inline(#[serde(with = "raw")] &'a [u8]),
    Attached(u32),
}

pub(crate) mod raw {
    //! A slice as one run of bytes instead of a sequence of numbers.
    use serde::{Deserialize, Deserializer, Serializer};

    pub(crate) fn serialize<S: Serializer>(bytes: &&[u8], to: S) -> Result<S::Ok, S::Error> {
        to.serialize_bytes(bytes)
    }

    pub(crate) fn deserialize<'de: 'a, 'a, D: Deserializer<'de>>(from: D) -> Result<&'a [u8], D::Error> {
        <&'a [u8]>::deserialize(from)
    }
}

/// Payloads of more bytes than this go beside the messages instead of within.
pub(crate) const ATTACHED_BYTES_MIN: usize = 16 << 10;

/// The mark of a message in the general encoding. The messages that every attempt costs
/// begin with a header of fixed size and a mark of their own instead (`wire/attempt.rs`),
/// which costs a fraction of what the general encoding does.
pub(crate) const GENERAL: u8 = 0;

/// Encoded messages and the large payloads beside them.
#[derive(Default, Debug)]
pub(crate) struct Frame {
    pub(crate) body: Vec<u8>,
    pub(crate) attachments: Vec<Bytes>,
}

impl Frame {
    /// How many bytes it has in all.
    pub(crate) fn bytes(&self) -> u64 {
        let beside: usize = self.attachments.iter().map(|attachment| attachment.len()).sum();
        (self.body.len() + beside) as u64
    }

    /// Puts `payload` into the frame, beside the message if it is large.
    #[inline]
    pub(crate) fn blob<'a>(&mut self, payload: &'a Payload) -> Blob<'a> {
        if payload.len() < ATTACHED_BYTES_MIN {
            return Blob::Inline(payload.as_slice());
        }
        self.attachments.push(payload.clone().into_bytes());
        Blob::Attached(self.attachments.len() as u32 - 1)
    }

    /// Appends a message in its general encoding.
    #[inline]
    pub(crate) fn push<M: Serialize>(&mut self, message: &M) {
        self.body.push(GENERAL);
        codec::encode_into(message, &mut self.body).expect("messages are made of plain data");
    }

    /// The payload of a blob of this frame.
    #[inline]
    pub(crate) fn payload(&self, blob: Blob<'_>) -> Result<Payload, CodecError> {
        match blob {
            Blob::Inline(bytes) => Ok(Payload::copy_of(bytes)),
            Blob::Attached(index) => self
                .attachments
                .get(index as usize)
                .map(|bytes| Payload::from(bytes.clone()))
                .ok_or_else(|| CodecError(format!("attachment {index} is missing"))),
        }
    }
}

/// Reads the messages of a frame one after another.
pub(crate) struct Messages<'a>(&'a [u8]);

impl<'a> Messages<'a> {
    pub(crate) fn of(frame: &'a Frame) -> Self {
        Self(&frame.body)
    }

    /// The next message, if `read` knows its header and says what it is and how many
    /// bytes it took.
    #[inline]
    pub(crate) fn next_fixed<S>(&mut self, read: impl FnOnce(&'a [u8]) -> Option<(S, usize)>) -> Option<S> {
        let (message, used) = read(self.0)?;
        self.0 = &self.0[used..];
        Some(message)
    }

    /// Whether all messages have been read.
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The next message, which is in its general encoding, or nothing at the end of the
    /// frame.
    #[inline]
    pub(crate) fn next<M: Deserialize<'a>>(&mut self) -> Result<Option<M>, CodecError> {
        match self.0.split_first() {
            None => Ok(None),
            Some((&GENERAL, general)) => {
                let (message, used) = codec::decode_borrowed(general)?;
                self.0 = &general[used..];
                Ok(Some(message))
            }
            Some(_) => Err(CodecError("a message is torn, or has an unknown mark".to_owned())),
        }
    }
}
