//! How much a worker gets ahead by what it has measured, and which of several loaded
//! workers is next.

use super::*;

/// Workers of so many slots that have each run one short task, and may have 1,000 tasks
/// ahead for each slot; and these tasks, for others to follow. They became idle in this
/// order.
fn short(slots: [u32; 2], order: [usize; 2]) -> (Play, [TaskId; 2]) {
    let settings = Settings { prefetch_tasks_max: 1_000, ..Settings::default() };
    let mut play = Play::with_slots(settings, slots);
    // The last to join is idle last.
    let [on_1, on_0] = [W1, W0].map(|worker| play.add_started(Spec::PLAIN, worker));
    let leaders = [on_0, on_1];
    for worker in order {
        play.finish_after(1, leaders[worker], [W0, W1][worker]);
    }
    (play, leaders)
}

#[test]
fn of_two_workers_the_one_that_should_be_through_first_is_next() {
    // Slots, tasks in flight, who is next.
    let table = [
        ([4, 4], [0, 1], W0),
        ([8, 8], [0, 1], W0),
        ([4, 4], [1, 2], W0),
        ([4, 4], [3, 2], W1),
        ([4, 2], [3, 2], W0),
        ([2, 4], [1, 1], W1),
        ([16, 1], [15, 2], W0),
        ([1, 1], [2, 3], W0),
        ([1, 1], [9, 8], W1),
        // One waits for each slot of the one, two for that of the other.
        ([1, 2], [3, 5], W1),
        ([1, 2], [2, 6], W0),
        ([1, 2], [3, 8], W0),
        ([2, 3], [4, 5], W1),
        // From eight on, so many share a bucket.
        ([1, 1], [1 + 15, 1 + 16], W0),
        ([1, 1], [1 + 8, 1 + 7], W1),
        ([1, 1], [1 + 24, 1 + 23], W1),
        ([1, 1], [1 + 240, 1 + 248], W0),
        ([1, 1], [1 + 256, 1 + 248], W1),
    ];
    for (slots, loads, next) in table {
        for order in [[0, 1], [1, 0]] {
            let (mut play, leaders) = short(slots, order);
            for worker in order {
                for _ in 0..loads[worker] {
                    let spec = Spec { follow: Some(leaders[worker]), ..Spec::PLAIN };
                    play.add_started(spec, [W0, W1][worker]);
                }
            }
            let (task, actions) = play.add(Spec::PLAIN);
            assert_eq!(actions, [start(task, next)], "{slots:?} {loads:?}, loaded in the order {order:?}");
        }
    }
}

#[test]
fn of_workers_of_like_load_the_one_that_has_had_so_much_for_longest_is_next() {
    // In steps of eight, from nine tasks on.
    for [first, second] in [[9, 9], [16, 9], [9, 16], [17, 24]] {
        for order in [[0, 1], [1, 0]] {
            let (mut play, leaders) = short([1, 1], order);
            for (worker, load) in order.into_iter().zip([first, second]) {
                for _ in 0..load {
                    let spec = Spec { follow: Some(leaders[worker]), ..Spec::PLAIN };
                    play.add_started(spec, [W0, W1][worker]);
                }
            }
            play.add_started(Spec::PLAIN, [W0, W1][order[0]]);
        }
    }
}

#[test]
fn a_worker_gets_so_many_ahead_for_each_slot_as_fill_two_milliseconds() {
    // Slots; how long each task ran, and how many are ahead then. The mean of what was
    // measured goes down by half of what a task was shorter, and up by a quarter of what
    // it was longer.
    let table: [(u32, &[(u64, usize)]); 8] = [
        (1, &[(100_000, 20), (120_000, 19), (105_000, 19)]),
        (1, &[(1_000_000, 2), (200_000, 3), (600_000, 3)]),
        (1, &[(1_000_000, 2), (1, 4), (500_000, 4)]),
        (1, &[(3_000_000, 1), (3_000_000, 1)]),
        (4, &[(100_000, 80), (100_000, 80)]),
        (3, &[(3_000_000, 1)]),
        (2, &[(1, 256)]),
        (1, &[(2_000_000 / 128, 128), (2_000_000 / 128, 128)]),
    ];
    for (slots, tasks) in table {
        let mut play = Play::with_slots(Settings::default(), [slots]);
        (0..400).for_each(|_| drop(play.add(Spec::PLAIN)));
        for (turn, (ran_ns, ahead)) in tasks.iter().enumerate() {
            let first = play.first_on(W0);
            play.finish_after(*ran_ns, first, W0);
            let has = play.scheduler.in_flight(W0);
            assert_eq!(has, slots as usize + ahead, "{slots} slots, {tasks:?}, task {turn}");
        }
    }
}

#[test]
fn the_queue_of_a_worker_may_be_of_any_length() {
    let settings = Settings { prefetch_tasks_max: 1_000, ..Settings::default() };
    let mut play = Play::with_slots(settings, [1]);
    let [first, _] = play.fill(1)[..] else { unreachable!() };
    (0..1_200).for_each(|_| drop(play.add(Spec::PLAIN)));
    play.finish_after(1, first, W0);
    assert_eq!(play.scheduler.in_flight(W0), 1 + 1_000);
}
