//! How many empty tasks a second, submitted one by one, each result read by its handle?
//!
//! The reference is the farm that one writes by hand over raw MPI, on the same ranks.

use distwq_benches::tasks::{BURSTS, TASKS, throughput};
use distwq_benches::{Failure, Figure, Side, farm, run};
use std::process::ExitCode;

fn figures() -> Result<(), Failure> {
    for (name, ranks) in [("throughput_w1", 2), ("throughput_w2", 3)] {
        let (reference, ours) = (Side::new("raw", ranks)?, Side::new("distwq", ranks)?);
        Figure::new(name, "tasks/s").compare(|| reference.sample(), || ours.sample())?;
    }
    Ok(())
}

fn main() -> ExitCode {
    run(figures, &[("raw", || farm::run(BURSTS, TASKS)), ("distwq", throughput)])
}
