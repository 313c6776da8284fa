//! The full-state check: every fact that the state keeps twice must agree. For tests and
//! debugging.

use super::task::State;
use super::workers::Standing;
use super::{Queue, Scheduler};
use crate::id::{Index, TaskSlot, WorkerId};
use rustc_hash::{FxHashMap, FxHashSet};

impl Scheduler {
    /// Checks the whole state against itself. Looks at everything: never for a run at
    /// full speed.
    ///
    /// # Panics
    /// If the state contradicts itself, which is a fault of the scheduler.
    pub fn validate(&self) {
        assert!((self.to_serve.is_empty() && self.freed_while_held.is_empty()) || self.held);
        assert!(self.ending.is_empty() && self.unblocked.is_empty() && self.touched.is_empty() && !self.ran_dry);
        self.workers.validate();
        self.validate_links();
        self.validate_queues();
        self.validate_in_flight();
        self.validate_groups();
        self.validate_tasks();
    }

    /// Counts of links, by what they lead to.
    fn validate_links(&self) {
        let (mut blockers, mut needed) = (FxHashMap::<TaskSlot, u32>::default(), FxHashMap::<TaskSlot, u32>::default());
        let (mut links, mut copies) = (0, 0);
        for (slot, _) in self.tasks.iter() {
            for dependent in self.tasks.dependents(slot, &self.links) {
                *blockers.entry(dependent).or_default() += 1;
                assert!(matches!(self.tasks[dependent].state, State::Blocked | State::Failed), "a dependent waits");
            }
            for input in self.tasks.inputs(slot, &self.links) {
                *needed.entry(input).or_default() += 1;
            }
            // The newest takes no cell, nor does the last of those behind it.
            let ties = [self.tasks.dependents(slot, &self.links).count(), self.tasks.inputs(slot, &self.links).count()];
            links += ties.map(|count| count.saturating_sub(2)).iter().sum::<usize>();
            let cold = self.tasks.cold(slot);
            for list in [cold.copies, cold.doubtful] {
                links += list.iter(&self.links).count().saturating_sub(1);
            }
            for worker in cold.copies.iter(&self.links) {
                assert!(self.copies.contains(&(slot, worker)), "the copy of {slot:?} on {worker} is found");
                copies += 1;
            }
            self.tasks.validate_behind(slot);
        }
        for &(input, slot) in &self.taken_ends {
            let is_input = self.tasks.inputs(slot, &self.links).any(|other| other == input);
            assert!(self.tasks[slot].state.is_pending() && is_input, "{slot:?} takes the end of {input:?}");
        }
        assert_eq!(links, self.links.used(), "every cell is in a list");
        assert_eq!(copies, self.copies.len(), "every copy is in a list");
        self.held_inputs().for_each(|input| *needed.entry(input).or_default() += 1);
        for (slot, task) in self.tasks.iter() {
            assert_eq!(task.blockers(), blockers.get(&slot).copied().unwrap_or_default(), "blockers of {slot:?}");
            assert_eq!(task.needed(), needed.get(&slot).copied().unwrap_or_default(), "needs of {slot:?}");
        }
    }

    fn validate_queues(&self) {
        self.validate_turns();
        self.validate_queue(&self.retries, State::Retry);
        self.validate_queue(&self.wide, State::Wide);
        self.validate_queue(&self.too_wide, State::TooWide);
        let mut pinned = 0;
        for (worker, state) in self.workers.iter() {
            let queue = &self.pinned[worker.index()];
            self.validate_queue_of(queue, State::Pinned);
            assert_eq!(queue.len(), state.pinned as usize, "own queue of {worker}");
            assert!(
                queue.iter(&self.tasks).all(|(_, slot)| self.tasks.cold(slot).pinned_to() == Some(worker)),
                "queue of its worker"
            );
            assert!(queue.is_empty() || state.standing != Standing::Open || !state.has_room(), "work for {worker}");
            pinned += queue.len();
        }
        assert_eq!(pinned, self.count(State::Pinned), "pinned tasks");
        assert!(
            self.held || self.ready.is_empty() || !self.workers.any_open(),
            "no worker has room while tasks are ready"
        );
        assert!(!self.wide_is_due(), "a wide task that is due has reserved");
    }

    fn validate_turns(&self) {
        self.ready.validate(&self.tasks);
        self.ready.queues().for_each(|queue| self.validate_queue_of(queue, State::Ready));
        assert_eq!(self.ready.len(), self.count(State::Ready), "tasks that are ready");
        let mut pending = FxHashMap::<_, usize>::default();
        for (_, task) in self.tasks.iter().filter(|(_, task)| task.state.is_pending()) {
            *pending.entry(task.lane()).or_default() += 1;
        }
        assert_eq!(self.lanes.pending().collect::<FxHashMap<_, _>>(), pending, "pending tasks by lane");
    }

    fn validate_queue(&self, queue: &Queue, state: State) {
        self.validate_queue_of(queue, state);
        assert_eq!(queue.len(), self.count(state), "tasks that are {state:?}");
    }

    fn validate_queue_of(&self, queue: &Queue, state: State) {
        let keys: Vec<u64> = queue.iter(&self.tasks).map(|(key, _)| key).collect();
        assert!(keys.is_sorted_by(|a, b| a >= b), "keys in order");
        assert_eq!(keys.len(), queue.len(), "length of a queue");
        for (key, slot) in queue.iter(&self.tasks) {
            assert_eq!((self.tasks[slot].state, self.tasks.key(slot)), (state, key), "queued task {slot:?}");
        }
    }

    fn validate_in_flight(&self) {
        for (worker, state) in self.workers.iter() {
            let forth: Vec<TaskSlot> = state.tasks.iter(&self.tasks).collect();
            let mut back: Vec<TaskSlot> = state.tasks.iter_back(&self.tasks).collect();
            back.reverse();
            assert_eq!(forth, back, "links of what is in flight on {worker}");
            assert_eq!(forth.len(), state.in_flight as usize, "in flight on {worker}");
            for slot in forth {
                let (task, pin) = (&self.tasks[slot], self.tasks.cold(slot).pinned_to());
                assert_eq!((task.state, task.worker()), (State::InFlight, Some(worker)), "task {slot:?} in flight");
                assert!(pin.is_none_or(|pin| pin == worker), "task {slot:?} is where it has to be");
            }
        }
        assert_eq!(self.workers.in_flight, self.count(State::InFlight), "tasks in flight");
    }

    fn validate_groups(&self) {
        let (mut grouped, mut members) = (0, FxHashSet::<WorkerId>::default());
        for (&slot, group) in &self.groups {
            assert_eq!(self.tasks[slot].state, State::Running, "task of a group");
            let living = group.iter().filter(|member| self.workers.is_living(**member));
            for &member in living.clone() {
                let state = &self.workers[member];
                let all = (state.standing, state.busy_at, state.in_flight);
                assert_eq!(all, (Standing::Grouped, None, 0), "member {member} of a group");
                assert!(members.insert(member), "{member} is in one group");
            }
            grouped += living.count();
        }
        assert_eq!(self.groups.len(), self.count(State::Running), "running collective tasks");
        let standing = |standing| self.workers.iter().filter(|(_, state)| state.standing == standing).count();
        assert_eq!(grouped, standing(Standing::Grouped), "grouped workers");
        let (mut reserved, mut reserving) = (0, 0);
        if let Some(reservation) = &self.reservation {
            (reserved, reserving) = (reservation.empty.len() + reservation.busy.len(), 1);
            assert!(reserved <= self.tasks.cold(reservation.task).ranks as usize, "no more reserved than needed");
            assert!(reservation.empty.iter().all(|&worker| self.workers[worker].in_flight == 0));
            for (at, &worker) in reservation.busy.iter().enumerate() {
                let state = &self.workers[worker];
                assert!(state.in_flight > 0 && state.busy_at.map(Index::get) == Some(at), "busy reserved {worker}");
            }
        }
        assert_eq!(reserved, standing(Standing::Reserved), "reserved workers");
        assert_eq!(reserving, self.count(State::Reserving), "tasks that hold a reservation");
    }

    fn validate_tasks(&self) {
        let mut pending = 0;
        for (slot, task) in self.tasks.iter() {
            pending += usize::from(task.state.is_pending());
            assert_ne!(task.state, State::Doomed, "no end is left open, {slot:?}");
            assert_eq!(
                task.state == State::Blocked,
                task.state.is_pending() && task.blockers() > 0,
                "state of {slot:?}"
            );
            let cold = self.tasks.cold(slot);
            assert!(cold.failures <= cold.retries, "attempts of {slot:?}");
            let kept = task.state.is_pending() || task.has_handle() || task.needed() > 0 || task.blockers() > 0;
            assert!(kept, "task {slot:?} has been released");
        }
        assert_eq!(pending, self.pending, "pending tasks");
        let mut known = self.tried.keys().chain(self.refused.keys()).copied().chain(self.agenda.tasks());
        assert!(known.all(|slot| self.tasks[slot].state.is_pending()), "attempts are forgotten at the end");
    }

    fn count(&self, state: State) -> usize {
        self.tasks.iter().filter(|(_, task)| task.state == state).count()
    }
}
