//! A controller's machine, and what it does when it loses workers: inputs in, messages
//! out.

mod cancel;
mod dispatch;
mod ends;
mod graphs;
mod groups;
mod items;
mod limits;
mod outbox;
mod states;
mod status;
mod table;
mod told;

use super::*;
use crate::codec::frame::{Frame, Messages};
use crate::config::Config;
use crate::function::argument::{ArgumentPosition, Role};
use crate::function::registry::{Body, Remote};
use crate::function::remote::Failure;
use crate::id::Origin;
use crate::machine::Notice;
use crate::outcome::finish::FinishError;
use crate::wire::attempt::{self, DoneFields, DoneTail, Given, OfAttempt, RunFields};
use crate::wire::chunk::WithoutValue;
use crate::wire::message::ToController;

const W1: Rank = Rank(1);
const W2: Rank = Rank(2);
const W3: Rank = Rank(3);
const W4: Rank = Rank(4);

/// So long that no task waits behind another one where a worker is idle.
const LONG_NS: Ns = 1_000_000_000;

static SINGLE: Remote =
    Remote { path: "f", file: "f.rs", line: 1, column: 1, body: Body::Single(|_| Ok(())), shared: 0 };
/// Its argument is shared by all tasks of a worker that take it.
static SHARING: Remote =
    Remote { path: "s", file: "s.rs", line: 1, column: 1, body: Body::Single(|_| Ok(())), shared: 1 };
static GROUP: Remote =
    Remote { path: "g", file: "g.rs", line: 1, column: 1, body: Body::Collective(|_, _| Ok(())), shared: 0 };

/// A controller of two workers or more, which the test plays.
struct Play {
    controller: Controller,
    out: Outbox,
    now: Ns,
}

impl Play {
    fn new() -> Self {
        Self::with_workers(&[W1, W2])
    }

    fn with_workers(ranks: &[Rank]) -> Self {
        Self::with_config(ranks, Config::new().inline_bytes_max(1_000))
    }

    fn with_config(ranks: &[Rank], config: Config) -> Self {
        let registry = Registry::sorted(vec![&SINGLE, &SHARING, &GROUP]).expect("their paths differ");
        let settings = config.slots(1).settings();
        let workers = ranks.iter().map(|&rank| WorkerState::new(rank, format!("host{}", rank.0)));
        let here = (Rank(0), "home".to_owned());
        let registry = Box::leak(Box::new(registry));
        let (controller, out) = Controller::new(here, registry, workers.collect(), settings);
        Self { controller, out, now: 1 }
    }

    fn tell(&mut self, input: Input<'_>) {
        self.controller.handle(self.now, input, &mut self.out);
        self.controller.validate();
    }

    /// Takes what is told of the tasks that are left to end.
    fn left(&mut self) -> Vec<String> {
        let notices = self.out.notices.take().into_iter();
        let left = |notice| if let Notice::Left { tasks } = notice { Some(tasks) } else { None };
        notices.filter_map(left).collect()
    }

    fn add(&mut self, remote: &'static Remote, sources: &[TaskId], retries: u32) -> TaskId {
        let position = ArgumentPosition { offset: 0, parameter: 0, role: Role::Element };
        let inputs: Vec<_> =
            sources.iter().map(|&source| crate::function::argument::Input { source, position }).collect();
        let options = Options { retries, ..Options::default() };
        self.add_new(&NewTask { inputs: &inputs, options: Some(&options), ..plain(remote) })
    }

    fn add_new(&mut self, new: &NewTask<'_>) -> TaskId {
        self.tell(Input::Task { new, plain: Encoded::Few(&[]) });
        self.out.added
    }

    /// Gives both workers a task to run and one ahead, and says which was told to run
    /// which.
    fn fill(&mut self) -> Vec<(Rank, TaskId)> {
        let tasks = [(); 4].map(|()| self.add_new(&plain(&SINGLE)));
        let told = self.told();
        let rank_of = |task: &TaskId| told.iter().find(|(_, message)| *message == run(*task)).expect("it was sent").0;
        tasks.iter().map(|task| (rank_of(task), *task)).collect()
    }

    /// A worker says that a task has ended so.
    fn done(&mut self, from: Rank, task: TaskId, outcome: Result<Given<crate::codec::frame::Blob<'_>>, Failure>) {
        self.done_at(from, task, (1, LONG_NS), false, outcome);
    }

    /// The same with when it began and how long it took; `raw`: it has used the raw
    /// communicator of its group.
    fn done_at(
        &mut self,
        from: Rank,
        task: TaskId,
        (started_ns, ran_ns): (Ns, Ns),
        raw: bool,
        outcome: Result<Given<crate::codec::frame::Blob<'_>>, Failure>,
    ) {
        let mut frame = Frame::default();
        let tail = DoneTail { raw, without_value: WithoutValue::NONE, outcome };
        attempt::push(&mut frame.body, DoneFields::new(task, started_ns, ran_ns), |_| true, Some(&tail));
        self.tell(Input::Frame { from, frame: &frame });
    }

    /// It has failed with this text.
    fn fail(&mut self, from: Rank, task: TaskId, text: &str) {
        self.done(from, task, Err(Failure::Returned(text.to_owned())));
    }

    /// A user gives a value of so many bytes.
    fn give(&mut self, bytes: usize) -> TaskId {
        self.tell(Input::Value { payload: Payload::copy_of(&vec![7; bytes]) });
        self.out.added
    }

    fn kept(&mut self, from: Rank, task: TaskId) {
        self.done(from, task, Ok(Given::Resident { bytes: 5_000 }));
    }

    /// It has given a value without bytes.
    fn finish(&mut self, from: Rank, task: TaskId) {
        self.done(from, task, Ok(Given::Here(crate::codec::frame::Blob::Inline(&[]))));
    }

    fn say(&mut self, from: Rank, message: &ToController<'_>) {
        let mut frame = Frame::default();
        frame.push(message);
        self.tell(Input::Frame { from, frame: &frame });
    }

    /// What workers are told, each message with its receiver, as text.
    fn told(&mut self) -> Vec<(Rank, String)> {
        let frames = self.frames().into_iter();
        frames.flat_map(|(to, frame)| texts(&frame).into_iter().map(move |text| (to, text))).collect()
    }

    /// The same in frames.
    fn frames(&mut self) -> Vec<(Rank, Frame)> {
        self.out.flush();
        let mut frames = Vec::new();
        self.out.outgoing.take(&mut frames, |frames, to, frame| frames.push((to, frame)), |_| Vec::new());
        frames
    }

    fn lose(&mut self, rank: Rank) -> Vec<(Rank, String)> {
        self.told();
        self.tell(Input::Lost { rank });
        self.told()
    }

    /// Whom what has happened since wakes.
    fn woken(&mut self) -> Vec<Awaited> {
        let mut woken = Vec::new();
        self.out.happened.take(&mut woken, |_| {}, |woken, key| woken.push(key));
        woken
    }

    /// What a handle of a task gives.
    fn error(&self, task: TaskId) -> Option<TaskError> {
        self.controller.output(task, &mut Payload::EMPTY.clone())?.err()
    }

    /// The workers that were told to run a task, by the last messages.
    fn members_of(&mut self, task: TaskId) -> Vec<Rank> {
        self.told().into_iter().filter(|(_, message)| *message == run(task)).map(|(to, _)| to).collect()
    }

    /// The worker that was told to run a task, by the last messages.
    fn worker_of(&mut self, task: TaskId) -> Rank {
        let (run, told) = (run(task), self.told());
        told.iter().find(|(_, message)| *message == run).unwrap_or_else(|| panic!("{run} in {told:?}")).0
    }
}

/// A task that says nothing but its function.
fn plain(remote: &'static Remote) -> NewTask<'static> {
    NewTask { remote, inputs: &[], options: None, before: &[], level: 0, origin: Origin::Alone, watch: None }
}

/// The messages of a frame to a worker, as text.
fn texts(frame: &Frame) -> Vec<String> {
    let (mut messages, mut texts) = (Messages::of(frame), Vec::new());
    while !messages.is_empty() {
        texts.push(match messages.next_fixed(OfAttempt::<RunFields>::read) {
            Some(message) => run(message.task()),
            None => format!("{:?}", messages.next::<ToWorker<'_>>().expect("it decodes")),
        });
    }
    texts
}

/// A message that gives a worker this task, as text.
fn run(task: TaskId) -> String {
    format!("Run {}", task.serial())
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
    assert!(play.out.take_halt().is_none(), "a late frame is no fault");
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
    let told: Vec<Rank> = play.told().into_iter().map(|(to, _)| to).collect();
    assert!(told.contains(&other(maker)), "{told:?}: one of {busy} and {consumer} takes a copy");
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
    play.say(W2, &ToController::Stopped { failure: None });
    assert!(play.controller.who_is_busy().starts_with("all have stopped"));
}

/// All workers are busy. What waits goes by priority, then by the longest path that hangs
/// on it, then as it came.
#[test]
fn what_a_task_says_of_its_order_decides_when_it_is_sent() {
    let mut play = Play::new();
    let busy = play.fill();
    let urgent = Options { priority: 1, ..Options::default() };
    let labelled = Options { label: Some("second"), ..Options::default() };
    let tasks = [
        play.add_new(&plain(&SINGLE)),
        play.add_new(&NewTask { options: Some(&labelled), level: 2, ..plain(&SINGLE) }),
        play.add_new(&NewTask { level: 3, ..plain(&SINGLE) }),
        play.add_new(&NewTask { options: Some(&urgent), ..plain(&SINGLE) }),
    ];
    assert!(play.told().is_empty(), "nobody has room");
    for ((rank, task), next) in busy.into_iter().zip(tasks.iter().rev()) {
        play.finish(rank, task);
        assert_eq!(play.told(), [(rank, run(*next))]);
    }
}

#[test]
fn who_waits_for_the_end_of_all_tasks_is_woken_by_the_last_one_alone() {
    let mut play = Play::new();
    let [one, last] = [(); 2].map(|()| play.add(&SINGLE, &[], 0));
    let told = play.told();
    let rank_of = |task| told.iter().find(|(_, message)| *message == run(task)).expect("it was sent").0;
    let (first_rank, last_rank) = (rank_of(one), rank_of(last));
    play.finish(first_rank, one);
    assert_eq!(play.woken(), [], "one is left");
    play.finish(last_rank, last);
    assert_eq!(play.woken(), [Awaited::Drained]);
    play.say(W1, &ToController::Missing { values: Vec::new() });
    assert_eq!(play.woken(), [], "all had ended before");
}

/// The next attempt is that of the workers that were in a group of this size last.
#[test]
fn what_a_former_member_says_late_means_nothing_in_the_next_group() {
    let mut play = Play::with_workers(&[W1, W2, W3, W4]);
    let pair = Options { ranks: Some(2), retries: 1, ..Options::default() };
    let pair = NewTask { options: Some(&pair), ..plain(&GROUP) };
    let task = play.add_new(&pair);
    let first = play.members_of(task);
    let other = play.add_new(&pair);
    for member in play.members_of(other) {
        play.finish(member, other);
    }
    for &member in &first {
        play.done(member, task, Err(Failure::Returned("it fails".to_owned())));
    }
    let second = play.members_of(task);
    assert!(second.len() == 2 && first.iter().all(|member| !second.contains(member)), "{first:?} {second:?}");
    play.say(first[0], &ToController::Ready { epoch: 1 });
    play.say(second[0], &ToController::Ready { epoch: 3 });
    assert_eq!(play.told(), [], "one of the members is not ready");
    play.say(second[1], &ToController::Ready { epoch: 3 });
    assert_eq!(play.told(), [0, 1].map(|member| (second[member], "Some(Enter { epoch: 3 })".to_owned())));
}
