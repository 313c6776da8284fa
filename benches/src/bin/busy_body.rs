//! Do tasks flow while the body of the program does not wait for them?
//!
//! The tasks sleep, so that cores do not decide. While they run the body computes, or
//! sleeps and looks at [`stats`](distwq::Cluster::stats) every 100 ms, or waits with a
//! [progress bar](distwq::Batch::progress_bar). In the reference it waits in `get`. Both
//! tell how many tasks have ended a second, by the times that the workers noted.

use distwq::{Batch, Cluster, Config, Graph, Handle, ProgressStyle, remote};
use distwq_benches::tasks::{Outcome, warm_up};
use distwq_benches::{Failure, Figure, NamedSide, Side, run, tell};
use std::error::Error;
use std::hint::black_box;
use std::process::ExitCode;
use std::thread;
use std::time::{Duration, Instant, SystemTime};

const TASKS: u64 = 2_000;
const TASK: Duration = Duration::from_micros(1_600);

const LINKS: u64 = 500;
const LINK: Duration = Duration::from_millis(1);

const WORKERS: usize = 2;

/// How long the body is busy: longer than the tasks need if they flow.
const BUSY: Duration = Duration::from_millis(2_500);

const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Sleeps for so many microseconds, and gives the number that it was given plus one.
#[remote]
fn sleeps(us: u64, number: u64) -> u64 {
    thread::sleep(Duration::from_micros(us));
    number + 1
}

/// Started tasks.
type Started = Result<Vec<Handle<u64>>, Box<dyn Error>>;

/// Tasks that depend on nothing.
fn independent(cluster: &Cluster) -> Started {
    let us = TASK.as_micros() as u64;
    Ok((0..TASKS).map(|number| cluster.submit(sleeps::call(us, number))).collect())
}

/// Tasks each of which takes the value of the one before.
fn chain(cluster: &Cluster) -> Started {
    let us = LINK.as_micros() as u64;
    let mut graph = Graph::new();
    let mut links = vec![graph.add(sleeps::call(us, 0))];
    for link in 1..LINKS as usize {
        links.push(graph.add(sleeps::call(us, &links[link - 1])));
    }
    cluster.start(&mut graph)?;
    Ok(links)
}

fn waits(_: &Cluster, _: &[Handle<u64>]) {}

/// Draws a bar as on a terminal, wherever standard error leads.
fn shows(_: &Cluster, handles: &[Handle<u64>]) {
    let batch = Batch::of(handles);
    let bar = batch.progress_bar();
    black_box(batch.wait_all(Duration::MAX));
    drop(bar);
}

fn computes(_: &Cluster, _: &[Handle<u64>]) {
    let begun = Instant::now();
    let mut x = 1_u64;
    while begun.elapsed() < BUSY {
        for _ in 0..10_000 {
            x = black_box(x.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1));
        }
    }
}

fn looks(cluster: &Cluster, _: &[Handle<u64>]) {
    let begun = Instant::now();
    while begun.elapsed() < BUSY {
        thread::sleep(LOOK_EVERY);
        black_box(cluster.stats());
    }
}

/// Starts tasks, does something else, then reads all values, and tells how many ended a
/// second.
fn side(start: fn(&Cluster) -> Started, meanwhile: fn(&Cluster, &[Handle<u64>])) -> ExitCode {
    let body = |cluster: &Cluster| -> Outcome {
        warm_up(cluster)?;
        let begun_ns = SystemTime::UNIX_EPOCH.elapsed()?.as_nanos() as u64;
        let handles = start(cluster)?;
        meanwhile(cluster, &handles);
        let mut ended_ns = 0;
        for (number, handle) in handles.iter().enumerate() {
            let found = handle.get()?;
            if found != number as u64 + 1 {
                return Err(format!("task {number} gave {found}").into());
            }
            ended_ns = ended_ns.max(handle.info().finished_ns.unwrap_or(0));
        }
        tell(handles.len() as f64 * 1e9 / ended_ns.saturating_sub(begun_ns) as f64);
        Ok(())
    };
    distwq::launch(Config::new().workers(WORKERS).progress(ProgressStyle::Bar), body)
}

/// The figures of a kind of tasks: its name, the side that waits, and those that do not.
const KINDS: [(&str, [(&str, &str); 3]); 2] = [
    (
        "tasks_wait",
        [("busy_body_computes", "tasks_compute"), ("busy_body_looks", "tasks_look"), ("busy_body_shows", "tasks_show")],
    ),
    (
        "chain_wait",
        [
            ("busy_body_chain_computes", "chain_compute"),
            ("busy_body_chain_looks", "chain_look"),
            ("busy_body_chain_shows", "chain_show"),
        ],
    ),
];

const SIDES: &[NamedSide] = &[
    ("tasks_wait", || side(independent, waits)),
    ("tasks_compute", || side(independent, computes)),
    ("tasks_look", || side(independent, looks)),
    ("tasks_show", || side(independent, shows)),
    ("chain_wait", || side(chain, waits)),
    ("chain_compute", || side(chain, computes)),
    ("chain_look", || side(chain, looks)),
    ("chain_show", || side(chain, shows)),
];

fn figures() -> Result<(), Failure> {
    for (reference, figures) in KINDS {
        for (name, side) in figures {
            let over_mpi = |side| Side::new(side, WORKERS + 1);
            let (waiting, busy) = (over_mpi(reference)?, over_mpi(side)?);
            Figure::new(name, "tasks/s").compare(|| waiting.sample(), || busy.sample())?;
        }
    }
    for (reference, figures) in KINDS {
        for (name, side) in figures {
            let (waiting, busy) = (Side::alone(reference)?, Side::alone(side)?);
            Figure::new(&format!("local_{name}"), "tasks/s").compare(|| waiting.sample(), || busy.sample())?;
        }
    }
    Ok(())
}

fn main() -> ExitCode {
    run(figures, SIDES)
}
