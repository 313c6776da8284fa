//! Carries out what the scheduler says: ids become messages here.

use super::engine::ControllerEngine;
use super::table::{Entry, Output, Place};
use crate::frame::Frame;
use crate::id::{TaskId, WorkerId};
use crate::message::{Run, RunInput, Source, ToWorker};
use crate::scheduler::{Action, End, Event, Stall, Waits};
use smallvec::SmallVec;
use std::mem::take;

/// Entries of a stall that its message tells.
const WAITS_SHOWN_MAX: usize = 8;

impl ControllerEngine {
    /// Carries out all actions, in order, those included that follow from them.
    pub(super) fn carry_out(&mut self) {
        while !self.actions.is_empty() {
            let mut actions = take(&mut self.actions);
            actions.iter_mut().for_each(|action| self.act(action, None));
            // The vector is kept for its memory.
            actions.clear();
            if self.actions.is_empty() {
                self.actions = actions;
            }
        }
    }

    /// Carries out one action, and takes out of it what it needs.
    fn act(&mut self, action: &mut Action, stall: Option<&str>) {
        match action {
            Action::Start { task, worker, attempt } => self.start(*task, *worker, *attempt),
            Action::StartGroup { task, workers, attempt } => self.start_group(*task, take(workers), *attempt),
            Action::TakeBack { worker, tasks } => self.post(*worker, &ToWorker::TakeBack { tasks: take(tasks) }),
            Action::Ended { task, end } => self.ended(*task, *end, stall),
            Action::Release { task, holders } => self.let_go(*task, holders),
        }
    }

    /// Ends all that waits for what cannot come, saying who waits for what.
    pub(super) fn give_up(&mut self, stall: &Stall) {
        let message = self.describe_stall(stall);
        let fits = self.scheduler.handle(self.now_ns, Event::GiveUp, &mut self.actions);
        debug_assert!(fits, "giving up always fits");
        for action in &mut take(&mut self.actions) {
            self.act(action, Some(&message));
        }
    }

    fn ended(&mut self, task: TaskId, end: End, stall: Option<&str>) {
        let failure = match end {
            End::Failed => self.failures.remove(&task),
            _ => None,
        };
        self.settle(task, end, failure, stall);
    }

    fn start(&mut self, task: TaskId, worker: WorkerId, attempt: u32) {
        let prompt = self.submitting && self.workers[worker.index()].in_flight == 0;
        #[expect(clippy::redundant_closure, reason = "the variant itself is for one lifetime only")]
        self.fill_frame(task, worker, |run| ToWorker::Run(run));
        if let Some(entry) = self.table.get_mut(task) {
            entry.attempts = attempt;
            entry.place = Place::Single(worker);
        }
        if prompt {
            self.flush_to(worker);
        }
    }

    /// Encodes a task for a worker: small inputs travel with it, large ones are named with who holds them.
    pub(super) fn fill_frame(
        &mut self,
        task: TaskId,
        worker: WorkerId,
        message: impl for<'a> FnOnce(Run<'a>) -> ToWorker<'a>,
    ) {
        let place = &mut self.workers[worker.index()];
        place.in_flight += 1;
        self.in_flight += 1;
        let entry = self.table.get(task).expect("what starts has not gone");
        let (function, remote) = entry.function.expect("a value does not start");
        if entry.inputs.is_empty() {
            // Nine tasks of ten: no input to look up, no allocation.
            let plain = place.out.blob(&entry.plain);
            let run = Run { task, function, plain, inputs: SmallVec::new() };
            let message = message(run);
            place.out.push(&message);
        } else {
            // Attachments are numbered as they are met, so they are gathered on the side.
            let mut frame = take(&mut place.out);
            let plain = frame.blob(&entry.plain);
            let mut inputs = SmallVec::with_capacity(entry.inputs.len());
            let mut copied = Vec::new();
            for argument in &entry.inputs {
                let shared = remote.shared & (1_u64.checked_shl(argument.parameter.into()).unwrap_or(0)) != 0;
                let mut values = SmallVec::with_capacity(argument.values.len());
                for value in &argument.values {
                    let source = self.source_of(*value, worker, shared, &mut frame, &mut copied);
                    values.push((*value, source));
                }
                inputs.push(RunInput { parameter: argument.parameter, gathered: argument.gathered, values });
            }
            let run = Run { task, function, plain, inputs };
            let message = message(run);
            frame.push(&message);
            drop(message);
            self.workers[worker.index()].out = frame;
            for value in copied {
                if self.copies.insert((value, worker)) {
                    self.tell_scheduler_later(Event::Copied { task: value, worker });
                }
            }
        }
        let place = &mut self.workers[worker.index()];
        place.out_count += 1;
        if !place.out.attachments.is_empty() || place.out_count >= super::engine::BATCH_COUNT {
            self.flush_to(worker);
        }
    }

    /// The scheduler must not be entered while its actions are carried out; a copy has no consequences that
    /// could not wait, so it may be told at once.
    fn tell_scheduler_later(&mut self, event: Event<'_>) {
        let fits = self.scheduler.handle(self.now_ns, event, &mut self.actions);
        debug_assert!(fits, "a value that is an input has not gone");
    }

    /// Where a worker gets a value from. What it will keep is noted in `copied`.
    fn source_of<'a>(
        &'a self,
        value: TaskId,
        worker: WorkerId,
        shared: bool,
        frame: &mut Frame,
        copied: &mut Vec<TaskId>,
    ) -> Source<'a> {
        let entry = self.table.get(value).expect("an input does not go before its consumer");
        let is_here = || self.copies.contains(&(value, worker));
        match &entry.output {
            Output::Here(payload) if payload.len() as u64 <= self.limits.inline_bytes_max && !(shared && is_here()) => {
                if shared {
                    copied.push(value);
                }
                Source::Inline { bytes: frame.blob(payload), keep: shared }
            }
            // The worker looks at home first, and asks who has it for certain.
            Output::Here(_) => {
                copied.push(value);
                Source::Held { by: self.transport.rank() }
            }
            Output::Resident { by, .. } => {
                if *by != worker {
                    copied.push(value);
                }
                Source::Held { by: self.workers[by.index()].rank }
            }
            Output::Pending | Output::Failed(_) | Output::Upstream(_) => {
                unreachable!("a task starts when its inputs have values")
            }
        }
    }

    /// Nobody needs the task any more.
    fn let_go(&mut self, task: TaskId, holders: &[WorkerId]) {
        for holder in holders {
            self.copies.remove(&(task, *holder));
            self.post(*holder, &ToWorker::Forget { values: vec![task] });
        }
        self.table.remove(task);
    }

    fn describe_stall(&self, stall: &Stall) -> String {
        let name = |task: TaskId| self.table.get(task).map_or_else(|| task.to_string(), Entry::name);
        let mut waits = stall.waits.iter().map(|(task, waits)| {
            let what = match waits {
                Waits::Workers { wanted, living } => format!("{wanted} workers of {living}"),
                Waits::Worker(worker) => worker.to_string(),
                Waits::Task(other) => name(*other),
            };
            format!("{} waits for {what}", name(*task))
        });
        let shown: Vec<String> = waits.by_ref().take(WAITS_SHOWN_MAX).collect();
        format!("{} tasks are left; {}", stall.pending, shown.join("; "))
    }
}
