//! `cargo xtask mpirun`: one program of this repository on some ranks of this machine.

use std::{
    ffi::OsString,
    os::unix::process::ExitStatusExt,
    process::{Command, ExitCode},
};

use distwq_launch::Launcher;
use lexopt::ValueExt;

use crate::{
    Failure, Result,
    mpi::{Brand, Choice, Mpi},
    project::{self, Features},
};

/// Builds a program with the feature `mpi` and runs it, with this process's input and
/// output and exit code.
pub(crate) fn command(arguments: lexopt::Parser) -> Result<ExitCode> {
    let (program, ranks, choice, program_arguments) = parse(arguments)?;
    let mpi = Mpi::set_up(choice)?;
    program.build(Features::Mpi(&mpi))?;
    run(&program.launcher(Features::Mpi(&mpi), Some(ranks)).args(program_arguments))
}

/// Runs what a launcher describes in the foreground and returns its exit code.
pub(crate) fn run(launcher: &Launcher) -> Result<ExitCode> {
    let mut command: Command = launcher.command()?;
    let shown = project::shown(&command);
    let status = command.status().map_err(|error| Failure::new(format!("{shown} could not be started: {error}")))?;
    let code = status.code().or_else(|| status.signal().map(|signal| 128 + signal)).unwrap_or(1);
    // Codes are one byte; whatever does not fit was at least no success.
    Ok(ExitCode::from(u8::try_from(code).unwrap_or(1)))
}

/// A program of this repository.
#[derive(Debug, Clone, Default)]
pub(crate) struct Program {
    /// Its package, otherwise the package of the root.
    pub(crate) package: Option<String>,
    /// It is this example.
    pub(crate) example: Option<String>,
    /// It is this binary; if it is no example either, the one of the package's name.
    pub(crate) binary: Option<String>,
    /// Optimised.
    pub(crate) release: bool,
}

impl Program {
    /// Builds it.
    pub(crate) fn build(&self, features: Features<'_>) -> Result<()> {
        project::succeed(&mut self.build_command(features))
    }

    /// The call of cargo that builds it.
    pub(crate) fn build_command(&self, features: Features<'_>) -> Command {
        let mut cargo = features.cargo("build");
        cargo.args(["--package", self.package()]);
        match &self.example {
            Some(example) => cargo.args(["--example", example]),
            None => cargo.args(["--bin", self.name()]),
        };
        if self.release {
            cargo.arg("--release");
        }
        cargo
    }

    /// A launcher for it, once it is built: on so many ranks, or without an MPI launcher.
    pub(crate) fn launcher(&self, features: Features<'_>, ranks: Option<usize>) -> Launcher {
        let mut path = features.binaries(self.release);
        if self.example.is_some() {
            path.push("examples");
        }
        path.push(self.name());
        let (mut launcher, mpi) = match (ranks, features) {
            (Some(ranks), Features::Mpi(mpi)) => (Launcher::new(path, ranks).mpirun(mpi.mpirun().clone()), Some(mpi)),
            (_, Features::Mpi(mpi)) => (Launcher::alone(path), Some(mpi)),
            (_, Features::None(_)) => (Launcher::alone(path), None),
        };
        for (variable, value) in mpi.map(Mpi::variables).unwrap_or_default() {
            launcher = launcher.env(variable, value);
        }
        launcher
    }

    fn package(&self) -> &str {
        self.package.as_deref().unwrap_or("distwq")
    }

    /// The name of its file, and for people.
    pub(crate) fn name(&self) -> &str {
        self.example.as_deref().or(self.binary.as_deref()).unwrap_or(self.package())
    }
}

fn parse(mut arguments: lexopt::Parser) -> Result<(Program, usize, Choice, Vec<OsString>)> {
    let mut program = Program::default();
    let mut ranks = None;
    let mut choice = Choice::First;
    let mut rest = Vec::new();
    while let Some(argument) = arguments.next()? {
        match argument {
            lexopt::Arg::Short('n') | lexopt::Arg::Long("ranks") => ranks = Some(arguments.value()?.parse()?),
            lexopt::Arg::Long("example") => program.example = Some(arguments.value()?.string()?),
            lexopt::Arg::Long("bin") => program.binary = Some(arguments.value()?.string()?),
            lexopt::Arg::Long("package") | lexopt::Arg::Short('p') => {
                program.package = Some(arguments.value()?.string()?);
            }
            lexopt::Arg::Long("release") => program.release = true,
            lexopt::Arg::Long("mpi") => choice = Choice::Named(Brand::parse(&arguments.value()?.string()?)?),
            // What follows `--` is the program's.
            lexopt::Arg::Value(value) => {
                rest.push(value);
                rest.extend(arguments.raw_args()?);
            }
            other => return Err(other.unexpected().into()),
        }
    }
    let ranks = ranks.filter(|&ranks| ranks > 0);
    let ranks = ranks.ok_or_else(|| Failure::new("mpirun needs a number of ranks of at least 1: -n 4"))?;
    if program.example.is_none() && program.package.is_none() {
        return Err(Failure::new("mpirun needs a program: --example NAME, or --package PACKAGE"));
    }
    Ok((program, ranks, choice, rest))
}
