//! Something for each rank that this one has to do with: of a world of any size most
//! ranks talk with few others.

use crate::id::{Index, Rank};

/// Entries by rank. Four bytes for each rank of the world, and the entries of those that
/// have one.
#[derive(Debug)]
pub(super) struct ByPeer<T> {
    of_rank: Vec<Option<Index>>,
    entries: Vec<T>,
}

impl<T> ByPeer<T> {
    /// No entry for any of so many ranks.
    pub(super) fn new(ranks: u32) -> Self {
        Self { of_rank: vec![None; ranks as usize], entries: Vec::new() }
    }

    /// The entry of a rank.
    #[inline]
    pub(super) fn get(&self, rank: Rank) -> Option<&T> {
        self.of_rank[rank.index()].map(|index| &self.entries[index.get()])
    }

    /// The entry of a rank, which is made now if there was none.
    #[inline]
    pub(super) fn get_or_make(&mut self, rank: Rank) -> &mut T
    where
        T: Default,
    {
        let index = match self.of_rank[rank.index()] {
            Some(index) => index.get(),
            None => self.insert(rank, T::default()),
        };
        &mut self.entries[index]
    }

    /// Adds an entry for a rank that has none, and gives its index.
    #[cold]
    pub(super) fn insert(&mut self, rank: Rank, entry: T) -> usize {
        let index = self.entries.len();
        self.of_rank[rank.index()] = Some(Index::new(index as u32));
        self.entries.push(entry);
        index
    }

    /// How many ranks have an entry.
    pub(super) fn len(&self) -> usize {
        self.entries.len()
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
