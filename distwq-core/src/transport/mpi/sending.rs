//! Frames on their way out: a queue for each rank, and a bound on what MPI holds of each.

use super::request::Request;
use super::wire::tag;
use crate::codec::frame::Frame;
use crate::id::Rank;
use crate::transport::by_peer::ByPeer;
use crate::transport::departures::{Departures, Message};
use crate::transport::lent::Lent;
use ::mpi::ffi;
use std::collections::VecDeque;

/// Messages that MPI holds for one rank at most; the rest waits here.
const IN_FLIGHT_MAX: usize = 16;

/// All that goes out.
#[derive(Debug)]
pub(super) struct Sending {
    comm: ffi::MPI_Comm,
    piece_bytes: usize,
    peers: ByPeer<Peer>,
    /// Ranks that have something on its way, each once.
    active: Vec<u32>,
}

/// What goes to one rank.
#[derive(Default, Debug)]
struct Peer {
    departures: Departures,
    in_flight: VecDeque<Lent<Message, Request>>,
    is_active: bool,
}

impl Sending {
    pub(super) fn new(comm: ffi::MPI_Comm, ranks: u32, piece_bytes: usize) -> Self {
        Self { comm, piece_bytes, peers: ByPeer::new(ranks), active: Vec::new() }
    }

    /// Takes a frame. Gives the buffer of its body back if it has gone out at once.
    pub(super) fn send(&mut self, to: Rank, frame: Frame) -> Option<Vec<u8>> {
        let peer = self.peers.get_or_make(to);
        peer.departures.push(frame, self.piece_bytes);
        let buffer = peer.start(self.comm, to.0);
        if !peer.is_active && !peer.is_still() {
            peer.is_active = true;
            self.active.push(to.0);
        }
        buffer
    }

    /// Moves on what is under way; hands back the buffers of messages that are complete.
    /// Names in `reached` who may have got something only now: what MPI had no room for,
    /// or what has made room for more.
    pub(super) fn progress(&mut self, mut recycle: impl FnMut(Vec<u8>), mut reached: impl FnMut(Rank)) {
        let Self { comm, peers, active, .. } = self;
        active.retain(|&rank| {
            let peer = peers.get_or_make(Rank(rank));
            let before = peer.in_flight.len();
            while peer.in_flight.front_mut().is_some_and(Lent::is_free) {
                let message = peer.in_flight.pop_front().map(Lent::take);
                message.and_then(Message::into_buffer).into_iter().for_each(&mut recycle);
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

    /// Hands all frames without attachments that wait to MPI, however many it holds
    /// already: nobody drives this rank for a while, and then only calls of MPI move on
    /// what is under way.
    pub(super) fn hand_over(&mut self) {
        for &rank in &self.active {
            let peer = self.peers.get_or_make(Rank(rank));
            while let Some(message) = peer.departures.pop_plain() {
                peer.in_flight.push_back(send(self.comm, rank, message));
            }
        }
    }

    /// Whether all has gone out.
    pub(super) fn is_still(&self) -> bool {
        self.active.is_empty()
    }
}

impl Peer {
    fn is_still(&self) -> bool {
        self.departures.is_empty() && self.in_flight.is_empty()
    }

    /// Hands messages to MPI while it may hold more of this rank. Gives the buffer of one
    /// that was complete at once.
    fn start(&mut self, comm: ffi::MPI_Comm, to: u32) -> Option<Vec<u8>> {
        let mut done = None;
        while self.in_flight.len() < IN_FLIGHT_MAX
            && let Some(message) = self.departures.pop()
        {
            let mut sent = send(comm, to, message);
            // Small messages are complete at once as a rule.
            if self.in_flight.is_empty() && done.is_none() && sent.is_free() {
                done = sent.take().into_buffer();
            } else {
                self.in_flight.push_back(sent);
            }
        }
        done
    }
}

fn send(comm: ffi::MPI_Comm, to: u32, message: Message) -> Lent<Message, Request> {
    let mut sent = Lent::new(message);
    sent.lend(|message| {
        let tag = match message {
            Message::Frame(_) => tag::FRAME,
            Message::Head(_) => tag::HEAD,
            Message::Piece(_) => tag::PIECE,
        };
        let bytes = message.bytes();
        // SAFETY: the heap memory of a Vec or of Bytes does not move with its owner,
        // which `Lent` keeps, unchanged, until the request is complete.
        unsafe { Request::send(comm, bytes.as_ptr(), bytes.len(), to, tag) }
    });
    sent
}
