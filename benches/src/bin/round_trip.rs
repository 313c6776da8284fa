//! How long does it take to submit an empty task on an idle cluster and to get its
//! result?
//!
//! The reference is a message of 16 bytes there and back over raw MPI.

use distwq_benches::ping_pong::Plan;
use distwq_benches::tasks::{launch, round_trip_microseconds, warm_up};
use distwq_benches::{Failure, Figure, Side, ping_pong, run, tell};
use std::process::ExitCode;

const PLAN: Plan = Plan { bytes: 16, warm_ups: 1_000, blocks: 100_000, rounds: 1 };

fn ours() -> ExitCode {
    launch(|cluster| {
        warm_up(cluster)?;
        tell(round_trip_microseconds(cluster)?);
        Ok(())
    })
}

fn figures() -> Result<(), Failure> {
    let (reference, ours) = (Side::new("raw", 2)?, Side::new("distwq", 2)?);
    Figure::new("round_trip", "us").compare(|| reference.sample(), || ours.sample())
}

fn main() -> ExitCode {
    run(figures, &[("raw", || ping_pong::run(PLAN, |seconds| seconds * 1e6)), ("distwq", ours)])
}
