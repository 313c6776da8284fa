//! A message there and back between two ranks.

use crate::samples::median;
use crate::side::tell;
use mpi::traits::{Communicator, CommunicatorCollectives, Destination, Source};
use std::process::ExitCode;
use std::time::Instant;

/// How a measurement goes: rounds before it, and how many blocks of how many round trips
/// are timed.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// Bytes of the message.
    pub bytes: usize,
    /// Round trips that are not timed.
    pub warm_ups: usize,
    /// Blocks that are timed, of which the median counts.
    pub blocks: usize,
    /// Round trips of a block.
    pub rounds: usize,
}

/// Tells what `convert` makes of the seconds of a round trip.
///
/// # Panics
/// If it runs on fewer than two ranks.
#[must_use]
pub fn run(plan: Plan, convert: impl Fn(f64) -> f64) -> ExitCode {
    let Plan { bytes, warm_ups, blocks, rounds } = plan;
    let universe = mpi::initialize().expect("MPI has not been initialised before");
    let world = universe.world();
    assert!(world.size() >= 2, "there is nobody to play with");
    let mut buffer = vec![1_u8; bytes];
    world.barrier();
    match world.rank() {
        0 => {
            let other = world.process_at_rank(1);
            let mut block = |rounds| {
                let start = Instant::now();
                for _ in 0..rounds {
                    other.send(&buffer[..]);
                    other.receive_into(&mut buffer[..]);
                }
                start.elapsed().as_secs_f64() / rounds as f64
            };
            block(warm_ups);
            tell(convert(median((0..blocks).map(|_| block(rounds)).collect())));
        }
        1 => {
            let other = world.process_at_rank(0);
            for _ in 0..warm_ups + blocks * rounds {
                other.receive_into(&mut buffer[..]);
                other.send(&buffer[..]);
            }
        }
        _ => {}
    }
    ExitCode::SUCCESS
}
