//! One simulated run: all that there is, and the loop in which it happens.

use super::agenda::{Agenda, Happening};
use super::book::Book;
use super::clock::Clock;
use super::controller::SimulatedController;
use super::copies::Copies;
use super::faults::Torn;
use super::functions;
use super::history::History;
use super::limits::STUCK_GRACE_NS;
use super::network::{CONTROLLER, Network, told};
use super::random::Random;
use super::states::{States, StatesShape};
use super::user::User;
use super::watches::Watched;
use super::windows::Window;
use super::worker::SimulatedWorker;
use crate::codec::frame::Frame;
use crate::config::Settings;
use crate::id::Rank;
use crate::machine::Ns;
use crate::machine::controller::Input;

/// When a run begins.
pub(super) const BEGIN_NS: Ns = 1_000_000_000_000;

/// A run that goes on for so long does not end.
const LASTS_NS_MAX: Ns = 400_000_000_000;

/// Nor does one in which so much happens.
const EVENTS_MAX: u64 = 300_000;

/// What a run is like, drawn from its seed.
#[derive(Clone, Debug)]
pub(super) struct Shape {
    pub(super) workers: u32,
    pub(super) inline_bytes_max: u64,
    /// How long a task runs, as a rule.
    pub(super) run_ns_max: Ns,
    /// How long a rank takes to see what has come, as a rule.
    pub(super) latency_ns_max: Ns,
    /// How old a time may be that a machine is told, as a rule.
    pub(super) lag_ns_max: Ns,
    /// Tasks in a hundred that fail at first.
    pub(super) failing_percent: u64,
    /// Tasks in a hundred that are collective.
    pub(super) wide_percent: u64,
    /// Tasks in a hundred that are made of items of maps.
    pub(super) map_percent: u64,
    /// Arguments in a hundred that are so large that their frames may be overtaken.
    pub(super) large_percent: u64,
    /// Outputs of so many bytes at most.
    pub(super) output_bytes_max: u64,
    /// When the body fails, if it does.
    pub(super) fails_at: Option<Ns>,
    /// The body ends only when all is quiet.
    pub(super) ends_quietly: bool,
    /// So many things in a hundred that the user does are to cancel a task.
    pub(super) cancel_percent: u64,
    /// So many tasks in a hundred have limits.
    pub(super) limit_percent: u64,
    /// When he cancels all tasks, if he does.
    pub(super) cancels_all_at: Option<Ns>,
    /// When the controller's process exits, if it does.
    pub(super) exits_at: Option<Ns>,
    /// From when on a frame is torn, if one is.
    pub(super) tears_at: Option<Ns>,
    /// Which workers are lost, and when.
    pub(super) losses: Vec<(usize, Ns)>,
    /// What the states of slots are like, if they have some.
    pub(super) states: Option<StatesShape>,
}

impl Shape {
    fn draw(random: &mut Random) -> Self {
        let workers = random.up_to(6) as u32;
        let run_ns_max = *random.pick(&[5_000, 300_000, 3_000_000]).expect("there are some");
        let shape = Self {
            workers,
            inline_bytes_max: *random.pick(&[0, 60, 300, 3_000, 40_000]).expect("there are some"),
            run_ns_max,
            latency_ns_max: *random.pick(&[2_000, 50_000, 1_000_000]).expect("there are some"),
            lag_ns_max: *random.pick(&[0, 3_000, 30_000]).expect("there are some"),
            failing_percent: *random.pick(&[0, 15, 50]).expect("there are some"),
            wide_percent: *random.pick(&[0, 20, 40]).expect("there are some"),
            map_percent: *random.pick(&[0, 20, 60]).expect("there are some"),
            large_percent: *random.pick(&[2, 2, 50]).expect("there are some"),
            output_bytes_max: *random.pick(&[20, 400, 4_000, 40_000]).expect("there are some"),
            fails_at: random.percent(12).then(|| BEGIN_NS + random.up_to(30_000_000)),
            ends_quietly: random.percent(60),
            cancel_percent: *random.pick(&[0, 0, 10, 30]).expect("there are some"),
            limit_percent: *random.pick(&[0, 0, 15, 60]).expect("there are some"),
            cancels_all_at: random.percent(10).then(|| BEGIN_NS + random.up_to(20 * run_ns_max)),
            exits_at: random.percent(3).then(|| BEGIN_NS + random.up_to(30_000_000)),
            tears_at: random.percent(3).then(|| BEGIN_NS + random.up_to(30_000_000)),
            losses: if random.percent(25) { Self::draw_losses(random, workers, run_ns_max) } else { Vec::new() },
            states: random.percent(25).then(|| StatesShape::draw(random, run_ns_max)),
        };
        match random.below(100) {
            0..15 => shape.with_copies(random),
            // Many are cancelled before their arguments have come.
            15..30 => Self { large_percent: 50, cancel_percent: 40, ..shape },
            _ => shape,
        }
    }

    /// The same, but all values stay on workers, some of which are lost, and what is told
    /// of copies may be overtaken.
    fn with_copies(self, random: &mut Random) -> Self {
        let workers = 2 + random.up_to(4) as u32;
        Self {
            workers,
            inline_bytes_max: 0,
            wide_percent: 40,
            failing_percent: *random.pick(&[0, 15]).expect("there are some"),
            map_percent: 10,
            large_percent: 50,
            output_bytes_max: 400,
            cancel_percent: 0,
            limit_percent: 0,
            cancels_all_at: None,
            losses: Self::draw_losses(random, workers, self.run_ns_max),
            ..self
        }
    }

    /// Some workers, rarely all, at any time up to the end. How long that is depends on
    /// how long tasks run.
    fn draw_losses(random: &mut Random, workers: u32, run_ns_max: Ns) -> Vec<(usize, Ns)> {
        let count = if random.percent(10) { u64::from(workers) } else { random.up_to(u64::from(workers)) };
        let within_ns = run_ns_max * random.pick(&[10, 30, 100]).expect("there are some");
        let mut left: Vec<usize> = (0..workers as usize).collect();
        let any = |_| left.swap_remove(random.below(left.len() as u64) as usize);
        let lost: Vec<usize> = (0..count).map(any).collect();
        lost.into_iter().map(|worker| (worker, BEGIN_NS + random.up_to(within_ns))).collect()
    }
}

/// How far the run is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Phase {
    Open,
    Stopped,
    /// The controller's process has exited.
    Exited,
    Closed,
}

/// One simulated run.
pub(super) struct World<'h> {
    pub(super) shape: Shape,
    pub(super) random: Random,
    pub(super) agenda: Agenda,
    pub(super) history: &'h mut History,
    network: Network,
    pub(super) controller: SimulatedController,
    pub(super) workers: Vec<SimulatedWorker>,
    pub(super) user: User,
    pub(super) book: Book,
    pub(super) copies: Copies,
    /// Tasks whose ends the user has asked for.
    pub(super) watched: Vec<Watched>,
    /// Maps that he has begun.
    pub(super) windows: Vec<Window>,
    pub(super) states: States,
    /// By task, those that take its output.
    pub(super) consumers: Vec<Vec<usize>>,
    /// Tasks that have not ended, by what the controller says.
    pub(super) unended: Vec<usize>,
    /// Those that have ended just now; empty in between.
    pub(super) ended: Vec<usize>,
    /// Tasks that the controller knows.
    pub(super) unreleased: Vec<usize>,
    pub(super) phase: Phase,
    /// The frame that is torn, once it was sent.
    pub(super) torn: Torn,
    /// The machine of the scheduler is looked through after each event, not only in the
    /// end.
    thorough: bool,
}

impl<'h> World<'h> {
    pub(super) fn new(seed: u64, history: &'h mut History) -> Self {
        let mut random = Random::new(seed);
        let shape = Shape::draw(&mut random);
        let slots = random.up_to(4) as u32;
        let settings = Settings {
            slots,
            inline_bytes_max: shape.inline_bytes_max,
            stack_bytes: 1 << 20,
            seed: 0,
            collective_grace_ns: 30_000_000_000,
            shutdown_grace_ns: 20_000_000,
            stuck_grace_ns: STUCK_GRACE_NS,
            queue_max: 3,
            queue_bytes_max: 20_000,
            has_states: shape.states.is_some(),
            init_limit_ns: shape.states.as_ref().and_then(|states| states.renewal_limit_ns).unwrap_or(u64::MAX),
            finish_limit_ns: u64::MAX,
            forward_logs: None,
        };
        let functions = functions::registry();
        let mut clock = || Clock::new(BEGIN_NS, random.below(1_000_000));
        let workers =
            (1..=shape.workers).map(|rank| SimulatedWorker::new(Rank(rank), functions, &settings, clock())).collect();
        let delay_ns_max = *random.pick(&[1_000, 30_000, 1_000_000]).expect("there are some");
        let mut agenda = Agenda::new(BEGIN_NS);
        agenda.at(BEGIN_NS, Happening::User);
        if let Some(at) = shape.fails_at {
            agenda.at(at, Happening::BodyFails);
        }
        if let Some(at) = shape.cancels_all_at {
            agenda.at(at, Happening::CancelsAll);
        }
        if let Some(at) = shape.exits_at {
            agenda.at(at, Happening::Exits);
        }
        if let Some(at) = shape.tears_at {
            agenda.at(at, Happening::Tears);
        }
        for &(worker, at) in &shape.losses {
            agenda.at(at, Happening::Dies(worker));
        }
        history.note(BEGIN_NS, || format!("{shape:?} with {slots} slots each"));
        Self {
            network: Network::new(&mut random, shape.workers as usize + 1, delay_ns_max),
            controller: SimulatedController::new(functions, shape.workers, settings, Clock::new(BEGIN_NS, 0)),
            workers,
            user: User::new(random.up_to(24)),
            book: Book::new(shape.workers, shape.inline_bytes_max),
            copies: Copies::default(),
            watched: Vec::new(),
            windows: Vec::new(),
            states: States::new(shape.states.as_ref()),
            consumers: Vec::new(),
            unended: Vec::new(),
            ended: Vec::new(),
            unreleased: Vec::new(),
            phase: Phase::Open,
            torn: Torn::No,
            thorough: seed.is_multiple_of(16),
            shape,
            random,
            agenda,
            history,
        }
    }

    /// A frame goes into the network.
    pub(super) fn send(&mut self, from: Rank, to: Rank, mut frame: Frame) {
        let is_silent = from == CONTROLLER && self.controller.is_silent;
        assert!(!is_silent, "the controller says nothing after the end: {}", told(to, &frame));
        let is_lost = from == CONTROLLER && self.book.lost.contains(&(to.index() - 1));
        assert!(!is_lost, "the controller talks to {to}, which is lost: {}", told(to, &frame));
        self.tear(from, to, &mut frame);
        self.note_copies_sent(from, to, &frame);
        let Self { network, agenda, random, history, .. } = self;
        network.send((agenda, random, history), (from, to), frame);
    }

    /// Lets happen what happens until the run is over.
    pub(super) fn run(mut self) {
        self.make_states();
        loop {
            while let Some(happening) = self.agenda.next() {
                self.history.tally.events += 1;
                let has_time = self.agenda.now() < BEGIN_NS + LASTS_NS_MAX;
                assert!(has_time, "the run does not end: after {LASTS_NS_MAX} ns comes {happening:?}");
                assert!(self.history.tally.events < EVENTS_MAX, "the run does not end: there comes {happening:?}");
                self.happens(happening);
                if self.torn == Torn::Read {
                    self.history.tally.unreadable += 1;
                    return self.count();
                }
                if self.thorough && !self.book.body_failed {
                    self.controller.machine.validate();
                }
                if self.phase == Phase::Open && !self.shape.ends_quietly && self.is_user_done() {
                    self.stop(false);
                }
            }
            match self.phase {
                Phase::Open => self.all_is_quiet(),
                Phase::Stopped => self.close(),
                Phase::Exited => {
                    let are_gone = self.workers.iter().all(|worker| worker.is_dead);
                    assert!(are_gone, "all workers exit with the controller's process");
                    self.phase = Phase::Closed;
                }
                Phase::Closed => break,
            }
        }
        self.count();
    }

    /// Notes what has happened.
    fn count(self) {
        let tally = &mut self.history.tally;
        (tally.tasks, tally.done, tally.failed) = (self.book.tasks.len() as u64, self.book.done, self.book.failed);
        (tally.retries, tally.groups) = (self.book.retries, self.book.groups);
        (tally.deadlocks, tally.failed_bodies) = (self.book.deadlocks, u64::from(self.book.body_failed));
        (tally.stalled, tally.lost_tasks) = (self.book.stalled, self.book.lost_tasks);
        tally.cancelled_graphs = self.book.cancelled_graphs;
        tally.took_errors = self.book.took_errors;
        (tally.cancelled, tally.cancelled_in_vain) = (self.book.cancelled, self.book.cancelled_in_vain);
        (tally.limits_reached, tally.stuck, tally.nowhere) =
            (self.book.limits_reached, self.book.stuck, self.book.nowhere);
        (tally.states.ended_tasks, tally.states.ended_late_tasks) = self.book.ended_without_state;
    }

    fn happens(&mut self, happening: Happening) {
        match happening {
            Happening::Arrives { from, .. } if self.takes_frames_along(from) => {}
            Happening::Arrives { from, to: CONTROLLER, frame } => self.arrived_at_controller(from, frame),
            Happening::Arrives { from, to, frame } => self.arrived_at_worker(to.index() - 1, from, frame),
            Happening::ControllerTurn => self.controller_turn_if_planned(),
            Happening::WorkerTurn(worker) => self.worker_turn(worker),
            Happening::Looks { worker, slot } => self.looks(worker, slot),
            Happening::Computed { worker, slot } => self.computed(worker, slot),
            Happening::Attended { worker, slot } => self.attended(worker, slot),
            Happening::StatesOverdue => self.states_overdue(),
            Happening::Finishes => self.user_finishes(),
            Happening::FinishOverdue => self.finish_overdue(),
            Happening::User => self.user_acts(),
            Happening::Drops(task) => self.user_drops(task),
            Happening::Slides(map) => self.slides(map),
            Happening::Woken(key) => self.user_woken(key),
            Happening::CancelsAll => self.user_cancels_all(),
            Happening::Closes => self.user_closes(),
            Happening::BodyFails => {
                if self.phase == Phase::Open {
                    self.stop(true);
                }
            }
            Happening::Exits => self.exits(),
            Happening::Dies(worker) => self.dies(worker),
            Happening::ToldOfLoss(worker) => self.told_of_loss(worker),
            Happening::Tears => self.torn = Torn::Next,
        }
    }

    /// Nothing will happen any more by itself: the user has all he waits for, and nothing
    /// is left anywhere.
    fn all_is_quiet(&mut self) {
        assert!(self.is_user_done(), "nothing moves any more, and the user waits: {:?}", self.user);
        self.controller.machine.validate();
        self.check_states_at_rest();
        let left = self.controller.machine.leftovers();
        assert!(left.is_none(), "the controller still has {left:?}");
        for worker in self.workers.iter().filter(|worker| !worker.is_dead) {
            let left = worker.leftovers();
            assert!(left.is_none(), "a worker still has {left:?}");
        }
        let is_dead = |rank: Rank| self.workers.iter().any(|worker| worker.rank == rank && worker.is_dead);
        let unheard = self.book.unheard.iter().find(|(rank, _)| !is_dead(*rank));
        assert!(unheard.is_none(), "a line was said that nobody has heard: {unheard:?}");
        self.stop(false);
    }

    /// The body has ended.
    fn stop(&mut self, failed: bool) {
        self.history.note(self.agenda.now(), || format!("the body has ended, failed: {failed}"));
        self.count_references();
        if failed {
            // What it brings about is noted before the end, which makes that unknown.
            self.after_controller();
        }
        self.book.body_failed = failed;
        self.phase = Phase::Stopped;
        self.tell(Input::Stop { failed });
        self.after_controller();
        self.controller.is_silent = true;
    }

    /// All ranks have joined in the end.
    fn close(&mut self) {
        assert!(self.workers.iter().all(|worker| worker.finished || worker.is_dead), "all executors return");
        assert!(self.user.has_no_waits(), "all waits end: {:?}", self.user);
        let busy = self.controller.machine.who_is_busy();
        assert!(busy.starts_with("all have stopped"), "all workers say that they have stopped: {busy}");
        self.phase = Phase::Closed;
        self.tell(Input::Closed);
        assert!(self.controller.machine.is_closed());
        self.check_states_at_end();
        if self.book.body_failed {
            return;
        }
        assert!(self.book.parties.is_empty(), "all groups have ended");
        let to_be_freed = self.book.to_be_freed.iter();
        let not_freed: Vec<_> = to_be_freed.filter(|(_, worker)| !self.workers[*worker].is_dead).collect();
        assert!(not_freed.is_empty(), "communicators are left, of tasks on workers: {not_freed:?}");
        // What was given up may come to its worker when all executors have returned: it
        // never begins.
        let has_late = |worker: &SimulatedWorker| !worker.is_dead && worker.machine.leftovers().is_some();
        let left = self.controller.machine.leftovers();
        assert!(self.unended.is_empty(), "all tasks have ended");
        if !self.workers.iter().any(has_late) {
            assert!(left.is_none(), "the controller still has {left:?}");
            assert!(self.unreleased.is_empty(), "all tasks have gone");
        }
    }
}
