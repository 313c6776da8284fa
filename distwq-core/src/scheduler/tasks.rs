//! The table of tasks, indexed by slot, and the arena of links between them.
//!
//! One task is one cache line. What belongs to one stage of its life only shares a field with another stage: the
//! order key of a task that waits makes room for the size of its value, and the two list links serve whichever
//! list the task is in.

use super::{End, Spec};
use crate::buffers;
use crate::id::TaskId;

/// A value that the controller has is sent to whoever needs it, wherever that is; from this size on it pays to use
/// a copy that a worker has already.
const LARGE_BYTES: u64 = 64 * 1024;

/// No task, no worker, no link.
pub(super) const NONE: u32 = u32::MAX;

/// Where a task is in its life, and so in which list it is kept.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum State {
    /// The slot is free.
    Vacant,
    /// Waits for dependencies; kept in their lists of dependents.
    Blocked,
    /// A dependency has failed and it is on the worklist of ends.
    Doomed,
    /// May start on any worker; in the queue of ready tasks.
    Ready,
    /// Has failed before and wants a worker that has not tried it; in the queue of retries.
    Retry,
    /// May start on one worker only; in that worker's own queue.
    Pinned,
    /// A collective task that may start; in the queue of wide tasks.
    Wide,
    /// A collective task that needs more workers than have joined so far; in a queue of its own.
    TooWide,
    /// The collective task for which workers are kept free.
    Reserving,
    /// With a worker, begun or prefetched; in the worker's list of tasks in flight.
    InFlight,
    /// A collective task that runs on its group.
    Running,
    /// Ended with a value.
    Done,
    /// Ended without one.
    Failed,
}

impl State {
    /// The task has not ended.
    pub(super) const fn is_pending(self) -> bool {
        !matches!(self, Self::Vacant | Self::Done | Self::Failed)
    }
}

/// All that is known of one task.
#[derive(Debug)]
#[repr(align(64))]
pub(super) struct Task {
    /// Order key while it waits or runs, size of the value in bytes once it is done.
    weight: u64,
    pub(super) serial: u32,
    /// Links from dependencies that have not ended.
    pub(super) blockers: u32,
    /// List of the tasks that wait for this one, newest first.
    pub(super) dependents: u32,
    /// List of the tasks whose outputs are arguments.
    pub(super) inputs: u32,
    /// Links of the one list that the task is in.
    pub(super) prev: u32,
    pub(super) next: u32,
    /// In flight: with whom. Done: where it ran, [`NONE`] for a value that was given.
    pub(super) worker: u32,
    /// Slot of the task to follow while `follows`, else the only worker it may run on, or [`NONE`].
    pub(super) pin: u32,
    /// Arguments of pending tasks that are this value.
    pub(super) needed: u32,
    /// List of the workers that hold a copy besides `worker`.
    pub(super) copies: u32,
    pub(super) ranks: u32,
    pub(super) retries: u32,
    /// Attempts that have failed.
    pub(super) failures: u32,
    pub(super) state: State,
    /// Somebody may still ask for the value.
    pub(super) handle: bool,
    /// `pin` names a task whose worker is not known yet.
    pub(super) follows: bool,
    pub(super) kind: Kind,
}

/// What a task is while it waits, and where its value is afterwards.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    /// Runs on one worker, any one.
    Narrow,
    /// Runs on one worker, and it matters which: an argument lies on workers or is large.
    Drawn,
    /// Needs a group.
    Collective,
    /// Done; the controller has the value.
    Home,
    /// Done; the value stayed on `worker` and goes from there.
    Resident,
}

impl Task {
    pub(super) const VACANT: Self = Self {
        weight: 0,
        serial: 0,
        blockers: 0,
        dependents: NONE,
        inputs: NONE,
        prev: NONE,
        next: NONE,
        worker: NONE,
        pin: NONE,
        needed: 0,
        copies: NONE,
        ranks: 1,
        retries: 0,
        failures: 0,
        state: State::Vacant,
        handle: false,
        follows: false,
        kind: Kind::Narrow,
    };

    #[inline]
    pub(super) fn new(serial: u32, spec: &Spec<'_>) -> Self {
        Self {
            weight: order_key(spec.priority, spec.level),
            serial,
            ranks: spec.ranks.max(1),
            retries: spec.retries,
            state: State::Blocked,
            handle: true,
            kind: if spec.collective || spec.ranks > 1 { Kind::Collective } else { Kind::Narrow },
            ..Self::VACANT
        }
    }

    /// A value that exists without having been made by a task.
    pub(super) fn value(serial: u32, bytes: u64) -> Self {
        Self { weight: bytes, serial, state: State::Done, handle: true, kind: Kind::Home, ..Self::VACANT }
    }

    /// Its place among ready tasks: the greater goes first.
    #[inline]
    pub(super) fn key(&self) -> u64 {
        debug_assert!(self.state.is_pending(), "an ended task has no order");
        self.weight
    }

    pub(super) fn bytes(&self) -> u64 {
        debug_assert_eq!(self.state, State::Done, "only an ended task has a value");
        self.weight
    }

    pub(super) fn is_collective(&self) -> bool {
        self.kind == Kind::Collective
    }

    /// It gets an argument whose place matters; a group is chosen without regard to that.
    pub(super) fn draw(&mut self) {
        if self.kind == Kind::Narrow {
            self.kind = Kind::Drawn;
        }
    }

    /// The value lies on a worker, or is so large that tasks should go where a copy of it is.
    #[inline]
    pub(super) fn draws(&self) -> bool {
        (self.kind == Kind::Resident && self.bytes() > 0) || self.bytes() >= LARGE_BYTES
    }

    /// The attempt that runs or comes next, counted from 1.
    pub(super) fn attempt(&self) -> u32 {
        self.failures.saturating_add(1)
    }

    /// Turns it into a value of `bytes` made by `worker`.
    #[inline]
    pub(super) fn become_value(&mut self, worker: u32, bytes: u64, resident: bool) {
        self.state = State::Done;
        self.weight = bytes;
        self.worker = worker;
        self.kind = if resident { Kind::Resident } else { Kind::Home };
    }
}

/// The key that sorts ready tasks: priority, then the length of the path that hangs on it.
pub(super) const fn order_key(priority: i32, level: u32) -> u64 {
    // Flipping the sign bit makes the order of the unsigned numbers that of the signed ones.
    let priority = priority.cast_unsigned() ^ (1 << 31);
    ((priority as u64) << 32) | level as u64
}

/// The part of an order key that is the priority; comparable with another's.
pub(super) const fn priority_of(key: u64) -> u64 {
    key >> 32
}

/// The tasks by slot.
#[derive(Debug, Default)]
pub(super) struct Tasks {
    table: Vec<Task>,
}

impl Tasks {
    /// Puts a task into its slot.
    ///
    /// # Panics
    /// If the slot is taken: the caller uses a slot again only after its release.
    #[inline]
    pub(super) fn insert(&mut self, id: TaskId, task: Task) -> u32 {
        let index = id.slot();
        assert!(index < ITEMS_MAX as usize, "fewer than 2^31 tasks are pending or held");
        if let Some(more) = (index + 1).checked_sub(self.table.len()) {
            buffers::reserve(&mut self.table, more);
            self.table.resize_with(index + 1, || Task::VACANT);
        }
        let place = &mut self.table[index];
        assert_eq!(place.state, State::Vacant, "slot of {id} is taken by #{}", place.serial);
        *place = task;
        slot_of(id)
    }

    /// Makes room for tasks in slots that were never used.
    pub(super) fn reserve(&mut self, tasks: usize) {
        buffers::reserve(&mut self.table, tasks);
    }

    /// The slot of a task that is still known.
    #[inline]
    pub(super) fn find(&self, id: TaskId) -> Option<u32> {
        let task = self.table.get(id.slot())?;
        (task.serial == id.serial() && task.state != State::Vacant).then(|| slot_of(id))
    }

    #[inline]
    pub(super) fn id(&self, slot: u32) -> TaskId {
        TaskId::new(slot, self[slot].serial)
    }

    /// All slots in use.
    pub(super) fn iter(&self) -> impl Iterator<Item = (u32, &Task)> {
        (0..).zip(&self.table).filter(|(_, task)| task.state != State::Vacant)
    }
}

impl std::ops::Index<u32> for Tasks {
    type Output = Task;
    #[inline]
    fn index(&self, slot: u32) -> &Task {
        &self.table[slot as usize]
    }
}

impl std::ops::IndexMut<u32> for Tasks {
    #[inline]
    fn index_mut(&mut self, slot: u32) -> &mut Task {
        &mut self.table[slot as usize]
    }
}

#[inline]
fn slot_of(id: TaskId) -> u32 {
    u32::try_from(id.slot()).expect("an id is made of two u32")
}

/// A doubly linked list of tasks through their own links.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct List {
    pub(super) head: u32,
    pub(super) tail: u32,
}

impl List {
    pub(super) const EMPTY: Self = Self { head: NONE, tail: NONE };

    pub(super) fn is_empty(self) -> bool {
        self.head == NONE
    }

    #[inline]
    pub(super) fn push_back(&mut self, tasks: &mut Tasks, slot: u32) {
        let task = &mut tasks[slot];
        task.prev = self.tail;
        task.next = NONE;
        match self.tail {
            NONE => self.head = slot,
            tail => tasks[tail].next = slot,
        }
        self.tail = slot;
    }

    pub(super) fn push_front(&mut self, tasks: &mut Tasks, slot: u32) {
        let task = &mut tasks[slot];
        task.prev = NONE;
        task.next = self.head;
        match self.head {
            NONE => self.tail = slot,
            head => tasks[head].prev = slot,
        }
        self.head = slot;
    }

    #[inline]
    pub(super) fn remove(&mut self, tasks: &mut Tasks, slot: u32) {
        let Task { prev, next, .. } = tasks[slot];
        if slot == self.head {
            // The common case leaves the new head alone, whose memory has not been used for long: the link back
            // of a head is never followed.
            self.head = next;
            if next == NONE {
                self.tail = NONE;
            }
            return;
        }
        tasks[prev].next = next;
        match next {
            NONE => self.tail = prev,
            next => tasks[next].prev = prev,
        }
    }

    /// From the head to the tail.
    pub(super) fn iter(self, tasks: &Tasks) -> impl Iterator<Item = u32> {
        successors(self.head, |slot| tasks[slot].next)
    }

    /// From the tail to the head.
    pub(super) fn iter_back(self, tasks: &Tasks) -> impl Iterator<Item = u32> {
        successors(self.tail, move |slot| if slot == self.head { NONE } else { tasks[slot].prev })
    }
}

/// Walks from `first` until [`NONE`].
pub(super) fn successors(first: u32, next: impl Fn(u32) -> u32) -> impl Iterator<Item = u32> {
    let some = |index: u32| (index != NONE).then_some(index);
    std::iter::successors(some(first), move |&index| some(next(index)))
}

/// Singly linked lists of numbers in one arena, without an allocation for each task. A link leads to a cell, or is itself
/// the last number of its list: most lists have one, and take no more than their head.
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

/// How a task ends when the parent `via` has ended without a value.
pub(super) const fn upstream(via: TaskId) -> End {
    End::Upstream { via }
}
