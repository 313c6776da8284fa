//! A simulated worker: its machine, and executors that do what the programs say. It
//! stands for `runtime/worker.rs` and `runtime/executor.rs`.

use super::agenda::Happening;
use super::clock::{Clock, draw_lag};
use super::faults::Torn;
use super::network::{CONTROLLER, told};
use super::states::Keeper;
use super::world::{Phase, World};
use crate::codec::Payload;
use crate::codec::frame::Frame;
use crate::codec::frame::Messages;
use crate::config::{LogLevel, Settings};
use crate::function::registry::Registry;
use crate::function::remote::Failure;
use crate::id::{Rank, Slot, TaskId};
use crate::machine::Ns;
use crate::machine::worker::{Attempt, Awaited, Halt, Input, ItemsRun, Next, Outbox, Worker};
use crate::task::lines::Line;
use crate::wire::attempt::Run;
use crate::wire::message::ToWorker;
use crate::wire::report::Measured;
use rustc_hash::FxHashSet;
use std::collections::VecDeque;

/// What an executor does.
#[derive(Debug)]
pub(super) enum Doing {
    /// It makes the first state of its slot.
    MakesState,
    /// It sleeps until there is a task.
    Nothing,
    /// It runs a single-rank task.
    Alone { task: usize, attempt: u32, stops: bool },
    /// It runs its part of a group, and is at this step.
    Member { epoch: u64, member: usize, step: usize, waits: bool },
    /// It ends its state, as it was asked to.
    EndsState,
    /// The same, as the run is over.
    Stops,
    /// It has returned.
    Stopped,
}

/// An executor.
pub(super) struct Executor {
    attempt: Attempt,
    pub(super) doing: Doing,
    pub(super) keeper: Keeper,
}

/// A worker with its executors, and what has come and was not read.
pub(super) struct SimulatedWorker {
    pub(super) rank: Rank,
    pub(super) machine: Worker,
    pub(super) out: Outbox,
    inbox: VecDeque<(Rank, Frame)>,
    pub(super) executors: Vec<Executor>,
    /// When the next turn is, and whether it is for what has come.
    turn: Option<(Ns, bool)>,
    pub(super) clock: Clock,
    /// All executors have returned.
    pub(super) finished: bool,
    /// Its process is gone: it was lost, or has exited with the controller's.
    pub(super) is_dead: bool,
    /// What it has sent and has not arrived went with it.
    pub(super) takes_frames_along: bool,
    /// Tasks that it has read are cancelled.
    told_cancelled: FxHashSet<TaskId>,
    /// Those of them that run, and were told.
    raised: FxHashSet<TaskId>,
    /// It has read that a state could not be made.
    pub(super) is_barred: bool,
    /// It has read that it is to end its states.
    pub(super) is_asked: bool,
}

impl SimulatedWorker {
    pub(super) fn new(rank: Rank, functions: &'static Registry, settings: &Settings, clock: Clock) -> Self {
        let executor = |_| Executor { attempt: Attempt::NONE, doing: Doing::Nothing, keeper: Keeper::default() };
        let executors = (0..settings.slots).map(executor);
        Self {
            rank,
            machine: Worker::new(rank, functions, settings),
            out: Outbox::new(CONTROLLER),
            inbox: VecDeque::new(),
            executors: executors.collect(),
            turn: None,
            clock,
            finished: false,
            is_dead: false,
            takes_frames_along: false,
            told_cancelled: FxHashSet::default(),
            raised: FxHashSet::default(),
            is_barred: false,
            is_asked: false,
        }
    }

    /// What is left here that should have gone, in words.
    pub(super) fn leftovers(&self) -> Option<String> {
        let unread = (!self.inbox.is_empty()).then(|| format!("{} frames", self.inbox.len()));
        let unsent = (self.out.reports() > 0).then(|| "reports".to_owned());
        unread.or(unsent).or_else(|| self.machine.leftovers())
    }

    /// Whether it has a value.
    pub(super) fn holds(&self, value: TaskId) -> bool {
        self.machine.holds(value)
    }

    /// Whether it has a value, or has asked for it and got no answer.
    pub(super) fn expects(&self, value: TaskId) -> bool {
        self.machine.expects(value)
    }

    /// Its process is gone. Gives the single-rank tasks that ran there.
    pub(super) fn die(&mut self) -> Vec<usize> {
        self.is_dead = true;
        self.inbox.clear();
        let alone =
            |executor: &Executor| if let Doing::Alone { task, .. } = executor.doing { Some(task) } else { None };
        self.executors.iter().filter_map(alone).collect()
    }

    /// Whether first states are not made.
    pub(super) fn makes_states(&self) -> bool {
        self.executors.iter().any(|executor| matches!(executor.doing, Doing::MakesState))
    }

    /// What is next for an executor.
    fn next(&self, slot: usize) -> Option<Next> {
        match self.machine.next() {
            None => self.machine.wants_final(Slot(slot as u32)).then_some(Next::Finish),
            // Members use the state of slot 0.
            Some(Next::Begin) if slot > 0 && self.machine.is_for_first_slot() => None,
            next => next,
        }
    }

    fn runs_something(&self) -> bool {
        self.executors.iter().any(|executor| matches!(executor.doing, Doing::Alone { .. } | Doing::Member { .. }))
    }

    fn runs_a_group(&self) -> bool {
        self.executors.iter().any(|executor| matches!(executor.doing, Doing::Member { .. }))
    }
}

impl World<'_> {
    /// A frame has come to a worker, which reads it in its next turn.
    pub(super) fn arrived_at_worker(&mut self, worker: usize, from: Rank, frame: Frame) {
        if self.workers[worker].is_dead {
            return;
        }
        self.workers[worker].inbox.push_back((from, frame));
        self.plan_worker_turn(worker);
    }

    /// A worker takes a turn, if it is still planned for now.
    pub(super) fn worker_turn(&mut self, worker: usize) {
        let now = self.agenda.now();
        let this = &mut self.workers[worker];
        let rank = this.rank;
        let Some((_, is_for_what_came)) = this.turn.take_if(|(at, _)| *at == now && !this.is_dead) else { return };
        let clock = self.time_of_turn(rank, !is_for_what_came);
        while let Some((from, frame)) = self.workers[worker].inbox.pop_front() {
            self.note_copies_read_by(from, self.workers[worker].rank, &frame);
            let this = &mut self.workers[worker];
            self.history.note(now, || format!("{} reads from {from}: {}", this.rank, told(this.rank, &frame)));
            this.machine.handle(clock, Input::Frame { from, frame: &frame }, &mut this.out);
            self.check_cancels(worker, &frame);
            if self.torn.is_mark_of(&frame) {
                self.deliver_of_worker(worker);
                return self.check_torn((from, self.workers[worker].rank), &frame);
            }
        }
        let this = &mut self.workers[worker];
        if this.out.take_asked() {
            this.machine.handle(
                clock,
                Input::Reports { measured: Measured::default(), marks: Vec::new() },
                &mut this.out,
            );
        }
        this.machine.handle(clock, Input::TurnEnds, &mut this.out);
        self.note_overrun(worker);
        self.deliver_of_worker(worker);
        self.after_worker(worker);
    }

    /// After a frame: each cancelled task that runs was told.
    fn check_cancels(&mut self, worker: usize, frame: &Frame) {
        let Self { workers, book, random, history, .. } = self;
        let this = &mut workers[worker];
        let mut messages = Messages::of(frame);
        loop {
            while let Some(run) = messages.next_fixed(Run::read) {
                history.tally.cancelled_early += u64::from(this.told_cancelled.contains(&run.task()));
            }
            match messages.next::<ToWorker<'_>>() {
                Ok(Some(ToWorker::Cancel { tasks })) => this.told_cancelled.extend(tasks),
                Ok(Some(ToWorker::CancelOver { tasks })) => {
                    for task in tasks {
                        this.told_cancelled.remove(&task);
                        this.raised.remove(&task);
                    }
                }
                Ok(Some(ToWorker::Bar { .. })) => this.is_barred = true,
                Ok(Some(ToWorker::Finish)) => this.is_asked = true,
                Ok(Some(_)) => {}
                Ok(None) | Err(_) => break,
            }
        }
        for (slot, task) in this.out.cancelled.drain(..) {
            history.tally.cancelled_running += 1;
            this.raised.insert(task);
            let index = book.index(task);
            match &mut this.executors[slot.index()].doing {
                Doing::Alone { task, stops, .. } if *task == index => {
                    *stops = book.tasks[index].gives_outcomes() || random.percent(50);
                }
                Doing::Member { epoch, .. } if book.parties[epoch].task == index => {}
                other => panic!("{} is told that {task} is cancelled, and does {other:?}", this.rank),
            }
        }
        for executor in &this.executors {
            let runs = match &executor.doing {
                Doing::Alone { task, .. } => Some(*task),
                Doing::Member { epoch, .. } => book.parties.get(epoch).map(|party| party.task),
                _ => None,
            };
            if let Some(task) = runs {
                let id = book.tasks[task].id;
                let is_told = !this.told_cancelled.contains(&id) || this.raised.contains(&id);
                assert!(is_told, "{id} runs on {} and is not told that it was cancelled", this.rank);
            }
        }
    }

    /// Sends what goes at once.
    pub(super) fn deliver_of_worker(&mut self, worker: usize) {
        let this = &mut self.workers[worker];
        let rank = this.rank;
        let mut frames = Vec::new();
        this.out.outgoing.take(&mut frames, |frames, to, frame| frames.push((to, frame)), |_| Vec::new());
        for _ in this.out.take_freed() {
            let planned = self.book.to_be_freed.iter().position(|(_, freed)| *freed == worker);
            match planned {
                Some(planned) => drop(self.book.to_be_freed.swap_remove(planned)),
                None => assert!(self.book.may_be_freed, "{rank} frees a communicator that is still in use"),
            }
        }
        let halt = this.out.take_halt();
        for (to, frame) in frames {
            self.send(rank, to, frame);
        }
        match halt {
            None => {}
            Some(Halt::Exit) if self.phase == Phase::Exited => self.gone(worker),
            Some(Halt::Unreadable { from, .. }) if self.torn.is(from, rank) => self.torn = Torn::Read,
            Some(halt) => panic!("{rank} gives up: {halt:?}"),
        }
    }

    /// Wakes the executors that wait for what has happened, drops garbage, and plans the
    /// next turn.
    pub(super) fn after_worker(&mut self, worker: usize) {
        let this = &mut self.workers[worker];
        if this.is_dead {
            return;
        }
        this.out.garbage.clear();
        let mut woken = (false, Vec::new());
        this.out.happened.take(&mut woken, |woken| woken.0 = true, |woken, key| woken.1.push(key));
        let (all, keys) = woken;
        let mut ready = this.machine.ready();
        for slot in 0..this.executors.len() {
            let looks = match this.executors[slot].doing {
                Doing::Nothing if ready > 0 => {
                    ready -= 1;
                    true
                }
                Doing::Nothing => all,
                Doing::Member { epoch, waits: true, .. } => all || keys.contains(&Awaited::Group(epoch)),
                _ => false,
            };
            if looks {
                let after = if self.random.percent(60) { 0 } else { self.random.up_to(20_000) };
                self.agenda.at(self.agenda.now() + after, Happening::Looks { worker, slot });
            }
        }
        self.check_states_of(worker);
        self.plan_worker_turn(worker);
    }

    fn plan_worker_turn(&mut self, worker: usize) {
        let now = self.agenda.now();
        let this = &mut self.workers[worker];
        let is_due = !this.inbox.is_empty() || this.out.reports() > 0;
        let at = match this.turn {
            Some((_, true)) => return,
            _ if is_due => {
                let silent = self.random.below(300) == 0;
                let ns_max = if silent { 400_000_000 } else { self.shape.latency_ns_max };
                now + self.random.up_to(ns_max)
            }
            _ => match this.machine.next_deadline() {
                None => return,
                Some(deadline) => this.clock.when(deadline).max(now),
            },
        };
        if this.turn.is_none_or(|(planned, _)| at < planned || is_due) {
            this.turn = Some((at, is_due));
            self.agenda.at(at, Happening::WorkerTurn(worker));
        }
    }

    /// An executor was woken.
    pub(super) fn looks(&mut self, worker: usize, slot: usize) {
        if self.workers[worker].is_dead {
            return;
        }
        match self.workers[worker].executors[slot].doing {
            Doing::Nothing => self.looks_for_task(worker, slot, None),
            Doing::Member { waits: true, .. } => self.go_on_in_group(worker, slot),
            _ => {}
        }
    }

    /// An executor looks what is next. The first look after a task is with the time at
    /// which that has ended: the next one begins then, or at the turn in between.
    pub(super) fn looks_for_task(&mut self, worker: usize, slot: usize, ended: Option<Ns>) {
        let now = self.agenda.now();
        let this = &self.workers[worker];
        let next = this.next(slot);
        // What it leaves may be for others that have looked in vain.
        if next.is_some() && (next != Some(Next::Begin) || this.machine.is_for_first_slot()) {
            self.appoints(worker, slot);
        }
        let this = &self.workers[worker];
        match next {
            None => {}
            Some(Next::Begin) => {
                let began = ended.map_or(this.clock.shows(now), |ended| ended.max(this.clock.kept()));
                self.begin(worker, slot, began);
            }
            Some(Next::Finish) => self.ends_state(worker, slot),
            Some(Next::Stop) => self.stops(worker, slot),
        }
    }

    /// An executor waits no longer, and wakes another one to drive, which looks what is
    /// next.
    fn appoints(&mut self, worker: usize, slot: usize) {
        let executors = self.workers[worker].executors.iter().enumerate();
        let sleeps =
            |(other, executor): &(usize, &Executor)| *other != slot && matches!(executor.doing, Doing::Nothing);
        if let Some((other, _)) = executors.rev().find(sleeps) {
            self.agenda.at(self.agenda.now(), Happening::Looks { worker, slot: other });
        }
    }

    /// An executor returns.
    pub(super) fn returns(&mut self, worker: usize, slot: usize) {
        let now = self.agenda.now();
        let this = &mut self.workers[worker];
        let rank = this.rank;
        self.history.note(now, || format!("{rank} slot {slot} returns"));
        this.executors[slot].doing = Doing::Stopped;
        if this.executors.iter().all(|executor| matches!(executor.doing, Doing::Stopped)) {
            this.finished = true;
            this.machine.handle(this.clock.shows(now), Input::Finished, &mut this.out);
            self.deliver_of_worker(worker);
            self.after_worker(worker);
        }
    }

    /// An executor begins what is first.
    fn begin(&mut self, worker: usize, slot: usize, clock: Ns) {
        let now = self.agenda.now();
        let this = &mut self.workers[worker];
        assert!(!this.runs_a_group(), "{} begins something beside a group", this.rank);
        assert!(!this.machine.has_failed(), "{} begins something after a failed end", this.rank);
        assert!(!this.is_barred, "{} begins something, and knows that a state could not be made", this.rank);
        let runs_something = this.runs_something();
        let executor = &mut this.executors[slot];
        let attempt = &mut executor.attempt;
        this.machine.handle(clock, Input::Begin { slot: Slot(slot as u32), attempt }, &mut this.out);
        let description = attempt.description.take();
        let (task, epoch, _) = attempt.parts();
        let was_told = this.told_cancelled.contains(&task.id);
        assert!(
            !was_told || epoch.is_some(),
            "{} begins on {}, which was told that it is cancelled",
            task.id,
            this.rank
        );
        let group = epoch.map(|epoch| {
            if let Some((told, id)) = this.machine.cancelled_member(epoch) {
                assert_eq!((told.index(), id), (slot, task.id), "a member is told that it was cancelled");
                this.raised.insert(id);
            }
            let is_told = !was_told || this.raised.contains(&task.id);
            assert!(is_told, "a member of {} is not told that it was cancelled", task.id);
            let (member, width) = this.machine.index_in_group(epoch);
            (epoch, member, width)
        });
        let rank = this.rank;
        self.history.note(now, || format!("{rank} slot {slot} begins {}, in group {epoch:?}", task.id));
        let index = self.book.begins(worker, task, description.as_deref(), group);
        attempt.gives_outcomes = self.book.tasks[index].gives_outcomes();
        match group {
            None => {
                let attempt = description.as_ref().map_or(1, |told| told.short.attempt());
                executor.doing = Doing::Alone { task: index, attempt, stops: false };
            }
            Some((epoch, member, _)) => {
                assert!(!runs_something, "{rank} begins a group beside something else");
                assert_eq!(slot, 0, "a member on {rank} uses the state of the first slot");
                executor.doing = Doing::Member { epoch, member, step: 0, waits: false };
            }
        }
        if self.prepares(worker, slot) {
            self.runs(worker, slot);
        }
    }

    /// What an executor has begun runs, as its state is there.
    pub(super) fn runs(&mut self, worker: usize, slot: usize) {
        let Doing::Alone { task, .. } = self.workers[worker].executors[slot].doing else {
            return self.go_on_in_group(worker, slot);
        };
        let ns_max = if self.random.percent(2) { 60_000_000 } else { self.shape.run_ns_max };
        let ran_ns = self.random.up_to(ns_max);
        let ends = self.agenda.now() + self.draw_run(task, ran_ns);
        self.agenda.at(ends, Happening::Computed { worker, slot });
        self.after_worker(worker);
    }

    /// What an executor computes is done: the task, or one step of a member.
    pub(super) fn computed(&mut self, worker: usize, slot: usize) {
        let this = &self.workers[worker];
        if this.is_dead {
            return;
        }
        let Doing::Alone { task, attempt, stops } = this.executors[slot].doing else {
            return self.go_on_in_group(worker, slot);
        };
        let ended = self.ended_at(worker, slot);
        let is_late = self.is_late((worker, slot), (task, attempt), ended);
        if stops && let Some(items) = self.book.tasks[task].items.filter(|items| items.give_outcomes()) {
            // Between two items.
            let begun = 1 + self.random.below(items.count.into()) as usize;
            self.book.stops_between(task, begun);
            self.history.tally.stopped_between += 1;
            return self.end(worker, slot, task, (None, ended));
        }
        let wish = self.book.tasks[task].limits.take_wish(&mut self.random, self.shape.run_ns_max);
        let failure = match stops {
            true => Some(self.book.stops_alone(task, (attempt, is_late))),
            false => self.book.ends_alone(task, (attempt, is_late), wish),
        };
        self.end(worker, slot, task, (failure, ended));
    }

    /// Whether an attempt that has ended has run past its limit.
    pub(super) fn is_late(&self, (worker, slot): (usize, usize), (task, attempt): (usize, u32), ended: Ns) -> bool {
        let limits = &self.book.tasks[task].limits;
        let ran_ns = ended - self.workers[worker].executors[slot].attempt.started_ns;
        limits.overran.contains(&attempt) || limits.terms.run_limit_ns.is_some_and(|ns| ns <= ran_ns)
    }

    /// When the engine is told that what an executor runs has ended: it has read the
    /// clock before it came there.
    pub(super) fn ended_at(&mut self, worker: usize, slot: usize) -> Ns {
        let lag = draw_lag(&mut self.random, self.shape.lag_ns_max);
        let this = &self.workers[worker];
        let started = this.executors[slot].attempt.started_ns;
        this.clock.shows(self.agenda.now()).saturating_sub(lag).max(started)
    }

    /// What has reached its limit by a turn of a worker was told so.
    fn note_overrun(&mut self, worker: usize) {
        let told: Vec<(Slot, TaskId)> = self.workers[worker].out.cancelled.drain(..).collect();
        for (slot, task) in told {
            self.history.tally.overran += 1;
            self.note_renewal(worker, slot.index());
            let Self { workers, book, random, .. } = self;
            let (this, index) = (&mut workers[worker], book.index(task));
            match &mut this.executors[slot.index()].doing {
                Doing::Alone { task, attempt, stops } if *task == index => {
                    *stops |= random.percent(30);
                    book.tasks[index].limits.overran.push(*attempt);
                }
                Doing::Member { epoch, .. } if book.parties[epoch].task == index => {
                    let attempt = book.parties[epoch].attempt;
                    book.tasks[index].limits.overran.push(attempt);
                }
                other => panic!("{} says that {task} has reached its limit, and does {other:?}", this.rank),
            }
        }
    }

    /// What an executor runs has ended; it looks for the next at once.
    pub(super) fn end(&mut self, worker: usize, slot: usize, task: usize, (failure, ended): (Option<Failure>, Ns)) {
        let now = self.agenda.now();
        let model = &self.book.tasks[task];
        let this = &mut self.workers[worker];
        let rank = this.rank;
        self.history.note(now, || format!("{rank} slot {slot} ends {}: {failure:?}", model.id));
        let Executor { attempt, doing, .. } = &mut this.executors[slot];
        *doing = Doing::Nothing;
        attempt.ran_ns = ended - attempt.started_ns;
        let (given, _, output) = attempt.parts();
        output.clear();
        if failure.is_none() {
            model.content.write(output);
        }
        given.plain = Payload::EMPTY;
        given.inputs = Vec::new();
        attempt.failure = failure.map(Box::new);
        let without_value = model.content.without_value();
        attempt.items =
            model.gives_outcomes().then_some(ItemsRun { ran: 0, failed: without_value.failed, without_value });
        if self.random.percent(3) {
            let line = Line {
                task: model.id.serial(),
                function: String::new(),
                label: None,
                attempt: 1,
                level: LogLevel::Info,
                target: String::new(),
                text: String::new(),
            };
            self.book.unheard.insert((rank, line.task));
            this.machine.handle(ended, Input::Lines { lines: vec![line], dropped: 0 }, &mut this.out);
        }
        this.machine.handle(ended, Input::Ended { slot: Slot(slot as u32), attempt }, &mut this.out);
        if self.random.percent(30) {
            this.out.flush();
        }
        self.deliver_of_worker(worker);
        self.looks_for_task(worker, slot, Some(ended));
        self.after_worker(worker);
    }
}
