//! The scheduler against a simulated run: random graphs, workers, delays, failures and
//! losses from one seed.
//!
//! A failure names its seed; `DISTWQ_SEED=n cargo test -p distwq-core simulation` runs
//! that one alone.

mod limits;
mod model;
mod user;
mod workers;
mod world;

use crate::machine::simulation::Random;
use model::Tally;
use std::panic::{AssertUnwindSafe, catch_unwind};
use world::World;

/// What a family of runs looks like.
#[derive(Clone, Copy, Debug)]
struct Profile {
    workers_max: u64,
    slots_max: u64,
    tasks_max: u64,
    /// Longest run of a task, in nanoseconds.
    run_ns_max: u64,
    /// Longest way of a message, in nanoseconds.
    delay_ns_max: u64,
    /// Tasks in a hundred that fail at least once.
    failing_percent: u64,
    /// Tasks in a hundred that are collective.
    wide_percent: u64,
    /// Tasks in a hundred that follow another.
    following_percent: u64,
    /// Tasks differ in priority.
    priorities: bool,
    /// Workers are lost.
    losses: bool,
    /// Values are so large that it matters where they are.
    large_values: bool,
    /// So often, in a hundred times that tasks are added, some are cancelled.
    cancel_percent: u64,
    /// Tasks in a hundred that take the ends of others, whichever.
    ends_percent: u64,
    /// Tasks in a hundred that have limits, or whose workers want something else than
    /// another attempt; so often, in a hundred times that tasks are added, a deadline
    /// comes.
    limit_percent: u64,
}

const CALM: Profile = Profile {
    workers_max: 6,
    slots_max: 3,
    tasks_max: 60,
    run_ns_max: 2_000_000,
    delay_ns_max: 50_000,
    failing_percent: 10,
    wide_percent: 8,
    following_percent: 10,
    priorities: true,
    losses: false,
    large_values: true,
    cancel_percent: 0,
    ends_percent: 0,
    limit_percent: 0,
};

/// Runs every seed, or the one that `DISTWQ_SEED` names, and adds up what was seen.
fn for_seeds(count: u64, profile: Profile) -> Tally {
    let only = std::env::var("DISTWQ_SEED").ok().map(|seed| seed.parse::<u64>().expect("DISTWQ_SEED is a number"));
    let seeds = only.map_or(0..count, |seed| seed..seed + 1);
    let mut tally = Tally::default();
    for seed in seeds {
        let run = || World::new(Random::new(seed), profile, only.is_some() || seed.is_multiple_of(16)).run();
        match catch_unwind(AssertUnwindSafe(run)) {
            Ok(seen) => tally += seen,
            Err(_) => panic!("seed {seed} of {profile:?} fails; run it alone with DISTWQ_SEED={seed}"),
        }
    }
    tally
}

/// The runs have met what they are meant to test; one seed alone need not.
fn assert_reached(reached: bool, tally: Tally) {
    assert!(reached || std::env::var("DISTWQ_SEED").is_ok(), "these runs test too little: {tally:?}");
}

#[test]
fn a_mixed_run_ends_every_task_once_and_in_order() {
    let tally = for_seeds(1_000, CALM);
    assert_reached(tally.groups > 100 && tally.retries > 100 && tally.returned > 100 && tally.turns > 1_000, tally);
}

#[test]
fn a_run_of_tiny_tasks_ends_every_task_once_and_in_order() {
    let tiny = Profile { run_ns_max: 5_000, tasks_max: 120, wide_percent: 2, ..CALM };
    let tally = for_seeds(400, tiny);
    assert_reached(tally.starts > 1_000 && tally.retries > 100, tally);
}

#[test]
fn a_run_full_of_wide_tasks_starves_none() {
    let wide = Profile { wide_percent: 40, priorities: false, following_percent: 5, ..CALM };
    let tally = for_seeds(600, wide);
    assert_reached(tally.groups > 1_000 && tally.returned > 100, tally);
}

#[test]
fn a_run_with_many_failures_tries_again_elsewhere() {
    let failing = Profile { failing_percent: 60, wide_percent: 5, workers_max: 8, ..CALM };
    let tally = for_seeds(600, failing);
    assert_reached(tally.retries > 1_000, tally);
}

#[test]
fn a_run_that_loses_workers_ends_every_task_once() {
    let losses = Profile { losses: true, wide_percent: 15, following_percent: 15, ..CALM };
    let tally = for_seeds(1_200, losses);
    assert_reached(tally.ends[..7].iter().all(|&count| count > 0), tally);
}

#[test]
fn a_run_in_which_tasks_are_cancelled_ends_every_task_once() {
    let cancelling = Profile { cancel_percent: 60, wide_percent: 15, failing_percent: 30, ..CALM };
    let tally = for_seeds(600, cancelling);
    assert_reached(tally.ends[7] > 500 && tally.not_begun > 50 && tally.came_back_cancelled > 0, tally);
    let losing = Profile { losses: true, ..cancelling };
    let tally = for_seeds(400, losing);
    assert_reached(tally.ends[7] > 300 && tally.not_begun > 30, tally);
}

#[test]
fn a_run_in_which_tasks_take_the_ends_of_others_ends_every_task_once() {
    let taking = Profile { ends_percent: 40, failing_percent: 40, wide_percent: 15, cancel_percent: 20, ..CALM };
    let tally = for_seeds(600, taking);
    assert_reached(tally.took_errors > 500 && tally.ends[2] > 500, tally);
    let losing = Profile { losses: true, following_percent: 20, ..taking };
    let tally = for_seeds(1_500, losing);
    assert_reached(tally.took_errors > 300 && tally.ends[..7].iter().all(|&count| count > 0), tally);
}

#[test]
fn a_run_with_limits_ends_every_task_once_and_in_time() {
    let limited = Profile { limit_percent: 50, wide_percent: 12, failing_percent: 30, ..CALM };
    let tally = for_seeds(500, limited);
    assert_reached(tally.ends[8..].iter().all(|&count| count > 20), tally);
    assert_reached(tally.overruns > 1_000 && tally.came_back > 1_000 && tally.wishes > 500, tally);
    let losing = Profile { losses: true, cancel_percent: 30, ..limited };
    let tally = for_seeds(500, losing);
    // Others have stalled runs.
    let mut kinds = tally.ends[..6].iter().chain(&tally.ends[7..]);
    assert_reached(kinds.all(|&count| count > 0), tally);
    let alone = Profile { workers_max: 2, slots_max: 2, ..limited };
    let tally = for_seeds(400, alone);
    assert_reached(tally.ends[11] > 100 && tally.ends[12] > 20, tally);
}

#[test]
fn a_run_with_one_worker_needs_no_other() {
    let alone = Profile { workers_max: 1, ..CALM };
    let tally = for_seeds(300, alone);
    assert_reached(tally.groups > 100, tally);
}
