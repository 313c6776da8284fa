//! Attempts that may run for a limited time.

use super::*;

const LIMIT_NS: Ns = 100;

/// Task 1 has come, with this limit, and begins at this time.
fn begun_at(now: Ns) -> (Told, Attempt) {
    let mut worker = Told::new();
    let mut frame = Frame::default();
    let tail = RunTail { limit_ns: Some(LIMIT_NS), ..RunTail::empty() };
    assert!(attempt::push(&mut frame.body, RunFields::new(id(1), FunctionId(0)), |_| true, Some(&tail)));
    worker.receive(&frame);
    assert_eq!(worker.worker.next_deadline(), None, "it has not begun");
    let mut attempt = Attempt::NONE;
    worker.worker.handle(now, Input::Begin { slot: SLOT, attempt: &mut attempt }, &mut worker.out);
    (worker, attempt)
}

fn pass(worker: &mut Told, now: Ns) -> Vec<String> {
    worker.worker.handle(now, Input::TurnEnds, &mut worker.out);
    worker.heard()
}

/// It ends after so long, with a value.
fn end(worker: &mut Told, attempt: &mut Attempt, ran_ns: Ns) -> Vec<Frame> {
    attempt.ran_ns = ran_ns;
    attempt.parts().2.append::<u8, u8>(&5).expect("a byte encodes");
    worker.worker.handle(0, Input::Ended { slot: SLOT, attempt }, &mut worker.out);
    worker.sent()
}

fn is_failure(frames: &[Frame]) -> bool {
    let mut messages = Messages::of(&frames[0]);
    let done = messages.next_fixed(Done::read).expect("it has ended");
    match done.tail().expect("it decodes") {
        None => false,
        Some(tail) => {
            assert_eq!(tail.outcome.expect_err("it has failed"), Failure::Limit { limit_ns: LIMIT_NS });
            true
        }
    }
}

#[test]
fn an_attempt_at_its_limit_is_told_once_and_what_it_gives_is_dropped() {
    let (mut worker, mut attempt) = begun_at(1_000);
    assert_eq!(worker.worker.next_deadline(), Some(1_000 + LIMIT_NS));
    assert_eq!(pass(&mut worker, 1_000 + LIMIT_NS - 1), [""; 0]);
    assert_eq!(take(&mut worker.out.cancelled), []);
    let overran = said(&ToController::Overran { task: id(1), started_ns: 1_000, failure: None });
    assert_eq!(pass(&mut worker, 1_000 + LIMIT_NS), [overran]);
    assert_eq!(take(&mut worker.out.cancelled), [(SLOT, id(1))]);
    assert_eq!(worker.worker.next_deadline(), None);
    assert_eq!(pass(&mut worker, 5_000), [""; 0]);
    // By the clock of the executor it was just in time.
    assert!(is_failure(&end(&mut worker, &mut attempt, LIMIT_NS - 1)));
}

#[test]
fn a_limit_is_kept_or_not_whether_somebody_has_looked_or_not() {
    for (ran_ns, fails) in [(LIMIT_NS - 1, false), (LIMIT_NS, true)] {
        let (mut worker, mut attempt) = begun_at(1_000);
        assert_eq!(is_failure(&end(&mut worker, &mut attempt, ran_ns)), fails);
        assert_eq!(worker.worker.next_deadline(), None);
    }
}

#[test]
fn after_the_end_of_the_run_no_limit_is_looked_at() {
    let (mut worker, _) = begun_at(1_000);
    worker.say([ToWorker::Stop { failed: false }]);
    assert_eq!((worker.worker.next_deadline(), pass(&mut worker, 5_000)), (None, vec![]));
}
