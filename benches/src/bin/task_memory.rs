//! How many bytes does the controller keep for each pending task of a graph of a million?
//!
//! Everything counts that is resident and was not before: what the cluster keeps, the
//! graph, the handles. The reference is what a hand-written farm needs, an argument and a
//! result.

use distwq::{Cluster, Graph, Handle, remote};
use distwq_benches::tasks::{Outcome, increment, launch, warm_up};
use distwq_benches::{Failure, Figure, Side, resident_bytes, run, tell};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};
use std::{env, fs, io, process, thread};

const TASKS: i64 = 1_000_000;
const REFERENCE_BYTES: f64 = 16.0;

/// How long the worker is kept busy at most.
const GATE_LIMIT: Duration = Duration::from_secs(120);

/// Keeps its worker until the file is there.
#[remote]
fn gate(file: PathBuf) -> Result<(), String> {
    let start = Instant::now();
    while !file.exists() {
        if start.elapsed() > GATE_LIMIT {
            return Err(format!("{} did not appear within {GATE_LIMIT:?}", file.display()));
        }
        thread::sleep(Duration::from_millis(5));
    }
    Ok(())
}

fn ours() -> ExitCode {
    launch(|cluster| {
        warm_up(cluster)?;
        let file = env::temp_dir().join(format!("distwq-gate-{}", process::id()));
        let gate = cluster.submit(gate::call(&file));
        let measured = measure(cluster, || fs::write(&file, ""));
        gate.get()?;
        // It lies in a folder for temporary files, if it stays behind.
        let _ = fs::remove_file(&file);
        measured
    })
}

fn measure(cluster: &Cluster, open_gate: impl Fn() -> io::Result<()>) -> Outcome {
    let before = resident_bytes()?;
    let mut graph = Graph::new();
    let handles: Vec<Handle<i64>> = (0..TASKS).map(|x| graph.add(increment::call(x))).collect();
    let started = cluster.start(&mut graph);
    let after = resident_bytes();
    let pending = cluster.stats().outstanding;
    open_gate()?;
    started?;
    if pending <= TASKS as u64 - 1_000 {
        return Err(format!("only {pending} tasks were pending").into());
    }
    tell((after? - before) / TASKS as f64);
    for (x, handle) in handles.iter().enumerate() {
        let found = handle.get()?;
        if found != x as i64 + 1 {
            return Err(format!("task {x} gave {found}").into());
        }
    }
    Ok(())
}

fn figures() -> Result<(), Failure> {
    let ours = Side::new("distwq", 2)?.sample()?;
    Figure::new("task_memory", "bytes").constant(ours, REFERENCE_BYTES);
    Ok(())
}

fn main() -> ExitCode {
    run(figures, &[("distwq", ours)])
}
