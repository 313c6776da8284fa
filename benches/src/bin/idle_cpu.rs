//! How much of a core does a rank use that has nothing to do, the controller or a worker,
//! whichever uses more?
//!
//! The reference is a rank that asks raw MPI for a message every millisecond and sleeps
//! in between. (One that waits in a blocking receive uses a whole core.)

use distwq::remote;
use distwq_benches::tasks::{launch, warm_up};
use distwq_benches::{Failure, Figure, Side, cpu_seconds, run, tell};
use mpi::traits::{Communicator, CommunicatorCollectives, Destination, Source};
use std::process::ExitCode;
use std::thread;
use std::time::{Duration, Instant};

const IDLE: Duration = Duration::from_secs(10);
const NAP: Duration = Duration::from_millis(1);

/// The processor time of the worker, in seconds.
#[remote]
fn used() -> f64 {
    cpu_seconds()
}

fn ours() -> ExitCode {
    launch(|cluster| {
        warm_up(cluster)?;
        let worker_before = cluster.submit(used::call()).get()?;
        let (start, own_before) = (Instant::now(), cpu_seconds());
        thread::sleep(IDLE);
        let own = cpu_seconds() - own_before;
        let worker = cluster.submit(used::call()).get()? - worker_before;
        tell(100.0 * own.max(worker) / start.elapsed().as_secs_f64());
        Ok(())
    })
}

fn raw() -> ExitCode {
    let universe = mpi::initialize().expect("MPI has not been initialised before");
    let world = universe.world();
    world.barrier();
    let (start, before) = (Instant::now(), cpu_seconds());
    if world.rank() == 0 {
        thread::sleep(IDLE);
        world.process_at_rank(1).send(&0_i32);
        let (percent, _) = world.process_at_rank(1).receive::<f64>();
        tell(percent);
    } else {
        let controller = world.process_at_rank(0);
        while controller.immediate_probe().is_none() {
            thread::sleep(NAP);
        }
        controller.receive::<i32>();
        controller.send(&(100.0 * (cpu_seconds() - before) / start.elapsed().as_secs_f64()));
    }
    ExitCode::SUCCESS
}

fn figures() -> Result<(), Failure> {
    let (reference, ours) = (Side::new("raw", 2)?, Side::new("distwq", 2)?);
    Figure::new("idle_cpu", "percent").compare(|| reference.sample(), || ours.sample())
}

fn main() -> ExitCode {
    run(figures, &[("raw", raw), ("distwq", ours)])
}
