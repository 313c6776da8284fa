//! What a run costs by its number of workers: the real machines with the real frames
//! between them, in simulated time, and the processor time and the bytes that each side
//! needs. Nothing is random and nothing is checked but that all ends.
//!
//! The network takes the same time for every frame. The controller gathers what comes for
//! some microseconds before it looks, as one does that is never idle for long. What an
//! MPI and a transport need is not in these figures.

mod member;
mod meter;
mod world;

pub use meter::Cost;

use member::Part;
use std::time::Duration;
use world::World;

/// Tasks of a run: so many a worker, but so many in all.
const TASKS_EACH: u32 = 20;
const TASKS_MIN: u32 = 20_000;

/// What a run of so many workers costs.
#[derive(Clone, Debug)]
pub struct Run {
    /// How many workers there are.
    pub workers: u32,
    /// The first exchange, for each worker.
    pub handshake: Cost,
    /// Tasks that run alone, for about a millisecond each: for each task.
    pub tasks: Cost,
    /// Collective tasks, for each member.
    pub groups: Vec<Group>,
    /// The end, for each worker.
    pub end: Cost,
}

/// What a collective task costs for each of its members.
#[derive(Clone, Debug)]
pub struct Group {
    /// How many members it has.
    pub members: u32,
    /// What they do.
    pub what: &'static str,
    /// For each member.
    pub cost: Cost,
    /// How long it takes in simulated time.
    pub lasts: Duration,
    /// For how long of that a member computes.
    pub computing: Duration,
}

/// Runs so many workers: what each needs, from the first exchange to the end.
///
/// # Panics
/// If something does not end, or not as it must.
#[must_use]
pub fn scale(workers: u32) -> Run {
    let (mut world, handshake) = World::begin(workers);
    let tasks = world.tasks(TASKS_MIN.max(workers * TASKS_EACH));
    let mut groups = Vec::new();
    let mut group = |members, part: Part| {
        let (cost, lasts) = world.group(members, part);
        groups.push(Group { members, what: part.name(), cost, lasts, computing: part.computing() });
    };
    let sizes = (1..).map(|power| 1_u32 << power).take_while(|size| *size < workers).chain([workers]);
    for members in sizes {
        for part in [Part::Nothing, Part::Tree] {
            group(members, part);
        }
    }
    for part in [Part::Late, Part::Circle, Part::FirstLeaves, Part::LastFails] {
        group(workers, part);
    }
    let end = world.end();
    Run { workers, handshake, tasks, groups, end }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Processor time depends on the machine, bytes do not.
    #[test]
    fn a_member_says_and_hears_as_much_in_a_group_of_any_size() {
        for workers in [16, 600] {
            let run = scale(workers);
            assert!(run.handshake.controller_bytes < 300.0, "{run:?}");
            assert!(run.tasks.controller_bytes < 60.0, "{run:?}");
            assert!(run.end.controller_bytes < 20.0, "{run:?}");
            for group in &run.groups {
                let Cost { controller_bytes, worker_bytes, .. } = group.cost;
                // The text of a circle goes to each member and back.
                let text = if group.what == Part::Circle.name() { 1_300.0 } else { 0.0 };
                assert!(controller_bytes < 450.0 + text && worker_bytes < 120.0, "{group:?}");
                let late = group.lasts.checked_sub(group.computing).expect("it lasts for so long at least");
                assert!(late < Duration::from_millis(60), "{group:?}");
            }
        }
    }
}
