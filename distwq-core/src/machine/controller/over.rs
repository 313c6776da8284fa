//! Runs that are over before their users have said so: tasks that are added later end at
//! once.

use super::Controller;
use super::outbox::Outbox;
use crate::id::TaskId;
use crate::machine::scheduler::Event;

/// Why tasks that are added end at once. Of two reasons the greater one counts.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Over {
    /// A state is not made anew in time. Its worker cannot say so of each task.
    NoState,
    /// The time of the whole run has passed.
    Time,
    /// A signal has asked for the end.
    Interrupted,
}

impl Controller {
    /// Whether a signal has asked for the end.
    #[inline]
    pub(crate) fn is_interrupted(&self) -> bool {
        self.over == Some(Over::Interrupted)
    }

    /// How often all tasks were cancelled.
    pub(crate) fn times_cancelled(&self) -> u64 {
        self.times_cancelled
    }

    /// Whether they were since that was so often.
    pub(crate) fn was_cancelled_since(&self, times: u64) -> bool {
        self.times_cancelled != times
    }

    /// Whether tasks that are added now end at once: nobody waits for room for them.
    #[inline]
    pub(crate) fn ends_new_tasks(&self) -> bool {
        self.over.is_some() || self.is_closing()
    }

    /// A signal asks for the end: cancels all tasks that have not ended. Whoever waits
    /// looks again, for some wait for more than tasks.
    pub(super) fn interrupted(&mut self, out: &mut Outbox) {
        self.over = Some(Over::Interrupted);
        self.cancel_all(out);
        out.happened.note_all();
    }

    /// A state is not made anew in time: no task begins any more.
    pub(super) fn has_no_state(&mut self, out: &mut Outbox) {
        self.over = self.over.max(Some(Over::NoState));
        self.cancel_pending(out);
    }

    /// Why no task begins any more, if they are cancelled for that.
    pub(super) fn no_state(&self) -> Option<&str> {
        if self.over == Some(Over::NoState) { self.init_failure() } else { None }
    }

    /// The time of the whole run has passed.
    pub(super) fn time_is_over(&mut self) {
        self.over = self.over.max(Some(Over::Time));
    }

    /// A task is about to be added. If it is to [end at once](Self::ends_at_once), it
    /// must not start.
    #[inline(always)]
    pub(super) fn will_add(&mut self, out: &mut Outbox) {
        if self.over.is_some() {
            self.tell_scheduler(Event::Hold, out);
        }
    }

    /// Ends a task that was just added.
    #[cold]
    pub(super) fn ends_at_once(&mut self, task: TaskId, over: Over, out: &mut Outbox) {
        match over {
            Over::Time => self.expire(&[task], out),
            Over::NoState | Over::Interrupted => self.cancel(&[task], out),
        }
        // Nothing is left that could start: also if a graph is being added, all of whose
        // tasks end like this one.
        self.tell_scheduler(Event::Resume, out);
    }
}
