//! The machine of the controller: it knows all tasks, asks the scheduler what to do, and
//! tells the workers. Values pass it by, except small ones and those that its user asks
//! for.

mod cancel;
mod collective;
mod dispatch;
mod drain;
mod ends;
mod graph_runs;
mod groups;
mod input;
#[cfg(any(test, feature = "simulation"))]
mod inspect;
mod lost;
mod outbox;
mod prompt;
mod references;
mod reports;
mod roll;
mod slices;
mod states;
mod table;
#[cfg(test)]
mod tests;
mod told;
mod waits;
mod watches;
mod workers;

pub(crate) use input::{Awaited, CollectorId, Encoded, GraphSize, Input, NewTask, Options, Watch};
pub(crate) use outbox::{BATCH_COUNT, Halt, Outbox};
pub(crate) use references::ReferenceNote;
pub(crate) use watches::WatchedEnd;
pub(crate) use workers::WorkerState;

use super::scheduler::{self, Action, Actions, Event, Scheduler, Spec, Stall, TaskList, WorkerList};
use super::{Notice, Ns};
use crate::codec::{CodecError, Payload};
use crate::config::Settings;
use crate::function::registry::Registry;
use crate::id::{GraphRunId, Rank, TaskId, WorkerId};
use crate::outcome::error::{RunError, TaskError};
use crate::wire::message::{ToPeer, ToWorker};
use cancel::Cancelled;
use dispatch::{Functions, Start, Whereabouts};
use drain::Draining;
use ends::{Cause, upstream};
use graph_runs::GraphRuns;
use groups::Groups;
use prompt::Prompt;
use references::Unreferenced;
use smallvec::SmallVec;
use states::States;
use std::sync::Arc;
use table::{Ended, Entry, HomeCopy, Output, RanOn, Table};
use watches::Watches;
use workers::Workers;

/// How far the run is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Phase {
    /// Tasks are taken.
    Open,
    /// No more tasks are taken; those that were go on.
    Draining,
    /// The workers were told to stop. Nothing is sent any more, and what is not here
    /// never will be.
    Stopped,
    /// All ranks have joined in the end.
    Closed,
}

/// How many tasks were taken, and how they ended.
#[derive(Clone, Copy, Default, Debug)]
struct Counts {
    submitted: u64,
    done: u64,
    failed: u64,
}

/// The scheduler hears of tasks without handles in groups: so small that what it touches
/// stays in the cache.
const DROPPED_TOGETHER: usize = 64;

/// The state of the controller.
pub(crate) struct Controller {
    here: Rank,
    host: String,
    settings: Settings,
    /// When what is being handled has happened.
    now: Ns,
    phase: Phase,
    scheduler: Scheduler,
    /// What the scheduler has decided and was not carried out; empty in between.
    actions: Actions,
    functions: Functions,
    table: Table,
    workers: Workers,
    groups: Groups,
    graph_runs: GraphRuns,
    unreferenced: Unreferenced,
    watches: Watches,
    prompt: Prompt,
    counts: Counts,
    cancelled: Cancelled,
    states: States,
    /// From when the cluster takes no tasks any more until the run is over.
    draining: Option<Draining>,
    /// Nobody waits for the tasks that have not ended.
    leaves_behind: bool,
}

impl Controller {
    /// A controller of these workers, on this rank and host.
    pub(crate) fn new(
        (here, host): (Rank, String),
        registry: &'static Registry,
        workers: Vec<WorkerState>,
        settings: Settings,
    ) -> (Self, Outbox) {
        let mut out = Outbox::new(workers.iter().map(|state| state.rank));
        let states = States::new(workers.len(), settings.has_states);
        let mut controller = Self {
            here,
            host,
            settings,
            now: 0,
            phase: Phase::Open,
            scheduler: Scheduler::new(scheduler::Settings::default()),
            actions: Actions::default(),
            functions: Functions::new(registry),
            table: Table::default(),
            groups: Groups::new(workers.len()),
            workers: Workers::new(workers),
            graph_runs: GraphRuns::default(),
            unreferenced: Unreferenced::default(),
            watches: Watches::default(),
            prompt: Prompt::default(),
            counts: Counts::default(),
            cancelled: Cancelled::default(),
            states,
            draining: None,
            leaves_behind: false,
        };
        for worker in controller.workers.ids() {
            controller.tell_scheduler(Event::Joined { worker, slots: settings.slots }, &mut out);
        }
        (controller, out)
    }

    /// Takes in what has happened: the one door through which all that changes the state
    /// of the run comes. All that follows lies in `out` then.
    #[inline(always)]
    pub(crate) fn handle(&mut self, now: Ns, input: Input<'_>, out: &mut Outbox) {
        self.now = now;
        match input {
            Input::Task { new, plain } => out.added = self.add(new, plain, out),
            Input::Frame { from, frame } => self.receive(from, frame, out),
            other => self.handle_other(other, out),
        }
    }

    /// All that is rare next to tasks, out of line.
    fn handle_other(&mut self, input: Input<'_>, out: &mut Outbox) {
        match input {
            Input::Task { .. } | Input::Frame { .. } => unreachable!("these happen for each task"),
            Input::Value { payload } => out.added = self.add_value(payload, out),
            Input::GraphBegins { size } => {
                let entries = size.tasks + size.values;
                let new_slots = self.table.reserve(entries, size.inputs_room);
                self.scheduler.reserve(entries, new_slots, size.dependencies);
                self.tell_scheduler(Event::Hold, out);
                out.graph_run = Some(self.graph_runs.begin(size.tasks));
            }
            Input::GraphEnds => self.tell_scheduler(Event::Resume, out),
            Input::GraphForgotten { graph_run } => self.graph_runs.forget(graph_run),
            Input::References { notes } => {
                self.count_references(notes);
                self.release(out);
            }
            Input::Awaited { task } => self.awaited(task, out),
            Input::Watch { task, watch } => self.watch(task, watch, out),
            Input::Cancel { tasks } => self.cancel(tasks, out),
            Input::CancelAll => self.cancel_all(out),
            Input::ReportsWanted => self.ask_reports(out),
            Input::Closing => {
                self.take_no_more(out);
                let grace_ns = self.settings.shutdown_grace_ns;
                self.draining.get_or_insert_with(|| Draining::since(self.now, grace_ns));
            }
            Input::ClosingNow => {
                self.take_no_more(out);
                self.cancel_all(out);
            }
            Input::LeavesBehind => self.leave_behind(out),
            Input::StatesOverdue { limit_ms } => self.states_overdue(limit_ms, out),
            Input::FinalsWanted => self.finals_wanted(out),
            Input::Lost { rank } => self.lost(rank, out),
            Input::TurnEnds => {
                if self.next_deadline().is_some_and(|deadline| deadline <= self.now) {
                    self.pass_time(out);
                }
                out.flush();
            }
            Input::Stop { failed } => {
                self.workers.ids().for_each(|worker| out.post(worker, &ToWorker::Stop { failed }));
                out.close();
                self.phase = Phase::Stopped;
                self.draining = None;
                out.happened.note_all();
            }
            Input::Exit => {
                self.workers.ids().for_each(|worker| out.post(worker, &ToWorker::Exit));
                out.close();
                self.phase = self.phase.max(Phase::Stopped);
                self.draining = None;
            }
            Input::Closed => self.phase = Phase::Closed,
        }
    }

    /// When [`Input::TurnEnds`] is needed at the latest.
    pub(crate) fn next_deadline(&self) -> Option<Ns> {
        if self.is_over() {
            // Nobody hears of a `Leave` any more, and the shutdown grace bounds all that
            // is left.
            return None;
        }
        if self.scheduler.is_stalled() {
            return Some(self.now);
        }
        let groups = self.groups.next_deadline(self.settings.collective_grace_ns);
        let report = self.draining.as_ref().filter(|_| self.pending() > 0).map(Draining::next);
        groups.into_iter().chain(report).chain(self.scheduler.next_deadline()).min()
    }

    /// Whether no tasks are taken any more.
    pub(crate) fn is_closing(&self) -> bool {
        self.phase >= Phase::Draining
    }

    /// Whether the run is over: whoever asks for what is not here gets an error.
    pub(crate) fn is_over(&self) -> bool {
        self.phase >= Phase::Stopped
    }

    /// Whether all ranks have joined in the end.
    pub(crate) fn is_closed(&self) -> bool {
        self.phase == Phase::Closed
    }

    /// How a graph went that is over. It is kept until it is
    /// [forgotten](Input::GraphForgotten).
    pub(crate) fn result_of_graph_run(&self, graph_run: GraphRunId) -> Result<(), RunError> {
        self.graph_runs.result(graph_run)
    }

    /// Writes the output of a task `into` a payload, if it is here or there will be none.
    /// Otherwise the caller waits for it, which the machine has to be
    /// [told](Input::Awaited).
    #[inline]
    pub(crate) fn output(&self, task: TaskId, into: &mut Payload) -> Option<Result<(), TaskError>> {
        if self.output_here(task, into) { Some(Ok(())) } else { self.no_output(task) }
    }

    /// Why there will be no output, if that is known.
    #[inline(never)]
    fn no_output(&self, task: TaskId) -> Option<Result<(), TaskError>> {
        let entry = self.table.get(task)?;
        let site = || entry.site(&self.workers, None);
        match &entry.output {
            Output::Failed(error) => Some(Err((**error).clone())),
            Output::Upstream(step) => Some(Err(upstream(step, site()))),
            Output::Pending | Output::Resident { .. } if self.is_over() => {
                Some(Err(TaskError::Closed { site: Arc::new(site()) }))
            }
            _ => None,
        }
    }

    /// Adds a task.
    #[inline(always)]
    fn add(&mut self, new: &NewTask<'_>, plain: Encoded<'_>, out: &mut Outbox) -> TaskId {
        let &NewTask { remote, inputs, options, before, level, graph_run } = new;
        let collective = remote.is_collective();
        let every = if collective { self.workers.living() as u32 } else { 1 };
        let now = self.now;
        let task = self.table.insert(inputs, |entry| {
            entry.function = Some(remote);
            plain.move_to(&mut entry.payload);
            entry.submitted_ns = now;
            entry.graph_run = graph_run;
        });
        self.counts.submitted += 1;
        let spec = Spec { ranks: every, collective, level, ..Spec::PLAIN };
        // A user who adds one task may wait for it next.
        let may_prompt = graph_run.is_none() && self.workers.has_idle();
        if inputs.is_empty() && before.is_empty() && options.is_none() {
            self.tell_scheduler(Event::Added { task, spec: &spec }, out);
        } else {
            self.add_with_wishes(task, new, spec, out);
        }
        if may_prompt {
            self.prompt(task, out);
        }
        task
    }

    /// Sends a task that was just added at once, if it has started on a worker that had
    /// nothing, and is not one of a burst.
    #[inline(never)]
    fn prompt(&mut self, task: TaskId, out: &mut Outbox) {
        if let Some(Entry { ran_on: RanOn::Single(worker), .. }) = self.table.get(task)
            && self.workers.get(*worker).in_flight() == 1
            && self.prompt.goes_at_once(self.now, self.workers.living())
        {
            out.flush_to(*worker);
        }
    }

    /// Tells the scheduler of a task that depends on others or says more than its
    /// function and its arguments.
    #[inline(never)]
    fn add_with_wishes(&mut self, task: TaskId, new: &NewTask<'_>, spec: Spec<'_>, out: &mut Outbox) {
        let mut inputs = SmallVec::<[TaskId; 8]>::new();
        for input in new.inputs {
            inputs.push(input.source);
        }
        let options = new.options.copied().unwrap_or_default();
        if let (Some(label), Some(entry)) = (options.label, self.table.get_mut(task)) {
            entry.label = Some(Box::from(label));
        }
        let spec = Spec {
            inputs: &inputs,
            after: new.before,
            follow: options.follow,
            ranks: options.ranks.unwrap_or(spec.ranks),
            priority: options.priority,
            retries: options.retries,
            ..spec
        };
        self.tell_scheduler(Event::Added { task, spec: &spec }, out);
    }

    fn add_value(&mut self, payload: Payload, out: &mut Outbox) -> TaskId {
        let (bytes, now) = (payload.len() as u64, self.now);
        let task = self.table.insert(&[], |entry| {
            (entry.output, entry.payload) = (Output::Here, payload);
            (entry.submitted_ns, entry.started_ns, entry.finished_ns) = (now, now, now);
        });
        self.tell_scheduler(Event::Value { task, bytes }, out);
        task
    }

    /// Counts the references of users.
    fn count_references(&mut self, notes: &mut Vec<ReferenceNote>) {
        for note in notes.drain(..) {
            let (ReferenceNote::Retained(task) | ReferenceNote::Dropped(task)) = note;
            let Some(entry) = self.table.get_mut(task) else { continue };
            match note {
                ReferenceNote::Retained(_) => entry.references += 1,
                ReferenceNote::Dropped(_) => {
                    debug_assert!(entry.references > 0, "a reference is dropped once");
                    entry.references = entry.references.saturating_sub(1);
                    if entry.references == 0 {
                        self.unreferenced.add(task);
                    }
                }
            }
        }
    }

    /// Lets go of what nobody holds any more.
    fn release(&mut self, out: &mut Outbox) {
        if self.unreferenced.is_empty() {
            return;
        }
        let dropped = self.unreferenced.take();
        for tasks in dropped.chunks(DROPPED_TOGETHER) {
            self.tell_scheduler(Event::Dropped { tasks }, out);
        }
        self.unreferenced.give_back(dropped);
    }

    /// A user waits for the output of a task: asks for it if it lies on a worker.
    fn awaited(&mut self, task: TaskId, out: &mut Outbox) {
        let Some(entry) = self.table.get_mut(task) else { return };
        entry.watched = true;
        if let Output::Resident { by, copy, .. } = &mut entry.output
            && *copy == HomeCopy::None
        {
            *copy = HomeCopy::Asked;
            let by = *by;
            self.ask_for(task, by, out);
        }
    }

    /// The end of a task is to be told, now if it has ended.
    fn watch(&mut self, task: TaskId, watch: Watch, out: &mut Outbox) {
        let entry = self.table.get_mut(task).expect("a task stays while a handle of it does");
        if matches!(entry.output, Output::Pending) {
            entry.has_watches = true;
            self.watches.add(task, watch);
        } else {
            out.ended.push(WatchedEnd::of(entry, watch));
        }
    }

    /// Asks a worker for a value that a user waits for.
    fn ask_for(&mut self, value: TaskId, worker: WorkerId, out: &mut Outbox) {
        self.workers.asked(worker);
        out.post(worker, &ToWorker::Peer(ToPeer::Fetch { value }));
        out.flush_to(worker);
    }

    /// Asks all workers what they hold and run.
    fn ask_reports(&mut self, out: &mut Outbox) {
        if self.is_over() {
            return;
        }
        self.workers.ask_reports();
        self.workers.ids().for_each(|worker| out.post(worker, &ToWorker::Report));
        out.flush();
    }

    /// A deadline has come: of a member that does not leave raw MPI, of workers that have
    /// been silent for long, of tasks that can never move, or of a report on what is left
    /// to end.
    fn pass_time(&mut self, out: &mut Outbox) {
        if self.draining.as_mut().is_some_and(|draining| draining.begins_report(self.now)) {
            self.ask_reports(out);
        }
        self.report_what_is_left(out);
        if let Some(stuck) = self.groups.stuck(self.now, self.settings.collective_grace_ns) {
            out.halt(Halt::Stuck(self.describe_stuck(&stuck)));
        }
        self.tell_scheduler(Event::Tick, out);
        if let Some(stall) = self.scheduler.stalled() {
            let pending = self.pending();
            self.give_up(&stall, out);
            self.note_drained(pending, out);
        }
    }

    /// Tells who waits for the end of all tasks, of which there were so many before.
    fn note_drained(&self, before: usize, out: &mut Outbox) {
        if before > 0 && self.pending() == 0 {
            out.happened.note(Awaited::Drained);
        }
    }

    /// Ends all that waits for what cannot come, saying who waits for what.
    fn give_up(&mut self, stall: &Stall, out: &mut Outbox) {
        let message = self.describe_stall(stall);
        out.notices.note(|| Notice::Stalled { waits: message.clone() });
        self.note_to_scheduler(Event::GiveUp);
        self.carry_out_all(&Cause::Stall(&message), out);
    }

    /// Passes an event on and carries out what follows. Events that follow from that come
    /// after it.
    #[inline(always)]
    fn tell_scheduler(&mut self, event: Event<'_>, out: &mut Outbox) {
        self.note_to_scheduler(event);
        self.carry_out(out);
    }

    /// Passes an event on; the caller sees to it that what follows is carried out soon.
    #[inline(always)]
    fn note_to_scheduler(&mut self, event: Event<'_>) {
        let fits = self.scheduler.handle(self.now, event, &mut self.actions);
        debug_assert!(fits, "the controller keeps to the calling order");
    }

    /// The same with what a worker has said of these tasks.
    ///
    /// # Errors
    /// If it does not fit what the worker was given: what it says next could not be
    /// trusted.
    #[inline(always)]
    fn report_to_scheduler(&mut self, tasks: &[TaskId], event: Event<'_>) -> Result<(), CodecError> {
        if self.scheduler.handle(self.now, event, &mut self.actions) { Ok(()) } else { Err(misfit(tasks)) }
    }

    /// Carries out all actions, in order, those included that follow from them.
    #[inline]
    fn carry_out(&mut self, out: &mut Outbox) {
        if !self.actions.is_empty() {
            self.carry_out_all(&Cause::Known, out);
        }
    }

    /// The same; `cause` says of tasks that end what the scheduler cannot.
    fn carry_out_all(&mut self, cause: &Cause<'_>, out: &mut Outbox) {
        // The scheduler is not entered from here but for copies, which lead to no
        // actions.
        while let Some(action) = self.actions.take_next() {
            match *action {
                Action::Start { task, worker, attempt } => self.start(task, worker, attempt, out),
                // Settled when its output came.
                Action::Ended { end: scheduler::End::Done, .. } => {}
                Action::Release { task, holders } => {
                    if !holders.is_empty() {
                        self.forget_at(task, holders, out);
                    }
                    self.table.remove(task);
                }
                Action::StartGroup { task, workers, attempt } => {
                    let members = self.actions.workers(workers).into();
                    self.start_group(task, members, attempt, out);
                }
                Action::TakeBack { worker, tasks } => self.take_back(worker, tasks, out),
                Action::Cancel { task, workers } => self.has_cancelled(task, workers, out),
                Action::Ended { task, end } => self.end_without_value(task, end, cause, out),
            }
        }
    }

    /// Asks a worker for tasks that it may not have begun.
    fn take_back(&self, worker: WorkerId, tasks: TaskList, out: &mut Outbox) {
        let (rank, tasks) = (self.workers.rank(worker), self.actions.tasks(tasks).to_vec());
        out.notices.note(|| Notice::AskedBack { rank, count: tasks.len() });
        out.post(worker, &ToWorker::TakeBack { tasks });
    }

    fn end_without_value(&mut self, task: TaskId, end: scheduler::End, cause: &Cause<'_>, out: &mut Outbox) {
        if end == scheduler::End::Cancelled
            && let Some(entry) = self.table.get_mut(task)
        {
            entry.forget_unbegun();
        }
        let output = ends::output_of(task, end, &self.table, &self.workers, cause);
        self.ended(task, Ended::Nothing(output), out);
    }

    /// Tells the workers that hold a value to let it go.
    fn forget_at(&mut self, value: TaskId, holders: WorkerList, out: &mut Outbox) {
        for &holder in self.actions.workers(holders) {
            out.post(holder, &ToWorker::Forget { values: vec![value] });
        }
    }

    #[inline(always)]
    fn start(&mut self, task: TaskId, worker: WorkerId, attempt: u32, out: &mut Outbox) {
        self.workers.given(worker);
        self.run(Start { task, worker, attempt, group: None }, out);
        if let Some(entry) = self.table.get_mut(task) {
            entry.starts(attempt, RanOn::Single(worker));
        }
    }

    /// Tells a worker to run a task.
    #[inline(never)]
    fn run(&mut self, start: Start<'_>, out: &mut Outbox) {
        let Self { table, workers, scheduler, functions, here, settings, .. } = self;
        let inline_bytes_max = settings.inline_bytes_max;
        let whereabouts = Whereabouts { table, workers, scheduler, here: *here, inline_bytes_max };
        for value in whereabouts.run(out, functions, start) {
            // The scheduler must not be entered while its actions are carried out; a copy
            // leads to none.
            self.note_to_scheduler(Event::Copied { task: value, worker: start.worker });
        }
    }

    /// A task has ended: from now on its handles give what it ended with. False if there
    /// is no such task.
    #[inline(always)]
    fn ended(&mut self, task: TaskId, ended: Ended<'_>, out: &mut Outbox) -> bool {
        let Some(entry) = self.table.end(task) else { return false };
        match ended {
            Ended::Value { given, worker, times } => {
                entry.give(given, worker);
                (entry.started_ns, entry.finished_ns) = times;
                self.counts.done += 1;
            }
            Ended::Nothing(output) => {
                (entry.output, entry.payload) = (output, Payload::EMPTY);
                if entry.finished_ns == 0 {
                    entry.finished_ns = self.now;
                }
                self.counts.failed += 1;
            }
        }
        if entry.watched {
            out.happened.note(Awaited::Task(task));
            self.cancelled.ended(task, out);
        }
        if entry.has_watches {
            let watches = self.watches.take(task);
            out.ended.extend(watches.into_iter().map(|watch| WatchedEnd::of(entry, watch)));
        }
        if let Some(graph_run) = self.graph_runs.ended(entry) {
            out.happened.note(Awaited::GraphRun(graph_run));
        }
        true
    }
}

#[cold]
fn misfit(tasks: &[TaskId]) -> CodecError {
    CodecError(format!("it reports on {tasks:?}, of which it does not have all"))
}
