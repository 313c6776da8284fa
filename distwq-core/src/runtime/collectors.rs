//! The ends of tasks that are taken one by one, until somebody takes them.

use crate::id::CollectorId;
use crate::machine::controller::{Awaited, WatchedEnd};
use crate::machine::{Happened, Ns};
use crate::outcome::info::TaskState;
use parking_lot::{Mutex, MutexGuard};
use rustc_hash::FxHashMap;
use std::collections::VecDeque;
use std::sync::{Arc, Weak};
use std::time::Duration;

/// Tasks that are collected together, by their indices, and how far each is. Each is
/// taken once, by whichever thread comes first. A `K` of each is kept until somebody lets
/// go of it.
///
/// One lock holds all of it, because it is taken several times for each task. It is taken
/// under the engine's, not the other way round, so nothing that is kept is dropped under
/// it: that may be users' code.
#[derive(Debug)]
pub(crate) struct Ends<K> {
    state: Mutex<State<K>>,
}

#[derive(Debug)]
struct State<K> {
    tasks: Vec<Standing<K>>,
    /// Those that have ended, in that order; some may have been taken out of order.
    ended: VecDeque<u32>,
    /// None before this one is left to be taken.
    first: usize,
    /// What is added is not given to anybody any more.
    is_closed: bool,
    counts: Counts,
    times: Times,
}

/// One who is told of the ends of tasks. It must not use the engine: it is told under its
/// lock.
pub(crate) trait Collects: Send + Sync {
    /// These tasks, which it watches, have ended, in this order.
    fn ended(&self, ends: &[WatchedEnd]);
}

/// The ends that have come, in their order, for one who knows the tasks himself.
#[derive(Default, Debug)]
pub(crate) struct Arrivals {
    ends: Mutex<VecDeque<WatchedEnd>>,
}

impl Arrivals {
    /// Moves all that have come behind those of `into`.
    pub(crate) fn take(&self, into: &mut VecDeque<WatchedEnd>) {
        into.append(&mut self.ends.lock());
    }
}

impl Collects for Arrivals {
    fn ended(&self, ends: &[WatchedEnd]) {
        self.ends.lock().extend(ends);
    }
}

/// How far one task is.
#[derive(Debug)]
struct Standing<K> {
    /// Until somebody lets go of it.
    kept: Option<K>,
    has_ended: bool,
    is_taken: bool,
    /// It is among those that have ended.
    is_listed: bool,
}

/// How many tasks are how far.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub(crate) struct Counts {
    pub(crate) tasks: usize,
    /// With a value or without one.
    pub(crate) ended: usize,
    /// Without one, and not cancelled.
    pub(crate) failed: usize,
    pub(crate) cancelled: usize,
    /// Those whose results were given to somebody.
    pub(crate) delivered: usize,
}

/// The times of those that have ended.
#[derive(Clone, Copy, Default, Debug)]
struct Times {
    first_submitted_ns: Option<Ns>,
    last_finished_ns: Ns,
    ran_ns: Ns,
}

/// Memory for more tasks is taken when they come: who says how many come may be wrong.
const RESERVED_MAX: usize = 1 << 20;

/// One that was taken because it has ended.
pub(crate) struct Taken<K> {
    pub(crate) index: u32,
    pub(crate) kept: K,
    /// All are delivered by now.
    pub(crate) is_last: bool,
}

impl<K> Default for Ends<K> {
    fn default() -> Self {
        let (tasks, ended, first, counts, times, is_closed) = Default::default();
        Self { state: Mutex::new(State { tasks, ended, first, counts, times, is_closed }) }
    }
}

impl<K> Ends<K> {
    /// So many more tasks come, more or less.
    pub(crate) fn reserve(&self, tasks: usize) {
        self.state.lock().tasks.reserve(tasks.min(RESERVED_MAX));
    }

    /// One more task, of which this is kept. Gives its index.
    pub(crate) fn add(&self, kept: K) -> u32 {
        let adding = self.adding();
        let index = adding.index();
        adding.add(kept);
        index
    }

    /// One more task may come. Nobody else sees anything of all this until it has.
    #[inline]
    pub(crate) fn adding(&self) -> Adding<'_, K> {
        Adding { state: self.state.lock() }
    }

    /// What is added from here on counts, and is not taken by anybody.
    pub(crate) fn close(&self) {
        self.state.lock().is_closed = true;
    }

    /// A task was never run: it has ended without a value.
    pub(crate) fn never_ran(&self, index: u32) {
        self.state.lock().ended(index, TaskState::Failed);
    }

    /// Takes the one that has ended first of those that were not taken. `is_delivered`:
    /// for good, else it may be [given back](Self::give_back) and has to be
    /// [delivered](Self::deliver).
    #[inline]
    pub(crate) fn take_next(&self, is_delivered: bool) -> Option<Taken<K>> {
        let mut state = self.state.lock();
        loop {
            let index = state.ended.pop_front()?;
            state.tasks[index as usize].is_listed = false;
            if state.take(index) {
                let kept = state.tasks[index as usize].kept.take().expect("it was not taken");
                let is_last = is_delivered && state.deliver();
                return Some(Taken { index, kept, is_last });
            }
        }
    }

    /// Lets go of what is kept of a task.
    pub(crate) fn let_go(&self, index: u32) -> Option<K> {
        self.state.lock().tasks[index as usize].kept.take()
    }

    /// Lets go of what is kept of all tasks.
    pub(crate) fn let_go_all(&self) -> Vec<K> {
        self.state.lock().tasks.iter_mut().filter_map(|task| task.kept.take()).collect()
    }

    /// What is made of what is kept of a task.
    pub(crate) fn with_kept<R>(&self, index: usize, make: impl FnOnce(&K) -> R) -> Option<R> {
        self.state.lock().tasks.get(index)?.kept.as_ref().map(make)
    }

    /// Of what is kept of all tasks what `choose` makes of it.
    pub(crate) fn choose<R>(&self, choose: impl FnMut(&K) -> Option<R>) -> Vec<R> {
        self.state.lock().tasks.iter().filter_map(|task| task.kept.as_ref()).filter_map(choose).collect()
    }

    /// Takes the first by its index that was not taken, whether it has ended or not.
    pub(crate) fn take_first(&self) -> Option<u32> {
        let mut state = self.state.lock();
        while state.tasks.get(state.first).is_some_and(|task| task.is_taken) {
            state.first += 1;
        }
        let index = u32::try_from(state.first).ok()?;
        state.take(index).then_some(index)
    }

    /// One that was taken has not been delivered to anybody. What is given of it is kept
    /// again.
    pub(crate) fn give_back(&self, index: u32, kept: Option<K>) {
        let mut state = self.state.lock();
        let task = &mut state.tasks[index as usize];
        if kept.is_some() {
            task.kept = kept;
        }
        task.is_taken = false;
        // Who was passed over meanwhile has lost its place.
        if task.has_ended && !std::mem::replace(&mut task.is_listed, true) {
            state.ended.push_front(index);
        }
        state.first = state.first.min(index as usize);
    }

    /// The result of one that was taken was delivered. Says whether all were.
    pub(crate) fn deliver(&self) -> bool {
        self.state.lock().deliver()
    }

    pub(crate) fn counts(&self) -> Counts {
        self.state.lock().counts
    }

    /// Whether all were delivered: one that was only taken may be given back.
    pub(crate) fn are_delivered(&self) -> bool {
        let counts = self.counts();
        counts.delivered == counts.tasks
    }

    pub(crate) fn has_ended(&self, index: u32) -> bool {
        self.state.lock().tasks.get(index as usize).is_some_and(|task| task.has_ended)
    }

    /// The indices of those that have ended, in rising order.
    pub(crate) fn which_ended(&self) -> Vec<usize> {
        let state = self.state.lock();
        let ended = state.tasks.iter().enumerate().filter(|(_, task)| task.has_ended);
        ended.map(|(index, _)| index).collect()
    }

    /// From the first that was submitted to the last that has ended, and how long all
    /// have run in sum. Nothing while one has not ended.
    pub(crate) fn times(&self) -> Option<(Duration, Duration)> {
        let State { counts, times, .. } = &*self.state.lock();
        let first = times.first_submitted_ns.unwrap_or(times.last_finished_ns);
        let wall_ns = times.last_finished_ns.saturating_sub(first);
        (counts.ended == counts.tasks).then(|| (Duration::from_nanos(wall_ns), Duration::from_nanos(times.ran_ns)))
    }
}

/// A task that is about to be there.
pub(crate) struct Adding<'a, K> {
    state: MutexGuard<'a, State<K>>,
}

impl<K> Adding<'_, K> {
    /// The index that it will have.
    #[inline]
    pub(crate) fn index(&self) -> u32 {
        u32::try_from(self.state.tasks.len()).expect("fewer than 2^32 tasks are collected together")
    }

    /// It is there, and this is kept of it.
    #[inline]
    pub(crate) fn add(mut self, kept: K) {
        let state = &mut *self.state;
        let is_taken = state.is_closed;
        state.tasks.push(Standing { kept: Some(kept), has_ended: false, is_taken, is_listed: false });
        state.counts.tasks += 1;
        state.counts.delivered += usize::from(is_taken);
    }
}

impl<K: Send> Collects for Ends<K> {
    fn ended(&self, ends: &[WatchedEnd]) {
        let mut state = self.state.lock();
        for end in ends {
            state.ended(end.watch.index, end.state);
            let times = &mut state.times;
            let submitted = times.first_submitted_ns.map_or(end.submitted_ns, |first| first.min(end.submitted_ns));
            times.first_submitted_ns = Some(submitted);
            times.last_finished_ns = times.last_finished_ns.max(end.finished_ns);
            if end.started_ns > 0 {
                times.ran_ns += end.finished_ns.saturating_sub(end.started_ns);
            }
        }
    }
}

impl<K> State<K> {
    fn ended(&mut self, index: u32, as_what: TaskState) {
        let task = &mut self.tasks[index as usize];
        debug_assert!(!task.has_ended, "a task ends once");
        (task.has_ended, task.is_listed) = (true, true);
        // Also one that was taken, which may be given back.
        self.ended.push_back(index);
        self.counts.ended += 1;
        match as_what {
            TaskState::Done => {}
            TaskState::Cancelled => self.counts.cancelled += 1,
            _ => self.counts.failed += 1,
        }
    }

    /// One more was delivered. Says whether all were.
    fn deliver(&mut self) -> bool {
        self.counts.delivered += 1;
        self.counts.delivered == self.counts.tasks
    }

    /// Takes a task, unless it was taken.
    fn take(&mut self, index: u32) -> bool {
        let Some(task) = self.tasks.get_mut(index as usize) else { return false };
        !std::mem::replace(&mut task.is_taken, true)
    }
}

/// All who collect tasks.
#[derive(Default)]
pub(crate) struct Collectors {
    ends: FxHashMap<CollectorId, Weak<dyn Collects>>,
    begun: u64,
    /// When there are so many, those that are gone are looked for.
    looked_through_at: usize,
}

impl Collectors {
    /// One more. It ends when nobody else holds `ends` any more.
    pub(crate) fn add<C: Collects + 'static>(&mut self, ends: &Arc<C>) -> CollectorId {
        if self.ends.len() >= self.looked_through_at {
            self.ends.retain(|_, ends| ends.strong_count() > 0);
            self.looked_through_at = 2 * self.ends.len() + 8;
        }
        self.begun += 1;
        let id = CollectorId(self.begun);
        let ends: Weak<C> = Arc::downgrade(ends);
        self.ends.insert(id, ends);
        id
    }

    /// Tells the ends of tasks to those who collect them, and wakes who waits for one.
    pub(crate) fn tell(&self, ended: &mut Vec<WatchedEnd>, happened: &mut Happened<Awaited>) {
        // Those of one collector often come together.
        for ends in ended.chunk_by(|end, next| end.watch.collector == next.watch.collector) {
            let collector = ends[0].watch.collector;
            if let Some(told) = self.ends.get(&collector).and_then(Weak::upgrade) {
                told.ended(ends);
                happened.note(Awaited::Collected(collector));
            }
        }
        ended.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::controller::Watch;

    fn end(collector: CollectorId, index: u32, has_value: bool) -> WatchedEnd {
        let at = Ns::from(index);
        let watch = Watch { collector, index };
        let state = if has_value { TaskState::Done } else { TaskState::Failed };
        WatchedEnd { watch, state, submitted_ns: 100 + at, started_ns: 200, finished_ns: 210 + at }
    }

    #[test]
    fn what_was_cancelled_has_not_failed() {
        let ends = Ends::<u8>::default();
        for state in [TaskState::Done, TaskState::Failed, TaskState::Cancelled, TaskState::Cancelled] {
            let end = end(CollectorId(1), ends.add(7), true);
            ends.ended(&[WatchedEnd { state, ..end }]);
        }
        let counts = ends.counts();
        assert_eq!((counts.ended, counts.failed, counts.cancelled), (4, 1, 2));
    }

    #[test]
    fn what_is_added_after_the_close_counts_and_is_not_taken() {
        let ends = Ends::<u8>::default();
        let id = CollectorId(1);
        ends.add(7);
        ends.close();
        assert_eq!(ends.add(7), 1);
        for index in [1, 0] {
            ends.ended(&[end(id, index, false)]);
        }
        assert!(!ends.are_delivered());
        assert_eq!((next(&ends), next(&ends), ends.take_first()), (Some(0), None, None));
        assert!(ends.deliver());
        let counts = ends.counts();
        assert_eq!((counts.tasks, counts.ended, ends.which_ended()), (2, 2, vec![0, 1]));
    }

    fn next(ends: &Ends<u8>) -> Option<u32> {
        ends.take_next(false).map(|taken| taken.index)
    }

    #[test]
    fn each_task_is_taken_once_in_the_order_of_the_ends() {
        let ends = Ends::<u8>::default();
        let id = CollectorId(1);
        assert!(ends.are_delivered());
        assert_eq!((0..4).map(|_| ends.add(7)).collect::<Vec<_>>(), [0, 1, 2, 3]);
        assert_eq!(next(&ends), None);
        for index in [2, 0, 3] {
            ends.ended(&[end(id, index, index != 0)]);
        }
        assert_eq!(ends.counts(), Counts { tasks: 4, ended: 3, failed: 1, ..Counts::default() });
        assert_eq!(next(&ends), Some(2));
        // By index, the ones that have not ended included.
        assert_eq!((ends.take_first(), ends.take_first()), (Some(0), Some(1)));
        ends.ended(&[end(id, 1, true)]);
        assert_eq!((next(&ends), next(&ends), ends.take_first()), (Some(3), None, None));
        assert!(!ends.are_delivered());
        assert_eq!([(); 4].map(|()| ends.deliver()), [false, false, false, true]);
        assert!(ends.are_delivered());
        assert_eq!(ends.which_ended(), [0, 1, 2, 3]);
    }

    #[test]
    fn what_is_given_back_is_taken_again() {
        let ends = Ends::<u8>::default();
        let id = CollectorId(1);
        assert_eq!((0..3).map(|_| ends.add(7)).last(), Some(2));
        ends.ended(&[end(id, 2, true)]);
        ends.ended(&[end(id, 1, true)]);
        let kept = |index| ends.with_kept(index, |kept| *kept);
        let taken = ends.take_next(false).expect("two have ended");
        assert_eq!((taken.kept, kept(2), kept(1)), (7, None, Some(7)));
        ends.give_back(taken.index, Some(8));
        assert_eq!(kept(2), Some(8));
        assert_eq!((next(&ends), next(&ends), ends.take_first()), (Some(2), Some(1), Some(0)));
        ends.give_back(0, None);
        assert_eq!((next(&ends), ends.take_first(), ends.are_delivered()), (None, Some(0), false));
    }

    #[test]
    fn what_was_taken_by_index_and_is_given_back_comes_in_the_order_of_the_ends() {
        let ends = Ends::<u8>::default();
        let id = CollectorId(1);
        (0..4).for_each(|_| _ = ends.add(7));
        ends.ended(&[end(id, 3, true)]);
        let taken: Vec<u32> = std::iter::from_fn(|| ends.take_first()).collect();
        assert_eq!(taken, [0, 1, 2, 3]);
        [2, 0, 1].iter().for_each(|&index| ends.ended(&[end(id, index, true)]));
        taken.iter().rev().for_each(|&index| ends.give_back(index, None));
        assert_eq!([(); 5].map(|()| next(&ends)), [Some(3), Some(2), Some(0), Some(1), None]);
    }

    #[test]
    fn what_is_taken_for_good_is_delivered_at_once() {
        let ends = Ends::<u8>::default();
        let id = CollectorId(1);
        assert_eq!((0..2).map(|_| ends.add(7)).last(), Some(1));
        ends.ended(&[end(id, 1, true), end(id, 0, true)]);
        let taken = [(); 2].map(|()| ends.take_next(true).expect("two have ended"));
        assert_eq!(taken.map(|taken| (taken.index, taken.is_last)), [(1, false), (0, true)]);
        assert!(ends.are_delivered());
    }

    #[test]
    fn the_times_are_there_once_all_have_ended() {
        let ends = Ends::<u8>::default();
        let id = CollectorId(1);
        assert_eq!((0..2).map(|_| ends.add(7)).last(), Some(1));
        ends.ended(&[end(id, 1, true)]);
        assert_eq!(ends.times(), None);
        ends.ended(&[end(id, 0, true)]);
        assert_eq!(ends.times(), Some((Duration::from_nanos(111), Duration::from_nanos(21))));
        // One that was refused has no times.
        ends.add(7);
        ends.never_ran(2);
        assert_eq!(ends.times(), Some((Duration::from_nanos(111), Duration::from_nanos(21))));
        let none = Ends::<u8>::default();
        assert_eq!(none.times(), Some((Duration::ZERO, Duration::ZERO)));
    }

    #[test]
    fn who_is_gone_is_told_nothing_and_forgotten() {
        let mut collectors = Collectors::default();
        let mut happened = Happened::default();
        let kept = Arc::new(Ends::<u8>::default());
        let id = collectors.add(&kept);
        kept.add(7);
        for _ in 0..1_000 {
            collectors.add(&Arc::new(Ends::<u8>::default()));
        }
        assert!(collectors.ends.len() < 50, "{}", collectors.ends.len());
        collectors.tell(&mut vec![end(CollectorId(2), 0, true), end(id, 0, true)], &mut happened);
        let mut told = Vec::new();
        happened.take(&mut told, |_| unreachable!("not all"), |told, key| told.push(key));
        assert_eq!((told, kept.counts().ended), (vec![Awaited::Collected(id)], 1));
    }
}
