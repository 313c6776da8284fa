//! `cargo xtask demo`: the main job, from nothing to its report.

use std::process::ExitCode;

use crate::{
    Failure, Result,
    mpi::{Choice, Mpi},
    mpirun::{self, Program},
    project::{self, Features},
};

/// How many ranks the job gets: the controller and three workers.
const RANKS: usize = 4;

/// Builds the contingency screening and runs it under mpirun, or on the local backend
/// where no MPI can be had.
pub(crate) fn command(mut arguments: lexopt::Parser) -> Result<ExitCode> {
    if let Some(argument) = arguments.next()? {
        return Err(argument.unexpected().into());
    }
    let mpi = match Mpi::set_up(Choice::First) {
        Ok(mpi) => {
            println!("{}", mpi.described());
            Some(mpi)
        }
        Err(failure) => {
            println!("{failure}\n\nwithout an MPI the same job runs on the local backend, in one process");
            None
        }
    };
    let features = mpi.as_ref().map_or(Features::None(None), Features::Mpi);
    let program = Program { package: Some("contingency".into()), release: true, ..Program::default() };
    program.build(features)?;
    let case = project::root().join("data/powergrid/case2869pegase.m");
    let report = project::target().join("report.html");
    // A report of an earlier run must not pass for one of this.
    let _ = std::fs::remove_file(&report);
    let launcher = program.launcher(features, mpi.as_ref().map(|_| RANKS));
    let code = mpirun::run(&launcher.arg(case).arg("--report").arg(&report))?;
    if !report.is_file() {
        return Err(Failure::new(format!("the job ended without writing its report, {}", report.display())));
    }
    println!("\nopen the report in a browser: {}", report.display());
    Ok(code)
}
