//! One operation of a group under way: its messages have keys of their own, so that none
//! is taken for another.

use super::error::GroupError;
use super::link::Link;
use crate::codec::{self, CodecError, Payload, Portable};
use crate::id::GroupKey;
use serde::de::DeserializeOwned;

/// The kinds of operation, as they travel in a [`GroupKey`].
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Operation {
    Barrier,
    Broadcast,
    Scatter,
    Gather,
    AllGather,
    Reduce,
    AllReduce,
    AllToAll,
    Message,
    Raw,
}

impl Operation {
    const ALL: [Self; 10] = [
        Self::Barrier,
        Self::Broadcast,
        Self::Scatter,
        Self::Gather,
        Self::AllGather,
        Self::Reduce,
        Self::AllReduce,
        Self::AllToAll,
        Self::Message,
        Self::Raw,
    ];

    /// The name of the kind of a key that may come from another rank.
    pub(crate) fn name_of(kind: u8) -> &'static str {
        Self::ALL.get(usize::from(kind)).map_or("an unknown operation", |operation| operation.name())
    }

    fn name(self) -> &'static str {
        match self {
            Self::Barrier => "barrier",
            Self::Broadcast => "broadcast",
            Self::Scatter => "scatter",
            Self::Gather => "gather",
            Self::AllGather => "all_gather",
            Self::Reduce => "reduce",
            Self::AllReduce => "all_reduce",
            Self::AllToAll => "all_to_all",
            Self::Message => "recv",
            Self::Raw => "with_mpi",
        }
    }
}

/// One operation under way.
pub(super) struct Running<'a> {
    pub(super) link: &'a dyn Link,
    pub(super) operation: Operation,
    pub(super) sequence: u64,
}

impl Running<'_> {
    pub(super) fn key(&self, round: u32) -> GroupKey {
        GroupKey { operation: self.operation as u8, sequence: self.sequence, round }
    }

    pub(super) fn send(&self, to: usize, round: u32, bytes: Payload) -> Result<(), GroupError> {
        self.link.send(to, self.key(round), bytes)
    }

    pub(super) fn receive(&self, from: usize, round: u32) -> Result<Payload, GroupError> {
        self.link.receive(from, self.key(round))
    }

    pub(super) fn encode<T: Portable>(&self, value: &T) -> Result<Payload, GroupError> {
        codec::encode(value).map_err(|error| self.codec(error))
    }

    pub(super) fn decode<T: DeserializeOwned>(&self, bytes: &Payload) -> Result<T, GroupError> {
        codec::decode(bytes.as_slice()).map_err(|error| self.codec(error))
    }

    pub(super) fn codec(&self, error: CodecError) -> GroupError {
        GroupError::Codec { operation: self.operation.name(), message: error.0 }
    }
}
