//! How fast do 64 MiB of bytes go through a task that takes and returns them?
//!
//! The reference is the same echo over raw MPI. Bytes are counted once for each
//! direction, buffers are warm on both sides.

use distwq::remote;
use distwq_benches::ping_pong::Plan;
use distwq_benches::tasks::launch;
use distwq_benches::{Failure, Figure, Side, median, ping_pong, run, tell};
use serde_bytes::ByteBuf;
use std::process::ExitCode;
use std::time::Instant;

const BYTES: usize = 64 << 20;
const WARM_UPS: usize = 2;
const ROUNDS: usize = 7;
const PLAN: Plan = Plan { bytes: BYTES, warm_ups: WARM_UPS, blocks: ROUNDS, rounds: 1 };

#[remote]
fn echo(bytes: ByteBuf) -> ByteBuf {
    bytes
}

fn gigabytes_per_second(seconds: f64) -> f64 {
    2.0 * BYTES as f64 / seconds * 1e-9
}

fn ours() -> ExitCode {
    launch(|cluster| {
        let bytes: ByteBuf = (0..BYTES).map(|index| (index % 251) as u8).collect::<Vec<_>>().into();
        let mut samples = Vec::new();
        for round in 0..WARM_UPS + ROUNDS {
            let start = Instant::now();
            let back = cluster.submit(echo::call(&bytes)).get()?;
            let seconds = start.elapsed().as_secs_f64();
            if back != bytes {
                return Err("other bytes came back".into());
            }
            if round >= WARM_UPS {
                samples.push(seconds);
            }
        }
        tell(gigabytes_per_second(median(samples)));
        Ok(())
    })
}

fn figures() -> Result<(), Failure> {
    let (reference, ours) = (Side::new("raw", 2)?, Side::new("distwq", 2)?);
    Figure::new("echo_64mib", "GB/s").compare(|| reference.sample(), || ours.sample())
}

fn main() -> ExitCode {
    let raw = || ping_pong::run(PLAN, gigabytes_per_second);
    run(figures, &[("raw", raw), ("distwq", ours)])
}
