//! How many empty tasks a second, taken from a batch as they end?
//!
//! The reference reads the results by their handles, in the order in which the tasks were
//! submitted.

use distwq::Cluster;
use distwq_benches::tasks::{Outcome, increment, launch, warm_up};
use distwq_benches::{Failure, Figure, Side, median, run, tell};
use std::process::ExitCode;
use std::time::Instant;

const TASKS: i64 = 200_000;

/// Bursts of one sample, of which the median counts.
const BURSTS: usize = 5;

/// The tasks a second. `burst` gives the sum of all results.
fn side(burst: impl Fn(&Cluster) -> Result<i64, Box<dyn std::error::Error>>) -> ExitCode {
    launch(|cluster| -> Outcome {
        warm_up(cluster)?;
        let mut samples = Vec::new();
        for _ in 0..BURSTS {
            let start = Instant::now();
            let found = burst(cluster)?;
            samples.push(TASKS as f64 / start.elapsed().as_secs_f64());
            if found != TASKS * (TASKS + 1) / 2 {
                return Err(format!("the results add up to {found}").into());
            }
        }
        tell(median(samples));
        Ok(())
    })
}

fn in_order(cluster: &Cluster) -> Result<i64, Box<dyn std::error::Error>> {
    let handles: Vec<_> = (0..TASKS).map(|x| cluster.submit(increment::call(x))).collect();
    let mut sum = 0;
    for handle in handles {
        sum += handle.get()?;
    }
    Ok(sum)
}

fn as_completed(cluster: &Cluster) -> Result<i64, Box<dyn std::error::Error>> {
    let batch = cluster.submit_all((0..TASKS).map(increment::call));
    let mut sum = 0;
    for (_, result) in &batch {
        sum += result?;
    }
    Ok(sum)
}

fn figures() -> Result<(), Failure> {
    let (reference, ours) = (Side::new("in_order", 2)?, Side::new("as_completed", 2)?);
    Figure::new("as_completed", "tasks/s").compare(|| reference.sample(), || ours.sample())
}

fn main() -> ExitCode {
    run(figures, &[("in_order", || side(in_order)), ("as_completed", || side(as_completed))])
}
