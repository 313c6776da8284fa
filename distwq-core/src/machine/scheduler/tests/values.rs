//! When values go.

use super::*;

/// ```text
/// a (on 1) → b
/// ```
#[test]
fn a_value_goes_when_its_handle_and_its_consumers_are_gone() {
    let mut play = Play::with_workers(2);
    let a = play.add_started(Spec::PLAIN, W1);
    let b = play.add_waiting(Spec { inputs: &[a], ..Spec::PLAIN });
    assert_eq!(play.drop_handle(a), []);
    assert_eq!(play.finish_resident(a, W1, 100), [done(a), start(b, W1)]);
    assert_eq!(play.finish(b, W1), [done(b), release(a, &[W1])]);
    assert_eq!(play.drop_handle(b), [release(b, &[])]);
}

#[test]
fn a_value_nobody_waits_for_goes_with_its_handle() {
    let mut play = Play::with_workers(1);
    let a = play.add_started(Spec::PLAIN, W0);
    assert_eq!(play.finish_resident(a, W0, 100), [done(a)]);
    assert_eq!(play.drop_handle(a), [release(a, &[W0])]);
    play.misfit(Event::Dropped { tasks: &[a] });
}

#[test]
fn a_task_without_a_handle_goes_when_it_ends() {
    let mut play = Play::with_workers(1);
    let a = play.add_started(Spec::PLAIN, W0);
    assert_eq!(play.drop_handle(a), []);
    assert_eq!(play.finish_resident(a, W0, 100), [done(a), release(a, &[W0])]);
}

#[test]
fn a_handle_is_dropped_once() {
    let mut play = Play::with_workers(1);
    let a = play.add_started(Spec::PLAIN, W0);
    assert_eq!(play.drop_handle(a), []);
    play.misfit(Event::Dropped { tasks: &[a] });
    assert_eq!(play.finish(a, W0), [done(a), release(a, &[])]);
}

#[test]
fn all_copies_of_a_value_go() {
    let mut play = Play::with_workers(3);
    let value = play.next_id();
    play.feed(Event::Value { task: value, bytes: 1_000 });
    for worker in [W2, W0] {
        assert_eq!(play.feed(Event::Copied { task: value, worker }), []);
    }
    assert_eq!(play.scheduler.holders(value).count(), 2);
    assert_eq!(play.drop_handle(value), [release(value, &[W0, W2])]);
}

#[test]
fn a_slot_is_used_again_after_its_release() {
    let mut play = Play::with_workers(1);
    let a = play.add_started(Spec::PLAIN, W0);
    play.drop_handle(a);
    assert_eq!(play.finish(a, W0), [done(a), release(a, &[])]);
    let again = TaskId::new(0, 2);
    assert_eq!(play.feed(Event::Added { task: again, spec: &Spec::PLAIN }), [start(again, W0)]);
    play.misfit(Event::Finished { worker: W0, task: a, made: Made { bytes: 0, resident: false }, ran_ns: 1 });
    assert_eq!(play.finish(again, W0), [done(again)]);
}

/// ```text
/// a → b          b fails, and with it goes the need of a
/// ```
#[test]
fn a_failed_consumer_needs_its_arguments_no_more() {
    let mut play = Play::with_workers(1);
    let a = play.add_started(Spec::PLAIN, W0);
    let b = play.add_waiting(Spec { inputs: &[a], retries: 1, ..Spec::PLAIN });
    play.drop_handle(a);
    assert_eq!(play.finish_resident(a, W0, 10), [done(a), start(b, W0)]);
    assert_eq!(play.fail(b, W0), [start_again(b, W0, 2)], "kept for the next attempt");
    assert_eq!(play.fail(b, W0), [ended(b, End::Failed), release(a, &[W0])]);
}
