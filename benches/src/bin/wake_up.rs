//! How long does the first task take after three seconds in which nothing happened?
//!
//! The reference is a byte through a pipe to another process and back, both of which have
//! slept, each on a core of its own: what the system needs to wake one and then the
//! other.

use distwq_benches::tasks::{increment, launch, warm_up};
use distwq_benches::{Failure, Figure, Side, median, run, tell};
use rustix::thread::{CpuSet, sched_setaffinity};
use std::io::{self, Read, Write};
use std::process::{Command, ExitCode, Stdio};
use std::thread;
use std::time::{Duration, Instant};

const IDLE: Duration = Duration::from_secs(3);

/// Wake-ups of each of the five launches.
const WAKE_UPS: usize = 4;

/// How long the processes of the reference sleep; longer changes nothing.
const PIPE_IDLE: Duration = Duration::from_millis(100);

const PIPE_ROUNDS: usize = 20;

/// Keeps this thread on one core.
fn stay_on(core: usize) {
    let mut cores = CpuSet::new();
    cores.set(core);
    // Where there is no such core, or this process may not have it, the system decides.
    let _ = sched_setaffinity(None, &cores);
}

fn ours() -> ExitCode {
    launch(|cluster| {
        warm_up(cluster)?;
        let mut samples = Vec::new();
        for _ in 0..WAKE_UPS {
            thread::sleep(IDLE);
            let start = Instant::now();
            cluster.submit(increment::call(1)).get()?;
            samples.push(start.elapsed().as_secs_f64() * 1e6);
        }
        tell(median(samples));
        Ok(())
    })
}

fn pipe() -> ExitCode {
    match pipe_round_trips() {
        Ok(samples) => {
            tell(median(samples));
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// The microseconds of each round trip to a process that waits in a read while this one
/// waits in a read.
fn pipe_round_trips() -> io::Result<Vec<f64>> {
    let mut other =
        Command::new(std::env::current_exe()?).arg("pipe_end").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
    let (mut there, mut back) = (other.stdin.take().expect("it is piped"), other.stdout.take().expect("it is piped"));
    let mut byte = [0];
    let mut samples = Vec::new();
    for _ in 0..PIPE_ROUNDS {
        thread::sleep(PIPE_IDLE);
        let start = Instant::now();
        there.write_all(&byte)?;
        back.read_exact(&mut byte)?;
        samples.push(start.elapsed().as_secs_f64() * 1e6);
    }
    // The other process ends with its input.
    drop(there);
    other.wait()?;
    Ok(samples)
}

fn pipe_end() -> ExitCode {
    stay_on(1);
    let (mut input, mut output) = (io::stdin().lock(), io::stdout().lock());
    let mut byte = [0];
    while input.read_exact(&mut byte).is_ok() {
        // A newline is written at once although standard output is buffered by lines.
        if output.write_all(b"\n").is_err() {
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}

fn figures() -> Result<(), Failure> {
    let (reference, ours) = (Side::alone("pipe")?, Side::new("distwq", 2)?);
    Figure::new("wake_up", "us").compare(|| reference.sample(), || ours.sample())
}

fn main() -> ExitCode {
    run(figures, &[("pipe", pipe), ("pipe_end", pipe_end), ("distwq", ours)])
}
