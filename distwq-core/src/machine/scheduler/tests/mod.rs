//! Events in, actions compared: one rule a test, the graph drawn above it.

mod actions;
mod cancel;
mod choice;
mod ends;
mod groups;
mod limits;
mod lists;
mod load;
mod lost;
mod order;
mod place;
mod retry;
mod size;
mod take_back;
mod turns;
mod values;
mod why;

use super::actions::Whole;
use super::{Action, Actions, End, Event, GroupFailure, Made, Patience, Retry, Scheduler, Settings, Spec};
use crate::id::{TaskId, TaskSlot, WorkerId};

const W0: WorkerId = WorkerId::new(0);
const W1: WorkerId = WorkerId::new(1);
const W2: WorkerId = WorkerId::new(2);
const W3: WorkerId = WorkerId::new(3);

/// A long run: after one of these a worker gets one task ahead, as before any.
const LONG_NS: u64 = 10_000_000;

/// A scheduler that is fed by hand, and checked as a whole after every event but while
/// events are held.
struct Play {
    scheduler: Scheduler,
    held: bool,
    now_ns: u64,
    added: u32,
}

impl Play {
    /// With so many workers of one slot each.
    fn with_workers(count: u32) -> Self {
        Self::with_slots(Settings::default(), (0..count).map(|_| 1))
    }

    /// With workers of so many slots.
    fn with_slots(settings: Settings, slots: impl IntoIterator<Item = u32>) -> Self {
        let mut play = Self { scheduler: Scheduler::new(settings), held: false, now_ns: 0, added: 0 };
        for (slots, worker) in slots.into_iter().zip(0..) {
            assert_eq!(play.join(WorkerId::new(worker), slots), []);
        }
        play
    }

    fn feed(&mut self, event: Event<'_>) -> Vec<Whole> {
        let mut actions = Actions::default();
        assert!(self.scheduler.handle(self.now_ns, event, &mut actions), "{event:?} fits");
        self.held = matches!(event, Event::Hold) || (self.held && !matches!(event, Event::Resume));
        if !self.held {
            self.scheduler.validate();
        }
        actions.collect()
    }

    /// The event is refused and changes nothing.
    fn misfit(&mut self, event: Event<'_>) {
        let mut actions = Actions::default();
        assert!(!self.scheduler.handle(self.now_ns, event, &mut actions), "{event:?} does not fit");
        assert!(actions.is_empty(), "{actions:?}");
        self.scheduler.validate();
    }

    fn join(&mut self, worker: WorkerId, slots: u32) -> Vec<Whole> {
        self.feed(Event::Joined { worker, slots })
    }

    fn next_id(&mut self) -> TaskId {
        self.added += 1;
        TaskId::new(self.added - 1, self.added)
    }

    fn add(&mut self, spec: Spec<'_>) -> (TaskId, Vec<Whole>) {
        let task = self.next_id();
        (task, self.feed(Event::Added { task, spec: &spec }))
    }

    /// Adds a task that has to wait.
    fn add_waiting(&mut self, spec: Spec<'_>) -> TaskId {
        let (task, actions) = self.add(spec);
        assert_eq!(actions, []);
        task
    }

    /// Adds a task that starts at once.
    fn add_started(&mut self, spec: Spec<'_>, worker: WorkerId) -> TaskId {
        let (task, actions) = self.add(spec);
        assert_eq!(actions, [start(task, worker)]);
        task
    }

    /// Gives every worker two tasks, one to run and one ahead, so that nobody has room.
    fn fill(&mut self, workers: u32) -> Vec<TaskId> {
        (0..2 * workers).map(|_| self.add(Spec::PLAIN).0).collect()
    }

    /// The task has succeeded after a long run; its value is small and came along.
    fn finish(&mut self, task: TaskId, worker: WorkerId) -> Vec<Whole> {
        self.feed(Event::Finished { worker, task, made: Made { bytes: 8, resident: false }, ran_ns: LONG_NS })
    }

    /// The task has succeeded after a long run; its value stayed there.
    fn finish_resident(&mut self, task: TaskId, worker: WorkerId, bytes: u64) -> Vec<Whole> {
        self.feed(Event::Finished { worker, task, made: Made { bytes, resident: true }, ran_ns: LONG_NS })
    }

    /// The task has succeeded after it ran for so long; its value is empty and came
    /// along.
    fn finish_after(&mut self, ran_ns: u64, task: TaskId, worker: WorkerId) -> Vec<Whole> {
        self.feed(Event::Finished { worker, task, made: Made { bytes: 0, resident: false }, ran_ns })
    }

    /// The task that a worker has had in flight for longest.
    fn first_on(&self, worker: WorkerId) -> TaskId {
        self.scheduler.in_flight_tasks(worker).next().expect("it has one")
    }

    fn fail(&mut self, task: TaskId, worker: WorkerId) -> Vec<Whole> {
        self.feed(Event::Failed { worker, task, ran_ns: LONG_NS, retry: Retry::Again })
    }

    fn lose(&mut self, worker: WorkerId) -> Vec<Whole> {
        self.feed(Event::Lost { worker })
    }

    fn drop_handle(&mut self, task: TaskId) -> Vec<Whole> {
        self.feed(Event::Dropped { tasks: &[task] })
    }

    fn give_back(&mut self, worker: WorkerId, tasks: &[TaskId]) -> Vec<Whole> {
        self.feed(Event::Returned { worker, tasks })
    }

    fn pass(&mut self, ns: u64) -> Vec<Whole> {
        self.now_ns += ns;
        self.feed(Event::Tick)
    }
}

fn start(task: TaskId, worker: WorkerId) -> Whole {
    start_again(task, worker, 1)
}

fn start_again(task: TaskId, worker: WorkerId, attempt: u32) -> Whole {
    Action::Start { task, worker, attempt }
}

fn start_group(task: TaskId, workers: &[WorkerId]) -> Whole {
    Action::StartGroup { task, workers: workers.to_vec(), attempt: 1 }
}

fn take_back(worker: WorkerId, tasks: &[TaskId]) -> Whole {
    Action::TakeBack { worker, tasks: tasks.to_vec() }
}

fn ended(task: TaskId, end: End) -> Whole {
    Action::Ended { task, end }
}

fn done(task: TaskId) -> Whole {
    ended(task, End::Done)
}

fn release(task: TaskId, holders: &[WorkerId]) -> Whole {
    Action::Release { task, holders: holders.to_vec() }
}

fn wide(ranks: u32) -> Spec<'static> {
    Spec { ranks, collective: true, ..Spec::PLAIN }
}
