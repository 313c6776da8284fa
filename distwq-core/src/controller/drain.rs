//! The last tasks of a run, in words: a run that waits for a task which never returns says so, first after the shutdown
//! grace and then each minute. It decides when that is, and what is said; others wait and write.

use super::engine::ControllerEngine;
use crate::error::plural;
use crate::id::WorkerId;
use std::fmt;
use std::time::{Duration, Instant};

/// From the first report to the next, and so on.
const EVERY: Duration = Duration::from_secs(60);

/// Entries of a report that it shows of each kind.
const SHOWN_MAX: usize = 5;

/// When what is left to end is reported.
#[derive(Debug)]
pub(crate) struct Draining {
    begun: Instant,
    first: Duration,
    every: Duration,
    /// Reports that were due so far.
    due: u32,
}

impl Draining {
    pub(super) fn since(begun: Instant, grace: Duration) -> Self {
        Self { begun, first: grace, every: EVERY, due: 0 }
    }

    /// When the next report is due.
    pub(super) fn next(&self) -> Instant {
        self.begun + self.first + self.every * self.due
    }

    /// Whether a report is due. It counts as given then, and so do those that were missed.
    pub(super) fn take(&mut self, now: Instant) -> bool {
        let is_due = now >= self.next();
        while now >= self.next() {
            self.due += 1;
        }
        is_due
    }
}

/// What is left to end.
#[derive(Default, Debug)]
struct Left {
    since: Duration,
    pending: usize,
    /// Task, place, and for how long it runs there.
    running: Vec<(String, String, Duration)>,
    /// Ranks that have not said what they run, with what they were given.
    silent: Vec<String>,
    /// Some of the tasks that wait, each with what for. There may be millions.
    waiting: Vec<String>,
    waiting_more: usize,
}

impl fmt::Display for Left {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { since, pending, running, silent, waiting, waiting_more } = self;
        write!(f, "the run cannot end yet: it has waited {} s for {}", since.as_secs(), plural(*pending, "task"))?;
        let running =
            running.iter().map(|(task, place, time)| format!("{task} has run on {place} for {} s", time.as_secs()));
        write_some(f, running, 0)?;
        write_some(f, silent.iter().cloned(), 0)?;
        write_some(f, waiting.iter().cloned(), *waiting_more)?;
        f.write_str("; a task that never returns cannot be cancelled: stop the program from outside")
    }
}

/// The first few, and how many more there are.
fn write_some(f: &mut fmt::Formatter<'_>, mut entries: impl Iterator<Item = String>, more: usize) -> fmt::Result {
    for entry in entries.by_ref().take(SHOWN_MAX) {
        write!(f, "; {entry}")?;
    }
    match entries.count() + more {
        0 => Ok(()),
        more => write!(f, "; {more} more like that"),
    }
}

impl ControllerEngine {
    /// When it is next to be said what is left to end. Nothing while tasks are taken.
    pub(crate) fn next_drain_report(&self) -> Option<Instant> {
        self.draining.as_ref().map(Draining::next)
    }

    /// Whether that is now, for the caller to say. Asks all workers what they run.
    pub(crate) fn begin_drain_report(&mut self, now: Instant) -> bool {
        let is_due = self.draining.as_mut().is_some_and(|draining| draining.take(now));
        if is_due {
            self.ask_reports();
        }
        is_due
    }

    /// What is left to end, by what the workers have answered. Nothing if all has ended meanwhile.
    pub(crate) fn drain_report(&self, now: Instant) -> Option<String> {
        let draining = self.draining.as_ref()?;
        let pending = self.pending();
        if pending == 0 || self.is_over() {
            return None;
        }
        let mut left = Left { since: now.saturating_duration_since(draining.begun), pending, ..Left::default() };
        for (worker, place) in (0..).map(WorkerId).zip(&self.workers) {
            let at = format!("{} (host {})", place.rank, place.host);
            match &place.running {
                Some(running) => {
                    let named = running.iter().filter_map(|(task, ran_ns)| Some((self.table.get(*task)?, ran_ns)));
                    let named =
                        named.map(|(entry, ran_ns)| (entry.full_name(), at.clone(), Duration::from_nanos(*ran_ns)));
                    left.running.extend(named);
                }
                None => {
                    let first = self.begun(worker).next().map_or_else(String::new, |first| format!(", first {first}"));
                    let count = plural(place.in_flight, "task");
                    left.silent.push(format!("{at}, which was given {count}{first}, does not say what it runs"));
                }
            }
        }
        left.running.sort_by_key(|(_, _, time)| std::cmp::Reverse(*time));
        let mut waiting: Vec<_> = self.scheduler.waits_for_tasks().collect();
        waiting.sort_unstable();
        let names = waiting.iter().filter_map(|(task, other)| Some((self.table.get(*task)?, self.table.get(*other)?)));
        let words = names.map(|(task, other)| format!("{} waits for {}", task.full_name(), other.full_name()));
        left.waiting = words.take(SHOWN_MAX).collect();
        left.waiting_more = waiting.len() - left.waiting.len();
        Some(left.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_is_told_after_the_grace_and_then_at_each_interval() {
        let begun = Instant::now();
        let at = |seconds| begun + Duration::from_secs(seconds);
        let mut draining =
            Draining { every: Duration::from_secs(60), ..Draining::since(begun, Duration::from_secs(10)) };
        let told: Vec<u64> = (0..=200).filter(|&second| draining.take(at(second))).collect();
        assert_eq!(told, [10, 70, 130, 190]);
        assert_eq!(draining.next(), at(250));
        // The process was stopped for a while.
        assert!(draining.take(at(1_000)) && !draining.take(at(1_001)));
        assert_eq!(draining.next(), at(1_030));
    }

    #[test]
    fn the_report_names_what_runs_where_since_when_and_what_waits_for_it() {
        let name = |number: usize| format!("model::step #{number}");
        let left = Left {
            since: Duration::from_millis(10_500),
            pending: 9,
            running: vec![(name(1), "rank 2 (host a)".to_owned(), Duration::from_secs(33))],
            silent: Vec::new(),
            waiting_more: 3,
            waiting: (2..7).map(|number| format!("{} waits for {}", name(number), name(1))).collect(),
        };
        let text = left.to_string();
        let start = "the run cannot end yet: it has waited 10 s for 9 tasks; model::step #1 has run on rank 2 (host a) \
                     for 33 s; model::step #2 waits for model::step #1; ";
        assert!(text.starts_with(start), "{text}");
        assert_eq!(text.matches("waits for").count(), SHOWN_MAX, "{text}");
        assert!(text.contains("; 3 more like that; "), "{text}");
    }
}
