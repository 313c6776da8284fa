//! Origins take turns.

use super::super::lanes::{LANES, Lane, Lanes};
use super::*;
use crate::id::{CollectorId, Origin};

/// A task of the origin of this number.
fn of(origin: u64) -> Spec<'static> {
    Spec { origin: Origin::Collected(CollectorId(origin)), ..Spec::PLAIN }
}

/// One worker, which always has two tasks.
struct Full {
    play: Play,
    running: Vec<TaskId>,
}

impl Full {
    fn new() -> Self {
        let mut play = Play::with_workers(1);
        let running = play.fill(1);
        Self { play, running }
    }

    /// Its first task ends: gives the one that starts.
    fn next(&mut self) -> TaskId {
        let first = self.running.remove(0);
        let actions = self.play.finish(first, W0);
        let [ended, Action::Start { task, .. }] = &actions[..] else { panic!("{actions:?}") };
        assert_eq!(ended, &done(first));
        self.running.push(*task);
        *task
    }
}

/// ```text
/// a a a a        added first
/// b b
/// c              added one by one, by nobody who collects
/// ```
#[test]
fn one_task_of_each_origin_is_next_in_turn() {
    let mut full = Full::new();
    let a = [0; 4].map(|_| full.play.add_waiting(of(1)));
    let b = [0; 2].map(|_| full.play.add_waiting(of(2)));
    let c = full.play.add_waiting(Spec::PLAIN);
    for next in [a[0], b[0], c, a[1], b[1], a[2], a[3]] {
        assert_eq!(full.next(), next);
    }
}

/// Long paths hang on tasks of one origin only, and of that they come first.
#[test]
fn a_long_path_goes_first_among_the_tasks_of_its_origin_only() {
    let mut full = Full::new();
    let short = full.play.add_waiting(of(1));
    let long = [0; 2].map(|_| full.play.add_waiting(Spec { level: 5, ..of(1) }));
    let other = [0; 2].map(|_| full.play.add_waiting(of(2)));
    for next in [long[0], other[0], long[1], other[1], short] {
        assert_eq!(full.next(), next);
    }
}

#[test]
fn a_more_urgent_task_goes_before_those_of_all_origins() {
    let mut full = Full::new();
    let plain = [1, 2, 1, 2].map(|origin| full.play.add_waiting(of(origin)));
    let urgent = [3, 1, 3].map(|origin| full.play.add_waiting(Spec { priority: 1, ..of(origin) }));
    let low = [3, 2].map(|origin| full.play.add_waiting(Spec { priority: -1, ..of(origin) }));
    for of_one_priority in [&urgent[..], &plain, &low] {
        let next: Vec<TaskId> = of_one_priority.iter().map(|_| full.next()).collect();
        assert!(next.iter().all(|task| of_one_priority.contains(task)), "{next:?} of {of_one_priority:?}");
    }
}

#[test]
fn a_cancelled_task_takes_no_turn() {
    let mut full = Full::new();
    let [a, b, c, d] = [1, 1, 2, 3].map(|origin| full.play.add_waiting(of(origin)));
    full.play.feed(Event::Cancel { tasks: &[c] });
    for next in [a, d, b] {
        assert_eq!(full.next(), next);
    }
}

/// ```text
/// first ⇢ f f f      they follow it, so only this worker may run them
/// x x                of another origin
/// ```
#[test]
fn followers_take_turns_with_tasks_of_other_origins() {
    let mut full = Full::new();
    let first = full.running[0];
    let f = [0; 3].map(|_| full.play.add_waiting(Spec { follow: Some(first), level: 5, ..of(1) }));
    let x = [0; 2].map(|_| full.play.add_waiting(of(2)));
    for next in [f[0], x[0], f[1], x[1], f[2]] {
        assert_eq!(full.next(), next);
    }
}

/// A task fails each time, and the only worker has to try it again.
#[test]
fn retries_take_turns_with_tasks_that_have_not_failed() {
    let mut play = Play::with_workers(1);
    let fails = play.add_started(Spec { retries: 9, ..of(1) }, W0);
    let other = play.add_started(Spec::PLAIN, W0);
    let x = [0; 2].map(|_| play.add_waiting(of(2)));
    assert_eq!(play.fail(fails, W0), [start_again(fails, W0, 2)]);
    assert_eq!(play.finish(other, W0), [done(other), start(x[0], W0)]);
    assert_eq!(play.fail(fails, W0), [start_again(fails, W0, 3)]);
    assert_eq!(play.finish(x[0], W0), [done(x[0]), start(x[1], W0)]);
}

/// More origins come than there are lanes, one after another and then all together.
#[test]
fn lanes_are_used_again_and_shared_when_all_are_taken() {
    let mut lanes = Lanes::default();
    let origin = |number: u64| Origin::Collected(CollectorId(number));
    for number in 0..3 * LANES as u64 {
        let lane = lanes.enter(origin(number));
        assert_eq!(lanes.enter(origin(number)), lane);
        (0..2).for_each(|_| lanes.leave(lane));
        assert_eq!(lane.index(), 1, "the only other one is free again");
    }
    let taken: Vec<Lane> = (0..LANES as u64 - 1).map(|number| lanes.enter(origin(number))).collect();
    assert!((1..LANES).all(|index| taken.iter().any(|lane| lane.index() == index)), "each has its own");
    let shared = lanes.enter(origin(1 << 40));
    assert!(shared != Lane::ALONE && lanes.enter(Origin::Alone) == Lane::ALONE);
    assert_eq!(lanes.pending().map(|(_, pending)| pending).sum::<usize>(), LANES + 1);
    lanes.leave(taken[6]);
    assert_eq!((lanes.enter(origin(2 << 40)), lanes.enter(origin(5))), (taken[6], taken[5]));
}

#[test]
fn hundreds_of_origins_take_turns() {
    let mut full = Full::new();
    let origins = 300;
    let waiting: Vec<[TaskId; 2]> =
        (1..=origins).map(|origin| [0; 2].map(|_| full.play.add_waiting(of(origin)))).collect();
    for round in 0..2 {
        for of_one in &waiting {
            assert_eq!(full.next(), of_one[round]);
        }
    }
}
