//! A worker's machine with the transport and the clock.

use super::clock::now_ns;
use super::driver::{self, Engine, Turn, Waiters};
use super::traffic::Traffic;
use crate::codec::Payload;
use crate::config::{LogLevel, Settings};
use crate::function::registry::Registry;
use crate::id::{GroupKey, Rank, Slot};
use crate::machine::worker::{Attempt, Awaited, Halt, Input, Next, Outbox, Worker};
use crate::machine::{Garbage, Ns};
use crate::runtime::fault;
use crate::task::cancel::CancelFlag;
use crate::task::group::GroupError;
use crate::task::lines::Lines;
use crate::task::mark::Mark;
use crate::task::recipe::{Final, Renewal};
use crate::transport::Transport;
use std::mem::take;
use std::sync::Arc;
use std::time::Duration;

/// Results wait for company this long at most while there is more to run.
const FLUSH_NS: Ns = 50_000;

/// So many results go out at once, even if none has waited that long.
const FLUSH_COUNT: u32 = 32;

/// A worker, advanced in turns by whoever waits.
pub(crate) struct WorkerEngine {
    pub(super) transport: Box<dyn Transport>,
    machine: Worker,
    out: Outbox,
    /// By executor, where a task that it runs looks whether it was cancelled.
    cancel_flags: Box<[CancelFlag]>,
    /// By executor, where a task that it runs says how much of its work is done.
    marks: Box<[Mark]>,
    traffic: Traffic,
    /// Where tasks leave what they log, if that is forwarded, and from which level on.
    lines: Option<(Arc<Lines>, LogLevel)>,
    /// When `launch` was called in this process, and when all ranks had come together.
    begun: (Ns, Ns),
    /// When the last turn was taken.
    turned_ns: Ns,
    turns_in_passing: u64,
}

impl driver::Awaited for Awaited {
    fn may_drop_values(self) -> bool {
        self == Self::Task
    }
}

impl WorkerEngine {
    pub(crate) fn new(
        transport: Box<dyn Transport>,
        controller: Rank,
        functions: &'static Registry,
        settings: &Settings,
        launched_ns: Ns,
    ) -> Self {
        Self {
            machine: Worker::new(transport.rank(), functions, settings),
            out: Outbox::new(controller),
            cancel_flags: (0..settings.slots).map(|_| CancelFlag::default()).collect(),
            marks: (0..settings.slots).map(|_| Mark::default()).collect(),
            transport,
            traffic: Traffic::default(),
            lines: settings.forward_logs.map(|level| (Arc::default(), level)),
            begun: (launched_ns, now_ns()),
            turned_ns: 0,
            turns_in_passing: 0,
        }
    }

    /// The next thing to do for an executor, with the task in `attempt`. While there is
    /// something, a turn is taken only now and then.
    ///
    /// `ended_ns` is when the last task of the executor has ended, if this is its first
    /// look since: then the clock need not be read, and the next task begins at that
    /// time, or at that of the turn that was taken in between.
    #[inline]
    pub(super) fn next(&mut self, slot: Slot, ended_ns: Option<Ns>, attempt: &mut Attempt) -> Option<Next> {
        let is_due = ended_ns.is_some_and(|ended_ns| ended_ns.saturating_sub(self.turned_ns) > FLUSH_NS);
        if is_due || self.out.reports() >= FLUSH_COUNT {
            self.turns_in_passing += 1;
            self.turn(now_ns());
        }
        let Some(next) = self.machine.next() else {
            return self.machine.wants_final(slot).then_some(Next::Finish);
        };
        if next == Next::Begin {
            // Members use the state of slot 0.
            if slot != Slot(0) && self.machine.is_for_first_slot() {
                return None;
            }
            let now = ended_ns.map_or_else(now_ns, |ended_ns| ended_ns.max(self.turned_ns));
            self.machine.handle(now, Input::Begin { slot, attempt }, &mut self.out);
            if attempt.description.is_some() {
                self.cancel_flags[slot.index()].lower();
            }
        }
        Some(next)
    }

    /// An attempt of an executor has ended.
    #[inline]
    pub(super) fn ended(&mut self, slot: Slot, attempt: &mut Attempt) {
        // Its lines are told before its end.
        self.tell_lines();
        self.machine.handle(attempt.ended_ns(), Input::Ended { slot, attempt }, &mut self.out);
        self.deliver();
    }

    /// An executor has made the first state of its slot, or could not.
    pub(super) fn state_made(&mut self, failure: Option<String>, took_ns: u64) {
        self.machine.handle(now_ns(), Input::StateMade { failure, took_ns }, &mut self.out);
        self.deliver();
    }

    /// An executor makes the state of its slot anew, by this next, or has done so.
    pub(super) fn renews(&mut self, slot: Slot, by: Option<Renewal>) {
        self.machine.handle(now_ns(), Input::Renews { slot, by }, &mut self.out);
    }

    /// An executor could not make the state of its slot anew.
    pub(super) fn state_lost(&mut self, failure: String) {
        self.machine.handle(now_ns(), Input::StateLost { failure }, &mut self.out);
        self.deliver();
    }

    /// An executor has ended the state of its slot.
    pub(super) fn state_ended(&mut self, slot: Slot, finals: Vec<Final>) {
        self.machine.handle(now_ns(), Input::StateEnded { slot, finals }, &mut self.out);
        self.deliver();
    }

    /// An executor could not end the state of its slot, which nobody has asked for.
    pub(super) fn state_not_finished(&mut self, failure: String) {
        self.machine.handle(now_ns(), Input::StateNotFinished { failure }, &mut self.out);
    }

    /// Nothing runs here any more. The controller is told at once: no turn is taken while
    /// users' values are dropped, which may take long.
    pub(super) fn finish(&mut self) {
        self.tell_lines();
        self.machine.handle(now_ns(), Input::Finished, &mut self.out);
        self.deliver();
    }

    /// Where tasks leave what they log, if that is forwarded, and from which level on.
    pub(super) fn lines(&self) -> Option<(Arc<Lines>, LogLevel)> {
        self.lines.clone()
    }

    /// What tasks have logged is to be told.
    #[inline]
    fn tell_lines(&mut self) {
        if let Some((lines, _)) = &self.lines
            && lines.has_some()
        {
            let (lines, dropped) = lines.take();
            self.machine.handle(now_ns(), Input::Lines { lines, dropped }, &mut self.out);
        }
    }

    /// Where a task that an executor runs looks whether it was cancelled, and where it
    /// says how much of its work is done.
    pub(super) fn signals(&self, slot: Slot) -> (CancelFlag, Mark) {
        (self.cancel_flags[slot.index()].clone(), self.marks[slot.index()].clone())
    }

    /// The index of this member in the group of a task that runs here, and how many
    /// members it has.
    pub(super) fn index_in_group(&mut self, epoch: u64) -> (usize, usize) {
        if let Some((slot, task)) = self.machine.cancelled_member(epoch) {
            self.cancel_flags[slot.index()].raise(task);
        }
        self.machine.index_in_group(epoch)
    }

    /// A message to another member of a group.
    pub(super) fn send_in_group(
        &mut self,
        epoch: u64,
        to: usize,
        key: GroupKey,
        payload: &Payload,
    ) -> Result<(), GroupError> {
        self.machine.send_in_group(epoch, to, key, payload, &mut self.out)?;
        self.deliver();
        Ok(())
    }

    /// A message of another member of a group, if it is here or cannot come any more.
    pub(super) fn take_in_group(
        &mut self,
        epoch: u64,
        from: usize,
        key: GroupKey,
    ) -> Option<Result<Payload, GroupError>> {
        let taken = self.machine.take_in_group(epoch, from, key);
        // Once for each wait: this is asked again and again.
        if taken.is_none() && !self.machine.is_awaiting(epoch, from, key) {
            self.machine.handle(now_ns(), Input::Awaits { epoch, from, key }, &mut self.out);
        }
        taken
    }

    /// This member is about to use the raw communicator of its group; gives all members.
    #[cfg(feature = "mpi")]
    pub(super) fn enter_raw(&mut self, epoch: u64) -> Result<Vec<Rank>, GroupError> {
        self.machine.enter_raw(epoch).map(|members| members.ranks().collect())
    }

    /// Does what the machine asks for at once.
    #[inline]
    fn deliver(&mut self) {
        if self.out.is_pressing() {
            self.deliver_all();
        }
    }

    fn deliver_all(&mut self) {
        driver::send_all(&mut self.out.outgoing, &mut *self.transport, &mut self.traffic);
        for members in self.out.take_freed() {
            self.transport.free_group(&members);
        }
    }
}

impl Engine for WorkerEngine {
    type Awaited = Awaited;

    fn turn(&mut self, now: Ns) -> Turn {
        self.tell_lines();
        // First what the controller waits for: to look for more takes its time.
        self.out.flush();
        self.deliver();
        let now = self.turned_ns.max(now);
        self.turned_ns = now;
        let mut worked = false;
        while let Some((from, frame)) = self.transport.receive() {
            worked = true;
            self.traffic.bytes_in += frame.bytes();
            self.machine.handle(now, Input::Frame { from, frame: &frame }, &mut self.out);
            match self.out.take_halt() {
                None => {}
                Some(Halt::Exit) => fault::exit_with_others(&mut *self.transport),
                Some(Halt::Unreadable { from, error }) => fault::unreadable(&mut *self.transport, from, &error),
            }
            self.transport.recycle(frame.body);
        }
        if self.out.take_asked() {
            let measured = self.traffic.measured(self.begun, &*self.transport);
            let marks = self.marks.iter().filter_map(Mark::get).collect();
            self.machine.handle(now, Input::Reports { measured, marks }, &mut self.out);
        }
        self.machine.handle(now, Input::TurnEnds, &mut self.out);
        for (slot, task) in self.out.cancelled.drain(..) {
            self.cancel_flags[slot.index()].raise(task);
        }
        self.deliver();
        let flow = self.transport.progress();
        Turn::of(worked || !self.out.happened.is_empty(), flow)
    }

    fn is_busy(&self) -> bool {
        self.machine.running() > 0 || self.machine.attends_to_states()
    }

    fn has_unsent(&self) -> bool {
        self.out.reports() > 0 || self.transport.is_sending()
    }

    fn turns_in_passing(&self) -> u64 {
        self.turns_in_passing
    }

    fn nap_max(&self) -> Duration {
        self.transport.nap_max()
    }

    fn next_deadline(&self) -> Option<Ns> {
        self.machine.next_deadline()
    }

    fn has_garbage(&self) -> bool {
        !self.out.garbage.is_empty()
    }

    fn take_garbage(&mut self) -> Garbage {
        take(&mut self.out.garbage)
    }

    fn wake(&mut self, waiters: &mut Waiters<Awaited>) {
        waiters.tell(&mut self.out.happened);
        if self.machine.is_for_first_slot() {
            // Whichever began to wait first: it is for one of them alone.
            waiters.wake(Awaited::Task);
        } else {
            waiters.wake_some(Awaited::Task, self.machine.ready());
        }
    }
}
