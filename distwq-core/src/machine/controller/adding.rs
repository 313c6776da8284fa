//! Takes the tasks and values of users.

use super::input::Terms;
use super::outbox::Outbox;
use super::table::{Entry, RanOn};
use super::{Controller, Encoded, NewTask, Options};
use crate::codec::Payload;
use crate::function::argument::Role;
use crate::function::registry::Remote;
use crate::id::TaskId;
use crate::machine::scheduler::{Event, FailedBefore, Patience, Spec};
use crate::outcome::failure::RetryOn;
use smallvec::SmallVec;

impl Controller {
    /// Adds a task.
    #[inline(always)]
    pub(super) fn add(&mut self, new: &NewTask<'_>, plain: Encoded<'_>, out: &mut Outbox) -> TaskId {
        self.will_add(out);
        let &NewTask { remote, inputs, options, before, level, origin, watch } = new;
        let (now, bytes) = (self.now, plain.len());
        let task = self.table.insert(inputs, |entry| {
            entry.function = Some(remote);
            plain.move_to(&mut entry.payload);
            entry.submitted_ns = now;
            entry.graph_run = origin.graph_run();
            entry.watches = watch.map(|watch| self.watches.add(None, watch));
        });
        self.counts.submitted += 1;
        self.queue.takes(bytes);
        // A user who adds one task may wait for it next.
        let may_prompt = origin.graph_run().is_none() && self.workers.has_idle();
        if inputs.is_empty() && before.is_empty() && options.is_none() {
            let spec = Spec { level, origin, ..self.spec_of(remote) };
            self.tell_scheduler(Event::Added { task, spec: &spec }, out);
        } else {
            self.add_with_wishes(task, new, None, out);
        }
        self.was_added(task, may_prompt, out);
        task
    }

    /// What the scheduler is told of a task of this function which says nothing else.
    #[inline(always)]
    fn spec_of(&self, remote: &Remote) -> Spec<'static> {
        let collective = remote.is_collective();
        let ranks = if collective { self.workers.living() as u32 } else { 1 };
        Spec { ranks, collective, ..Spec::PLAIN }
    }

    /// A task was added whose user may wait for it next.
    #[inline(always)]
    pub(super) fn was_added(&mut self, task: TaskId, may_prompt: bool, out: &mut Outbox) {
        if let Some(over) = self.over {
            self.ends_at_once(task, over, out);
        } else if may_prompt {
            self.prompt(task, out);
        }
    }

    /// Sends a task that was just added at once, if it has started on a worker that had
    /// nothing, and is not one of a burst.
    #[inline(never)]
    fn prompt(&mut self, task: TaskId, out: &mut Outbox) {
        if let Some(Entry { ran_on: RanOn::Single(worker), .. }) = self.table.get(task)
            && self.workers.get(*worker).in_flight() == 1
            && self.prompt.goes_at_once(self.now, self.workers.living())
        {
            out.flush_to(*worker);
        }
    }

    /// Tells the scheduler of a task that depends on others, says more than its function
    /// and its arguments, or has failed before.
    #[inline(never)]
    pub(super) fn add_with_wishes(
        &mut self,
        task: TaskId,
        new: &NewTask<'_>,
        failed: Option<&FailedBefore>,
        out: &mut Outbox,
    ) {
        let (mut inputs, mut ends) = (SmallVec::<[TaskId; 8]>::new(), SmallVec::<[TaskId; 8]>::new());
        for input in new.inputs {
            match input.position.role {
                Role::End => ends.push(input.source),
                Role::Whole | Role::Element | Role::Part => inputs.push(input.source),
            }
        }
        let &NewTask { remote, options, before, level, origin, .. } = new;
        let plain = self.spec_of(remote);
        let spec = Spec { inputs: &inputs, ends: &ends, after: before, level, origin, failed, ..plain };
        match options {
            None => self.tell_scheduler(Event::Added { task, spec: &spec }, out),
            Some(options) => self.add_with_options(task, options, &spec, out),
        }
    }

    /// The same of a task that says more than that.
    #[inline(never)]
    fn add_with_options(&mut self, task: TaskId, options: &Options<'_>, spec: &Spec<'_>, out: &mut Outbox) {
        if let (Some(label), Some(entry)) = (options.label, self.table.get_mut(task)) {
            entry.label = Some(Box::from(label));
        }
        let patience = self.note_terms(task, options.terms);
        let spec = Spec {
            patience: patience.as_ref(),
            follow: options.follow,
            ranks: options.ranks.unwrap_or(spec.ranks),
            priority: options.priority,
            retries: options.retries,
            ..*spec
        };
        self.tell_scheduler(Event::Added { task, spec: &spec }, out);
    }

    /// Notes what a task asks for, if that is something, and gives what the scheduler has
    /// to know of it. Its end is looked at then as if somebody waited for it.
    fn note_terms(&mut self, task: TaskId, terms: Terms) -> Option<Patience> {
        if terms == Terms::NONE {
            return None;
        }
        self.limits.note(task, terms);
        if let Some(entry) = self.table.get_mut(task) {
            entry.watched = true;
        }
        Some(Patience {
            wait_limit_ns: terms.wait_limit_ns,
            backoff_ns: terms.backoff_ns,
            retry_lost: terms.retry_on.contains(RetryOn::LOST_WORKERS),
        })
    }

    pub(super) fn add_value(&mut self, payload: Payload, out: &mut Outbox) -> TaskId {
        let (bytes, now) = (payload.len() as u64, self.now);
        let task = self.table.insert(&[], |entry| entry.give_value(payload, now));
        self.tell_scheduler(Event::Value { task, bytes }, out);
        task
    }
}
