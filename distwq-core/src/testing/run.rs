//! Runs the body of a test wherever it should run.

use std::{
    env,
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use super::repeat::repeat;
use super::{Case, rank, tally};
use crate::outcome::error::plural;
use crate::{BodyResult, Cluster, launch, panics};

/// Runs a test: its body on the local backend, then, with the feature `mpi`, under the
/// MPI launcher for each number of ranks. `#[distwq::test]` calls it.
///
/// In a process that was started as a rank of this very test it runs the body over MPI
/// and does not return.
///
/// # Panics
///
/// If a run fails, ends with an error, or exceeds its time limit; the first one that does
/// ends the test.
#[track_caller]
pub fn run<R: BodyResult + 'static>(case: &Case, body: fn(&Cluster) -> R) {
    rank::serve_if_rank(case, body);
    let backends = Backends::wished();
    if backends.local {
        run_locally(case, body);
    }
    if backends.mpi {
        for ranks in case.ranks_now() {
            run_under_mpi(case, ranks);
        }
    }
}

/// Where bodies run.
struct Backends {
    local: bool,
    mpi: bool,
}

impl Backends {
    /// Everywhere, or where `DISTWQ_TEST_BACKEND` says.
    fn wished() -> Self {
        let mpi = cfg!(feature = "mpi");
        match env::var("DISTWQ_TEST_BACKEND").as_deref() {
            Err(_) | Ok("" | "all") => Self { local: true, mpi },
            Ok("local") => Self { local: true, mpi: false },
            Ok("mpi") => Self { local: false, mpi },
            Ok(other) => panic!("DISTWQ_TEST_BACKEND is {other:?}, but must be `all`, `local` or `mpi`"),
        }
    }
}

/// On a thread of its own, so that a body that hangs fails its test and not the whole
/// `cargo test`. What the body prints is captured all the same: threads inherit that.
#[track_caller]
fn run_locally<R: BodyResult + 'static>(case: &Case, body: fn(&Cluster) -> R) {
    let started = Instant::now();
    let limit = case.time_limit();
    let (sender, receiver) = mpsc::channel();
    let (config, mut left) = (case.config(), case.repeats());
    let thread = thread::Builder::new().name(case.path().into()).spawn(move || {
        let mut result = Ok(());
        while left > 0 && result.is_ok() {
            result = launch::run_local(config.clone(), |cluster| {
                let (done, result) = repeat(left, cluster, body);
                left -= done;
                result
            });
        }
        // Nobody listens any more if the time limit has passed.
        let _ = sender.send(result);
    });
    let thread = thread.expect("a test can start a thread");
    let result = receiver.recv_timeout(limit);
    let wall = started.elapsed();
    tally::add("local", case.local_workers(), case.name, matches!(result, Ok(Ok(()))), wall);
    match result {
        Ok(Ok(())) => {}
        Ok(Err(error)) => panic!("on the local backend with {}: {error}", plural(case.local_workers(), "worker")),
        Err(mpsc::RecvTimeoutError::Timeout) => {
            let workers = plural(case.local_workers(), "worker");
            panic!("on the local backend with {workers}: not ended after {} s", limit.as_secs_f64())
        }
        Err(mpsc::RecvTimeoutError::Disconnected) => match thread.join() {
            // The panic hook has told where.
            Err(payload) => {
                let workers = plural(case.local_workers(), "worker");
                panic!("on the local backend with {workers}: the body panicked: {}", panics::text_of(&*payload))
            }
            Ok(()) => unreachable!("a thread that ended without a panic has sent its result"),
        },
    }
}

#[track_caller]
fn run_under_mpi(case: &Case, ranks: usize) {
    let output = match rank::launch(case, ranks) {
        Ok(output) => output,
        Err(error) => {
            tally::add("MPI", ranks, case.name, false, Duration::ZERO);
            panic!("under MPI with {}: {error}", plural(ranks, "rank"));
        }
    };
    tally::add(output.mpi.as_deref().unwrap_or("MPI"), ranks, case.name, output.success(), output.wall);
    assert!(output.success(), "under MPI with {} the test failed\n{output}", plural(ranks, "rank"));
}
