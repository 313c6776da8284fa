//! How many events per second does the pure scheduler take, by the number of workers?
//!
//! No messages, no threads, no MPI: a crowd of workers that exists in this program only.
//! A random worker finishes the first task it has, and for each task that ends one is
//! added and the handle of an older one dropped. Of three tasks one stands alone, one
//! takes the value of an earlier task and one takes two. So a task's life is three events
//! (added, dropped, finished) and three actions (start, ended, release); counted are the
//! events.
//!
//! The reference is the figure of ten workers in the same run: the cost of an event must
//! not grow with their number.

#![allow(clippy::print_stdout, reason = "the figures are what this program is for")]

use distwq_core::scheduler::{Action, Actions, End, Event, Made, Scheduler, Settings, Spec};
use distwq_core::{TaskId, TaskSlot, WorkerId};
use std::collections::VecDeque;
use std::time::Instant;

/// Numbers of workers; the first is the reference.
const SIZES: [u32; 4] = [10, 100, 1_000, 10_000];

/// Tasks that are pending all the time, whatever the number of workers: so that the sizes
/// differ in nothing else, and the memory of the tasks is no more in the caches with few
/// workers than with many.
const PENDING: u32 = 100_000;

/// Tasks of one measurement.
const TASKS: usize = 500_000;

/// Measurements of each size, in turn; the median counts.
const ROUNDS: usize = 5;

/// Duration told of every task: two of them are kept ahead at each worker.
const RAN_NS: u64 = 1_000_000;

/// Tasks between the addition of one and the loss of its handle.
const HELD: usize = 64;

/// What a worker has in flight, in order: a ring that is one cache line, so that the
/// crowd costs little beside the scheduler.
#[derive(Clone)]
#[repr(align(64))]
struct Ring {
    tasks: [TaskId; Self::TASKS],
    first: u32,
    count: u32,
}

impl Ring {
    /// Room for the task that runs and the two ahead.
    const TASKS: usize = 4;

    fn push(&mut self, task: TaskId) {
        assert!((self.count as usize) < Self::TASKS, "a worker is given three tasks at most");
        self.tasks[(self.first + self.count) as usize % Self::TASKS] = task;
        self.count += 1;
    }

    fn pop(&mut self) -> Option<TaskId> {
        self.count = self.count.checked_sub(1)?;
        let task = self.tasks[self.first as usize % Self::TASKS];
        self.first += 1;
        Some(task)
    }
}

/// The scheduler and its workers.
struct Crowd {
    scheduler: Scheduler,
    actions: Actions,
    in_flight: Vec<Ring>,
    /// Workers asked to give tasks back.
    asked: Vec<WorkerId>,
    /// Tasks with a handle, oldest first.
    held: VecDeque<TaskId>,
    free_slots: Vec<TaskSlot>,
    added: u32,
    now_ns: u64,
    events: u64,
    random: u64,
}

impl Crowd {
    fn new(workers: u32) -> Self {
        let mut crowd = Self {
            scheduler: Scheduler::new(Settings::default()),
            actions: Actions::default(),
            in_flight: vec![Ring { tasks: [TaskId::new(0, 0); Ring::TASKS], first: 0, count: 0 }; workers as usize],
            asked: Vec::new(),
            held: VecDeque::new(),
            free_slots: Vec::new(),
            added: 0,
            now_ns: 0,
            events: 0,
            random: 0x9E37_79B9_7F4A_7C15,
        };
        for worker in 0..workers {
            crowd.tell(Event::Joined { worker: WorkerId::new(worker), slots: 1 });
        }
        crowd
    }

    /// Takes one event, and the answers to what it leads to.
    fn tell(&mut self, event: Event<'_>) {
        self.handle(event);
        while let Some(worker) = self.asked.pop() {
            // It has begun them all: the crowd is busy as a whole, nothing is gained by
            // moving.
            self.handle(Event::Returned { worker, tasks: &[] });
        }
    }

    fn handle(&mut self, event: Event<'_>) {
        self.events += 1;
        self.now_ns += 100;
        assert!(self.scheduler.handle(self.now_ns, event, &mut self.actions), "{event:?} fits");
        while let Some(action) = self.actions.take_next() {
            match *action {
                Action::Start { task, worker, .. } => self.in_flight[worker.index()].push(task),
                Action::Release { task, .. } => self.free_slots.extend(task.slot()),
                Action::Ended { end: End::Done, .. } => {}
                Action::TakeBack { worker, .. } => self.asked.push(worker),
                other => panic!("{other:?} is not expected here"),
            }
        }
    }

    /// Adds one task, and drops the handle of an older one.
    fn add(&mut self) {
        let slot = self.free_slots.pop().unwrap_or_else(|| TaskSlot::new(self.added));
        self.added += 1;
        let task = slot.task(self.added);
        let recent = [self.held.front(), self.held.back()].map(|id| id.copied().unwrap_or(task));
        let inputs = if self.held.len() < HELD { &[] } else { &recent[..self.added as usize % 3] };
        self.tell(Event::Added { task, spec: &Spec { inputs, ..Spec::PLAIN } });
        self.held.push_back(task);
        if self.held.len() > HELD
            && let Some(task) = self.held.pop_front()
        {
            self.tell(Event::Dropped { tasks: &[task] });
        }
    }

    /// A random worker finishes its first task.
    fn finish(&mut self) {
        loop {
            self.random ^= self.random << 13;
            self.random ^= self.random >> 7;
            self.random ^= self.random << 17;
            let worker = (self.random % self.in_flight.len() as u64) as usize;
            if let Some(task) = self.in_flight[worker].pop() {
                let (worker, made) = (WorkerId::new(worker as u32), Made { bytes: 8, resident: false });
                return self.tell(Event::Finished { worker, task, made, ran_ns: RAN_NS });
            }
        }
    }
}

/// Events per second with so many workers, all of which have run tasks before the clock
/// starts.
fn events_per_second(workers: u32) -> f64 {
    let mut crowd = Crowd::new(workers);
    for _ in 0..PENDING {
        crowd.add();
    }
    for _ in 0..PENDING {
        crowd.finish();
        crowd.add();
    }
    let (start, events) = (Instant::now(), crowd.events);
    for _ in 0..TASKS {
        crowd.finish();
        crowd.add();
    }
    (crowd.events - events) as f64 / start.elapsed().as_secs_f64()
}

fn main() {
    let mut rates = [const { Vec::new() }; SIZES.len()];
    for _ in 0..ROUNDS {
        for (rates, workers) in rates.iter_mut().zip(SIZES) {
            rates.push(events_per_second(workers));
        }
    }
    let medians = rates.map(|mut rates| {
        rates.sort_by(f64::total_cmp);
        rates[ROUNDS / 2]
    });
    let reference = medians[0];
    for (rate, workers) in medians.into_iter().zip(SIZES) {
        let ratio = rate / reference;
        println!("figure scheduler_{workers} {rate:.0} events/s reference {reference:.0} ratio {ratio:.3}");
    }
}
