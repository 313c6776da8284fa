//! Launches take turns: two at once on one machine would only make each other's waits
//! long.

use std::{
    env,
    fs::{File, OpenOptions},
    path::PathBuf,
};

use crate::{LaunchError, processes::MARKER};

/// The right to launch, held until it is dropped.
///
/// It is a lock on a file, so the operating system takes it back when a holder dies.
/// Every holder has a time limit, so the wait for a turn ends too.
#[derive(Debug)]
pub(crate) struct Turn {
    /// Nothing in a process that was itself launched: its own launcher holds the turn and
    /// waits for it.
    _file: Option<File>,
}

impl Turn {
    /// Waits for the turn of this process.
    pub(crate) fn take() -> Result<Self, LaunchError> {
        if env::var_os(MARKER).is_some() {
            return Ok(Self { _file: None });
        }
        let path = path();
        let doing = || format!("taking a turn to launch, by the lock file {}", path.display());
        let file = OpenOptions::new().create(true).truncate(false).write(true).open(&path);
        let file = file.map_err(LaunchError::system(doing()))?;
        file.lock().map_err(LaunchError::system(doing()))?;
        Ok(Self { _file: Some(file) })
    }
}

/// One file for each user: another user's could not be opened.
fn path() -> PathBuf {
    env::temp_dir().join(format!("distwq-launch-{}.lock", rustix::process::getuid().as_raw()))
}
