//! Attempts after a failure.

use super::*;

#[test]
fn a_retry_goes_to_workers_that_have_not_tried() {
    let mut play = Play::with_workers(3);
    let a = play.add_started(Spec { retries: 2, ..Spec::PLAIN }, W2);
    assert_eq!(play.fail(a, W2), [start_again(a, W1, 2)]);
    assert_eq!(play.fail(a, W1), [start_again(a, W0, 3)]);
    assert_eq!(play.fail(a, W0), [ended(a, End::Failed)]);
}

#[test]
fn when_all_have_tried_any_may_try_again() {
    let mut play = Play::with_workers(1);
    let a = play.add_started(Spec { retries: 1, ..Spec::PLAIN }, W0);
    assert_eq!(play.fail(a, W0), [start_again(a, W0, 2)]);
    assert_eq!(play.finish(a, W0), [done(a)]);
}

#[test]
fn a_retry_waits_for_a_busy_worker_rather_than_go_back() {
    let mut play = Play::with_workers(2);
    let a = play.add_started(Spec { retries: 1, ..Spec::PLAIN }, W1);
    let b = play.add_started(Spec::PLAIN, W0);
    let c = play.add_started(Spec::PLAIN, W1);
    let d = play.add_started(Spec::PLAIN, W0);
    assert_eq!(play.fail(a, W1), []);
    assert_eq!(play.finish(b, W0), [done(b), start_again(a, W0, 2)]);
    assert_eq!(play.finish(c, W1), [done(c)]);
    assert_eq!(play.finish(d, W0), [done(d)]);
}

#[test]
fn a_waiting_retry_goes_back_when_the_others_are_lost() {
    let mut play = Play::with_workers(2);
    let a = play.add_started(Spec { retries: 1, ..Spec::PLAIN }, W1);
    let [b, c] = [play.add_started(Spec::PLAIN, W0), play.add_started(Spec::PLAIN, W1)];
    let d = play.add_started(Spec::PLAIN, W0);
    assert_eq!(play.fail(a, W1), []);
    // What worker 0 had begun has no attempt left; what it had not begun goes on.
    assert_eq!(play.lose(W0), [ended(b, End::WorkerLost { worker: W0 }), start_again(a, W1, 2)]);
    assert_eq!(play.finish(c, W1), [done(c), start(d, W1)]);
}

#[test]
fn a_failure_that_cannot_be_mended_is_not_tried_again() {
    let mut play = Play::with_workers(2);
    let a = play.add_started(Spec { retries: 5, ..Spec::PLAIN }, W1);
    let actions = play.feed(Event::Failed { worker: W1, task: a, ran_ns: 1, retry: false });
    assert_eq!(actions, [ended(a, End::Failed)]);
}
