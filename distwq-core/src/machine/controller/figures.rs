//! The figures of the run, of what the workers have reported and of what the controller
//! knows itself.

use super::Controller;
use super::workers::WorkerState;
use crate::function::registry::FunctionId;
use crate::id::Rank;
use crate::outcome::stats::{FunctionStats, LONGEST_MAX, LongTask, RankStats, Stats};
use crate::outcome::tally::{RunTimes, Tally};
use crate::wire::report::{LongAttempt, Measured};
use rustc_hash::FxHashSet;
use std::cmp::Reverse;
use std::time::Duration;

impl Controller {
    /// The figures of the run: of the workers as last reported, of the controller with
    /// what was measured of it.
    pub(crate) fn stats(&self, measured: Measured) -> Stats {
        let ranks = std::iter::once(self.own_figures(measured));
        Stats {
            submitted: self.counts.submitted,
            done: self.counts.done,
            failed: self.counts.failed,
            cancelled: self.counts.cancelled,
            outstanding: self.counts.submitted - self.counts.done - self.counts.failed - self.counts.cancelled,
            elapsed: Duration::from_nanos(measured.serving_ns),
            functions: self.functions_that_ran(),
            longest: self.longest(),
            ranks: ranks.chain(self.workers.iter().map(|(_, state)| self.figures_of(state))).collect(),
        }
    }

    fn own_figures(&self, measured: Measured) -> RankStats {
        let held = self.table.iter().filter_map(|entry| entry.payload_here());
        let held = held.filter(|payload| payload.len() as u64 > self.settings.inline_bytes_max);
        let (bytes, values) = held.fold((0, 0), |(bytes, values), p| (bytes + p.len() as u64, values + 1));
        RankStats {
            rank: self.here,
            host: self.host.clone(),
            runs: RunTimes::default(),
            longest: Vec::new(),
            starting: Duration::from_nanos(measured.starting_ns),
            in_init: Duration::ZERO,
            working: Duration::from_nanos(measured.busy_ns),
            moving: Duration::ZERO,
            waiting: Duration::from_nanos(measured.serving_ns.saturating_sub(measured.busy_ns)),
            bytes_in: measured.bytes_in,
            bytes_out: measured.bytes_out,
            resident_bytes: bytes,
            resident_values: values,
            kept_bytes: measured.kept_bytes,
        }
    }

    fn figures_of(&self, state: &WorkerState) -> RankStats {
        let report = &state.report;
        let mut runs = Tally::NONE;
        report.runs.iter().for_each(|(_, tally)| runs.join(tally));
        let slots_ns = report.measured.serving_ns.saturating_mul(u64::from(self.settings.slots));
        let (init_ns, moving_ns, working_ns) = (report.init_ns, report.moving_ns, report.working_ns());
        let known_ns = init_ns.saturating_add(moving_ns).saturating_add(working_ns);
        RankStats {
            rank: state.rank,
            host: state.host.clone(),
            runs: runs.times(),
            longest: report.longest.iter().map(|long| self.long_task(state.rank, long)).collect(),
            starting: Duration::from_nanos(report.measured.starting_ns),
            in_init: Duration::from_nanos(init_ns),
            working: Duration::from_nanos(working_ns),
            moving: Duration::from_nanos(moving_ns),
            waiting: Duration::from_nanos(slots_ns.saturating_sub(known_ns)),
            bytes_in: report.measured.bytes_in,
            bytes_out: report.measured.bytes_out,
            resident_bytes: report.resident_bytes,
            resident_values: report.values,
            kept_bytes: report.measured.kept_bytes,
        }
    }

    fn long_task(&self, rank: Rank, long: &LongAttempt) -> LongTask {
        LongTask {
            task: long.task,
            function: self.functions.path(long.function).to_owned(),
            label: long.label.as_deref().map(str::to_owned),
            rank,
            time: Duration::from_nanos(long.ran_ns),
        }
    }

    /// The functions that have run on some worker.
    fn functions_that_ran(&self) -> Vec<FunctionStats> {
        let mut tallies = vec![Tally::NONE; self.functions.count()];
        for (_, state) in self.workers.iter() {
            state.report.runs.iter().for_each(|(function, tally)| tallies[function.0 as usize].join(tally));
        }
        let ran = (0..).zip(&tallies).filter(|(_, tally)| tally.count > 0);
        let mut functions: Vec<FunctionStats> = ran
            .map(|(index, tally)| FunctionStats {
                function: self.functions.path(FunctionId(index)).to_owned(),
                runs: tally.times(),
            })
            .collect();
        functions.sort_by_key(|of| Reverse(of.runs.total));
        functions
    }

    /// The tasks that ran longest on some worker, each once.
    fn longest(&self) -> Vec<LongTask> {
        let all = self.workers.iter().flat_map(|(_, state)| state.report.longest.iter().map(|long| (state.rank, long)));
        let mut all: Vec<(Rank, &LongAttempt)> = all.collect();
        all.sort_by_key(|(_, long)| Reverse(long.ran_ns));
        let mut known = FxHashSet::default();
        all.retain(|(_, long)| known.insert(long.task));
        all.into_iter().take(LONGEST_MAX).map(|(rank, long)| self.long_task(rank, long)).collect()
    }
}
