//! How long does a link of a chain take, in which each task takes the value of the one
//! before?
//!
//! Adding the tasks to the graph and running it count. The reference is a message of 16
//! bytes there and back over raw MPI.

use distwq_benches::ping_pong::Plan;
use distwq_benches::tasks::{CHAINS, LINKS, chain_link_microseconds, launch, warm_up};
use distwq_benches::{Failure, Figure, Side, ping_pong, run, tell};
use std::process::ExitCode;

/// As many round trips as there are links.
const PLAN: Plan = Plan { bytes: 16, warm_ups: 1_000, blocks: CHAINS, rounds: LINKS };

fn ours() -> ExitCode {
    launch(|cluster| {
        warm_up(cluster)?;
        tell(chain_link_microseconds(cluster)?);
        Ok(())
    })
}

fn figures() -> Result<(), Failure> {
    let (reference, ours) = (Side::new("raw", 2)?, Side::new("distwq", 2)?);
    Figure::new("chain", "us").compare(|| reference.sample(), || ours.sample())
}

fn main() -> ExitCode {
    run(figures, &[("raw", || ping_pong::run(PLAN, |seconds| seconds * 1e6)), ("distwq", ours)])
}
