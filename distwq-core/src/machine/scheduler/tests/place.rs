//! Where tasks go, and how many a worker is given ahead.

use super::*;

#[test]
fn the_least_loaded_worker_is_next() {
    let mut play = Play::with_workers(3);
    for _ in 0..6 {
        play.add(Spec::PLAIN);
    }
    assert_eq!([W0, W1, W2].map(|worker| play.scheduler.in_flight(worker)), [2, 2, 2]);
}

#[test]
fn of_idle_workers_the_one_that_became_so_last_is_next() {
    let mut play = Play::with_workers(3);
    let a = play.add_started(Spec::PLAIN, W2);
    let b = play.add_started(Spec::PLAIN, W1);
    assert_eq!(play.finish(a, W2), [done(a)]);
    assert_eq!(play.finish(b, W1), [done(b)]);
    play.add_started(Spec::PLAIN, W1);
    play.add_started(Spec::PLAIN, W2);
}

#[test]
fn a_worker_with_more_slots_gets_more() {
    let mut play = Play::with_workers(1);
    assert_eq!(play.join(W1, 4), []);
    for _ in 0..7 {
        play.add(Spec::PLAIN);
    }
    assert_eq!((play.scheduler.in_flight(W0), play.scheduler.in_flight(W1)), (2, 5));
    play.add_waiting(Spec::PLAIN);
}

#[test]
fn unknown_durations_let_one_task_be_sent_ahead() {
    let mut play = Play::with_workers(1);
    play.fill(1);
    play.add_waiting(Spec::PLAIN);
}

#[test]
fn short_tasks_are_sent_ahead_as_soon_as_they_are_known_to_be_short() {
    let mut play = Play::with_workers(1);
    let [a, _] = play.fill(1)[..] else { unreachable!() };
    for _ in 0..100 {
        play.add_waiting(Spec::PLAIN);
    }
    play.feed(Event::Finished { worker: W0, task: a, made: Made { bytes: 0, resident: false }, ran_ns: 50_000 });
    assert_eq!(play.scheduler.in_flight(W0), 1 + 40, "2 ms are 40 tasks of 50 µs");
    let b = TaskId::new(1, 2);
    play.feed(Event::Finished { worker: W0, task: b, made: Made { bytes: 0, resident: false }, ran_ns: 10 });
    assert_eq!(play.scheduler.in_flight(W0), 1 + 79, "the mean halves at most");
}

#[test]
fn no_more_than_the_most_is_sent_ahead() {
    let mut play = Play::with_workers(1);
    let [a, _] = play.fill(1)[..] else { unreachable!() };
    for _ in 0..200 {
        play.add_waiting(Spec::PLAIN);
    }
    play.feed(Event::Finished { worker: W0, task: a, made: Made { bytes: 0, resident: false }, ran_ns: 10 });
    assert_eq!(play.scheduler.in_flight(W0), 1 + 128);
}

/// ```text
/// a (on 2) → b
/// ```
#[test]
fn a_task_goes_where_its_inputs_are() {
    let mut play = Play::with_workers(3);
    let a = play.add_started(Spec::PLAIN, W2);
    let x = play.add_started(Spec::PLAIN, W1);
    let b = play.add_waiting(Spec { inputs: &[a], after: &[x], ..Spec::PLAIN });
    assert_eq!(play.finish_resident(a, W2, 1_000_000), [done(a)]);
    // Worker 1 has become idle last, but the value is on worker 2.
    assert_eq!(play.finish(x, W1), [done(x), start(b, W2)]);
}

/// ```text
/// a (1 MB, on 2) ─┬→ c
/// b (3 MB, on 1) ─┘
/// ```
#[test]
fn the_fewest_bytes_move() {
    let mut play = Play::with_workers(3);
    let a = play.add_started(Spec::PLAIN, W2);
    let b = play.add_started(Spec::PLAIN, W1);
    let c = play.add_waiting(Spec { inputs: &[a, b], ..Spec::PLAIN });
    assert_eq!(play.finish_resident(b, W1, 3_000_000), [done(b)]);
    assert_eq!(play.finish_resident(a, W2, 1_000_000), [done(a), start(c, W1)]);
}

/// ```text
/// a (on 1) ─┬→ b, c
/// ```
#[test]
fn a_small_value_does_not_hold_its_consumers_on_a_busy_worker() {
    let mut play = Play::with_workers(2);
    let a = play.add_started(Spec::PLAIN, W1);
    let b = play.add_waiting(Spec { inputs: &[a], ..Spec::PLAIN });
    let c = play.add_waiting(Spec { inputs: &[a], ..Spec::PLAIN });
    assert_eq!(play.finish_resident(a, W1, 1_000), [done(a), start(b, W1), start(c, W0)]);
}

/// ```text
/// a (on 1) ─┬→ b, c       moving the value takes longer than b runs
/// ```
#[test]
fn a_large_value_keeps_its_consumers_on_its_worker() {
    let mut play = Play::with_workers(2);
    let a = play.add_started(Spec::PLAIN, W1);
    let b = play.add_waiting(Spec { inputs: &[a], ..Spec::PLAIN });
    let c = play.add_waiting(Spec { inputs: &[a], ..Spec::PLAIN });
    assert_eq!(play.finish_resident(a, W1, 1_000_000_000), [done(a), start(b, W1), start(c, W1)]);
}

/// ```text
/// v (at the controller, with a copy on 2) → b
/// ```
#[test]
fn a_value_at_the_controller_draws_to_its_copies_from_64_kib_on() {
    for (bytes, expected) in [((64 << 10) - 1, W0), (64 << 10, W2)] {
        let mut play = Play::with_workers(3);
        let value = play.next_id();
        play.feed(Event::Value { task: value, bytes });
        play.feed(Event::Copied { task: value, worker: W2 });
        // Worker 0 has become idle last.
        let x = play.add_started(Spec::PLAIN, W2);
        let y = play.add_started(Spec::PLAIN, W1);
        let z = play.add_started(Spec::PLAIN, W0);
        for (task, worker) in [(x, W2), (y, W1), (z, W0)] {
            assert_eq!(play.finish(task, worker), [done(task)]);
        }
        play.add_started(Spec { inputs: &[value], ..Spec::PLAIN }, expected);
    }
}

/// ```text
/// a (4 GiB, on 2) ─┬→ c      all of the size counts, also if its lower half is 0
/// b (3 GB, on 1) ──┘
/// ```
#[test]
fn values_of_any_size_are_weighed_in_full() {
    let mut play = Play::with_workers(3);
    let a = play.add_started(Spec::PLAIN, W2);
    let b = play.add_started(Spec::PLAIN, W1);
    let c = play.add_waiting(Spec { inputs: &[a, b], ..Spec::PLAIN });
    assert_eq!(play.finish_resident(a, W2, 1 << 32), [done(a)]);
    assert_eq!(play.finish_resident(b, W1, 3_000_000_000), [done(b), start(c, W2)]);
}

/// ```text
/// a → c, b → d            nobody has room when a and b end; each worker pulls what it has the input of
/// ```
#[test]
fn a_worker_that_pulls_takes_a_task_whose_input_it_has() {
    let mut play = Play::with_workers(2);
    let [a, b, e, f] = play.fill(2)[..] else { unreachable!() };
    let [x, y] = [0, 1].map(|_| play.add_waiting(Spec { priority: 1, ..Spec::PLAIN }));
    let c = play.add_waiting(Spec { inputs: &[a], ..Spec::PLAIN });
    let d = play.add_waiting(Spec { inputs: &[b], ..Spec::PLAIN });
    assert_eq!(play.finish_resident(a, W1, 1_000_000), [done(a), start(x, W1)]);
    assert_eq!(play.finish_resident(b, W0, 1_000_000), [done(b), start(y, W0)]);
    // In order c would be next.
    assert_eq!(play.finish(f, W0), [done(f), start(d, W0)]);
    assert_eq!(play.finish(e, W1), [done(e), start(c, W1)]);
}

/// ```text
/// a ⇢ b          b follows a
/// ```
#[test]
fn a_follower_waits_for_its_worker_though_others_are_idle() {
    let mut play = Play::with_workers(2);
    let a = play.add_started(Spec::PLAIN, W1);
    let b = play.add_waiting(Spec { follow: Some(a), ..Spec::PLAIN });
    let c = play.add_waiting(Spec { follow: Some(a), ..Spec::PLAIN });
    let d = play.add_waiting(Spec { follow: Some(a), ..Spec::PLAIN });
    assert_eq!(play.finish(a, W1), [done(a), start(b, W1), start(c, W1)]);
    assert_eq!(play.finish(b, W1), [done(b), start(d, W1)]);
}

/// ```text
/// a ⇢ b
/// └─→ c          c has the higher priority
/// ```
#[test]
fn a_more_urgent_task_goes_before_a_follower() {
    let mut play = Play::with_workers(1);
    let a = play.add_started(Spec::PLAIN, W0);
    let b = play.add_waiting(Spec { follow: Some(a), ..Spec::PLAIN });
    let c = play.add_waiting(Spec { after: &[a], priority: 1, ..Spec::PLAIN });
    assert_eq!(play.finish(a, W0), [done(a), start(c, W0), start(b, W0)]);
}

#[test]
fn a_follower_of_a_given_value_may_go_anywhere() {
    let mut play = Play::with_workers(1);
    let value = play.next_id();
    assert_eq!(play.feed(Event::Value { task: value, bytes: 10 }), []);
    play.add_started(Spec { follow: Some(value), ..Spec::PLAIN }, W0);
}

/// ```text
/// a ⇢ b          b fails twice
/// ```
#[test]
fn the_retry_of_a_follower_stays_on_its_worker() {
    let mut play = Play::with_workers(2);
    let a = play.add_started(Spec::PLAIN, W1);
    let b = play.add_waiting(Spec { follow: Some(a), retries: 1, ..Spec::PLAIN });
    assert_eq!(play.finish(a, W1), [done(a), start(b, W1)]);
    assert_eq!(play.fail(b, W1), [start_again(b, W1, 2)]);
    assert_eq!(play.fail(b, W1), [ended(b, End::Failed)]);
}

#[test]
fn of_tasks_added_together_the_most_urgent_starts_first() {
    let mut play = Play::with_workers(1);
    assert_eq!(play.feed(Event::Hold), []);
    play.add_waiting(Spec::PLAIN);
    play.add_waiting(Spec { priority: -3, ..Spec::PLAIN });
    let urgent = play.add_waiting(Spec { priority: 9, ..Spec::PLAIN });
    let next = play.add_waiting(Spec { priority: 5, ..Spec::PLAIN });
    assert_eq!(play.feed(Event::Resume), [start(urgent, W0), start(next, W0)]);
}
