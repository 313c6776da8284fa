//! The last tasks of a run, in words: a run that waits for a task which never returns
//! says so, first after the shutdown grace and then each minute. It decides when that is,
//! and what is said; others wait and write.

use crate::machine::Ns;
use crate::outcome::error::plural;
use std::fmt;
use std::time::Duration;

/// From the first report to the next, and so on.
const EVERY_NS: Ns = 60_000_000_000;

/// Entries of a report that it shows of each kind.
pub(super) const SHOWN_MAX: usize = 5;

/// When what is left to end is reported.
#[derive(Debug)]
pub(super) struct Draining {
    pub(super) begun: Ns,
    grace_ns: Ns,
    /// Reports that were due so far.
    due: u32,
}

impl Draining {
    pub(super) fn since(begun: Ns, grace_ns: Ns) -> Self {
        Self { begun, grace_ns, due: 0 }
    }

    /// When the next report is due.
    pub(super) fn next(&self) -> Ns {
        self.begun + self.grace_ns + EVERY_NS * Ns::from(self.due)
    }

    /// The reports that are due by now count as given: the one that is about to be, and
    /// those that were missed.
    pub(super) fn take(&mut self, now: Ns) {
        while now >= self.next() {
            self.due += 1;
        }
    }
}

/// What is left to end.
#[derive(Default, Debug)]
pub(super) struct Left {
    pub(super) since: Duration,
    pub(super) pending: usize,
    /// Task, worker, and for how long it runs there.
    pub(super) running: Vec<(String, String, Duration)>,
    /// Ranks that have not said what they run, with what they were given.
    pub(super) silent: Vec<String>,
    /// Some of the tasks that wait, each with what for. There may be millions.
    pub(super) waiting: Vec<String>,
    pub(super) waiting_more: usize,
}

impl fmt::Display for Left {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { since, pending, running, silent, waiting, waiting_more } = self;
        write!(f, "the run cannot end yet: it has waited {} s for {}", since.as_secs(), plural(*pending, "task"))?;
        let running = running.iter().map(|(task, at, time)| format!("{task} has run on {at} for {} s", time.as_secs()));
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_is_told_after_the_grace_and_then_at_each_interval() {
        const SECOND: Ns = 1_000_000_000;
        let mut draining = Draining::since(7 * SECOND, 10 * SECOND);
        let told: Vec<Ns> = (7..=207)
            .filter(|second| {
                let is_due = second * SECOND >= draining.next();
                draining.take(second * SECOND);
                is_due
            })
            .collect();
        assert_eq!(told, [17, 77, 137, 197]);
        assert_eq!(draining.next(), 257 * SECOND);
        // The process was stopped for a while.
        draining.take(1_007 * SECOND);
        assert_eq!(draining.next(), 1_037 * SECOND);
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
