//! All that leaves the machine of a worker after the handshake, encoded here.

use super::input::Awaited;
use crate::codec::frame::{Blob, Frame};
use crate::codec::{CodecError, Payload, PayloadWriter};
use crate::function::remote::Failure;
use crate::id::{Rank, Slot, TaskId};
use crate::machine::{Garbage, Happened, Ns, Outgoing};
use crate::task::recipe::Final;
use crate::wire::attempt::{self, DoneFields, DoneTail, Given};
use crate::wire::chunk::WithoutValue;
use crate::wire::message::{ToController, ToPeer, ToWorker};
use std::mem::take;

/// What is to be done outside the machine, until the driver has done it.
pub(crate) struct Outbox {
    controller: Rank,
    /// What the controller is told. It gathers until it is [flushed](Self::flush).
    report: Frame,
    reports: u32,
    /// Frames that go at once.
    pub(crate) outgoing: Outgoing,
    /// The run is over: other ranks need nothing of this one, and those that have joined
    /// in the end would not take it.
    closed: bool,
    freed: Vec<Vec<Rank>>,
    /// A report is to be given.
    asked: bool,
    halt: Option<Halt>,
    /// Tasks that run and were cancelled, with their executors.
    pub(crate) cancelled: Vec<(Slot, TaskId)>,
    /// Values that nobody needs any more.
    pub(crate) garbage: Garbage,
    /// What threads of this rank may wait for.
    pub(crate) happened: Happened<Awaited>,
}

/// Why this rank goes no further.
#[derive(Debug)]
pub(crate) enum Halt {
    /// The controller's process exits.
    Exit,
    /// A frame cannot be read: nothing that came after it could be trusted.
    Unreadable { from: Rank, error: CodecError },
}

impl Outbox {
    pub(crate) fn new(controller: Rank) -> Self {
        Self {
            controller,
            report: Frame::default(),
            reports: 0,
            outgoing: Outgoing::default(),
            closed: false,
            freed: Vec::new(),
            asked: false,
            halt: None,
            cancelled: Vec::new(),
            garbage: Garbage::new(),
            happened: Happened::default(),
        }
    }

    /// Tells the controller something, with the next frame that goes there.
    pub(super) fn tell(&mut self, message: &ToController<'_>) {
        self.report.push(message);
        self.reports += 1;
    }

    /// Tells the controller what the states of the slots were made to.
    pub(super) fn tell_finals(&mut self, finals: &[Final]) {
        let values = finals.iter().map(|value| match value {
            Ok(payload) => Ok(self.report.blob(payload)),
            Err(text) => Err(text.as_str()),
        });
        let values = values.collect();
        self.tell(&ToController::Finals { values });
    }

    /// Tells the controller how an attempt has ended; `raw`: it asked for the raw
    /// communicator of its group; and how many items have no value, if it gives outcomes.
    /// An output is taken if it does not fit behind the header.
    #[inline(always)]
    pub(super) fn done(
        &mut self,
        task: TaskId,
        (started_ns, ran_ns): (Ns, Ns),
        (raw, without_value): (bool, WithoutValue),
        outcome: Result<Given<&mut PayloadWriter>, Box<Failure>>,
    ) {
        self.reports += 1;
        let body = &mut self.report.body;
        let fields = DoneFields::new(task, started_ns, ran_ns);
        match outcome {
            Ok(Given::Here(output))
                if !raw && without_value == WithoutValue::NONE && output.len() <= attempt::BYTES_MAX =>
            {
                let push = |body: &mut Vec<u8>| {
                    output.append_to(body);
                    true
                };
                attempt::push(body, fields, push, None);
            }
            outcome => self.done_with_tail(fields, (raw, without_value), outcome),
        }
    }

    #[inline(never)]
    fn done_with_tail(
        &mut self,
        fields: DoneFields,
        (raw, without_value): (bool, WithoutValue),
        outcome: Result<Given<&mut PayloadWriter>, Box<Failure>>,
    ) {
        let payload;
        let outcome = match outcome {
            Ok(Given::Here(output)) => {
                payload = output.take();
                Ok(Given::Here(self.report.blob(&payload)))
            }
            Ok(Given::Resident { bytes }) => Ok(Given::Resident { bytes }),
            Err(failure) => Err(*failure),
        };
        attempt::push(&mut self.report.body, fields, |_| true, Some(&DoneTail { raw, without_value, outcome }));
    }

    /// Says something to another rank, in a frame of its own, unless the run is over.
    /// `message` is given `payload` as it travels.
    pub(super) fn say<'a>(
        &mut self,
        to: Rank,
        payload: Option<&'a Payload>,
        message: impl FnOnce(Option<Blob<'a>>) -> ToPeer<'a>,
    ) {
        if self.closed {
            return;
        }
        let mut frame = self.outgoing.fresh();
        let message = message(payload.map(|payload| frame.blob(payload)));
        if to == self.controller {
            frame.push(&ToController::Peer(message));
        } else {
            frame.push(&ToWorker::Peer(message));
        }
        self.outgoing.send(to, frame);
    }

    /// The run is over: from here on only the controller is told something.
    pub(super) fn close(&mut self) {
        self.closed = true;
    }

    /// The raw communicator of these ranks is to be freed, if there is one.
    pub(super) fn free_group(&mut self, members: Vec<Rank>) {
        self.freed.push(members);
    }

    /// This rank goes no further, for the first reason that is given.
    pub(super) fn halt(&mut self, halt: Halt) {
        self.halt.get_or_insert(halt);
    }

    /// How many messages wait for the controller.
    pub(crate) fn reports(&self) -> u32 {
        self.reports
    }

    /// They wait no more.
    pub(crate) fn flush(&mut self) {
        if take(&mut self.reports) > 0 {
            let frame = std::mem::replace(&mut self.report, self.outgoing.fresh());
            self.outgoing.send(self.controller, frame);
        }
    }

    /// Whether something has to be done at once.
    #[inline]
    pub(crate) fn is_pressing(&self) -> bool {
        !self.outgoing.is_empty() || !self.freed.is_empty()
    }

    /// Takes the groups whose raw communicators are to be freed, in the order in which
    /// all members hear of it.
    pub(crate) fn take_freed(&mut self) -> impl Iterator<Item = Vec<Rank>> + '_ {
        self.freed.drain(..)
    }

    /// The controller wants to know what this rank holds and runs, a part of which the
    /// machine does not know.
    pub(super) fn ask_for_report(&mut self) {
        self.asked = true;
    }

    /// Whether [`Input::Reports`](super::Input::Reports) is to follow.
    pub(crate) fn take_asked(&mut self) -> bool {
        take(&mut self.asked)
    }

    /// Why this rank goes no further, if so.
    pub(crate) fn take_halt(&mut self) -> Option<Halt> {
        self.halt.take()
    }
}
