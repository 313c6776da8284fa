//! What keeps a task, as people are told.

use super::*;
use crate::machine::scheduler::Why;

impl Play {
    fn why(&self, task: TaskId) -> Why {
        self.scheduler.why(task).unwrap_or_else(|| panic!("{task} has not ended"))
    }
}

/// ```text
/// a → b → c     a, d, e: ready or given     p follows a
///     after a ┘
/// ```
#[test]
fn each_task_is_told_by_what_keeps_it_wherever_it_waits() {
    let mut play = Play::with_workers(1);
    let running = play.fill(1);
    assert_eq!(play.why(running[0]), Why::With { worker: W0, before: 0 });
    assert_eq!(play.why(running[1]), Why::With { worker: W0, before: 1 });
    let a = play.add_waiting(Spec::PLAIN);
    let b = play.add_waiting(Spec { inputs: &[a], ..Spec::PLAIN });
    let c = play.add_waiting(Spec { inputs: &[b], after: &[a], ..Spec::PLAIN });
    let ordered = play.add_waiting(Spec { after: &[c], ..Spec::PLAIN });
    assert_eq!(play.why(a), Why::Room { aside: 0 });
    assert_eq!(play.why(b), Why::Tasks { first: a, count: 1 });
    assert_eq!(play.why(c), Why::Tasks { first: b, count: 2 });
    assert_eq!(play.why(ordered), Why::Tasks { first: c, count: 1 }, "no output of that is taken");
    let too_wide = play.add_waiting(wide(2));
    assert_eq!(play.why(too_wide), Why::Workers { wanted: 2, free: 0 });

    let all = play.scheduler.all_waiters(2);
    let of = |waiters: &crate::machine::scheduler::Waiters| {
        (waiters.count, waiters.first.iter().map(|(task, _)| *task).collect::<Vec<_>>())
    };
    assert_eq!((of(&all.room), of(&all.tasks)), ((1, vec![a]), (3, vec![b, c])));
    assert_eq!((of(&all.workers), all.given), ((1, vec![too_wide]), 2));
    assert_eq!(all.tasks.first[1].1, Why::Tasks { first: b, count: 2 });

    play.finish(running[0], W0);
    assert_eq!(play.scheduler.why(running[0]), None);
}

#[test]
fn what_may_run_in_one_place_only_or_elsewhere_only_is_told_so() {
    let mut play = Play::with_workers(1);
    let first = play.add_started(Spec { retries: 1, ..Spec::PLAIN }, W0);
    let (_, second) = (play.add(Spec::PLAIN), play.add_waiting(Spec { follow: Some(first), ..Spec::PLAIN }));
    assert_eq!(play.why(second), Why::Tasks { first, count: 1 });
    play.finish(first, W0);
    play.add(Spec::PLAIN);
    let third = play.add_waiting(Spec { follow: Some(first), ..Spec::PLAIN });
    assert!(matches!(play.why(third), Why::Worker(W0) | Why::With { worker: W0, .. }), "{:?}", play.why(third));
}

#[test]
fn a_wide_task_tells_how_many_workers_are_free_and_when_it_is_given_to_a_group() {
    let mut play = Play::with_workers(3);
    let busy = play.add(Spec::PLAIN).0;
    let task = play.add_waiting(wide(3));
    assert_eq!(play.why(task), Why::Workers { wanted: 3, free: 2 });
    let on = (0..3).map(WorkerId::new).find(|worker| play.scheduler.in_flight(*worker) > 0).expect("one runs it");
    play.finish(busy, on);
    assert_eq!(play.why(task), Why::Group);
}

#[test]
fn a_task_that_pauses_or_waits_for_a_worker_past_its_limit_is_told_so() {
    let mut play = Play::with_workers(1);
    let patience = Some(Patience { backoff_ns: 100, ..Patience::DEFAULT });
    let paused = play.add_started(Spec { retries: 1, patience: patience.as_ref(), ..Spec::PLAIN }, W0);
    assert_eq!(play.fail(paused, W0), []);
    play.pass(40);
    assert_eq!(play.why(paused), Why::Pause { left_ns: 60 });
    let leader = play.add_started(Spec::PLAIN, W0);
    play.finish(leader, W0);
    let slow = play.add_started(Spec { follow: Some(leader), retries: 1, ..Spec::PLAIN }, W0);
    play.feed(Event::Overdue { worker: W0, task: slow, retry: Retry::Again, is_silent: false });
    let ready = play.add_waiting(Spec::PLAIN);
    let follower = play.add_waiting(Spec { follow: Some(leader), ..Spec::PLAIN });
    assert_eq!(play.why(slow), Why::Aside(W0));
    assert_eq!(play.why(follower), Why::Aside(W0));
    assert_eq!(play.why(ready), Why::Room { aside: 1 });
    let all = play.scheduler.all_waiters(5);
    assert_eq!((all.pause.count, all.worker.count, all.room.count, all.given), (1, 2, 1, 0));
    assert_eq!(all.pause.first, [(paused, Why::Pause { left_ns: 60 })]);
}
