//! All that leaves the machine of the controller after the handshake. It is encoded here,
//! but for arguments and payloads: `dispatch.rs` writes those into the frames.

use super::input::Awaited;
use super::watches::WatchedEnd;
use crate::codec::frame::{Blob, Frame};
use crate::codec::{CodecError, Payload};
use crate::id::{GraphRunId, Rank, TaskId, WorkerId};
use crate::machine::{Happened, Notices, Outgoing};
use crate::wire::attempt::{self, RunFields, RunTail};
use crate::wire::message::{ToPeer, ToWorker};

/// Messages to one worker wait for company until there are so many.
pub(crate) const BATCH_COUNT: u32 = 64;

/// What is to be done outside the machine, until the driver has done it.
pub(crate) struct Outbox {
    /// By worker, what it is told next. It gathers until it is [flushed](Self::flush), or
    /// much.
    next: Vec<Next>,
    /// Workers for which there is something, or was, some of them more than once.
    touched: Vec<WorkerId>,
    /// For how many workers there is something.
    unsent: usize,
    /// Frames that go at once.
    pub(crate) outgoing: Outgoing,
    /// Nothing is sent any more.
    closed: bool,
    halt: Option<Halt>,
    /// The task or value that was added last.
    pub(crate) added: TaskId,
    /// The graph that was started last.
    pub(crate) graph_run: Option<GraphRunId>,
    /// Watched tasks that have ended.
    pub(crate) ended: Vec<WatchedEnd>,
    /// What threads of the user may wait for.
    pub(crate) happened: Happened<Awaited>,
    /// What observers of the run are told.
    pub(crate) notices: Notices,
}

/// What one worker is told next.
#[derive(Debug)]
struct Next {
    rank: Rank,
    frame: Frame,
    count: u32,
    /// The worker is gone and is told nothing more.
    is_lost: bool,
}

/// Why the run ends here.
#[derive(Debug)]
pub(crate) enum Halt {
    /// A frame cannot be read: nothing that came after it could be trusted.
    Unreadable { from: Rank, error: CodecError },
    /// A member of a group does not leave raw MPI.
    Stuck(String),
}

impl Outbox {
    /// That of a controller of these workers.
    pub(crate) fn new(workers: impl Iterator<Item = Rank>) -> Self {
        Self {
            next: workers.map(|rank| Next { rank, frame: Frame::default(), count: 0, is_lost: false }).collect(),
            touched: Vec::new(),
            unsent: 0,
            outgoing: Outgoing::default(),
            closed: false,
            halt: None,
            added: TaskId::new(0, 0),
            graph_run: None,
            ended: Vec::new(),
            happened: Happened::default(),
            notices: Notices::default(),
        }
    }

    /// Tells a worker something.
    pub(super) fn post(&mut self, worker: WorkerId, message: &ToWorker<'_>) {
        let next = &mut self.next[worker.index()];
        if !self.closed && !next.is_lost {
            next.frame.push(message);
            self.written(worker);
        }
    }

    /// A worker is gone: what it was to be told is dropped, and it is told nothing more.
    pub(super) fn lose(&mut self, worker: WorkerId) {
        let next = &mut self.next[worker.index()];
        next.is_lost = true;
        self.unsent -= usize::from(std::mem::take(&mut next.count) > 0);
        next.frame = Frame::default();
        self.outgoing.drop_to(next.rank);
    }

    /// The frame in which a worker is told something next, for the payloads of a message
    /// that follows.
    pub(super) fn frame(&mut self, worker: WorkerId) -> &mut Frame {
        &mut self.next[worker.index()].frame
    }

    /// Gives a worker a task. `push` appends the arguments behind the header: if that is
    /// false, or they are more bytes than go there, nothing is said and this is false.
    #[inline(always)]
    pub(super) fn run(
        &mut self,
        worker: WorkerId,
        fields: RunFields,
        push: impl FnOnce(&mut Vec<u8>) -> bool,
        tail: Option<&RunTail<'_>>,
    ) -> bool {
        let fits = attempt::push(&mut self.frame(worker).body, fields, push, tail);
        if fits {
            self.written(worker);
        }
        fits
    }

    /// Gives a worker a value that it has asked for, or says that it is not here.
    pub(super) fn value(&mut self, worker: WorkerId, value: TaskId, payload: Option<&Payload>) {
        let bytes: Option<Blob<'_>> = payload.map(|payload| self.frame(worker).blob(payload));
        self.post(worker, &ToWorker::Peer(ToPeer::Value { value, bytes }));
    }

    /// A message was appended to what a worker is told next.
    #[inline]
    fn written(&mut self, worker: WorkerId) {
        let next = &mut self.next[worker.index()];
        if next.count == 0 {
            self.touched.push(worker);
            self.unsent += 1;
        }
        next.count += 1;
        if next.count >= BATCH_COUNT || !next.frame.attachments.is_empty() {
            self.flush_to(worker);
        }
    }

    /// Nothing that a worker is told waits any more.
    pub(super) fn flush_to(&mut self, worker: WorkerId) {
        let next = &mut self.next[worker.index()];
        if next.count > 0 {
            next.count = 0;
            self.unsent -= 1;
            if self.closed {
                // What a report that came after the end has set free.
                next.frame = Frame::default();
                return;
            }
            let frame = std::mem::replace(&mut next.frame, self.outgoing.fresh());
            self.outgoing.send(next.rank, frame);
        }
    }

    /// The same of all workers.
    #[inline]
    pub(super) fn flush(&mut self) {
        for index in 0..self.touched.len() {
            self.flush_to(self.touched[index]);
        }
        self.touched.clear();
    }

    /// Whether something waits.
    pub(crate) fn has_unsent(&self) -> bool {
        self.unsent > 0
    }

    /// What was said goes; nothing is said any more.
    pub(super) fn close(&mut self) {
        self.flush();
        self.closed = true;
    }

    /// The run ends here, for the first reason that is given.
    pub(super) fn halt(&mut self, halt: Halt) {
        self.halt.get_or_insert(halt);
    }

    /// Why the run ends here, if it does.
    pub(crate) fn take_halt(&mut self) -> Option<Halt> {
        self.halt.take()
    }
}
