//! Attempts that may run for a limited time. One that reaches its limit is told so, as if
//! it were cancelled, and so is the controller; what it gives after that is dropped here.

use super::outbox::Outbox;
use super::{Attempt, Phase, Worker};
use crate::function::remote::Failure;
use crate::id::{Slot, TaskId};
use crate::machine::Ns;
use crate::wire::message::ToController;

/// An attempt that runs.
#[derive(Debug)]
struct Limited {
    slot: Slot,
    task: TaskId,
    started_ns: Ns,
    limit_ns: Ns,
    /// The limit was reached, and that was told.
    is_told: bool,
}

impl Limited {
    fn at(&self) -> Ns {
        self.started_ns.saturating_add(self.limit_ns)
    }
}

/// Those that run on this rank: one for each executor at most.
#[derive(Default, Debug)]
pub(super) struct Limits(Vec<Limited>);

impl Limits {
    /// Whether no attempt that runs has a limit.
    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// One begins.
    pub(super) fn begin(&mut self, slot: Slot, task: TaskId, started_ns: Ns, limit_ns: Ns) {
        self.0.push(Limited { slot, task, started_ns, limit_ns, is_told: false });
    }

    /// An attempt has ended: if it had a limit and has run for so long, it has failed.
    #[inline(never)]
    pub(super) fn end(&mut self, slot: Slot, attempt: &mut Attempt) {
        let Some(at) = self.0.iter().position(|limited| limited.slot == slot) else { return };
        let Limited { limit_ns, is_told, .. } = self.0.swap_remove(at);
        if is_told || attempt.ran_ns >= limit_ns {
            attempt.output.clear();
            attempt.failure = Some(Box::new(Failure::Limit { limit_ns }));
        }
    }

    /// When the next one reaches its limit.
    pub(super) fn next_ns(&self) -> Option<Ns> {
        self.0.iter().filter(|limited| !limited.is_told).map(Limited::at).min()
    }
}

impl Worker {
    /// Tells those that have reached their limits so, and the controller.
    pub(super) fn tell_overrun(&mut self, out: &mut Outbox) {
        if self.limits.is_empty() || self.phase != Phase::Open {
            return;
        }
        let now = self.now;
        let reached = self.limits.0.iter_mut().filter(|limited| !limited.is_told && limited.at() <= now);
        for limited in reached {
            limited.is_told = true;
            tell_overran(limited.slot, (limited.task, limited.started_ns), None, out);
        }
    }
}

/// An attempt on this slot, which began then, is given up: it is told so, and the
/// controller; with a failure, if it has not reached its own limit.
pub(super) fn tell_overran(slot: Slot, (task, started_ns): (TaskId, Ns), failure: Option<&str>, out: &mut Outbox) {
    out.cancelled.push((slot, task));
    // Not in one frame with a large payload: overtaken by what is said when it has ended,
    // that would be taken for the end of another attempt.
    out.flush();
    out.tell(&ToController::Overran { task, started_ns, failure });
    out.flush();
}
