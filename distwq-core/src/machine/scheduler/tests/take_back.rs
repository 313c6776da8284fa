//! Work that moves from a loaded worker to one that has run dry.

use super::*;

/// Two workers, each with two tasks: one runs, one is ahead.
fn two_and_two() -> (Play, [TaskId; 4]) {
    let mut play = Play::with_workers(2);
    let tasks = play.fill(2).try_into().expect("four tasks");
    (play, tasks)
}

#[test]
fn a_dry_worker_gets_what_a_silent_one_has_not_begun() {
    let (mut play, [a, b, c, d]) = two_and_two();
    assert_eq!(play.finish(a, W1), [done(a)]);
    assert_eq!(play.finish(c, W1), [done(c)]);
    // Worker 0 runs b and has d; after a while that is worth a message.
    assert_eq!(play.pass(900_000), []);
    assert_eq!(play.pass(100_000), [take_back(W0, &[d])]);
    assert_eq!(play.pass(5_000_000), [], "asked once at a time");
    assert_eq!(play.give_back(W0, &[d]), [start(d, W1)]);
    assert_eq!(play.finish(b, W0), [done(b)]);
}

#[test]
fn what_has_begun_meanwhile_stays() {
    let (mut play, [a, b, c, d]) = two_and_two();
    play.finish(a, W1);
    play.finish(c, W1);
    assert_eq!(play.pass(1_000_000), [take_back(W0, &[d])]);
    assert_eq!(play.finish(b, W0), [done(b)]);
    assert_eq!(play.give_back(W0, &[]), []);
    assert_eq!(play.finish(d, W0), [done(d)]);
}

#[test]
fn the_later_half_of_a_long_queue_is_asked_for() {
    let mut play = Play::with_workers(1);
    let tasks = play.fill(1);
    let more: Vec<TaskId> = (0..10).map(|_| play.add_waiting(Spec::PLAIN)).collect();
    play.feed(Event::Finished { worker: W0, task: tasks[0], made: Made { bytes: 0, resident: false }, ran_ns: 50_000 });
    // One runs and ten are ahead, half a millisecond's worth: worth it at once.
    assert_eq!(play.join(W1, 1), [take_back(W0, &more[5..])]);
    let actions = play.give_back(W0, &more[5..]);
    assert_eq!(actions[0], start(more[5], W1));
    assert_eq!(play.scheduler.in_flight(W1), 2, "no more than are sent ahead of unknown durations");
}

#[test]
fn a_short_queue_of_tiny_tasks_is_left_alone() {
    let mut play = Play::with_workers(2);
    let mut tasks = play.fill(2);
    for turn in 0..100 {
        play.now_ns += 5_000;
        let worker = if turn % 2 == 0 { W1 } else { W0 };
        let Some(task) = play.scheduler.in_flight_tasks(worker).next() else { continue };
        let actions =
            play.feed(Event::Finished { worker, task, made: Made { bytes: 0, resident: false }, ran_ns: 10_000 });
        assert_eq!(actions, [done(task)]);
        tasks.push(play.add(Spec::PLAIN).0);
        assert_eq!(play.feed(Event::Tick), []);
    }
}

/// ```text
/// a (1 GB, on 1) → b, c       to move the value would take longer than to wait
/// ```
#[test]
fn a_task_that_is_dear_to_move_stays() {
    let mut play = Play::with_workers(2);
    let a = play.add_started(Spec::PLAIN, W1);
    let [b, c] = [0, 1].map(|_| play.add_waiting(Spec { inputs: &[a], ..Spec::PLAIN }));
    assert_eq!(play.finish_resident(a, W1, 1_000_000_000), [done(a), start(b, W1), start(c, W1)]);
    assert_eq!(play.pass(2_000_000), []);
    // The measured durations were wrong by far.
    assert_eq!(play.pass(2_000_000_000), [take_back(W1, &[c])]);
}

/// ```text
/// a ⇢ b, c       both follow a
/// ```
#[test]
fn a_follower_is_not_asked_for() {
    let mut play = Play::with_workers(2);
    let a = play.add_started(Spec::PLAIN, W1);
    let [b, c] = [0, 1].map(|_| play.add_waiting(Spec { follow: Some(a), ..Spec::PLAIN }));
    assert_eq!(play.finish(a, W1), [done(a), start(b, W1), start(c, W1)]);
    assert_eq!(play.pass(1_000_000_000), []);
}

/// ```text
/// a b c d        two on each worker
/// e              needs three workers of two
/// ```
#[test]
fn the_answer_to_a_question_from_before_all_was_given_up_does_not_answer_a_later_one() {
    let (mut play, [a, b, c, d]) = two_and_two();
    let e = play.add_waiting(wide(3));
    play.finish(a, W1);
    play.finish(c, W1);
    assert_eq!(play.pass(1_000_000), [take_back(W0, &[d])]);
    play.finish(b, W0);
    play.finish(d, W0);
    assert_eq!(play.feed(Event::GiveUp), [ended(e, End::Stalled)]);
    let [f, g, h, i] = play.fill(2).try_into().expect("four tasks");
    let places = [W0, W1].map(|worker| play.scheduler.in_flight_tasks(worker).collect::<Vec<_>>());
    assert_eq!(places, [[f, h], [g, i]]);
    play.finish(g, W1);
    play.finish(i, W1);
    assert_eq!(play.pass(1_000_000_000), [], "it has not answered yet");
    assert_eq!(play.give_back(W0, &[]), []);
    assert_eq!(play.pass(2_000_000_000), [take_back(W0, &[h])]);
    assert_eq!(play.give_back(W0, &[h]), [start(h, W1)]);
}
