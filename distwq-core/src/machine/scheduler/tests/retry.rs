//! Attempts after a failure.

use super::*;
use crate::scheduler::FailedBefore;

#[test]
fn a_retry_goes_to_workers_that_have_not_tried() {
    let mut play = Play::with_workers(3);
    let a = play.add_started(Spec { retries: 2, ..Spec::PLAIN }, W2);
    assert_eq!(play.fail(a, W2), [start_again(a, W1, 2)]);
    assert_eq!(play.fail(a, W1), [start_again(a, W0, 3)]);
    assert_eq!(play.fail(a, W0), [ended(a, End::Failed)]);
}

#[test]
fn a_task_that_has_failed_as_another_one_goes_on_with_its_attempts() {
    let mut play = Play::with_workers(2);
    let failed = [(1, W0), (2, W1)].map(|(times, on)| FailedBefore { times, on, retry: Retry::Again });
    let [once, twice] = [0, 1].map(|index| Spec { retries: 2, failed: Some(&failed[index]), ..Spec::PLAIN });
    let (a, actions) = play.add(once);
    assert_eq!(actions, [start_again(a, W1, 2)]);
    assert_eq!(play.fail(a, W1), [start_again(a, W1, 3)]);
    assert_eq!(play.fail(a, W1), [ended(a, End::Failed)]);
    let (b, actions) = play.add(twice);
    assert_eq!(actions, [start_again(b, W0, 3)]);
    assert_eq!(play.fail(b, W0), [ended(b, End::Failed)]);
}

#[test]
fn a_task_that_has_failed_as_another_one_pauses_or_runs_elsewhere_as_that_would() {
    let mut play = Play::with_workers(2);
    let failed = [(0, Retry::Elsewhere { not_on: W0 }), (0, Retry::Later { pause_ns: 100 }), (1, Retry::Again)]
        .map(|(times, retry)| FailedBefore { times, on: W0, retry });
    let [elsewhere, later, again] =
        [0, 1, 2].map(|index| Spec { retries: 1, failed: Some(&failed[index]), ..Spec::PLAIN });
    let (a, actions) = play.add(elsewhere);
    assert_eq!(actions, [start(a, W1)]);
    play.finish(a, W1);
    let b = play.add_waiting(later);
    assert_eq!(play.pass(99), []);
    assert_eq!(play.pass(1), [start(b, W1)]);
    play.finish(b, W1);
    let patience = Patience { backoff_ns: 50, ..Patience::DEFAULT };
    let c = play.add_waiting(Spec { patience: Some(&patience), ..again });
    assert_eq!(play.pass(49), []);
    assert_eq!(play.pass(1), [start_again(c, W1, 2)]);
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
    let actions = play.feed(Event::Failed { worker: W1, task: a, ran_ns: 1, retry: Retry::Never });
    assert_eq!(actions, [ended(a, End::Failed)]);
}

/// A retry and a task that has not failed wait for the same worker. The retry goes first,
/// unless the other one is more urgent; whether the worker alone has room or not.
#[test]
fn of_tasks_of_one_priority_a_retry_goes_first() {
    for (priority, retry_is_first) in [(-1, true), (0, true), (1, false)] {
        let mut play = Play::with_workers(2);
        let a = play.add_started(Spec { retries: 1, ..Spec::PLAIN }, W1);
        let [b, _, _] = [W0, W1, W0].map(|worker| play.add_started(Spec::PLAIN, worker));
        let x = play.add_waiting(Spec { priority, ..Spec::PLAIN });
        play.feed(Event::Hold);
        assert_eq!(play.fail(a, W1), []);
        assert_eq!(play.feed(Event::Resume), [start(x, W1)], "worker 1 has tried the other one");
        let y = play.add_waiting(Spec { priority, ..Spec::PLAIN });
        let next = if retry_is_first { start_again(a, W0, 2) } else { start(y, W0) };
        assert_eq!(play.finish(b, W0), [done(b), next]);

        let mut play = Play::with_workers(2);
        let a = play.add_started(Spec { retries: 1, ..Spec::PLAIN }, W1);
        play.feed(Event::Hold);
        assert_eq!(play.fail(a, W1), []);
        let x = play.add_waiting(Spec { priority, ..Spec::PLAIN });
        let starts = play.feed(Event::Resume);
        assert_eq!(starts[usize::from(!retry_is_first)], start_again(a, W0, 2), "{starts:?}");
        assert!(matches!(starts[usize::from(retry_is_first)], Action::Start { task, .. } if task == x), "{starts:?}");
    }
}

/// ```text
/// a              has failed on 2, 1 and 0, which are lost but for 1
/// ```
#[test]
fn a_task_that_all_who_live_have_tried_may_go_to_any_of_them() {
    let mut play = Play::with_workers(3);
    let a = play.add_started(Spec { retries: 9, ..Spec::PLAIN }, W2);
    assert_eq!(play.fail(a, W2), [start_again(a, W1, 2)]);
    assert_eq!(play.fail(a, W1), [start_again(a, W0, 3)]);
    assert_eq!(play.fail(a, W0), [start_again(a, W0, 4)], "it is idle last");
    assert_eq!(play.fail(a, W0), [start_again(a, W0, 5)]);
    assert_eq!([play.lose(W0), play.lose(W2)], [vec![start_again(a, W1, 6)], vec![]]);
    assert_eq!(play.join(W3, 1), []);
    assert_eq!(play.fail(a, W1), [start_again(a, W3, 7)]);
}

/// Workers that have tried it are idle, and one that has not is busy: it waits for that
/// one, also behind others that may go on.
#[test]
fn retries_that_wait_for_others_do_not_hold_each_other_up() {
    let mut play = Play::with_workers(2);
    let [a, b] = [W1, W0].map(|worker| play.add_started(Spec { retries: 1, ..Spec::PLAIN }, worker));
    let [c, d] = [W1, W0].map(|worker| play.add_started(Spec::PLAIN, worker));
    play.feed(Event::Hold);
    for (task, worker) in [(a, W1), (b, W0), (c, W1)] {
        play.feed(Event::Failed { worker, task, ran_ns: LONG_NS, retry: Retry::Again });
    }
    let starts = play.feed(Event::Resume);
    assert_eq!(starts, [start_again(b, W1, 2), start_again(a, W0, 2)]);
    assert_eq!(play.finish(d, W0), [done(d)]);
}
