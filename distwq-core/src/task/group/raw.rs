//! The way from a group to MPI itself: one more collective operation, within which its
//! members call MPI together.

use super::{Group, GroupError, Operation};
use crate::transport::RawCommunicator;

impl Group {
    /// Runs `action` with the MPI communicator of the group, whose ranks are the members
    /// in their order. All members call it together, as one more collective operation: a
    /// member that calls it alone gets an error, and nobody enters raw MPI before all are
    /// there.
    ///
    /// `action` runs on the thread that called [`launch`](crate::launch()), which is the
    /// one that initialised MPI: derived datatypes of rsmpi and many C libraries ask for
    /// that. So its stack is that of the process (`ulimit -s`), not
    /// [`Config::stack_bytes`](crate::Config::stack_bytes), and what it takes along and
    /// gives back is `Send`. A `Group` is not: read [`rank`](Self::rank) and
    /// [`size`](Self::size) before. The engine of this rank stands still meanwhile and
    /// serves nobody else. If a member fails while another sits in a call of MPI, the
    /// whole run ends after
    /// [`Config::collective_grace`](crate::Config::collective_grace).
    ///
    /// MPI may be called by one thread of a rank at a time, unless
    /// [`Config::mpi_thread_multiple`](crate::Config::mpi_thread_multiple) is set. What
    /// the communicator is lent as follows from that, see
    /// [`RawCommunicator`](crate::RawCommunicator).
    ///
    /// rsmpi's `#[derive(Equivalence)]` names the crate `mpi` and is a feature of it, so
    /// a program that derives it has that crate among its own dependencies, in the
    /// version of `distwq::mpi`: `mpi = { version = "0.8", default-features = false,
    /// features = ["derive"] }`.
    ///
    /// # Errors
    /// [`GroupError::NotMpi`] on the local backend; [`GroupError`] if a member failed or
    /// left, or is in another operation.
    ///
    /// # Panics
    /// If `action` does, with the text of that panic.
    ///
    /// # Examples
    /// The example `raw_mpi` runs the same; here it is not compiled, as it needs MPI.
    /// ```ignore
    /// use distwq::prelude::*;
    ///
    /// #[remote(collective)]
    /// fn sum(group: &Group, own: f64) -> Result<f64, GroupError> {
    ///     // Here and not above: rsmpi has a trait of the name `Group`.
    ///     use distwq::mpi::{collective::SystemOperation, traits::*};
    ///     group.with_mpi(|raw| {
    ///         let mut sum = 0.0;
    ///         // Needs `Config::mpi_thread_multiple`.
    ///         raw.communicator()?.all_reduce_into(&own, &mut sum, SystemOperation::sum());
    ///         Ok(sum)
    ///     })?
    /// }
    ///
    /// #[remote(collective)]
    /// fn solve(group: &Group, matrix: &Matrix) -> Result<Vec<f64>, GroupError> {
    ///     group.with_mpi(|raw| {
    ///         let mut solution = vec![0.0; matrix.rows()];
    ///         // SAFETY: `solve` uses the communicator on this thread, and nothing of it once it has returned.
    ///         unsafe { library::solve(raw.handle(), matrix.as_ptr(), solution.as_mut_ptr()) };
    ///         solution
    ///     })
    /// }
    /// ```
    pub fn with_mpi<R: Send>(&self, action: impl FnOnce(&RawCommunicator) -> R + Send) -> Result<R, GroupError> {
        if !self.link.has_raw() {
            return Err(GroupError::NotMpi);
        }
        self.meet(Operation::Raw)?;
        let mut action = Some(action);
        let mut result = None;
        self.link.raw(&mut |communicator| result = action.take().map(|action| action(communicator)))?;
        Ok(result.expect("the action has run"))
    }
}
