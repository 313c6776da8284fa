//! Tasks that are cancelled while a worker has them, or before they come.

use super::*;

fn cancel(tasks: &[u32]) -> ToWorker<'static> {
    ToWorker::Cancel { tasks: tasks.iter().copied().map(id).collect() }
}

fn over(task: u32) -> ToWorker<'static> {
    ToWorker::CancelOver { tasks: vec![id(task)] }
}

fn not_begun(tasks: &[u32]) -> String {
    said(&ToController::NotBegun { tasks: tasks.iter().copied().map(id).collect() })
}

#[test]
fn what_has_not_begun_is_dropped_and_what_runs_is_told() {
    let mut worker = Told::new();
    worker.say([run(1, &[]), run(2, &[]), run(3, &[(20, HELD)]), run(4, &[])]);
    assert_eq!(worker.next(), Some((Next::Begin, id(1))));
    worker.heard();
    worker.say([cancel(&[3, 1, 2])]);
    assert_eq!(worker.heard(), [not_begun(&[2, 3])]);
    assert_eq!(take(&mut worker.out.cancelled), [(SLOT, id(1))]);
    assert_eq!([worker.next(), worker.next()], [Some((Next::Begin, id(4))), None]);
    worker.say([value(20, &[5; 10])]);
    assert_eq!(worker.next(), None, "its input comes all the same");
}

#[test]
fn a_task_that_comes_after_its_cancel_does_not_begin() {
    let mut worker = Told::new();
    worker.say([cancel(&[1, 2])]);
    assert_eq!(worker.heard(), [""; 0]);
    worker.say([run(1, &[]), run(3, &[])]);
    assert_eq!((worker.heard(), worker.next()), (vec![not_begun(&[1])], Some((Next::Begin, id(3)))));
    worker.say([run(2, &[(20, HELD)])]);
    assert_eq!(worker.heard().last(), Some(&not_begun(&[2])));
    worker.say([over(4)]);
    worker.say([value(20, &[5; 10]), ToWorker::Forget { values: vec![id(20)] }]);
    assert_eq!(worker.next(), None);
}

/// Its end and its cancel have crossed.
#[test]
fn a_task_that_has_ended_here_is_remembered_until_the_controller_knows_that() {
    let mut worker = Told::new();
    worker.say([cancel(&[1])]);
    assert_eq!(worker.worker.leftovers(), Some("1 cancelled tasks that are to come".to_owned()));
    worker.say([over(1)]);
    assert_eq!((worker.worker.leftovers(), worker.heard()), (None, vec![]));
}

#[test]
fn a_task_that_is_given_back_is_not_dropped_as_well() {
    let mut worker = Told::new();
    worker.say([run(1, &[]), ToWorker::TakeBack { tasks: vec![id(1)] }.into(), cancel(&[1]).into()]);
    assert_eq!(worker.heard(), [said(&ToController::Returned { tasks: vec![id(1)] })]);
    worker.say([over(1)]);
    assert_eq!(worker.worker.leftovers(), None);
}

/// The word that all are ready comes after the cancel.
#[test]
fn a_member_that_begins_after_its_cancel_is_told() {
    let mut worker = Told::new();
    let members = Members::of([WORKER, Rank(2)]).encoded();
    let group = Some(GroupOfRun { epoch: 7, members: &members });
    let mut frame = Frame::default();
    push_run_in(&mut frame.body, 9, &[], group);
    worker.receive(&frame);
    assert_eq!(worker.heard(), [said(&ToController::Ready { epoch: 7 })]);
    worker.say([cancel(&[9]), ToWorker::Enter { epoch: 7 }]);
    assert_eq!((worker.next(), worker.heard()), (Some((Next::Begin, id(9))), vec![]));
    assert_eq!(worker.worker.cancelled_member(7), Some((SLOT, id(9))));
    assert!(worker.out.cancelled.is_empty());
    worker.say([cancel(&[9])]);
    assert_eq!(worker.out.cancelled, [(SLOT, id(9))], "one that has begun is told at once");
}
