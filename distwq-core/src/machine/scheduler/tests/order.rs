//! Dependencies, priorities, and how failure spreads.

use super::*;

/// ```text
/// a → b
/// ```
#[test]
fn a_task_starts_when_its_input_has_ended() {
    let mut play = Play::with_workers(1);
    let a = play.add_started(Spec::PLAIN, W0);
    let b = play.add_waiting(Spec { inputs: &[a], ..Spec::PLAIN });
    assert_eq!(play.finish(a, W0), [done(a), start(b, W0)]);
    assert_eq!(play.finish(b, W0), [done(b)]);
    assert_eq!(play.scheduler.pending(), 0);
}

/// ```text
/// a ─┬→ b ─┬→ d
///    └→ c ─┘
/// ```
#[test]
fn a_join_waits_for_all_its_dependencies() {
    let mut play = Play::with_workers(2);
    let a = play.add_started(Spec::PLAIN, W1);
    let b = play.add_waiting(Spec { inputs: &[a], ..Spec::PLAIN });
    let c = play.add_waiting(Spec { after: &[a], ..Spec::PLAIN });
    let d = play.add_waiting(Spec { inputs: &[b, c, b], ..Spec::PLAIN });
    assert_eq!(play.finish(a, W1), [done(a), start(b, W1), start(c, W0)]);
    assert_eq!(play.finish(c, W0), [done(c)]);
    assert_eq!(play.finish(b, W1), [done(b), start(d, W1)]);
    assert_eq!(play.finish(d, W1), [done(d)]);
}

/// ```text
/// a → b → d      a fails; d is named with b, which it hangs on directly
/// └─→ c
/// ```
#[test]
fn what_depends_on_a_failed_task_ends_with_the_parent_named() {
    let mut play = Play::with_workers(1);
    let a = play.add_started(Spec::PLAIN, W0);
    let b = play.add_waiting(Spec { inputs: &[a], ..Spec::PLAIN });
    let c = play.add_waiting(Spec { after: &[a], ..Spec::PLAIN });
    let d = play.add_waiting(Spec { inputs: &[b], ..Spec::PLAIN });
    let ends = [
        ended(a, End::Failed),
        ended(b, End::Upstream { via: a }),
        ended(d, End::Upstream { via: b }),
        ended(c, End::Upstream { via: a }),
    ];
    assert_eq!(play.fail(a, W0), ends);
    assert_eq!(play.scheduler.pending(), 0);
}

/// ```text
/// a → b          b is added when a has failed already
/// ```
#[test]
fn a_task_added_behind_a_failed_one_ends_at_once() {
    let mut play = Play::with_workers(1);
    let a = play.add_started(Spec::PLAIN, W0);
    assert_eq!(play.fail(a, W0), [ended(a, End::Failed)]);
    let (b, actions) = play.add(Spec { after: &[a], ..Spec::PLAIN });
    assert_eq!(actions, [ended(b, End::Upstream { via: a })]);
}

/// ```text
/// a ─┬→ c        a fails, b still runs: the slot of c is kept until the link from b is gone
/// b ─┘
/// ```
#[test]
fn a_failed_task_keeps_its_slot_while_a_dependency_runs() {
    let mut play = Play::with_workers(2);
    let a = play.add_started(Spec::PLAIN, W1);
    let b = play.add_started(Spec::PLAIN, W0);
    let c = play.add_waiting(Spec { inputs: &[a, b], ..Spec::PLAIN });
    assert_eq!(play.drop_handle(c), []);
    assert_eq!(play.fail(a, W1), [ended(a, End::Failed), ended(c, End::Upstream { via: a })]);
    assert_eq!(play.finish(b, W0), [done(b), release(c, &[])]);
}

/// Ready tasks, in the order of addition: low, plain, long (a path of 5 hangs on it),
/// high.
#[test]
fn ready_tasks_go_by_priority_then_level_then_order() {
    let mut play = Play::with_workers(1);
    let [a, b] = play.fill(1)[..] else { unreachable!() };
    let low = play.add_waiting(Spec { priority: -1, ..Spec::PLAIN });
    let plain = play.add_waiting(Spec::PLAIN);
    let long = play.add_waiting(Spec { level: 5, ..Spec::PLAIN });
    let high = play.add_waiting(Spec { priority: 1, ..Spec::PLAIN });
    assert_eq!(play.finish(a, W0), [done(a), start(high, W0)]);
    assert_eq!(play.finish(b, W0), [done(b), start(long, W0)]);
    assert_eq!(play.finish(high, W0), [done(high), start(plain, W0)]);
    assert_eq!(play.finish(long, W0), [done(long), start(low, W0)]);
}

/// Levels around the largest that a plain task keeps with itself, and a priority that is
/// below all of them.
#[test]
fn levels_of_any_size_and_negative_priorities_are_kept_in_full() {
    let mut play = Play::with_workers(1);
    let mut running = play.fill(1);
    let limit = (1 << 16) - 1;
    let specs = [(-1, u32::MAX), (0, 0), (0, limit - 1), (0, limit), (0, limit + 1), (0, u32::MAX)];
    let tasks = specs.map(|(priority, level)| play.add_waiting(Spec { priority, level, ..Spec::PLAIN }));
    for next in tasks.into_iter().rev() {
        let first = running.remove(0);
        assert_eq!(play.finish(first, W0), [done(first), start(next, W0)]);
        running.push(next);
    }
}

/// Handed out to worker 1, which is lost: it comes before a plain task again.
#[test]
fn a_task_that_goes_back_keeps_its_level() {
    let mut play = Play::with_workers(2);
    let running = play.fill(2);
    let plain = play.add_waiting(Spec::PLAIN);
    let long = play.add_waiting(Spec { level: 5, ..Spec::PLAIN });
    let [on_1, on_0] = [running[0], running[1]];
    assert_eq!(play.finish(on_1, W1), [done(on_1), start(long, W1)]);
    let actions = play.lose(W1);
    assert!(actions.contains(&ended(running[2], End::WorkerLost { worker: W1 })), "{actions:?}");
    assert_eq!(play.finish(on_0, W0), [done(on_0), start(long, W0)]);
    assert_eq!(play.finish(running[3], W0), [done(running[3]), start(plain, W0)]);
}

/// ```text
/// a → b, c       both follow a: what few tasks have is noted of them when they are added, and the level with it
/// ```
#[test]
fn a_follower_keeps_its_level() {
    let mut play = Play::with_workers(1);
    let [a, _b] = play.fill(1)[..] else { unreachable!() };
    play.add_waiting(Spec { follow: Some(a), ..Spec::PLAIN });
    let long = play.add_waiting(Spec { follow: Some(a), level: 5, ..Spec::PLAIN });
    assert_eq!(play.finish(a, W0), [done(a), start(long, W0)]);
}

#[test]
fn a_task_for_no_worker_needs_one_all_the_same() {
    let mut play = Play::with_workers(0);
    let a = play.add_waiting(Spec { ranks: 0, priority: 1, ..Spec::PLAIN });
    let stall = play.scheduler.stalled().expect("nothing can move");
    assert_eq!(stall.waits, [(a, crate::machine::scheduler::Waits::Workers { wanted: 1, living: 0 })]);
}

#[test]
fn where_something_runs_nothing_is_stalled() {
    let mut play = Play::with_workers(2);
    assert_eq!(play.scheduler.stalled(), None, "there is no task");
    let a = play.add_started(Spec::PLAIN, W1);
    assert_eq!(play.scheduler.stalled(), None);
    play.add_waiting(wide(3));
    assert_eq!(play.scheduler.stalled(), None);
    play.finish(a, W1);
    assert!(play.scheduler.stalled().is_some());
    let (b, actions) = play.add(Spec { ranks: 2, ..Spec::PLAIN });
    assert_eq!(actions, [start_group(b, &[W0, W1])], "what needs two is collective");
    assert_eq!(play.scheduler.stalled(), None);
}

#[test]
fn while_events_are_held_a_follower_waits_for_its_worker() {
    let mut play = Play::with_workers(1);
    let a = play.add_started(Spec::PLAIN, W0);
    play.finish(a, W0);
    let mut actions = Actions::default();
    assert!(play.scheduler.handle(0, Event::Hold, &mut actions));
    let b = play.next_id();
    let spec = Spec { follow: Some(a), ..Spec::PLAIN };
    assert!(play.scheduler.handle(0, Event::Added { task: b, spec: &spec }, &mut actions));
    let stall = play.scheduler.stalled().expect("nothing moves until the events go on");
    assert_eq!(stall.waits, [(b, crate::machine::scheduler::Waits::Worker(W0))]);
    assert_eq!(play.feed(Event::Resume), [start(b, W0)]);
}

/// ```text
/// a → b          a runs, c is queued behind it, d waits for both slots
/// ```
/// ```text
/// a → b          a needs two workers of one
/// ```
#[test]
fn giving_up_ends_what_runs_as_well_and_its_report_is_refused() {
    let mut play = Play::with_workers(1);
    let a = play.add_started(Spec::PLAIN, W0);
    let b = play.add_waiting(Spec { inputs: &[a], retries: 1, ..Spec::PLAIN });
    let c = play.add_started(Spec::PLAIN, W0);
    let d = play.add_waiting(Spec::PLAIN);
    assert_eq!(play.feed(Event::GiveUp), [a, b, c, d].map(|task| ended(task, End::Stalled)));
    play.misfit(Event::Finished { worker: W0, task: a, made: Made { bytes: 0, resident: false }, ran_ns: 1 });
    assert_eq!(play.drop_handle(a), [release(a, &[])]);
    let after = play.add_started(Spec::PLAIN, W0);
    assert_eq!(play.finish(after, W0), [done(after)]);
}

#[test]
#[should_panic(expected = "fewer than 2^24 workers")]
fn more_workers_than_can_be_counted_are_refused_at_once() {
    Play::with_workers(0).join(WorkerId::new((1 << 24) - 1), 1);
}

#[test]
fn a_report_of_a_task_that_is_not_there_is_refused() {
    let mut play = Play::with_workers(2);
    let a = play.add_started(Spec::PLAIN, W1);
    play.misfit(Event::Finished { worker: W0, task: a, made: Made { bytes: 0, resident: false }, ran_ns: 1 });
    play.misfit(Event::Failed { worker: W1, task: TaskId::new(0, 7), ran_ns: 1, retry: Retry::Again });
    play.misfit(Event::Returned { worker: W1, tasks: &[a] });
    play.misfit(Event::Joined { worker: W1, slots: 1 });
    play.misfit(Event::Lost { worker: W2 });
    assert_eq!(play.finish(a, W1), [done(a)]);
    play.misfit(Event::Finished { worker: W1, task: a, made: Made { bytes: 0, resident: false }, ran_ns: 1 });
}

#[test]
fn without_workers_tasks_wait_for_the_first_to_join() {
    let mut play = Play::with_workers(0);
    let a = play.add_waiting(Spec::PLAIN);
    let stall = play.scheduler.stalled().expect("nothing can move");
    assert_eq!(stall.waits, [(a, crate::machine::scheduler::Waits::Workers { wanted: 1, living: 0 })]);
    assert_eq!(play.join(W0, 1), [start(a, W0)]);
    assert_eq!(play.scheduler.stalled(), None);
}

/// ```text
/// a → b (input), a ⇢ c (after): b, c hang on a, whose handle is gone
/// ```
#[test]
fn a_task_that_fails_goes_after_those_whose_ends_name_it() {
    let mut play = Play::with_workers(1);
    let a = play.add_started(Spec::PLAIN, W0);
    let b = play.add_waiting(Spec { inputs: &[a], ..Spec::PLAIN });
    let c = play.add_waiting(Spec { after: &[a], ..Spec::PLAIN });
    assert_eq!(play.drop_handle(a), []);
    assert_eq!(
        play.fail(a, W0),
        [
            ended(a, End::Failed),
            ended(b, End::Upstream { via: a }),
            ended(c, End::Upstream { via: a }),
            release(a, &[])
        ]
    );
}

/// ```text
/// a → b          a needs two workers of one
/// ```
#[test]
fn giving_up_ends_all_that_is_pending_as_stalled() {
    let mut play = Play::with_workers(1);
    let a = play.add_waiting(wide(2));
    let b = play.add_waiting(Spec { inputs: &[a], ..Spec::PLAIN });
    let stall = play.scheduler.stalled().expect("nothing can move");
    let waits = [
        (a, crate::machine::scheduler::Waits::Workers { wanted: 2, living: 1 }),
        (b, crate::machine::scheduler::Waits::Task(a)),
    ];
    assert_eq!((stall.pending, &stall.waits[..]), (2, &waits[..]));
    assert_eq!(play.feed(Event::GiveUp), [ended(a, End::Stalled), ended(b, End::Stalled)]);
    assert_eq!(play.scheduler.stalled(), None);
}
