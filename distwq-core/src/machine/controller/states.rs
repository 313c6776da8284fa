//! The states of the workers' slots, as far as the controller knows them: whether all
//! have been made, why not, and what they were made to in the end.

use super::Controller;
use super::input::Awaited;
use super::outbox::Outbox;
use crate::codec::frame::{Blob, Frame};
use crate::codec::{CodecError, Payload};
use crate::id::WorkerId;
use crate::outcome::finish::FinishError;
use crate::wire::message::ToWorker;
use std::sync::Arc;

/// What the workers have said of their states.
#[derive(Debug, Default)]
pub(super) struct States {
    /// Those that have made all of theirs, by index.
    made: Vec<bool>,
    /// Why a state could not be made: the first reason.
    failure: Option<Arc<str>>,
    /// By worker, what its states were made to, or why one was not.
    finals: Vec<Option<Result<Vec<Payload>, String>>>,
    /// Why a state could not be finished after the end of the run: the first reason.
    not_finished: Option<String>,
}

impl States {
    /// Those of so many workers; without any state they are all made.
    pub(super) fn new(workers: usize, has_states: bool) -> Self {
        Self { made: vec![!has_states; workers], failure: None, finals: vec![None; workers], not_finished: None }
    }
}

impl Controller {
    /// Whether all states have been made, or one could not be.
    pub(crate) fn are_states_made(&self) -> bool {
        self.states.failure.is_some() || self.unmade().next().is_none()
    }

    /// Why a state could not be made, if so.
    pub(crate) fn init_failure(&self) -> Option<&str> {
        self.states.failure.as_deref()
    }

    /// Whether `init` has not returned on a worker.
    pub(super) fn is_in_init(&self, worker: WorkerId) -> bool {
        !self.states.made[worker.index()]
    }

    /// Workers that have not made all their states.
    fn unmade(&self) -> impl Iterator<Item = WorkerId> + '_ {
        self.living().filter(|worker| self.is_in_init(*worker))
    }

    fn living(&self) -> impl Iterator<Item = WorkerId> + '_ {
        self.workers.iter().filter(|(_, state)| !state.is_lost).map(|(worker, _)| worker)
    }

    /// A worker has made its states, or could not.
    pub(super) fn states_made(&mut self, worker: WorkerId, failure: Option<&str>, out: &mut Outbox) {
        self.states.made[worker.index()] = true;
        if let Some(failure) = failure {
            let failure = format!("init failed on {}: {failure}", self.workers.get(worker));
            self.init_failed(failure, out);
        } else if self.are_states_made() {
            out.happened.note(Awaited::States);
        }
    }

    /// The states have not been made within the limit.
    pub(super) fn states_overdue(&mut self, limit_ms: u128, out: &mut Outbox) {
        let who: Vec<_> = self.unmade().map(|worker| self.workers.get(worker).to_string()).collect();
        if !self.are_states_made() {
            let who = who.join(", ");
            let failure = format!("init has not returned within the init limit of {limit_ms} ms on {who}");
            self.init_failed(failure, out);
        }
    }

    /// No task begins any more: all workers are told.
    fn init_failed(&mut self, failure: String, out: &mut Outbox) {
        if self.states.failure.is_some() {
            return;
        }
        self.workers.ids().for_each(|worker| out.post(worker, &ToWorker::Bar { failure: &failure }));
        out.flush();
        self.states.failure = Some(Arc::from(failure));
        out.happened.note(Awaited::States);
    }

    /// Nothing runs on a worker any more. Its states have ended, or one could not.
    pub(super) fn worker_stopped(&mut self, worker: WorkerId, failure: Option<&str>) {
        self.workers.stopped(worker);
        if let Some(failure) = failure {
            let site = self.workers.get(worker);
            let not_finished = &mut self.states.not_finished;
            not_finished.get_or_insert_with(|| format!("a state of {site} could not be finished: {failure}"));
        }
    }

    /// Whether workers have states and have not said that these have ended.
    pub(crate) fn has_unended_states(&self) -> bool {
        self.settings.has_states && self.workers.not_stopped().any(|(_, state)| !state.is_lost)
    }

    /// Why a state could not be finished that nobody has asked for, if so.
    pub(crate) fn finish_failure(&self) -> Option<&str> {
        self.states.not_finished.as_deref()
    }

    /// A user asks what becomes of all states: all tasks have ended.
    pub(super) fn finals_wanted(&self, out: &mut Outbox) {
        self.workers.ids().for_each(|worker| out.post(worker, &ToWorker::Finish));
        out.flush();
    }

    /// A worker has ended its states.
    ///
    /// # Errors
    /// If the frame does not have what it says.
    pub(super) fn finals_came(
        &mut self,
        worker: WorkerId,
        frame: &Frame,
        finals: Vec<Result<Blob<'_>, &str>>,
        out: &mut Outbox,
    ) -> Result<(), CodecError> {
        let mut values = Ok(Vec::new());
        for value in finals {
            match (value, &mut values) {
                (Ok(blob), Ok(values)) => values.push(frame.payload(blob)?),
                (Err(text), Ok(_)) => values = Err(text.to_owned()),
                (_, Err(_)) => {}
            }
        }
        self.states.finals[worker.index()] = Some(values);
        out.happened.note(Awaited::States);
        Ok(())
    }

    /// What all states were made to, in the order of the workers and of their slots, once
    /// all have ended.
    pub(crate) fn finals(&self) -> Option<Result<Vec<Payload>, FinishError>> {
        if let Some(message) = self.init_failure() {
            return Some(Err(FinishError::Init { message: message.to_owned() }));
        }
        let mut all = Vec::new();
        for worker in self.living() {
            match &self.states.finals[worker.index()] {
                None if self.is_over() => return Some(Err(FinishError::Closed)),
                None => return None,
                Some(Ok(values)) => all.extend_from_slice(values),
                Some(Err(message)) => {
                    let (site, message) = (self.workers.get(worker).to_string(), message.clone());
                    return Some(Err(FinishError::Failed { site, message }));
                }
            }
        }
        Some(Ok(all))
    }

    /// Workers that have not ended their states, in words.
    pub(crate) fn unfinished(&self) -> String {
        let unfinished = self.living().filter(|worker| self.states.finals[worker.index()].is_none());
        unfinished.map(|worker| self.workers.get(worker).to_string()).collect::<Vec<_>>().join(", ")
    }
}
