//! All ranks in one process: a mailbox each. The reference for the other fabrics.

use super::{Doorbell, FRAME_BYTES, Flow, NAP_MAX_RUNG, Transport};
use crate::codec::frame::Frame;
use crate::id::Rank;
use crossbeam_queue::SegQueue;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// Mailboxes for a number of ranks.
#[derive(Debug)]
pub(crate) struct Network {
    boxes: Vec<Mailbox>,
    /// Ends that have not joined in the end of the run.
    open: AtomicU32,
}

#[derive(Debug)]
struct Mailbox {
    frames: SegQueue<(Rank, Frame)>,
    bell: Arc<Doorbell>,
}

impl Network {
    /// The ends of a network of `ranks` ranks, in the order of the ranks.
    pub(crate) fn ends(ranks: u32) -> Vec<LocalTransport> {
        let boxes = (0..ranks).map(|_| Mailbox { frames: SegQueue::new(), bell: Arc::default() });
        let network = Arc::new(Self { boxes: boxes.collect(), open: AtomicU32::new(ranks) });
        (0..ranks)
            .map(|rank| LocalTransport {
                rank: Rank(rank),
                network: Arc::clone(&network),
                buffers: Vec::new(),
                is_closed: false,
            })
            .collect()
    }
}

/// One rank's end.
#[derive(Debug)]
pub(crate) struct LocalTransport {
    rank: Rank,
    network: Arc<Network>,
    buffers: Vec<Vec<u8>>,
    is_closed: bool,
}

const BUFFERS_MAX: usize = 16;
/// Larger buffers are not kept for small frames.
const BUFFER_BYTES_MAX: usize = 1 << 20;

impl Transport for LocalTransport {
    fn rank(&self) -> Rank {
        self.rank
    }

    fn ranks(&self) -> u32 {
        self.network.boxes.len() as u32
    }

    fn send(&mut self, to: Rank, frame: Frame) {
        let mailbox = &self.network.boxes[to.index()];
        mailbox.frames.push((self.rank, frame));
        mailbox.bell.ring();
    }

    fn receive(&mut self) -> Option<(Rank, Frame)> {
        self.network.boxes[self.rank.index()].frames.pop()
    }

    fn progress(&mut self) -> Flow {
        Flow::Still
    }

    fn is_sending(&self) -> bool {
        false
    }

    fn buffer(&mut self) -> Vec<u8> {
        self.buffers.pop().unwrap_or_else(|| Vec::with_capacity(FRAME_BYTES))
    }

    fn recycle(&mut self, mut buffer: Vec<u8>) {
        if self.buffers.len() < BUFFERS_MAX && buffer.capacity() <= BUFFER_BYTES_MAX {
            buffer.clear();
            self.buffers.push(buffer);
        }
    }

    fn kept_bytes(&self) -> usize {
        self.buffers.iter().map(Vec::capacity).sum()
    }

    fn bell(&self) -> Arc<Doorbell> {
        Arc::clone(&self.network.boxes[self.rank.index()].bell)
    }

    fn nap_max(&self) -> Duration {
        NAP_MAX_RUNG
    }

    fn close(&mut self) -> bool {
        let Network { boxes, open } = &*self.network;
        if !std::mem::replace(&mut self.is_closed, true) && open.fetch_sub(1, Ordering::AcqRel) == 1 {
            boxes.iter().for_each(|mailbox| mailbox.bell.ring());
        }
        open.load(Ordering::Acquire) == 0
    }

    fn abort(&mut self, code: i32) -> ! {
        std::process::exit(code)
    }

    fn free_group(&mut self, _members: &[Rank]) {}

    #[cfg(feature = "mpi")]
    fn raw_group(&mut self, _members: &[Rank]) -> Option<super::RawCommunicator> {
        None
    }

    #[cfg(feature = "mpi")]
    fn main_thread(&self) -> Option<super::MainThread> {
        None
    }
}
