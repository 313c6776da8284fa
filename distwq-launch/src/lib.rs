//! Starting a program under an MPI launcher, with a bound on everything, and reading what
//! each rank said.
//!
//! Tests use it as `distwq::testing`, and the commands of the repository of distwq use it
//! directly. It knows nothing of tasks, links no MPI, and needs nothing but the standard
//! library, rustix and `/proc`.
//!
//! It never leaves a process behind: not after a failure, not past the time limit, not
//! when the caller panics.
//!
//! # Examples
//!
//! A [`Launcher`] describes what to start. Its [`run`](Launcher::run) waits for the end
//! and returns an [`Output`]:
//!
//! ```
//! use distwq_launch::Launcher;
//!
//! let output = Launcher::alone("echo").arg("ready").run()?.expect_success();
//! assert_eq!(output.rank(0), "ready\n");
//! # Ok::<(), distwq_launch::LaunchError>(())
//! ```
//!
//! Its [`start`](Launcher::start) returns a [`Launched`], whose ranks can be watched and
//! killed meanwhile:
//!
//! ```no_run
//! use distwq_launch::Launcher;
//!
//! let mut launched = Launcher::new("target/debug/examples/pipeline", 4).start()?;
//! launched.wait_for(0, "ready")?;
//! launched.kill(2)?;
//! let output = launched.wait()?.expect_failure();
//! assert!(output.contains("rank 2"), "nobody has noticed: {output}");
//! # Ok::<(), distwq_launch::LaunchError>(())
//! ```

#![warn(clippy::print_stdout, clippy::print_stderr)]

mod error;
mod launched;
mod launcher;
mod mpirun;
mod output;
mod process;
mod processes;
#[cfg(test)]
mod tests;
mod turn;

pub use error::LaunchError;
pub use launched::Launched;
pub use launcher::Launcher;
pub use mpirun::{Family, Mpirun};
pub use output::{Ending, Output, RankOutput};
