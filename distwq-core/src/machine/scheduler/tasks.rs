//! The table of tasks, indexed by slot.
//!
//! A scheduler waits for memory more than for anything else: with many workers, a task,
//! its inputs and its dependents have left the caches by the time it ends. So a [`Task`]
//! is half a cache line, and what few tasks have lies apart, in the cold part ([`Cold`]).

use super::lanes::Lane;
use super::links::{Chain, ITEMS_MAX, Links, Stack};
use super::task::{State, Task, order_key};
use super::{Made, Spec};
use crate::id::{Indexed, TaskId, TaskSlot, WorkerId};
use crate::memory::buffers;
use crate::memory::prefetch;

/// What few tasks have.
#[derive(Debug)]
pub(super) struct Cold {
    key: u64,
    pub(super) pin: Pin,
    /// The workers that hold a copy besides the one where it ran.
    pub(super) copies: Stack<WorkerId>,
    /// Workers that may hold a copy, and are not counted on.
    pub(super) doubtful: Stack<WorkerId>,
    pub(super) ranks: u32,
    pub(super) retries: u32,
    /// Attempts that have failed.
    pub(super) failures: u32,
    /// The task was cancelled while it was with a worker or a group: the attempt there is
    /// its last.
    pub(super) is_cancelled: bool,
    /// The scheduler has more of it in its tables: who has tried or refused it, what it
    /// asks for that has to do with time.
    pub(super) has_more: bool,
}

/// Whether a task may run on one worker only.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Pin {
    /// On any.
    Anywhere,
    /// On the one where this task, which has not ended, will have run.
    Follows(TaskSlot),
    /// On this one.
    On(WorkerId),
}

impl Cold {
    const NOTHING: Self = Self {
        key: 0,
        pin: Pin::Anywhere,
        copies: Stack::EMPTY,
        doubtful: Stack::EMPTY,
        ranks: 1,
        retries: 0,
        failures: 0,
        is_cancelled: false,
        has_more: false,
    };

    /// The only worker that it may run on, once that is known.
    #[inline]
    pub(super) fn pinned_to(&self) -> Option<WorkerId> {
        match self.pin {
            Pin::On(worker) => Some(worker),
            Pin::Anywhere | Pin::Follows(_) => None,
        }
    }

    /// No worker holds a copy of the value, or may hold one.
    #[inline]
    pub(super) fn has_no_copies(&self) -> bool {
        self.copies.is_empty() && self.doubtful.is_empty()
    }

    /// The attempt that runs or comes next, counted from 1.
    #[inline]
    pub(super) fn attempt(&self) -> u32 {
        self.failures.saturating_add(1)
    }
}

/// What does not fit into a task of its lists: the tasks behind the newest.
#[derive(Clone, Copy, Debug)]
struct Behind {
    inputs: Stack<TaskSlot>,
    dependents: Stack<TaskSlot>,
}

impl Behind {
    const NOTHING: Self = Self { inputs: Stack::EMPTY, dependents: Stack::EMPTY };
}

/// The tasks that one was tied to when it ended.
pub(super) struct Ties {
    /// Whose outputs it took.
    pub(super) inputs: Chain<TaskSlot>,
    /// Who waits for it.
    pub(super) dependents: Chain<TaskSlot>,
}

impl Ties {
    const NONE: Self = Self { inputs: Chain::EMPTY, dependents: Chain::EMPTY };
}

/// The tasks by slot.
#[derive(Debug, Default)]
pub(super) struct Tasks {
    table: Vec<Task>,
    /// By slot as well; nothing of a task that has ended. It lies apart, so that it can
    /// be looked at together with the task and not after it.
    behind: Vec<Behind>,
    /// By slot as well, in pages that are made when the first of their tasks needs one.
    cold: Vec<Option<Box<ColdPage>>>,
}

/// Tasks whose [`Cold`] is made room for at once.
const PAGE: usize = 256;

type ColdPage = [Cold; PAGE];

/// The page of a slot, and the index in it.
#[inline]
const fn in_pages(slot: TaskSlot) -> (usize, usize) {
    (slot.index() / PAGE, slot.index() % PAGE)
}

impl Tasks {
    /// Puts a new task into its slot, blocked until something is done with it.
    ///
    /// # Panics
    /// If the slot is taken: the caller uses a slot again only after its release.
    #[inline]
    pub(super) fn add(&mut self, id: TaskId, lane: Lane, spec: &Spec<'_>) -> TaskSlot {
        let slot = self.insert(id, Task::new(id.serial(), lane, spec.collective || spec.ranks > 1));
        let is_plain = spec.priority == 0 && spec.ranks <= 1 && spec.retries == 0;
        if !is_plain || !self[slot].keep_level(spec.level) {
            let cold = self.cold_mut(slot);
            (cold.key, cold.ranks, cold.retries) =
                (order_key(spec.priority, spec.level), spec.ranks.max(1), spec.retries);
            cold.failures = spec.failed.map_or(0, |failed| failed.times.min(spec.retries));
        }
        slot
    }

    /// Puts a value into its slot that exists without having been made by a task.
    ///
    /// # Panics
    /// Like [`Tasks::add`].
    pub(super) fn add_value(&mut self, id: TaskId, bytes: u64) {
        let slot = self.insert(id, Task::new(id.serial(), Lane::ALONE, false));
        self[slot].become_value(None, Made { bytes, resident: false });
    }

    #[inline]
    fn insert(&mut self, id: TaskId, task: Task) -> TaskSlot {
        let slot = id.slot().filter(|slot| slot.index() < ITEMS_MAX);
        let slot = slot.expect("fewer than 2^31 tasks are pending or held");
        let index = slot.index();
        if let Some(more) = (index + 1).checked_sub(self.table.len()) {
            buffers::reserve(&mut self.table, more);
            self.table.resize_with(index + 1, || Task::VACANT);
            buffers::reserve(&mut self.behind, more);
            self.behind.resize(index + 1, Behind::NOTHING);
            self.cold.resize_with(self.table.len().div_ceil(PAGE), || None);
        }
        let entry = &mut self.table[index];
        assert_eq!(entry.state, State::Vacant, "slot of {id} is taken by #{}", entry.serial);
        *entry = task;
        slot
    }

    /// Makes room for tasks in slots that were never used.
    pub(super) fn reserve(&mut self, tasks: usize) {
        buffers::reserve(&mut self.table, tasks);
        buffers::reserve(&mut self.behind, tasks);
    }

    /// Notes that the output of `input` is an argument of a pending task.
    #[inline]
    pub(super) fn add_input(&mut self, slot: TaskSlot, input: TaskSlot, links: &mut Links) {
        if let Some(newest) = self[slot].replace_newest_input(input) {
            self.behind[slot.index()].inputs.push(links, newest);
        }
    }

    /// Notes that `dependent` waits for a pending task.
    #[inline]
    pub(super) fn add_dependent(&mut self, slot: TaskSlot, dependent: TaskSlot, links: &mut Links) {
        if let Some(newest) = self[slot].replace_newest_dependent(dependent) {
            self.behind[slot.index()].dependents.push(links, newest);
        }
    }

    /// The tasks whose outputs are arguments, newest first; none once the task has ended.
    pub(super) fn inputs<'a>(&self, slot: TaskSlot, links: &'a Links) -> impl Iterator<Item = TaskSlot> + use<'a> {
        self.ties(slot).inputs.iter(links)
    }

    /// The tasks that wait for one, newest first; none once it has ended.
    pub(super) fn dependents<'a>(&self, slot: TaskSlot, links: &'a Links) -> impl Iterator<Item = TaskSlot> + use<'a> {
        self.ties(slot).dependents.iter(links)
    }

    fn ties(&self, slot: TaskSlot) -> Ties {
        let (task, behind) = (&self[slot], self.behind[slot.index()]);
        if task.state == State::Done {
            return Ties::NONE;
        }
        Ties {
            inputs: Chain { newest: task.newest_input(), behind: behind.inputs },
            dependents: Chain { newest: task.newest_dependent(), behind: behind.dependents },
        }
    }

    /// Turns a pending task into a value made by `worker`, without its ties.
    #[inline]
    pub(super) fn become_value(&mut self, slot: TaskSlot, worker: WorkerId, made: Made) -> Ties {
        let ties = self.take_ties(slot);
        self[slot].become_value(Some(worker), made);
        ties
    }

    /// Turns a pending task into one that has ended without a value, without its ties.
    pub(super) fn become_failure(&mut self, slot: TaskSlot) -> Ties {
        let ties = self.take_ties(slot);
        self[slot].become_failure();
        ties
    }

    #[inline]
    fn take_ties(&mut self, slot: TaskSlot) -> Ties {
        let ties = self.ties(slot);
        if !ties.inputs.behind.is_empty() || !ties.dependents.behind.is_empty() {
            self.behind[slot.index()] = Behind::NOTHING;
        }
        ties
    }

    /// Has the memory of the tasks fetched that a pending one is tied to, which are about
    /// to be looked at: of two inputs and two dependents at most, as most tasks have.
    #[inline]
    pub(super) fn prefetch_ties(&self, slot: TaskSlot) {
        let Ties { inputs, dependents } = self.ties(slot);
        for tied in [inputs.newest, dependents.newest, inputs.behind.only(), dependents.behind.only()] {
            self.prefetch(tied);
        }
    }

    /// The slot of a task that is still known.
    #[inline]
    pub(super) fn find(&self, id: TaskId) -> Option<TaskSlot> {
        let slot = id.slot()?;
        let task = self.table.get(slot.index())?;
        (task.serial == id.serial() && task.state != State::Vacant).then_some(slot)
    }

    /// Has the memory of a task fetched, which is about to be looked at.
    #[inline(always)]
    pub(super) fn prefetch(&self, slot: Option<TaskSlot>) {
        // Without a branch: none is packed as 0, and becomes an index past the table.
        prefetch::element(&self.table, TaskSlot::pack(slot).wrapping_sub(1) as usize);
    }

    #[inline]
    pub(super) fn id(&self, slot: TaskSlot) -> TaskId {
        slot.task(self[slot].serial)
    }

    /// Checks that nothing is left of the lists of a task that has ended.
    pub(super) fn validate_behind(&self, slot: TaskSlot) {
        let (task, behind) = (&self[slot], &self.behind[slot.index()]);
        let nothing = behind.inputs.is_empty() && behind.dependents.is_empty();
        assert!(task.state.is_pending() || nothing, "lists of ended {slot:?}");
        let newest =
            task.state != State::Failed || (task.newest_input().is_none() && task.newest_dependent().is_none());
        assert!(newest, "lists of failed {slot:?}");
    }

    /// The order of a pending task among those that are ready: the greater goes first.
    #[inline]
    pub(super) fn key(&self, slot: TaskSlot) -> u64 {
        let task = &self[slot];
        debug_assert!(task.state.is_pending(), "an ended task has no order");
        task.key().unwrap_or_else(|| self.cold(slot).key)
    }

    /// What few tasks have: a look at it costs nothing for all the others.
    #[inline]
    pub(super) fn cold(&self, slot: TaskSlot) -> &Cold {
        if self[slot].key().is_some() {
            return &Cold::NOTHING;
        }
        let (page, index) = in_pages(slot);
        &self.cold[page].as_ref().expect("a cold task has a page")[index]
    }

    /// From here on it is one of the few.
    pub(super) fn cold_mut(&mut self, slot: TaskSlot) -> &mut Cold {
        let task = &mut self.table[slot.index()];
        let (page, index) = in_pages(slot);
        let page = self.cold[page].get_or_insert_with(|| Box::new([const { Cold::NOTHING }; PAGE]));
        let cold = &mut page[index];
        if let Some(key) = task.key() {
            *cold = Cold { key, ..Cold::NOTHING };
            task.give_away_key();
        }
        cold
    }

    /// All slots in use.
    pub(super) fn iter(&self) -> impl Iterator<Item = (TaskSlot, &Task)> {
        (0..).map(TaskSlot::new).zip(&self.table).filter(|(_, task)| task.state != State::Vacant)
    }
}

impl std::ops::Index<TaskSlot> for Tasks {
    type Output = Task;
    #[inline]
    fn index(&self, slot: TaskSlot) -> &Task {
        &self.table[slot.index()]
    }
}

impl std::ops::IndexMut<TaskSlot> for Tasks {
    #[inline]
    fn index_mut(&mut self, slot: TaskSlot) -> &mut Task {
        &mut self.table[slot.index()]
    }
}
