//! `cargo xtask simulate`: the controller and its workers against a simulated network,
//! user and executors.

use std::process::ExitCode;

use crate::{Failure, Result, project::Features};

/// Builds the simulation in release and passes the arguments on to it; its exit code is
/// that of the command.
pub(crate) fn command(mut arguments: lexopt::Parser) -> Result<ExitCode> {
    let mut cargo = Features::None(None).cargo("run");
    cargo.args(["--quiet", "--release", "--package", "distwq-core", "--features", "simulation"]);
    cargo.args(["--example", "simulate", "--"]).args(arguments.raw_args()?);
    let status = cargo.status().map_err(|error| Failure::new(format!("cargo could not be started: {error}")))?;
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
