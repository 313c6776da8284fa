//! Tasks that are cancelled: those that wait end at once, those that are with workers
//! when these have answered.

use super::*;

fn cancelled(task: TaskId) -> Whole {
    ended(task, End::Cancelled)
}

fn upstream(task: TaskId, via: TaskId) -> Whole {
    ended(task, End::Upstream { via })
}

fn ask(task: TaskId, workers: &[WorkerId]) -> Whole {
    Action::Cancel { task, workers: workers.to_vec() }
}

impl Play {
    fn cancel(&mut self, tasks: &[TaskId]) -> Vec<Whole> {
        self.feed(Event::Cancel { tasks })
    }

    fn not_begun(&mut self, worker: WorkerId, tasks: &[TaskId]) -> Vec<Whole> {
        self.feed(Event::NotBegun { worker, tasks })
    }
}

/// Wherever a task waits, it ends at once, and those behind it wait on.
#[test]
fn a_task_that_waits_ends_at_once_wherever_it_waits() {
    let mut play = Play::with_workers(1);
    let running = play.fill(1);
    let ready: Vec<TaskId> = (0..3).map(|_| play.add_waiting(Spec::PLAIN)).collect();
    let blocked = play.add_waiting(Spec { inputs: &[running[0]], ..Spec::PLAIN });
    let pinned = play.add_waiting(Spec { follow: Some(running[0]), ..Spec::PLAIN });
    let too_wide = play.add_waiting(wide(2));
    let (reserving, actions) = play.add(wide(1));
    assert_eq!(actions, [take_back(W0, &running[1..])]);
    let behind = play.add_waiting(wide(1));
    for task in [ready[1], blocked, too_wide, behind, reserving] {
        let actions = play.cancel(&[task]);
        assert_eq!(actions[0], cancelled(task), "{actions:?}");
        assert_eq!(play.cancel(&[task]), [], "it has ended");
    }
    assert_eq!(play.give_back(W0, &running[1..]), [start(running[1], W0)], "no wide task waits for the worker");
    let actions = play.finish(running[0], W0);
    assert!(actions.contains(&done(running[0])), "{actions:?}");
    assert_eq!(play.cancel(&[pinned]).len(), 1, "it waits for its worker, or is with it");
}

/// a → b → c → d
#[test]
fn what_hangs_on_a_cancelled_task_ends_as_a_consequence_unless_it_is_cancelled_as_well() {
    let mut play = Play::with_workers(1);
    play.fill(1);
    let chain = |play: &mut Play| {
        let a = play.add_waiting(Spec::PLAIN);
        let b = play.add_waiting(Spec { inputs: &[a], ..Spec::PLAIN });
        let c = play.add_waiting(Spec { inputs: &[b], ..Spec::PLAIN });
        let d = play.add_waiting(Spec { inputs: &[c, a], ..Spec::PLAIN });
        [a, b, c, d]
    };
    let [a, b, c, d] = chain(&mut play);
    let actions = play.cancel(&[b]);
    assert_eq!(actions, [cancelled(b), upstream(c, b), upstream(d, c)]);
    assert_eq!(play.cancel(&[a, b, c, d]), [cancelled(a)]);
    let [a, b, c, d] = chain(&mut play);
    assert_eq!(play.cancel(&[a, c, a, b]), [cancelled(a), upstream(d, a), cancelled(c), cancelled(b)]);
}

#[test]
fn a_task_that_is_with_a_worker_ends_when_that_has_answered() {
    let mut play = Play::with_workers(2);
    let tasks = play.fill(2);
    let (runs, ahead) = {
        let mut on = play.scheduler.in_flight_tasks(W0);
        (on.next().expect("it runs"), on.next().expect("it is ahead"))
    };
    assert_eq!(play.cancel(&[runs, ahead]), [ask(runs, &[W0]), ask(ahead, &[W0])]);
    assert_eq!(play.cancel(&tasks[..0]), []);
    assert_eq!(play.cancel(&[ahead]), [], "asked once");
    let waits = play.add_waiting(Spec::PLAIN);
    assert_eq!(play.not_begun(W0, &[ahead]), [cancelled(ahead), start(waits, W0)]);
    assert_eq!(play.finish(runs, W0), [done(runs)], "a value is a value");
}

#[test]
fn only_what_was_cancelled_and_is_there_can_be_said_not_to_have_begun() {
    let mut play = Play::with_workers(2);
    let a = play.add_started(Spec::PLAIN, W1);
    play.misfit(Event::NotBegun { worker: W1, tasks: &[a] });
    play.cancel(&[a]);
    play.misfit(Event::NotBegun { worker: W0, tasks: &[a] });
    assert_eq!(play.not_begun(W1, &[a]), [cancelled(a)]);
    play.misfit(Event::NotBegun { worker: W1, tasks: &[a] });
}

#[test]
fn an_attempt_of_a_cancelled_task_is_its_last() {
    let mut play = Play::with_workers(2);
    let task = play.add_started(Spec { retries: 5, ..Spec::PLAIN }, W1);
    assert_eq!(play.fail(task, W1), [start_again(task, W0, 2)]);
    assert_eq!(play.cancel(&[task]), [ask(task, &[W0])]);
    assert_eq!(play.fail(task, W0), [cancelled(task)]);
}

#[test]
fn a_task_that_waits_for_a_retry_ends_at_once() {
    let mut play = Play::with_workers(2);
    let task = play.add_started(Spec { retries: 5, ..Spec::PLAIN }, W1);
    play.fill(2);
    play.add_waiting(Spec::PLAIN);
    assert_eq!(play.fail(task, W1).len(), 1, "only the other worker may try it, and is full");
    assert_eq!(play.cancel(&[task]), [cancelled(task)]);
}

#[test]
fn a_cancelled_task_that_was_asked_back_does_not_start_again() {
    let mut play = Play::with_workers(2);
    let [a, b, c, d]: [TaskId; 4] = play.fill(2).try_into().expect("four tasks");
    play.finish(a, W1);
    play.finish(c, W1);
    assert_eq!(play.pass(1_000_000), [take_back(W0, &[d])]);
    assert_eq!(play.cancel(&[d]), [ask(d, &[W0])]);
    assert_eq!(play.give_back(W0, &[d]), [cancelled(d)]);
    assert_eq!(play.finish(b, W0), [done(b)]);
}

#[test]
fn a_cancelled_task_whose_worker_is_lost_ends_as_cancelled() {
    let mut play = Play::with_workers(2);
    play.fill(2);
    let on: Vec<TaskId> = play.scheduler.in_flight_tasks(W0).collect();
    play.cancel(&on);
    let actions = play.lose(W0);
    assert_eq!(actions, [cancelled(on[1]), cancelled(on[0])]);
}

#[test]
fn the_living_members_of_a_cancelled_group_are_told() {
    let mut play = Play::with_workers(3);
    let (task, actions) = play.add(Spec { retries: 5, ..wide(3) });
    assert_eq!(actions, [start_group(task, &[W0, W1, W2])]);
    play.lose(W1);
    assert_eq!(play.cancel(&[task]), [ask(task, &[W0, W2])]);
    assert_eq!(play.cancel(&[task]), []);
    let failure = GroupFailure { retry: Retry::Again, lost: Some(W1) };
    assert_eq!(play.feed(Event::GroupFinished { task, result: Err(failure) }), [cancelled(task)]);
}

#[test]
fn the_first_tasks_of_a_worker_and_those_in_groups_have_begun() {
    let mut play = Play::with_slots(Settings::default(), [2, 1]);
    let group = play.add(wide(1)).0;
    let tasks: Vec<TaskId> = (0..4).map(|_| play.add(Spec::PLAIN).0).collect();
    let on = if play.scheduler.in_flight(W0) == 1 { W1 } else { W0 };
    let begun: Vec<bool> = play.scheduler.in_flight_tasks(on).map(|task| play.scheduler.has_begun(task)).collect();
    let slots = if on == W0 { 2 } else { 1 };
    assert_eq!(begun.iter().filter(|begun| **begun).count(), slots, "{begun:?}");
    assert!(begun.is_sorted_by(|a, b| a >= b), "{begun:?}");
    assert!(play.scheduler.has_begun(group));
    play.cancel(&tasks);
    assert!(play.scheduler.has_begun(group));
}

/// All of a chain and a crowd of a million, on a small stack.
#[test]
fn a_million_tasks_are_cancelled_in_linear_time_and_without_recursion() {
    const COUNT: u32 = 500_000;
    let small = std::thread::Builder::new().stack_size(128 << 10).spawn(|| {
        let mut scheduler = Scheduler::new(Settings::default());
        let mut actions = Actions::default();
        let mut all: Vec<TaskId> = Vec::new();
        for number in 0..2 * COUNT {
            let task = TaskId::new(number, number + 1);
            let before = all.last().copied().filter(|_| number < COUNT);
            let after = before.as_slice();
            assert!(scheduler.handle(0, Event::Added { task, spec: &Spec { after, ..Spec::PLAIN } }, &mut actions));
            all.push(task);
        }
        let before = scheduler.steps;
        assert!(scheduler.handle(1, Event::Cancel { tasks: &all }, &mut actions));
        let ends = actions.filter(|action| matches!(action, Action::Ended { end: End::Cancelled, .. })).count();
        assert_eq!((ends, scheduler.pending()), (all.len(), 0));
        assert!(scheduler.steps - before < 5 * u64::from(2 * COUNT), "{} steps", scheduler.steps - before);
        scheduler.validate();
    });
    small.expect("a thread can be started").join().expect("it does not panic");
}
