//! How long does it take from the launch of a program to the first result of a task?
//!
//! The reference is the time from the launch of an MPI program that does nothing to its
//! end.

use distwq_benches::tasks::{increment, launch};
use distwq_benches::{Failure, Figure, Side, run, tell};
use std::process::ExitCode;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The time of day, which launcher and launched agree on.
fn now() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("it is later than 1970")
}

fn ours() -> ExitCode {
    launch(|cluster| {
        let found = cluster.submit(increment::call(1)).get()?;
        tell(now().as_secs_f64());
        if found == 2 { Ok(()) } else { Err(format!("the task gave {found}").into()) }
    })
}

fn raw() -> ExitCode {
    let universe = mpi::initialize().expect("MPI has not been initialised before");
    drop(universe);
    ExitCode::SUCCESS
}

fn figures() -> Result<(), Failure> {
    let (reference, ours) = (Side::new("raw", 2)?, Side::new("distwq", 2)?);
    let whole = || {
        let start = now();
        reference.output()?;
        Ok((now() - start).as_secs_f64() * 1e3)
    };
    let to_first_result = || {
        let start = now();
        Ok((ours.sample()? - start.as_secs_f64()) * 1e3)
    };
    Figure::new("startup", "ms").compare(whole, to_first_result)
}

fn main() -> ExitCode {
    run(figures, &[("raw", raw), ("distwq", ours)])
}
