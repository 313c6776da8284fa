//! Where things are, and how cargo is called.

use std::{
    env,
    ffi::OsStr,
    path::{Path, PathBuf},
    process::Command,
};

use crate::{Failure, Result, mpi::Mpi};

/// The folder of the workspace.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("this package lies within the workspace")
}

/// The target folder, as cargo itself would choose it.
pub(crate) fn target() -> PathBuf {
    match env::var_os("CARGO_TARGET_DIR").filter(|folder| !folder.is_empty()) {
        Some(folder) => root().join(folder),
        None => root().join("target"),
    }
}

/// The features that a build has.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Features<'a> {
    /// None: the local backend only. It is built in the same folder as what uses this
    /// MPI, if there is one, so that what both share is built once.
    None(Option<&'a Mpi>),
    /// `mpi`, with this MPI.
    Mpi(&'a Mpi),
}

impl Features<'_> {
    /// The MPI to be seen by what is built and run.
    fn mpi(&self) -> Option<&Mpi> {
        match self {
            Self::None(mpi) => *mpi,
            Self::Mpi(mpi) => Some(mpi),
        }
    }

    /// For people.
    pub(crate) fn name(&self) -> String {
        match self {
            Self::None(_) => "no features".into(),
            Self::Mpi(mpi) => format!("mpi, {}", mpi.name()),
        }
    }

    /// A call of cargo: `cargo SUBCOMMAND …`, in the root of the workspace.
    pub(crate) fn cargo(&self, subcommand: &str) -> Command {
        let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        command.current_dir(root()).arg(subcommand);
        if let Some(mpi) = self.mpi() {
            mpi.apply(&mut command);
        }
        if let Self::Mpi(_) = self {
            command.args(["--features", "mpi"]);
        }
        command
    }

    /// The folder in which the binaries of a profile lie.
    pub(crate) fn binaries(&self, release: bool) -> PathBuf {
        let target = self.mpi().map_or_else(target, |mpi| mpi.target().to_owned());
        target.join(if release { "release" } else { "debug" })
    }
}

/// Runs a command to its end, with this process's input and output.
pub(crate) fn succeed(command: &mut Command) -> Result<()> {
    match command.status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(Failure::new(format!("{} ended with {status}", shown(command)))),
        Err(error) => Err(Failure::new(format!("{} could not be started: {error}", shown(command)))),
    }
}

/// A command as a person would type it.
pub(crate) fn shown(command: &Command) -> String {
    let program = Path::new(command.get_program()).file_name().unwrap_or(command.get_program());
    let words: Vec<_> = [program].into_iter().chain(command.get_args()).map(OsStr::to_string_lossy).collect();
    words.join(" ")
}

/// The first program of this name on `PATH`.
pub(crate) fn on_path(program: &str) -> Option<PathBuf> {
    all_on_path(program).next()
}

/// All programs of this name on `PATH`, in its order.
pub(crate) fn all_on_path(program: &str) -> impl Iterator<Item = PathBuf> {
    let folders: Vec<PathBuf> = env::split_paths(&env::var_os("PATH").unwrap_or_default()).collect();
    folders.into_iter().map(move |folder| folder.join(program)).filter(|path| path.is_file())
}
