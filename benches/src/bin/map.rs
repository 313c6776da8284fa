//! How many items a second through a map, in order? And does its memory stay the same
//! over ten million items, a thousand at a time?
//!
//! The reference is the farm that one writes by hand over raw MPI, 64 items a message. It
//! need not know its items by their order, nor what fails.

use distwq::Cluster;
use distwq_benches::tasks::{Outcome, increment, launch, warm_up};
use distwq_benches::{Failure, Figure, Side, farm, median, resident_bytes, run, tell};
use std::process::ExitCode;
use std::time::Instant;

const ITEMS: i64 = 64 * 50_000;

/// Maps of one sample, of which the median counts.
const MAPS: usize = 5;

/// Items of the map whose memory is looked at, and its window.
const MANY: i64 = 10_000_000;
const WINDOW: usize = 1_000;

/// So much more is in memory at the end than after a hundredth, if it is flat.
const FLAT_KIB: f64 = 1_024.0;

fn ours() -> ExitCode {
    launch(|cluster| {
        warm_up(cluster)?;
        tell(median((0..MAPS).map(|_| one_map(cluster)).collect::<Result<_, _>>()?));
        Ok(())
    })
}

fn one_map(cluster: &Cluster) -> Result<f64, Box<dyn std::error::Error>> {
    let mut results = vec![0_i64; ITEMS as usize];
    let start = Instant::now();
    for (place, result) in results.iter_mut().zip(cluster.map(increment::call, 0..ITEMS)) {
        *place = result?;
    }
    let seconds = start.elapsed().as_secs_f64();
    match results.iter().zip(1..).find(|(found, expected)| *found != expected) {
        Some((found, expected)) => Err(format!("{found} came for {expected}").into()),
        None => Ok(ITEMS as f64 / seconds),
    }
}

fn memory() -> ExitCode {
    launch(|cluster| -> Outcome {
        warm_up(cluster)?;
        let (mut sum, mut before) = (0, 0.0);
        for (index, result) in (0..).zip(cluster.map(increment::call, 0..MANY).window(WINDOW)) {
            sum += result?;
            if index == MANY / 100 {
                before = resident_bytes()?;
            }
        }
        if sum != MANY * (MANY + 1) / 2 {
            return Err(format!("the results add up to {sum}").into());
        }
        tell((resident_bytes()? - before) / 1024.0);
        Ok(())
    })
}

fn figures() -> Result<(), Failure> {
    for (name, ranks) in [("map_w1", 2), ("map_w2", 3)] {
        let (reference, ours) = (Side::new("raw", ranks)?, Side::new("map", ranks)?);
        Figure::new(name, "items/s").compare(|| reference.sample(), || ours.sample())?;
    }
    Figure::new("map_memory", "KiB").constant(Side::new("memory", 2)?.sample()?, FLAT_KIB);
    Ok(())
}

fn main() -> ExitCode {
    run(figures, &[("raw", || farm::run_joined(MAPS, ITEMS)), ("map", ours), ("memory", memory)])
}
