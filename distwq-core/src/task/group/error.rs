//! What can go wrong within a group.

/// Why an operation of a group did not take place.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum GroupError {
    /// A member failed: it returned an error or panicked.
    #[error("member {member} of the group failed: {message}")]
    MemberFailed {
        /// Which member.
        member: usize,
        /// What it failed with.
        message: String,
    },
    /// A member returned while this one still waits for a message from it.
    #[error("member {member} of the group has returned, but this one still waits for it in {operation}")]
    MemberLeft {
        /// Which member.
        member: usize,
        /// What this member is in.
        operation: &'static str,
    },
    /// Two members are in different operations.
    #[error(
        "this member is in {here}, but member {member} of the group is in {there}; \
         all members call the same operations in the same order"
    )]
    Mismatch {
        /// The other member.
        member: usize,
        /// What this member is in.
        here: &'static str,
        /// What the other one is in.
        there: &'static str,
    },
    /// All members wait for each other, or this one for itself.
    #[error("a deadlock in the group: {waits}")]
    Deadlock {
        /// Who waits for whom, in which operation.
        waits: String,
    },
    /// There is no such member.
    #[error("there is no member {member} in a group of {size}")]
    NoSuchMember {
        /// The number given.
        member: usize,
        /// The size of the group.
        size: usize,
    },
    /// A value that only the root gives was missing there, or given elsewhere, or of the
    /// wrong length.
    #[error("{0}")]
    Argument(String),
    /// A value could not be encoded or decoded.
    #[error("a value of {operation} could not be exchanged: {message}")]
    Codec {
        /// Which operation.
        operation: &'static str,
        /// What the codec said.
        message: String,
    },
    /// The run ends, so no message will come.
    #[error("the run ends while this member waits in {0}")]
    Closed(&'static str),
    /// The raw communicator was asked for where there is none.
    #[error("this group has no MPI communicator: its members are threads of one process")]
    NotMpi,
    /// Safe code asked for the communicator in a run in which one thread at a time may
    /// call MPI.
    #[cfg(feature = "mpi")]
    #[error(transparent)]
    OneThread(#[from] crate::transport::OneThreadAtATime),
}
