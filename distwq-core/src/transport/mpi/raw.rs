//! The communicator of a group as `with_mpi` lends it: to C as a handle, to safe Rust
//! only where that is sound.

use ::mpi::Threading;
use ::mpi::ffi;
use ::mpi::topology::SimpleCommunicator;
use ::mpi::traits::*;
use std::fmt;
use std::sync::Arc;

/// The MPI communicator of a group, lent by [`Group::with_mpi`](crate::Group::with_mpi)
/// until its closure returns.
///
/// Any communicator of rsmpi makes others that are owned (`duplicate`, `split_by_color`,
/// …), by traits that this crate cannot implement in part. One that is used or dropped
/// after `with_mpi` calls MPI beside the thread that drives this rank, which MPI allows
/// only in a run with
/// [`Config::mpi_thread_multiple`](crate::Config::mpi_thread_multiple). So there are
/// three ways to it:
///
/// | way | for | asks for |
/// |---|---|---|
/// | [`handle`](Self::handle) | C libraries | nothing; what is done with it is `unsafe` anyhow |
/// | [`communicator`](Self::communicator) | rsmpi | the setting |
/// | [`communicator_unchecked`](Self::communicator_unchecked) | rsmpi, in any run | `unsafe`: nothing outlives the closure |
///
/// What this crate cannot refuse is `SimpleCommunicator::world()`, with which rsmpi lets
/// safe code call MPI anywhere and on any thread. Do so only in a run with the
/// setting, or within `with_mpi`.
pub struct RawCommunicator {
    communicator: Arc<SimpleCommunicator>,
    threads: Threading,
}

/// Safe code asked for the communicator in a run in which one thread at a time may call
/// MPI.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error(
    "the communicator is not lent to safe code in this run, in which one thread at a time may call MPI: set \
     Config::mpi_thread_multiple (DISTWQ_MPI_THREAD_MULTIPLE=1 on all ranks), or use RawCommunicator::handle or \
     communicator_unchecked"
)]
pub struct OneThreadAtATime;

impl RawCommunicator {
    pub(super) fn new(communicator: Arc<SimpleCommunicator>, threads: Threading) -> Self {
        Self { communicator, threads }
    }

    /// The handle, for C libraries that take an `MPI_Comm`. It is valid until the closure
    /// returns, and belongs to distwq: it must not be freed.
    #[must_use]
    pub fn handle(&self) -> ffi::MPI_Comm {
        self.communicator.as_raw()
    }

    /// The communicator of rsmpi. What is made from it may outlive the closure and go to
    /// other threads, but must be gone when the body of the program has returned.
    ///
    /// # Errors
    /// [`OneThreadAtATime`] in a run without
    /// [`Config::mpi_thread_multiple`](crate::Config::mpi_thread_multiple); it turns into
    /// a [`GroupError`](crate::GroupError) by `?`.
    pub fn communicator(&self) -> Result<&SimpleCommunicator, OneThreadAtATime> {
        if self.threads == Threading::Multiple { Ok(&self.communicator) } else { Err(OneThreadAtATime) }
    }

    /// The communicator of rsmpi, in any run.
    ///
    /// # Safety
    /// Unless the run has
    /// [`Config::mpi_thread_multiple`](crate::Config::mpi_thread_multiple), MPI is called
    /// only by the thread that runs the closure, and until it returns. So all that comes
    /// from the communicator (duplicates and other communicators, groups, requests,
    /// datatypes) is complete and dropped by then, also if the closure panics, and is
    /// used by no other thread.
    ///
    /// # Examples
    /// Not compiled here, as it needs MPI.
    /// ```ignore
    /// group.with_mpi(|raw| {
    ///     // SAFETY: nothing is made from it, and no thread is started.
    ///     let communicator = unsafe { raw.communicator_unchecked() };
    ///     let mut sum = 0.0;
    ///     communicator.all_reduce_into(&own, &mut sum, SystemOperation::sum());
    ///     sum
    /// })
    /// ```
    #[must_use]
    pub unsafe fn communicator_unchecked(&self) -> &SimpleCommunicator {
        &self.communicator
    }
}

impl fmt::Debug for RawCommunicator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RawCommunicator").field("threads", &self.threads).finish_non_exhaustive()
    }
}
