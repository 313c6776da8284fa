//! The farm that one writes by hand: rank 0 hands out tasks, one a message, 16 in flight
//! to each worker.

use crate::samples::median;
use crate::side::tell;
use mpi::Tag;
use mpi::topology::SimpleCommunicator;
use mpi::traits::{Communicator, CommunicatorCollectives, Destination, Source};
use std::process::ExitCode;
use std::time::Instant;

/// Messages that each worker has in flight.
const DEPTH: usize = 16;

const WORK: Tag = 1;
const DONE: Tag = 2;
const STOP: Tag = 3;

/// Runs farms of so many tasks on all ranks and tells the tasks per second of the median
/// one.
///
/// # Panics
/// If a result is wrong.
#[must_use]
pub fn run(farms: usize, tasks: i64) -> ExitCode {
    on_all_ranks(farms, |world| hand_out(world, tasks), work)
}

/// Runs farms: `hand_out` on rank 0, of which it tells the median, and `work` on the
/// others, until it receives `STOP`.
fn on_all_ranks(
    farms: usize,
    hand_out: impl Fn(&SimpleCommunicator) -> f64,
    work: impl FnOnce(&SimpleCommunicator),
) -> ExitCode {
    let universe = mpi::initialize().expect("MPI has not been initialised before");
    let world = universe.world();
    world.barrier();
    if world.rank() == 0 {
        tell(median((0..farms).map(|_| hand_out(&world)).collect()));
        for worker in 1..world.size() {
            world.process_at_rank(worker).send_with_tag(&[0_i64; 0], STOP);
        }
    } else {
        work(&world);
    }
    ExitCode::SUCCESS
}

/// The side of rank 0: tasks per second.
fn hand_out(world: &SimpleCommunicator, tasks: i64) -> f64 {
    let mut results = vec![0_i64; tasks as usize];
    let mut next = 0..tasks;
    let start = Instant::now();
    for _ in 0..DEPTH {
        for worker in 1..world.size() {
            if let Some(task) = next.next() {
                world.process_at_rank(worker).send_with_tag(&[task, task], WORK);
            }
        }
    }
    let mut item = [0_i64; 2];
    for _ in 0..tasks {
        let status = world.any_process().receive_into_with_tag(&mut item, DONE);
        results[item[0] as usize] = item[1];
        if let Some(task) = next.next() {
            world.process_at_rank(status.source_rank()).send_with_tag(&[task, task], WORK);
        }
    }
    let seconds = start.elapsed().as_secs_f64();
    assert!(results.iter().zip(1..).all(|(result, expected)| *result == expected), "a result is wrong");
    tasks as f64 / seconds
}

/// Items of one message of [`run_joined`].
const TOGETHER: usize = 64;

/// The same with 64 items a message, 4 messages in flight to each worker.
///
/// # Panics
/// If a result is wrong.
#[must_use]
pub fn run_joined(farms: usize, items: i64) -> ExitCode {
    on_all_ranks(farms, |world| hand_out_joined(world, items), work_joined)
}

/// What an item costs to compute: not for the compiler to know.
#[inline(never)]
fn increment(item: i64) -> i64 {
    item + 1
}

/// The side of rank 0: items per second.
fn hand_out_joined(world: &SimpleCommunicator, items: i64) -> f64 {
    let messages = items as usize / TOGETHER;
    let mut results = vec![0_i64; messages * TOGETHER];
    let mut next = 0..messages;
    let mut message = [0_i64; 1 + TOGETHER];
    let mut send = |to| {
        let Some(first) = next.next() else { return };
        message[0] = first as i64;
        for (place, item) in message[1..].iter_mut().enumerate() {
            *item = (first * TOGETHER + place) as i64;
        }
        world.process_at_rank(to).send_with_tag(&message, WORK);
    };
    let start = Instant::now();
    for _ in 0..4 {
        (1..world.size()).for_each(&mut send);
    }
    let mut message = [0_i64; 1 + TOGETHER];
    for _ in 0..messages {
        let status = world.any_process().receive_into_with_tag(&mut message, DONE);
        let first = message[0] as usize * TOGETHER;
        results[first..first + TOGETHER].copy_from_slice(&message[1..]);
        send(status.source_rank());
    }
    let seconds = start.elapsed().as_secs_f64();
    assert!(results.iter().zip(1..).all(|(result, expected)| *result == expected), "a result is wrong");
    results.len() as f64 / seconds
}

fn work_joined(world: &SimpleCommunicator) {
    let controller = world.process_at_rank(0);
    let mut message = [0_i64; 1 + TOGETHER];
    while controller.receive_into(&mut message).tag() != STOP {
        message[1..].iter_mut().for_each(|item| *item = increment(*item));
        controller.send_with_tag(&message, DONE);
    }
}

fn work(world: &SimpleCommunicator) {
    let controller = world.process_at_rank(0);
    let mut item = [0_i64; 2];
    while controller.receive_into(&mut item).tag() != STOP {
        item[1] += 1;
        controller.send_with_tag(&item, DONE);
    }
}
