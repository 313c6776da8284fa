//! Which items of a map a task is made of.

use serde::{Deserialize, Serialize};

/// The items of a map that travel as one task: one, or several that lie side by side.
#[derive(Serialize, Deserialize, Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Items {
    /// The number of the map, counted from 1 in the order in which maps were made.
    pub(crate) map: u32,
    /// The index of the first one.
    pub(crate) first: u64,
    pub(crate) count: u32,
    /// Several make one value: this function, by its number, joins two neighbours.
    pub(crate) fold: Option<u32>,
}

impl Items {
    /// One of them, by its place among these.
    #[inline]
    pub(crate) fn item(&self, place: u32) -> Item {
        Item { map: self.map, index: self.first + u64::from(place) }
    }

    /// Whether the output is a [sequence of outcomes](crate::wire::chunk) instead of a
    /// value.
    pub(crate) fn give_outcomes(&self) -> bool {
        self.count > 1 && self.fold.is_none()
    }
}

/// One item of a map.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Item {
    map: u32,
    index: u64,
}

impl Item {
    /// What people see as the number of its task: items are counted from 1. Past 2^32 the
    /// count begins again.
    #[inline]
    pub(crate) fn number(self) -> u32 {
        (self.index as u32).wrapping_add(1)
    }

    /// The map and the index.
    pub(crate) fn parts(self) -> (u32, u64) {
        (self.map, self.index)
    }
}
