//! What is due at a time: the limits of waiting, pauses between attempts, the grace of
//! workers that are set aside. And what few tasks ask for that has to do with time.

use super::task::State;
use super::workers::Standing;
use super::{Actions, End, Patience, Retry, Scheduler, Turn};
use crate::id::{TaskId, TaskSlot, WorkerId};
use crate::outcome::error::Limit;
use rustc_hash::FxHashMap;
use std::collections::BTreeSet;

/// A pause grows to this at most, unless the first is longer, in nanoseconds.
pub const PAUSE_NS_MAX: u64 = 60_000_000_000;

/// Something that is due.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Due {
    /// A task has waited for its first attempt for as long as it may.
    Wait(TaskId),
    /// A task has paused.
    Pause(TaskId),
    /// A worker that is set aside is to be asked again for what it has not begun.
    Ask(WorkerId),
    /// An attempt that was given up has not returned within the grace.
    Stuck(WorkerId, TaskId),
}

/// What a task asks for that has to do with time, and how far it is with that.
#[derive(Clone, Copy, Debug)]
struct Timed {
    patience: Patience,
    /// When it has waited for its first attempt for as long as it may.
    wait_at: Option<u64>,
    /// That time has come while a worker had it, and may not have begun it.
    wait_is_over: bool,
    paused_until: Option<u64>,
}

/// All that is due, and the tasks that have to do with time.
#[derive(Debug, Default)]
pub(super) struct Agenda {
    due: BTreeSet<(u64, Due)>,
    of_task: FxHashMap<TaskSlot, Timed>,
    /// Tasks that pause until a time.
    pub(super) paused: usize,
}

impl Agenda {
    pub(super) fn add(&mut self, at_ns: u64, due: Due) {
        self.due.insert((at_ns, due));
    }

    pub(super) fn remove(&mut self, at_ns: u64, due: Due) {
        self.due.remove(&(at_ns, due));
    }

    /// When something is due next.
    pub(super) fn next_ns(&self) -> Option<u64> {
        self.due.first().map(|&(at_ns, _)| at_ns)
    }

    fn take_due(&mut self, now_ns: u64) -> Option<Due> {
        let &(at_ns, _) = self.due.first()?;
        if at_ns <= now_ns { self.due.pop_first().map(|(_, due)| due) } else { None }
    }

    fn patience(&self, slot: TaskSlot) -> Patience {
        self.of_task.get(&slot).map_or(Patience::DEFAULT, |timed| timed.patience)
    }

    /// The tasks that have to do with time.
    pub(super) fn tasks(&self) -> impl Iterator<Item = TaskSlot> + '_ {
        self.of_task.keys().copied()
    }

    /// What is known of a task, whose slot is from here on in this table.
    fn timed_mut(&mut self, slot: TaskSlot) -> &mut Timed {
        let new = Timed { patience: Patience::DEFAULT, wait_at: None, wait_is_over: false, paused_until: None };
        self.of_task.entry(slot).or_insert(new)
    }
}

impl Scheduler {
    /// Notes what a new task asks for that has to do with time.
    pub(super) fn note_patience(&mut self, slot: TaskSlot, patience: Patience) {
        self.tasks.cold_mut(slot).has_more = true;
        let wait_at = patience.wait_limit_ns.map(|limit_ns| self.now_ns.saturating_add(limit_ns));
        let timed = self.agenda.timed_mut(slot);
        (timed.patience, timed.wait_at) = (patience, wait_at);
        if let Some(at_ns) = wait_at {
            self.agenda.add(at_ns, Due::Wait(self.tasks.id(slot)));
        }
    }

    /// What follows for a task that was lost with its worker.
    pub(super) fn after_loss(&self, slot: TaskSlot) -> Retry {
        if self.agenda.patience(slot).retry_lost { Retry::Again } else { Retry::Never }
    }

    /// A task has had its first attempt: how long it waits for the next is not limited.
    pub(super) fn forget_wait(&mut self, slot: TaskSlot) {
        if let Some(timed) = self.agenda.of_task.get_mut(&slot) {
            timed.wait_is_over = false;
            if let Some(at_ns) = timed.wait_at.take() {
                self.agenda.remove(at_ns, Due::Wait(self.tasks.id(slot)));
            }
        }
    }

    /// Whether a task that comes back without having begun has waited for too long.
    pub(super) fn is_wait_over(&self, slot: TaskSlot) -> bool {
        self.tasks.cold(slot).has_more && self.agenda.of_task.get(&slot).is_some_and(|timed| timed.wait_is_over)
    }

    /// A task has ended, or its slot is another's: nothing is due for it.
    pub(super) fn forget_due(&mut self, slot: TaskSlot) {
        let Some(timed) = self.agenda.of_task.remove(&slot) else { return };
        let id = self.tasks.id(slot);
        if let Some(at_ns) = timed.wait_at {
            self.agenda.remove(at_ns, Due::Wait(id));
        }
        if let Some(at_ns) = timed.paused_until {
            self.agenda.remove(at_ns, Due::Pause(id));
            self.agenda.paused -= 1;
        }
    }

    /// How long a task pauses before its next attempt: twice as long as before the last.
    pub(super) fn backoff_ns(&self, slot: TaskSlot) -> u64 {
        let first_ns = self.agenda.patience(slot).backoff_ns;
        let doubled = self.tasks.cold(slot).failures.saturating_sub(1).min(40);
        first_ns.saturating_mul(1 << doubled).min(first_ns.max(PAUSE_NS_MAX))
    }

    /// A task that could start now does so after this time only.
    pub(super) fn pause(&mut self, slot: TaskSlot, pause_ns: u64) {
        self.tasks.cold_mut(slot).has_more = true;
        self.tasks[slot].state = State::Paused;
        let until_ns = self.now_ns.saturating_add(pause_ns);
        self.agenda.timed_mut(slot).paused_until = Some(until_ns);
        self.agenda.paused += 1;
        self.agenda.add(until_ns, Due::Pause(self.tasks.id(slot)));
    }

    /// Does all that is due by now.
    pub(super) fn do_due(&mut self, actions: &mut Actions) {
        let mut any = false;
        while let Some(due) = self.agenda.take_due(self.now_ns) {
            self.step();
            any = true;
            match due {
                Due::Wait(task) => self.waited_long(task, actions),
                Due::Pause(task) => self.has_paused(task, actions),
                Due::Ask(worker) if self.workers[worker].standing == Standing::Aside => {
                    self.take_back_all(worker, actions);
                }
                Due::Ask(_) => {}
                Due::Stuck(worker, task) => self.is_stuck_now(worker, task, actions),
            }
        }
        if any {
            self.settle(actions);
        }
    }

    /// Whether a paused task waits for a time.
    pub(super) fn is_in_pause(&self, slot: TaskSlot) -> bool {
        self.agenda.of_task.get(&slot).is_some_and(|timed| timed.paused_until.is_some())
    }

    /// For how long a task pauses from now on, if it waits for a time.
    pub(super) fn pause_left_ns(&self, slot: TaskSlot) -> Option<u64> {
        let until_ns = self.agenda.of_task.get(&slot)?.paused_until?;
        Some(until_ns.saturating_sub(self.now_ns))
    }

    fn has_paused(&mut self, task: TaskId, actions: &mut Actions) {
        let Some(slot) = self.tasks.find(task) else { return };
        self.agenda.timed_mut(slot).paused_until = None;
        self.agenda.paused -= 1;
        self.leave_pause(slot, actions);
    }

    /// A task that was paused may start.
    pub(super) fn leave_pause(&mut self, slot: TaskSlot, actions: &mut Actions) {
        self.tasks[slot].state = State::Blocked;
        self.enqueue(slot, Turn::First, actions);
    }

    /// A task that no worker has ends. Of one that a worker has ahead of what it runs
    /// that worker is asked: it may have begun.
    fn waited_long(&mut self, task: TaskId, actions: &mut Actions) {
        let Some(slot) = self.tasks.find(task) else { return };
        self.agenda.timed_mut(slot).wait_at = None;
        match self.tasks[slot].state {
            State::InFlight if self.has_begun(task) => {}
            State::InFlight => {
                let worker = self.tasks[slot].worker().expect("a task in flight is with a worker");
                self.agenda.timed_mut(slot).wait_is_over = true;
                if self.workers[worker].asked {
                    // One question at a time.
                    let again_ns = self.now_ns.saturating_add(self.settings.silent_ns);
                    self.agenda.timed_mut(slot).wait_at = Some(again_ns);
                    self.agenda.add(again_ns, Due::Wait(task));
                } else {
                    self.workers[worker].asked = true;
                    actions.take_back(worker, &[task]);
                }
            }
            State::Running | State::Vacant | State::Doomed | State::Done | State::Failed => {}
            state => {
                self.stop_waiting(slot, state);
                self.end(slot, End::LimitReached { limit: Limit::Wait }, actions);
            }
        }
    }
}
