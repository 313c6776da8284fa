//! What the tasks of this worker took: added up where they end, told when the controller
//! asks. Each attempt costs a few additions, and nothing is allocated for it.

use super::attempt::Attempt;
use crate::function::registry::{FunctionId, Registry, Remote};
use crate::id::TaskId;
use crate::machine::Ns;
use crate::outcome::stats::LONGEST_MAX;
use crate::outcome::tally::Tally;
use crate::task::current::Described;
use crate::wire::report::{LongAttempt, Report};
use std::ptr;

/// The figures of a worker.
#[derive(Debug)]
pub(super) struct Figures {
    registry: &'static Registry,
    /// By the index of the function.
    runs: Box<[Tally]>,
    /// The function that was looked up last: as a rule it is the next one too.
    last: Option<(&'static Remote, FunctionId)>,
    longest: Longest,
    init_ns: u64,
    moving: Moving,
}

impl Figures {
    /// None yet.
    pub(super) fn new(registry: &'static Registry) -> Self {
        Self {
            registry,
            runs: vec![Tally::NONE; registry.functions().len()].into(),
            last: None,
            longest: Longest::default(),
            init_ns: 0,
            moving: Moving::default(),
        }
    }

    /// An attempt has ended.
    #[inline]
    pub(super) fn ended(&mut self, attempt: &mut Attempt) {
        let Some(remote) = attempt.ready.task.remote else { return };
        let Some(function) = self.function(remote) else { return };
        // The state may have been made anew before the function was called.
        let ran_ns = attempt.ran_ns.saturating_sub(attempt.init_ns);
        let runs = &mut self.runs[function.0 as usize];
        match attempt.items.take() {
            None => runs.add(ran_ns, attempt.failure.is_some()),
            Some(items) => runs.add_items(ran_ns, items.ran, items.failed),
        }
        self.init_ns += attempt.init_ns;
        let description = attempt.description.take();
        if ran_ns > self.longest.more_than_ns {
            self.longest.add(attempt.ready.task.id, function, ran_ns, description);
        }
    }

    #[inline]
    fn function(&mut self, remote: &'static Remote) -> Option<FunctionId> {
        match self.last {
            Some((last, id)) if ptr::eq(last, remote) => Some(id),
            _ => {
                let id = self.registry.id_of(remote)?;
                self.last = Some((remote, id));
                Some(id)
            }
        }
    }

    /// A slot has made its first state, which took so long.
    pub(super) fn state_made(&mut self, took_ns: u64) {
        self.init_ns += took_ns;
    }

    /// Before the number of slots that have nothing to run changes: so many had nothing
    /// until now.
    #[inline]
    pub(super) fn idle_until(&mut self, now: Ns, idle: u32) {
        if self.moving.since.is_some() {
            self.moving.settle(now, idle);
        }
    }

    /// Whether tasks wait for inputs that are on their way, from here on.
    #[inline]
    pub(super) fn moves(&mut self, moves: bool, now: Ns, idle: u32) {
        if moves != self.moving.since.is_some() {
            self.moving.settle(now, idle);
            self.moving.since = moves.then_some(now);
        }
    }

    /// Fills in what is known here; so many slots have nothing to run.
    pub(super) fn tell(&mut self, now: Ns, idle: u32, report: &mut Report) {
        self.idle_until(now, idle);
        let ran = (0..).map(FunctionId).zip(&self.runs).filter(|(_, tally)| tally.count > 0);
        report.runs = ran.map(|(function, tally)| (function, *tally)).collect();
        report.longest.clone_from(&self.longest.attempts);
        (report.init_ns, report.moving_ns) = (self.init_ns, self.moving.slots_ns);
    }
}

/// The attempts that ran longest.
#[derive(Default, Debug)]
struct Longest {
    /// The longest first.
    attempts: Vec<LongAttempt>,
    /// One that ran longer is one of them.
    more_than_ns: u64,
}

impl Longest {
    #[cold]
    #[inline(never)]
    fn add(&mut self, task: TaskId, function: FunctionId, ran_ns: u64, description: Option<Box<Described>>) {
        let items = description.as_ref().and_then(|described| described.items);
        let task = items.map_or(task.serial(), |items| items.item(0).number());
        let label = description.and_then(|described| described.label().map(Box::from));
        let at = self.attempts.partition_point(|other| other.ran_ns >= ran_ns);
        self.attempts.truncate(LONGEST_MAX - 1);
        self.attempts.insert(at, LongAttempt { task, function, label, ran_ns });
        if let [.., shortest] = &*self.attempts
            && self.attempts.len() == LONGEST_MAX
        {
            self.more_than_ns = shortest.ran_ns;
        }
    }
}

/// For how long slots had nothing to run while inputs were on their way.
#[derive(Default, Debug)]
struct Moving {
    /// Up to when that is counted, while inputs are on their way.
    since: Option<Ns>,
    slots_ns: u64,
}

impl Moving {
    #[cold]
    #[inline(never)]
    fn settle(&mut self, now: Ns, idle: u32) {
        if let Some(since) = &mut self.since {
            // The clocks of executors may lag by a turn.
            self.slots_ns += u64::from(idle) * now.saturating_sub(*since);
            *since = now.max(*since);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_are_kept_in_order_with_their_labels() {
        let mut longest = Longest::default();
        for (number, ran_ns) in (1..).zip([30, 10, 50, 20, 60, 40, 5, 60]) {
            let label = format!("task {number}");
            let described = (number % 2 == 0).then(|| Box::new(Described::new(Some(&label), 1, None)));
            if ran_ns > longest.more_than_ns {
                longest.add(TaskId::new(0, number), FunctionId(0), ran_ns, described);
            }
        }
        let kept: Vec<_> =
            longest.attempts.iter().map(|long| (long.ran_ns, long.task, long.label.as_deref())).collect();
        let expected = [(60, 5, None), (60, 8, Some("task 8")), (50, 3, None), (40, 6, Some("task 6")), (30, 1, None)];
        assert_eq!((kept, longest.more_than_ns), (expected.to_vec(), 30));
    }

    #[test]
    fn time_without_work_counts_as_moving_only_while_inputs_are_on_their_way() {
        let registry = Box::leak(Box::new(Registry::sorted(Vec::new()).expect("there are none")));
        let mut figures = Figures::new(registry);
        figures.idle_until(100, 2);
        figures.moves(true, 200, 2);
        figures.idle_until(230, 2);
        figures.idle_until(225, 1);
        figures.moves(true, 240, 1);
        figures.moves(false, 250, 1);
        figures.moves(false, 900, 2);
        let mut report = Report::default();
        figures.tell(1_000, 2, &mut report);
        assert_eq!(report.moving_ns, 2 * 30 + 20);
        figures.moves(true, 1_000, 1);
        figures.tell(1_007, 1, &mut report);
        assert_eq!(report.moving_ns, 80 + 7, "that which goes on is told too");
    }
}
