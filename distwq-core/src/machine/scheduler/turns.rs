//! The tasks that may start anywhere, and the turns that their origins take.
//!
//! Of tasks of equal priority, one of each origin is next in turn, so that none waits for
//! all that another one has added: that lane is next whose last turn is the longest ago.
//! A [`Queue`] says which task of a lane is first.

use super::lanes::Lane;
use super::ready::Queue;
use super::task::priority_of;
use super::tasks::Tasks;
use crate::id::TaskSlot;
use std::cmp::Reverse;
use std::collections::BTreeSet;

/// The tasks that may start anywhere.
#[derive(Default, Debug)]
pub(super) struct Turns {
    /// By lane, as far as there were some.
    lanes: Vec<OfLane>,
    /// Turns so far.
    turns: u64,
    /// The lane that is next, if a lane has tasks.
    next: Option<Place>,
    /// The other lanes with tasks.
    others: BTreeSet<Place>,
    count: usize,
}

/// The tasks of a lane.
#[derive(Default, Debug)]
struct OfLane {
    queue: Queue,
    /// The number of its last turn.
    last: u64,
}

impl OfLane {
    /// Where it is, if it has tasks.
    #[inline]
    fn place(&self, lane: Lane) -> Option<Place> {
        self.queue.key().map(|key| self.place_of(lane, key))
    }

    /// Where it is if its greatest key is this.
    #[inline]
    fn place_of(&self, lane: Lane, key: u64) -> Place {
        Place { priority: Reverse(priority_of(key)), last: self.last, lane }
    }
}

/// A lane with tasks: the least is next.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
struct Place {
    /// The greatest of its tasks.
    priority: Reverse<u64>,
    last: u64,
    lane: Lane,
}

impl Turns {
    pub(super) fn is_empty(&self) -> bool {
        self.next.is_none()
    }

    pub(super) fn len(&self) -> usize {
        self.count
    }

    /// The greatest priority of a task.
    #[inline]
    pub(super) fn priority(&self) -> Option<u64> {
        self.next.map(|place| place.priority.0)
    }

    /// The queue whose turn it is.
    #[inline]
    fn current(&self) -> Option<&Queue> {
        self.next.map(|place| &self.lanes[place.lane.index()].queue)
    }

    /// The task that is next.
    #[inline]
    pub(super) fn first(&self) -> Option<TaskSlot> {
        self.current()?.first()
    }

    /// Tasks that may be next because they are of the same lane and key as the
    /// [first](Self::first), from that on; a few at most.
    pub(super) fn window<'a>(&self, tasks: &'a Tasks) -> impl Iterator<Item = TaskSlot> + use<'a> {
        self.current().map(|queue| queue.window(tasks)).into_iter().flatten()
    }

    /// The first task has been passed over so often that it must be next.
    pub(super) fn first_is_due(&self) -> bool {
        self.current().is_some_and(Queue::first_is_due)
    }

    /// Adds a task behind those of its lane and key.
    #[inline]
    pub(super) fn push_back(&mut self, tasks: &mut Tasks, slot: TaskSlot) {
        self.push(tasks, slot, Queue::push_back);
    }

    /// Adds a task before those of its lane and key: it has waited already.
    pub(super) fn push_front(&mut self, tasks: &mut Tasks, slot: TaskSlot) {
        self.push(tasks, slot, Queue::push_front);
    }

    #[inline]
    fn push(&mut self, tasks: &mut Tasks, slot: TaskSlot, push: impl FnOnce(&mut Queue, &mut Tasks, TaskSlot)) {
        let lane = tasks[slot].lane();
        if lane.index() >= self.lanes.len() {
            self.lanes.resize_with(lane.index() + 1, OfLane::default);
        }
        self.count += 1;
        self.change(lane, |queue| push(queue, tasks, slot));
    }

    /// Takes out a task that is started: one of the [window](Self::window). Others have
    /// their turns before the next of its lane.
    #[inline]
    pub(super) fn take(&mut self, tasks: &mut Tasks, slot: TaskSlot) {
        let lane = tasks[slot].lane();
        debug_assert!(self.next.is_some_and(|next| next.lane == lane), "it is of the lane that is next");
        self.count -= 1;
        self.turns += 1;
        let of_lane = &mut self.lanes[lane.index()];
        of_lane.last = self.turns;
        of_lane.queue.remove(tasks, slot);
        self.next = of_lane.place(lane);
        if !self.others.is_empty() {
            self.find_next();
        }
    }

    /// The lane that was next has had its turn: now another one may be.
    #[inline(never)]
    fn find_next(&mut self) {
        self.others.extend(self.next);
        self.next = self.others.pop_first();
    }

    /// Takes out any task.
    #[inline]
    pub(super) fn remove(&mut self, tasks: &mut Tasks, slot: TaskSlot) {
        self.count -= 1;
        self.change(tasks[slot].lane(), |queue| queue.remove(tasks, slot));
    }

    /// Empties the queue, in order.
    pub(super) fn drain(&mut self, tasks: &mut Tasks) -> Vec<TaskSlot> {
        let next = || {
            let slot = self.first()?;
            self.take(tasks, slot);
            Some(slot)
        };
        std::iter::from_fn(next).collect()
    }

    /// Changes the queue of a lane, and where it is among the others.
    #[inline]
    fn change(&mut self, lane: Lane, change: impl FnOnce(&mut Queue)) {
        let queue = &mut self.lanes[lane.index()].queue;
        let before = queue.key();
        change(queue);
        let after = queue.key();
        if before != after {
            self.has_changed(lane, before);
        }
    }

    /// The greatest key of a lane was this before.
    #[inline(never)]
    fn has_changed(&mut self, lane: Lane, before: Option<u64>) {
        let of_lane = &self.lanes[lane.index()];
        let (before, after) = (before.map(|key| of_lane.place_of(lane, key)), of_lane.place(lane));
        if before != after {
            before.into_iter().for_each(|place| self.leaves(place));
            after.into_iter().for_each(|place| self.comes(place));
        }
    }

    fn comes(&mut self, place: Place) {
        match &mut self.next {
            None => self.next = Some(place),
            Some(next) if place < *next => _ = self.others.insert(std::mem::replace(next, place)),
            Some(_) => _ = self.others.insert(place),
        }
    }

    fn leaves(&mut self, place: Place) {
        if self.next == Some(place) {
            self.next = self.others.pop_first();
        } else {
            self.others.remove(&place);
        }
    }

    /// Checks that all that is kept twice agrees.
    pub(super) fn validate(&self, tasks: &Tasks) {
        let mut places = BTreeSet::new();
        for (index, of_lane) in self.lanes.iter().enumerate() {
            let queue = &of_lane.queue;
            let Some(first) = queue.first() else { continue };
            let lane = tasks[first].lane();
            assert_eq!(lane.index(), index, "a lane has its own tasks");
            assert!(queue.iter(tasks).all(|(_, slot)| tasks[slot].lane() == lane), "{lane:?} has its own tasks");
            places.extend(of_lane.place(lane));
        }
        assert_eq!(places.first(), self.next.as_ref(), "the lane that is next");
        assert!(places.iter().skip(1).eq(&self.others), "lanes with tasks");
        assert_eq!(self.queues().map(Queue::len).sum::<usize>(), self.count, "tasks of all lanes");
    }

    /// The queue of each lane.
    pub(super) fn queues(&self) -> impl Iterator<Item = &Queue> {
        self.lanes.iter().map(|of_lane| &of_lane.queue)
    }
}
