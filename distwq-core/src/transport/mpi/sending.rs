//! Frames on their way out: a queue for each rank, and a bound on what MPI holds of each.

use super::request::Request;
use super::tag;
use crate::frame::Frame;
use crate::id::Rank;
use ::mpi::ffi;
use bytes::Bytes;
use std::collections::VecDeque;
use std::ffi::c_int;
use std::ops::Range;

/// Messages that MPI holds for one rank at most; the rest waits here.
const IN_FLIGHT_MAX: usize = 16;

/// All that goes out.
#[derive(Debug)]
pub(super) struct Sending {
    comm: ffi::MPI_Comm,
    piece_bytes: usize,
    peers: Vec<Peer>,
    /// Ranks that have something on its way, each once.
    active: Vec<u32>,
}

/// What goes to one rank: whole frames overtake those in pieces.
#[derive(Default, Debug)]
struct Peer {
    frames: VecDeque<Vec<u8>>,
    pieces: VecDeque<Piece>,
    in_flight: VecDeque<(Request, Kept)>,
    is_active: bool,
}

/// A part of a frame that is too large, or has attachments.
#[derive(Debug)]
enum Piece {
    Head(Vec<u8>),
    Part(Bytes, Range<usize>),
}

/// Who keeps the bytes of a message while MPI reads them.
#[derive(Debug)]
enum Kept {
    Owned(Vec<u8>),
    Shared(#[allow(dead_code, reason = "held, not read")] Bytes),
}

impl Sending {
    pub(super) fn new(comm: ffi::MPI_Comm, ranks: u32, piece_bytes: usize) -> Self {
        let peers = (0..ranks).map(|_| Peer::default()).collect();
        Self { comm, piece_bytes, peers, active: Vec::new() }
    }

    /// Takes a frame. Gives the buffer of its body back if it has gone out at once.
    pub(super) fn send(&mut self, to: Rank, frame: Frame) -> Option<Vec<u8>> {
        let peer = &mut self.peers[to.index()];
        if frame.attachments.is_empty() && frame.body.len() <= self.piece_bytes {
            peer.frames.push_back(frame.body);
        } else {
            peer.cut(frame, self.piece_bytes);
        }
        let buffer = peer.start(self.comm, to.0);
        if !peer.is_active && !peer.is_still() {
            peer.is_active = true;
            self.active.push(to.0);
        }
        buffer
    }

    /// Moves on what is under way; hands back the buffers of messages that are complete. Names in `reached` who may
    /// have got something only now: what MPI had no room for, or what has made room for more.
    pub(super) fn progress(&mut self, mut recycle: impl FnMut(Vec<u8>), mut reached: impl FnMut(Rank)) {
        let Self { comm, peers, active, .. } = self;
        active.retain(|&rank| {
            let peer = &mut peers[rank as usize];
            let before = peer.in_flight.len();
            while let Some((request, _)) = peer.in_flight.front_mut()
                && request.is_complete()
            {
                if let Some((_, Kept::Owned(buffer))) = peer.in_flight.pop_front() {
                    recycle(buffer);
                }
            }
            let completed = peer.in_flight.len() < before;
            if let Some(buffer) = peer.start(*comm, rank) {
                recycle(buffer);
            }
            if completed {
                reached(Rank(rank));
            }
            peer.is_active = !peer.is_still();
            peer.is_active
        });
    }

    /// Whether all has gone out.
    pub(super) fn is_still(&self) -> bool {
        self.active.is_empty()
    }
}

impl Peer {
    fn is_still(&self) -> bool {
        self.frames.is_empty() && self.pieces.is_empty() && self.in_flight.is_empty()
    }

    /// Cuts a frame into a head with its lengths, and pieces.
    fn cut(&mut self, frame: Frame, piece_bytes: usize) {
        let parts: Vec<Bytes> = std::iter::once(Bytes::from(frame.body)).chain(frame.attachments).collect();
        let lengths = parts.iter().flat_map(|part| (part.len() as u64).to_le_bytes());
        self.pieces.push_back(Piece::Head(lengths.collect()));
        for part in parts {
            let mut start = 0;
            while start < part.len() {
                let end = (start + piece_bytes).min(part.len());
                self.pieces.push_back(Piece::Part(part.clone(), start..end));
                start = end;
            }
        }
    }

    /// Hands messages to MPI while it may hold more of this rank. Gives the buffer of one that was complete at once.
    fn start(&mut self, comm: ffi::MPI_Comm, to: u32) -> Option<Vec<u8>> {
        let mut done = None;
        while self.in_flight.len() < IN_FLIGHT_MAX {
            let (kept, tag) = match (self.frames.pop_front(), &self.pieces.front()) {
                (Some(body), _) => (Kept::Owned(body), tag::FRAME),
                (None, None) => break,
                (None, Some(_)) => match self.pieces.pop_front() {
                    Some(Piece::Head(head)) => (Kept::Owned(head), tag::HEAD),
                    Some(Piece::Part(bytes, range)) => (Kept::Shared(bytes.slice(range)), tag::PIECE),
                    None => break,
                },
            };
            let mut request = kept.send(comm, to, tag);
            match kept {
                // Small messages are complete at once as a rule.
                Kept::Owned(buffer) if self.in_flight.is_empty() && done.is_none() && request.is_complete() => {
                    done = Some(buffer);
                }
                kept => self.in_flight.push_back((request, kept)),
            }
        }
        done
    }
}

impl Kept {
    fn send(&self, comm: ffi::MPI_Comm, to: u32, tag: c_int) -> Request {
        let bytes: &[u8] = match self {
            Self::Owned(buffer) => buffer,
            Self::Shared(bytes) => bytes,
        };
        // SAFETY: the heap memory of a Vec or of Bytes does not move with its owner, which stays unchanged beside
        // the request in `in_flight` until the request is complete, or is found complete right away.
        unsafe { Request::send(comm, bytes.as_ptr(), bytes.len(), to, tag) }
    }
}
