//! Something for each rank that this one has to do with: of a world of any size most
//! ranks talk with few others.

use crate::id::Rank;

/// Things by rank. Four bytes for each rank of the world, and what is there for those
/// that have something.
#[derive(Debug)]
pub(super) struct ByPeer<T> {
    /// By rank, the place of its thing, or [`NONE`].
    places: Vec<u32>,
    things: Vec<T>,
}

/// No place.
const NONE: u32 = u32::MAX;

impl<T> ByPeer<T> {
    /// Nothing for any of so many ranks.
    pub(super) fn new(ranks: u32) -> Self {
        Self { places: vec![NONE; ranks as usize], things: Vec::new() }
    }

    /// What there is for a rank.
    #[inline]
    pub(super) fn get(&self, rank: Rank) -> Option<&T> {
        self.things.get(self.places[rank.index()] as usize)
    }

    /// What there is for a rank, which is made now if there was nothing.
    #[inline]
    pub(super) fn get_or_make(&mut self, rank: Rank) -> &mut T
    where
        T: Default,
    {
        if self.places[rank.index()] == NONE {
            self.insert(rank, T::default());
        }
        &mut self.things[self.places[rank.index()] as usize]
    }

    /// Puts something there for a rank that has nothing.
    #[cold]
    pub(super) fn insert(&mut self, rank: Rank, thing: T) {
        self.places[rank.index()] = self.things.len() as u32;
        self.things.push(thing);
    }

    /// How many ranks have something.
    pub(super) fn len(&self) -> usize {
        self.things.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_rank_has_is_made_once_and_found_again() {
        let mut peers = ByPeer::<Vec<u32>>::new(1_000);
        assert!(peers.get(Rank(7)).is_none());
        for round in 0..3 {
            for rank in [7, 999, 0] {
                peers.get_or_make(Rank(rank)).push(round * 1_000 + rank);
            }
        }
        assert_eq!(peers.get(Rank(999)).map(Vec::as_slice), Some(&[999, 1_999, 2_999][..]));
        assert!(peers.get(Rank(1)).is_none());
        assert_eq!(peers.len(), 3);
    }
}
