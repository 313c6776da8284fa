//! How long does the contingency job take as a graph of tasks?
//!
//! The reference is the same job split evenly by hand over raw MPI, on the same ranks.
//! Both are timed as whole programs, from the launch to the end.

use distwq_benches::{Failure, Figure, Side, run};
use std::path::Path;
use std::process::ExitCode;
use std::time::Instant;

const RANKS: usize = 4;

fn seconds(side: &Side) -> Result<f64, Failure> {
    let start = Instant::now();
    side.output()?;
    Ok(start.elapsed().as_secs_f64())
}

fn figures() -> Result<(), Failure> {
    // Both look for the case below the folder of the workspace, and compare what they
    // find with the expected figures.
    let folder = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."));
    let reference = Side::program("by_hand", &[], RANKS, folder)?;
    let ours = Side::program("contingency", &["--no-report"], RANKS, folder)?;
    Figure::new("contingency", "s").compare(|| seconds(&reference), || seconds(&ours))
}

fn main() -> ExitCode {
    run(figures, &[])
}
