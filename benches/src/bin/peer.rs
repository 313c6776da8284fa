//! How fast do 16 MiB go from task to task along a chain that changes the worker at each
//! link?
//!
//! The reference is the same bytes sent to and fro between two ranks over raw MPI.

use distwq::{Graph, Handle, remote};
use distwq_benches::ping_pong::Plan;
use distwq_benches::tasks::launch;
use distwq_benches::{Failure, Figure, Side, median, ping_pong, run, tell};
use serde_bytes::ByteBuf;
use std::process::ExitCode;
use std::thread;
use std::time::{Duration, Instant};

const BYTES: usize = 16 << 20;
const WARM_UPS: usize = 2;
const ROUNDS: usize = 5;
const LINKS: usize = 20;
/// As many hops as there are links.
const PLAN: Plan = Plan { bytes: BYTES, warm_ups: LINKS, blocks: ROUNDS, rounds: LINKS / 2 };

#[remote]
fn make(bytes: usize) -> ByteBuf {
    vec![1; bytes].into()
}

#[remote]
fn pass(bytes: ByteBuf) -> ByteBuf {
    bytes
}

#[remote]
fn length(bytes: &ByteBuf) -> usize {
    bytes.len()
}

/// Keeps its worker for a moment, so that the next one goes to the other.
#[remote]
fn settle() {
    thread::sleep(Duration::from_millis(50));
}

fn ours() -> ExitCode {
    launch(|cluster| {
        let homes = [cluster.submit(settle::call()), cluster.submit(settle::call())];
        for home in &homes {
            home.get()?;
        }
        if homes[0].info().ranks == homes[1].info().ranks {
            return Err("both homes are on one worker".into());
        }
        let mut samples = Vec::new();
        for round in 0..WARM_UPS + ROUNDS {
            let first = cluster.submit(make::call(BYTES).follow(&homes[1]));
            if cluster.submit(length::call(&first)).get()? != BYTES {
                return Err("the value has another length".into());
            }
            let start = Instant::now();
            let mut graph = Graph::new();
            let mut value: Handle<ByteBuf> = first;
            for link in 0..LINKS {
                value = graph.add(pass::call(&value).follow(&homes[link % 2]));
            }
            let length = graph.add(length::call(&value).follow(&homes[(LINKS - 1) % 2]));
            cluster.run(&mut graph)?;
            let seconds = start.elapsed().as_secs_f64() / LINKS as f64;
            if length.get()? != BYTES || value.info().ranks != homes[(LINKS - 1) % 2].info().ranks {
                return Err("the chain did not go to and fro".into());
            }
            if round >= WARM_UPS {
                samples.push(seconds);
            }
        }
        tell(BYTES as f64 / median(samples) * 1e-9);
        Ok(())
    })
}

fn figures() -> Result<(), Failure> {
    let (reference, ours) = (Side::new("raw", 2)?, Side::new("distwq", 3)?);
    Figure::new("peer_16mib", "GB/s").compare(|| reference.sample(), || ours.sample())
}

fn main() -> ExitCode {
    let raw = || ping_pong::run(PLAN, |seconds| 2.0 * BYTES as f64 / seconds * 1e-9);
    run(figures, &[("raw", raw), ("distwq", ours)])
}
