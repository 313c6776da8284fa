//! Frames on their way in: matched by probe, put together from their pieces.

use super::request::Request;
use super::tag;
use crate::buffers;
use crate::codec;
use crate::frame::Frame;
use crate::id::Rank;
use ::mpi::ffi;
use std::collections::VecDeque;
use std::ffi::c_int;
use std::mem::MaybeUninit;

/// Messages up to this size are received at once: MPI has them whole, or nearly so. For larger ones it may have to
/// wait for the sender, which this rank must not.
const EAGER_BYTES_MAX: usize = 4 << 10;

/// So many looks in a row without a message are a quiet time.
const QUIET_LOOKS: u32 = 1_000;
/// How often MPI is asked at each look in a quiet time.
const LOOKS_WHEN_QUIET: u32 = 16;

/// All that comes in.
#[derive(Debug)]
pub(super) struct Receiving {
    comm: ffi::MPI_Comm,
    peers: Vec<Peer>,
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
    /// Frames that are one message, in order.
    frames: VecDeque<Incoming>,
    /// Frames in pieces, in order; pieces belong to the last one that still lacks some.
    assemblies: VecDeque<Assembly>,
    is_active: bool,
}

/// A buffer that MPI fills.
#[derive(Debug)]
struct Incoming {
    buffer: Vec<u8>,
    len: usize,
    request: Option<Request>,
}

/// A frame in pieces.
#[derive(Debug)]
struct Assembly {
    /// The body, then the attachments.
    parts: Vec<Part>,
}

#[derive(Debug)]
struct Part {
    buffer: Vec<u8>,
    len: usize,
    announced: usize,
    requests: Vec<Request>,
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
        let peers = (0..ranks).map(|_| Peer::default()).collect();
        Self { comm, peers, active: Vec::new(), empty_looks: 0, whole: VecDeque::new() }
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
                tag::PIECE => self.peers[from as usize].piece(&matched),
                _ => {
                    let fresh = buffer.take().map_or_else(Vec::new, |buffer| buffer());
                    if let Some(body) = self.peers[from as usize].frame(&matched, fresh) {
                        return Some((Rank(from), Frame { body, attachments: Vec::new() }));
                    }
                }
            }
            let peer = &mut self.peers[from as usize];
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
            let peer = &mut peers[rank as usize];
            peer.finish(|frame| whole.push_back((Rank(rank), frame)));
            peer.is_active = !peer.is_still();
            peer.is_active
        });
    }

    /// The next message that MPI has. After a while without any it is asked several times: some MPI libraries look at
    /// some of their sources at one call of several only, which counts when this rank naps between two looks.
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
        // SAFETY: the communicator lives; message and status are written if the flag is set, and read only then.
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
        let lengths = head.chunks_exact(8).map(|bytes| {
            let bytes = bytes.try_into().expect("chunks of eight bytes");
            u64::from_le_bytes(bytes) as usize
        });
        let parts = lengths.map(Part::new).collect();
        self.peers[matched.from as usize].assemblies.push_back(Assembly { parts });
    }
}

impl Peer {
    fn is_still(&self) -> bool {
        self.frames.is_empty() && self.assemblies.is_empty()
    }

    /// A frame that is one message. Gives it if it is here and no earlier one is not.
    fn frame(&mut self, matched: &Matched, buffer: Vec<u8>) -> Option<Vec<u8>> {
        if matched.len > EAGER_BYTES_MAX {
            self.frames.push_back(Incoming::start(matched, buffer));
            return None;
        }
        let body = receive_now(matched, buffer);
        if self.frames.is_empty() {
            return Some(body);
        }
        self.frames.push_back(Incoming { len: body.len(), buffer: body, request: None });
        None
    }

    /// A piece: of the first part that still lacks some, in the order in which all was sent.
    fn piece(&mut self, matched: &Matched) {
        let parts = self.assemblies.iter_mut().flat_map(|assembly| &mut assembly.parts);
        let part = parts.into_iter().find(|part| part.announced < part.len);
        let part = part.filter(|part| part.announced + matched.len <= part.len);
        part.expect("a rank sends the pieces that its heads announce").receive(matched);
    }

    /// Hands over the frames that are whole.
    fn finish(&mut self, mut whole: impl FnMut(Frame)) {
        while let Some(incoming) = self.frames.front_mut()
            && incoming.is_complete()
        {
            if let Some(incoming) = self.frames.pop_front() {
                whole(Frame { body: incoming.into_buffer(), attachments: Vec::new() });
            }
        }
        while let Some(assembly) = self.assemblies.front_mut()
            && assembly.parts.iter_mut().all(Part::is_complete)
        {
            let mut parts = self.assemblies.pop_front().map_or_else(Vec::new, |assembly| assembly.parts).into_iter();
            let body = parts.next().map_or_else(Vec::new, Part::into_buffer);
            let attachments = parts.map(|part| codec::shared(part.into_buffer())).collect();
            whole(Frame { body, attachments });
        }
    }
}

impl Incoming {
    fn start(matched: &Matched, mut buffer: Vec<u8>) -> Self {
        buffer.clear();
        buffer.reserve_exact(matched.len);
        // SAFETY: there is room for the message, and the buffer stays beside its request until that is complete.
        let request = unsafe { Request::receive(matched.message, buffer.as_mut_ptr(), matched.len) };
        Self { buffer, len: matched.len, request: Some(request) }
    }

    fn is_complete(&mut self) -> bool {
        self.request.as_mut().is_none_or(Request::is_complete)
    }

    /// The bytes. Only after `is_complete` has said so.
    fn into_buffer(mut self) -> Vec<u8> {
        assert!(self.is_complete(), "a buffer is not taken from MPI while it is filled");
        // SAFETY: the request is complete, so MPI has written `len` bytes.
        unsafe { self.buffer.set_len(self.len) };
        self.buffer
    }
}

impl Part {
    fn new(len: usize) -> Self {
        Self { buffer: buffers::take(len), len, announced: 0, requests: Vec::new() }
    }

    fn receive(&mut self, matched: &Matched) {
        // SAFETY: `announced + len` is within the capacity (checked by the caller), each piece has a range of its
        // own, and the buffer neither moves nor grows until all its requests are complete.
        let request = unsafe {
            let into = self.buffer.as_mut_ptr().add(self.announced);
            Request::receive(matched.message, into, matched.len)
        };
        self.announced += matched.len;
        self.requests.push(request);
    }

    fn is_complete(&mut self) -> bool {
        self.announced == self.len && self.requests.iter_mut().all(Request::is_complete)
    }

    /// The bytes. Only after `is_complete` has said so.
    fn into_buffer(mut self) -> Vec<u8> {
        assert!(self.is_complete(), "a buffer is not taken from MPI while it is filled");
        // SAFETY: all its pieces are here, so MPI has written `len` bytes.
        unsafe { self.buffer.set_len(self.len) };
        self.buffer
    }
}

/// Receives a matched message that is small enough to be here.
fn receive_now(matched: &Matched, mut buffer: Vec<u8>) -> Vec<u8> {
    buffer.clear();
    buffer.reserve(matched.len);
    let mut message = matched.message;
    // SAFETY: there is room for the message, and all of it is written when the call returns.
    unsafe {
        ffi::MPI_Mrecv(
            buffer.as_mut_ptr().cast(),
            super::count(matched.len),
            ffi::RSMPI_UINT8_T,
            &raw mut message,
            ffi::RSMPI_STATUS_IGNORE,
        );
        buffer.set_len(matched.len);
    }
    buffer
}
