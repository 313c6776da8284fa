//! The controller's machine with the transport and the clock.

use super::clock::now_ns;
use super::collectors::{Collectors, Collects};
use super::driver::{self, Engine, Turn, Waiters};
use super::observer;
use super::traffic::{Busy, Traffic};
use crate::codec::Payload;
use crate::config::Settings;
use crate::function::registry::Registry;
use crate::id::{CollectorId, GraphRunId, TaskId};
use crate::machine::controller::{
    Awaited, BATCH_COUNT, Controller, Encoded, GraphSize, Halt, Input, ItemsOfMap, NewTask, Outbox, ReferenceNote,
    Watch, WhatWas, WorkerState,
};
use crate::machine::{Notice, Notices, Ns};
use crate::outcome::error::TaskError;
use crate::outcome::info::CancelState;
use crate::outcome::stats::Stats;
use crate::runtime::fault;
use crate::transport::Transport;
use crate::wire::report::Measured;
use parking_lot::Mutex;
use std::sync::Arc;
use std::time::Duration;

/// A turn waits for company for so many workers at most.
const WORKERS_TOGETHER: u32 = 4;

/// What became of the references of users, noted by any thread in the order in which it
/// happened. The lock is held for the moment of noting or taking only.
pub(crate) type ReferenceNotes = Arc<Mutex<Vec<ReferenceNote>>>;

/// So many notes want to be read although nobody takes a turn.
pub(crate) const NOTES_TOGETHER: usize = 4 << 10;

/// Memory for so many notes is kept.
const NOTES_KEPT: usize = 256 << 10;

/// The controller, advanced in turns by whoever waits.
pub(crate) struct ControllerEngine {
    pub(crate) transport: Box<dyn Transport>,
    machine: Controller,
    out: Outbox,
    notes: ReferenceNotes,
    /// Those who take tasks as they end.
    collectors: Collectors,
    /// What was taken of the notes; empty in between.
    taken: Vec<ReferenceNote>,
    /// References that were let go of under the engine's lock.
    let_go: Vec<ReferenceNote>,
    /// When the last turn was taken, or a user added something while nothing was in
    /// flight.
    now_ns: Ns,
    traffic: Traffic,
    busy: Busy,
    /// When `launch` was called in this process, and when all ranks had come together.
    begun: (Ns, Ns),
    turns_in_passing: u64,
    submitted_since_turn: u32,
}

impl driver::Awaited for Awaited {}

impl ControllerEngine {
    pub(crate) fn new(
        transport: Box<dyn Transport>,
        registry: &'static Registry,
        workers: Vec<WorkerState>,
        settings: Settings,
        launched_ns: Ns,
    ) -> Self {
        let (machine, out) = Controller::new((transport.rank(), fault::host()), registry, workers, settings);
        Self {
            transport,
            machine,
            out,
            notes: ReferenceNotes::default(),
            collectors: Collectors::default(),
            taken: Vec::new(),
            let_go: Vec::new(),
            now_ns: now_ns(),
            traffic: Traffic::default(),
            busy: Busy::default(),
            begun: (launched_ns, now_ns()),
            turns_in_passing: 0,
            submitted_since_turn: 0,
        }
    }

    /// What is known of the tasks.
    pub(crate) fn machine(&self) -> &Controller {
        &self.machine
    }

    /// Where handles note that they are cloned and dropped.
    pub(crate) fn reference_notes(&self) -> ReferenceNotes {
        Arc::clone(&self.notes)
    }

    /// The one door to the machine: whatever changes the state of the run passes here, in
    /// its order and with its time, and what follows lies in the outbox then. What
    /// [observers](super::observer) are told of it are the notices there; a log that is
    /// to be replayed would be written here.
    #[inline(always)]
    fn handle(&mut self, input: Input<'_>) {
        self.machine.handle(self.now_ns, input, &mut self.out);
    }

    /// Takes one task, all of whose parts have been checked;
    /// [`submitted`](Self::submitted) has to follow.
    #[inline(always)]
    pub(crate) fn submit(&mut self, new: &NewTask<'_>, plain: Encoded<'_>) -> TaskId {
        self.look_at_the_clock();
        self.add(new, plain)
    }

    /// Takes items of a map as one task, all of whose parts have been checked.
    pub(crate) fn submit_items(&mut self, new: &NewTask<'_>, plain: Encoded<'_>, of: ItemsOfMap<'_>) -> TaskId {
        self.look_at_the_clock();
        self.handle(Input::Items { new, plain, of });
        let task = self.out.added;
        self.submitted();
        task
    }

    /// While tasks flow, turns keep the time; before that somebody must.
    #[inline(always)]
    fn look_at_the_clock(&mut self) {
        if self.machine.has_idle_worker() {
            self.now_ns = self.now_ns.max(now_ns());
        }
    }

    /// Takes a task of a graph.
    #[inline(always)]
    pub(crate) fn add(&mut self, new: &NewTask<'_>, plain: Encoded<'_>) -> TaskId {
        self.handle(Input::Task { new, plain });
        self.out.added
    }

    /// Takes a value that a user gives. A large one is worth a turn, in which those that
    /// nobody holds any more go.
    pub(crate) fn submit_value(&mut self, payload: Payload, is_large: bool) -> TaskId {
        let task = self.add_value(payload);
        if is_large {
            self.turn_now();
        } else {
            self.count_submitted();
        }
        task
    }

    /// Takes a value of a graph.
    pub(crate) fn add_value(&mut self, payload: Payload) -> TaskId {
        self.handle(Input::Value { payload });
        self.out.added
    }

    /// A graph starts, whose nodes are [added](Self::add) next.
    /// `cancels`: when one of its tasks fails, all others are cancelled.
    pub(crate) fn begin_graph(&mut self, size: GraphSize, cancels: bool) -> GraphRunId {
        self.now_ns = now_ns();
        // The slots of those that have gone are used again.
        self.count_references();
        self.handle(Input::GraphBegins { size, cancels });
        self.out.graph_run.expect("it has begun")
    }

    /// All nodes of the graph have been added.
    pub(crate) fn end_graph(&mut self) {
        self.handle(Input::GraphEnds);
        self.turn_now();
    }

    /// Writes the output of a task `into` a payload, if it is here or there will be none.
    /// Otherwise it comes, and the calling thread is woken for it.
    #[inline]
    pub(crate) fn output(&mut self, task: TaskId, into: &mut Payload) -> Option<Result<(), TaskError>> {
        let output = self.machine.output(task, into);
        if output.is_none() && !self.machine.is_awaited(task) {
            self.handle(Input::Awaited { task });
            self.deliver();
        }
        output
    }

    /// Whether one more task may be queued, or the cluster takes none any more. If not,
    /// the calling thread is woken when that is so.
    pub(crate) fn has_room(&mut self) -> bool {
        let has_room = self.machine.has_room() || self.machine.ends_new_tasks();
        if !has_room && !self.machine.is_room_wanted() {
            self.handle(Input::RoomWanted);
        }
        has_room
    }

    /// Writes the output of a task without a label `into` a payload, if it is here, and
    /// lets go of one reference to it: it may have gone then, so what names it is given.
    #[inline]
    pub(crate) fn take_output(&mut self, task: TaskId, into: &mut Payload) -> Option<WhatWas> {
        let was = self.machine.output_of_unlabelled(task, into)?;
        self.let_go.push(ReferenceNote::Dropped(task));
        if self.let_go.len() >= NOTES_TOGETHER {
            self.count_references();
        }
        Some(was)
    }

    /// Counts the references of users, and lets go of what nobody holds any more. Sends
    /// nothing: this may be called wherever a handle is dropped.
    pub(crate) fn count_references(&mut self) {
        let mut notes = self.notes.lock();
        if notes.is_empty() && self.let_go.is_empty() {
            return;
        }
        let mut taken = std::mem::take(&mut self.taken);
        std::mem::swap(&mut *notes, &mut taken);
        drop(notes);
        // Behind those that may tell of one more reference to the same task.
        taken.append(&mut self.let_go);
        self.handle(Input::References { notes: &mut taken });
        taken.shrink_to(NOTES_KEPT);
        self.taken = taken;
    }

    /// Somebody takes tasks as they end, from here on those that he
    /// [watches](Self::watch).
    pub(crate) fn collect<C: Collects + 'static>(&mut self, ends: &Arc<C>) -> CollectorId {
        self.collectors.add(ends)
    }

    /// Tells the end of a task, which has a handle, to one who collects.
    pub(crate) fn watch(&mut self, task: TaskId, watch: Watch) {
        self.handle(Input::Watch { task, watch });
        self.deliver();
    }

    /// What a user wanted called has returned.
    pub(crate) fn called(&mut self) {
        self.out.happened.note(Awaited::Drained);
    }

    /// Whoever waits for tasks that are collected together is to look again.
    pub(crate) fn collected(&mut self, collector: CollectorId) {
        self.out.happened.note(Awaited::Collected(collector));
    }

    /// Cancels a task, and says what that has found.
    pub(crate) fn cancel(&mut self, task: TaskId) -> CancelState {
        // What has come and was not read may tell that it has ended.
        self.turn_now();
        let found = self.machine.cancel_state(task);
        self.handle(Input::Cancel { tasks: &[task] });
        self.deliver();
        found
    }

    /// Cancels several.
    pub(crate) fn cancel_tasks(&mut self, tasks: &[TaskId]) {
        self.now_ns = now_ns();
        self.handle(Input::Cancel { tasks });
        self.deliver();
    }

    /// Cancels all tasks of a graph that have not ended.
    pub(crate) fn cancel_graph(&mut self, graph_run: GraphRunId) {
        self.now_ns = now_ns();
        self.handle(Input::CancelGraph { graph_run });
        self.deliver();
    }

    /// Cancels all tasks that have not ended.
    pub(crate) fn cancel_all(&mut self) {
        self.now_ns = now_ns();
        self.handle(Input::CancelAll);
        self.deliver();
    }

    /// A signal asks for the end: cancels all tasks, also those that come later.
    pub(crate) fn interrupt(&mut self) {
        self.now_ns = now_ns();
        self.handle(Input::Interrupted);
        self.deliver();
    }

    /// These tasks have to end within this time from now; gives when that is.
    pub(crate) fn deadline_in(&mut self, tasks: &[TaskId], time: Duration) -> Ns {
        let at = self.time_in(time);
        self.deadline(tasks, at);
        at
    }

    /// The tasks of a graph that have not ended have to within this time from now.
    pub(crate) fn graph_deadline_in(&mut self, graph_run: GraphRunId, time: Duration) {
        let at = self.time_in(time);
        self.handle(Input::GraphDeadline { graph_run, at });
        self.deliver();
    }

    /// When it will be so long after now.
    fn time_in(&mut self, time: Duration) -> Ns {
        self.now_ns = self.now_ns.max(now_ns());
        self.now_ns.saturating_add(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX))
    }

    /// These tasks have to end by this time.
    pub(crate) fn deadline(&mut self, tasks: &[TaskId], at: Ns) {
        self.handle(Input::Deadline { tasks, at });
        self.deliver();
    }

    /// All tasks have to end within this time from now.
    pub(crate) fn limit_time(&mut self, time: Duration) {
        let at = self.time_in(time);
        self.handle(Input::TimeLimit { at });
    }

    /// Tasks that do not end, or run on past their limits, are waited for no longer, if
    /// there are any. Says which.
    pub(crate) fn leave_behind(&mut self) -> Option<String> {
        if !self.machine.is_running() || self.machine.is_over() {
            return None;
        }
        self.handle(Input::LeavesBehind);
        self.deliver();
        Some(self.machine.what_still_runs())
    }

    /// Asks all workers what they hold and run.
    pub(crate) fn ask_reports(&mut self) {
        self.count_references();
        self.handle(Input::ReportsWanted);
        self.deliver();
    }

    /// The states of the slots have not been made within this time.
    pub(crate) fn states_overdue(&mut self, limit: Duration) {
        self.handle(Input::StatesOverdue { limit_ms: limit.as_millis() });
        self.deliver();
    }

    /// Asks all workers what the states of their slots are made to.
    pub(crate) fn ask_finals(&mut self) {
        self.handle(Input::FinalsWanted);
        self.deliver();
    }

    /// Takes no tasks any more.
    pub(crate) fn begin_closing(&mut self) {
        self.now_ns = now_ns();
        self.out.notices.want(observer::is_wanted());
        self.handle(Input::Closing);
    }

    /// The same, and cancels those that have not ended.
    pub(crate) fn begin_closing_now(&mut self) {
        self.now_ns = now_ns();
        self.out.notices.want(observer::is_wanted());
        self.handle(Input::ClosingNow);
        self.deliver();
    }

    /// Tells all workers that the run is over.
    pub(crate) fn stop(&mut self, failed: bool) {
        self.count_references();
        self.handle(Input::Stop { failed });
        self.deliver();
    }

    /// Tells all workers that this process exits, and observers nothing any more: they
    /// could stand in the way.
    pub(crate) fn exit(&mut self) {
        self.handle(Input::Exit);
        self.out.notices = Notices::default();
        self.deliver();
    }

    /// The figures of the run, as last reported.
    pub(crate) fn stats(&self) -> Stats {
        let measured = self.traffic.measured(self.begun, &*self.transport);
        self.machine.stats(Measured { busy_ns: self.busy.ns, ..measured })
    }

    /// The transport is gone.
    pub(crate) fn close(&mut self) {
        self.handle(Input::Closed);
    }

    /// After a task was taken: tells and sends what follows from it.
    #[inline]
    pub(crate) fn submitted(&mut self) {
        self.deliver();
        self.count_submitted();
    }

    /// Messages gather company, as many for each of a few workers as go well together.
    #[inline]
    fn count_submitted(&mut self) {
        self.submitted_since_turn += 1;
        if self.submitted_since_turn >= BATCH_COUNT / 2 * (self.machine.workers() as u32).min(WORKERS_TOGETHER) {
            self.turn_now();
        }
    }

    /// A turn that the caller takes instead of whoever drives.
    pub(crate) fn turn_now(&mut self) {
        self.turns_in_passing += 1;
        self.turn(now_ns());
    }

    /// Sends what goes at once, and tells the ends of tasks to those who collect them.
    #[inline(always)]
    fn deliver(&mut self) {
        if !self.out.ended.is_empty() {
            self.collectors.tell(&mut self.out.ended, &mut self.out.happened);
        }
        if !self.out.outgoing.is_empty() {
            driver::send_all(&mut self.out.outgoing, &mut *self.transport, &mut self.traffic);
        }
    }

    /// Ends the run if that is to be.
    fn halt_if_told(&mut self) {
        match self.out.take_halt() {
            None => {}
            Some(Halt::Unreadable { from, error }) => fault::unreadable(&mut *self.transport, from, &error),
            Some(Halt::Stuck(text)) => fault::end_run(&mut *self.transport, &text),
        }
    }
}

impl Engine for ControllerEngine {
    type Awaited = Awaited;

    fn turn(&mut self, now: Ns) -> Turn {
        if self.machine.is_closed() {
            return Turn::Idle;
        }
        self.submitted_since_turn = 0;
        self.now_ns = self.now_ns.max(now);
        self.out.notices.want(observer::is_wanted() && !self.machine.is_over());
        self.count_references();
        let (mut worked, mut begun) = (false, None);
        while let Some((from, frame)) = self.transport.receive() {
            if !worked {
                (worked, begun) = (true, self.busy.begins());
            }
            self.traffic.bytes_in += frame.bytes();
            self.handle(Input::Frame { from, frame: &frame });
            self.halt_if_told();
            self.transport.recycle(frame.body);
            self.deliver();
        }
        self.handle(Input::TurnEnds);
        self.halt_if_told();
        self.deliver();
        self.busy.ends(begun);
        let flow = self.transport.progress();
        Turn::of(worked || !self.out.happened.is_empty(), flow)
    }

    fn is_busy(&self) -> bool {
        (self.machine.in_flight() > 0 || self.machine.waits_for_time()) && !self.machine.is_over()
    }

    fn has_unsent(&self) -> bool {
        let unsent = self.out.has_unsent() || !self.out.outgoing.is_empty() || self.transport.is_sending();
        unsent && !self.machine.is_over()
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

    fn has_notices(&self) -> bool {
        !self.out.notices.is_empty()
    }

    fn take_notices(&mut self) -> Vec<Notice> {
        self.out.notices.take()
    }

    fn wake(&mut self, waiters: &mut Waiters<Awaited>) {
        waiters.tell(&mut self.out.happened);
    }
}
