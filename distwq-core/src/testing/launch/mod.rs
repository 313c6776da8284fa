//! Starting a program under an MPI launcher, with a bound on everything, and reading what each rank said.
//!
//! The tests of a program use it through [`Launcher`], and so do the commands of this repository. It knows
//! nothing of tasks and needs nothing but the standard library and `/proc`, so that it can be built alone.
//!
//! It never leaves a process behind: not after a failure, not past the time limit, not when the caller panics.

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
