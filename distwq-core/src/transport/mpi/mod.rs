//! Ranks as processes of an MPI program. The one module that names MPI, and with the
//! engine's lock held by whoever calls it: one thread at a time, which is what
//! `MPI_THREAD_SERIALIZED` asks for.
//!
//! rsmpi's own requests borrow their buffers and abort when dropped early, so transfers
//! are made with its raw bindings here, and own their buffers until they complete
//! ([`Lent`](super::lent::Lent)).

#![allow(unsafe_code, reason = "MPI is a C library; each block says what makes it sound")]

mod doorbells;
mod environment;
mod groups;
mod main_thread;
mod raw;
mod receiving;
mod request;
mod sending;
mod wire;

pub(crate) use environment::{Environment, StartError};
pub(crate) use main_thread::MainThread;
pub use raw::{OneThreadAtATime, RawCommunicator};

use super::lent::Operation as _;
use super::{Doorbell, FRAME_BYTES, Flow, NAP_MAX_UNHEARD, Transport};
use crate::codec::frame::Frame;
use crate::id::Rank;
use ::mpi::Threading;
use ::mpi::ffi;
use doorbells::Doorbells;
use groups::Groups;
use receiving::Receiving;
use request::Request;
use sending::Sending;
use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::time::Duration;

/// One rank's end.
pub(crate) struct MpiTransport {
    comm: ffi::MPI_Comm,
    rank: Rank,
    ranks: u32,
    sending: Sending,
    receiving: Receiving,
    /// Until all have joined in the end.
    groups: Option<Groups>,
    leftovers: Sender<Leftovers>,
    main_thread: MainThread,
    threads: Threading,
    buffers: Vec<Vec<u8>>,
    bells: Doorbells,
    /// The barrier at the end, once entered.
    barrier: Option<Request>,
    closed: bool,
}

// SAFETY: the handles within are those of an MPI initialised with `MPI_THREAD_SERIALIZED`
// at least (checked in `Environment::start`): any thread may use them, one at a time, and
// the transport is used through `&mut`.
unsafe impl Send for MpiTransport {}

/// What a transport gets from the environment, beside its communicator.
struct Shared {
    groups: Groups,
    leftovers: Sender<Leftovers>,
    bells: Doorbells,
    main_thread: MainThread,
    threads: Threading,
}

/// The communicators of a transport that has closed.
struct Leftovers {
    comm: ffi::MPI_Comm,
    groups: Groups,
}

// SAFETY: as for the transport that they come from.
unsafe impl Send for Leftovers {}

impl Leftovers {
    /// Frees them, which all ranks do in one order.
    fn free(mut self) {
        self.groups.free_all();
        // SAFETY: the communicator was the transport's own, and no operation on it is
        // pending: all sends of this rank and the barrier are complete, and receives are
        // only posted for messages that were matched.
        unsafe {
            ffi::MPI_Comm_free(&raw mut self.comm);
        }
    }
}

const BUFFERS_MAX: usize = 64;
/// Larger buffers are not kept for small frames.
const BUFFER_BYTES_MAX: usize = 1 << 20;

impl MpiTransport {
    /// The end of this rank on `comm`, which belongs to it alone from here on.
    fn new(comm: ffi::MPI_Comm, rank: u32, ranks: u32, piece_bytes: usize, shared: Shared) -> Self {
        let Shared { groups, leftovers, bells, main_thread, threads } = shared;
        Self {
            comm,
            rank: Rank(rank),
            ranks,
            sending: Sending::new(comm, ranks, piece_bytes),
            receiving: Receiving::new(comm, ranks),
            groups: Some(groups),
            leftovers,
            main_thread,
            threads,
            buffers: Vec::new(),
            bells,
            barrier: None,
            closed: false,
        }
    }
}

impl Transport for MpiTransport {
    fn rank(&self) -> Rank {
        self.rank
    }

    fn ranks(&self) -> u32 {
        self.ranks
    }

    fn send(&mut self, to: Rank, frame: Frame) {
        assert!(!self.closed, "nobody sends after all have joined in the end");
        if let Some(buffer) = self.sending.send(to, frame) {
            self.recycle(buffer);
        }
        self.bells.ring(to);
    }

    fn receive(&mut self) -> Option<(Rank, Frame)> {
        if self.closed {
            return None;
        }
        let Self { receiving, buffers, .. } = self;
        receiving.next(|| buffers.pop().unwrap_or_else(|| Vec::with_capacity(FRAME_BYTES)))
    }

    fn progress(&mut self) -> Flow {
        if self.closed {
            return Flow::Still;
        }
        let Self { sending, buffers, bells, .. } = self;
        sending.progress(|buffer| keep(buffers, buffer), |reached| bells.ring(reached));
        match self.sending.is_still() && self.receiving.is_still() {
            true => Flow::Still,
            false => Flow::Moving,
        }
    }

    fn is_sending(&self) -> bool {
        !self.closed && !self.sending.is_still()
    }

    fn buffer(&mut self) -> Vec<u8> {
        self.buffers.pop().unwrap_or_else(|| Vec::with_capacity(FRAME_BYTES))
    }

    fn recycle(&mut self, buffer: Vec<u8>) {
        keep(&mut self.buffers, buffer);
    }

    fn kept_bytes(&self) -> usize {
        self.buffers.iter().map(Vec::capacity).sum()
    }

    fn bell(&self) -> Arc<Doorbell> {
        self.bells.own()
    }

    /// Nobody rings when the barrier completes.
    fn nap_max(&self) -> Duration {
        if self.barrier.is_some() { NAP_MAX_UNHEARD } else { self.bells.nap_max() }
    }

    /// A rank enters the barrier when its own sends are complete, and sends nothing from
    /// then on; when the barrier completes, those of all are. What was sent eagerly and
    /// not taken by then belongs to a run that has failed, and goes with the
    /// communicator.
    fn close(&mut self) -> bool {
        if self.closed {
            return true;
        }
        if !self.sending.is_still() {
            return false;
        }
        let comm = self.comm;
        let barrier = self.barrier.get_or_insert_with(|| Request::barrier(comm));
        if !barrier.is_complete() || !self.receiving.is_still() {
            return false;
        }
        self.closed = true;
        if let Some(groups) = self.groups.take() {
            // Freed where MPI ends, unless that has gone already.
            let _ = self.leftovers.send(Leftovers { comm, groups });
        }
        true
    }

    fn abort(&mut self, code: i32) -> ! {
        environment::abort(code)
    }

    fn raw_group(&mut self, members: &[Rank]) -> Option<RawCommunicator> {
        let groups = self.groups.as_mut()?;
        self.sending.hand_over();
        Some(RawCommunicator::new(groups.get(members), self.threads))
    }

    fn main_thread(&self) -> Option<MainThread> {
        Some(self.main_thread.clone())
    }

    fn free_group(&mut self, members: &[Rank]) {
        if let Some(groups) = &mut self.groups {
            groups.free(members);
        }
    }
}

fn keep(buffers: &mut Vec<Vec<u8>>, mut buffer: Vec<u8>) {
    if buffers.len() < BUFFERS_MAX && buffer.capacity() <= BUFFER_BYTES_MAX {
        buffer.clear();
        buffers.push(buffer);
    }
}
