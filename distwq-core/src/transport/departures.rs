//! What goes out to one rank where messages have a size that they must not exceed: frames
//! are cut, and put in the order in which they go. The other end is
//! [`Arrivals`](super::Arrivals).

use crate::codec::frame::Frame;
use bytes::Bytes;
use std::collections::VecDeque;

/// One message, as the fabric carries it.
#[derive(Debug)]
pub(super) enum Message {
    /// A frame without attachments, as a whole.
    Frame(Vec<u8>),
    /// The lengths of a frame in pieces: of its body, and of each attachment. The pieces
    /// follow.
    Head(Vec<u8>),
    /// The next bytes of the frame whose head came last and that has no attachments, if
    /// it lacks some; else of the one with attachments.
    Piece(Bytes),
}

impl Message {
    pub(super) fn bytes(&self) -> &[u8] {
        match self {
            Self::Frame(bytes) | Self::Head(bytes) => bytes,
            Self::Piece(bytes) => bytes,
        }
    }

    /// The buffer, if it is one that can be used again.
    #[cfg_attr(not(feature = "mpi"), allow(dead_code, reason = "tests take nothing back"))]
    pub(super) fn into_buffer(self) -> Option<Vec<u8>> {
        match self {
            Self::Frame(buffer) | Self::Head(buffer) => Some(buffer),
            Self::Piece(_) => None,
        }
    }
}

/// Messages to one rank, in the order in which they go.
///
/// Those of frames without attachments go first, in order, whole or in pieces. So they
/// overtake frames with attachments, and whatever has gone out before the head of such a
/// frame was sent before it.
#[derive(Default, Debug)]
pub(super) struct Departures {
    plain: VecDeque<Message>,
    attached: VecDeque<Message>,
}

impl Departures {
    #[inline]
    pub(super) fn push(&mut self, frame: Frame, piece_bytes: usize) {
        if frame.attachments.is_empty() && frame.body.len() <= piece_bytes {
            self.plain.push_back(Message::Frame(frame.body));
        } else {
            self.cut(frame, piece_bytes);
        }
    }

    /// Cuts a frame into a head and pieces.
    fn cut(&mut self, frame: Frame, piece_bytes: usize) {
        let queue = if frame.attachments.is_empty() { &mut self.plain } else { &mut self.attached };
        let parts: Vec<Bytes> = std::iter::once(Bytes::from(frame.body)).chain(frame.attachments).collect();
        let lengths = parts.iter().flat_map(|part| (part.len() as u64).to_le_bytes());
        queue.push_back(Message::Head(lengths.collect()));
        for part in parts {
            let starts = (0..part.len()).step_by(piece_bytes);
            queue.extend(starts.map(|start| {
                let end = (start + piece_bytes).min(part.len());
                Message::Piece(part.slice(start..end))
            }));
        }
    }

    /// The message that goes next.
    #[inline]
    pub(super) fn pop(&mut self) -> Option<Message> {
        self.plain.pop_front().or_else(|| self.attached.pop_front())
    }

    /// The next message of a frame without attachments.
    #[cfg(feature = "mpi")]
    pub(super) fn pop_plain(&mut self) -> Option<Message> {
        self.plain.pop_front()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.plain.is_empty() && self.attached.is_empty()
    }
}

/// The lengths that a head tells.
pub(super) fn lengths(head: &[u8]) -> impl ExactSizeIterator<Item = usize> {
    head.chunks_exact(8).map(|bytes| {
        let bytes = bytes.try_into().expect("chunks of eight bytes");
        u64::from_le_bytes(bytes) as usize
    })
}
