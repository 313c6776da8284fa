//! The state of the controller rank, advanced in turns by whoever waits.

use super::dispatch::Functions;
use super::drain::Draining;
use super::groups::Groups;
use super::references::{ReferenceNotes, References};
use super::submit::{GraphRun, RunId};
use super::table::{Entry, HomeCopy, Output, Table};
use crate::codec::Payload;
use crate::error::plural;
use crate::fault;
use crate::frame::Frame;
use crate::id::{Rank, TaskId, WorkerId};
use crate::machine::Happened;
use crate::machine::scheduler::{Actions, Event, Scheduler};
use crate::message::{ToPeer, ToWorker};
use crate::registry::Registry;
use crate::remote::Failure;
use crate::runtime::clock::now_ns;
use crate::runtime::drive::{self, Engine, Turn, Waiters};
use crate::stats::RankStats;
use crate::transport::{Flow, Transport};
use rustc_hash::{FxHashMap, FxHashSet};
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Messages to one worker wait for company until there are so many.
pub(super) const BATCH_COUNT: u32 = 64;

/// A turn waits for company for so many workers at most.
const WORKERS_TOGETHER: u32 = 4;

/// A user who finds workers idle without this long a pause adds tasks in a burst.
const BURST_NS: u64 = 10_000;

/// A worker as the controller knows it.
#[derive(Debug)]
pub(crate) struct WorkerPlace {
    pub(crate) rank: Rank,
    pub(crate) host: String,
    pub(super) out: Frame,
    pub(super) out_count: u32,
    pub(super) in_flight: u32,
    /// The run is over, and so is all that ran there.
    pub(super) is_stopped: bool,
    pub(super) attempts: u64,
    pub(super) busy_ns: u64,
    pub(super) reported: (u64, u64),
    /// What runs there and for how many nanoseconds; nothing while that has been asked for and not answered.
    pub(super) running: Option<Vec<(TaskId, u64)>>,
}

impl WorkerPlace {
    /// Another message lies in `out`; `unsent` counts the workers for which there are some.
    #[inline]
    pub(super) fn count_message(&mut self, unsent: &mut usize) {
        *unsent += usize::from(self.out_count == 0);
        self.out_count += 1;
    }

    pub(crate) fn new(rank: Rank, host: String) -> Self {
        Self {
            rank,
            host,
            out: Frame::default(),
            out_count: 0,
            in_flight: 0,
            is_stopped: false,
            attempts: 0,
            busy_ns: 0,
            reported: (0, 0),
            running: None,
        }
    }
}

/// What threads of the user wait for. Of several the one with the greatest drives: it is likely to wait for longest.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Awaited {
    /// The output of a task, or its end.
    Task(TaskId),
    /// The reports of all workers.
    Reports,
    /// The end of a graph.
    Run(RunId),
    /// The end of all tasks.
    Drained,
    /// All ranks having joined in the end.
    Closed,
}

impl drive::Awaited for Awaited {}

/// Settings that the controller keeps to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    pub(crate) inline_bytes_max: u64,
    pub(crate) collective_grace: Duration,
    pub(crate) shutdown_grace: Duration,
}

/// How far the run is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Phase {
    /// Tasks are taken.
    Open,
    /// No more tasks are taken; those that were go on.
    Draining,
    /// The workers were told to stop. Nothing is sent any more, and what is not here never will be.
    Stopped,
    /// All ranks have joined in the end.
    Closed,
}

/// How many tasks were taken, and how they ended.
#[derive(Clone, Copy, Default, Debug)]
pub(super) struct Counts {
    pub(super) submitted: u64,
    pub(super) done: u64,
    pub(super) failed: u64,
}

/// The state of the controller rank.
pub(crate) struct ControllerEngine {
    pub(crate) transport: Box<dyn Transport>,
    pub(super) functions: Functions,
    pub(super) limits: Limits,
    pub(super) session: u64,
    pub(super) scheduler: Scheduler,
    pub(super) actions: Actions,
    pub(super) table: Table,
    pub(super) workers: Vec<WorkerPlace>,
    pub(super) worker_of: FxHashMap<Rank, WorkerId>,
    /// Which workers hold a copy of which value, besides the one that made it.
    pub(super) copies: FxHashSet<(TaskId, WorkerId)>,
    pub(super) groups: Groups,
    pub(super) runs: FxHashMap<RunId, GraphRun>,
    pub(super) run_serial: NonZeroU32,
    pub(super) references: References,
    pub(super) counts: Counts,
    pub(super) now_ns: u64,
    /// Messages that no worker has answered yet.
    pub(super) in_flight: usize,
    pub(super) reports_missing: usize,
    pub(super) happened: Happened<Awaited>,
    /// Workers with messages that have not been sent.
    pub(super) unsent: usize,
    turns_in_passing: u64,
    /// Why each attempt that ended in this turn gave no value.
    pub(super) failures: FxHashMap<TaskId, (Failure, WorkerId)>,
    submitted_since_turn: u32,
    /// A task is being added by a user, who may wait for it next.
    pub(super) submitting: bool,
    /// When a user last added a task for an idle worker.
    found_idle_ns: u64,
    /// Frames that may still go out at once because their worker is idle.
    prompts: usize,
    phase: Phase,
    /// Since the cluster takes no tasks any more.
    pub(super) draining: Option<Draining>,
}

impl ControllerEngine {
    pub(crate) fn new(
        transport: Box<dyn Transport>,
        registry: &'static Registry,
        workers: Vec<WorkerPlace>,
        slots: u32,
        limits: Limits,
        session: u64,
    ) -> Self {
        let ids = (0..).map(WorkerId);
        let worker_of = workers.iter().zip(ids).map(|(place, id)| (place.rank, id));
        let mut engine = Self {
            transport,
            functions: Functions::new(registry),
            limits,
            session,
            scheduler: Scheduler::new(crate::machine::scheduler::Settings::default()),
            actions: Actions::default(),
            table: Table::default(),
            worker_of: worker_of.collect(),
            workers,
            copies: FxHashSet::default(),
            groups: Groups::default(),
            runs: FxHashMap::default(),
            run_serial: NonZeroU32::MIN,
            references: References::default(),
            counts: Counts::default(),
            now_ns: now_ns(),
            in_flight: 0,
            reports_missing: 0,
            happened: Happened::default(),
            unsent: 0,
            turns_in_passing: 0,
            failures: FxHashMap::default(),
            submitted_since_turn: 0,
            submitting: false,
            found_idle_ns: 0,
            prompts: 0,
            phase: Phase::Open,
            draining: None,
        };
        for index in 0..engine.workers.len() as u32 {
            let worker = WorkerId(index);
            engine.tell_scheduler(Event::Joined { worker, slots });
        }
        engine
    }

    pub(crate) fn reference_notes(&self) -> ReferenceNotes {
        Arc::clone(&self.references.notes)
    }

    pub(crate) fn workers(&self) -> usize {
        self.workers.len()
    }

    /// Whether tasks are still to end.
    pub(crate) fn pending(&self) -> usize {
        self.scheduler.pending()
    }

    /// Takes no tasks any more.
    pub(crate) fn begin_closing(&mut self) {
        self.phase = self.phase.max(Phase::Draining);
        self.draining.get_or_insert_with(|| Draining::since(Instant::now(), self.limits.shutdown_grace));
    }

    /// Whether no tasks are taken any more.
    pub(super) fn is_closing(&self) -> bool {
        self.phase >= Phase::Draining
    }

    /// Tells all workers that the run is over. That is the last that this rank sends: ranks join in the end once what
    /// they have sent is out, and nothing may come after that.
    pub(crate) fn stop(&mut self, failed: bool) {
        self.release();
        for index in 0..self.workers.len() as u32 {
            self.post(WorkerId(index), &ToWorker::Stop { failed });
        }
        self.flush();
        self.phase = Phase::Stopped;
        self.happened.note_all();
    }

    /// Tells all workers that this process exits. Like [`stop`](Self::stop), it is the last that this rank sends.
    pub(crate) fn exit(&mut self) {
        for index in 0..self.workers.len() as u32 {
            self.post(WorkerId(index), &ToWorker::Exit);
        }
        self.flush();
        self.phase = self.phase.max(Phase::Stopped);
    }

    /// After the run: which workers something still runs on, in words.
    pub(crate) fn who_is_busy(&self) -> String {
        let named = (0..).map(WorkerId).zip(&self.workers).filter(|(_, place)| !place.is_stopped);
        let named = named.map(|(worker, WorkerPlace { rank, host, in_flight, .. })| {
            if *in_flight == 0 {
                let doubt = "does the `Drop` of a value not return, or does its process stand still?";
                return format!("{rank} (host {host}) with no task ({doubt})");
            }
            let first =
                self.begun(worker).next().map_or_else(String::new, |name| format!(", the first of them {name}"));
            format!("{rank} (host {host}) with {}{first}", plural(*in_flight, "task"))
        });
        match named.collect::<Vec<_>>() {
            none if none.is_empty() => "all have stopped: does the `Drop` of a value not return?".to_owned(),
            busy => format!("busy: {}", busy.join(", ")),
        }
    }

    /// The tasks that a worker has, by their names: what can have begun comes first.
    pub(super) fn begun(&self, worker: WorkerId) -> impl Iterator<Item = String> + '_ {
        let tasks = self.groups.of_member(worker).chain(self.scheduler.in_flight_tasks(worker));
        tasks.filter_map(|task| self.table.get(task)).map(Entry::full_name)
    }

    /// What a worker had to do when its process ended, in words.
    pub(crate) fn what_was_at(&self, rank: Rank) -> String {
        let Some(&worker) = self.worker_of.get(&rank) else { return String::new() };
        let in_flight = &self.workers[worker.index()].in_flight;
        let tasks = match self.begun(worker).next() {
            None => "no task".to_owned(),
            Some(first) if *in_flight == 1 => format!("task {first}"),
            Some(first) => format!("{}, the first of them {first}", plural(*in_flight, "task")),
        };
        format!("; it had {tasks}")
    }

    /// The transport is gone.
    pub(crate) fn close(&mut self) {
        self.phase = Phase::Closed;
    }

    /// Whether the run is over: whoever asks for what is not here gets an error.
    pub(crate) fn is_over(&self) -> bool {
        self.phase >= Phase::Stopped
    }

    /// Passes an event on and carries out what follows. Events that follow from that come after it.
    #[inline(always)]
    pub(super) fn tell_scheduler(&mut self, event: Event<'_>) {
        self.note_to_scheduler(event);
        self.carry_out();
    }

    /// Passes an event on; the caller sees to it that what follows is carried out soon.
    #[inline(always)]
    pub(super) fn note_to_scheduler(&mut self, event: Event<'_>) {
        let fits = self.scheduler.handle(self.now_ns, event, &mut self.actions);
        debug_assert!(fits, "the workers keep to the protocol");
    }

    /// Appends a message to what goes to a worker next.
    pub(super) fn post(&mut self, worker: WorkerId, message: &ToWorker<'_>) {
        let place = &mut self.workers[worker.index()];
        place.out.push(message);
        place.count_message(&mut self.unsent);
        if place.out_count >= BATCH_COUNT || !place.out.attachments.is_empty() {
            self.flush_to(worker);
        }
    }

    pub(super) fn flush_to(&mut self, worker: WorkerId) {
        let over = self.is_over();
        let place = &mut self.workers[worker.index()];
        if place.out_count > 0 {
            place.out_count = 0;
            self.unsent -= 1;
            if over {
                place.out = Frame::default();
                return;
            }
            let fresh = Frame { body: self.transport.buffer(), attachments: Vec::new() };
            let frame = std::mem::replace(&mut place.out, fresh);
            self.transport.send(place.rank, frame);
        }
    }

    fn flush(&mut self) {
        for index in 0..self.workers.len() as u32 {
            self.flush_to(WorkerId(index));
        }
    }

    /// After a task was added: messages gather company, as many for each of a few workers as go well together.
    #[inline]
    pub(super) fn submitted(&mut self) {
        self.submitted_since_turn += 1;
        if self.submitted_since_turn >= BATCH_COUNT / 2 * (self.workers.len() as u32).min(WORKERS_TOGETHER) {
            self.turn_now();
        }
    }

    /// Whether a task that a user adds goes at once to its worker, which has nothing else. So it does as long as that
    /// happens now and then, and at the beginning of a burst, once for each worker. Within a burst a frame for each task
    /// would cost more than the worker has to wait for company.
    pub(super) fn goes_at_once(&mut self) -> bool {
        let now_ns = now_ns();
        if now_ns.saturating_sub(self.found_idle_ns) > BURST_NS {
            self.prompts = self.workers.len();
        }
        self.found_idle_ns = now_ns;
        let left = self.prompts.checked_sub(1);
        self.prompts = left.unwrap_or(0);
        left.is_some()
    }

    /// A turn that the caller takes instead of whoever drives.
    pub(crate) fn turn_now(&mut self) {
        self.turns_in_passing += 1;
        self.turn();
    }

    /// Asks a worker for a value that the user wants.
    pub(super) fn fetch(&mut self, value: TaskId, holder: WorkerId) {
        self.in_flight += 1;
        self.post(holder, &ToWorker::Peer(ToPeer::Fetch { value }));
        self.flush_to(holder);
    }

    pub(super) fn answer_fetch(&mut self, worker: WorkerId, value: TaskId) {
        let payload = self.table.get(value).and_then(|entry| entry.payload_here()).cloned();
        let place = &mut self.workers[worker.index()];
        let bytes = payload.as_ref().map(|payload| place.out.blob(payload));
        self.post(worker, &ToWorker::Peer(ToPeer::Value { value, bytes }));
    }

    pub(super) fn fetched(&mut self, value: TaskId, payload: Option<Payload>) {
        self.in_flight -= 1;
        self.happened.note(Awaited::Task(value));
        let Some(entry) = self.table.get_mut(value) else {
            return;
        };
        if let Output::Resident { by, copy, .. } = &mut entry.output {
            match payload {
                Some(payload) => {
                    *copy = HomeCopy::Here;
                    entry.payload = payload;
                }
                None => {
                    let by = *by;
                    let failure = Failure::Input(format!("its output is not on {by} any more"));
                    let error = entry.error_of(&self.workers, &failure, by);
                    entry.output = Output::Failed(Arc::new(error));
                }
            }
        }
    }

    /// Asks all workers what they hold.
    pub(crate) fn ask_reports(&mut self) {
        if self.is_over() {
            return;
        }
        self.release();
        self.reports_missing = self.workers.len();
        for index in 0..self.workers.len() as u32 {
            self.workers[index as usize].running = None;
            self.post(WorkerId(index), &ToWorker::Report);
        }
        self.flush();
    }

    /// Whether all have answered.
    pub(crate) fn has_reports(&self) -> bool {
        self.reports_missing == 0 || self.is_over()
    }

    /// The figures of the run, as last reported.
    pub(crate) fn stats(&self) -> crate::stats::Stats {
        let held = self.table.iter().filter_map(|entry| entry.payload_here());
        let held = held.filter(|payload| payload.len() as u64 > self.limits.inline_bytes_max);
        let (bytes, values) = held.fold((0, 0), |(bytes, values), p| (bytes + p.len() as u64, values + 1));
        let controller = RankStats {
            rank: self.transport.rank(),
            host: fault::host(),
            attempts: 0,
            busy: Duration::ZERO,
            resident_bytes: bytes,
            resident_values: values,
        };
        let workers = self.workers.iter().map(|place| RankStats {
            rank: place.rank,
            host: place.host.clone(),
            attempts: place.attempts,
            busy: Duration::from_nanos(place.busy_ns),
            resident_bytes: place.reported.0,
            resident_values: place.reported.1,
        });
        crate::stats::Stats {
            submitted: self.counts.submitted,
            done: self.counts.done,
            failed: self.counts.failed,
            outstanding: self.scheduler.pending() as u64,
            ranks: std::iter::once(controller).chain(workers).collect(),
        }
    }

    /// Nothing came in this turn: lets work move between workers, and ends what can never move.
    fn idle(&mut self) {
        if self.scheduler.pending() == 0 {
            return;
        }
        self.tell_scheduler(Event::Tick);
        if self.in_flight == 0
            && let Some(stall) = self.scheduler.stalled()
        {
            self.give_up(&stall);
        }
    }
}

impl Engine for ControllerEngine {
    type Awaited = Awaited;

    fn turn(&mut self) -> Turn {
        if self.phase == Phase::Closed {
            return Turn::Idle;
        }
        self.submitted_since_turn = 0;
        self.now_ns = now_ns();
        let pending = self.scheduler.pending();
        self.release();
        let mut worked = false;
        while let Some((from, frame)) = self.transport.receive() {
            worked = true;
            if let Err(error) = self.receive(from, &frame) {
                fault::unreadable(&mut *self.transport, from, &error);
            }
            self.transport.recycle(frame.body);
        }
        self.check_groups();
        if !worked {
            self.idle();
        }
        self.flush();
        let flow = self.transport.progress();
        // Once only: a turn in which something has happened is no reason to nap.
        if pending > 0 && self.scheduler.pending() == 0 {
            self.happened.note(Awaited::Drained);
        }
        match (worked || !self.happened.is_empty(), flow) {
            (true, _) => Turn::Worked,
            (false, Flow::Moving) => Turn::Moving,
            (false, Flow::Still) => Turn::Idle,
        }
    }

    fn is_busy(&self) -> bool {
        self.in_flight > 0 && !self.is_over()
    }

    fn has_unsent(&self) -> bool {
        (self.unsent > 0 || self.transport.is_sending()) && !self.is_over()
    }

    fn turns_in_passing(&self) -> u64 {
        self.turns_in_passing
    }

    fn nap_max(&self) -> Duration {
        self.transport.nap_max()
    }

    fn wake(&mut self, waiters: &mut Waiters<Awaited>) {
        waiters.tell(&mut self.happened);
    }
}
