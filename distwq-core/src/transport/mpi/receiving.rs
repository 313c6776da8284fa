//! Frames on their way in: matched by probe, put together from their pieces.

use super::request::Request;
use super::wire::tag;
use crate::codec;
use crate::codec::frame::Frame;
use crate::id::Rank;
use crate::memory::buffers;
use crate::transport::arrivals::{Arrivals, Incoming};
use crate::transport::by_peer::ByPeer;
use crate::transport::departures::lengths;
use crate::transport::lent::Lent;
use ::mpi::ffi;
use smallvec::{SmallVec, smallvec};
use std::collections::VecDeque;
use std::ffi::c_int;
use std::mem::MaybeUninit;

/// Messages up to this size are received at once: MPI has them whole, or nearly so. For
/// larger ones it may have to wait for the sender, which this rank must not.
const EAGER_BYTES_MAX: usize = 4 << 10;

/// So many looks in a row without a message are a quiet time.
const QUIET_LOOKS: u32 = 1_000;
/// How often MPI is asked at each look in a quiet time.
const LOOKS_WHEN_QUIET: u32 = 16;

/// All that comes in.
#[derive(Debug)]
pub(super) struct Receiving {
    comm: ffi::MPI_Comm,
    peers: ByPeer<Peer>,
    /// Ranks of which something is half here, each once.
    active: Vec<u32>,
    /// Looks in a row that found nothing.
    empty_looks: u32,
    /// Frames that are whole.
    whole: VecDeque<(Rank, Frame)>,
}

/// What comes from one rank.
#[derive(Default, Debug)]
struct Peer {
    arrivals: Arrivals<Coming>,
    is_active: bool,
}

/// A frame that is not here as a whole.
#[derive(Debug)]
struct Coming {
    /// The body, then the attachments.
    parts: SmallVec<[Part; 1]>,
    /// The part to which the next piece belongs.
    current: usize,
}

/// A buffer that MPI fills.
#[derive(Debug)]
struct Part {
    buffer: Lent<Vec<u8>, Request>,
    len: usize,
    /// How many bytes of it MPI has or is to write, from the first on.
    announced: usize,
}

/// A message that was matched.
struct Matched {
    message: ffi::MPI_Message,
    from: u32,
    tag: c_int,
    len: usize,
}

impl Receiving {
    pub(super) fn new(comm: ffi::MPI_Comm, ranks: u32) -> Self {
        Self { comm, peers: ByPeer::new(ranks), active: Vec::new(), empty_looks: 0, whole: VecDeque::new() }
    }

    /// Whether nothing is half here.
    pub(super) fn is_still(&self) -> bool {
        self.active.is_empty() && self.whole.is_empty()
    }

    /// The next frame that is whole, if there is one.
    pub(super) fn next(&mut self, buffer: impl FnOnce() -> Vec<u8>) -> Option<(Rank, Frame)> {
        if self.whole.is_empty() {
            self.finish();
        }
        if let Some(frame) = self.whole.pop_front() {
            return Some(frame);
        }
        let mut buffer = Some(buffer);
        while let Some(matched) = self.look() {
            let from = matched.from;
            match matched.tag {
                tag::HEAD => self.head(&matched),
                tag::PIECE => self.peers.get_or_make(Rank(from)).piece(&matched),
                _ => {
                    let fresh = buffer.take().map_or_else(Vec::new, |buffer| buffer());
                    if let Some(body) = self.peers.get_or_make(Rank(from)).frame(&matched, fresh) {
                        return Some((Rank(from), Frame { body, attachments: Vec::new() }));
                    }
                }
            }
            let peer = self.peers.get_or_make(Rank(from));
            if !peer.is_active && !peer.is_still() {
                peer.is_active = true;
                self.active.push(from);
            }
            if !self.active.is_empty() {
                self.finish();
                if let Some(frame) = self.whole.pop_front() {
                    return Some(frame);
                }
            }
        }
        None
    }

    /// Collects the frames that have become whole.
    fn finish(&mut self) {
        let Self { peers, active, whole, .. } = self;
        active.retain(|&rank| {
            let peer = peers.get_or_make(Rank(rank));
            while let Some(coming) = peer.arrivals.next() {
                whole.push_back((Rank(rank), coming.into_frame()));
            }
            peer.is_active = !peer.is_still();
            peer.is_active
        });
    }

    /// The next message that MPI has. After a while without any it is asked several
    /// times: some MPI libraries look at some of their sources at one call of several
    /// only, which counts when this rank naps between two looks.
    fn look(&mut self) -> Option<Matched> {
        let looks = if self.empty_looks < QUIET_LOOKS { 1 } else { LOOKS_WHEN_QUIET };
        let found = (0..looks).find_map(|_| self.probe());
        self.empty_looks = if found.is_some() { 0 } else { self.empty_looks.saturating_add(1) };
        found
    }

    fn probe(&self) -> Option<Matched> {
        let mut flag = 0;
        let mut message = MaybeUninit::uninit();
        let mut status = MaybeUninit::<ffi::MPI_Status>::uninit();
        let mut len: c_int = 0;
        // SAFETY: the communicator lives; message and status are written if the flag is
        // set, and read only then.
        unsafe {
            ffi::MPI_Improbe(
                ffi::RSMPI_ANY_SOURCE,
                ffi::RSMPI_ANY_TAG,
                self.comm,
                &raw mut flag,
                message.as_mut_ptr(),
                status.as_mut_ptr(),
            );
            if flag == 0 {
                return None;
            }
            ffi::MPI_Get_count(status.as_ptr(), ffi::RSMPI_UINT8_T, &raw mut len);
            let status = status.assume_init();
            Some(Matched {
                message: message.assume_init(),
                from: status.MPI_SOURCE as u32,
                tag: status.MPI_TAG,
                len: len as usize,
            })
        }
    }

    fn head(&mut self, matched: &Matched) {
        let head = receive_now(matched, Vec::new());
        let coming =
            Coming { parts: lengths(&head).map(|len| Part::new(buffers::take(len), len)).collect(), current: 0 };
        let arrivals = &mut self.peers.get_or_make(Rank(matched.from)).arrivals;
        if coming.parts.len() == 1 { arrivals.begin_plain(coming) } else { arrivals.begin_attached(coming) }
    }
}

impl Peer {
    fn is_still(&self) -> bool {
        self.arrivals.is_empty()
    }

    /// A frame that is one message. Gives it if it is here and no earlier one is not.
    fn frame(&mut self, matched: &Matched, buffer: Vec<u8>) -> Option<Vec<u8>> {
        if matched.len > EAGER_BYTES_MAX {
            self.arrivals.begin_plain(Coming::start(matched, buffer));
            return None;
        }
        let body = receive_now(matched, buffer);
        if self.arrivals.are_in_order() {
            return Some(body);
        }
        self.arrivals.begin_plain(Coming::whole(body));
        None
    }

    fn piece(&mut self, matched: &Matched) {
        let lacking = self.arrivals.lacking().and_then(Coming::lacking);
        let part = lacking.filter(|part| matched.len <= part.len - part.announced);
        part.expect("a rank sends the pieces that its heads announce").receive(matched);
    }
}

impl Coming {
    /// A frame that is one message.
    fn start(matched: &Matched, mut buffer: Vec<u8>) -> Self {
        buffer.clear();
        buffer.reserve_exact(matched.len);
        let mut body = Part::new(buffer, matched.len);
        body.receive(matched);
        Self { parts: smallvec![body], current: 0 }
    }

    /// A frame that has to wait for earlier ones only.
    fn whole(body: Vec<u8>) -> Self {
        let len = body.len();
        Self { parts: smallvec![Part { buffer: Lent::new(body), len, announced: len }], current: 0 }
    }

    /// The part to which the next piece belongs.
    fn lacking(&mut self) -> Option<&mut Part> {
        while self.parts.get(self.current).is_some_and(|part| part.announced == part.len) {
            self.current += 1;
        }
        self.parts.get_mut(self.current)
    }

    /// The frame. Only after `is_complete` has said so.
    fn into_frame(self) -> Frame {
        let mut parts = self.parts.into_iter();
        let body = parts.next().map_or_else(Vec::new, Part::into_buffer);
        Frame { body, attachments: parts.map(|part| codec::shared(part.into_buffer())).collect() }
    }
}

impl Incoming for Coming {
    fn lacks_pieces(&self) -> bool {
        self.parts[self.current..].iter().any(|part| part.announced < part.len)
    }

    fn is_complete(&mut self) -> bool {
        !self.lacks_pieces() && self.parts.iter_mut().all(|part| part.buffer.is_free())
    }
}

impl Part {
    /// A part of `len` bytes, for which the buffer has room.
    fn new(buffer: Vec<u8>, len: usize) -> Self {
        Self { buffer: Lent::new(buffer), len, announced: 0 }
    }

    fn receive(&mut self, matched: &Matched) {
        let Self { buffer, len, announced } = self;
        buffer.lend(|buffer| {
            assert!(*announced + matched.len <= *len && *len <= buffer.capacity(), "there is room for a piece");
            // SAFETY: there is room behind `announced`, each message has a range of its
            // own, and `Lent` keeps the buffer, which neither moves its memory nor grows,
            // until the request is complete.
            unsafe {
                let into = buffer.as_mut_ptr().add(*announced);
                Request::receive(matched.message, into, matched.len)
            }
        });
        *announced += matched.len;
    }

    /// The bytes. Only after all of them have been found here.
    fn into_buffer(self) -> Vec<u8> {
        assert_eq!(self.announced, self.len, "all pieces have come");
        let mut buffer = self.buffer.take();
        // SAFETY: no request is pending, and those that were have written `len` bytes.
        unsafe { buffer.set_len(self.len) };
        buffer
    }
}

/// Receives a matched message that is small enough to be here.
fn receive_now(matched: &Matched, mut buffer: Vec<u8>) -> Vec<u8> {
    buffer.clear();
    buffer.reserve(matched.len);
    let mut message = matched.message;
    // SAFETY: there is room for the message, and all of it is written when the call
    // returns.
    unsafe {
        ffi::MPI_Mrecv(
            buffer.as_mut_ptr().cast(),
            super::wire::count(matched.len),
            ffi::RSMPI_UINT8_T,
            &raw mut message,
            ffi::RSMPI_STATUS_IGNORE,
        );
        buffer.set_len(matched.len);
    }
    buffer
}
