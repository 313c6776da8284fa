//! A simulated worker: its machine, and executors that do what the programs say. It
//! stands for `runtime/worker.rs` and `runtime/executor.rs`.

use super::agenda::Happening;
use super::clock::{Clock, draw_lag};
use super::faults::Torn;
use super::network::{CONTROLLER, told};
use super::script::Step;
use super::world::{Phase, World};
use crate::codec::Payload;
use crate::codec::frame::Frame;
use crate::codec::frame::Messages;
use crate::config::{LogLevel, Settings};
use crate::function::registry::Registry;
use crate::function::remote::Failure;
use crate::id::{Rank, Slot, TaskId};
use crate::machine::Ns;
use crate::machine::worker::{Attempt, Awaited, Halt, Input, Next, Outbox, Worker};
use crate::task::lines::Line;
use crate::wire::attempt::Run;
use crate::wire::message::ToWorker;
use crate::wire::report::Measured;
use rustc_hash::FxHashSet;
use std::collections::VecDeque;

/// What an executor does.
#[derive(Debug)]
enum Doing {
    /// It sleeps until there is a task.
    Nothing,
    /// It runs a single-rank task.
    Alone { task: usize, attempt: u32, stops: bool },
    /// It runs its part of a group, and is at this step.
    Member { epoch: u64, member: usize, step: usize, waits: bool },
    /// It has returned.
    Stopped,
}

/// An executor.
struct Executor {
    attempt: Attempt,
    doing: Doing,
}

/// A worker with its executors, and what has come and was not read.
pub(super) struct SimulatedWorker {
    pub(super) rank: Rank,
    machine: Worker,
    out: Outbox,
    inbox: VecDeque<(Rank, Frame)>,
    executors: Vec<Executor>,
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
}

impl SimulatedWorker {
    pub(super) fn new(rank: Rank, functions: &'static Registry, settings: &Settings, clock: Clock) -> Self {
        let executors = (0..settings.slots).map(|_| Executor { attempt: Attempt::NONE, doing: Doing::Nothing });
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
                Doing::Nothing | Doing::Stopped => None,
            };
            if let Some(task) = runs {
                let id = book.tasks[task].id;
                let is_told = !this.told_cancelled.contains(&id) || this.raised.contains(&id);
                assert!(is_told, "{id} runs on {} and is not told that it was cancelled", this.rank);
            }
        }
    }

    /// Sends what goes at once.
    fn deliver_of_worker(&mut self, worker: usize) {
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
    fn after_worker(&mut self, worker: usize) {
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
    fn looks_for_task(&mut self, worker: usize, slot: usize, ended: Option<Ns>) {
        let now = self.agenda.now();
        let this = &mut self.workers[worker];
        match this.machine.next() {
            None => {}
            Some(Next::Begin) => {
                let began = ended.map_or(this.clock.shows(now), |ended| ended.max(this.clock.kept()));
                self.begin(worker, slot, began);
            }
            Some(Next::Finish) => unreachable!("there are no states"),
            Some(Next::Stop) => {
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
        }
    }

    /// An executor begins what is first.
    fn begin(&mut self, worker: usize, slot: usize, clock: Ns) {
        let now = self.agenda.now();
        let this = &mut self.workers[worker];
        assert!(!this.runs_a_group(), "{} begins something beside a group", this.rank);
        assert!(!this.machine.has_failed(), "{} begins something after a failed end", this.rank);
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
                let ns_max = if self.random.percent(2) { 60_000_000 } else { self.shape.run_ns_max };
                let ran_ns = self.random.up_to(ns_max);
                let ends = now + self.draw_run(index, ran_ns);
                self.agenda.at(ends, Happening::Computed { worker, slot });
                self.after_worker(worker);
            }
            Some((epoch, member, _)) => {
                assert!(!runs_something, "{rank} begins a group beside something else");
                executor.doing = Doing::Member { epoch, member, step: 0, waits: false };
                self.go_on_in_group(worker, slot);
            }
        }
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
        let limits = &mut self.book.tasks[task].limits;
        let ran_ns = ended - self.workers[worker].executors[slot].attempt.started_ns;
        let is_late = limits.overran.contains(&attempt) || limits.terms.run_limit_ns.is_some_and(|ns| ns <= ran_ns);
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

    /// A member does what it can: until it waits, computes or leaves.
    fn go_on_in_group(&mut self, worker: usize, slot: usize) {
        let result = loop {
            match self.step(worker, slot) {
                Stepped::On => {}
                Stepped::Waits => {
                    self.deliver_of_worker(worker);
                    return self.after_worker(worker);
                }
                Stepped::Leaves(result) => break result,
            }
        };
        let Doing::Member { epoch, member, .. } = self.workers[worker].executors[slot].doing else {
            unreachable!("it is in a group");
        };
        let (task, number) = (self.book.parties[&epoch].task, self.book.parties[&epoch].attempt);
        self.book.leaves(epoch, member, result.as_ref().map(|_| ()).map_err(|_| ()));
        let ended = self.ended_at(worker, slot);
        let attempt = self.workers[worker].executors[slot].attempt.started_ns;
        let limits = &mut self.book.tasks[task].limits;
        if limits.terms.run_limit_ns.is_some_and(|ns| ns <= ended - attempt) {
            limits.overran.push(number);
        }
        self.end(worker, slot, task, (result.err(), ended));
    }

    /// When the engine is told that what an executor runs has ended: it has read the
    /// clock before it came there.
    fn ended_at(&mut self, worker: usize, slot: usize) -> Ns {
        let lag = draw_lag(&mut self.random, self.shape.lag_ns_max);
        let this = &self.workers[worker];
        let started = this.executors[slot].attempt.started_ns;
        this.clock.shows(self.agenda.now()).saturating_sub(lag).max(started)
    }

    /// What has reached its limit by a turn of a worker was told so.
    fn note_overrun(&mut self, worker: usize) {
        let Self { workers, book, random, history, .. } = self;
        let this = &mut workers[worker];
        for (slot, task) in this.out.cancelled.drain(..) {
            history.tally.overran += 1;
            let index = book.index(task);
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

    /// A member takes one step.
    fn step(&mut self, worker: usize, slot: usize) -> Stepped {
        let now = self.agenda.now();
        let this = &mut self.workers[worker];
        let Doing::Member { epoch, member, step, waits } = &mut this.executors[slot].doing else {
            unreachable!("it is in a group");
        };
        let (epoch, member) = (*epoch, *member);
        let Some(next) = self.book.script(epoch).members[member].get(*step) else {
            return Stepped::Leaves(Ok(()));
        };
        *waits = false;
        let result = match next {
            Step::Compute(ns) => {
                let ends = now + ns;
                *step += 1;
                self.agenda.at(ends, Happening::Computed { worker, slot });
                return Stepped::Waits;
            }
            Step::Fail(failure) => return Stepped::Leaves(Err(failure.clone())),
            Step::Raw => {
                let entered = this.machine.enter_raw(epoch).map(|_| ());
                if entered.is_ok() {
                    self.book.uses_raw(epoch);
                }
                entered
            }
            Step::Send { to, key, content } => {
                this.machine.send_in_group(epoch, *to, *key, &content.encoded(), &mut this.out)
            }
            Step::Receive { from, key, content } => match this.machine.take_in_group(epoch, *from, *key) {
                Some(received) => received.map(|payload| {
                    let wanted = content.as_ref().map(super::content::Content::encoded);
                    assert!(wanted == Some(payload), "member {member} of epoch {epoch} receives what was sent");
                }),
                None => {
                    *waits = true;
                    let awaits = Input::Awaits { epoch, from: *from, key: *key };
                    this.machine.handle(this.clock.shows(now), awaits, &mut this.out);
                    return Stepped::Waits;
                }
            },
        };
        *step += 1;
        match result {
            Ok(()) => Stepped::On,
            Err(error) => {
                self.book.check_group_error(epoch, &error);
                // As a function does with `?`.
                Stepped::Leaves(Err(Failure::Returned(error.to_string())))
            }
        }
    }

    /// What an executor runs has ended; it looks for the next at once.
    fn end(&mut self, worker: usize, slot: usize, task: usize, (failure, ended): (Option<Failure>, Ns)) {
        let now = self.agenda.now();
        let model = &self.book.tasks[task];
        let this = &mut self.workers[worker];
        let rank = this.rank;
        self.history.note(now, || format!("{rank} slot {slot} ends {}: {failure:?}", model.id));
        let Executor { attempt, doing } = &mut this.executors[slot];
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

/// What became of a step.
enum Stepped {
    /// The next one follows.
    On,
    /// Something has to happen first.
    Waits,
    /// The member has left.
    Leaves(Result<(), Failure>),
}
