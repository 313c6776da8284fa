//! Simulates a controller and its workers for many seeds, and tells the first that breaks a rule.
//!
//! `cargo xtask simulate [--seeds N] [--from S]` builds and runs it.

#![allow(clippy::print_stdout, reason = "the result is what this program is for")]

use distwq_core::simulation::{self, Tally};
use std::process::ExitCode;

/// Seeds of a run that does not say how many.
const SEEDS: u64 = 10_000;

const USAGE: &str = "usage: simulate [--seeds N] [--from S]";

fn main() -> ExitCode {
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
    println!("simulated {simulated} seeds: {} events, {} groups, {violations} violations", tally.events, tally.groups);
    ExitCode::from(u8::from(violations > 0))
}

/// How many seeds, and the first of them. Nothing if something else stands there.
fn arguments(mut words: impl Iterator<Item = String>) -> Option<(u64, u64)> {
    let (mut seeds, mut from) = (SEEDS, 0);
    while let Some(word) = words.next() {
        let place = match word.as_str() {
            "--seeds" => &mut seeds,
            "--from" => &mut from,
            _ => return None,
        };
        *place = words.next()?.parse().ok()?;
    }
    Some((seeds, from))
}
