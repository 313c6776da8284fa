//! The machine of the controller: it knows all tasks, asks the scheduler what to do, and
//! tells the workers. Values pass it by, except small ones and those that its user asks
//! for.

mod actions;
mod adding;
mod cancel;
mod collective;
mod dispatch;
mod drain;
mod ends;
mod figures;
mod graph_runs;
mod groups;
mod input;
#[cfg(any(test, feature = "simulation"))]
mod inspect;
mod items;
mod limits;
mod lost;
mod outbox;
mod over;
mod prompt;
mod queue;
mod references;
mod releasing;
mod reports;
mod retry;
mod roll;
mod slices;
mod states;
mod status;
mod table;
#[cfg(test)]
mod tests;
mod told;
mod waits;
mod watches;
mod workers;

pub(crate) use ends::WhatWas;
pub(crate) use graph_runs::GraphProgress;
pub(crate) use input::{Awaited, Encoded, FailedItem, GraphSize, Input, ItemsOfMap, NewTask, Options, Terms, Watch};
pub(crate) use outbox::{BATCH_COUNT, Halt, Outbox};
pub(crate) use references::ReferenceNote;
pub(crate) use retry::goes_again;
pub(crate) use watches::WatchedEnd;
pub(crate) use workers::WorkerState;

use super::Ns;
use super::scheduler::{self, Actions, Event, Scheduler};
use crate::codec::Payload;
use crate::config::Settings;
use crate::function::registry::Registry;
use crate::id::{GraphRunId, Rank, TaskId, WorkerId};
use crate::outcome::error::{RunError, TaskError};
use crate::wire::chunk::WithoutValue;
use crate::wire::message::{ToPeer, ToWorker};
use cancel::Cancelled;
use dispatch::Functions;
use drain::Draining;
use ends::upstream;
use graph_runs::GraphRuns;
use groups::Groups;
use items::ItemsOfTasks;
use limits::Limits;
use over::Over;
use prompt::Prompt;
use queue::Queue;
use references::Unreferenced;
use states::States;
use std::sync::Arc;
use table::{HomeCopy, Output, Table};
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
    cancelled: u64,
}

impl Counts {
    /// Of the items of a task that has given outcomes, all of which were counted as done,
    /// some have no value.
    fn gave_no_value(&mut self, WithoutValue { failed, cancelled }: WithoutValue) {
        self.done -= u64::from(failed) + u64::from(cancelled);
        self.failed += u64::from(failed);
        self.cancelled += u64::from(cancelled);
    }
}

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
    items: ItemsOfTasks,
    prompt: Prompt,
    queue: Queue,
    counts: Counts,
    cancelled: Cancelled,
    limits: Limits,
    states: States,
    /// Tasks that are added end at once, for this reason.
    over: Option<Over>,
    /// From when the cluster takes no tasks any more until the run is over.
    draining: Option<Draining>,
    /// Nobody waits for the tasks that have not ended.
    leaves_behind: bool,
    /// How often all tasks were cancelled.
    times_cancelled: u64,
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
            scheduler: Scheduler::new(scheduler::Settings {
                stuck_grace_ns: settings.stuck_grace_ns,
                ..scheduler::Settings::default()
            }),
            actions: Actions::default(),
            functions: Functions::new(registry),
            table: Table::default(),
            groups: Groups::new(workers.len()),
            workers: Workers::new(workers),
            graph_runs: GraphRuns::default(),
            unreferenced: Unreferenced::default(),
            watches: Watches::default(),
            items: ItemsOfTasks::default(),
            prompt: Prompt::default(),
            queue: Queue::default(),
            counts: Counts::default(),
            cancelled: Cancelled::default(),
            limits: Limits::default(),
            states,
            over: None,
            draining: None,
            leaves_behind: false,
            times_cancelled: 0,
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
            Input::Watch { task, watch } => self.watch(task, watch, out),
            other => self.handle_other(other, out),
        }
    }

    /// All that is rare next to tasks, out of line.
    fn handle_other(&mut self, input: Input<'_>, out: &mut Outbox) {
        match input {
            Input::Task { .. } | Input::Frame { .. } | Input::Watch { .. } => {
                unreachable!("these happen for each task")
            }
            Input::Items { new, plain, of } => out.added = self.add_items(new, plain, of, out),
            Input::Value { payload } => out.added = self.add_value(payload, out),
            Input::GraphBegins { size, cancels } => {
                let entries = size.tasks + size.values;
                let new_slots = self.table.reserve(entries, size.inputs_room);
                self.scheduler.reserve(entries, new_slots, size.dependencies);
                self.tell_scheduler(Event::Hold, out);
                out.graph_run = Some(self.graph_runs.begin(size.tasks, cancels));
            }
            Input::GraphEnds => self.graph_has_begun(out),
            Input::References { notes } => {
                self.count_references(notes);
                self.release(out);
            }
            Input::Awaited { task } => self.awaited(task, out),
            Input::Cancel { tasks } => self.cancel(tasks, out),
            Input::CancelGraph { graph_run } => self.cancel_graph(graph_run, out),
            Input::CancelAll => self.cancel_all(out),
            Input::Interrupted => self.interrupted(out),
            Input::Deadline { tasks, at } => self.deadline(tasks, at, out),
            Input::GraphDeadline { graph_run, at } => self.graph_deadline(graph_run, at, out),
            Input::TimeLimit { at } => self.time_limit(at),
            Input::RoomWanted => self.queue.is_wanted = true,
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
        let (limits, scheduler) = (self.limits.next_ns(), self.scheduler.next_deadline());
        let graphs = self.graph_runs.next_due();
        groups.into_iter().chain(report).chain(limits).chain(graphs).chain(scheduler).min()
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
    /// [forgotten](ReferenceNote::GraphForgotten).
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
            entry.watches = Some(self.watches.add(entry.watches, watch));
        } else {
            out.ended.push(entry.watched_end(watch));
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

    /// A time has come: of the deadline of a task, of a member that does not leave raw
    /// MPI, of workers that have been silent for long, of tasks that can never move, or
    /// of a report on what is left to end.
    fn pass_time(&mut self, out: &mut Outbox) {
        if self.draining.as_mut().is_some_and(|draining| draining.begins_report(self.now)) {
            self.ask_reports(out);
        }
        self.report_what_is_left(out);
        if let Some(stuck) = self.groups.stuck(self.now, self.settings.collective_grace_ns) {
            out.halt(Halt::Stuck(self.describe_stuck(&stuck)));
        }
        self.do_due(out);
        let pending = self.pending();
        self.tell_scheduler(Event::Tick, out);
        self.note_drained(pending, out);
        if let Some(stall) = self.scheduler.stalled() {
            let pending = self.pending();
            self.give_up(&stall, out);
            self.note_drained(pending, out);
        }
    }
}
