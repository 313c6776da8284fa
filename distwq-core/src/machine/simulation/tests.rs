//! Thousands of runs.

use super::{StatesTally, Tally, run};

/// Runs these seeds, or the one that `DISTWQ_SEED` names, and adds up what was met.
fn for_seeds(seeds: std::ops::Range<u64>) -> Tally {
    let only = std::env::var("DISTWQ_SEED").ok().map(|seed| seed.parse::<u64>().expect("DISTWQ_SEED is a number"));
    let mut tally = Tally::default();
    for seed in only.map_or(seeds, |seed| seed..seed + 1) {
        match run(seed) {
            Ok(seen) => tally += seen,
            Err(violation) => panic!("{violation}\nrun it alone with DISTWQ_SEED={seed}"),
        }
    }
    tally
}

#[test]
fn controller_and_workers_together_keep_all_rules() {
    keep_all_rules(0..SEEDS);
}

/// A second test, so that another thread takes them.
#[test]
fn controller_and_workers_together_keep_all_rules_in_other_runs() {
    keep_all_rules(SEEDS..2 * SEEDS);
}

fn keep_all_rules(seeds: std::ops::Range<u64>) {
    let tally = for_seeds(seeds);
    let reached =
        tally.groups > SEEDS && tally.retries > SEEDS / 2 && tally.deadlocks > SEEDS / 50 && tally.overtaken > 100;
    let has_gone_wrong = [tally.lost, tally.lost_tasks, tally.exits, tally.unreadable, tally.stalled, tally.left_told];
    let cancels = [tally.cancelled, tally.cancelled_in_vain, tally.cancelled_early, tally.cancelled_running];
    let reached = reached && cancels.iter().all(|count| *count > SEEDS / 200);
    let rare = [tally.stuck, tally.nowhere, tally.graph_deadlines, tally.ended_together];
    let reached = reached && tally.overran > SEEDS / 10 && rare.iter().all(|count| *count > 0);
    let reached = reached && tally.limits_reached.iter().all(|count| *count > SEEDS / 100);
    let reached = reached
        && tally.watched > SEEDS
        && tally.slides > SEEDS / 2
        && tally.heard > SEEDS / 10
        && tally.cancelled_graphs > SEEDS / 50
        && tally.took_errors > SEEDS / 10
        && tally.denials > 0
        && tally.of_maps > SEEDS
        && tally.interrupted.iter().all(|count| *count > SEEDS / 100)
        && tally.stopped_between > 0
        && has_gone_wrong.iter().all(|count| *count > SEEDS / 100);
    let reached = reached && reaches_states(&tally.states);
    assert!(reached || std::env::var("DISTWQ_SEED").is_ok(), "these runs test too little: {tally:?}");
}

/// Runs of each of these tests.
const SEEDS: u64 = 2_000;

#[test]
fn a_seed_gives_the_same_run_frame_by_frame() {
    for seed in 0..40 {
        let [first, second] = [(); 2].map(|()| run(seed).unwrap_or_else(|violation| panic!("{violation}")));
        assert_eq!(first, second, "seed {seed}");
    }
}

/// Whether all is met that has to do with the states of slots.
fn reaches_states(tally: &StatesTally) -> bool {
    let early_tasks = tally.ended_tasks - tally.ended_late_tasks;
    let often = [tally.made_anew, tally.not_made, tally.overdue, tally.ended_late_tasks, tally.finals];
    let seldom = [
        tally.not_made_anew,
        tally.overdue_anew,
        early_tasks,
        tally.not_finished,
        tally.finals_overdue,
        tally.finals_lost,
    ];
    let seldom = seldom.into_iter().chain([tally.not_finished_unasked]);
    often.iter().all(|count| *count > SEEDS / 50) && seldom.into_iter().all(|count| count > SEEDS / 500)
}
