//! The commands of this repository: `cargo xtask demo`, `test`, `simulate`, `bench`,
//! `mpirun`, `setup`.
//!
//! Each of them but `simulate` first sees to an MPI (`mpi.rs`), so that a machine with
//! cargo, a C compiler and python3-pip is enough. Nothing is installed outside the target
//! folder, and nothing outside it is changed.

mod bench;
mod demo;
mod examples;
mod libclang;
mod mpi;
mod mpirun;
mod project;
mod report;
mod setup;
mod simulate;
mod test;
mod wheel;

use std::{fmt, process::ExitCode};

use distwq_launch::LaunchError;

const HELP: &str = "\
cargo xtask COMMAND

  demo                 sets up what is missing, builds and runs the contingency screening of a European
                       transmission grid under `mpirun -n 4`, and says where its report is
  test [--full]        sets up what is missing and runs every check and test, at one number of ranks each;
                       --full: at every number of ranks, with the long repetitions and messages above 2 GiB;
                       --no-mpi: only what needs no MPI
  simulate [--seeds N] [--from S] | --scale
                       plays a controller, workers and a network from N seeds, the first of which is S, and checks
                       every step; --scale: 16 to 10,000 workers, and tells what that costs; needs no MPI
  bench [NAME…]        builds the benchmarks in release and runs those named, or all, under mpirun
  mpirun -n N --example NAME [-- ARGUMENT…]
                       builds an example and runs it on N ranks of this machine;
                       --package PACKAGE: the program of that package, with --bin or --example one of its others;
                       --release: optimised; --mpi openmpi|mpich: another MPI than the first that is found
  setup [--mpi NAME]   only sets up; --print: shows the variables for a shell, as in
                       eval \"$(cargo xtask setup --print)\"

An MPI whose mpicc and mpirun are on PATH is used as it is (MPICC names another). Otherwise Open MPI is installed
by pip below the target folder, and so is libclang if the machine has none.
";

/// Why a command failed, in words for the person who gave it.
#[derive(Debug)]
struct Failure(String);

impl Failure {
    fn new(words: impl Into<String>) -> Self {
        Self(words.into())
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<lexopt::Error> for Failure {
    fn from(error: lexopt::Error) -> Self {
        Self(format!("{error}\n\n{HELP}"))
    }
}

impl From<LaunchError> for Failure {
    fn from(error: LaunchError) -> Self {
        Self(error.to_string())
    }
}

type Result<T> = std::result::Result<T, Failure>;

fn main() -> ExitCode {
    match dispatch() {
        Ok(code) => code,
        Err(failure) => {
            eprintln!("xtask: {failure}");
            ExitCode::FAILURE
        }
    }
}

fn dispatch() -> Result<ExitCode> {
    let mut arguments = lexopt::Parser::from_env();
    let command = match arguments.next()? {
        None | Some(lexopt::Arg::Long("help") | lexopt::Arg::Short('h')) => "help".into(),
        Some(lexopt::Arg::Value(command)) => command.to_string_lossy().into_owned(),
        Some(other) => return Err(other.unexpected().into()),
    };
    match command.as_str() {
        "help" => {
            print!("{HELP}");
            Ok(ExitCode::SUCCESS)
        }
        "demo" => demo::command(arguments),
        "test" => test::command(arguments),
        "simulate" => simulate::command(arguments),
        "bench" => bench::command(arguments),
        "mpirun" => mpirun::command(arguments),
        "setup" => setup::command(arguments),
        other => Err(Failure::new(format!("there is no command {other:?}\n\n{HELP}"))),
    }
}
