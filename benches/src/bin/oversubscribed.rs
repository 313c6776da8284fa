//! What is left of the throughput with twice as many ranks as cores?
//!
//! The reference is distwq itself with as many ranks as cores.

use distwq_benches::tasks::throughput;
use distwq_benches::{Failure, Figure, Side, run};
use std::process::ExitCode;
use std::thread;

fn figures() -> Result<(), Failure> {
    // On a single core there would be no worker.
    let cores = thread::available_parallelism().map_or(2, usize::from).max(2);
    let (reference, ours) = (Side::new("distwq", cores)?, Side::new("distwq", 2 * cores)?);
    Figure::new("oversubscribed", "tasks/s").compare(|| reference.sample(), || ours.sample())
}

fn main() -> ExitCode {
    run(figures, &[("distwq", throughput)])
}
