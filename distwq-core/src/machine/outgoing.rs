//! Frames that leave a machine, and the buffers that they are written into.

use crate::codec::frame::Frame;
use crate::id::Rank;

/// Buffers that are kept for frames to come.
const BUFFERS_MAX: usize = 8;

/// Frames in the order in which they go, until the driver takes them.
#[derive(Default, Debug)]
pub(crate) struct Outgoing {
    frames: Vec<(Rank, Frame)>,
    buffers: Vec<Vec<u8>>,
}

impl Outgoing {
    /// An empty frame.
    pub(super) fn fresh(&mut self) -> Frame {
        Frame { body: self.buffers.pop().unwrap_or_default(), attachments: Vec::new() }
    }

    /// A frame is to go.
    pub(super) fn send(&mut self, to: Rank, frame: Frame) {
        self.frames.push((to, frame));
    }

    /// Drops what was to go to a rank.
    pub(super) fn drop_to(&mut self, rank: Rank) {
        self.frames.retain(|(to, _)| *to != rank);
    }

    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.frames.is_empty()
    }

    /// Gives each frame and its receiver to `send`, in order, and takes buffers from
    /// `buffer` for those to come.
    pub(crate) fn take<C: ?Sized>(
        &mut self,
        carrier: &mut C,
        send: impl Fn(&mut C, Rank, Frame),
        buffer: impl Fn(&mut C) -> Vec<u8>,
    ) {
        for (to, frame) in self.frames.drain(..) {
            send(carrier, to, frame);
        }
        while self.buffers.len() < BUFFERS_MAX {
            self.buffers.push(buffer(carrier));
        }
    }
}
