//! The workers as the controller knows them, and what is in flight to and from them.

use crate::codec::CodecError;
use crate::id::{Rank, TaskId, WorkerId};
use crate::wire::report::Report;
use rustc_hash::FxHashMap;
use std::fmt;
use std::mem::take;

/// One worker.
#[derive(Debug)]
pub(crate) struct WorkerState {
    pub(super) rank: Rank,
    pub(super) host: String,
    in_flight: u32,
    /// Values that it was asked for and has not answered.
    asked: u32,
    /// The run is over, and so is all that ran there.
    is_stopped: bool,
    /// Its process is gone.
    pub(super) is_lost: bool,
    /// What it has last said of itself.
    pub(super) report: Report,
    /// Whether it was asked for a report and has not answered.
    is_asked: bool,
}

/// Where it is, in words.
impl fmt::Display for WorkerState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (host {})", self.rank, self.host)
    }
}

impl WorkerState {
    pub(crate) fn new(rank: Rank, host: String) -> Self {
        Self {
            rank,
            host,
            in_flight: 0,
            asked: 0,
            is_stopped: false,
            is_lost: false,
            report: Report::default(),
            is_asked: false,
        }
    }

    /// The tasks that run there, and for how many nanoseconds each does; nothing while
    /// that was asked for and not answered.
    pub(super) fn running(&self) -> Option<&[(TaskId, u64)]> {
        (!self.is_asked).then_some(&*self.report.running)
    }

    /// How many tasks it was given and has not answered.
    pub(super) fn in_flight(&self) -> u32 {
        self.in_flight
    }
}

/// All workers, by their indices.
#[derive(Debug)]
pub(super) struct Workers {
    states: Vec<WorkerState>,
    /// Those that are not lost, by their ranks.
    of_rank: FxHashMap<Rank, WorkerId>,
    /// Tasks and questions that no worker has answered yet.
    in_flight: usize,
    reports_missing: usize,
    /// Workers without a task, those that were lost included.
    idle: usize,
}

impl Workers {
    pub(super) fn new(states: Vec<WorkerState>) -> Self {
        let of_rank = states.iter().zip((0..).map(WorkerId::new)).map(|(state, id)| (state.rank, id)).collect();
        let idle = states.len();
        Self { states, of_rank, in_flight: 0, reports_missing: 0, idle }
    }

    /// How many there are that are not lost.
    pub(super) fn living(&self) -> usize {
        self.of_rank.len()
    }

    /// Whether this is the rank of a worker that was lost.
    pub(super) fn was_lost(&self, rank: Rank) -> bool {
        self.states.iter().any(|state| state.rank == rank && state.is_lost)
    }

    /// A worker is gone: what is in flight to and from it is settled. Gives it with the
    /// tasks that it had, or nothing if it is none or was lost before.
    pub(super) fn lose(&mut self, rank: Rank) -> Option<(WorkerId, u32)> {
        let worker = self.of_rank.remove(&rank)?;
        let state = &mut self.states[worker.index()];
        let tasks = take(&mut state.in_flight);
        self.idle += usize::from(tasks > 0);
        self.in_flight -= (tasks + take(&mut state.asked)) as usize;
        (state.is_lost, state.is_stopped) = (true, true);
        (state.report.resident_bytes, state.report.values) = (0, 0);
        state.report.running.clear();
        self.reports_missing -= usize::from(take(&mut state.is_asked));
        Some((worker, tasks))
    }

    pub(super) fn ids(&self) -> impl Iterator<Item = WorkerId> + use<> {
        (0..self.states.len() as u32).map(WorkerId::new)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (WorkerId, &WorkerState)> {
        self.ids().zip(&self.states)
    }

    #[inline]
    pub(super) fn of_rank(&self, rank: Rank) -> Option<WorkerId> {
        self.of_rank.get(&rank).copied()
    }

    #[inline]
    pub(super) fn get(&self, worker: WorkerId) -> &WorkerState {
        &self.states[worker.index()]
    }

    pub(super) fn rank(&self, worker: WorkerId) -> Rank {
        self.get(worker).rank
    }

    pub(super) fn ranks<'a>(&'a self, workers: &'a [WorkerId]) -> impl Iterator<Item = Rank> + 'a {
        workers.iter().map(|worker| self.rank(*worker))
    }

    /// How much is in flight to and from all workers.
    #[inline]
    pub(super) fn in_flight(&self) -> usize {
        self.in_flight
    }

    /// Whether there may be a worker that has no task.
    #[inline]
    pub(super) fn has_idle(&self) -> bool {
        self.idle > 0
    }

    /// A task is on its way to a worker.
    #[inline]
    pub(super) fn given(&mut self, worker: WorkerId) {
        self.in_flight += 1;
        let state = &mut self.states[worker.index()];
        self.idle -= usize::from(state.in_flight == 0);
        state.in_flight += 1;
    }

    /// A worker has said how an attempt ended.
    ///
    /// # Errors
    /// If it had none.
    #[inline]
    pub(super) fn answered(&mut self, worker: WorkerId) -> Result<(), CodecError> {
        let state = &mut self.states[worker.index()];
        let Some(left) = state.in_flight.checked_sub(1) else {
            return Err(CodecError("it tells the end of an attempt that it was not given".to_owned()));
        };
        state.in_flight = left;
        self.idle += usize::from(left == 0);
        self.in_flight -= 1;
        Ok(())
    }

    /// A worker has given back so many tasks.
    ///
    /// # Errors
    /// If it had fewer.
    pub(super) fn returned(&mut self, worker: WorkerId, tasks: usize) -> Result<(), CodecError> {
        let state = &mut self.states[worker.index()];
        let Some(left) = (state.in_flight as usize).checked_sub(tasks) else {
            return Err(CodecError("it gives back more tasks than it was given".to_owned()));
        };
        self.idle += usize::from(left == 0 && tasks > 0);
        state.in_flight = left as u32;
        self.in_flight -= tasks;
        Ok(())
    }

    /// A worker was asked for a value.
    pub(super) fn asked(&mut self, worker: WorkerId) {
        self.in_flight += 1;
        self.states[worker.index()].asked += 1;
    }

    /// It has answered.
    ///
    /// # Errors
    /// If it was not asked.
    pub(super) fn told(&mut self, worker: WorkerId) -> Result<(), CodecError> {
        let state = &mut self.states[worker.index()];
        let Some(left) = state.asked.checked_sub(1) else {
            return Err(CodecError("it gives a value that it was not asked for".to_owned()));
        };
        state.asked = left;
        self.in_flight -= 1;
        Ok(())
    }

    /// All were asked for a report.
    pub(super) fn ask_reports(&mut self) {
        self.reports_missing = self.living();
        self.states.iter_mut().filter(|state| !state.is_lost).for_each(|state| state.is_asked = true);
    }

    /// A worker has given its report. True if that was the last one.
    pub(super) fn reported(&mut self, worker: WorkerId, report: Report) -> bool {
        let state = &mut self.states[worker.index()];
        state.report = report;
        self.reports_missing -= usize::from(take(&mut state.is_asked));
        self.reports_missing == 0
    }

    pub(super) fn has_reports(&self) -> bool {
        self.reports_missing == 0
    }

    /// Nothing runs on a worker any more.
    pub(super) fn stopped(&mut self, worker: WorkerId) {
        self.states[worker.index()].is_stopped = true;
    }

    /// Those on which something may still run.
    pub(super) fn not_stopped(&self) -> impl Iterator<Item = (WorkerId, &WorkerState)> {
        self.iter().filter(|(_, state)| !state.is_stopped)
    }
}

/// What a worker reported makes no sense.
pub(super) fn unknown(task: TaskId) -> CodecError {
    CodecError(format!("there is no task {task}"))
}
