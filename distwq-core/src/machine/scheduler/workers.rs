//! The workers: what each has in flight, how much more it may get, and who has room, by load.
//!
//! Every worker that may get single-rank tasks is in one list of workers of like load; two bit sets say which lists
//! have members. So the least and the most loaded are found without a look at the others, however many there are.

use super::Settings;
use super::links::NONE;
use super::links::successors;
use super::lists::List;
use super::tasks::{Tasks, WORKERS_MAX};

/// Degrees of load: 0 is idle, 1 to 7 some slots free, from [`BUSY`] on all slots taken and more and more queued.
const DEGREES: u32 = 48;

/// So many tasks queued for each slot have a degree each; above, [`COARSE`] of them share one.
const FINE: u32 = 8;

/// How far a worker is ahead matters less the farther it is, and a worker that keeps its degree costs nothing.
const COARSE: u32 = 8;

/// The first degree of a worker without a free slot.
const BUSY: u32 = 8;

/// Degree of a worker that is in no list.
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
    /// Gone for good.
    Lost,
}

/// One worker: one cache line.
#[derive(Debug)]
#[repr(align(64))]
pub(super) struct Worker {
    /// Tasks in flight, in the order in which they were started: the first `slots` count as begun.
    pub(super) tasks: List,
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
    prev: u32,
    next: u32,
    /// Its place among the busy reserved workers, or the collective task that it runs.
    pub(super) place: u32,
    degree: u8,
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
        prev: NONE,
        next: NONE,
        degree: UNLISTED,
        full: false,
        standing: Standing::Unknown,
        asked: false,
        pinned: 0,
        place: NONE,
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
        // Down faster than up: too little prefetch costs a round trip for each task, too much is taken back.
        self.mean_ns = match () {
            () if mean_ns == 0 => ran_ns,
            () if ran_ns < mean_ns => mean_ns - (mean_ns - ran_ns).div_ceil(2),
            () => mean_ns + (ran_ns - mean_ns) / 4,
        };
        let most = u64::from(settings.prefetch_tasks_max).max(1);
        // The division is the dearest step of a report, and without it for tiny tasks the answer is the same.
        let per_slot = if self.mean_ns.saturating_mul(most) <= settings.prefetch_ns {
            most
        } else {
            settings.prefetch_ns / self.mean_ns
        };
        let prefetch = u32::try_from(per_slot * u64::from(self.slots)).unwrap_or(u32::MAX);
        self.capacity = self.slots.saturating_add(prefetch.max(1));
    }

    #[inline]
    fn degree_now(&self) -> u32 {
        let queued = match (self.in_flight, self.slots) {
            (0, _) => return 0,
            (in_flight, 1) => in_flight - 1,
            (in_flight, slots) if in_flight < slots => {
                return 1 + u32::try_from(u64::from(in_flight) * 7 / u64::from(slots)).expect("less than 7");
            }
            (in_flight, slots) => (in_flight - slots) / slots,
        };
        let degree = if queued < FINE { queued } else { FINE + (queued - FINE) / COARSE };
        (BUSY + degree).min(DEGREES - 1)
    }
}

/// The workers by index.
#[derive(Debug)]
pub(super) struct Workers {
    table: Vec<Worker>,
    /// Input bytes that each holds of the task being placed; 0 in between.
    pub(super) scores: Vec<u64>,
    /// Lists of workers with room, by degree.
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

/// Lists of workers by degree of load.
#[derive(Debug)]
struct Loads {
    /// The degrees whose lists have members.
    present: u128,
    lists: [List; DEGREES as usize],
}

impl Loads {
    const EMPTY: Self = Self { present: 0, lists: [List::EMPTY; DEGREES as usize] };
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

impl std::ops::Index<u32> for Workers {
    type Output = Worker;
    #[inline]
    fn index(&self, worker: u32) -> &Worker {
        &self.table[worker as usize]
    }
}

impl std::ops::IndexMut<u32> for Workers {
    #[inline]
    fn index_mut(&mut self, worker: u32) -> &mut Worker {
        &mut self.table[worker as usize]
    }
}

impl Workers {
    /// Takes in a new worker; false if it is known already.
    pub(super) fn join(&mut self, worker: u32, slots: u32, now_ns: u64) -> bool {
        assert!(worker < WORKERS_MAX, "fewer than 2^24 workers have joined");
        let index = worker as usize;
        if index >= self.table.len() {
            self.table.resize_with(index + 1, || Worker::UNKNOWN);
            self.scores.resize(index + 1, 0);
        }
        let place = &mut self.table[index];
        if place.standing != Standing::Unknown {
            return false;
        }
        let slots = slots.max(1);
        // One task ahead until a duration is known: enough to hide a round trip, too little to hoard.
        let capacity = slots.saturating_add(1);
        *place = Worker { slots, capacity, standing: Standing::Open, reported_ns: now_ns, ..Worker::UNKNOWN };
        self.living += 1;
        true
    }

    /// Takes a living worker out for good; what it has in flight stays noted.
    pub(super) fn lose(&mut self, worker: u32) {
        let place = &mut self[worker];
        place.standing = Standing::Lost;
        place.asked = false;
        self.relist(worker);
        self.living -= 1;
        self.lost += 1;
    }

    pub(super) fn get(&self, worker: u32) -> Option<&Worker> {
        self.table.get(worker as usize)
    }

    pub(super) fn is_living(&self, worker: u32) -> bool {
        self.get(worker).is_some_and(Worker::is_living)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (u32, &Worker)> {
        (0..).zip(&self.table)
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

    /// The least loaded worker with room; of several idle ones the one that became so last.
    pub(super) fn least_loaded(&self) -> Option<u32> {
        let degree = self.open.present.trailing_zeros();
        (degree < DEGREES).then(|| self.open.lists[degree as usize].head)
    }

    /// Workers with room, the least loaded first.
    pub(super) fn by_load(&self) -> impl Iterator<Item = u32> {
        degrees(self.open.present).flat_map(|degree| self.walk(self.open.lists[degree as usize].head))
    }

    /// All workers that take single-rank tasks, those with room or not, in the order in which they should become
    /// free; of like load the one that has not changed for longest.
    pub(super) fn soonest_free(&self) -> impl Iterator<Item = u32> {
        degrees(self.open.present | self.full.present).flat_map(|degree| {
            let lists = [self.open.lists[degree as usize], self.full.lists[degree as usize]];
            lists.into_iter().flat_map(|list| self.walk(list.head))
        })
    }

    /// Workers without a free slot, the most loaded first.
    pub(super) fn most_loaded(&self) -> impl Iterator<Item = u32> {
        let mut left = (self.open.present | self.full.present) >> BUSY << BUSY;
        let degrees = std::iter::from_fn(move || {
            let degree = 127_u32.checked_sub(left.leading_zeros())?;
            left &= !(1 << degree);
            Some(degree)
        });
        degrees.flat_map(|degree| {
            let lists = [self.full.lists[degree as usize], self.open.lists[degree as usize]];
            lists.into_iter().flat_map(|list| self.walk(list.head))
        })
    }

    /// Adds a task to those in flight on a worker; [`Workers::relist`] has to follow.
    #[inline]
    pub(super) fn push(&mut self, tasks: &mut Tasks, worker: u32, slot: u32, now_ns: u64) {
        self.in_flight += 1;
        let place = &mut self[worker];
        if place.in_flight == 0 {
            place.reported_ns = now_ns;
        }
        place.in_flight += 1;
        place.tasks.push_back(tasks, slot);
        tasks[slot].set_worker(worker);
    }

    /// Takes a task off those in flight on its worker; [`Workers::relist`] has to follow.
    #[inline]
    pub(super) fn remove(&mut self, tasks: &mut Tasks, worker: u32, slot: u32) {
        debug_assert_eq!(tasks[slot].worker(), worker, "it is in flight there");
        self.in_flight -= 1;
        let place = &mut self[worker];
        // What comes next is linked to it.
        tasks.prefetch(place.tasks.tail);
        place.in_flight -= 1;
        place.tasks.remove(tasks, slot);
    }

    /// Puts a worker into the list where it belongs now. A worker whose degree is as before keeps its place.
    #[inline]
    pub(super) fn relist(&mut self, worker: u32) {
        let place = &self[worker];
        let (degree, full) = match place.standing {
            Standing::Open => (place.degree_now() as u8, !place.has_room()),
            _ => (UNLISTED, false),
        };
        if (degree, full) == (place.degree, place.full) {
            return;
        }
        self.unlist(worker);
        if degree != UNLISTED {
            self.list(worker, degree, full);
        }
    }

    /// Idle workers go to the head: the last to become idle still spins. Busy ones go to the tail: the first to get
    /// so much work is the first to be through.
    fn list(&mut self, worker: u32, degree: u8, full: bool) {
        let loads = if full { &mut self.full } else { &mut self.open };
        let list = &mut loads.lists[degree as usize];
        loads.present |= 1 << degree;
        let (prev, next) = if degree == 0 {
            (NONE, std::mem::replace(&mut list.head, worker))
        } else {
            (std::mem::replace(&mut list.tail, worker), NONE)
        };
        if next == NONE {
            list.tail = worker;
        } else {
            self.table[next as usize].prev = worker;
        }
        if prev == NONE {
            list.head = worker;
        } else {
            self.table[prev as usize].next = worker;
        }
        let place = &mut self[worker];
        (place.prev, place.next, place.degree, place.full) = (prev, next, degree, full);
    }

    fn unlist(&mut self, worker: u32) {
        let &Worker { prev, next, degree, full, .. } = &self[worker];
        if degree == UNLISTED {
            return;
        }
        if prev != NONE {
            self[prev].next = next;
        }
        if next != NONE {
            self[next].prev = prev;
        }
        let loads = if full { &mut self.full } else { &mut self.open };
        let list = &mut loads.lists[degree as usize];
        if prev == NONE {
            list.head = next;
        }
        if next == NONE {
            list.tail = prev;
        }
        if list.is_empty() {
            loads.present &= !(1 << degree);
        }
        self[worker].degree = UNLISTED;
    }

    fn walk(&self, head: u32) -> impl Iterator<Item = u32> {
        successors(head, |worker| self[worker].next)
    }

    fn walk_back(&self, tail: u32) -> impl Iterator<Item = u32> {
        successors(tail, |worker| self[worker].prev)
    }

    /// Checks the lists against the workers.
    pub(super) fn validate(&self) {
        let mut listed = 0;
        for (full, loads) in [(false, &self.open), (true, &self.full)] {
            for degree in 0..DEGREES {
                let list = loads.lists[degree as usize];
                assert_eq!(loads.present >> degree & 1 == 1, !list.is_empty(), "bit of degree {degree}");
                let forth: Vec<u32> = self.walk(list.head).collect();
                let mut back: Vec<u32> = self.walk_back(list.tail).collect();
                back.reverse();
                assert_eq!(forth, back, "links of degree {degree}");
                listed += forth.len();
                for worker in forth {
                    let place = &self[worker];
                    assert_eq!(place.standing, Standing::Open, "standing of listed worker {worker}");
                    assert_eq!((place.degree_now(), !place.has_room()), (degree, full), "list of worker {worker}");
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
fn degrees(mut present: u128) -> impl Iterator<Item = u32> {
    std::iter::from_fn(move || {
        let degree = present.trailing_zeros();
        present &= present.wrapping_sub(1);
        (degree < DEGREES).then_some(degree)
    })
}
