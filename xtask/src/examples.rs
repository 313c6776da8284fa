//! The examples of the root package: each asserts what it shows, so running them tests
//! them.

use std::{ffi::OsStr, fs, time::Duration};

use crate::{Failure, Result, mpirun::Program, project, project::Features, report::Report};

/// How long one example may take, on a loaded machine.
const TIME_LIMIT: Duration = Duration::from_secs(120);

/// The names of all examples, in order.
pub(crate) fn all() -> Result<Vec<String>> {
    rust_files("examples")
}

/// The names of the Rust files in a folder of the workspace, in order, without their
/// endings.
pub(crate) fn rust_files(folder: &str) -> Result<Vec<String>> {
    let folder = project::root().join(folder);
    let entries = fs::read_dir(&folder).map_err(|error| Failure::new(format!("{}: {error}", folder.display())))?;
    let files = entries.flatten().map(|entry| entry.path());
    let files = files.filter(|file| file.extension() == Some(OsStr::new("rs")));
    let mut names: Vec<_> = files.filter_map(|file| Some(file.file_stem()?.to_str()?.to_owned())).collect();
    names.sort();
    Ok(names)
}

/// Runs examples that have been built: on so many ranks, or on the local backend.
pub(crate) fn run(report: &mut Report, names: &[String], features: Features<'_>, ranks: Option<usize>) -> Result<()> {
    for name in names {
        let program = Program { example: Some(name.clone()), ..Program::default() };
        report.run(&program.launcher(features, ranks).time_limit(TIME_LIMIT).run()?);
    }
    Ok(())
}
