//! One side of a comparison: a program that is launched, measures one value and tells it.

use distwq::testing::{LaunchError, Launcher};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, Instant};
use std::{env, thread};

/// Why a figure could not be measured.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Failure {
    /// The side could not be launched.
    #[error(transparent)]
    Launch(#[from] LaunchError),
    /// It ended with an error.
    #[error("{what} failed: {said}")]
    Failed {
        /// The side.
        what: String,
        /// How it ended and what it said.
        said: String,
    },
    /// It did not end in time and was ended by force.
    #[error("{what} did not end within {} s", limit.as_secs())]
    TimeLimit {
        /// The side.
        what: String,
        /// The time that it had.
        limit: Duration,
    },
    /// It ended well without telling a value.
    #[error("{0} told no value")]
    Silent(String),
    /// Its executable, or what it needs, cannot be used.
    #[error("{what}: {error}")]
    System {
        /// What was tried.
        what: String,
        /// Why it could not be done.
        error: io::Error,
    },
    /// A program of another package is needed, and is not beside this one.
    #[error("{0} is not there; `cargo xtask bench` builds it")]
    Missing(PathBuf),
}

/// How long a side may take.
const TIME_LIMIT: Duration = Duration::from_secs(180);

/// What precedes the value of a side in its output.
const SAMPLE: &str = "sample ";

/// Tells the value that this process has measured to the one that launched it.
pub fn tell(value: f64) {
    println!("{SAMPLE}{value}");
}

/// A program to launch as one side of a comparison.
#[derive(Clone, Debug)]
pub struct Side {
    name: String,
    launcher: Launcher,
}

impl Side {
    /// This executable, as the side of this name, under the MPI launcher.
    ///
    /// # Errors
    /// If the system does not tell where this executable is.
    pub fn new(name: &str, ranks: usize) -> Result<Self, Failure> {
        Ok(Self::of(Launcher::new(own_path()?, ranks).arg(name), format!("{name} on {ranks} ranks")))
    }

    /// This executable, as the side of this name, without an MPI launcher.
    ///
    /// # Errors
    /// If the system does not tell where this executable is.
    pub fn alone(name: &str) -> Result<Self, Failure> {
        Ok(Self::of(Launcher::alone(own_path()?).arg(name), name.to_owned()))
    }

    /// Another program that lies beside this executable, under the MPI launcher, in this
    /// folder.
    ///
    /// # Errors
    /// [`Failure::Missing`] if it does not lie there.
    pub fn program(name: &str, arguments: &[&str], ranks: usize, folder: &Path) -> Result<Self, Failure> {
        let path = own_path()?.with_file_name(name);
        if !path.is_file() {
            return Err(Failure::Missing(path));
        }
        let launcher = Launcher::new(path, ranks).args(arguments.iter().copied()).current_dir(folder);
        Ok(Self::of(launcher, format!("{name} on {ranks} ranks")))
    }

    fn of(launcher: Launcher, name: String) -> Self {
        Self { name, launcher }
    }

    /// Launches it and gives the value that it told.
    ///
    /// # Errors
    /// If it cannot be launched, fails, does not end in time, or tells nothing.
    pub fn sample(&self) -> Result<f64, Failure> {
        sample_of(&self.output()?).ok_or_else(|| Failure::Silent(self.name.clone()))
    }

    /// Launches it as a person would have typed it, and gives its standard output.
    ///
    /// # Errors
    /// If it cannot be launched, fails or does not end in time.
    pub fn output(&self) -> Result<String, Failure> {
        let system = |error| Failure::System { what: self.name.clone(), error };
        let mut command = self.launcher.command()?;
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().map_err(system)?;
        let said = [read_all(child.stdout.take()), read_all(child.stderr.take())];
        // The outputs end when the launcher and all that it has started have ended.
        let deadline = Instant::now() + TIME_LIMIT;
        let mut texts = Vec::new();
        for said in said {
            let Ok(text) = said.recv_timeout(deadline.saturating_duration_since(Instant::now())) else {
                child.kill().and_then(|()| child.wait()).map_err(system)?;
                return Err(Failure::TimeLimit { what: self.name.clone(), limit: TIME_LIMIT });
            };
            texts.push(text);
        }
        let status = child.wait().map_err(system)?;
        if status.success() {
            return Ok(texts.swap_remove(0));
        }
        Err(Failure::Failed { what: self.name.clone(), said: format!("{status}: {}", texts.concat()) })
    }
}

/// Everything that comes out of a pipe, once it has ended.
fn read_all(pipe: Option<impl Read + Send + 'static>) -> Receiver<String> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(mut pipe) = pipe {
            // What was read before an error is worth telling too.
            let _ = pipe.read_to_end(&mut bytes);
        }
        // Nobody listens any more if the time limit has passed.
        let _ = sender.send(String::from_utf8_lossy(&bytes).into_owned());
    });
    receiver
}

/// The value that is told somewhere in an output.
fn sample_of(text: &str) -> Option<f64> {
    // A label of the rank may precede it.
    text.lines().find_map(|line| line.split_once(SAMPLE)?.1.trim().parse().ok())
}

fn own_path() -> Result<PathBuf, Failure> {
    env::current_exe().map_err(|error| Failure::System { what: "finding this executable".into(), error })
}
