//! Lists of numbers in one arena.

use crate::memory::buffers;

/// No task, no worker, no link.
pub(super) const NONE: u32 = u32::MAX;

/// Walks from `first` until [`NONE`].
pub(super) fn successors(first: u32, next: impl Fn(u32) -> u32) -> impl Iterator<Item = u32> {
    let some = |index: u32| (index != NONE).then_some(index);
    std::iter::successors(some(first), move |&index| some(next(index)))
}

/// Singly linked lists of numbers in one arena, without an allocation for each task. A link leads to a cell, or is itself
/// the last number of its list: most have no more, and take nothing but their head.
#[derive(Debug)]
pub(super) struct Links {
    cells: Vec<Cell>,
    free: u32,
    used: usize,
}

#[derive(Clone, Copy, Debug)]
struct Cell {
    item: u32,
    next: u32,
}

/// Marks a link that is a number. The numbers of cells and those in lists are smaller.
const ITEM: u32 = 1 << 31;

/// A number in a list is smaller than this.
pub(super) const ITEMS_MAX: u32 = ITEM - 1;

impl Default for Links {
    fn default() -> Self {
        Self { cells: Vec::new(), free: NONE, used: 0 }
    }
}

impl Links {
    /// Makes room for so many links.
    pub(super) fn reserve(&mut self, links: usize) {
        let free = self.cells.len() - self.used;
        buffers::reserve(&mut self.cells, links.saturating_sub(free));
    }

    /// Puts `item` at the head of a list.
    #[inline]
    pub(super) fn push(&mut self, head: &mut u32, item: u32) {
        debug_assert!(item < ITEMS_MAX, "{item} cannot be told from a cell");
        if *head == NONE {
            *head = ITEM | item;
        } else {
            self.push_cell(head, item);
        }
    }

    fn push_cell(&mut self, head: &mut u32, item: u32) {
        let new = Cell { item, next: *head };
        self.used += 1;
        if self.free == NONE {
            let index = self.cells.len();
            assert!(index < ITEM as usize, "fewer than 2^31 links");
            *head = index as u32;
            buffers::reserve(&mut self.cells, 1);
            self.cells.push(new);
        } else {
            *head = self.free;
            let cell = &mut self.cells[self.free as usize];
            self.free = cell.next;
            *cell = new;
        }
    }

    /// Takes the head off a list.
    #[inline]
    pub(super) fn pop(&mut self, head: &mut u32) -> Option<u32> {
        match *head {
            NONE => None,
            link if link & ITEM != 0 => {
                *head = NONE;
                Some(link & !ITEM)
            }
            index => {
                let cell = &mut self.cells[index as usize];
                let Cell { item, next } = *cell;
                *head = next;
                cell.next = self.free;
                self.free = index;
                self.used -= 1;
                if self.used == 0 {
                    // What comes next is in order again: cells were given back in the order in which tasks have ended.
                    self.cells.clear();
                    self.free = NONE;
                }
                Some(item)
            }
        }
    }

    /// Turns a list round; lists grow at the head, so this restores the order of addition.
    #[inline]
    pub(super) fn reverse(&mut self, head: u32) -> u32 {
        if head & ITEM != 0 {
            return head;
        }
        let (mut rest, mut turned) = (head, NONE);
        while let Some(item) = self.pop(&mut rest) {
            self.push(&mut turned, item);
        }
        turned
    }

    /// Puts `item` before the newest of a list that has it apart from those behind it.
    #[inline]
    pub(super) fn push_behind(&mut self, newest: &mut u32, behind: &mut u32, item: u32) {
        debug_assert!(item < ITEMS_MAX, "{item} cannot be told from a cell");
        let pushed = std::mem::replace(newest, item);
        if pushed != NONE {
            self.push(behind, pushed);
        }
    }

    /// The number of a list that has one, [`NONE`] of any other.
    #[inline]
    pub(super) const fn only(head: u32) -> u32 {
        if head & ITEM != 0 && head != NONE { head & !ITEM } else { NONE }
    }

    /// The numbers of a list from its head on.
    pub(super) fn iter(&self, head: u32) -> impl Iterator<Item = u32> {
        let mut rest = head;
        std::iter::from_fn(move || match rest {
            NONE => None,
            link if link & ITEM != 0 => {
                rest = NONE;
                Some(link & !ITEM)
            }
            index => {
                let Cell { item, next } = self.cells[index as usize];
                rest = next;
                Some(item)
            }
        })
    }

    /// Cells in all lists together: one less than numbers in each.
    pub(super) fn used(&self) -> usize {
        self.used
    }
}

/// A list that has its newest number at hand, and those behind it in an arena.
#[derive(Clone, Copy, Debug)]
pub(super) struct Chain {
    pub(super) newest: u32,
    pub(super) behind: u32,
}

impl Chain {
    pub(super) const EMPTY: Self = Self { newest: NONE, behind: NONE };

    /// Takes out the newest.
    #[inline]
    pub(super) fn pop(&mut self, links: &mut Links) -> Option<u32> {
        match std::mem::replace(&mut self.newest, NONE) {
            NONE => links.pop(&mut self.behind),
            newest => Some(newest),
        }
    }

    /// Turned round, so that the oldest comes out first.
    #[inline]
    pub(super) fn turned(self, links: &mut Links) -> OldestFirst {
        let Self { newest, behind } = self;
        OldestFirst { rest: links.reverse(behind), newest }
    }

    /// The numbers, newest first.
    pub(super) fn iter(self, links: &Links) -> impl Iterator<Item = u32> + use<'_> {
        (self.newest != NONE).then_some(self.newest).into_iter().chain(links.iter(self.behind))
    }
}

/// A [`Chain`] turned round.
pub(super) struct OldestFirst {
    rest: u32,
    newest: u32,
}

impl OldestFirst {
    /// Takes out the oldest.
    #[inline]
    pub(super) fn pop(&mut self, links: &mut Links) -> Option<u32> {
        match links.pop(&mut self.rest) {
            None => match std::mem::replace(&mut self.newest, NONE) {
                NONE => None,
                newest => Some(newest),
            },
            oldest => oldest,
        }
    }
}
