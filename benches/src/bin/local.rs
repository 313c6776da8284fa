//! How long do a round trip and a link of a chain take on the local backend?
//!
//! The reference is a message there and back over two channels between two threads.

use distwq_benches::tasks::{chain_link_microseconds, launch, round_trip_microseconds, warm_up};
use distwq_benches::{Failure, Figure, Side, median, run, tell};
use std::process::ExitCode;
use std::thread;
use std::time::Instant;

const WARM_UPS: usize = 1_000;
const ROUNDS: usize = 20_000;

/// The median microseconds of a number handed to another thread and handed back.
fn channels() -> ExitCode {
    let (there, arriving) = crossbeam_channel::unbounded::<i64>();
    let (back, returning) = crossbeam_channel::unbounded();
    let median = thread::scope(|scope| {
        scope.spawn(move || {
            for x in arriving {
                back.send(x + 1).expect("the other side waits for it");
            }
        });
        let round = |x| {
            let start = Instant::now();
            there.send(x).expect("the other side is there until this end is dropped");
            assert_eq!(returning.recv(), Ok(x + 1));
            start.elapsed().as_secs_f64() * 1e6
        };
        let samples = (0..WARM_UPS + ROUNDS).map(|number| round(number as i64)).skip(WARM_UPS).collect();
        // The other side ends with the channel.
        drop(there);
        median(samples)
    });
    tell(median);
    ExitCode::SUCCESS
}

fn round_trip() -> ExitCode {
    launch(|cluster| {
        warm_up(cluster)?;
        tell(round_trip_microseconds(cluster)?);
        Ok(())
    })
}

fn chain() -> ExitCode {
    launch(|cluster| {
        warm_up(cluster)?;
        tell(chain_link_microseconds(cluster)?);
        Ok(())
    })
}

fn figures() -> Result<(), Failure> {
    let reference = Side::alone("channels")?;
    for (name, side) in [("local_round_trip", "round_trip"), ("local_chain", "chain")] {
        let ours = Side::alone(side)?;
        Figure::new(name, "us").compare(|| reference.sample(), || ours.sample())?;
    }
    Ok(())
}

fn main() -> ExitCode {
    run(figures, &[("channels", channels), ("round_trip", round_trip), ("chain", chain)])
}
