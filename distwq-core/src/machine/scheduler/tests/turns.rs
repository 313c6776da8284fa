//! Origins take turns.

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

/// More than have a lane each: the last ones share, and every task has its turn.
#[test]
fn any_number_of_origins_take_turns() {
    let mut full = Full::new();
    let origins = 300;
    let mut waiting: Vec<TaskId> =
        (1..=origins).flat_map(|origin| [0; 2].map(|_| full.play.add_waiting(of(origin)))).collect();
    let first: Vec<TaskId> = (0..255).map(|_| full.next()).collect();
    assert_eq!(first, waiting.iter().copied().step_by(2).take(255).collect::<Vec<_>>(), "each has a turn");
    for _ in 255..2 * origins {
        let next = full.next();
        waiting.retain(|task| *task != next);
    }
    waiting.retain(|task| !first.contains(task));
    assert_eq!(waiting, []);
    // Their lanes are free for others.
    let later = [1, 2, 1, 2].map(|origin| full.play.add_waiting(of(5_000 + origin)));
    let next = [0; 4].map(|_| full.next());
    let origins = next.map(|task| later.iter().position(|later| *later == task).expect("no others wait") % 2);
    assert!(origins == [0, 1, 0, 1] || origins == [1, 0, 1, 0], "{origins:?}");
}
