//! The ranks, the network between them, and the loop in which time passes.

use super::super::agenda::{Agenda, Happening};
use super::super::functions;
use super::super::network::CONTROLLER;
use super::member::{Part, Step};
use super::meter::{Cost, Meter};
use crate::codec::Payload;
use crate::codec::frame::{Frame, Messages};
use crate::config::Settings;
use crate::function::fingerprint::Fingerprint;
use crate::function::registry::{Registry, Remote};
use crate::function::remote::Failure;
use crate::id::{Origin, Rank, Slot};
use crate::machine::Ns;
use crate::machine::controller::{self, Controller, Encoded, NewTask, Options, ReferenceNote, WorkerState};
use crate::machine::handshake::{Greetings, hello};
use crate::machine::worker::{self, Attempt, Awaited, Next, Worker};
use crate::peers::Process;
use crate::wire::message::{ToController, ToWorker, Welcome};
use std::time::Duration;

/// A frame takes so long.
const NETWORK_NS: Ns = 2_000;

/// The controller gathers what comes for so long before it looks.
const GATHERS_NS: Ns = 5_000;

/// How long a task runs: between these.
const TASK_NS_MIN: Ns = 500_000;
const TASK_NS_SPREAD: Ns = 1_000_000;

/// One run.
pub(super) struct World {
    agenda: Agenda,
    meter: Meter,
    controller: Controller,
    out: controller::Outbox,
    inbox: Vec<(Rank, Frame)>,
    /// The controller's next turn is planned for this time.
    turn_at: Option<Ns>,
    /// The last turn in which something had come.
    worked_at: Ns,
    sites: Vec<Site>,
    /// What the members of the group do that runs.
    part: Part,
    /// Tasks that were begun; the time that one takes depends on it.
    begun: u64,
}

/// A worker.
struct Site {
    machine: Worker,
    out: worker::Outbox,
    attempt: Attempt,
    doing: Doing,
    /// Its next look at the time is planned for this time.
    looks_at: Option<Ns>,
}

enum Doing {
    Nothing,
    Alone,
    Member { epoch: u64, steps: Vec<Step>, done: usize, computes: bool },
    Stopped,
}

impl World {
    /// All ranks greet, and the machines begin. Gives what that costs each worker.
    pub(super) fn begin(workers: u32) -> (Self, Cost) {
        let registry = functions::registry();
        let settings = Settings {
            slots: 1,
            inline_bytes_max: 4_096,
            stack_bytes: 1 << 20,
            seed: 0,
            collective_grace_ns: 10_000_000_000,
            shutdown_grace_ns: 1_000_000_000,
            stuck_grace_ns: 1_000_000_000,
            queue_max: 100,
            queue_bytes_max: 100_000,
            has_states: false,
            init_limit_ns: u64::MAX,
            finish_limit_ns: u64::MAX,
            forward_logs: None,
        };
        let mut meter = Meter::new();
        let (greetings, sites) = greet(workers, registry, settings, &mut meter);
        let (controller, out) = meter.controller(|| {
            let hellos = greetings.into_hellos().into_iter();
            let workers = hellos.map(|(rank, hello)| WorkerState::new(rank, hello.host)).collect();
            Controller::new((CONTROLLER, host(0)), registry, workers, settings)
        });
        let cost = meter.take().each(workers);
        let world = Self {
            agenda: Agenda::new(1_000_000_000),
            meter,
            controller,
            out,
            inbox: Vec::new(),
            turn_at: None,
            worked_at: 0,
            sites,
            part: Part::Nothing,
            begun: 0,
        };
        (world, cost)
    }

    /// So many tasks that run alone. Gives what each costs.
    pub(super) fn tasks(&mut self, count: u32) -> Cost {
        (0..count).for_each(|_| self.submit(functions::alone(), None));
        self.pass();
        assert_eq!(self.controller.pending(), 0, "all tasks end");
        self.meter.take().each(count)
    }

    /// One collective task. Gives what it costs each member, and how long it takes.
    pub(super) fn group(&mut self, members: u32, part: Part) -> (Cost, Duration) {
        let began = self.agenda.now();
        let (_, done, failed) = self.controller.counts();
        self.part = part;
        let options = Options { ranks: Some(members), ..Options::default() };
        self.submit(functions::together(), Some(&options));
        self.pass();
        let ended = if part.succeeds() { (done + 1, failed) } else { (done, failed + 1) };
        let (_, done, failed) = self.controller.counts();
        assert_eq!((done, failed), ended, "{part:?} of {members} members ends as it must");
        let lasts = Duration::from_nanos(self.worked_at - began);
        (self.meter.take().each(members), lasts)
    }

    /// The run ends. Gives what that costs each worker.
    pub(super) fn end(mut self) -> Cost {
        self.tell(controller::Input::Closing);
        self.tell(controller::Input::Stop { failed: false });
        self.pass();
        assert!(self.sites.iter().all(|site| matches!(site.doing, Doing::Stopped)), "all workers stop");
        assert!(self.controller.who_is_busy().starts_with("all have stopped"), "all say so");
        self.meter.take().each(self.sites.len() as u32)
    }

    /// The user adds a task and keeps no handle of it.
    fn submit(&mut self, remote: &'static Remote, options: Option<&Options<'_>>) {
        let new = NewTask { remote, inputs: &[], options, before: &[], level: 1, origin: Origin::Alone, watch: None };
        self.tell(controller::Input::Task { new: &new, plain: Encoded::Few(&[0; 8]) });
        let mut notes = vec![ReferenceNote::Dropped(self.out.added)];
        self.tell(controller::Input::References { notes: &mut notes });
    }

    fn tell(&mut self, input: controller::Input<'_>) {
        let Self { controller, out, meter, agenda, .. } = self;
        meter.controller(|| controller.handle(agenda.now(), input, out));
    }

    /// Time passes until nothing happens any more.
    fn pass(&mut self) {
        self.controller_turn();
        while let Some(happening) = self.agenda.next() {
            match happening {
                Happening::Arrives { from, to: CONTROLLER, frame } => {
                    self.inbox.push((from, frame));
                    self.plan_turn(self.agenda.now() + GATHERS_NS);
                }
                Happening::Arrives { from, to, frame } => self.arrived(to.index() - 1, from, &frame),
                Happening::ControllerTurn if self.turn_at == Some(self.agenda.now()) => self.controller_turn(),
                Happening::ControllerTurn => {}
                Happening::WorkerTurn(worker) if self.sites[worker].looks_at == Some(self.agenda.now()) => {
                    self.sites[worker].looks_at = None;
                    self.tell_worker(worker, worker::Input::TurnEnds);
                    self.after_worker(worker);
                }
                Happening::WorkerTurn(_) => {}
                Happening::Computed { worker, .. } => self.computed(worker),
                other => unreachable!("{other:?} is not planned here"),
            }
        }
    }

    fn plan_turn(&mut self, at: Ns) {
        if self.turn_at.is_none_or(|planned| planned > at) {
            self.turn_at = Some(at);
            self.agenda.at(at, Happening::ControllerTurn);
        }
    }

    fn controller_turn(&mut self) {
        self.turn_at = None;
        let now = self.agenda.now();
        let inbox = std::mem::take(&mut self.inbox);
        if !inbox.is_empty() {
            self.worked_at = now;
        }
        let Self { controller, out, meter, .. } = self;
        let frames = meter.controller(|| {
            for (from, frame) in &inbox {
                controller.handle(now, controller::Input::Frame { from: *from, frame }, out);
            }
            controller.handle(now, controller::Input::TurnEnds, out);
            let mut frames = Vec::new();
            out.outgoing.take(&mut frames, |frames, to, frame| frames.push((to, frame)), |_| Vec::new());
            frames
        });
        assert!(out.take_halt().is_none(), "the run goes on");
        out.happened.take(&mut (), |()| {}, |(), _| {});
        for (to, frame) in frames {
            self.send(CONTROLLER, to, frame);
        }
        if let Some(deadline) = self.controller.next_deadline() {
            self.plan_turn(deadline.max(now));
        }
    }

    fn send(&mut self, from: Rank, to: Rank, frame: Frame) {
        self.meter.frame(from, to, &frame);
        self.agenda.at(self.agenda.now() + NETWORK_NS, Happening::Arrives { from, to, frame });
    }

    fn arrived(&mut self, worker: usize, from: Rank, frame: &Frame) {
        self.tell_worker(worker, worker::Input::Frame { from, frame });
        self.after_worker(worker);
    }

    fn tell_worker(&mut self, worker: usize, input: worker::Input<'_>) {
        let Self { sites, meter, agenda, .. } = self;
        let Site { machine, out, .. } = &mut sites[worker];
        meter.worker(|| machine.handle(agenda.now(), input, out));
        assert!(out.take_halt().is_none(), "the run goes on");
    }

    /// Sends what a worker has to say, lets its executor go on, and plans its next look
    /// at the time.
    fn after_worker(&mut self, worker: usize) {
        let site = &mut self.sites[worker];
        let mut woken = false;
        site.out.happened.take(
            &mut woken,
            |woken| *woken = true,
            |woken, key| *woken |= matches!(key, Awaited::Group(_)),
        );
        match site.doing {
            Doing::Nothing => self.look_for_task(worker),
            Doing::Member { computes: false, .. } if woken => self.go_on(worker),
            _ => {}
        }
        self.deliver(worker);
        let now = self.agenda.now();
        let site = &mut self.sites[worker];
        site.out.garbage.clear();
        if let Some(deadline) = site.machine.next_deadline()
            && site.looks_at.is_none_or(|planned| planned > deadline)
        {
            let at = deadline.max(now);
            site.looks_at = Some(at);
            self.agenda.at(at, Happening::WorkerTurn(worker));
        }
    }

    fn deliver(&mut self, worker: usize) {
        let rank = Rank(worker as u32 + 1);
        let Self { sites, meter, .. } = self;
        let out = &mut sites[worker].out;
        let frames = meter.worker(|| {
            let mut frames = Vec::new();
            out.flush();
            out.outgoing.take(&mut frames, |frames, to, frame| frames.push((to, frame)), |_| Vec::new());
            frames
        });
        for (to, frame) in frames {
            self.send(rank, to, frame);
        }
    }

    fn look_for_task(&mut self, worker: usize) {
        let Self { sites, meter, agenda, begun, part, .. } = self;
        let Site { machine, out, attempt, doing, .. } = &mut sites[worker];
        let now = agenda.now();
        match machine.next() {
            None => {}
            Some(Next::Finish) => unreachable!("there are no states"),
            Some(Next::Stop) => {
                *doing = Doing::Stopped;
                self.tell_worker(worker, worker::Input::Finished);
            }
            Some(Next::Begin) => {
                meter.worker(|| machine.handle(now, worker::Input::Begin { slot: Slot(0), attempt }, out));
                *begun += 1;
                match attempt.parts().1 {
                    None => {
                        *doing = Doing::Alone;
                        let ns = TASK_NS_MIN + *begun * 7_919 % TASK_NS_SPREAD;
                        agenda.at(now + ns, Happening::Computed { worker, slot: 0 });
                    }
                    Some(epoch) => {
                        let (member, members) = machine.index_in_group(epoch);
                        *doing = Doing::Member { epoch, steps: part.steps(member, members), done: 0, computes: false };
                        self.go_on(worker);
                    }
                }
            }
        }
    }

    /// What an executor computes is done.
    fn computed(&mut self, worker: usize) {
        match self.sites[worker].doing {
            Doing::Alone => self.ended(worker, None),
            Doing::Member { ref mut computes, .. } => {
                *computes = false;
                self.go_on(worker);
            }
            Doing::Nothing | Doing::Stopped => unreachable!("it computes"),
        }
        self.after_worker(worker);
    }

    /// A member does what it can.
    fn go_on(&mut self, worker: usize) {
        let Self { sites, meter, agenda, .. } = self;
        let Site { machine, out, doing, .. } = &mut sites[worker];
        let Doing::Member { epoch, steps, done, computes } = doing else { unreachable!("it is in a group") };
        let (epoch, now) = (*epoch, agenda.now());
        let failure = loop {
            let Some(step) = steps.get(*done) else { break None };
            let result = match *step {
                Step::Compute(ns) => {
                    *done += 1;
                    *computes = true;
                    return agenda.at(now + ns, Happening::Computed { worker, slot: 0 });
                }
                Step::Fail => break Some("it fails".to_owned()),
                Step::Send { to, key } => meter.worker(|| machine.send_in_group(epoch, to, key, &Payload::EMPTY, out)),
                Step::Receive { from, key } => match meter.worker(|| machine.take_in_group(epoch, from, key)) {
                    Some(taken) => taken.map(drop),
                    None => {
                        let awaits = worker::Input::Awaits { epoch, from, key };
                        return meter.worker(|| machine.handle(now, awaits, out));
                    }
                },
            };
            if let Err(error) = result {
                break Some(error.to_string());
            }
            *done += 1;
        };
        self.ended(worker, failure);
    }

    fn ended(&mut self, worker: usize, failure: Option<String>) {
        let now = self.agenda.now();
        let Site { attempt, doing, .. } = &mut self.sites[worker];
        *doing = Doing::Nothing;
        attempt.ran_ns = now - attempt.started_ns;
        attempt.output.clear();
        attempt.failure = failure.map(|text| Box::new(Failure::Returned(text)));
        let Self { sites, meter, .. } = self;
        let Site { machine, out, attempt, .. } = &mut sites[worker];
        meter.worker(|| machine.handle(now, worker::Input::Ended { slot: Slot(0), attempt }, out));
        self.look_for_task(worker);
    }
}

fn host(rank: u32) -> String {
    format!("node{:05}", rank / 64)
}

/// All workers greet the controller, which answers.
fn greet(workers: u32, registry: &'static Registry, settings: Settings, meter: &mut Meter) -> (Greetings, Vec<Site>) {
    let (own, process) = (Fingerprint::of(registry), Process::own());
    let of_rank = |rank: u32| hello(own.clone(), host(rank), process.clone());
    let mut greetings = meter.controller(|| Greetings::new(CONTROLLER, workers + 1, of_rank(0)));
    for rank in 1..=workers {
        let frame = meter.worker(|| {
            let mut frame = Frame::default();
            frame.push(&ToController::Hello(of_rank(rank)));
            frame
        });
        meter.frame(Rank(rank), CONTROLLER, &frame);
        meter.controller(|| greetings.take(Rank(rank), &frame)).expect("it is a greeting");
    }
    assert!(greetings.is_complete());
    let answers: Vec<_> = meter.controller(|| {
        let difference = greetings.difference();
        greetings.answers(settings, difference.as_deref()).collect()
    });
    let sites = answers.into_iter().map(|(rank, frame)| {
        meter.frame(CONTROLLER, rank, &frame);
        meter.worker(|| match Messages::of(&frame).next() {
            Ok(Some(ToWorker::Welcome(Welcome { settings, .. }))) => Site {
                machine: Worker::new(rank, registry, &settings),
                out: worker::Outbox::new(CONTROLLER),
                attempt: Attempt::NONE,
                doing: Doing::Nothing,
                looks_at: None,
            },
            _ => panic!("all ranks fit together"),
        })
    });
    let sites = sites.collect();
    (greetings, sites)
}
