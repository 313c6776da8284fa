//! The table of tasks: slots that are used again, and many of them.

use super::super::table::{HomeCopy, Output, Table};
use super::super::watches::Watches;
use super::*;
use crate::function::argument::{Input, Role};
use crate::id::CollectorId;

/// More than fit into two blocks.
const MANY: u32 = 150_000;

fn add(table: &mut Table) -> TaskId {
    table.insert(&[], |_| {})
}

#[test]
fn each_of_many_tasks_has_a_slot_of_its_own_and_is_found_there() {
    let mut table = Table::default();
    let tasks: Vec<TaskId> = (0..MANY).map(|_| add(&mut table)).collect();
    assert_eq!(tasks, (0..MANY).map(|slot| TaskId::new(slot, slot + 1)).collect::<Vec<_>>());
    for task in &tasks {
        assert_eq!(table.get(*task).map(|entry| entry.serial), Some(task.serial()));
        table.get_mut(*task).expect("it has not gone").attempts = task.serial();
    }
    assert!(tasks.iter().all(|task| table.get(*task).is_some_and(|entry| entry.attempts == task.serial())));
    assert_eq!(table.iter().count(), MANY as usize);
    assert!(table.get(TaskId::new(MANY, MANY + 1)).is_none(), "there is no such slot");
    assert!(table.get(TaskId::new(5, 7)).is_none(), "that is another one's");
}

#[test]
fn a_slot_is_used_again_and_nothing_is_left_of_the_task_before() {
    let mut table = Table::default();
    let [one, two] = [(); 2].map(|()| add(&mut table));
    let entry = table.get_mut(one).expect("it has not gone");
    (entry.attempts, entry.references, entry.watched) = (3, 5, true);
    entry.watches = Some(Watches::default().add(None, Watch { collector: CollectorId(1), index: 0 }));
    (entry.submitted_ns, entry.started_ns, entry.finished_ns) = (1, 2, 3);
    (entry.output, entry.payload) = (Output::Here, Payload::copy_of(&[7; 500]));
    entry.label = Some(Box::from("old"));
    table.remove(one);
    assert!(table.get(one).is_none());
    table.remove(one);
    assert_eq!(table.reserve(5, 0), 4, "one of five has a slot that was used");
    let next = add(&mut table);
    assert_eq!(next, TaskId::new(0, 3));
    let entry = table.get(next).expect("it has not gone");
    assert_eq!((entry.attempts, entry.references, entry.label()), (0, 1, None));
    assert!(!entry.watched && entry.watches.is_none());
    assert_eq!((entry.submitted_ns, entry.started_ns, entry.finished_ns), (0, 0, 0));
    assert!(matches!(entry.output, Output::Pending) && entry.payload_here().is_none() && entry.output_bytes() == 0);
    assert!(table.get(two).is_some());
    assert_eq!((table.iter().count(), table.reserve(5, 0)), (2, 5));
}

#[test]
fn the_inputs_of_a_task_go_with_its_end() {
    let mut table = Table::default();
    let position = ArgumentPosition { offset: 0, parameter: 0, role: Role::Whole };
    let source = add(&mut table);
    let inputs = [Input { source, position }; 3];
    let task = table.insert(&inputs, |_| {});
    let entry = table.get(task).expect("it has not gone");
    assert_eq!(table.inputs(entry).iter().map(|input| input.source).collect::<Vec<_>>(), [source; 3]);
    assert_eq!(table.slices(), 1);
    let entry = table.end(task, 7).expect("it has not gone");
    assert_eq!(entry.serial, task.serial());
    assert_eq!((table.slices(), table.end(TaskId::new(9, 9), 7).is_none()), (0, true));
}

#[test]
fn the_values_that_stayed_on_a_worker_are_found_wherever_they_are() {
    let (one, two) = (WorkerId::new(1), WorkerId::new(2));
    let mut table = Table::default();
    let tasks: Vec<TaskId> = (0..MANY).map(|_| add(&mut table)).collect();
    let mut keep = |slot: u32, by| {
        let entry = table.get_mut(tasks[slot as usize]).expect("it has not gone");
        entry.output = Output::Resident { by, bytes: 9, copy: HomeCopy::None };
        assert_eq!(entry.output_bytes(), 9);
        tasks[slot as usize]
    };
    let on_one = [3, 65_535, 65_536, MANY - 1].map(|slot| keep(slot, one));
    let on_two = [4, 70_000].map(|slot| keep(slot, two));
    let gone = keep(7, one);
    table.remove(gone);
    assert_eq!((table.on_worker(one), table.on_worker(two)), (on_one.to_vec(), on_two.to_vec()));
}
