//! Whom the ends of certain tasks are told to: those that a user takes as they end.

use super::input::Watch;
use crate::machine::Ns;
use crate::outcome::info::TaskState;
use std::num::NonZeroU32;

/// A watched task has ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct WatchedEnd {
    pub(crate) watch: Watch,
    /// How it has ended.
    pub(crate) state: TaskState,
    pub(crate) submitted_ns: Ns,
    /// When its last attempt began; 0 if it never ran.
    pub(crate) started_ns: Ns,
    pub(crate) finished_ns: Ns,
}

impl WatchedEnd {
    /// Whether it has given a value.
    pub(crate) fn has_value(&self) -> bool {
        self.state == TaskState::Done
    }
}

/// The watches of all tasks that have not ended, as linked lists: each task holds the
/// first link of its own. A table of those that are watched would have to be searched at
/// the end of each.
#[derive(Default, Debug)]
pub(super) struct Watches {
    links: Vec<Link>,
    /// The first of those links that no task has.
    free: Option<LinkId>,
    /// How many links tasks have.
    #[cfg(any(test, feature = "simulation"))]
    used: usize,
}

#[derive(Clone, Copy, Debug)]
struct Link {
    watch: Watch,
    /// The one that was added before, or the next one that no task has.
    before: Option<LinkId>,
}

/// A link by its place, counted from 1.
#[derive(Clone, Copy, Debug)]
pub(super) struct LinkId(NonZeroU32);

impl LinkId {
    fn index(self) -> usize {
        self.0.get() as usize - 1
    }
}

impl Watches {
    /// The end of a task is to be told, whose last watch is `last`. Gives the one that is
    /// its last from now on.
    #[inline]
    pub(super) fn add(&mut self, last: Option<LinkId>, watch: Watch) -> LinkId {
        let link = Link { watch, before: last };
        #[cfg(any(test, feature = "simulation"))]
        {
            self.used += 1;
        }
        match self.free {
            Some(id) => {
                let free = std::mem::replace(&mut self.links[id.index()], link);
                self.free = free.before;
                id
            }
            None => {
                self.links.push(link);
                let place = u32::try_from(self.links.len()).ok().and_then(NonZeroU32::new);
                LinkId(place.expect("fewer than 2^32 watches wait"))
            }
        }
    }

    /// A task has ended, whose last watch is `last`: tells to whom that is told, in the
    /// order in which they were added.
    #[inline]
    pub(super) fn take(&mut self, last: LinkId, mut tell: impl FnMut(Watch)) {
        let Link { watch, before } = self.remove(last);
        if let Some(before) = before {
            self.take_several(before).into_iter().rev().for_each(&mut tell);
        }
        tell(watch);
    }

    /// Takes a watch and those before it, the last one first.
    #[cold]
    fn take_several(&mut self, last: LinkId) -> Vec<Watch> {
        let mut watches = Vec::new();
        let mut next = Some(last);
        while let Some(id) = next {
            let Link { watch, before } = self.remove(id);
            watches.push(watch);
            next = before;
        }
        watches
    }

    /// A task has this link no more.
    #[inline]
    fn remove(&mut self, id: LinkId) -> Link {
        let link = &mut self.links[id.index()];
        let removed = *link;
        link.before = self.free.replace(id);
        #[cfg(any(test, feature = "simulation"))]
        {
            self.used -= 1;
        }
        removed
    }

    /// How many wait for the ends of tasks.
    #[cfg(any(test, feature = "simulation"))]
    pub(super) fn len(&self) -> usize {
        self.used
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::CollectorId;

    #[test]
    fn the_watches_of_a_task_are_told_in_their_order_and_their_memory_is_used_again() {
        let watch = |index| Watch { collector: CollectorId(1), index };
        let mut watches = Watches::default();
        let taken = |watches: &mut Watches, last: Option<LinkId>| {
            let mut told = Vec::new();
            watches.take(last.expect("it is watched"), |watch| told.push(watch));
            told
        };
        for _ in 0..3 {
            let [mut one, mut other] = [None, None];
            for index in 0..3 {
                one = Some(watches.add(one, watch(index)));
                other = Some(watches.add(other, watch(10 + index)));
            }
            assert_eq!(watches.len(), 6);
            assert_eq!(taken(&mut watches, one), [0, 1, 2].map(watch));
            assert_eq!(taken(&mut watches, other), [10, 11, 12].map(watch));
        }
        assert_eq!((watches.len(), watches.links.len()), (0, 6));
    }
}
