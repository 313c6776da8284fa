//! Which of several ready tasks a worker gets, and which of several workers a task.

use super::*;

/// ```text
/// a ⇢ y          y follows a; x may go anywhere
/// ```
/// The one worker has room for one task.
#[test]
fn of_tasks_of_one_priority_a_follower_goes_first() {
    for (priority, follower_is_first) in [(-1, false), (0, true), (1, true)] {
        for is_full in [false, true] {
            let mut play = Play::with_workers(1);
            let a = play.add_started(Spec::PLAIN, W0);
            play.finish(a, W0);
            let b = play.add_started(Spec::PLAIN, W0);
            if is_full {
                play.add_started(Spec::PLAIN, W0);
            } else {
                play.feed(Event::Hold);
            }
            let x = play.add_waiting(Spec::PLAIN);
            let y = play.add_waiting(Spec { follow: Some(a), priority, ..Spec::PLAIN });
            let first = if follower_is_first { y } else { x };
            let starts = if is_full { play.finish(b, W0).split_off(1) } else { play.feed(Event::Resume) };
            assert_eq!(starts, [start(first, W0)], "priority {priority}, full: {is_full}");
        }
    }
}

/// Two workers report all that they had, and two tasks wait.
#[test]
fn what_is_left_is_shared_by_those_who_report_together() {
    let mut play = Play::with_workers(2);
    let [a, b, c, d] = play.fill(2)[..] else { unreachable!() };
    let [x, y] = [0, 1].map(|_| play.add_waiting(Spec::PLAIN));
    play.feed(Event::Hold);
    for (task, worker) in [(a, W1), (c, W1), (b, W0), (d, W0)] {
        assert_eq!(play.finish(task, worker), [done(task)]);
    }
    assert_eq!(play.feed(Event::Resume), [start(x, W0), start(y, W1)]);
}

/// ```text
/// a (on 0) → c, d, e
/// ```
#[test]
fn of_tasks_with_as_many_bytes_here_the_first_is_next() {
    let mut play = Play::with_workers(1);
    let [a, b] = play.fill(1)[..] else { unreachable!() };
    let x = play.add_waiting(Spec { priority: 1, ..Spec::PLAIN });
    let [c, d, _e] = [0, 1, 2].map(|_| play.add_waiting(Spec { inputs: &[a], ..Spec::PLAIN }));
    assert_eq!(play.finish_resident(a, W0, 1_000), [done(a), start(x, W0)]);
    assert_eq!(play.finish(b, W0), [done(b), start(c, W0)]);
    assert_eq!(play.finish(x, W0), [done(x), start(d, W0)]);
}

/// ```text
/// a (on 1) → first
/// b (on 0) → here, again and again
/// ```
/// Worker 1 stays busy. Worker 0 prefers what it has the input of, up to the seventeenth
/// time.
#[test]
fn a_task_is_passed_over_sixteen_times_and_then_it_is_next() {
    let mut play = Play::with_workers(2);
    let [a, b, _c, d] = play.fill(2)[..] else { unreachable!() };
    let [on_1, on_0] = [0, 1].map(|_| play.add_waiting(Spec { priority: 1, ..Spec::PLAIN }));
    let first = play.add_waiting(Spec { inputs: &[a], ..Spec::PLAIN });
    let here: Vec<TaskId> = (0..20).map(|_| play.add_waiting(Spec { inputs: &[b], ..Spec::PLAIN })).collect();
    assert_eq!(play.finish_resident(a, W1, 1_000), [done(a), start(on_1, W1)]);
    assert_eq!(play.finish_resident(b, W0, 1_000), [done(b), start(on_0, W0)]);
    let mut running = vec![d, on_0];
    for next in here[..16].iter().copied().chain([first, here[16]]) {
        let ends = running.remove(0);
        assert_eq!(play.finish(ends, W0), [done(ends), start(next, W0)]);
        running.push(next);
    }
}

/// ```text
/// a (no bytes, on 0) ─┬→ c      the value of b is at the controller alone
/// b (large) ──────────┘
/// ```
#[test]
fn a_value_without_bytes_draws_nobody() {
    let mut play = Play::with_workers(2);
    let b = play.next_id();
    play.feed(Event::Value { task: b, bytes: 1 << 20 });
    let x = play.add_started(Spec::PLAIN, W1);
    let a = play.add_started(Spec::PLAIN, W0);
    assert_eq!(play.finish_resident(a, W0, 0), [done(a)]);
    assert_eq!(play.finish(x, W1), [done(x)]);
    play.add_started(Spec { inputs: &[a, b], ..Spec::PLAIN }, W1);
}

#[test]
fn a_value_that_more_than_sixteen_workers_hold_draws_nobody() {
    for (copies, next) in [(16, WorkerId::new(15)), (17, WorkerId::new(17))] {
        let mut play = Play::with_workers(18);
        let value = play.next_id();
        play.feed(Event::Value { task: value, bytes: 1 << 20 });
        for worker in (0..copies).map(WorkerId::new) {
            play.feed(Event::Copied { task: value, worker });
        }
        // Workers 17 and 16 hold none, and 17 is the next of those that are idle.
        let (task, actions) = play.add(Spec { inputs: &[value], ..Spec::PLAIN });
        let [Action::Start { worker, .. }] = actions[..] else { panic!("{task} starts: {actions:?}") };
        assert_eq!(worker == next, copies == 17, "{copies} copies: {worker}");
    }
}

/// ```text
/// a (on 0) → c   0 is busy, 1 is not
/// ```
#[test]
fn a_task_goes_where_it_begins_first_moving_included() {
    // A byte takes a nanosecond, and a task 10 ms.
    for (bytes, next) in [(10_000_001, W0), (9_999_999, W1)] {
        let mut play = Play::with_workers(2);
        let [on_1, a] = [W1, W0].map(|worker| play.add_started(Spec::PLAIN, worker));
        assert_eq!(play.finish_resident(a, W0, bytes), [done(a)]);
        play.add_started(Spec::PLAIN, W0);
        assert_eq!(play.finish(on_1, W1), [done(on_1)]);
        play.add_started(Spec { inputs: &[a], ..Spec::PLAIN }, next);
    }
}
