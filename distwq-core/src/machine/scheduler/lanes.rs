//! Where tasks come from, as a number that is small enough to be kept with each.
//!
//! Each origin with pending tasks has a *lane* of its own. When all lanes are taken, more
//! origins share them.

use crate::id::Origin;
use rustc_hash::{FxHashMap, FxHasher};
use std::hash::{Hash as _, Hasher as _};

/// Tasks that have their turns together.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(super) struct Lane(u16);

impl Lane {
    /// That of the tasks that were added one by one.
    pub(super) const ALONE: Self = Self(0);

    /// A lane fits into so many bits.
    pub(super) const BITS: u32 = 13;

    /// The one of these bits.
    #[inline]
    pub(super) const fn new(bits: u16) -> Self {
        debug_assert!(bits < 1 << Self::BITS, "so many bits");
        Self(bits)
    }

    #[inline]
    pub(super) const fn bits(self) -> u16 {
        self.0
    }

    /// The lane, to look into a table with.
    #[inline]
    pub(super) const fn index(self) -> usize {
        self.0 as usize
    }
}

/// How many there are.
pub(super) const LANES: usize = 1 << Lane::BITS;

/// Which lane an origin has.
#[derive(Debug)]
pub(super) struct Lanes {
    /// Those that have one of their own.
    of: FxHashMap<Origin, Lane>,
    /// By lane, as far as they were used.
    users: Vec<Users>,
    /// Lanes that had no pending tasks when they were listed here, each once.
    free: Vec<Lane>,
    /// The origin that was looked up last, and its lane.
    last: (Origin, Lane),
}

/// Who uses a lane.
#[derive(Clone, Copy, Default, Debug)]
struct Users {
    /// Its tasks that have not ended.
    pending: usize,
    /// Whose own it is.
    owner: Option<Origin>,
    /// It is among those that are free.
    is_listed: bool,
}

impl Default for Lanes {
    fn default() -> Self {
        // The first is nobody else's.
        let alone = Users { pending: 0, owner: Some(Origin::Alone), is_listed: true };
        let last = (Origin::Alone, Lane::ALONE);
        Self { of: FxHashMap::from_iter([last]), users: vec![alone], free: Vec::new(), last }
    }
}

impl Lanes {
    /// A task of this origin is added. Gives its lane.
    #[inline]
    pub(super) fn enter(&mut self, origin: Origin) -> Lane {
        if origin != self.last.0 {
            self.last = (origin, self.look_up(origin));
        }
        let lane = self.last.1;
        self.users[lane.index()].pending += 1;
        lane
    }

    /// A task has ended.
    #[inline]
    pub(super) fn leave(&mut self, lane: Lane) {
        let users = &mut self.users[lane.index()];
        users.pending -= 1;
        if users.pending == 0 && !users.is_listed {
            users.is_listed = true;
            self.free.push(lane);
        }
    }

    #[inline(never)]
    fn look_up(&mut self, origin: Origin) -> Lane {
        if let Some(&lane) = self.of.get(&origin) {
            return lane;
        }
        let Some(lane) = self.take_free() else {
            let mut hasher = FxHasher::default();
            origin.hash(&mut hasher);
            return Lane::new(1 + (hasher.finish() % (LANES as u64 - 1)) as u16);
        };
        if let Some(gone) = self.users[lane.index()].owner.replace(origin) {
            self.of.remove(&gone);
        }
        self.of.insert(origin, lane);
        lane
    }

    /// A lane without pending tasks, if there is one.
    fn take_free(&mut self) -> Option<Lane> {
        while let Some(lane) = self.free.pop() {
            let users = &mut self.users[lane.index()];
            users.is_listed = false;
            if users.pending == 0 {
                return Some(lane);
            }
        }
        let next = self.users.len();
        (next < LANES).then(|| {
            self.users.push(Users::default());
            Lane::new(next as u16)
        })
    }

    /// The lanes with tasks that have not ended, and how many.
    pub(super) fn pending(&self) -> impl Iterator<Item = (Lane, usize)> + '_ {
        let used = self.users.iter().zip(0..).filter(|(users, _)| users.pending > 0);
        used.map(|(users, bits)| (Lane::new(bits), users.pending))
    }
}
