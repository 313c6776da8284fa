//! `cargo xtask bench`: the benchmarks, one after the other.

use std::process::ExitCode;

use crate::{
    Failure, Result,
    mpi::{Choice, Mpi},
    mpirun::{self, Program},
    project::Features,
};

/// A benchmark program of the package `distwq-benches`. It is started without an MPI
/// launcher and launches what it measures itself, distwq and its reference by turns.
struct Benchmark {
    name: &'static str,
    /// Programs of other packages that it launches: package and binary.
    needs: &'static [(&'static str, &'static str)],
}

impl Benchmark {
    const fn new(name: &'static str) -> Self {
        Self { name, needs: &[] }
    }
}

/// All benchmarks, in the order in which they run.
const BENCHMARKS: &[Benchmark] = &[
    Benchmark::new("throughput"),
    Benchmark::new("graph"),
    Benchmark::new("as_completed"),
    Benchmark::new("map"),
    Benchmark::new("round_trip"),
    Benchmark::new("chain"),
    Benchmark::new("local"),
    Benchmark::new("busy_body"),
    Benchmark::new("waiters"),
    Benchmark::new("task_memory"),
    Benchmark::new("idle_cpu"),
    Benchmark::new("wake_up"),
    Benchmark::new("oversubscribed"),
    Benchmark::new("echo"),
    Benchmark::new("peer"),
    Benchmark::new("scheduler"),
    Benchmark { name: "contingency_job", needs: &[("contingency", "contingency"), ("contingency", "by_hand")] },
    Benchmark::new("startup"),
];

const PACKAGE: &str = "distwq-benches";

/// Runs the benchmarks that are named, or all; fails if one does.
pub(crate) fn command(mut arguments: lexopt::Parser) -> Result<ExitCode> {
    let mut wanted = Vec::new();
    while let Some(argument) = arguments.next()? {
        match argument {
            lexopt::Arg::Value(name) => wanted.push(name.to_string_lossy().into_owned()),
            other => return Err(other.unexpected().into()),
        }
    }
    let benchmarks = select(&wanted)?;
    let mpi = Mpi::set_up(Choice::First)?;
    println!("{}", mpi.described());
    let features = Features::Mpi(&mpi);
    for benchmark in &benchmarks {
        let needed = benchmark.needs.iter().map(|(package, binary)| program(package, binary));
        for program in needed.chain([program(PACKAGE, benchmark.name)]) {
            program.build(features)?;
        }
    }
    let mut failed = Vec::new();
    for benchmark in &benchmarks {
        if mpirun::run(&program(PACKAGE, benchmark.name).launcher(features, None))? != ExitCode::SUCCESS {
            failed.push(benchmark.name);
        }
    }
    if failed.is_empty() { Ok(ExitCode::SUCCESS) } else { Err(Failure::new(format!("failed: {}", failed.join(", ")))) }
}

fn program(package: &str, binary: &str) -> Program {
    Program { package: Some(package.into()), binary: Some(binary.into()), release: true, ..Program::default() }
}

/// The benchmarks of these names, or all if there is no name.
fn select(wanted: &[String]) -> Result<Vec<&'static Benchmark>> {
    if let Some(unknown) = wanted.iter().find(|name| BENCHMARKS.iter().all(|benchmark| benchmark.name != *name)) {
        let known: Vec<_> = BENCHMARKS.iter().map(|benchmark| benchmark.name).collect();
        return Err(Failure::new(format!("there is no benchmark {unknown:?}; there are: {}", known.join(", "))));
    }
    let all = wanted.is_empty();
    Ok(BENCHMARKS.iter().filter(|benchmark| all || wanted.iter().any(|name| name == benchmark.name)).collect())
}
