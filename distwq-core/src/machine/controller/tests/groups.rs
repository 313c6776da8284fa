//! Collective tasks: who is told what, which failure is told, and who is stuck.

use super::super::groups::{Groups, Part};
use super::*;
use crate::id::GroupKey;
use crate::machine::NamedTask;
use crate::task::group::Operation;
use crate::wire::message::WaitReport;

fn enter(epoch: u64) -> String {
    format!("{:?}", Some(ToWorker::Enter { epoch }))
}

fn leave(epoch: u64, member: u32, failure: &str) -> String {
    format!("{:?}", Some(ToWorker::Leave { epoch, member, failure }))
}

/// What a member gives that has no value.
fn nothing() -> Result<Given<crate::codec::frame::Blob<'static>>, Failure> {
    Ok(Given::Here(crate::codec::frame::Blob::Inline(&[])))
}

/// A group of all these workers, and its members in their order.
fn group(ranks: &[Rank]) -> (Play, TaskId, Vec<Rank>) {
    let mut play = Play::with_workers(ranks);
    let task = play.add(&GROUP, &[], 0);
    let members = play.members_of(task);
    assert_eq!(members.len(), ranks.len());
    (play, task, members)
}

#[test]
fn a_collective_task_on_the_only_worker_runs_in_a_group_of_one() {
    let (mut play, task, members) = group(&[W3]);
    assert_eq!(members, [W3]);
    play.say(W3, &ToController::Ready { epoch: 1 });
    assert_eq!(play.told(), [(W3, enter(1))]);
    play.finish(W3, task);
    assert!(play.controller.output_here(task, &mut Payload::EMPTY.clone()));
}

#[test]
fn members_enter_when_the_last_is_ready_and_not_after_a_failure() {
    let (mut play, _, members) = group(&[W1, W2, W3]);
    for member in &members[..2] {
        play.say(*member, &ToController::Ready { epoch: 1 });
        assert_eq!(play.told(), []);
    }
    play.say(members[2], &ToController::Ready { epoch: 1 });
    assert_eq!(play.told(), [0, 1, 2].map(|member| (members[member], enter(1))));

    let (mut play, task, members) = group(&[W1, W2, W3]);
    play.say(members[0], &ToController::Ready { epoch: 1 });
    play.fail(members[1], task, "no input");
    assert_eq!(play.told(), [0, 2].map(|member| (members[member], leave(1, 1, "no input"))));
    play.say(members[1], &ToController::Ready { epoch: 1 });
    play.say(members[2], &ToController::Ready { epoch: 1 });
    assert_eq!(play.told(), []);
}

#[test]
fn the_failure_of_a_member_itself_is_told_rather_than_what_follows_from_it() {
    let group_failed = || Failure::Group("another one has failed".to_owned());
    let returned = |text: &str| Failure::Returned(text.to_owned());
    // What the members report, one after another, and which of them is named.
    let table = [
        ([returned("one"), returned("two")], 0),
        ([group_failed(), returned("two")], 1),
        ([returned("one"), group_failed()], 0),
        ([group_failed(), group_failed()], 0),
    ];
    for (failures, named) in table {
        let (mut play, task, members) = group(&[W1, W2]);
        let text = failures[named].to_string();
        for (member, failure) in members.iter().zip(failures) {
            assert!(play.error(task).is_none(), "a member is still inside");
            play.done(*member, task, Err(failure));
        }
        let error = play.error(task).expect("all are out");
        assert_eq!(error.site().and_then(|site| site.rank), Some(members[named]), "{error}");
        assert!(error.to_string().contains(&text), "{error}");
    }
}

/// ```text
/// g #1 --> f #2
/// ```
#[test]
fn the_failure_of_a_group_is_told_while_there_is_another_attempt_and_is_its_error_after_the_last() {
    let mut play = Play::with_workers(&[W1, W2]);
    play.out.notices.want(true);
    let task = play.add(&GROUP, &[], 1);
    let dependent = play.add(&SINGLE, &[task], 0);
    let mut retried = |text: &str| {
        let members = play.members_of(task);
        play.fail(members[1], task, text);
        assert!(play.error(task).is_none(), "the first one is still inside");
        play.finish(members[0], task);
        let notices = play.out.notices.take().into_iter();
        let retried = notices.filter(|notice| matches!(notice, Notice::Retried { .. })).collect::<Vec<_>>();
        (retried, play.error(task), play.error(dependent))
    };
    let named = NamedTask { number: 1, function: "g", label: None };
    let notice = Notice::Retried { task: named, attempt: 1, rank: W2, error: "once".to_owned() };
    assert_eq!(retried("once"), (vec![notice], None, None));
    let (notices, own, upstream) = retried("twice");
    assert_eq!(notices, []);
    let own = own.expect("that was the last attempt");
    assert_eq!(own.site().map(|site| (site.rank, site.attempts)), Some((Some(W2), 2)), "{own}");
    assert!(matches!(&own, TaskError::Failed { message, .. } if **message == *"twice"), "{own}");
    assert!(matches!(&upstream, Some(TaskError::Upstream { root, .. }) if **root == own));
}

#[test]
fn the_time_of_a_group_is_from_its_first_begin_to_its_last_end() {
    let (mut play, task, members) = group(&[W1, W2, W3]);
    for (member, times) in members.iter().zip([(25, 40), (20, 5), (30, 10)]) {
        play.done_at(*member, task, times, false, nothing());
    }
    let info = play.controller.info(task).expect("it has not gone");
    assert_eq!((info.started_ns, info.finished_ns, info.ranks), (Some(20), Some(65), members));
}

#[test]
fn a_member_that_does_not_answer_within_the_grace_is_stuck() {
    const GRACE: Ns = 10_000_000_000;
    let (mut play, task, members) = group(&[W1, W2, W3]);
    let [one, two, three] = members[..] else { unreachable!() };
    play.now = 5_000_000_000;
    assert_eq!(play.controller.next_deadline(), None);
    play.fail(one, task, "it breaks");
    assert_eq!(play.controller.next_deadline(), Some(play.now + GRACE));
    play.say(two, &ToController::Heard { epoch: 1 });
    play.now += GRACE - 1;
    play.tell(Input::TurnEnds);
    assert!(play.out.take_halt().is_none());
    play.now += 1;
    play.tell(Input::TurnEnds);
    let Some(Halt::Stuck(text)) = play.out.take_halt() else { panic!("one has not answered") };
    let who = format!("rank {three} (host host{three}) did not leave raw MPI within 10000 ms", three = three.0);
    assert_eq!(text, format!("collective task g #1: rank {} failed: it breaks; {who}", one.0));
}

#[test]
fn who_has_answered_or_left_is_not_stuck() {
    let (mut play, task, members) = group(&[W1, W2, W3]);
    let [one, two, three] = members[..] else { unreachable!() };
    play.fail(one, task, "it breaks");
    // Once counts as much as twice, and an answer to another question for nothing.
    play.say(two, &ToController::Heard { epoch: 1 });
    play.say(two, &ToController::Heard { epoch: 1 });
    play.say(three, &ToController::Heard { epoch: 9 });
    assert!(play.controller.next_deadline().is_some(), "the third has not answered");
    play.done(three, task, Err(Failure::Group("it has heard".to_owned())));
    assert_eq!(play.controller.next_deadline(), None);
    play.now += 1_000_000_000_000;
    play.tell(Input::TurnEnds);
    assert!(play.out.take_halt().is_none());
    assert!(play.error(task).is_none(), "the second is still inside");
}

/// What it sent to the others may be gone with it.
#[test]
fn the_loss_of_a_member_that_has_left_fails_the_others() {
    let (mut play, task, members) = group(&[W1, W2, W3]);
    let [one, two, three] = members[..] else { unreachable!() };
    play.finish(one, task);
    let told = play.lose(one);
    let leaves = |rank| told.iter().any(|(to, message)| *to == rank && message.contains("Leave { epoch: 1, member: 0"));
    assert_eq!([two, three].map(leaves), [true; 2], "{told:?}");
    for member in [two, three] {
        play.done(member, task, Err(Failure::Group("a member is gone".to_owned())));
    }
    let error = play.error(task).expect("all are out");
    assert!(matches!(error, TaskError::WorkerLost { .. }), "{error}");
}

/// A communicator that a failed task has used is freed.
#[test]
fn the_raw_communicator_of_a_group_that_has_failed_is_freed() {
    for (raw, fails, is_freed) in [(true, true, true), (true, false, false), (false, true, false)] {
        let (mut play, task, members) = group(&[W1, W2]);
        let outcome = if fails { Err(Failure::Returned("it fails".to_owned())) } else { nothing() };
        play.done_at(members[0], task, (1, 1), raw, nothing());
        play.done_at(members[1], task, (1, 1), false, outcome);
        let told = play.told();
        let freed = |rank| told.iter().any(|(to, message)| *to == rank && message.contains("FreeGroup"));
        assert_eq!([W1, W2].map(freed), [is_freed; 2], "raw: {raw}, fails: {fails}");
    }
}

/// The first member kept its output before the other one failed.
#[test]
fn the_output_of_a_group_that_has_failed_is_forgotten() {
    let (mut play, task, members) = group(&[W1, W2]);
    play.kept(members[0], task);
    play.fail(members[1], task, "it fails");
    let forget = format!("{:?}", Some(ToWorker::Forget { values: vec![task] }));
    assert_eq!(play.told(), [(members[0], forget)]);
}

#[test]
fn who_leaves_is_asked_to_say_so_to_those_that_have_said_that_they_wait_for_it() {
    let (mut play, task, members) = group(&[W1, W2, W3]);
    let key = GroupKey { operation: Operation::Message as u8, sequence: 0, round: 0 };
    let on = Some((0, key));
    play.say(members[2], &ToController::Waits(WaitReport { epoch: 1, on, sent: 0, received: 0, answers: None }));
    assert_eq!(play.told(), []);
    play.done(members[0], task, nothing());
    let say_left = format!("{:?}", Some(ToWorker::SayLeft { epoch: 1, to: vec![2] }));
    assert_eq!(play.told(), [(members[0], say_left)]);
}

/// A group of this worker alone begins, uses its raw communicator, and ends. Whose
/// communicator is freed for that.
fn use_raw(groups: &mut Groups, worker: u32, fails: bool) -> Option<Box<[WorkerId]>> {
    let (task, worker) = (TaskId::new(worker, worker + 1), WorkerId::new(worker));
    groups.begin(task, [worker].into());
    let outcome = if fails { Err(Failure::Returned("it fails".to_owned())) } else { Ok(Given::Resident { bytes: 1 }) };
    groups.left(1, task, worker, Part { times: (1, 2), raw: true, outcome });
    let left = groups.take_left(task).expect("all have left");
    groups.used_communicator(&left)
}

#[test]
fn of_too_many_communicators_the_one_that_was_not_used_for_longest_is_freed() {
    let mut groups = Groups::new(259);
    let freed = |worker| Some([WorkerId::new(worker)].into());
    for worker in 0..256 {
        assert_eq!(use_raw(&mut groups, worker, false), None);
    }
    assert_eq!(use_raw(&mut groups, 0, false), None, "it is there already, and was used last now");
    groups.begin(TaskId::new(999, 1_000), [WorkerId::new(1)].into());
    assert_eq!(use_raw(&mut groups, 256, false), freed(2), "that of worker 1 is in use");
    assert_eq!(use_raw(&mut groups, 3, true), freed(3), "one that a failed task has used goes at once");
    assert_eq!(use_raw(&mut groups, 257, false), None, "one may come for it");
    assert_eq!(use_raw(&mut groups, 258, false), freed(4));
}
