//! A worker's machine: messages in, messages out.

mod attempts;
mod cancel;
mod groups;
mod limits;
mod states;

use super::*;
use crate::codec::frame::Blob;
use crate::config::Config;
use crate::function::argument::Shape;
use crate::function::registry::Body;
use crate::function::remote::{Failure, InputArgument};
use crate::id::GroupKey;
use crate::task::group::GroupError;
use crate::wire::attempt::{self, Done, RunFields, Source};
use smallvec::smallvec;
use std::time::{Duration, Instant};

const CONTROLLER: Rank = Rank(0);
const WORKER: Rank = Rank(1);
const SLOT: Slot = Slot(0);

static REMOTE: Remote =
    Remote { path: "f", file: "f.rs", line: 1, column: 1, body: Body::Single(|_| Ok(())), shared: 1 };

/// A worker, told things by a controller that the test plays.
struct Told {
    worker: Worker,
    out: Outbox,
}

impl Told {
    fn new() -> Self {
        Self::with_settings(&Config::new().inline_bytes_max(1_000).settings())
    }

    fn with_settings(settings: &Settings) -> Self {
        let registry = Registry::sorted(vec![&REMOTE]).expect("one function differs from all others");
        let worker = Worker::new(WORKER, Box::leak(Box::new(registry)), settings);
        Self { worker, out: Outbox::new(CONTROLLER) }
    }

    /// The controller says this.
    fn say<'a>(&mut self, messages: impl IntoIterator<Item = impl Into<Said<'a>>>) {
        self.receive_at(0, messages);
    }

    /// The same at this time.
    fn receive_at<'a>(&mut self, now: Ns, messages: impl IntoIterator<Item = impl Into<Said<'a>>>) {
        let mut frame = Frame::default();
        for message in messages {
            match message.into() {
                Said::Message(message) => frame.push(&message),
                Said::Run(task, inputs) => push_run(&mut frame.body, task, &inputs),
            }
        }
        self.worker.handle(now, Input::Frame { from: CONTROLLER, frame: &frame }, &mut self.out);
    }

    fn receive(&mut self, frame: &Frame) {
        self.worker.handle(0, Input::Frame { from: CONTROLLER, frame }, &mut self.out);
    }

    /// Takes the frames that the worker sends.
    fn sent(&mut self) -> Vec<Frame> {
        self.out.flush();
        let mut frames = Vec::new();
        self.out.outgoing.take(&mut frames, |frames, _, frame| frames.push(frame), |_| Vec::new());
        frames
    }

    /// Takes what the worker has said to the controller, as text.
    fn heard(&mut self) -> Vec<String> {
        let mut heard = Vec::new();
        for frame in self.sent() {
            let mut messages = Messages::of(&frame);
            while !messages.is_empty() {
                match messages.next_fixed(Done::read) {
                    Some(done) => {
                        let tail = done.tail().expect("it decodes").expect("a failure is in the tail");
                        heard.push(format!(
                            "{:?} of {}",
                            tail.outcome.expect_err("it has failed"),
                            done.task().serial()
                        ));
                    }
                    None => heard.push(format!("{:?}", messages.next::<ToController<'_>>().expect("it decodes"))),
                }
            }
        }
        heard
    }

    /// What an executor is to do next, and with which task.
    fn next(&mut self) -> Option<(Next, TaskId)> {
        let mut attempt = Attempt::NONE;
        let next = self.worker.next()?;
        if next == Next::Begin {
            self.worker.handle(0, Input::Begin { slot: SLOT, attempt: &mut attempt }, &mut self.out);
        }
        Some((next, attempt.parts().0.id))
    }

    /// How many bytes live here, in how many values.
    fn resident(&self) -> (u64, u64) {
        self.worker.values.held()
    }
}

fn id(number: u32) -> TaskId {
    TaskId::new(number, number)
}

/// Something that the controller says.
enum Said<'a> {
    Message(ToWorker<'a>),
    /// The task of this number is to be run, with these outputs of others as its
    /// arguments.
    Run(u32, Vec<(u32, Source<'a>)>),
}

impl<'a> From<ToWorker<'a>> for Said<'a> {
    fn from(message: ToWorker<'a>) -> Self {
        Self::Message(message)
    }
}

fn run<'a>(task: u32, inputs: &[(u32, Source<'a>)]) -> Said<'a> {
    Said::Run(task, inputs.to_vec())
}

/// Appends a run of this task, which has a tail if it has inputs.
fn push_run(body: &mut Vec<u8>, task: u32, inputs: &[(u32, Source<'_>)]) {
    push_run_in(body, task, inputs, None);
}

/// The same for a member of this group.
fn push_run_in(body: &mut Vec<u8>, task: u32, inputs: &[(u32, Source<'_>)], group: Option<GroupOfRun<'_>>) {
    let inputs = inputs.iter().map(|(value, source)| InputArgument {
        parameter: 0,
        shape: Shape::Whole,
        values: smallvec![(id(*value), *source)],
    });
    let tail = RunTail { inputs: inputs.collect(), group, ..RunTail::empty() };
    let fields = RunFields::new(id(task), FunctionId(0));
    let tail = Some(&tail).filter(|tail| !tail.inputs.is_empty() || group.is_some());
    assert!(attempt::push(body, fields, |_| true, tail));
}

fn inline(bytes: &[u8]) -> Source<'_> {
    Source::Inline { bytes: Blob::Inline(bytes), keep: true }
}

fn value(number: u32, bytes: &[u8]) -> ToWorker<'_> {
    ToWorker::Peer(ToPeer::Value { value: id(number), bytes: Some(Blob::Inline(bytes)) })
}

/// What the controller hears, as text.
fn said(message: &ToController<'_>) -> String {
    format!("{:?}", Some(message))
}

/// This rank does not have these values.
fn missing(values: &[u32]) -> String {
    said(&ToController::Missing { values: values.iter().copied().map(id).collect() })
}

const HELD: Source<'static> = Source::Held { by: CONTROLLER };

/// Task 8 brings value 1 along, in a frame that task 9 overtakes, which is to ask for it.
#[test]
fn a_value_that_comes_twice_goes_when_it_is_forgotten() {
    let mut worker = Told::new();
    worker.say([run(9, &[(1, HELD)])]);
    assert!(worker.heard()[0].contains("Fetch"), "the value is asked for");
    worker.say([ToWorker::TakeBack { tasks: vec![id(9)] }]);
    assert!(worker.heard()[0].contains("Returned"), "the task is given back");
    worker.say([run(8, &[(1, inline(&[5; 100]))])]);
    assert_eq!(worker.next(), Some((Next::Begin, id(8))));
    assert_eq!(worker.resident(), (100, 1));
    worker.say([ToWorker::Forget { values: vec![id(1)] }]);
    assert_eq!(worker.resident(), (0, 0));
    worker.say([value(1, &[5; 100])]);
    assert_eq!(worker.resident(), (0, 0));
}

#[test]
fn a_task_waits_no_longer_for_a_value_that_another_has_brought_along() {
    let mut worker = Told::new();
    worker.say([run(9, &[(1, HELD)])]);
    assert_eq!(worker.next(), None);
    worker.say([run(8, &[(1, inline(&[5; 100]))])]);
    assert_eq!([worker.next(), worker.next()], [Some((Next::Begin, id(9))), Some((Next::Begin, id(8)))]);
}

#[test]
fn after_a_failed_end_nothing_begins_whatever_comes_late() {
    let mut worker = Told::new();
    let nothing = Some((Next::Stop, ReadyTask::NONE.task.id));
    worker.say([run(8, &[]), run(9, &[(1, HELD)]), ToWorker::Stop { failed: true }.into()]);
    assert_eq!(worker.next(), nothing, "what was ready");
    worker.say([value(1, &[5; 100])]);
    assert_eq!(worker.next(), nothing, "a task whose input has come");
    worker.say([run(7, &[])]);
    assert_eq!(worker.next(), nothing, "a task that the end has overtaken");
    let mut frame = Frame::default();
    push_run(&mut frame.body, 6, &[(1, HELD)]);
    worker.receive(&frame);
    assert_eq!(worker.next(), nothing, "one that the end has overtaken, and that waits");
}

#[test]
fn a_good_end_leaves_what_is_ready() {
    let mut worker = Told::new();
    worker.say([run(8, &[]), ToWorker::Stop { failed: false }.into()]);
    assert_eq!(worker.next(), Some((Next::Begin, id(8))));
    assert!(matches!(worker.next(), Some((Next::Stop, _))));
}

#[test]
fn what_is_given_back_is_named_in_the_order_in_which_it_was_asked_for() {
    let mut worker = Told::new();
    worker.say([run(1, &[]), run(2, &[(20, HELD)]), run(3, &[]), run(4, &[]), run(5, &[])]);
    assert_eq!(worker.next(), Some((Next::Begin, id(1))));
    worker.heard();
    worker.say([ToWorker::TakeBack { tasks: [1, 2, 4, 5, 99].map(id).to_vec() }]);
    assert_eq!(worker.heard(), [said(&ToController::Returned { tasks: [2, 4, 5].map(id).to_vec() })]);
    assert_eq!([worker.next(), worker.next()], [Some((Next::Begin, id(3))), None]);
}

/// Half of a long queue is asked back. A pass for each task would take an hour.
#[test]
fn giving_back_costs_what_is_asked_and_what_is_queued_not_their_product() {
    const QUEUED: u32 = 640_000;
    let mut worker = Told::new();
    let mut frame = Frame::default();
    for task in 0..QUEUED {
        push_run(&mut frame.body, task, &[]);
    }
    worker.receive(&frame);
    let asked: Vec<TaskId> = (QUEUED / 2..QUEUED).map(id).collect();
    let started = Instant::now();
    worker.say([ToWorker::TakeBack { tasks: asked.clone() }]);
    let took = started.elapsed();
    assert_eq!(worker.heard(), [said(&ToController::Returned { tasks: asked })]);
    assert!(took < Duration::from_secs(30), "giving back took {took:?}");
    assert_eq!(worker.next(), Some((Next::Begin, id(0))));
}

/// The task was sent before its controller knew of the loss, and comes after the word of
/// it. The answer to a question would never come.
#[test]
fn what_is_to_come_from_a_rank_that_is_known_lost_is_not_waited_for() {
    let mut worker = Told::new();
    let lost = Rank(2);
    worker.say([ToWorker::Lost { rank: lost }]);
    worker.say([run(9, &[(1, Source::Held { by: lost })])]);
    let failure = Failure::Input(not_there(id(1), lost));
    assert_eq!(worker.heard(), [missing(&[1]), format!("{failure:?} of 9")]);
}

#[test]
fn who_is_asked_for_a_value_that_will_not_come_says_so_to_the_controller() {
    let mut worker = Told::new();
    worker.say([run(9, &[(1, HELD)])]);
    worker.heard();
    let fetch = |number| ToWorker::Peer(ToPeer::Fetch { value: id(number) });
    let none = |number| said(&ToController::Peer(ToPeer::Value { value: id(number), bytes: None }));
    worker.say([fetch(1)]);
    assert_eq!(worker.heard(), [none(1)], "it is on its way");
    worker.say([fetch(2)]);
    assert_eq!(worker.heard(), [none(2), missing(&[2])]);
}

/// The word that the group will not begin has overtaken the task.
#[test]
fn a_member_of_a_group_that_does_not_begin_says_that_it_does_not_fetch_the_inputs() {
    let mut worker = Told::new();
    worker.say([ToWorker::Leave { epoch: 7, member: 1, failure: "it fails" }]);
    worker.heard();
    let members = Members::of([WORKER, Rank(2)]).encoded();
    let group = Some(GroupOfRun { epoch: 7, members: &members });
    let inputs = [(1, HELD)];
    let mut frame = Frame::default();
    push_run_in(&mut frame.body, 9, &inputs, group);
    worker.receive(&frame);
    let failure = Failure::Group("the group did not begin".to_owned());
    assert_eq!(worker.heard(), [missing(&[1]), format!("{failure:?} of 9")]);
}
