//! The raw communicators of groups, made when they are asked for first and kept by their ranks.

use super::Communicator;
use crate::id::Rank;
use ::mpi::ffi;
use ::mpi::traits::*;
use std::collections::HashMap;
use std::ffi::c_int;
use std::mem::MaybeUninit;
use std::sync::Arc;

/// Communicators by the ranks of their members, in order.
pub(super) struct Groups {
    /// What they are made from. Nobody receives on it: members agree by messages that Open MPI sends where a receive of
    /// any tag would take them.
    parent: ffi::MPI_Comm,
    made: HashMap<Box<[Rank]>, Arc<Communicator>>,
}

impl Groups {
    /// None yet; `parent` has all ranks and belongs to these groups alone.
    pub(super) fn made_from(parent: ffi::MPI_Comm) -> Self {
        Self { parent, made: HashMap::new() }
    }

    /// The communicator of a group: all members call this together.
    pub(super) fn get(&mut self, members: &[Rank]) -> Arc<Communicator> {
        if let Some(communicator) = self.made.get(members) {
            return Arc::clone(communicator);
        }
        #[allow(clippy::arc_with_non_send_sync, reason = "whoever holds the engine's lock uses it, one at a time")]
        let communicator = Arc::new(create(self.parent, members));
        self.made.insert(members.into(), Arc::clone(&communicator));
        communicator
    }

    /// Frees that of a group, if there is one. All its members do.
    pub(super) fn free(&mut self, members: &[Rank]) {
        self.made.remove(members);
    }

    /// Frees all of them, at the end.
    pub(super) fn free_all(&mut self) {
        self.made.clear();
        // SAFETY: the communicator is theirs alone, and none is being made from it any more.
        unsafe {
            ffi::MPI_Comm_free(&raw mut self.parent);
        }
    }
}

fn create(parent: ffi::MPI_Comm, members: &[Rank]) -> Communicator {
    /// Of the messages within MPI that agree on the communicator.
    const AGREEMENT: c_int = 0;
    let ranks: Vec<c_int> = members.iter().map(|rank| rank.0 as c_int).collect();
    let mut all = MaybeUninit::uninit();
    let mut group = MaybeUninit::uninit();
    let mut comm = MaybeUninit::uninit();
    // SAFETY: the ranks are members of the communicator, each once; every handle is written by the call that makes
    // it before the next one reads it, and the groups are freed once.
    unsafe {
        ffi::MPI_Comm_group(parent, all.as_mut_ptr());
        ffi::MPI_Group_incl(all.assume_init(), ranks.len() as c_int, ranks.as_ptr(), group.as_mut_ptr());
        ffi::MPI_Comm_create_group(parent, group.assume_init(), AGREEMENT, comm.as_mut_ptr());
        ffi::MPI_Group_free(group.as_mut_ptr());
        ffi::MPI_Group_free(all.as_mut_ptr());
        Communicator::from_raw(comm.assume_init())
    }
}
