//! What does it cost if each task has a thread that waits for it?
//!
//! Ten threads that wait for as many tasks, one after another, are the reference. The
//! tasks sleep, so that cores do not decide, and begin when all threads wait: they come
//! after a task that sleeps until then.

use distwq::{Config, Handle, TaskError, remote};
use distwq_benches::tasks::{Outcome, warm_up};
use distwq_benches::{Failure, Figure, Side, run, tell};
use std::process::ExitCode;
use std::thread;
use std::time::{Duration, SystemTime};

const TASKS: usize = 2_000;
const TASK: Duration = Duration::from_micros(500);

/// Threads of the reference.
const FEW: usize = 10;

/// Until then all threads wait.
const BEFORE: Duration = Duration::from_secs(3);

#[remote]
fn sleeps(us: u64) -> u64 {
    thread::sleep(Duration::from_micros(us));
    us
}

/// The tasks a second, with so many threads that wait.
fn side(threads: usize) -> ExitCode {
    distwq::launch(Config::new(), |cluster| -> Outcome {
        warm_up(cluster)?;
        let first = cluster.submit(sleeps::call(BEFORE.as_micros() as u64));
        let sleep = || cluster.submit(sleeps::call(TASK.as_micros() as u64).after(&first));
        let handles: Vec<Handle<u64>> = (0..TASKS).map(|_| sleep()).collect();
        let all: Result<(), TaskError> = thread::scope(|scope| {
            let handles = &handles;
            let wait =
                |number| move || handles.iter().skip(number).step_by(threads).try_for_each(|task| task.get().map(drop));
            let waiting: Vec<_> = (0..threads).map(|number| scope.spawn(wait(number))).collect();
            waiting.into_iter().try_for_each(|thread| thread.join().expect("it does not panic"))
        });
        let ended_ns = SystemTime::UNIX_EPOCH.elapsed()?.as_nanos() as u64;
        all?;
        let begun_ns = first.info().finished_ns.unwrap_or(0);
        tell(TASKS as f64 * 1e9 / ended_ns.saturating_sub(begun_ns) as f64);
        Ok(())
    })
}

fn figures() -> Result<(), Failure> {
    let (few, many) = (Side::new("few", 3)?, Side::new("many", 3)?);
    Figure::new("waiters", "tasks/s").compare(|| few.sample(), || many.sample())
}

fn main() -> ExitCode {
    run(figures, &[("few", || side(FEW)), ("many", || side(TASKS))])
}
