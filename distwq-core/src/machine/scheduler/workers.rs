//! The workers: what each has in flight, how much more it may get, and who has room, by
//! load.
//!
//! Every worker that may get single-rank tasks is in the list of one bucket, with workers
//! of like load; two bit sets say which buckets have members. So the least and the most
//! loaded are found without a look at the others, however many there are.

use super::Settings;
use super::lists::List;
use super::task::WORKERS_MAX;
use super::tasks::Tasks;
use crate::id::{Index, TaskSlot, WorkerId};

/// Buckets of load: 0 is idle, 1 to 7 some slots free, from [`BUSY`] on all slots taken
/// and more and more queued.
const BUCKETS: u32 = 48;

/// So many tasks queued for each slot have a bucket each; above, [`COARSE`] of them share
/// one.
const FINE: u32 = 8;

/// How far a worker is ahead matters less the farther it is, and a worker that keeps its
/// bucket costs nothing.
const COARSE: u32 = 8;

/// The first bucket of workers without a free slot.
const BUSY: u32 = 8;

/// Bucket of a worker that is in no list.
const UNLISTED: u8 = u8::MAX;

/// What a worker may be used for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Standing {
    /// Has not joined.
    Unknown,
    /// Takes single-rank tasks; in a list of its load.
    Open,
    /// Kept free for the first wide task, gets nothing new.
    Reserved,
    /// Runs a collective task.
    Grouped,
    /// Has no slot left beside attempts that were given up, gets nothing new.
    Aside,
    /// Gone for good.
    Lost,
}

/// One worker: one cache line.
#[derive(Debug)]
#[repr(align(64))]
pub(super) struct Worker {
    /// Tasks in flight, in the order in which they were started: the first `slots` count
    /// as begun.
    pub(super) tasks: List<TaskSlot>,
    pub(super) in_flight: u32,
    pub(super) slots: u32,
    /// Tasks that it may have in flight.
    pub(super) capacity: u32,
    /// Tasks in its own queue.
    pub(super) pinned: u32,
    /// Moving average of the measured durations, 0 while unknown.
    pub(super) mean_ns: u64,
    /// When it last reported, or got work while it had none.
    pub(super) reported_ns: u64,
    /// Links of the list of its load.
    prev: Option<WorkerId>,
    next: Option<WorkerId>,
    /// Its index among the busy reserved workers, if it is one.
    pub(super) busy_at: Option<Index>,
    bucket: u8,
    full: bool,
    pub(super) standing: Standing,
    /// A take-back has not been answered.
    pub(super) asked: bool,
    /// Not to be asked for tasks before.
    pub(super) ask_from_ns: u64,
}

impl Worker {
    const UNKNOWN: Self = Self {
        tasks: List::EMPTY,
        in_flight: 0,
        slots: 0,
        capacity: 0,
        prev: None,
        next: None,
        bucket: UNLISTED,
        full: false,
        standing: Standing::Unknown,
        asked: false,
        pinned: 0,
        busy_at: None,
        mean_ns: 0,
        reported_ns: 0,
        ask_from_ns: 0,
    };

    pub(super) fn has_room(&self) -> bool {
        self.in_flight < self.capacity
    }

    pub(super) fn is_living(&self) -> bool {
        !matches!(self.standing, Standing::Unknown | Standing::Lost)
    }

    /// Tasks in flight that cannot have begun.
    pub(super) fn queued(&self) -> u32 {
        self.in_flight.saturating_sub(self.slots)
    }

    /// How long a task given to it now would wait for a slot, as far as can be known.
    pub(super) fn wait_ns(&self, unknown_ns: u64) -> u64 {
        if self.in_flight < self.slots {
            return 0;
        }
        let mean_ns = if self.mean_ns == 0 { unknown_ns } else { self.mean_ns };
        u64::from(self.queued() + 1).saturating_mul(mean_ns) / u64::from(self.slots)
    }

    /// Takes in one measured duration and sets the capacity by it.
    #[inline]
    pub(super) fn learn(&mut self, ran_ns: u64, settings: &Settings) {
        let ran_ns = ran_ns.max(1);
        let mean_ns = self.mean_ns;
        // Down faster than up: too little prefetch costs a round trip for each task, too
        // much is taken back.
        self.mean_ns = match () {
            () if mean_ns == 0 => ran_ns,
            () if ran_ns < mean_ns => mean_ns - (mean_ns - ran_ns).div_ceil(2),
            () => mean_ns + (ran_ns - mean_ns) / 4,
        };
        self.set_capacity(settings);
    }

    /// It has so many slots from here on.
    pub(super) fn resize(&mut self, slots: u32, settings: &Settings) {
        self.slots = slots;
        match self.mean_ns {
            0 => self.capacity = slots.saturating_add(1),
            _ => self.set_capacity(settings),
        }
    }

    #[inline]
    fn set_capacity(&mut self, settings: &Settings) {
        let most = u64::from(settings.prefetch_tasks_max).max(1);
        // The division is the dearest step of a report, and without it for tiny tasks the
        // answer is the same.
        let per_slot = if self.mean_ns.saturating_mul(most) <= settings.prefetch_ns {
            most
        } else {
            settings.prefetch_ns / self.mean_ns
        };
        let prefetch = u32::try_from(per_slot * u64::from(self.slots)).unwrap_or(u32::MAX);
        self.capacity = self.slots.saturating_add(prefetch.max(1));
    }

    #[inline]
    fn bucket_now(&self) -> u32 {
        let queued = match (self.in_flight, self.slots) {
            (0, _) => return 0,
            (in_flight, 1) => in_flight - 1,
            (in_flight, slots) if in_flight < slots => {
                return 1 + u32::try_from(u64::from(in_flight) * 7 / u64::from(slots)).expect("less than 7");
            }
            (in_flight, slots) => (in_flight - slots) / slots,
        };
        let bucket = queued.min(FINE) + queued.saturating_sub(FINE) / COARSE;
        (BUSY + bucket).min(BUCKETS - 1)
    }
}

/// The workers by index.
#[derive(Debug)]
pub(super) struct Workers {
    table: Vec<Worker>,
    /// Input bytes that each holds of the task being placed; 0 in between.
    pub(super) scores: Vec<u64>,
    /// Lists of workers with room, by bucket.
    open: Loads,
    /// Lists of workers without.
    full: Loads,
    /// Workers that have joined and were not lost.
    pub(super) living: u32,
    /// Workers that were lost.
    pub(super) lost: u32,
    /// Tasks in flight on all workers, collective ones not counted.
    pub(super) in_flight: usize,
}

/// Lists of workers by load, one for each bucket.
#[derive(Debug)]
struct Loads {
    /// The buckets whose lists have members.
    present: u128,
    lists: [List<WorkerId>; BUCKETS as usize],
}

impl Loads {
    const EMPTY: Self = Self { present: 0, lists: [List::EMPTY; BUCKETS as usize] };
}

impl Default for Workers {
    fn default() -> Self {
        Self {
            table: Vec::new(),
            scores: Vec::new(),
            open: Loads::EMPTY,
            full: Loads::EMPTY,
            living: 0,
            lost: 0,
            in_flight: 0,
        }
    }
}

impl std::ops::Index<WorkerId> for Workers {
    type Output = Worker;
    #[inline]
    fn index(&self, worker: WorkerId) -> &Worker {
        &self.table[worker.index()]
    }
}

impl std::ops::IndexMut<WorkerId> for Workers {
    #[inline]
    fn index_mut(&mut self, worker: WorkerId) -> &mut Worker {
        &mut self.table[worker.index()]
    }
}

impl Workers {
    /// Takes in a new worker; false if it is known already.
    pub(super) fn join(&mut self, worker: WorkerId, slots: u32) -> bool {
        let index = worker.index();
        assert!(index < WORKERS_MAX, "fewer than 2^24 workers have joined");
        if index >= self.table.len() {
            self.table.resize_with(index + 1, || Worker::UNKNOWN);
            self.scores.resize(index + 1, 0);
        }
        let state = &mut self.table[index];
        if state.standing != Standing::Unknown {
            return false;
        }
        let slots = slots.max(1);
        // One task ahead until a duration is known: enough to hide a round trip, too
        // little to hoard.
        let capacity = slots.saturating_add(1);
        *state = Worker { slots, capacity, standing: Standing::Open, ..Worker::UNKNOWN };
        self.living += 1;
        true
    }

    /// Takes a living worker out for good; what it has in flight stays noted.
    pub(super) fn lose(&mut self, worker: WorkerId) {
        let state = &mut self[worker];
        state.standing = Standing::Lost;
        state.asked = false;
        self.relist(worker);
        self.living -= 1;
        self.lost += 1;
    }

    pub(super) fn get(&self, worker: WorkerId) -> Option<&Worker> {
        self.table.get(worker.index())
    }

    pub(super) fn is_living(&self, worker: WorkerId) -> bool {
        self.get(worker).is_some_and(Worker::is_living)
    }

    /// All up to the last that has joined, lost ones and gaps included.
    pub(super) fn ids(&self) -> impl Iterator<Item = WorkerId> + use<> {
        (0..self.table.len() as u32).map(WorkerId::new)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (WorkerId, &Worker)> {
        self.ids().zip(&self.table)
    }

    /// Some worker has room.
    #[inline]
    pub(super) fn any_open(&self) -> bool {
        self.open.present != 0
    }

    /// Some worker has a free slot.
    pub(super) fn any_free_slot(&self) -> bool {
        self.open.present & ((1 << BUSY) - 1) != 0
    }

    /// The least loaded worker with room; of several idle ones the one that became so
    /// last.
    pub(super) fn least_loaded(&self) -> Option<WorkerId> {
        let bucket = self.open.present.trailing_zeros();
        if bucket < BUCKETS { self.open.lists[bucket as usize].head } else { None }
    }

    /// Workers with room, the least loaded first.
    pub(super) fn by_load(&self) -> impl Iterator<Item = WorkerId> {
        buckets(self.open.present).flat_map(|bucket| self.walk(self.open.lists[bucket as usize].head))
    }

    /// All workers that take single-rank tasks, those with room or not, in the order in
    /// which they should become free; of like load the one that has not changed for
    /// longest.
    pub(super) fn soonest_free(&self) -> impl Iterator<Item = WorkerId> {
        buckets(self.open.present | self.full.present).flat_map(|bucket| {
            let lists = [self.open.lists[bucket as usize], self.full.lists[bucket as usize]];
            lists.into_iter().flat_map(|list| self.walk(list.head))
        })
    }

    /// Workers without a free slot, the most loaded first.
    pub(super) fn most_loaded(&self) -> impl Iterator<Item = WorkerId> {
        let mut left = (self.open.present | self.full.present) >> BUSY << BUSY;
        let buckets = std::iter::from_fn(move || {
            let bucket = 127_u32.checked_sub(left.leading_zeros())?;
            left &= !(1 << bucket);
            Some(bucket)
        });
        buckets.flat_map(|bucket| {
            let lists = [self.full.lists[bucket as usize], self.open.lists[bucket as usize]];
            lists.into_iter().flat_map(|list| self.walk(list.head))
        })
    }

    /// Adds a task to those in flight on a worker; [`Workers::relist`] has to follow.
    #[inline]
    pub(super) fn push(&mut self, tasks: &mut Tasks, worker: WorkerId, slot: TaskSlot, now_ns: u64) {
        self.in_flight += 1;
        let state = &mut self[worker];
        if state.in_flight == 0 {
            state.reported_ns = now_ns;
        }
        state.in_flight += 1;
        state.tasks.push_back(tasks, slot);
        tasks[slot].set_worker(Some(worker));
    }

    /// Takes a task off those in flight on its worker; [`Workers::relist`] has to follow.
    #[inline]
    pub(super) fn remove(&mut self, tasks: &mut Tasks, worker: WorkerId, slot: TaskSlot) {
        debug_assert_eq!(tasks[slot].worker(), Some(worker), "it is in flight there");
        self.in_flight -= 1;
        let state = &mut self[worker];
        // What comes next is linked to it.
        tasks.prefetch(state.tasks.tail);
        state.in_flight -= 1;
        state.tasks.remove(tasks, slot);
    }

    /// Puts a worker into the list where it belongs now. A worker whose bucket is as
    /// before stays where it is in its list.
    #[inline]
    pub(super) fn relist(&mut self, worker: WorkerId) {
        let state = &self[worker];
        let (bucket, full) = match state.standing {
            Standing::Open => (state.bucket_now() as u8, !state.has_room()),
            _ => (UNLISTED, false),
        };
        if (bucket, full) == (state.bucket, state.full) {
            return;
        }
        self.unlist(worker);
        if bucket != UNLISTED {
            self.list(worker, bucket, full);
        }
    }

    /// Idle workers go to the head: the last to become idle still spins. Busy ones go to
    /// the tail: the first to get so much work is the first to be through.
    fn list(&mut self, worker: WorkerId, bucket: u8, full: bool) {
        let loads = if full { &mut self.full } else { &mut self.open };
        let list = &mut loads.lists[bucket as usize];
        loads.present |= 1 << bucket;
        let (prev, next) =
            if bucket == 0 { (None, list.head.replace(worker)) } else { (list.tail.replace(worker), None) };
        match next {
            None => list.tail = Some(worker),
            Some(next) => self.table[next.index()].prev = Some(worker),
        }
        match prev {
            None => list.head = Some(worker),
            Some(prev) => self.table[prev.index()].next = Some(worker),
        }
        let state = &mut self[worker];
        (state.prev, state.next, state.bucket, state.full) = (prev, next, bucket, full);
    }

    fn unlist(&mut self, worker: WorkerId) {
        let &Worker { prev, next, bucket, full, .. } = &self[worker];
        if bucket == UNLISTED {
            return;
        }
        let loads = if full { &mut self.full } else { &mut self.open };
        let list = &mut loads.lists[bucket as usize];
        match prev {
            None => list.head = next,
            Some(prev) => self.table[prev.index()].next = next,
        }
        match next {
            None => list.tail = prev,
            Some(next) => self.table[next.index()].prev = prev,
        }
        if list.is_empty() {
            loads.present &= !(1 << bucket);
        }
        self[worker].bucket = UNLISTED;
    }

    fn walk(&self, head: Option<WorkerId>) -> impl Iterator<Item = WorkerId> {
        std::iter::successors(head, |&worker| self[worker].next)
    }

    fn walk_back(&self, tail: Option<WorkerId>) -> impl Iterator<Item = WorkerId> {
        std::iter::successors(tail, |&worker| self[worker].prev)
    }

    /// Checks the lists against the workers.
    pub(super) fn validate(&self) {
        let mut listed = 0;
        for (full, loads) in [(false, &self.open), (true, &self.full)] {
            for bucket in 0..BUCKETS {
                let list = loads.lists[bucket as usize];
                assert_eq!(loads.present >> bucket & 1 == 1, !list.is_empty(), "bit of bucket {bucket}");
                let forth: Vec<WorkerId> = self.walk(list.head).collect();
                let mut back: Vec<WorkerId> = self.walk_back(list.tail).collect();
                back.reverse();
                assert_eq!(forth, back, "links of bucket {bucket}");
                listed += forth.len();
                for worker in forth {
                    let state = &self[worker];
                    assert_eq!(state.standing, Standing::Open, "standing of listed {worker}");
                    assert_eq!((state.bucket_now(), !state.has_room()), (bucket, full), "list of {worker}");
                }
            }
        }
        let open = self.table.iter().filter(|worker| worker.standing == Standing::Open).count();
        assert_eq!(listed, open, "every open worker is in a list");
        assert_eq!(self.table.iter().filter(|worker| worker.is_living()).count(), self.living as usize);
        assert_eq!(self.table.iter().map(|worker| worker.in_flight as usize).sum::<usize>(), self.in_flight);
        assert!(self.scores.iter().all(|&score| score == 0), "scores are kept during one placement only");
    }
}

/// The set bits from the lowest on.
fn buckets(mut present: u128) -> impl Iterator<Item = u32> {
    std::iter::from_fn(move || {
        let bucket = present.trailing_zeros();
        present &= present.wrapping_sub(1);
        (bucket < BUCKETS).then_some(bucket)
    })
}
