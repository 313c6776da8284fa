//! Lists of slots or workers in one arena.

use crate::id::Indexed;
use crate::memory::buffers;
use std::marker::PhantomData;

/// The arena: cells of singly linked lists, without an allocation for each task. What a
/// cell holds is known by the [`Stack`] that leads to it.
#[derive(Debug, Default)]
pub(super) struct Links {
    cells: Vec<Cell>,
    /// Cells given back, each with a link to the one before.
    free: Link,
    used: usize,
}

#[derive(Clone, Copy, Debug)]
struct Cell {
    /// Packed.
    item: u32,
    next: Link,
}

/// Where a list goes on: 0 is its end. Else a cell, by one more than its index, or the
/// last item itself, packed and marked: most lists have no other and take no cell.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
struct Link(u32);

/// Marks a link that is an item.
const ITEM: u32 = 1 << 31;

/// The index of an item is smaller than this: so that packed it is smaller than the mark.
pub(super) const ITEMS_MAX: usize = ITEM as usize - 1;

impl Link {
    const END: Self = Self(0);

    #[inline]
    const fn is_item(self) -> bool {
        self.0 & ITEM != 0
    }

    /// The item that a marked link is.
    #[inline]
    fn item<T: Indexed>(self) -> Option<T> {
        T::unpack(self.0 & !ITEM)
    }

    #[inline]
    fn to_cell(index: usize) -> Self {
        Self(index as u32 + 1)
    }

    /// The index of the cell that one leads to which is neither the end nor an item.
    #[inline]
    const fn cell(self) -> usize {
        self.0 as usize - 1
    }
}

/// A singly linked list in the arena: the head is the newest.
#[derive(Debug)]
pub(super) struct Stack<T> {
    head: Link,
    of: PhantomData<T>,
}

impl<T> Clone for Stack<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Stack<T> {}

impl<T> Stack<T> {
    pub(super) const EMPTY: Self = Self { head: Link::END, of: PhantomData };

    #[inline]
    pub(super) fn is_empty(self) -> bool {
        self.head == Link::END
    }
}

impl<T: Indexed> Stack<T> {
    /// Puts `item` at the head.
    #[inline]
    pub(super) fn push(&mut self, links: &mut Links, item: T) {
        let packed = T::pack(Some(item));
        debug_assert!(packed < ITEM, "an item is told from a cell");
        if self.is_empty() {
            self.head = Link(ITEM | packed);
        } else {
            self.head = links.cell_for(packed, self.head);
        }
    }

    /// Takes the head off.
    #[inline]
    pub(super) fn pop(&mut self, links: &mut Links) -> Option<T> {
        let head = self.head;
        if head == Link::END {
            None
        } else if head.is_item() {
            self.head = Link::END;
            head.item()
        } else {
            let Cell { item, next } = links.give_back(head);
            self.head = next;
            T::unpack(item)
        }
    }

    /// Turned round: it grows at the head, so this restores the order of addition.
    #[inline]
    pub(super) fn reversed(self, links: &mut Links) -> Self {
        if self.head.is_item() {
            return self;
        }
        let (mut rest, mut turned) = (self, Self::EMPTY);
        while let Some(item) = rest.pop(links) {
            turned.push(links, item);
        }
        turned
    }

    /// The item of a list that has one.
    #[inline]
    pub(super) fn only(self) -> Option<T> {
        if self.head.is_item() { self.head.item() } else { None }
    }

    /// The items from the head on.
    pub(super) fn iter(self, links: &Links) -> impl Iterator<Item = T> + use<'_, T> {
        let mut rest = self.head;
        std::iter::from_fn(move || {
            if rest == Link::END {
                None
            } else if rest.is_item() {
                std::mem::replace(&mut rest, Link::END).item()
            } else {
                let Cell { item, next } = links.cells[rest.cell()];
                rest = next;
                T::unpack(item)
            }
        })
    }
}

impl Links {
    /// Makes room for so many links.
    pub(super) fn reserve(&mut self, links: usize) {
        let free = self.cells.len() - self.used;
        buffers::reserve(&mut self.cells, links.saturating_sub(free));
    }

    /// Cells in all lists together: one less than items in each.
    pub(super) fn used(&self) -> usize {
        self.used
    }

    /// How many cells there is room for without more memory.
    #[cfg(test)]
    pub(super) fn room(&self) -> usize {
        self.cells.capacity()
    }

    /// A link to a cell that holds this.
    fn cell_for(&mut self, item: u32, next: Link) -> Link {
        self.used += 1;
        let new = Cell { item, next };
        if self.free == Link::END {
            let index = self.cells.len();
            assert!(index < ITEMS_MAX, "fewer than 2^31 links");
            buffers::reserve(&mut self.cells, 1);
            self.cells.push(new);
            Link::to_cell(index)
        } else {
            let taken = self.free;
            let cell = &mut self.cells[taken.cell()];
            self.free = cell.next;
            *cell = new;
            taken
        }
    }

    /// What a cell held, which is free now.
    #[inline]
    fn give_back(&mut self, link: Link) -> Cell {
        let slot = &mut self.cells[link.cell()];
        let cell = *slot;
        slot.next = self.free;
        self.free = link;
        self.used -= 1;
        if self.used == 0 {
            // Cells were given back in the order in which tasks have ended. From here on
            // they are taken in the order of memory again.
            self.cells.clear();
            self.free = Link::END;
        }
        cell
    }
}

/// A list that has its newest item at hand, and those behind it in an arena.
#[derive(Debug)]
pub(super) struct Chain<T> {
    pub(super) newest: Option<T>,
    pub(super) behind: Stack<T>,
}

impl<T: Indexed> Chain<T> {
    pub(super) const EMPTY: Self = Self { newest: None, behind: Stack::EMPTY };

    /// Takes out the newest.
    #[inline]
    pub(super) fn pop(&mut self, links: &mut Links) -> Option<T> {
        self.newest.take().or_else(|| self.behind.pop(links))
    }

    /// Turned round, so that the oldest comes out first.
    #[inline]
    pub(super) fn reversed(self, links: &mut Links) -> OldestFirst<T> {
        OldestFirst { rest: self.behind.reversed(links), newest: self.newest }
    }

    /// The items, newest first.
    pub(super) fn iter(self, links: &Links) -> impl Iterator<Item = T> + use<'_, T> {
        self.newest.into_iter().chain(self.behind.iter(links))
    }
}

/// A [`Chain`] turned round.
pub(super) struct OldestFirst<T> {
    rest: Stack<T>,
    newest: Option<T>,
}

impl<T: Indexed> OldestFirst<T> {
    /// Takes out the oldest.
    #[inline]
    pub(super) fn pop(&mut self, links: &mut Links) -> Option<T> {
        self.rest.pop(links).or_else(|| self.newest.take())
    }
}
