//! Short runs of things of many owners, in one piece of memory.

use crate::memory::buffers;

/// A run: where it begins and how long it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Slice {
    begin: u32,
    len: u32,
}

impl Slice {
    pub(super) const EMPTY: Self = Self { begin: 0, len: 0 };

    /// As a number, to share its memory with something else.
    #[inline]
    pub(super) const fn to_bits(self) -> u64 {
        (self.begin as u64) << 32 | self.len as u64
    }

    #[inline]
    pub(super) const fn from_bits(bits: u64) -> Self {
        Self { begin: (bits >> 32) as u32, len: bits as u32 }
    }
}

/// Runs that come and go. The memory of one is used again for another of like length;
/// when all have gone, what comes next lies in order again.
#[derive(Debug)]
pub(super) struct SliceArena<T> {
    items: Vec<T>,
    /// By the binary logarithm of their room, where runs begin that have gone.
    free: Vec<Vec<u32>>,
    /// How many things have room in these.
    free_room: usize,
    /// Runs that have not gone.
    used: usize,
}

impl<T> Default for SliceArena<T> {
    fn default() -> Self {
        Self { items: Vec::new(), free: Vec::new(), free_room: 0, used: 0 }
    }
}

impl<T: Copy> SliceArena<T> {
    /// Makes room for runs whose lengths, rounded up to powers of two, are so many things
    /// in all.
    pub(super) fn reserve(&mut self, things: usize) {
        buffers::reserve(&mut self.items, things.saturating_sub(self.free_room));
    }

    /// Keeps a copy of `run`.
    #[inline]
    pub(super) fn add(&mut self, run: &[T]) -> Slice {
        let Some(&first) = run.first() else { return Slice::EMPTY };
        self.used += 1;
        let class = class_of(run.len());
        let begin = match self.free.get_mut(class).and_then(Vec::pop) {
            Some(begin) => {
                self.items[begin as usize..][..run.len()].copy_from_slice(run);
                self.free_room -= 1 << class;
                begin
            }
            None => {
                let begin = self.items.len();
                buffers::reserve(&mut self.items, 1 << class);
                self.items.extend_from_slice(run);
                self.items.resize(begin + (1 << class), first);
                u32::try_from(begin).expect("fewer than 2^32 inputs")
            }
        };
        Slice { begin, len: run.len() as u32 }
    }

    #[inline]
    pub(super) fn get(&self, slice: Slice) -> &[T] {
        &self.items[slice.begin as usize..][..slice.len as usize]
    }

    /// How many runs there are.
    #[cfg(any(test, feature = "simulation"))]
    pub(super) fn used(&self) -> usize {
        self.used
    }

    /// Lets go of a run.
    #[inline]
    pub(super) fn remove(&mut self, slice: Slice) {
        if slice == Slice::EMPTY {
            return;
        }
        self.used -= 1;
        if self.used == 0 {
            self.items.clear();
            self.free.iter_mut().for_each(Vec::clear);
            self.free_room = 0;
            return;
        }
        let class = class_of(slice.len as usize);
        if class >= self.free.len() {
            self.free.resize_with(class + 1, Vec::new);
        }
        self.free[class].push(slice.begin);
        self.free_room += 1 << class;
    }
}

fn class_of(len: usize) -> usize {
    len.next_power_of_two().trailing_zeros() as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_keeps_its_things_while_others_come_and_go() {
        let mut arena = SliceArena::default();
        let mut kept = Vec::new();
        for round in 0..200_u32 {
            let run: Vec<u32> = (0..round % 11).map(|index| round * 100 + index).collect();
            kept.push((arena.add(&run), run));
            if round % 3 == 0 {
                arena.remove(kept.swap_remove(round as usize % kept.len()).0);
            }
            for (slice, run) in &kept {
                assert_eq!(arena.get(*slice), run);
            }
        }
    }

    #[test]
    fn memory_is_used_again() {
        let mut arena = SliceArena::default();
        arena.add(&[0; 5]);
        let first = arena.add(&[1, 2, 3]);
        let room = arena.items.len();
        arena.remove(first);
        for _ in 0..100 {
            let next = arena.add(&[4; 4]);
            arena.remove(next);
        }
        assert_eq!(arena.items.len(), room);
    }

    #[test]
    fn what_was_reserved_is_enough() {
        let mut arena = SliceArena::default();
        let first = arena.add(&[0; 3]);
        arena.add(&[0; 3]);
        arena.remove(first);
        arena.reserve(1_000 * 4);
        let room = arena.items.capacity();
        for _ in 0..1_000 {
            arena.add(&[1, 2, 3]);
        }
        assert_eq!(arena.items.capacity(), room);
    }

    #[test]
    fn room_is_made_for_what_does_not_fit_into_what_is_free() {
        let mut arena = SliceArena::default();
        let first = arena.add(&[0; 3]);
        while arena.items.len() < arena.items.capacity() {
            arena.add(&[0; 3]);
        }
        let room = arena.items.capacity();
        arena.remove(first);
        arena.reserve(4);
        assert_eq!(arena.items.capacity(), room, "what has gone leaves room for four");
        arena.add(&[0; 3]);
        arena.reserve(1);
        assert!(arena.items.capacity() > room);
    }

    #[test]
    fn when_all_have_gone_what_comes_lies_in_order() {
        let mut arena = SliceArena::default();
        let gone: Vec<Slice> = (0..10).map(|item| arena.add(&[item, item])).collect();
        gone.into_iter().for_each(|slice| arena.remove(slice));
        let begins: Vec<u32> = (0..10).map(|item| arena.add(&[item]).begin).collect();
        assert_eq!(begins, (0..10).collect::<Vec<_>>());
        assert_eq!(arena.add(&[]), Slice::EMPTY);
    }
}
