//! What keeps each task that has not ended. For people who ask: it looks at all tasks.

use super::Scheduler;
use super::task::State;
use super::workers::Standing;
use crate::id::{TaskId, TaskSlot, WorkerId};
use rustc_hash::FxHashMap;

/// What keeps a task that has not ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Why {
    /// Other tasks have to end first.
    Tasks {
        /// One of them.
        first: TaskId,
        /// How many there are.
        count: u32,
    },
    /// No worker has room.
    Room {
        /// How many have no slot left beside attempts that have reached a limit.
        aside: u32,
    },
    /// The only worker that it may run on has others to run.
    Worker(WorkerId),
    /// The only worker that it may run on has no slot left beside attempts that have
    /// reached a limit, or has one of this task itself.
    Aside(WorkerId),
    /// It pauses before its next attempt.
    Pause {
        /// For so many nanoseconds from now on.
        left_ns: u64,
    },
    /// It has failed so often, and wants a worker that has not tried it.
    Retry {
        /// How often.
        failures: u32,
    },
    /// It needs several workers at once.
    Workers {
        /// How many.
        wanted: u32,
        /// How many have nothing to run.
        free: u32,
    },
    /// A worker was given it, behind others.
    With {
        /// Which worker.
        worker: WorkerId,
        /// How many others it was given before.
        before: u32,
    },
    /// A group was given it.
    Group,
}

/// Tasks that wait for the same kind of thing.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Waiters {
    /// How many there are.
    pub count: usize,
    /// Some of them, those that were added first, in that order.
    pub first: Vec<(TaskId, Why)>,
}

/// Those that wait with no worker, by what for.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct AllWaiters {
    /// For several workers at once.
    pub workers: Waiters,
    /// For one certain worker.
    pub worker: Waiters,
    /// For one that has not tried them.
    pub retry: Waiters,
    /// For a worker with room.
    pub room: Waiters,
    /// For a time.
    pub pause: Waiters,
    /// For other tasks.
    pub tasks: Waiters,
    /// How many others have not ended: workers or groups were given them.
    pub given: usize,
}

impl Scheduler {
    /// What keeps a task; nothing of one that has ended.
    #[must_use]
    pub fn why(&self, task: TaskId) -> Option<Why> {
        let slot = self.tasks.find(task)?;
        match self.tasks[slot].state {
            State::Blocked => self.why_blocked(&[slot]).pop(),
            _ => self.why_not_blocked(slot),
        }
    }

    /// All that have not ended, with up to `shown` of each kind.
    #[must_use]
    pub fn all_waiters(&self, shown: usize) -> AllWaiters {
        let mut all = AllWaiters::default();
        let (mut lists, mut blocked) = (<[Vec<TaskSlot>; 5]>::default(), Vec::new());
        for (slot, task) in self.tasks.iter().filter(|(_, task)| task.state.is_pending()) {
            let (waiters, list) = match task.state {
                State::Wide | State::TooWide | State::Reserving => (&mut all.workers, &mut lists[0]),
                State::Pinned => (&mut all.worker, &mut lists[1]),
                State::Retry => (&mut all.retry, &mut lists[2]),
                State::Ready => (&mut all.room, &mut lists[3]),
                State::Paused if self.is_in_pause(slot) => (&mut all.pause, &mut lists[4]),
                State::Paused => (&mut all.worker, &mut lists[1]),
                State::Blocked => (&mut all.tasks, &mut blocked),
                _ => {
                    all.given += 1;
                    continue;
                }
            };
            waiters.count += 1;
            self.keep_first(list, slot, shown);
        }
        let kinds = [&mut all.workers, &mut all.worker, &mut all.retry, &mut all.room, &mut all.pause];
        for (waiters, list) in kinds.into_iter().zip(lists) {
            let why = |slot: &TaskSlot| Some((self.tasks.id(*slot), self.why_not_blocked(*slot)?));
            waiters.first = list.iter().filter_map(why).collect();
        }
        let why = self.why_blocked(&blocked);
        all.tasks.first = blocked.iter().map(|slot| self.tasks.id(*slot)).zip(why).collect();
        all
    }

    /// Keeps a task if it is one of those that were added first.
    fn keep_first(&self, list: &mut Vec<TaskSlot>, slot: TaskSlot, shown: usize) {
        let serial = |slot: TaskSlot| self.tasks.id(slot).serial();
        let at = list.partition_point(|other| serial(*other) < serial(slot));
        if at < shown {
            list.truncate(shown - 1);
            list.insert(at, slot);
        }
    }

    fn why_not_blocked(&self, slot: TaskSlot) -> Option<Why> {
        let (task, cold) = (&self.tasks[slot], self.tasks.cold(slot));
        Some(match task.state {
            State::Ready => Why::Room { aside: self.aside.full().count() as u32 },
            State::Retry => Why::Retry { failures: cold.failures },
            State::Pinned => {
                let worker = cold.pinned_to()?;
                let is_aside = self.workers[worker].standing == Standing::Aside;
                if is_aside { Why::Aside(worker) } else { Why::Worker(worker) }
            }
            State::Paused => match self.pause_left_ns(slot) {
                Some(left_ns) => Why::Pause { left_ns },
                None => Why::Aside(cold.pinned_to()?),
            },
            State::Wide | State::TooWide | State::Reserving => {
                Why::Workers { wanted: cold.ranks, free: self.workers_without_work() }
            }
            State::InFlight => {
                let worker = task.worker()?;
                let before = self.workers[worker].tasks.iter(&self.tasks).take_while(|other| *other != slot);
                Why::With { worker, before: before.count() as u32 }
            }
            State::Running => Why::Group,
            State::Vacant | State::Blocked | State::Doomed | State::Done | State::Failed => return None,
        })
    }

    fn workers_without_work(&self) -> u32 {
        let is_free = |state: &super::workers::Worker| {
            state.in_flight == 0 && matches!(state.standing, Standing::Open | Standing::Reserved)
        };
        self.workers.iter().filter(|(_, state)| is_free(state)).count() as u32
    }

    /// What keeps these tasks, all of which wait for others. Those whose outputs they
    /// take are known; others are found by looking at what hangs on each task.
    fn why_blocked(&self, blocked: &[TaskSlot]) -> Vec<Why> {
        let is_pending = |slot: &TaskSlot| self.tasks[*slot].state.is_pending();
        let serial = |slot: &TaskSlot| self.tasks.id(*slot).serial();
        let by_input = |slot: TaskSlot| self.tasks.inputs(slot, &self.links).filter(is_pending).min_by_key(serial);
        let mut first: FxHashMap<TaskSlot, Option<TaskSlot>> =
            blocked.iter().map(|slot| (*slot, by_input(*slot))).collect();
        let mut unknown = first.values().filter(|found| found.is_none()).count();
        for (slot, _) in self.tasks.iter().filter(|(_, task)| task.state.is_pending()) {
            if unknown == 0 {
                break;
            }
            for dependent in self.tasks.dependents(slot, &self.links) {
                if let Some(found @ None) = first.get_mut(&dependent) {
                    *found = Some(slot);
                    unknown -= 1;
                }
            }
        }
        let why = |slot: &TaskSlot| {
            let first = first[slot].map_or(self.tasks.id(*slot), |first| self.tasks.id(first));
            Why::Tasks { first, count: self.tasks[*slot].blockers() }
        };
        blocked.iter().map(why).collect()
    }
}
