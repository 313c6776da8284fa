//! A controller's machine that loses workers: inputs in, messages out.

use super::*;
use crate::codec::frame::{Frame, Messages};
use crate::config::Config;
use crate::function::argument::ArgumentPosition;
use crate::function::registry::{Body, Remote};
use crate::wire::attempt::{self, DoneFields, DoneTail, Given, OfAttempt, RunFields};
use crate::wire::message::ToController;

const W1: Rank = Rank(1);
const W2: Rank = Rank(2);

/// So long that no task waits behind another one where a worker is idle.
const LONG_NS: Ns = 1_000_000_000;

static SINGLE: Remote =
    Remote { path: "f", file: "f.rs", line: 1, column: 1, body: Body::Single(|_| Ok(())), shared: 0 };
static GROUP: Remote =
    Remote { path: "g", file: "g.rs", line: 1, column: 1, body: Body::Collective(|_, _| Ok(())), shared: 0 };

/// A controller of two workers, which the test plays.
struct Play {
    controller: Controller,
    out: Outbox,
}

impl Play {
    fn new() -> Self {
        let registry = Registry::sorted(vec![&SINGLE, &GROUP]).expect("their paths differ");
        let settings = Config::new().slots(1).inline_bytes_max(1_000).settings();
        let workers = [W1, W2].map(|rank| WorkerState::new(rank, format!("host{}", rank.0)));
        let here = (Rank(0), "home".to_owned());
        let registry = Box::leak(Box::new(registry));
        let (controller, out) = Controller::new(here, registry, workers.into(), settings);
        Self { controller, out }
    }

    fn tell(&mut self, input: Input<'_>) {
        self.controller.handle(1, input, &mut self.out);
        self.controller.validate();
    }

    fn add(&mut self, remote: &'static Remote, sources: &[TaskId], retries: u32) -> TaskId {
        let position = ArgumentPosition { offset: 0, parameter: 0, gathered: true };
        let inputs: Vec<_> =
            sources.iter().map(|&source| crate::function::argument::Input { source, position }).collect();
        let options = Options { retries, ..Options::default() };
        let new = NewTask { remote, inputs: &inputs, options: Some(&options), before: &[], level: 0, run: None };
        self.tell(Input::Task { new: &new, plain: Encoded::Few(&[]) });
        self.out.added
    }

    /// A worker says that a task has ended so.
    fn done(&mut self, from: Rank, task: TaskId, outcome: Result<Given<crate::codec::frame::Blob<'_>>, Failure>) {
        let mut frame = Frame::default();
        let tail = DoneTail { raw: false, outcome };
        attempt::push(&mut frame.body, DoneFields::new(task, 1, LONG_NS), |_| true, Some(&tail));
        self.tell(Input::Frame { from, frame: &frame });
    }

    fn kept(&mut self, from: Rank, task: TaskId) {
        self.done(from, task, Ok(Given::Resident { bytes: 5_000 }));
    }

    fn say(&mut self, from: Rank, message: &ToController<'_>) {
        let mut frame = Frame::default();
        frame.push(message);
        self.tell(Input::Frame { from, frame: &frame });
    }

    /// What workers are told, each message with its receiver, as text.
    fn told(&mut self) -> Vec<(Rank, String)> {
        self.out.flush();
        let mut frames = Vec::new();
        self.out.outgoing.take(&mut frames, |frames, to, frame| frames.push((to, frame)), |_| Vec::new());
        let mut told = Vec::new();
        for (to, frame) in frames {
            let mut messages = Messages::of(&frame);
            while !messages.is_empty() {
                match messages.next_fixed(OfAttempt::<RunFields>::read) {
                    Some(run) => told.push((to, format!("Run {}", run.task().serial()))),
                    None => told.push((to, format!("{:?}", messages.next::<ToWorker<'_>>().expect("it decodes")))),
                }
            }
        }
        told
    }

    fn lose(&mut self, rank: Rank) -> Vec<(Rank, String)> {
        self.told();
        self.tell(Input::Lost { rank });
        self.told()
    }

    /// What a handle of a task gives.
    fn error(&self, task: TaskId) -> Option<TaskError> {
        self.controller.output(task, &mut Payload::EMPTY.clone())?.err()
    }

    /// The worker that was told to run a task, by the last messages.
    fn worker_of(&mut self, task: TaskId) -> Rank {
        let run = format!("Run {}", task.serial());
        let told = self.told();
        told.iter().find(|(_, message)| *message == run).unwrap_or_else(|| panic!("{run} in {told:?}")).0
    }
}

fn other(rank: Rank) -> Rank {
    if rank == W1 { W2 } else { W1 }
}

#[test]
fn a_task_of_a_lost_worker_is_tried_again_or_ends_with_the_worker_named() {
    let mut play = Play::new();
    let task = play.add(&SINGLE, &[], 1);
    let lost = play.worker_of(task);
    let last = other(lost);
    let told = play.lose(lost);
    assert_eq!(told, [(last, format!("Some(Lost {{ rank: {lost:?} }})")), (last, "Run 1".to_owned())]);
    assert!(play.error(task).is_none());
    play.lose(last);
    let error = play.error(task).expect("nobody is left");
    assert!(matches!(error, TaskError::WorkerLost { .. }), "{error}");
    let site = error.site().expect("it names the worker");
    assert_eq!((site.rank, site.host.clone(), site.attempts), (Some(last), Some(format!("host{}", last.0)), 2));
    assert_eq!((play.controller.pending(), play.controller.in_flight()), (0, 0));
}

#[test]
fn a_lost_worker_is_told_nothing_and_what_it_says_late_means_nothing() {
    let mut play = Play::new();
    let task = play.add(&SINGLE, &[], 1);
    let lost = play.worker_of(task);
    assert!(play.lose(lost).iter().all(|(to, _)| *to == other(lost)));
    assert!(play.lose(lost).is_empty(), "a second time");
    play.kept(lost, task);
    assert!(play.out.take_end().is_none(), "a late frame is no fault");
    assert_eq!(play.controller.pending(), 1, "it runs elsewhere");
    play.tell(Input::ReportsWanted);
    assert_eq!(play.told(), [(other(lost), "Some(Report)".to_owned())]);
    let is_lost = |rank| play.controller.workers.was_lost(rank);
    assert_eq!((is_lost(lost), is_lost(other(lost))), (true, false));
    assert_eq!(play.controller.workers(), 1);
}

/// The user waits for the value, of which only the lost worker has the bytes.
#[test]
fn a_value_that_a_user_waits_for_is_an_error_once_it_is_lost() {
    let mut play = Play::new();
    let task = play.add(&SINGLE, &[], 0);
    let maker = play.worker_of(task);
    play.kept(maker, task);
    play.tell(Input::Awaited { task });
    assert_eq!(play.controller.in_flight(), 1);
    play.lose(maker);
    let error = play.error(task).expect("it is lost");
    assert!(matches!(error, TaskError::ValueLost { .. }) && error.site().is_some_and(|site| site.rank == Some(maker)));
    assert_eq!(play.controller.in_flight(), 0);
    let consumer = play.add(&SINGLE, &[task], 3);
    assert!(matches!(play.error(consumer), Some(TaskError::ValueLost { .. })));
}

#[test]
fn a_value_that_was_brought_home_is_not_lost() {
    let mut play = Play::new();
    let task = play.add(&SINGLE, &[], 0);
    let maker = play.worker_of(task);
    play.kept(maker, task);
    play.tell(Input::Awaited { task });
    let bytes = Some(crate::codec::frame::Blob::Inline(&[7; 5_000]));
    play.say(maker, &ToController::Peer(ToPeer::Value { value: task, bytes }));
    play.lose(maker);
    assert!(play.controller.output_here(task, &mut Payload::EMPTY.clone()));
    let consumer = play.add(&SINGLE, &[task], 0);
    assert_eq!(play.worker_of(consumer), other(maker));
}

/// The other worker may have a copy. It says that it has none.
#[test]
fn a_value_is_asked_of_who_may_have_a_copy_until_nobody_is_left() {
    let mut play = Play::new();
    let task = play.add(&SINGLE, &[], 0);
    let maker = play.worker_of(task);
    play.kept(maker, task);
    let busy = play.add(&SINGLE, &[task], 0);
    let consumer = play.add(&SINGLE, &[task], 0);
    let places: Vec<Rank> = play.told().into_iter().map(|(to, _)| to).collect();
    assert!(places.contains(&other(maker)), "{places:?}: one of {busy} and {consumer} takes a copy");
    play.tell(Input::Awaited { task });
    let told = play.lose(maker);
    assert!(told.iter().any(|(to, message)| *to == other(maker) && message.contains("Fetch")), "{told:?}");
    play.say(other(maker), &ToController::Missing { values: vec![task] });
    play.say(other(maker), &ToController::Peer(ToPeer::Value { value: task, bytes: None }));
    assert!(matches!(play.error(task), Some(TaskError::ValueLost { .. })));
}

#[test]
fn a_group_fails_with_the_lost_member_once_the_others_are_out_of_it() {
    let mut play = Play::new();
    let task = play.add(&GROUP, &[], 0);
    assert_eq!(play.told().len(), 2);
    let told = play.lose(W2);
    assert!(told.iter().any(|(to, message)| *to == W1 && message.contains("Leave")), "{told:?}");
    assert!(play.error(task).is_none(), "the other one is still inside");
    play.done(W1, task, Err(Failure::Group("a member is gone".to_owned())));
    let error = play.error(task).expect("all are out");
    assert!(matches!(error, TaskError::WorkerLost { .. }), "{error}");
    assert_eq!(error.site().and_then(|site| site.rank), Some(W2));
}

#[test]
fn the_end_does_not_wait_for_a_lost_worker() {
    let mut play = Play::new();
    play.tell(Input::Stop { failed: false });
    play.tell(Input::Lost { rank: W1 });
    play.say(W2, &ToController::Stopped);
    assert!(play.controller.who_is_busy().starts_with("all have stopped"));
}
