//! A worker's engine between two ends of the local transport: messages in, messages out.

use super::*;
use crate::frame::Blob;
use crate::message::{Run, RunInput, Source};
use crate::registry::Body;
use crate::transport::Network;
use crate::worker::queue::ReadyTask;
use smallvec::smallvec;
use std::time::Instant;

const CONTROLLER: Rank = Rank(0);
const WORKER: Rank = Rank(1);

static REMOTE: Remote =
    Remote { path: "f", file: "f.rs", line: 1, column: 1, body: Body::Single(|_| Ok(())), shared: 1 };

/// A controller, played by the test, and a worker.
struct Pair {
    controller: Box<dyn Transport>,
    worker: WorkerEngine,
}

impl Pair {
    fn new() -> Self {
        let mut ends = Network::ends(2);
        let worker = Box::new(ends.pop().expect("two ends"));
        let controller = Box::new(ends.pop().expect("two ends"));
        let registry = Registry::sorted(vec![&REMOTE]).expect("one function differs from all others");
        let settings = Settings {
            controller: CONTROLLER,
            slots: 1,
            inline_bytes_max: 1_000,
            stack_bytes: 1 << 20,
            shutdown_grace_ms: 1_000,
            controller_process: None,
        };
        Self { controller, worker: WorkerEngine::new(worker, Box::leak(Box::new(registry)), settings) }
    }

    /// The controller says this, and the worker takes a turn.
    fn say(&mut self, messages: &[ToWorker<'_>]) {
        let mut frame = Frame::default();
        messages.iter().for_each(|message| frame.push(message));
        self.controller.send(WORKER, frame);
        self.worker.turn();
    }

    /// Takes what the worker has said, as text.
    fn heard(&mut self) -> Vec<String> {
        let frames = std::iter::from_fn(|| self.controller.receive());
        let mut heard = Vec::new();
        for (_, frame) in frames {
            let mut messages = Messages::of(&frame);
            while let Some(message) = messages.next::<ToController<'_>>().expect("it decodes") {
                heard.push(format!("{message:?}"));
            }
        }
        heard
    }

    fn next(&mut self) -> Option<(Next, TaskId)> {
        let mut place = ReadyTask::NONE;
        self.worker.next_ready(0, &mut place).map(|next| (next, place.task.id))
    }

    /// How many values live here, and how many bytes they are.
    fn resident(&self) -> (usize, u64) {
        (self.worker.store.len(), self.worker.store.bytes())
    }
}

fn id(number: u32) -> TaskId {
    TaskId::new(number, number)
}

fn run<'a>(task: u32, inputs: &[(u32, Source<'a>)]) -> ToWorker<'a> {
    let copy = |source: &Source<'a>| match source {
        Source::Inline { bytes, keep } => Source::Inline { bytes: *bytes, keep: *keep },
        Source::Held { by } => Source::Held { by: *by },
    };
    let inputs = inputs.iter().map(|(value, source)| RunInput {
        parameter: 0,
        gathered: false,
        values: smallvec![(id(*value), copy(source))],
    });
    let plain = Blob::Inline(&[]);
    ToWorker::Run(Run { task: id(task), function: FunctionId(0), plain, inputs: inputs.collect(), described: None })
}

fn inline(bytes: &[u8]) -> Source<'_> {
    Source::Inline { bytes: Blob::Inline(bytes), keep: true }
}

fn value(number: u32, bytes: &[u8]) -> ToWorker<'_> {
    ToWorker::Peer(ToPeer::Value { value: id(number), bytes: Some(Blob::Inline(bytes)) })
}

const HELD: Source<'static> = Source::Held { by: CONTROLLER };

/// Task 8 brings value 1 along, in a frame that task 9 overtakes, which is to ask for it.
#[test]
fn a_value_that_comes_twice_goes_when_it_is_forgotten() {
    let mut pair = Pair::new();
    pair.say(&[run(9, &[(1, HELD)])]);
    assert!(pair.heard()[0].contains("Fetch"), "the value is asked for");
    pair.say(&[ToWorker::TakeBack { tasks: vec![id(9)] }]);
    assert!(pair.heard()[0].contains("Returned"), "the task is given back");
    pair.say(&[run(8, &[(1, inline(&[5; 100]))])]);
    assert_eq!(pair.next(), Some((Next::Run, id(8))));
    assert_eq!(pair.resident(), (1, 100));
    pair.say(&[ToWorker::Forget { values: vec![id(1)] }]);
    assert_eq!(pair.resident(), (0, 0));
    pair.say(&[value(1, &[5; 100])]);
    assert_eq!(pair.resident(), (0, 0));
}

#[test]
fn a_task_waits_no_longer_for_a_value_that_another_has_brought_along() {
    let mut pair = Pair::new();
    pair.say(&[run(9, &[(1, HELD)])]);
    assert_eq!(pair.next(), None);
    pair.say(&[run(8, &[(1, inline(&[5; 100]))])]);
    assert_eq!([pair.next(), pair.next()], [Some((Next::Run, id(9))), Some((Next::Run, id(8)))]);
}

#[test]
fn after_a_failed_end_nothing_begins_whatever_comes_late() {
    let mut pair = Pair::new();
    let nothing = Some((Next::Stop, ReadyTask::NONE.task.id));
    pair.say(&[run(8, &[]), run(9, &[(1, HELD)]), ToWorker::Stop { failed: true }]);
    assert_eq!(pair.next(), nothing, "what was ready");
    pair.say(&[value(1, &[5; 100])]);
    assert_eq!(pair.next(), nothing, "a task whose input has come");
    pair.say(&[run(7, &[])]);
    assert_eq!(pair.next(), nothing, "a task that the end has overtaken");
    let mut frame = Frame::default();
    assert!(message::push_run(&mut frame.body, id(6), FunctionId(0), |_| Some(())));
    pair.controller.send(WORKER, frame);
    pair.worker.turn();
    assert_eq!(pair.next(), nothing, "a task in its short form");
}

#[test]
fn a_good_end_leaves_what_is_ready() {
    let mut pair = Pair::new();
    pair.say(&[run(8, &[]), ToWorker::Stop { failed: false }]);
    assert_eq!(pair.next(), Some((Next::Run, id(8))));
    assert!(matches!(pair.next(), Some((Next::Stop, _))));
}

#[test]
fn what_is_given_back_is_named_in_the_order_in_which_it_was_asked_for() {
    let mut pair = Pair::new();
    pair.say(&[run(1, &[]), run(2, &[(20, HELD)]), run(3, &[]), run(4, &[]), run(5, &[])]);
    assert_eq!(pair.next(), Some((Next::Run, id(1))));
    pair.heard();
    pair.say(&[ToWorker::TakeBack { tasks: [1, 2, 4, 5, 99].map(id).to_vec() }]);
    assert_eq!(pair.heard(), [format!("{:?}", ToController::Returned { tasks: [2, 4, 5].map(id).to_vec() })]);
    assert_eq!([pair.next(), pair.next()], [Some((Next::Run, id(3))), None]);
}

/// Half of a long queue is asked back. A pass for each task would take an hour.
#[test]
fn giving_back_costs_what_is_asked_and_what_is_queued_not_their_product() {
    const QUEUED: u32 = 640_000;
    let mut pair = Pair::new();
    let mut frame = Frame::default();
    for task in 0..QUEUED {
        assert!(message::push_run(&mut frame.body, id(task), FunctionId(0), |_| Some(())));
    }
    pair.controller.send(WORKER, frame);
    pair.worker.turn();
    let asked: Vec<TaskId> = (QUEUED / 2..QUEUED).map(id).collect();
    let started = Instant::now();
    pair.say(&[ToWorker::TakeBack { tasks: asked.clone() }]);
    let took = started.elapsed();
    assert_eq!(pair.heard(), [format!("{:?}", ToController::Returned { tasks: asked })]);
    assert!(took < Duration::from_secs(30), "giving back took {took:?}");
    assert_eq!(pair.next(), Some((Next::Run, id(0))));
}
