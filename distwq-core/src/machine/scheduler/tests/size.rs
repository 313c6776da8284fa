//! Large graphs: the work grows with their size and no faster, and no chain is followed
//! by recursion.

use super::super::task::Task;
use super::super::workers::Worker;
use super::*;

/// Long enough to overflow any stack that went down the chain.
const LARGE: u32 = 200_000;

/// Runs whatever starts, at once, until nothing does; returns how many tasks ended.
fn run_all(scheduler: &mut Scheduler, actions: &mut Actions) -> usize {
    let mut ended = 0;
    while let Some(action) = actions.take_next() {
        match *action {
            Action::Start { task, worker, .. } => {
                let event = Event::Finished { worker, task, made: Made { bytes: 8, resident: false }, ran_ns: 1_000 };
                assert!(scheduler.handle(0, event, actions));
            }
            Action::Ended { .. } => ended += 1,
            other => panic!("{other:?} is not expected here"),
        }
    }
    ended
}

/// A chain: each task takes the one before.
fn chain(length: u32) -> (Scheduler, Actions) {
    let (mut scheduler, mut actions) = (Scheduler::new(Settings::default()), Actions::default());
    let mut before: Option<TaskId> = None;
    for serial in 1..=length {
        let task = TaskId::new(serial - 1, serial);
        let spec = Spec { inputs: before.as_slice(), level: length - serial, ..Spec::PLAIN };
        scheduler.handle(0, Event::Added { task, spec: &spec }, &mut actions);
        before = Some(task);
    }
    for worker in 0..4 {
        scheduler.handle(0, Event::Joined { worker: WorkerId::new(worker), slots: 1 }, &mut actions);
    }
    (scheduler, actions)
}

/// A fan: many tasks take the first, and the last takes them all.
fn fan(width: u32) -> (Scheduler, Actions) {
    let (mut scheduler, mut actions) = (Scheduler::new(Settings::default()), Actions::default());
    let first = TaskId::new(0, 1);
    scheduler.handle(0, Event::Added { task: first, spec: &Spec { level: 2, ..Spec::PLAIN } }, &mut actions);
    let middle: Vec<TaskId> = (1..=width).map(|slot| TaskId::new(slot, slot + 1)).collect();
    for &task in &middle {
        let spec = Spec { inputs: &[first], level: 1, ..Spec::PLAIN };
        scheduler.handle(0, Event::Added { task, spec: &spec }, &mut actions);
    }
    let last = TaskId::new(width + 1, width + 2);
    scheduler.handle(0, Event::Added { task: last, spec: &Spec { inputs: &middle, ..Spec::PLAIN } }, &mut actions);
    for worker in 0..4 {
        scheduler.handle(0, Event::Joined { worker: WorkerId::new(worker), slots: 1 }, &mut actions);
    }
    (scheduler, actions)
}

#[test]
fn a_chain_of_200_000_is_done_in_time_linear_in_its_length() {
    let steps = |length| {
        let (mut scheduler, mut actions) = chain(length);
        assert_eq!(run_all(&mut scheduler, &mut actions), length as usize);
        scheduler.validate();
        scheduler.steps
    };
    let (small, large) = (steps(LARGE / 100), steps(LARGE));
    assert!(large <= 101 * small, "{large} steps for 100 times the tasks that took {small}");
    assert!(large <= 10 * u64::from(LARGE), "{large} steps");
}

#[test]
fn a_fan_of_200_000_is_done_in_time_linear_in_its_width() {
    let steps = |width| {
        let (mut scheduler, mut actions) = fan(width);
        assert_eq!(run_all(&mut scheduler, &mut actions), width as usize + 2);
        scheduler.validate();
        scheduler.steps
    };
    let (small, large) = (steps(LARGE / 100), steps(LARGE));
    assert!(large <= 101 * small, "{large} steps for 100 times the tasks that took {small}");
    assert!(large <= 10 * u64::from(LARGE), "{large} steps");
}

#[test]
fn failure_runs_down_a_chain_of_200_000_without_recursion() {
    let (mut scheduler, mut actions) = chain(LARGE);
    let Some(Action::Start { task, worker, .. }) = actions.next() else { panic!("the first task starts") };
    assert!(actions.is_empty());
    scheduler.handle(0, Event::Failed { worker, task, ran_ns: 1, retry: Retry::Never }, &mut actions);
    assert_eq!(actions.len(), LARGE as usize);
    assert_eq!(
        actions.last(),
        Some(ended(TaskId::new(LARGE - 1, LARGE), End::Upstream { via: TaskId::new(LARGE - 2, LARGE - 1) }))
    );
    assert_eq!(scheduler.pending(), 0);
    assert!(scheduler.steps <= 10 * u64::from(LARGE), "{} steps", scheduler.steps);
}

#[test]
fn a_task_takes_half_a_cache_line_and_a_worker_one() {
    assert_eq!((size_of::<Task>(), size_of::<Worker>()), (32, 64));
}

#[test]
fn an_action_is_three_words_and_no_slot_and_no_worker_take_no_room() {
    assert_eq!(size_of::<Action>(), 24);
    assert_eq!([size_of::<Option<TaskSlot>>(), size_of::<Option<WorkerId>>()], [4, 4]);
}

/// Two that a task names take no room, and the others two links each.
#[test]
fn room_is_made_for_what_the_tasks_of_a_graph_name() {
    for (tasks, named, room) in [(10, 50, 60), (10, 23, 6), (10, 20, 0), (10, 0, 0)] {
        let mut scheduler = Scheduler::new(Settings::default());
        scheduler.reserve(tasks, tasks, named);
        assert_eq!(scheduler.links.room(), room, "{named} named by {tasks}");
    }
}
