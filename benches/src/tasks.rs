//! Tasks that do next to nothing, and programs made of them.

use crate::samples::median;
use crate::side::tell;
use distwq::{Cluster, Config, Graph, remote};
use std::error::Error;
use std::process::ExitCode;
use std::time::Instant;

/// The empty task.
#[remote]
pub fn increment(x: i64) -> i64 {
    x + 1
}

/// The result of a body.
pub type Outcome = Result<(), Box<dyn Error>>;

/// Launches a body with the default configuration.
pub fn launch(body: impl FnOnce(&Cluster) -> Outcome) -> ExitCode {
    distwq::launch(Config::new(), body)
}

/// Runs tasks until every worker has surely run some, so that what happens once only has
/// happened.
///
/// # Errors
/// If one fails.
pub fn warm_up(cluster: &Cluster) -> Outcome {
    let handles: Vec<_> = (0..100 * cluster.workers() as i64).map(|x| cluster.submit(increment::call(x))).collect();
    for handle in handles {
        handle.get()?;
    }
    Ok(())
}

/// Tasks of a burst.
pub const TASKS: i64 = 100_000;

/// Bursts of one measurement of the throughput, of which the median counts: the first
/// touches fresh memory, and another program may get in the way of one.
pub const BURSTS: usize = 5;

/// Submits [`TASKS`] empty tasks one by one, reads and checks each result, and tells how
/// many that is a second, in the median of [`BURSTS`].
#[must_use]
pub fn throughput() -> ExitCode {
    launch(|cluster| {
        warm_up(cluster)?;
        tell(median((0..BURSTS).map(|_| one_burst(cluster)).collect::<Result<_, _>>()?));
        Ok(())
    })
}

fn one_burst(cluster: &Cluster) -> Result<f64, Box<dyn Error>> {
    let start = Instant::now();
    let handles: Vec<_> = (0..TASKS).map(|x| cluster.submit(increment::call(x))).collect();
    for (x, handle) in handles.iter().enumerate() {
        let found = handle.get()?;
        if found != x as i64 + 1 {
            return Err(format!("task {x} gave {found}").into());
        }
    }
    Ok(TASKS as f64 / start.elapsed().as_secs_f64())
}

/// Links of the chain.
pub const LINKS: usize = 10_000;

/// Chains of one measurement, of which the median counts.
pub const CHAINS: usize = 11;

/// Builds and runs chains of empty tasks, each of which takes the value of the one
/// before: the microseconds of a link of the median chain.
///
/// # Errors
/// If a task fails or the value at the end is wrong.
pub fn chain_link_microseconds(cluster: &Cluster) -> Result<f64, Box<dyn Error>> {
    Ok(median((0..CHAINS).map(|_| one_chain(cluster)).collect::<Result<_, _>>()?))
}

fn one_chain(cluster: &Cluster) -> Result<f64, Box<dyn Error>> {
    let start = Instant::now();
    let mut graph = Graph::new();
    let mut value = graph.add(increment::call(0));
    for _ in 1..LINKS {
        value = graph.add(increment::call(&value));
    }
    cluster.run(&mut graph)?;
    let found = value.get()?;
    let microseconds = start.elapsed().as_secs_f64() * 1e6;
    if found != LINKS as i64 {
        return Err(format!("the chain ends with {found}").into());
    }
    Ok(microseconds / LINKS as f64)
}

/// Round trips of one measurement.
const ROUND_TRIPS: i64 = 20_000;

/// Submits empty tasks to an idle cluster, each after the result of the one before: the
/// median in microseconds.
///
/// # Errors
/// If a task fails or its result is wrong.
pub fn round_trip_microseconds(cluster: &Cluster) -> Result<f64, Box<dyn Error>> {
    let mut samples = Vec::new();
    for x in 0..ROUND_TRIPS {
        let start = Instant::now();
        let found = cluster.submit(increment::call(x)).get()?;
        samples.push(start.elapsed().as_secs_f64() * 1e6);
        if found != x + 1 {
            return Err(format!("task {x} gave {found}").into());
        }
    }
    Ok(median(samples))
}
