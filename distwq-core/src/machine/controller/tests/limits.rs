//! Attempts that are given up: what the others are told, and what late answers mean.

use super::*;
use crate::outcome::error::Limit;
use crate::outcome::failure::{RetryOn, Wish};
use std::time::Duration;

const LIMIT_NS: Ns = 50;

fn limited(retry_on: RetryOn, retries: u32) -> Options<'static> {
    let terms = Terms { run_limit_ns: Some(LIMIT_NS), retry_on, ..Terms::NONE };
    Options { retries, terms, ..Options::default() }
}

impl Play {
    fn add_with(&mut self, remote: &'static Remote, options: &Options<'_>) -> TaskId {
        self.add_new(&NewTask { options: Some(options), ..plain(remote) })
    }

    fn begin_graph(&mut self, cancels: bool) -> GraphRunId {
        let size = GraphSize { tasks: 2, values: 0, dependencies: 0, inputs_room: 0 };
        self.tell(Input::GraphBegins { size, cancels });
        self.out.graph_run.take().expect("it was started")
    }

    fn overran(&mut self, from: Rank, task: TaskId) {
        self.say(from, &ToController::Overran { task, started_ns: self.now, failure: None });
    }

    fn limit_of(&self, task: TaskId) -> Option<Limit> {
        match self.error(task)? {
            TaskError::LimitReached { limit, .. } => Some(limit),
            other => panic!("{other}"),
        }
    }

    pub(super) fn pass(&mut self, ns: Ns) {
        self.now += ns;
        self.tell(Input::TurnEnds);
    }
}

fn over(task: TaskId) -> String {
    format!("{:?}", Some(ToWorker::CancelOver { tasks: vec![task] }))
}

fn cancel(task: TaskId) -> String {
    format!("{:?}", Some(ToWorker::Cancel { tasks: vec![task] }))
}

fn forget(task: TaskId) -> String {
    format!("{:?}", Some(ToWorker::Forget { values: vec![task] }))
}

#[test]
fn what_an_attempt_gives_that_was_given_up_is_dropped_and_its_worker_gets_tasks_again() {
    let mut play = Play::with_workers(&[W3]);
    let task = play.add_with(&SINGLE, &limited(RetryOn::default(), 3));
    play.told();
    play.overran(W3, task);
    assert_eq!(play.limit_of(task), Some(Limit::Run));
    play.overran(W3, task);
    let next = play.add_new(&plain(&SINGLE));
    assert_eq!(play.told(), [], "the worker has no slot");
    assert!(play.controller.who_is_busy().contains("f #1 (past its limit)"), "{}", play.controller.who_is_busy());
    play.kept(W3, task);
    assert_eq!(play.told(), [(W3, forget(task)), (W3, over(task)), (W3, run(next))]);
    assert_eq!(play.limit_of(task), Some(Limit::Run), "it stays as it has ended");
}

#[test]
fn a_group_that_reaches_its_limit_is_left_by_all_and_tried_again() {
    let mut play = Play::with_workers(&[W1, W2, W3, W4]);
    let options = Options { ranks: Some(2), ..limited(RetryOn::LIMITS, 1) };
    let task = play.add_with(&GROUP, &options);
    let members = play.members_of(task);
    members.iter().for_each(|&member| play.say(member, &ToController::Ready { epoch: 1 }));
    play.told();
    play.overran(members[1], task);
    let failure = "its run limit of 0 ms is reached";
    let leave = format!("{:?}", Some(ToWorker::Leave { epoch: 1, member: 1, failure }));
    let told = play.told();
    for &member in &members {
        assert!(told.contains(&(member, leave.clone())) && told.contains(&(member, cancel(task))), "{told:?}");
    }
    let others: Vec<Rank> = told.iter().map(|(to, _)| *to).filter(|to| !members.contains(to)).collect();
    assert_eq!(others.len(), 2, "the second attempt is on the other workers: {told:?}");
    play.finish(members[0], task);
    play.done(members[1], task, Err(Failure::Limit { limit_ns: LIMIT_NS }));
    assert_eq!(play.told(), [(members[0], over(task)), (members[1], over(task))]);
    others.iter().for_each(|&member| play.say(member, &ToController::Ready { epoch: 2 }));
    others.iter().for_each(|&member| play.finish(member, task));
    assert!(play.controller.has_ended(task) && play.error(task).is_none(), "{:?}", play.error(task));
}

#[test]
fn a_worker_that_says_nothing_is_found_at_the_second_look() {
    let grace_ns = Duration::from_secs(60).as_nanos() as Ns;
    let mut play = Play::with_workers(&[W3]);
    let task = play.add_with(&SINGLE, &limited(RetryOn::default(), 0));
    play.told();
    let looks_at = play.now + LIMIT_NS + grace_ns;
    assert_eq!(play.controller.next_deadline(), Some(looks_at));
    play.pass(LIMIT_NS + grace_ns);
    assert_eq!((play.limit_of(task), play.told()), (None, vec![]));
    play.pass(LIMIT_NS + grace_ns);
    assert_eq!((play.limit_of(task), play.told()), (Some(Limit::Run), vec![(W3, cancel(task))]));
    play.overran(W3, task);
    play.done(W3, task, Err(Failure::Limit { limit_ns: LIMIT_NS }));
    assert_eq!((play.told(), play.controller.in_flight()), (vec![(W3, over(task))], 0));
}

#[test]
fn what_a_silent_worker_is_to_take_stays_until_it_has_answered() {
    let grace_ns = Duration::from_secs(60).as_nanos() as Ns;
    let mut play = Play::with_workers(&[W3]);
    let value = play.give(8);
    let options = limited(RetryOn::default(), 0);
    let position = ArgumentPosition { offset: 0, parameter: 0, role: Role::Whole };
    let input = crate::function::argument::Input { source: value, position };
    let task = play.add_new(&NewTask { inputs: &[input], options: Some(&options), ..plain(&SHARING) });
    play.tell(Input::References { notes: &mut vec![ReferenceNote::Dropped(value)] });
    play.told();
    play.pass(LIMIT_NS + grace_ns);
    play.pass(LIMIT_NS + grace_ns);
    assert_eq!((play.limit_of(task), play.told()), (Some(Limit::Run), vec![(W3, cancel(task))]));
    play.say(W3, &ToController::NotBegun { tasks: vec![task] });
    let told = play.told();
    assert!(told.contains(&(W3, forget(value))), "{told:?}");
}

#[test]
fn a_deadline_ends_what_waits_and_what_workers_have() {
    let mut play = Play::with_workers(&[W3]);
    let tasks @ [runs, ahead, waits] = [(); 3].map(|()| play.add(&SINGLE, &[], 3));
    play.told();
    let at = play.now + 10;
    play.tell(Input::Deadline { tasks: &tasks, at });
    assert_eq!(play.controller.next_deadline(), Some(at));
    play.pass(9);
    assert!(tasks.iter().all(|&task| play.limit_of(task).is_none()));
    play.pass(1);
    assert!(tasks.iter().all(|&task| play.limit_of(task) == Some(Limit::Deadline)));
    let told = format!("{:?}", Some(ToWorker::Cancel { tasks: vec![runs, ahead] }));
    assert_eq!(play.told(), [(W3, told)]);
    play.say(W3, &ToController::NotBegun { tasks: vec![ahead] });
    play.finish(W3, runs);
    assert_eq!((play.controller.in_flight(), play.controller.next_deadline()), (0, None));
    play.tell(Input::Deadline { tasks: &[waits], at: play.now });
    assert_eq!(play.limit_of(waits), Some(Limit::Deadline));
}

#[test]
fn a_deadline_of_a_graph_ends_what_of_it_has_not_ended() {
    let mut play = Play::with_workers(&[W3]);
    let other = play.add(&SINGLE, &[], 0);
    let graph_run = play.begin_graph(false);
    let [done, waits] = [(); 2].map(|()| play.add_new(&NewTask { origin: Origin::Graph(graph_run), ..plain(&SINGLE) }));
    play.tell(Input::GraphEnds);
    play.finish(W3, other);
    play.finish(W3, done);
    let at = play.now + 10;
    play.tell(Input::GraphDeadline { graph_run, at });
    let late = play.add(&SINGLE, &[], 0);
    play.pass(10);
    assert_eq!([other, done, waits, late].map(|task| play.limit_of(task)), [None, None, Some(Limit::Deadline), None]);
}

#[test]
fn the_deadline_of_a_graph_goes_with_its_last_task_and_stays_without_anybody_who_asks() {
    let mut play = Play::with_workers(&[W3]);
    let [short, long] = [(); 2].map(|()| {
        let graph_run = play.begin_graph(false);
        let tasks = [(); 2].map(|()| play.add_new(&NewTask { origin: Origin::Graph(graph_run), ..plain(&SINGLE) }));
        play.tell(Input::GraphEnds);
        (graph_run, tasks)
    });
    let at = play.now + 1_000;
    for (graph_run, later) in [(short.0, 500), (short.0, 0), (long.0, 100), (long.0, 200)] {
        play.tell(Input::GraphDeadline { graph_run, at: at + later });
    }
    assert_eq!(play.controller.next_deadline(), Some(at));
    short.1.into_iter().for_each(|task| play.finish(W3, task));
    assert_eq!(play.controller.next_deadline(), Some(at + 100), "the other one is left, with its earlier time");
    play.tell(Input::References { notes: &mut vec![ReferenceNote::GraphForgotten(long.0)] });
    play.pass(1_100);
    assert_eq!(short.1.map(|task| play.limit_of(task)), [None; 2]);
    assert_eq!(long.1.map(|task| play.limit_of(task)), [Some(Limit::Deadline); 2]);
    // One of them was given up, and its worker may not come back.
    assert!(play.controller.next_deadline() > Some(play.now), "it is not due again");
}

#[test]
fn a_limit_of_one_task_cancels_the_others_of_a_graph_that_wants_that() {
    let mut play = Play::with_workers(&[W3]);
    let graph_run = play.begin_graph(true);
    let options = limited(RetryOn::default(), 0);
    let of_graph = NewTask { origin: Origin::Graph(graph_run), ..plain(&SINGLE) };
    let slow = play.add_new(&NewTask { options: Some(&options), ..of_graph });
    let other = play.add_new(&of_graph);
    play.tell(Input::GraphEnds);
    play.overran(W3, slow);
    assert_eq!(play.limit_of(slow), Some(Limit::Run));
    assert!(play.controller.has_ended(slow));
    play.done(W3, slow, Err(Failure::Limit { limit_ns: LIMIT_NS }));
    play.say(W3, &ToController::NotBegun { tasks: vec![other] });
    assert!(matches!(play.error(other), Some(TaskError::Cancelled { .. })), "{:?}", play.error(other));
}

/// Both are of one graph whose tasks are cancelled when one fails; the other task of it
/// has no deadline.
#[test]
fn tasks_of_one_deadline_end_by_it_before_the_first_of_them_cancels_the_others() {
    let mut play = Play::with_workers(&[W1, W2, W3, W4]);
    let size = GraphSize { tasks: 3, values: 0, dependencies: 0, inputs_room: 0 };
    play.tell(Input::GraphBegins { size, cancels: true });
    let graph_run = play.out.graph_run.take().expect("it was started");
    let of_graph = |remote| NewTask { origin: Origin::Graph(graph_run), ..plain(remote) };
    let wide = Options { ranks: Some(2), ..Options::default() };
    let [single, other] = [(); 2].map(|()| play.add_new(&of_graph(&SINGLE)));
    let new = NewTask { options: Some(&wide), ..of_graph(&GROUP) };
    // What is held is not looked through: it reserves no workers before the graph ends.
    play.controller.handle(play.now, Input::Task { new: &new, plain: Encoded::Few(&[]) }, &mut play.out);
    let group = play.out.added;
    play.tell(Input::GraphEnds);
    play.members_of(group).iter().for_each(|&member| play.say(member, &ToController::Ready { epoch: 1 }));
    let at = play.now + 10;
    play.tell(Input::Deadline { tasks: &[single, group], at });
    play.pass(10);
    assert_eq!([single, group].map(|task| play.limit_of(task)), [Some(Limit::Deadline); 2]);
    let worker = play.controller.info(other).expect("it has a handle").ranks[0];
    play.say(worker, &ToController::NotBegun { tasks: vec![other] });
    assert!(matches!(play.error(other), Some(TaskError::Cancelled { .. })), "{:?}", play.error(other));
}

#[test]
fn a_task_whose_deadline_has_come_too_is_not_cancelled_for_that_of_another() {
    let mut play = Play::with_workers(&[W3]);
    let graph_run = play.begin_graph(true);
    let of_graph = NewTask { origin: Origin::Graph(graph_run), ..plain(&SINGLE) };
    let both @ [one, _] = [(); 2].map(|()| play.add_new(&of_graph));
    play.tell(Input::GraphEnds);
    play.tell(Input::Deadline { tasks: &[one], at: play.now + 11 });
    play.tell(Input::GraphDeadline { graph_run, at: play.now + 10 });
    play.pass(12);
    assert_eq!(both.map(|task| play.limit_of(task)), [Some(Limit::Deadline); 2]);
}

#[test]
fn who_waits_for_the_end_is_woken_when_a_deadline_has_cancelled_the_last_task() {
    let mut play = Play::with_workers(&[W3]);
    let graph_run = play.begin_graph(true);
    let of_graph = |remote| NewTask { origin: Origin::Graph(graph_run), ..plain(remote) };
    let limited = play.add_new(&of_graph(&SINGLE));
    let too_wide = Options { ranks: Some(2), ..Options::default() };
    let new = NewTask { options: Some(&too_wide), ..of_graph(&GROUP) };
    // What is held is not looked through.
    play.controller.handle(play.now, Input::Task { new: &new, plain: Encoded::Few(&[]) }, &mut play.out);
    let waits = play.out.added;
    play.tell(Input::GraphEnds);
    play.tell(Input::Deadline { tasks: &[limited], at: play.now + 10 });
    play.woken();
    play.pass(10);
    assert!(matches!(play.error(waits), Some(TaskError::Cancelled { .. })), "{:?}", play.error(waits));
    assert!(play.woken().contains(&Awaited::Drained));
}

#[test]
fn an_attempt_that_goes_on_after_a_cancel_and_a_deadline_counts() {
    let mut play = Play::with_workers(&[W3]);
    let task = play.add_new(&plain(&SINGLE));
    play.tell(Input::Cancel { tasks: &[task] });
    play.tell(Input::Deadline { tasks: &[task], at: play.now });
    let error = play.error(task).expect("it has ended");
    assert!(matches!(error, TaskError::Cancelled { .. }), "{error:?}");
    assert_eq!(error.site().map(|site| (site.attempts, site.rank)), Some((1, Some(W3))));
}

#[test]
fn after_the_time_limit_every_task_ends_at_once() {
    let mut play = Play::new();
    let at = play.now + 10;
    play.tell(Input::TimeLimit { at });
    let early = play.add_new(&plain(&SINGLE));
    play.pass(10);
    let late = play.add_new(&plain(&SINGLE));
    assert_eq!([early, late].map(|task| play.limit_of(task)), [Some(Limit::Deadline); 2]);
}

#[test]
fn what_follows_a_failure_is_what_was_chosen_or_asked_for() {
    let returned = Failure::Returned("no".to_owned());
    let asks = |wish| Failure::Asks { message: "no".to_owned(), wish };
    let panicked = Failure::Panicked("no".to_owned());
    for (retry_on, failure, goes_on) in [
        (RetryOn::default(), returned.clone(), true),
        (RetryOn::PANICS, returned, false),
        (RetryOn::PANICS, panicked.clone(), true),
        (RetryOn::ERRORS, panicked, false),
        (RetryOn::default(), Failure::Limit { limit_ns: 1 }, false),
        (RetryOn::LIMITS, Failure::Limit { limit_ns: 1 }, true),
        (RetryOn::ALL, asks(Wish::Permanent), false),
        (RetryOn::ERRORS, asks(Wish::NotHere), true),
        (RetryOn::PANICS, asks(Wish::Busy { delay_ns: 5 }), true),
    ] {
        let mut play = Play::new();
        let task = play.add_with(&SINGLE, &limited(retry_on, 1));
        let worker = play.worker_of(task);
        play.done(worker, task, Err(failure.clone()));
        assert_eq!(!play.controller.has_ended(task), goes_on, "{failure:?} with {retry_on:?}");
    }
}
