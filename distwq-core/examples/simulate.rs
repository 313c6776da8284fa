//! Simulates a controller and its workers for many seeds, and tells the first that breaks
//! a rule; or for many workers, and tells what that costs.
//!
//! `cargo xtask simulate [--seeds N] [--from S] [--scale]` builds and runs it.

#![allow(clippy::print_stdout, reason = "the result is what this program is for")]

use distwq_core::simulation::scale::{self, Cost};
use distwq_core::simulation::{self, Tally};
use std::process::ExitCode;

/// Seeds of a run that does not say how many.
const SEEDS: u64 = 10_000;

/// Numbers of workers whose costs are told.
const WORKERS: [u32; 6] = [16, 64, 256, 1_024, 4_096, 10_000];

const USAGE: &str = "usage: simulate [--seeds N] [--from S] | --scale";

fn main() -> ExitCode {
    if std::env::args().skip(1).eq(["--scale"]) {
        tell_scale();
        return ExitCode::SUCCESS;
    }
    let Some((seeds, from)) = arguments(std::env::args().skip(1)) else {
        println!("{USAGE}");
        return ExitCode::from(2);
    };
    // The violation is told below, with what came before it.
    std::panic::set_hook(Box::new(|_| {}));
    let mut tally = Tally::default();
    let (mut simulated, mut violations) = (0_u64, 0);
    for seed in from..from.saturating_add(seeds) {
        simulated += 1;
        match simulation::run(seed) {
            Ok(seen) => tally += seen,
            Err(violation) => {
                println!("{violation}");
                violations += 1;
                break;
            }
        }
    }
    let Tally { events, lost, groups, .. } = tally;
    println!(
        "simulated {simulated} seeds: {events} events, {lost} workers lost, {groups} groups, {violations} violations"
    );
    ExitCode::from(u8::from(violations > 0))
}

/// How many seeds, and the first of them. Nothing if something else stands there.
fn arguments(mut words: impl Iterator<Item = String>) -> Option<(u64, u64)> {
    let (mut seeds, mut from) = (SEEDS, 0);
    while let Some(word) = words.next() {
        let number = match word.as_str() {
            "--seeds" => &mut seeds,
            "--from" => &mut from,
            _ => return None,
        };
        *number = words.next()?.parse().ok()?;
    }
    Some((seeds, from))
}

/// A table of what one task, one member of a group and one worker cost, by the number of
/// workers.
fn tell_scale() {
    println!("processor time of the machines, and bytes of their frames, without transport");
    println!(
        "{:>7}  {:44} {:>14} {:>10} {:>16} {:>12}",
        "workers", "for each", "controller ns", "worker ns", "controller bytes", "peer bytes"
    );
    for workers in WORKERS {
        let run = scale::scale(workers);
        tell(workers, "worker, in the handshake", run.handshake, "");
        tell(workers, "task of a millisecond", run.tasks, "");
        for group in &run.groups {
            let what = format!("of {} members who {}", group.members, group.what);
            let lasts = format!("  {:.3} ms", group.lasts.as_secs_f64() * 1e3);
            tell(workers, &what, group.cost, &lasts);
        }
        tell(workers, "worker, at the end", run.end, "");
    }
}

fn tell(workers: u32, what: &str, cost: Cost, lasts: &str) {
    let Cost { controller_ns, workers_ns, controller_bytes, worker_bytes } = cost;
    println!(
        "{workers:>7}  {what:44} {controller_ns:>14.0} {workers_ns:>10.0} {controller_bytes:>16.1} {worker_bytes:>12.1}{lasts}"
    );
}
