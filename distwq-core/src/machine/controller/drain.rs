//! The last tasks of a run, in words: a run that waits for a task which never returns
//! says so, first after the shutdown grace and then each minute, by what the workers
//! answer when they are asked what they run.

use super::status::SHOWN_MAX;
use crate::id::Rank;
use crate::machine::Ns;
use crate::outcome::error::plural;
use crate::outcome::status::{RunningTask, Status, Waiting, WorkerPhase, WorkerStatus};
use rustc_hash::FxHashMap;
use std::cmp::Reverse;
use std::fmt;
use std::time::Duration;

/// From the first report to the next, and so on.
const EVERY_NS: Ns = 60_000_000_000;

/// For so long a report waits for the answers of workers.
const ANSWERS_NS: Ns = 1_000_000_000;

/// When what is left to end is reported.
#[derive(Debug)]
pub(super) struct Draining {
    pub(super) begun: Ns,
    grace_ns: Ns,
    /// Reports that were due so far.
    due: u32,
    /// The workers have been asked; a report is given at this time at the latest.
    answers_until: Option<Ns>,
}

impl Draining {
    pub(super) fn since(begun: Ns, grace_ns: Ns) -> Self {
        Self { begun, grace_ns, due: 0, answers_until: None }
    }

    /// When there is something to do next.
    pub(super) fn next(&self) -> Ns {
        self.answers_until.unwrap_or(self.begun + self.grace_ns + EVERY_NS * Ns::from(self.due))
    }

    /// Whether a report is due, for which the workers are to be asked. Those that were
    /// missed are not given.
    pub(super) fn begins_report(&mut self, now: Ns) -> bool {
        if self.answers_until.is_some() || now < self.next() {
            return false;
        }
        while now >= self.next() {
            self.due += 1;
        }
        self.answers_until = Some(now + ANSWERS_NS);
        true
    }

    /// Whether a report is to be given now, by what has been answered.
    pub(super) fn ends_report(&mut self, now: Ns, have_all_answered: bool) -> bool {
        let ends = self.answers_until.is_some_and(|until| have_all_answered || now >= until);
        if ends {
            self.answers_until = None;
        }
        ends
    }
}

/// What is left to end.
#[derive(Debug)]
pub(super) struct Left {
    pub(super) since: Duration,
    pub(super) status: Status,
    /// Of ranks that have not said what they run, what they were given first.
    pub(super) first_given: FxHashMap<Rank, String>,
}

impl fmt::Display for Left {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { since, status, first_given } = self;
        let pending = plural(status.pending, "task");
        write!(f, "the run cannot end yet: it has waited {} s for {pending}", since.as_secs())?;
        let mut running: Vec<_> = status
            .workers
            .iter()
            .flat_map(|worker| worker.running.iter().map(move |running| (running, worker)))
            .collect();
        running.sort_by_key(|(running, _)| Reverse(running.time));
        let running = running.into_iter().map(|(RunningTask { task, time, .. }, WorkerStatus { rank, host, .. })| {
            format!("{task} has run on {rank} (host {host}) for {} s", time.as_secs())
        });
        write_some(f, running, 0)?;
        let past_limit = status.workers.iter().flat_map(|WorkerStatus { rank, host, past_limit, .. }| {
            past_limit
                .iter()
                .map(move |name| format!("{rank} (host {host}) has not returned from {name}, past its limit"))
        });
        write_some(f, past_limit, 0)?;
        let silent = status.workers.iter().filter(|worker| worker.phase == WorkerPhase::Silent);
        let silent = silent.map(|WorkerStatus { rank, host, ahead, .. }| {
            let first = first_given.get(rank).map_or_else(String::new, |first| format!(", first {first}"));
            let count = plural(*ahead, "task");
            format!("{rank} (host {host}), which was given {count}{first}, does not say what it runs")
        });
        write_some(f, silent, 0)?;
        for Waiting { count, first, .. } in &status.waiting {
            write_some(f, first.iter().map(ToString::to_string), count.saturating_sub(first.len() as u64))?;
        }
        f.write_str(
            "; a task that never returns cannot be cancelled, only left behind: call `shutdown_now`, or stop the \
             program from outside",
        )
    }
}

/// The first few, and how many more there are.
fn write_some(f: &mut fmt::Formatter<'_>, mut entries: impl Iterator<Item = String>, more: u64) -> fmt::Result {
    for entry in entries.by_ref().take(SHOWN_MAX) {
        write!(f, "; {entry}")?;
    }
    match entries.count() as u64 + more {
        0 => Ok(()),
        more => write!(f, "; {more} more like that"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outcome::status::{Reason, TaskName, TaskStatus, WaitsFor};

    #[test]
    fn what_is_left_is_told_after_the_grace_and_then_at_each_interval() {
        const SECOND: Ns = 1_000_000_000;
        let mut draining = Draining::since(7 * SECOND, 10 * SECOND);
        let mut told = Vec::new();
        for second in 7..=207 {
            let is_due = second * SECOND >= draining.next();
            assert_eq!(draining.begins_report(second * SECOND), is_due);
            if is_due {
                assert!(!draining.begins_report(second * SECOND), "one report at a time");
                assert!(draining.ends_report(second * SECOND, true));
                told.push(second);
            }
            assert!(!draining.ends_report(second * SECOND, true), "none was begun");
        }
        assert_eq!(told, [17, 77, 137, 197]);
        assert_eq!(draining.next(), 257 * SECOND);
        // The process was stopped for a while.
        assert!(draining.begins_report(1_007 * SECOND));
        assert!(draining.ends_report(1_007 * SECOND, true));
        assert_eq!(draining.next(), 1_037 * SECOND);
    }

    #[test]
    fn a_report_waits_for_the_answers_for_a_second() {
        let mut draining = Draining::since(0, 10);
        assert!(draining.begins_report(10));
        assert_eq!(draining.next(), 10 + ANSWERS_NS);
        assert!(!draining.ends_report(9 + ANSWERS_NS, false));
        assert!(draining.ends_report(10 + ANSWERS_NS, false));
        assert_eq!(draining.next(), 10 + EVERY_NS);
    }

    #[test]
    fn the_report_names_what_runs_where_since_when_and_what_waits_for_it() {
        let name = |number| TaskName { number, function: "model::step".to_owned(), label: None };
        let waits = |number| TaskStatus { task: name(number), reason: Reason::Tasks { first: name(1), count: 1 } };
        let running = vec![RunningTask { task: name(1), time: Duration::from_secs(33), percent: None }];
        let (rank, host) = (Rank(2), "a".to_owned());
        let worker =
            WorkerStatus { rank, host, phase: WorkerPhase::Serving, running, past_limit: Vec::new(), ahead: 0 };
        let waiting = Waiting { what: WaitsFor::Tasks, count: 8, first: (2..7).map(waits).collect() };
        let left = Left {
            since: Duration::from_millis(10_500),
            status: Status { pending: 9, given: 1, workers: vec![worker], waiting: vec![waiting] },
            first_given: FxHashMap::default(),
        };
        let text = left.to_string();
        let start = "the run cannot end yet: it has waited 10 s for 9 tasks; model::step #1 has run on rank 2 (host a) \
                     for 33 s; model::step #2 waits for model::step #1; ";
        assert!(text.starts_with(start), "{text}");
        assert_eq!(text.matches("waits for").count(), SHOWN_MAX, "{text}");
        assert!(text.contains("; 3 more like that; "), "{text}");
    }
}
