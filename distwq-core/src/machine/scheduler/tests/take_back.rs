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
    // The new one gets no more than are sent ahead of unknown durations, the rest goes
    // back, and nobody is asked again.
    let starts = [(5, W1), (6, W1), (7, W0), (8, W0), (9, W0)].map(|(index, worker)| start(more[index], worker));
    assert_eq!(play.give_back(W0, &more[5..]), starts);
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
    let in_flight = [W0, W1].map(|worker| play.scheduler.in_flight_tasks(worker).collect::<Vec<_>>());
    assert_eq!(in_flight, [[f, h], [g, i]]);
    play.finish(g, W1);
    play.finish(i, W1);
    assert_eq!(play.pass(1_000_000_000), [], "it has not answered yet");
    assert_eq!(play.give_back(W0, &[]), []);
    assert_eq!(play.pass(2_000_000_000), [take_back(W0, &[h])]);
    assert_eq!(play.give_back(W0, &[h]), [start(h, W1)]);
}

/// A worker of so many slots has run one task for so long, and has so many ahead when an
/// idle one joins.
fn one_ahead_of_the_other(slots: u32, ran_ns: u64, queued: usize) -> (Play, Vec<TaskId>) {
    let mut play = Play::with_slots(Settings::default(), [slots]);
    let tasks: Vec<TaskId> = (0..=slots as usize + queued).map(|_| play.add(Spec::PLAIN).0).collect();
    play.finish_after(ran_ns, tasks[0], W0);
    assert_eq!(play.scheduler.in_flight(W0), slots as usize + queued);
    (play, tasks)
}

#[test]
fn a_queue_is_worth_asking_for_from_a_fifth_of_a_millisecond_on_or_after_a_silence() {
    let table = [
        (1, 50_000, 4, true),
        (1, 50_000, 3, false),
        (1, 66_667, 3, true),
        (1, 66_666, 3, false),
        (2, 100_000, 4, true),
        (2, 100_000, 3, false),
    ];
    for (slots, ran_ns, queued, is_worth_it) in table {
        let (mut play, tasks) = one_ahead_of_the_other(slots, ran_ns, queued);
        let later_half = [take_back(W0, &tasks[tasks.len() - queued.div_ceil(2)..])];
        let actions = play.join(W1, 1);
        if is_worth_it {
            assert_eq!(actions, later_half, "{slots} {ran_ns} {queued}");
        } else {
            assert_eq!(
                (actions, play.scheduler.next_deadline()),
                (vec![], Some(1_000_000)),
                "{slots} {ran_ns} {queued}"
            );
            assert_eq!(play.pass(999_999), []);
            assert_eq!(play.pass(1), later_half);
        }
        assert_eq!(play.scheduler.next_deadline(), None, "it has been asked");
    }
}

#[test]
fn the_longest_queue_is_asked_for_first() {
    for (few, many) in [(W0, W1), (W1, W0)] {
        let mut play = Play::with_workers(2);
        let first = play.fill(2);
        (0..40).for_each(|_| drop(play.add(Spec::PLAIN)));
        for task in first {
            let worker = [W0, W1].into_iter().find(|worker| play.first_on(*worker) == task).expect("it is first there");
            play.finish_after(100_000, task, worker);
        }
        for _ in 0..10 {
            let task = play.first_on(few);
            play.finish_after(100_000, task, few);
        }
        let held = play.scheduler.in_flight_tasks(many).collect::<Vec<_>>();
        let later_half = &held[held.len() - (held.len() - 1).div_ceil(2)..];
        assert_eq!(play.join(W2, 1), [take_back(many, later_half)]);
    }
}

/// ```text
/// slots of worker 0: y, behind it u; of worker 1: x, z
/// ```
#[test]
fn a_worker_with_one_of_its_slots_free_gets_what_another_has_queued() {
    let mut play = Play::with_slots(Settings::default(), [1, 2]);
    let [_x, _y, z, u] = [W1, W0, W1, W0].map(|worker| play.add_started(Spec::PLAIN, worker));
    assert_eq!(play.scheduler.next_deadline(), None, "nobody has a slot free");
    assert_eq!(play.finish(z, W1), [done(z)]);
    assert_eq!(play.pass(1_000_000), [take_back(W0, &[u])]);
}

#[test]
fn nobody_is_asked_where_nobody_has_a_slot_free_or_nothing_is_queued() {
    let (mut play, _) = two_and_two();
    assert_eq!((play.scheduler.next_deadline(), play.pass(1_000_000_000)), (None, vec![]));
    let mut play = Play::with_workers(2);
    play.add_started(Spec::PLAIN, W1);
    assert_eq!((play.scheduler.next_deadline(), play.pass(1_000_000_000)), (None, vec![]));
    // What is held may still be for the idle one.
    let (mut play, [a, _, c, _]) = two_and_two();
    play.finish(a, W1);
    play.finish(c, W1);
    assert_eq!(play.scheduler.next_deadline(), Some(1_000_000));
    play.feed(Event::Hold);
    assert_eq!(play.scheduler.next_deadline(), None);
    play.add_waiting(Spec::PLAIN);
    assert_eq!(play.pass(1_000_000), []);
}

#[test]
fn the_longer_a_worker_has_been_silent_the_later_it_is_asked_again() {
    let (mut play, [a, b, c, d]) = two_and_two();
    play.finish(a, W1);
    play.finish(c, W1);
    for (silent_ns, next) in [(1_000_000, 2_000_000), (2_000_000, 4_000_000), (5_000_000, 10_000_000)] {
        assert_eq!(play.pass(silent_ns - play.now_ns), [take_back(W0, &[d])]);
        assert_eq!(play.give_back(W0, &[]), [], "it has begun, or the answer is late");
        assert_eq!(play.scheduler.next_deadline(), Some(next));
    }
    // A report ends the silence: from here on the pause is a short one.
    assert_eq!(play.pass(1_000_000), []);
    assert_eq!(play.finish(b, W0), [done(b)]);
}

/// Worker 0 gets work at 5 ms, and more of it before the other one runs dry.
#[test]
fn the_silence_of_a_worker_begins_when_it_gets_work_while_it_has_none() {
    let mut play = Play::with_workers(2);
    play.pass(5_000_000);
    let [a, _b] = [W1, W0].map(|worker| play.add_started(Spec::PLAIN, worker));
    play.pass(500_000);
    let [c, d] = [W1, W0].map(|worker| play.add_started(Spec::PLAIN, worker));
    play.finish(a, W1);
    play.finish(c, W1);
    assert_eq!(play.scheduler.next_deadline(), Some(6_000_000));
    assert_eq!(play.pass(500_000), [take_back(W0, &[d])]);
}

/// ```text
/// a              fails on 1
/// b              runs on 0
/// ```
#[test]
fn a_task_that_has_failed_elsewhere_is_not_asked_for() {
    let mut play = Play::with_workers(2);
    let a = play.add_started(Spec { retries: 1, ..Spec::PLAIN }, W1);
    play.add_started(Spec::PLAIN, W0);
    assert_eq!(play.fail(a, W1), [start_again(a, W0, 2)]);
    assert_eq!(play.scheduler.next_deadline(), Some(1_000_000));
    assert_eq!(play.pass(1_000_000), []);
    assert_eq!(play.scheduler.next_deadline(), Some(2_000_000), "there was nothing to ask for");
}

#[test]
fn an_answer_that_was_not_asked_for_or_names_others_is_refused() {
    let (mut play, [a, b, c, d]) = two_and_two();
    play.misfit(Event::Returned { worker: W0, tasks: &[] });
    play.finish(a, W1);
    play.finish(c, W1);
    assert_eq!(play.pass(1_000_000), [take_back(W0, &[d])]);
    play.misfit(Event::Returned { worker: W0, tasks: &[d, c] });
    play.misfit(Event::Returned { worker: W1, tasks: &[] });
    assert_eq!(play.lose(W0), [ended(b, End::WorkerLost { worker: W0 }), start(d, W1)]);
    play.misfit(Event::Returned { worker: W0, tasks: &[] });
}
