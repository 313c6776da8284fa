//! What `#[distwq::test]` runs: one body on the local backend and again under the MPI
//! launcher.
//!
//! The attribute makes an ordinary test that calls [`run`] with its [`Case`]. Under
//! `cargo test` that
//!
//! 1. runs the body in this process on the local backend, with as many workers as the
//!    largest number of ranks leaves (one rank is the controller), or as many as the case
//!    says;
//! 2. with the feature `mpi`, for each number of ranks, starts the test's own executable
//!    under `mpirun`, where every rank runs this one test alone and the body runs over
//!    MPI.
//!
//! A run that fails or exceeds its time limit fails the test, with what each rank said
//! and was doing. No process outlives it. A machine without an MPI launcher fails the
//! tests of a build with the feature `mpi`: a test that silently did not run would be
//! worse.
//!
//! [`Launcher`] is the same machinery for whole programs: tests of exit codes, of killed
//! ranks, of examples.
//!
//! # Variables
//!
//! | variable | meaning |
//! |---|---|
//! | `DISTWQ_MPIRUN` | the launcher; otherwise the first `mpirun` on `PATH` |
//! | `DISTWQ_TEST_BACKEND` | `local` or `mpi` runs the bodies only there |
//! | `DISTWQ_TEST_RANKS` | `all` (as unset), `one` for a single number of ranks a test, except where it says `every`, or those that may run, as in `2,4` |
//! | `DISTWQ_TEST_FULL` | `1`: every number of ranks whatever `DISTWQ_TEST_RANKS` says, and [`full`] is true |
//! | `DISTWQ_TEST_TIME_LIMIT` | seconds; lengthens the time limit of every run, for slow machines |
//! | `DISTWQ_TEST_TALLY` | a file to which each run of a body adds a line, see [`tally`] |

mod case;
mod context;
mod rank;
mod repeat;
mod run;
pub mod tally;

pub use case::Case;
#[doc(hidden)]
pub use case::untyped;
pub use context::{TestContext, context};
pub use distwq_launch::{Ending, Family, LaunchError, Launched, Launcher, Mpirun, Output, RankOutput};
pub use run::run;

/// Whether the tests run in full (`DISTWQ_TEST_FULL=1`): then they also repeat what needs
/// many repetitions, and send what takes minutes to send.
pub fn full() -> bool {
    std::env::var_os("DISTWQ_TEST_FULL").is_some_and(|value| value == "1")
}
