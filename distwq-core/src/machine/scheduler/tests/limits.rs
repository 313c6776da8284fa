//! Limits: attempts that are given up, waits, pauses, deadlines, and where a task is not
//! to run.

use super::*;
use crate::outcome::error::Limit;

const fn patient(patience: &Patience) -> Spec<'_> {
    Spec { patience: Some(patience), ..Spec::PLAIN }
}

fn reached(limit: Limit) -> End {
    End::LimitReached { limit }
}

impl Play {
    fn overrun(&mut self, task: TaskId, worker: WorkerId, retry: Retry) -> Vec<Whole> {
        self.feed(Event::Overdue { worker, task, retry, is_silent: false })
    }

    fn back(&mut self, task: TaskId, worker: WorkerId) -> Vec<Whole> {
        self.feed(Event::Back { worker, task })
    }

    fn fail_as(&mut self, task: TaskId, worker: WorkerId, retry: Retry) -> Vec<Whole> {
        self.feed(Event::Failed { worker, task, ran_ns: LONG_NS, retry })
    }
}

#[test]
fn a_worker_gets_nothing_until_the_attempt_that_was_given_up_returns() {
    let mut play = Play::with_workers(1);
    let slow = play.add_started(Spec::PLAIN, W0);
    let ahead = play.add_started(Spec::PLAIN, W0);
    let actions = play.overrun(slow, W0, Retry::Never);
    assert_eq!(actions, [take_back(W0, &[ahead]), ended(slow, reached(Limit::Run))]);
    assert_eq!(play.give_back(W0, &[ahead]), []);
    let waiting = play.add_waiting(Spec::PLAIN);
    assert_eq!(play.back(slow, W0), [start(ahead, W0), start(waiting, W0)]);
    play.misfit(Event::Back { worker: W0, task: slow });
}

#[test]
fn the_other_slots_of_a_worker_go_on() {
    let mut play = Play::with_slots(Settings::default(), [2]);
    let slow = play.add_started(Spec::PLAIN, W0);
    let other = play.add_started(Spec::PLAIN, W0);
    assert_eq!(play.overrun(slow, W0, Retry::Never), [ended(slow, reached(Limit::Run))]);
    let next = play.add_started(Spec::PLAIN, W0);
    let after = play.add_waiting(Spec::PLAIN);
    assert_eq!(play.finish(other, W0), [done(other), start(after, W0)]);
    assert_eq!(play.finish(next, W0), [done(next)]);
}

#[test]
fn an_attempt_after_one_that_was_given_up_runs_elsewhere_or_when_that_has_returned() {
    let mut play = Play::with_slots(Settings::default(), [2, 1]);
    let slow = play.add_started(Spec { retries: 2, ..Spec::PLAIN }, W1);
    assert_eq!(play.overrun(slow, W1, Retry::Again), [start_again(slow, W0, 2)]);
    // W0 has a slot left, but its first attempt still runs there.
    assert_eq!(play.overrun(slow, W0, Retry::Again), []);
    assert_eq!(play.back(slow, W0), [start_again(slow, W0, 3)]);
    assert_eq!(play.overrun(slow, W0, Retry::Again), [ended(slow, reached(Limit::Run))]);
}

#[test]
fn a_follower_waits_for_its_own_attempt_to_return() {
    let mut play = Play::with_slots(Settings::default(), [2, 2]);
    let leader = play.add_started(Spec::PLAIN, W1);
    play.finish(leader, W1);
    let slow = play.add_started(Spec { follow: Some(leader), retries: 1, ..Spec::PLAIN }, W1);
    assert_eq!(play.overrun(slow, W1, Retry::Again), []);
    assert_eq!(play.back(slow, W1), [start_again(slow, W1, 2)]);
}

#[test]
fn what_waits_for_stuck_workers_alone_ends_after_the_grace_and_the_rest_goes_on() {
    let grace_ns = Settings::default().stuck_grace_ns;
    let mut play = Play::with_workers(2);
    let slow = play.add_started(Spec::PLAIN, W1);
    play.overrun(slow, W1, Retry::Never);
    let leader = play.add_started(Spec::PLAIN, W0);
    let wide_one = play.add_waiting(wide(2));
    let follower = play.add_waiting(Spec { follow: Some(leader), ..Spec::PLAIN });
    assert_eq!(play.pass(grace_ns - 1), []);
    assert!(play.scheduler.stalled().is_none());
    assert_eq!(play.pass(1), [ended(wide_one, End::Stuck { worker: W1 })]);
    let (late, actions) = play.add(wide(2));
    assert_eq!(actions, [ended(late, End::Stuck { worker: W1 })], "no further grace");
    assert_eq!(play.finish(leader, W0), [done(leader), start(follower, W0)]);
    assert_eq!(play.back(slow, W1), []);
    assert_eq!(play.finish(follower, W0), [done(follower)]);
    let (group, actions) = play.add(wide(2));
    assert_eq!(actions, [start_group(group, &[W0, W1])]);
}

#[test]
fn a_lost_worker_takes_what_was_given_up_along() {
    let mut play = Play::with_workers(2);
    let slow = play.add_started(Spec { retries: 1, ..Spec::PLAIN }, W1);
    assert_eq!(play.overrun(slow, W1, Retry::Again), [start_again(slow, W0, 2)]);
    play.lose(W1);
    play.misfit(Event::Back { worker: W1, task: slow });
    assert_eq!(play.scheduler.next_deadline(), None, "nothing is due");
    assert_eq!(play.finish(slow, W0), [done(slow)]);
}

#[test]
fn members_of_a_group_that_was_given_up_are_free_one_by_one() {
    let mut play = Play::with_workers(3);
    let (group, _) = play.add(wide(3));
    let next = play.add_waiting(wide(2));
    let event = Event::GroupOverdue { task: group, inside: &[W0, W2], limit: Limit::Run, retry: Retry::Never };
    assert_eq!(play.feed(event), [ended(group, reached(Limit::Run))]);
    let single = play.add_started(Spec::PLAIN, W1);
    assert_eq!(play.finish(single, W1), [done(single)]);
    assert_eq!(play.back(group, W2), [start_group(next, &[W1, W2])]);
}

#[test]
fn a_task_ends_at_its_wait_limit_wherever_it_waits() {
    let limited = Patience { wait_limit_ns: Some(10), ..Patience::DEFAULT };
    let mut play = Play::with_workers(1);
    let [running, ahead] = [play.add_started(Spec::PLAIN, W0), play.add_started(patient(&limited), W0)];
    let ready = play.add_waiting(patient(&limited));
    let wide_one = play.add_waiting(Spec { patience: Some(&limited), ..wide(2) });
    let blocked = play.add_waiting(Spec { after: &[running], ..patient(&limited) });
    let below = play.add_waiting(Spec { inputs: &[blocked], ..Spec::PLAIN });
    let pinned = play.add_waiting(Spec { follow: Some(running), ..patient(&limited) });
    assert_eq!(play.pass(9), []);
    let ended_now: Vec<Whole> = play.pass(1);
    for task in [ready, wide_one, blocked, pinned] {
        assert!(ended_now.contains(&ended(task, reached(Limit::Wait))), "{task}: {ended_now:?}");
    }
    assert!(ended_now.contains(&ended(below, End::Upstream { via: blocked })), "{ended_now:?}");
    // Its worker may have begun it.
    assert!(ended_now.contains(&take_back(W0, &[ahead])), "{ended_now:?}");
    assert_eq!(play.give_back(W0, &[ahead]), [ended(ahead, reached(Limit::Wait))]);
    assert_eq!(play.finish(running, W0), [done(running)]);
}

#[test]
fn a_task_that_has_begun_waits_no_more() {
    let limited = Patience { wait_limit_ns: Some(10), backoff_ns: 100, ..Patience::DEFAULT };
    let mut play = Play::with_workers(1);
    let task = play.add_started(Spec { retries: 1, ..patient(&limited) }, W0);
    assert_eq!(play.pass(20), []);
    assert_eq!(play.fail(task, W0), []);
    assert_eq!(play.pass(99), []);
    assert_eq!(play.pass(1), [start_again(task, W0, 2)]);
    assert_eq!(play.finish(task, W0), [done(task)]);
    let early = play.add_started(Spec { retries: 1, ..patient(&limited) }, W0);
    assert_eq!(play.fail(early, W0), [], "the limit goes with the first attempt");
    assert_eq!(play.pass(100), [start_again(early, W0, 2)]);
}

#[test]
fn pauses_double_up_to_a_minute() {
    let minute_ns = super::super::PAUSE_NS_MAX;
    for (first_ns, pauses) in [(5, [5, 10, 20, 40]), (minute_ns / 2, [minute_ns / 2, minute_ns, minute_ns, minute_ns])]
    {
        let patience = Patience { backoff_ns: first_ns, ..Patience::DEFAULT };
        let mut play = Play::with_workers(1);
        let task = play.add_started(Spec { retries: 4, ..patient(&patience) }, W0);
        for (pause_ns, attempt) in pauses.into_iter().zip(2..) {
            assert_eq!(play.fail(task, W0), []);
            assert!(play.scheduler.stalled().is_none(), "it pauses");
            assert_eq!(play.scheduler.next_deadline(), Some(play.now_ns + pause_ns));
            assert_eq!(play.pass(pause_ns), [start_again(task, W0, attempt)]);
        }
    }
}

#[test]
fn a_paused_task_is_cancelled_at_once() {
    let mut play = Play::with_workers(1);
    let task = play.add_started(Spec::PLAIN, W0);
    assert_eq!(play.fail_as(task, W0, Retry::Later { pause_ns: 50 }), []);
    assert_eq!(play.feed(Event::Cancel { tasks: &[task] }), [ended(task, End::Cancelled)]);
    assert_eq!((play.pass(50), play.scheduler.next_deadline()), (vec![], None));
}

#[test]
fn a_busy_task_comes_back_at_the_same_attempt() {
    let mut play = Play::with_workers(1);
    let task = play.add_started(Spec::PLAIN, W0);
    for _ in 0..3 {
        assert_eq!(play.fail_as(task, W0, Retry::Later { pause_ns: 7 }), []);
        assert_eq!(play.pass(7), [start(task, W0)]);
    }
}

#[test]
fn a_task_never_runs_again_where_it_is_not_to_run() {
    let mut play = Play::with_workers(2);
    let task = play.add_started(Spec { retries: 3, ..Spec::PLAIN }, W1);
    assert_eq!(play.fail_as(task, W1, Retry::Elsewhere { not_on: W1 }), [start(task, W0)]);
    assert_eq!(play.fail(task, W0), [start_again(task, W0, 2)]);
    assert_eq!(play.fail_as(task, W0, Retry::Elsewhere { not_on: W0 }), [ended(task, End::Nowhere)]);
    let lost = play.add_started(Spec::PLAIN, W0);
    assert_eq!(play.fail_as(lost, W0, Retry::Elsewhere { not_on: W0 }), [start(lost, W1)]);
    assert_eq!(play.lose(W1), [ended(lost, End::WorkerLost { worker: W1 })]);
    let group = play.add(wide(1)).0;
    let failure = GroupFailure { retry: Retry::Elsewhere { not_on: W0 }, lost: None };
    assert_eq!(play.feed(Event::GroupFinished { task: group, result: Err(failure) }), [ended(group, End::Nowhere)]);
}

#[test]
fn a_deadline_ends_all_of_its_tasks_and_those_of_workers_are_set_aside() {
    let mut play = Play::with_workers(1);
    let value = play.next_id();
    play.feed(Event::Value { task: value, bytes: 8 });
    let running = play.add_started(Spec { inputs: &[value], ..Spec::PLAIN }, W0);
    let ahead = play.add_started(Spec::PLAIN, W0);
    let ready = play.add_waiting(Spec::PLAIN);
    let other = play.add_waiting(Spec::PLAIN);
    let blocked = play.add_waiting(Spec { after: &[ready, other], ..Spec::PLAIN });
    play.drop_handle(value);
    let actions = play.feed(Event::Expire { tasks: &[running, ready, blocked] });
    let set_aside = Action::SetAside { task: running, worker: W0 };
    let end = reached(Limit::Deadline);
    let expected = [set_aside, take_back(W0, &[ahead]), ended(running, end), ended(ready, end), ended(blocked, end)];
    assert_eq!(actions, expected);
    assert_eq!(play.give_back(W0, &[ahead]), []);
    // What it takes may be on its way, and stays until the worker has answered.
    assert_eq!(play.back(running, W0), [release(value, &[]), start(ahead, W0), start(other, W0)]);
    assert_eq!(play.feed(Event::Expire { tasks: &[running, ready, blocked] }), [], "they have ended");
}

#[test]
fn a_task_lost_with_its_worker_is_tried_again_unless_that_is_not_wanted() {
    let once = Patience { retry_lost: false, ..Patience::DEFAULT };
    for (patience, expected) in [(Patience::DEFAULT, None), (once, Some(End::WorkerLost { worker: W1 }))] {
        let mut play = Play::with_workers(2);
        let task = play.add_started(Spec { retries: 1, ..patient(&patience) }, W1);
        let next = expected.map_or_else(|| start_again(task, W0, 2), |end| ended(task, end));
        assert_eq!(play.lose(W1), [next]);
    }
}

#[test]
fn tasks_with_limits_that_end_in_time_leave_nothing_behind() {
    let limited = Patience { wait_limit_ns: Some(1 << 40), ..Patience::DEFAULT };
    let mut play = Play::with_workers(1);
    for _ in 0..100 {
        let task = play.add_started(patient(&limited), W0);
        play.finish(task, W0);
    }
    assert_eq!(play.scheduler.next_deadline(), None);
}
