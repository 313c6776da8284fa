//! Tasks that are cancelled: what ends at once, who is told, and what their answers mean.

use super::*;
use crate::outcome::info::CancelState;
use crate::wire::report::Measured;

fn cancel(tasks: &[TaskId]) -> String {
    format!("{:?}", Some(ToWorker::Cancel { tasks: tasks.to_vec() }))
}

fn over(task: TaskId) -> String {
    format!("{:?}", Some(ToWorker::CancelOver { tasks: vec![task] }))
}

impl Play {
    fn cancel(&mut self, tasks: &[TaskId]) -> Vec<(Rank, String)> {
        self.told();
        self.tell(Input::Cancel { tasks });
        self.told()
    }

    fn not_begun(&mut self, from: Rank, tasks: &[TaskId]) {
        self.say(from, &ToController::NotBegun { tasks: tasks.to_vec() });
    }

    #[track_caller]
    fn expect_cancelled(&self, task: TaskId) -> TaskError {
        let error = self.error(task).expect("it has ended without a value");
        assert!(matches!(error, TaskError::Cancelled { .. }), "{error}");
        error
    }
}

/// A worker with a task that runs, one ahead, and one that waits here.
fn three() -> (Play, [TaskId; 3]) {
    let mut play = Play::with_workers(&[W3]);
    let tasks = [(); 3].map(|()| play.add(&SINGLE, &[], 3));
    let told = [(W3, run(tasks[0])), (W3, run(tasks[1]))];
    assert_eq!(play.told(), told);
    (play, tasks)
}

#[test]
fn what_waits_ends_at_once_and_who_waits_for_it_is_woken() {
    let (mut play, [.., waits]) = three();
    play.tell(Input::Awaited { task: waits });
    assert_eq!(play.controller.cancel_state(waits), CancelState::Waiting);
    assert_eq!(play.cancel(&[waits]), []);
    assert_eq!(play.woken(), [Awaited::Task(waits)]);
    let error = play.expect_cancelled(waits);
    assert_eq!(error.site().map(|site| (site.rank, site.attempts)), Some((None, 0)));
    assert_eq!((play.controller.cancel_state(waits), play.cancel(&[waits])), (CancelState::Ended, vec![]));
}

#[test]
fn a_worker_is_told_once_of_all_that_it_has() {
    let (mut play, tasks @ [runs, ahead, _]) = three();
    let found = tasks.map(|task| play.controller.cancel_state(task));
    assert_eq!(found, [CancelState::Running, CancelState::Waiting, CancelState::Waiting]);
    play.told();
    play.tell(Input::CancelAll);
    assert_eq!(play.told(), [(W3, cancel(&[runs, ahead]))]);
    assert!(play.error(runs).is_none() && play.error(ahead).is_none(), "it has not answered");
    play.tell(Input::CancelAll);
    assert_eq!(play.told(), []);
}

#[test]
fn after_a_signal_every_task_is_cancelled_and_says_so() {
    let (mut play, [runs, ahead, waits]) = three();
    let early = play.cancel(&[waits]);
    assert!(early.is_empty() && !play.controller.is_interrupted());
    play.tell(Input::Interrupted);
    assert_eq!(play.told(), [(W3, cancel(&[runs, ahead]))]);
    assert!(play.controller.is_interrupted());
    let late = play.add(&SINGLE, &[], 3);
    let by_signal = |error: TaskError| matches!(error, TaskError::Cancelled { interrupted: true, .. });
    assert!(by_signal(play.expect_cancelled(late)));
    assert!(!by_signal(play.expect_cancelled(waits)), "it was cancelled before");
    assert!(play.expect_cancelled(late).to_string().contains("a signal has come"));
    assert_eq!(play.told(), [], "no worker hears of it");
    play.not_begun(W3, &[ahead]);
    assert!(by_signal(play.expect_cancelled(ahead)));
    play.finish(W3, runs);
    play.told();
    let latest = play.add(&SINGLE, &[], 3);
    assert!(by_signal(play.expect_cancelled(latest)));
    assert_eq!(play.told(), [], "though the worker has nothing to do");
    assert_eq!((play.controller.pending(), play.error(runs)), (0, None), "what runs may give its value");
    // The time of the run may pass all the same.
    play.tell(Input::TimeLimit { at: play.now + 10 });
    play.pass(10);
    let later = play.add(&SINGLE, &[], 3);
    assert!(by_signal(play.expect_cancelled(later)));
}

#[test]
fn what_a_worker_has_not_begun_has_ended_as_if_it_had_never_been_there() {
    let (mut play, [runs, ahead, _]) = three();
    play.cancel(&[ahead]);
    play.not_begun(W3, &[ahead]);
    let error = play.expect_cancelled(ahead);
    assert_eq!(error.site().map(|site| (site.rank, site.attempts)), Some((None, 0)));
    assert_eq!(play.controller.stats(Measured::default()).ranks[1].runs.count, 0);
    let told = play.told();
    assert!(!told.contains(&(W3, over(ahead))), "the worker knows that: {told:?}");
    play.finish(W3, runs);
    assert_eq!(play.controller.in_flight(), 1);
}

#[test]
fn who_was_told_hears_of_the_end_of_a_task_that_went_on() {
    let (mut play, [runs, ahead, _]) = three();
    play.cancel(&[runs, ahead]);
    play.finish(W3, runs);
    assert!(play.error(runs).is_none() && play.controller.has_ended(runs), "a value is a value");
    assert!(play.told().contains(&(W3, over(runs))));
    play.fail(W3, ahead, "it stops");
    let error = play.expect_cancelled(ahead);
    assert_eq!(error.site().map(|site| (site.rank, site.attempts)), Some((Some(W3), 1)));
    assert_eq!(play.told(), [(W3, over(ahead))], "it is not tried again");
}

#[test]
fn what_was_not_cancelled_cannot_be_said_not_to_have_begun() {
    let (mut play, [runs, ..]) = three();
    play.not_begun(W3, &[runs]);
    assert!(matches!(play.out.take_halt(), Some(Halt::Unreadable { from: W3, .. })));
}

/// Member 0 is ready, member 1 is not.
#[test]
fn a_group_that_has_not_entered_never_does() {
    let mut play = Play::new();
    let task = play.add(&GROUP, &[], 3);
    let members = play.members_of(task);
    play.say(members[0], &ToController::Ready { epoch: 1 });
    assert_eq!(play.controller.cancel_state(task), CancelState::Running);
    let leave = format!("{:?}", Some(ToWorker::Leave { epoch: 1, member: 0, failure: "the task was cancelled" }));
    assert_eq!(play.cancel(&[task]), [(members[0], leave.clone()), (members[1], leave)]);
    play.say(members[1], &ToController::Ready { epoch: 1 });
    assert_eq!(play.told(), []);
    for member in members {
        play.say(member, &ToController::Heard { epoch: 1 });
        play.done(member, task, Err(Failure::Group("the group did not begin".to_owned())));
    }
    play.expect_cancelled(task);
    assert_eq!((play.controller.in_flight(), play.told()), (0, vec![]));
}

#[test]
fn the_members_of_a_group_that_has_entered_are_told_and_its_value_counts() {
    let mut play = Play::new();
    let task = play.add(&GROUP, &[], 3);
    let members = play.members_of(task);
    for member in &members {
        play.say(*member, &ToController::Ready { epoch: 1 });
    }
    assert_eq!(play.cancel(&[task]), [0, 1].map(|member| (members[member], cancel(&[task]))));
    members.iter().for_each(|member| play.finish(*member, task));
    assert!(play.error(task).is_none() && play.controller.has_ended(task));
    assert_eq!(play.told(), [0, 1].map(|member| (members[member], over(task))));
}

#[test]
fn a_graph_lists_what_was_cancelled_as_its_roots() {
    let (mut play, [runs, ahead, _]) = three();
    let size = GraphSize { tasks: 2, values: 0, dependencies: 1, inputs_room: 0 };
    play.controller.handle(1, Input::GraphBegins { size, cancels: false }, &mut play.out);
    let origin = play.out.graph_run.map_or(Origin::Alone, Origin::Graph);
    let first = NewTask { before: &[runs, ahead], origin, ..plain(&SINGLE) };
    play.controller.handle(1, Input::Task { new: &first, plain: Encoded::Few(&[]) }, &mut play.out);
    let root = play.out.added;
    let before = [root];
    let second = NewTask { before: &before, origin, ..plain(&SINGLE) };
    play.controller.handle(1, Input::Task { new: &second, plain: Encoded::Few(&[]) }, &mut play.out);
    play.tell(Input::GraphEnds);
    play.cancel(&[root]);
    let error = play.expect_cancelled(root);
    let result = play.controller.result_of_graph_run(play.out.graph_run.expect("it has begun"));
    assert_eq!(result, Err(RunError::Failed { failed: vec![error], upstream: 1 }));
}

#[test]
fn when_nobody_waits_any_more_what_runs_is_named_and_closed() {
    let (mut play, [runs, ahead, waits]) = three();
    play.told();
    play.tell(Input::ClosingNow);
    assert!(play.controller.is_closing());
    assert_eq!(play.told(), [(W3, cancel(&[runs, ahead]))]);
    assert_eq!(play.controller.next_deadline(), None, "nothing is told of what is left");
    play.not_begun(W3, &[ahead]);
    assert!(!play.controller.leaves_behind());
    play.tell(Input::LeavesBehind);
    assert!(play.controller.leaves_behind());
    assert_eq!(play.controller.what_still_runs(), format!("f #{} on {W3} (host host3)", runs.serial()));
    assert!(matches!(play.error(runs), Some(TaskError::Closed { .. })));
    play.expect_cancelled(waits);
    play.finish(W3, runs);
    assert!(!play.controller.leaves_behind() && play.error(runs).is_none(), "it has come after all");
    play.tell(Input::Stop { failed: false });
    assert!(play.told().contains(&(W3, format!("{:?}", Some(ToWorker::Stop { failed: false })))));
}

/// Two tasks run, which is as much as may be queued, and go on after the signal.
#[test]
fn nobody_waits_for_room_after_a_signal() {
    let mut play = Play::with_config(&[W3], Config::new().queue_max(2));
    let tasks = [(); 2].map(|()| play.add_new(&plain(&SINGLE)));
    play.tell(Input::RoomWanted);
    play.woken();
    assert!(!play.controller.has_room() && !play.controller.ends_new_tasks());
    play.tell(Input::Interrupted);
    assert!(play.woken().contains(&Awaited::Room) && play.controller.ends_new_tasks());
    assert!(tasks.iter().all(|task| !play.controller.has_ended(*task)), "they go on");
}
