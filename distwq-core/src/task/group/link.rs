//! What a group needs of its rank.

use super::error::GroupError;
use crate::codec::Payload;
use crate::id::GroupKey;

/// How the members of a group reach each other.
pub(crate) trait Link: Sync {
    /// Takes a message to another member.
    fn send(&self, to: usize, key: GroupKey, bytes: Payload) -> Result<(), GroupError>;

    /// Waits for a message of another member: until it is there, or that member has left,
    /// or any has failed.
    fn receive(&self, from: usize, key: GroupKey) -> Result<Payload, GroupError>;

    /// Whether there is a raw communicator; all members answer the same.
    #[cfg(feature = "mpi")]
    fn has_raw(&self) -> bool;

    /// Runs `action` with the raw communicator, on the thread that started MPI. All
    /// members have agreed to do so.
    #[cfg(feature = "mpi")]
    fn raw(&self, action: &mut (dyn FnMut(&crate::transport::RawCommunicator) + Send)) -> Result<(), GroupError>;
}
