//! The simulated controller: its machine, in turns. It stands for
//! `runtime/controller.rs`.

use super::agenda::Happening;
use super::book::Book;
use super::clock::Clock;
use super::copies::Whereabouts;
use super::faults::Torn;
use super::network::{CONTROLLER, told};
use super::task::Seen;
use super::world::World;
use crate::codec::Payload;
use crate::codec::frame::Frame;
use crate::config::Settings;
use crate::function::registry::Registry;
use crate::id::Rank;
use crate::machine::controller::{Controller, Halt, Input, Outbox, ReferenceNote, WorkerState};
use crate::machine::{Notice, Ns};
use crate::outcome::error::TaskError;
use crate::outcome::info::TaskState;
use std::collections::VecDeque;

/// The controller, with what has come and was not read.
pub(super) struct SimulatedController {
    pub(super) machine: Controller,
    pub(super) out: Outbox,
    /// What became of handles and was not counted.
    pub(super) notes: Vec<ReferenceNote>,
    /// It must send nothing any more.
    pub(super) is_silent: bool,
    pub(super) clock: Clock,
    inbox: VecDeque<(Rank, Frame)>,
    /// When the next turn is, and whether it is for what has come.
    turn: Option<(Ns, bool)>,
}

impl SimulatedController {
    pub(super) fn new(functions: &'static Registry, workers: u32, settings: Settings, clock: Clock) -> Self {
        let states = (1..=workers).map(|rank| WorkerState::new(Rank(rank), format!("host{}", rank % 2)));
        let (machine, out) = Controller::new((CONTROLLER, "host0".to_owned()), functions, states.collect(), settings);
        let (notes, inbox) = (Vec::new(), VecDeque::new());
        Self { machine, out, notes, is_silent: false, clock, inbox, turn: None }
    }
}

impl World<'_> {
    /// Something happens to the controller. As a rule the last turn has kept the time.
    pub(super) fn tell(&mut self, input: Input<'_>) {
        let this = &mut self.controller;
        let reads_clock = match input {
            Input::Task { .. } | Input::Items { .. } => this.machine.has_idle_worker(),
            Input::GraphBegins { .. } | Input::Closing | Input::ClosingNow => true,
            _ => false,
        };
        let now = if reads_clock { this.clock.keep(self.agenda.now(), 0) } else { this.clock.kept() };
        this.machine.handle(now, input, &mut this.out);
    }

    /// A frame has come to the controller, which reads it in its next turn.
    pub(super) fn arrived_at_controller(&mut self, from: Rank, frame: Frame) {
        self.controller.inbox.push_back((from, frame));
        self.plan_controller_turn();
    }

    /// The controller takes a turn, if it is still planned for now.
    pub(super) fn controller_turn_if_planned(&mut self) {
        if let Some((at, is_for_what_came)) = self.controller.turn
            && at == self.agenda.now()
        {
            self.take_controller_turn(!is_for_what_came);
        }
    }

    /// The controller takes a turn in passing.
    pub(super) fn controller_turn(&mut self) {
        self.take_controller_turn(true);
    }

    fn take_controller_turn(&mut self, reads_clock: bool) {
        let now = self.agenda.now();
        self.time_of_turn(CONTROLLER, reads_clock);
        self.controller.turn = None;
        self.count_references();
        while let Some((from, frame)) = self.controller.inbox.pop_front() {
            self.history.note(now, || format!("the controller reads from {from}: {}", told(CONTROLLER, &frame)));
            self.note_copies_read(from, &frame);
            self.tell(Input::Frame { from, frame: &frame });
            self.deliver_of_controller();
            self.check_torn((from, CONTROLLER), &frame);
            if self.torn == Torn::Read {
                return;
            }
        }
        self.tell(Input::TurnEnds);
        self.after_controller();
        self.check_deadlines();
        self.check_copies_asked();
    }

    /// Counts what became of handles.
    pub(super) fn count_references(&mut self) {
        let mut notes = std::mem::take(&mut self.controller.notes);
        for note in &notes {
            match *note {
                ReferenceNote::Retained(task) => self.book.counted(task, 1),
                ReferenceNote::Dropped(task) => self.book.counted(task, -1),
                ReferenceNote::GraphForgotten(_) => {}
            }
        }
        self.tell(Input::References { notes: &mut notes });
        assert!(notes.is_empty(), "what is counted is taken out");
    }

    /// Sends what goes at once.
    pub(super) fn deliver_of_controller(&mut self) {
        let out = &mut self.controller.out;
        let mut frames = Vec::new();
        out.outgoing.take(&mut frames, |frames, to, frame| frames.push((to, frame)), |_| Vec::new());
        match out.take_halt() {
            None => {}
            Some(Halt::Unreadable { from, .. }) if self.torn.is(from, CONTROLLER) => {
                self.torn = Torn::Read;
                // The run is over, whatever else its user does at this moment.
                self.book.body_failed = true;
            }
            Some(halt) => panic!("the controller gives up: {halt:?}"),
        }
        for (to, frame) in frames {
            self.send(CONTROLLER, to, frame);
        }
    }

    /// After anything that has happened to the controller: sends, wakes, checks, plans
    /// the next turn.
    pub(super) fn after_controller(&mut self) {
        self.deliver_of_controller();
        let mut woken = Vec::new();
        self.controller.out.happened.take(&mut woken, |woken| woken.push(None), |woken, key| woken.push(Some(key)));
        for notice in self.controller.out.notices.take() {
            if let Notice::Line { rank, line, .. } = &notice {
                self.history.tally.heard += 1;
                // A second attempt may have said it again.
                self.book.unheard.remove(&(*rank, line.task));
                continue;
            }
            let Notice::Left { tasks } = notice else { panic!("nobody listens to {notice:?}") };
            let machine = &self.controller.machine;
            assert!(machine.is_closing() && !machine.is_over(), "nobody waits for the end of {tasks}");
            self.history.note(self.agenda.now(), || tasks);
            self.history.tally.left_told += 1;
        }
        for key in woken {
            let after = if self.random.percent(60) { 0 } else { self.random.up_to(20_000) };
            self.agenda.at(self.agenda.now() + after, Happening::Woken(key));
        }
        self.check_states();
        self.check_tasks();
        self.check_watches();
        self.plan_controller_turn();
    }

    pub(super) fn plan_controller_turn(&mut self) {
        let now = self.agenda.now();
        let this = &mut self.controller;
        let is_due = !this.inbox.is_empty() || this.out.has_unsent() || !this.notes.is_empty();
        let at = match this.turn {
            Some((_, true)) => return,
            _ if is_due => {
                let silent = self.random.below(500) == 0;
                now + self.random.up_to(if silent { 100_000_000 } else { self.shape.latency_ns_max })
            }
            _ => match this.machine.next_deadline() {
                Some(deadline) => deadline.max(now),
                None => return,
            },
        };
        if this.turn.is_none_or(|(planned, _)| is_due || planned > at) {
            this.turn = Some((at, is_due));
            self.agenda.at(at, Happening::ControllerTurn);
        }
    }

    /// Compares the tasks as the controller knows them with the model.
    fn check_tasks(&mut self) {
        if self.book.body_failed {
            return;
        }
        for this in (0..self.unended.len()).rev() {
            let index = self.unended[this];
            let id = self.book.tasks[index].id;
            if self.controller.machine.has_ended(id) {
                self.unended.remove(this);
                self.ended.push(index);
            }
        }
        self.book.now = self.controller.clock.kept();
        // In the order in which they were added, in which failures spread.
        self.ended.sort_unstable();
        if !self.ended.is_empty() {
            self.check_cancelling();
        }
        for index in std::mem::take(&mut self.ended) {
            let id = self.book.tasks[index].id;
            let seen = self.seen(index);
            self.history.note(self.agenda.now(), || format!("{id} has ended: {seen:?}"));
            let attempts = self.controller.machine.info(id).map(|info| info.attempts);
            let Self { book, workers, controller, copies, .. } = self;
            let whereabouts = Whereabouts { workers, controller: &controller.machine, copies };
            book.ended(index, attempts, seen, &whereabouts);
        }
        let (submitted, done, failed) = self.controller.machine.counts();
        let failed = failed + self.controller.machine.count_of_cancelled();
        let Book { done: seen_done, failed: seen_failed, open, .. } = self.book;
        assert!(done >= seen_done && failed >= seen_failed, "each task ends as it must");
        assert_eq!(done + failed, seen_done + seen_failed + open, "each task ends once");
        let pending: u64 = self.unended.iter().map(|&index| self.book.tasks[index].weight()).sum();
        assert_eq!(submitted, done + failed + pending, "no task is lost");
        assert_eq!(self.controller.machine.pending(), self.unended.len(), "no task is lost");
        self.check_releases();
    }

    /// Of graphs that cancel what has not ended when a task fails, those have done so of
    /// which one has failed just now.
    fn check_cancelling(&mut self) {
        let mut cancelling = std::mem::take(&mut self.book.cancelling);
        cancelling.retain(|&graph_run| {
            let has_failed = |&index: &usize| match self.seen(index) {
                Some(Seen::Error(error)) => !matches!(error.root(), TaskError::Cancelled { .. }),
                _ => false,
            };
            let of_graph = |index: &usize| self.book.tasks[*index].graph_run == Some(graph_run);
            if self.controller.machine.would_cancel(graph_run) == Some(true) {
                let failed = self.ended.iter().copied().filter(of_graph).find(has_failed);
                assert_eq!(failed, None, "it has failed, and the others of {graph_run:?} go on");
                return true;
            }
            let failed: Vec<usize> = self.ended.iter().copied().filter(of_graph).filter(has_failed).collect();
            let deadline = self.common_deadline(&failed).filter(|_| !failed.is_empty());
            let others: Vec<usize> = (0..self.book.tasks.len()).filter(of_graph).collect();
            for index in others {
                let id = self.book.tasks[index].id;
                // One that has reached a limit may be gone, and on its way.
                let gone = if self.book.tasks[index].limits.may_go_on() { u32::MAX } else { 0 };
                let attempts = self.controller.machine.info(id).map_or(gone, |info| {
                    assert_ne!(info.state, TaskState::Waiting, "{id} waits, and {graph_run:?} is cancelled");
                    info.attempts
                });
                let is_cancelled = match self.seen(index) {
                    _ if self.book.tasks[index].has_ended() => false,
                    _ if !self.controller.machine.has_ended(id) => true,
                    seen => matches!(seen, None | Some(Seen::Error(TaskError::Cancelled { .. }))),
                };
                let limits = &self.book.tasks[index].limits;
                if deadline.is_some() && limits.deadline == deadline && self.ended.contains(&index) {
                    let seen = self.seen(index);
                    let was_cancelled = self.book.tasks[index].cancelled.is_some();
                    let is_late = matches!(seen, Some(Seen::Error(TaskError::Cancelled { .. })));
                    assert!(was_cancelled || !is_late, "{id} has reached its deadline, and ends as cancelled");
                    self.history.tally.ended_together += u64::from(seen.is_some());
                }
                if is_cancelled {
                    self.book.tasks[index].cancelled.get_or_insert(attempts);
                    self.book.cancelled_graphs += 1;
                }
            }
            false
        });
        self.book.cancelling = cancelling;
    }

    /// How a task has ended, as the controller says now. Nothing if it is gone already.
    pub(super) fn seen(&self, index: usize) -> Option<Seen> {
        let model = &self.book.tasks[index];
        let machine = &self.controller.machine;
        let mut payload = Payload::EMPTY;
        match machine.output(model.id, &mut payload) {
            Some(Ok(())) => {
                assert!(payload == model.output, "the bytes of {}", model.id);
                Some(Seen::Value)
            }
            Some(Err(error)) => Some(Seen::Error(error)),
            // It lies elsewhere.
            None => machine.knows(model.id).then_some(Seen::Value),
        }
    }

    /// A task is known as long as somebody needs it, and no longer.
    fn check_releases(&mut self) {
        let Self { controller, book, unreleased, consumers, .. } = self;
        unreleased.retain(|&index| {
            let is_needed = book.is_needed(index, &consumers[index]);
            let id = book.tasks[index].id;
            let is_known = controller.machine.knows(id);
            let is_held = |&consumer: &usize| controller.machine.goes_on(book.tasks[consumer].id);
            let may_stay = is_known && consumers[index].iter().any(is_held);
            assert!(is_known == is_needed || may_stay, "{id} is known ({is_known}) as long as it is needed");
            book.tasks[index].released = !is_known;
            is_known
        });
    }
}
