//! Where tasks come from, as a number that is small enough to be kept with each.
//!
//! Each origin with pending tasks has a *lane* of its own. When all lanes are taken, more
//! origins share them.

use crate::id::Origin;
use rustc_hash::{FxHashMap, FxHasher};
use std::hash::{Hash as _, Hasher as _};

/// Tasks that have their turns together.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(super) struct Lane(u8);

impl Lane {
    /// That of the tasks that were added one by one.
    pub(super) const ALONE: Self = Self(0);

    /// The lane, to look into a table with.
    pub(super) const fn index(self) -> usize {
        self.0 as usize
    }
}

/// Which lane an origin has.
#[derive(Debug)]
pub(super) struct Lanes {
    /// Those that have one of their own.
    of: FxHashMap<Origin, Lane>,
    /// By lane.
    lanes: [Users; LANES],
    /// The one that was given or looked up last, and its lane.
    last: (Origin, Lane),
}

const LANES: usize = 1 << u8::BITS;

/// Who uses a lane.
#[derive(Clone, Copy, Default, Debug)]
struct Users {
    /// Its tasks that have not ended.
    pending: usize,
    /// Whose own it is.
    owner: Option<Origin>,
}

impl Default for Lanes {
    fn default() -> Self {
        Self { of: FxHashMap::default(), lanes: [Users::default(); LANES], last: (Origin::Alone, Lane::ALONE) }
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
        self.lanes[lane.index()].pending += 1;
        lane
    }

    /// A task has ended.
    #[inline]
    pub(super) fn leave(&mut self, lane: Lane) {
        self.lanes[lane.index()].pending -= 1;
    }

    #[inline(never)]
    fn look_up(&mut self, origin: Origin) -> Lane {
        if origin == Origin::Alone {
            return Lane::ALONE;
        }
        if let Some(&lane) = self.of.get(&origin) {
            return lane;
        }
        match (1..=u8::MAX).find(|&lane| self.lanes[usize::from(lane)].pending == 0) {
            Some(free) => {
                let last_owner = self.lanes[usize::from(free)].owner.replace(origin);
                last_owner.iter().for_each(|gone| _ = self.of.remove(gone));
                self.of.insert(origin, Lane(free));
                Lane(free)
            }
            None => {
                let mut hasher = FxHasher::default();
                origin.hash(&mut hasher);
                Lane(1 + (hasher.finish() % u64::from(u8::MAX)) as u8)
            }
        }
    }

    /// The lanes with tasks that have not ended, and how many.
    pub(super) fn pending(&self) -> impl Iterator<Item = (Lane, usize)> + '_ {
        let used = (0..=u8::MAX).map(Lane).zip(&self.lanes).filter(|(_, users)| users.pending > 0);
        used.map(|(lane, users)| (lane, users.pending))
    }
}
