//! What the benchmarks share: how two sides are paired, how a side is launched, and the
//! raw MPI programs that are the references of several figures.
//!
//! Each binary asks one question. Started by hand or by `cargo xtask bench`, it launches
//! its sides (itself, under the MPI launcher, with the name of a side as argument)
//! alternately and prints one line a figure:
//!
//! ```text
//! figure NAME VALUE UNIT reference VALUE ratio RATIO
//! ```
//!
//! The ratio is the first value divided by the second. Both values are of one pair, the
//! one whose ratio is the median of all pairs: on a machine whose speed drifts, values of
//! different pairs have nothing to do with each other. Each pair is told on standard
//! error.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "figures are what these programs are for")]

mod cpu;
#[cfg(feature = "mpi")]
pub mod farm;
mod pairs;
#[cfg(feature = "mpi")]
pub mod ping_pong;
mod program;
mod resident;
mod samples;
mod side;
pub mod tasks;

pub use cpu::cpu_seconds;
pub use pairs::{Figure, PAIRS};
pub use program::{NamedSide, run};
pub use resident::resident_bytes;
pub use samples::median;
pub use side::{Failure, Side, tell};
