//! The raw communicators of groups, made when they are asked for first and kept by their
//! ranks.

use crate::id::Rank;
use ::mpi::ffi;
use ::mpi::topology::SimpleCommunicator;
use ::mpi::traits::*;
use std::ffi::c_int;
use std::mem::MaybeUninit;
use std::sync::Arc;

/// Communicators by the ranks of their members, in order.
pub(super) struct Groups {
    /// What they are made from. Nobody receives on it: members agree by messages that
    /// Open MPI sends where a receive of any tag would take them.
    parent: ffi::MPI_Comm,
    made: Made<Arc<SimpleCommunicator>>,
}

impl Groups {
    /// None yet; `parent` has all ranks and belongs to these groups alone.
    pub(super) fn made_from(parent: ffi::MPI_Comm) -> Self {
        Self { parent, made: Made::default() }
    }

    /// The communicator of a group: all members call this together.
    pub(super) fn get(&mut self, members: &[Rank]) -> Arc<SimpleCommunicator> {
        #[allow(clippy::arc_with_non_send_sync, reason = "whoever holds the engine's lock uses it, one at a time")]
        let create = || Arc::new(create(self.parent, members));
        Arc::clone(self.made.get_or_make(members, create))
    }

    /// Frees that of a group, if there is one. All its members do.
    pub(super) fn free(&mut self, members: &[Rank]) {
        self.made.remove(members);
    }

    /// Frees all of them, at the end.
    pub(super) fn free_all(&mut self) {
        self.made.clear();
        // SAFETY: the communicator is theirs alone, and none is being made from it any
        // more.
        unsafe {
            ffi::MPI_Comm_free(&raw mut self.parent);
        }
    }
}

/// What groups have made, in the order in which it was made.
///
/// That order is the same on all ranks, as far as they share it: a rank is in one group
/// at a time, groups start in one order, and all members of a group make its communicator
/// within the same task. So ranks that free in this order never wait for each other in a
/// circle, whatever their other groups are; freeing is collective.
#[derive(Debug)]
struct Made<C> {
    // Few (`COMMUNICATORS_MAX` of the controller), and looked up once in a call of
    // `with_mpi`.
    of_groups: Vec<(Box<[Rank]>, C)>,
}

impl<C> Default for Made<C> {
    fn default() -> Self {
        Self { of_groups: Vec::new() }
    }
}

impl<C> Made<C> {
    fn position(&self, members: &[Rank]) -> Option<usize> {
        self.of_groups.iter().rposition(|(known, _)| **known == *members)
    }

    fn get_or_make(&mut self, members: &[Rank], make: impl FnOnce() -> C) -> &C {
        let position = self.position(members).unwrap_or_else(|| {
            self.of_groups.push((members.into(), make()));
            self.of_groups.len() - 1
        });
        &self.of_groups[position].1
    }

    fn remove(&mut self, members: &[Rank]) {
        if let Some(position) = self.position(members) {
            self.of_groups.remove(position);
        }
    }

    fn clear(&mut self) {
        self.of_groups.drain(..).for_each(drop);
    }
}

fn create(parent: ffi::MPI_Comm, members: &[Rank]) -> SimpleCommunicator {
    /// Of the messages within MPI that agree on the communicator.
    const AGREEMENT: c_int = 0;
    let ranks: Vec<c_int> = members.iter().map(|rank| rank.0 as c_int).collect();
    let mut all = MaybeUninit::uninit();
    let mut group = MaybeUninit::uninit();
    let mut comm = MaybeUninit::uninit();
    // SAFETY: the ranks are members of the communicator, each once; every handle is
    // written by the call that makes it before the next one reads it, and the groups are
    // freed once.
    unsafe {
        ffi::MPI_Comm_group(parent, all.as_mut_ptr());
        ffi::MPI_Group_incl(all.assume_init(), ranks.len() as c_int, ranks.as_ptr(), group.as_mut_ptr());
        ffi::MPI_Comm_create_group(parent, group.assume_init(), AGREEMENT, comm.as_mut_ptr());
        ffi::MPI_Group_free(group.as_mut_ptr());
        ffi::MPI_Group_free(all.as_mut_ptr());
        SimpleCommunicator::from_raw(comm.assume_init())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::RefCell;

    /// Notes when it is freed.
    struct Freed<'a>(&'a RefCell<Vec<u32>>, u32);

    impl Drop for Freed<'_> {
        fn drop(&mut self) {
            self.0.borrow_mut().push(self.1);
        }
    }

    #[test]
    fn communicators_are_freed_in_the_order_in_which_they_were_made() {
        let freed = RefCell::new(Vec::new());
        let mut made = Made::default();
        let group = |number: u32| [Rank(1), Rank(2 + number)];
        for number in (0..40).rev().chain(0..40) {
            made.get_or_make(&group(number), || Freed(&freed, number));
        }
        made.remove(&group(20));
        made.remove(&group(20));
        made.get_or_make(&group(20), || Freed(&freed, 20));
        made.clear();
        let expected: Vec<u32> =
            [20].into_iter().chain((0..40).rev().filter(|number| *number != 20)).chain([20]).collect();
        assert_eq!(*freed.borrow(), expected);
    }
}
