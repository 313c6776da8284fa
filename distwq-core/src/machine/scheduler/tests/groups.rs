//! Wide tasks: reservations, starts, and what they leave to the others.

use super::*;
use crate::machine::scheduler::{GroupFailure, Made};

fn group_done(play: &mut Play, task: TaskId) -> Vec<Whole> {
    let value = Made { bytes: 8, resident: false };
    play.feed(Event::GroupFinished { task, result: Ok(value) })
}

fn group_failed(play: &mut Play, task: TaskId) -> Vec<Whole> {
    group_ended(play, task, GroupFailure { retry: Retry::Again, lost: None })
}

/// It has failed because this member was lost.
fn group_lost(play: &mut Play, task: TaskId, worker: WorkerId) -> Vec<Whole> {
    group_ended(play, task, GroupFailure { retry: Retry::Again, lost: Some(worker) })
}

fn group_ended(play: &mut Play, task: TaskId, failure: GroupFailure) -> Vec<Whole> {
    play.feed(Event::GroupFinished { task, result: Err(failure) })
}

#[test]
fn a_wide_task_starts_at_once_on_idle_workers() {
    let mut play = Play::with_workers(3);
    let (a, actions) = play.add(wide(2));
    assert_eq!(actions, [start_group(a, &[W1, W2])]);
    assert_eq!([W0, W1, W2].map(|worker| play.scheduler.in_flight(worker)), [0, 1, 1]);
    assert_eq!(group_done(&mut play, a), [done(a)]);
}

#[test]
fn a_collective_task_may_have_one_rank() {
    let mut play = Play::with_workers(1);
    let (a, actions) = play.add(wide(1));
    assert_eq!(actions, [start_group(a, &[W0])]);
    assert_eq!(group_done(&mut play, a), [done(a)]);
}

#[test]
fn a_group_of_one_size_gets_the_same_workers_again() {
    let mut play = Play::with_workers(4);
    let (a, actions) = play.add(wide(2));
    assert_eq!(actions, [start_group(a, &[W2, W3])]);
    let x = play.add_started(Spec::PLAIN, W1);
    assert_eq!(group_done(&mut play, a), [done(a)]);
    assert_eq!(play.finish(x, W1), [done(x)]);
    // Worker 1 has become idle last, but workers 2 and 3 share a communicator.
    let (b, actions) = play.add(wide(2));
    assert_eq!(actions, [start_group(b, &[W2, W3])]);
}

/// Four idle workers get a task each, which these finish one after another: the last of
/// them is idle last. Gives the tasks by worker.
fn busy_but_for(play: &mut Play, finish: &[WorkerId]) -> [TaskId; 4] {
    let mut tasks = [TaskId::new(0, 0); 4];
    for _ in 0..4 {
        let (task, actions) = play.add(Spec::PLAIN);
        let [Action::Start { worker, .. }] = actions[..] else { panic!("{actions:?}") };
        tasks[worker.index()] = task;
    }
    for worker in finish {
        play.finish(tasks[worker.index()], *worker);
    }
    tasks
}

#[test]
fn the_last_group_of_each_size_is_known_but_only_who_is_idle_and_missing_is_taken() {
    let mut play = Play::with_workers(4);
    let group = |play: &mut Play, spec: Spec<'_>, members: &[WorkerId]| {
        let (task, actions) = play.add(spec);
        assert_eq!(actions, [start_group(task, members)]);
        assert_eq!(group_done(play, task), [done(task)]);
    };
    group(&mut play, wide(2), &[W2, W3]);
    group(&mut play, wide(3), &[W1, W2, W3]);
    for (ranks, members) in [(2, &[W2, W3][..]), (3, &[W1, W2, W3])] {
        busy_but_for(&mut play, &[W3, W2, W1, W0]);
        group(&mut play, wide(ranks), members);
    }
    // One has to be the first of the group, and was not in the last one.
    let [leader, ..] = busy_but_for(&mut play, &[W3, W2, W1, W0]);
    group(&mut play, Spec { follow: Some(leader), ..wide(2) }, &[W0, W2]);
    // The others go by who was idle last.
    busy_but_for(&mut play, &[W0, W1, W3]);
    group(&mut play, wide(2), &[W0, W3]);
}

/// Workers become idle far from their neighbours, ten stay busy.
#[test]
fn a_large_group_takes_idle_workers_that_are_neighbours() {
    let mut play = Play::with_workers(80);
    let mut running = vec![None; 80];
    for _ in 0..80 {
        let (task, actions) = play.add(Spec::PLAIN);
        let [Action::Start { worker, .. }] = actions[..] else { panic!("{actions:?}") };
        running[worker.index()] = Some(task);
    }
    let busy = |worker: usize| worker / 10 == 4;
    for worker in (0..80).map(|turn| turn * 7 % 80).filter(|worker| !busy(*worker)) {
        play.finish(running[worker].expect("each has one"), WorkerId::new(worker as u32));
    }
    let (a, actions) = play.add(wide(40));
    let members: Vec<_> = (0..40).map(WorkerId::new).collect();
    assert_eq!(actions, [start_group(a, &members)]);
    assert_eq!(group_done(&mut play, a), [done(a)]);
    let (b, actions) = play.add(wide(32));
    let members: Vec<_> = (0..32).map(WorkerId::new).collect();
    assert_eq!(actions, [start_group(b, &members)]);
}

/// Both workers have one task running and one ahead when w comes.
#[test]
fn a_wide_task_takes_back_what_has_not_begun_and_gets_no_new_competition() {
    let mut play = Play::with_workers(2);
    let [a, b, c, d] = play.fill(2)[..] else { unreachable!() };
    let (w, actions) = play.add(wide(2));
    assert_eq!(actions, [take_back(W1, &[c]), take_back(W0, &[d])]);
    let e = play.add_waiting(Spec::PLAIN);
    assert_eq!(play.give_back(W0, &[d]), []);
    assert_eq!(play.give_back(W1, &[c]), []);
    assert_eq!(play.finish(b, W0), [done(b)]);
    assert_eq!(play.finish(a, W1), [done(a), start_group(w, &[W0, W1])]);
    let first = group_done(&mut play, w);
    assert_eq!(first[0], done(w));
    assert_eq!(first.len(), 1 + 3, "c, d and e start: {first:?}");
    assert!(first.contains(&start(e, W0)) || first.contains(&start(e, W1)));
}

/// Worker 0 has been asked for half of its queue, for worker 1, when w comes.
#[test]
fn a_reserved_worker_is_asked_for_the_rest_once_it_has_answered() {
    let mut play = Play::with_workers(1);
    let [a, b] = play.fill(1)[..] else { unreachable!() };
    let more: Vec<TaskId> = (0..10).map(|_| play.add_waiting(Spec::PLAIN)).collect();
    play.feed(Event::Finished { worker: W0, task: a, made: Made { bytes: 0, resident: false }, ran_ns: 50_000 });
    assert_eq!(play.join(W1, 1), [take_back(W0, &more[5..])]);
    let w = play.add_waiting(wide(2));
    assert_eq!(play.give_back(W0, &more[5..]), [take_back(W0, &more[..5])]);
    assert_eq!(play.give_back(W0, &more[..5]), []);
    assert_eq!(play.finish(b, W0), [done(b), start_group(w, &[W0, W1])]);
}

#[test]
fn a_reserved_worker_that_has_begun_all_is_not_asked_again() {
    let mut play = Play::with_workers(2);
    let [a, b, c, d] = play.fill(2)[..] else { unreachable!() };
    let (w, actions) = play.add(wide(2));
    assert_eq!(actions, [take_back(W1, &[c]), take_back(W0, &[d])]);
    assert_eq!([play.give_back(W0, &[]), play.give_back(W1, &[])], [[], []]);
    for (task, worker) in [(a, W1), (b, W0), (c, W1)] {
        assert_eq!(play.finish(task, worker), [done(task)]);
    }
    assert_eq!(play.finish(d, W0), [done(d), start_group(w, &[W0, W1])]);
}

#[test]
fn an_idle_worker_swaps_with_a_busy_reserved_one() {
    let mut play = Play::with_workers(3);
    let [a, b, c] = [W2, W1, W0].map(|worker| play.add_started(Spec::PLAIN, worker));
    let (w, actions) = play.add(wide(2));
    assert_eq!(actions, []);
    // Reserved are the two that have been busy for longest, 2 and 1; then 0 is free
    // before 1.
    assert_eq!(play.finish(a, W2), [done(a)]);
    assert_eq!(play.finish(c, W0), [done(c), start_group(w, &[W0, W2])]);
    let x = play.add_started(Spec::PLAIN, W1);
    assert_eq!(play.finish(b, W1), [done(b)]);
    assert_eq!(play.finish(x, W1), [done(x)]);
}

#[test]
fn only_the_first_of_two_wide_tasks_reserves() {
    let mut play = Play::with_workers(3);
    let [a, b] = [W2, W1].map(|worker| play.add_started(Spec::PLAIN, worker));
    let v = play.add_waiting(wide(2));
    let w = play.add_waiting(wide(3));
    assert_eq!(play.finish(a, W2), [done(a), start_group(v, &[W0, W2])]);
    assert_eq!(play.finish(b, W1), [done(b)]);
    assert_eq!(group_done(&mut play, v), [done(v), start_group(w, &[W0, W1, W2])]);
}

#[test]
fn a_reservation_gives_way_to_a_more_urgent_wide_task() {
    let mut play = Play::with_workers(2);
    let a = play.add_started(Spec::PLAIN, W1);
    let v = play.add_waiting(wide(2));
    let (w, actions) = play.add(Spec { priority: 1, ..wide(1) });
    assert_eq!(actions, [start_group(w, &[W0])]);
    assert_eq!(play.finish(a, W1), [done(a)]);
    assert_eq!(group_done(&mut play, w), [done(w), start_group(v, &[W0, W1])]);
}

#[test]
fn narrow_tasks_of_higher_priority_go_before_a_wide_one() {
    let mut play = Play::with_workers(1);
    let [a, b] = play.fill(1)[..] else { unreachable!() };
    let x = play.add_waiting(Spec { priority: 1, ..Spec::PLAIN });
    let w = play.add_waiting(wide(1));
    let y = play.add_waiting(Spec::PLAIN);
    assert_eq!(play.finish(a, W0), [done(a), start(x, W0), take_back(W0, &[x])]);
    let _ = (b, w, y);
}

#[test]
fn a_wide_task_that_waits_for_more_workers_holds_up_nobody() {
    let mut play = Play::with_workers(1);
    let w = play.add_waiting(wide(2));
    let a = play.add_started(Spec::PLAIN, W0);
    assert_eq!(play.finish(a, W0), [done(a)]);
    assert_eq!(play.join(W1, 1), [start_group(w, &[W0, W1])]);
}

/// ```text
/// v ⇢ a, w       both follow the first worker of v
/// ```
#[test]
fn followers_of_a_collective_task_run_on_its_first_worker() {
    let mut play = Play::with_workers(3);
    let (v, actions) = play.add(wide(2));
    assert_eq!(actions, [start_group(v, &[W1, W2])]);
    let a = play.add_waiting(Spec { follow: Some(v), ..Spec::PLAIN });
    let w = play.add_waiting(Spec { follow: Some(v), ..wide(2) });
    let end = group_done(&mut play, v);
    assert_eq!(end, [done(v), start_group(w, &[W1, W2])]);
    assert_eq!(group_done(&mut play, w), [done(w), start(a, W1)]);
}

#[test]
fn a_failed_collective_task_is_tried_again() {
    let mut play = Play::with_workers(2);
    let (w, _) = play.add(Spec { retries: 1, ..wide(2) });
    let again = Action::StartGroup { task: w, workers: vec![W0, W1], attempt: 2 };
    assert_eq!(group_failed(&mut play, w), [again]);
    assert_eq!(group_failed(&mut play, w), [ended(w, End::Failed)]);
}

#[test]
fn losing_a_member_ends_the_group_when_the_others_are_out_of_it() {
    let mut play = Play::with_workers(3);
    let (w, actions) = play.add(Spec { retries: 1, ..wide(2) });
    assert_eq!(actions, [start_group(w, &[W1, W2])]);
    assert_eq!(play.lose(W2), []);
    let again = Action::StartGroup { task: w, workers: vec![W0, W1], attempt: 2 };
    assert_eq!(group_lost(&mut play, w, W2), [again]);
    assert_eq!(play.lose(W0), []);
    assert_eq!(group_lost(&mut play, w, W0), [ended(w, End::WorkerLost { worker: W0 })]);
}

#[test]
fn a_group_that_is_lost_as_a_whole_ends_with_its_report() {
    let mut play = Play::with_workers(2);
    let (w, _) = play.add(wide(2));
    assert_eq!([play.lose(W0), play.lose(W1)], [[], []]);
    assert_eq!(group_lost(&mut play, w, W0), [ended(w, End::WorkerLost { worker: W0 })]);
}

#[test]
fn a_failure_of_a_member_is_told_also_if_another_is_lost_after_it() {
    let mut play = Play::with_workers(2);
    let (w, _) = play.add(Spec { retries: 1, ..wide(2) });
    assert_eq!(play.lose(W0), []);
    let failure = GroupFailure { retry: Retry::Never, lost: None };
    assert_eq!(group_ended(&mut play, w, failure), [ended(w, End::Failed)]);
}

#[test]
fn the_value_of_a_group_is_lost_with_its_first_member() {
    let mut play = Play::with_workers(2);
    let (w, _) = play.add(wide(2));
    assert_eq!(play.lose(W0), []);
    let result = Ok(Made { bytes: 100, resident: true });
    let actions = play.feed(Event::GroupFinished { task: w, result });
    assert_eq!(actions, [ended(w, End::WorkerLost { worker: W0 })]);
}

#[test]
fn a_reserved_worker_that_is_lost_is_replaced() {
    let mut play = Play::with_workers(3);
    let [a, b, c] = [W2, W1, W0].map(|worker| play.add_started(Spec::PLAIN, worker));
    let w = play.add_waiting(wide(2));
    assert_eq!(play.lose(W2), [ended(a, End::WorkerLost { worker: W2 })]);
    assert_eq!(play.finish(b, W1), [done(b)]);
    assert_eq!(play.finish(c, W0), [done(c), start_group(w, &[W0, W1])]);
}

#[test]
fn a_wide_task_is_infeasible_when_too_few_workers_are_left() {
    let mut play = Play::with_workers(3);
    let a = play.add_started(Spec::PLAIN, W2);
    let v = play.add_waiting(wide(3));
    let w = play.add_waiting(wide(3));
    let x = play.add_waiting(wide(2));
    let ends = play.lose(W1);
    let expected = [ended(v, End::Infeasible), ended(w, End::Infeasible)];
    assert_eq!(ends, expected);
    assert_eq!(play.finish(a, W2), [done(a), start_group(x, &[W0, W2])]);
}

/// Both have one task running and one ahead. Worker 1 may have more, worker 0 not.
#[test]
fn a_busy_worker_is_reserved_whether_those_of_like_load_have_room_or_not() {
    let mut play = Play::with_workers(2);
    let [a, b] = [W1, W0].map(|worker| play.add_started(Spec::PLAIN, worker));
    play.finish_after(1, a, W1);
    play.finish(b, W0);
    let mut ahead = None;
    for (leader, worker) in [(a, W1), (a, W1), (b, W0), (b, W0)] {
        let task = play.add_started(Spec { follow: Some(leader), ..Spec::PLAIN }, worker);
        ahead = if worker == W1 { Some(task) } else { ahead };
    }
    let (_, actions) = play.add(wide(1));
    assert_eq!(actions, [take_back(W1, &[ahead.expect("worker 1 has one")])]);
}
