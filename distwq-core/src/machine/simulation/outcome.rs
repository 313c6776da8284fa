//! How tasks may end, and whether they do: as they must, where no loss of a worker can
//! explain anything else.

use super::book::Book;
use super::copies::Whereabouts;
use super::limits::check_limit;
use super::script::{Outcome, failure_text};
use super::task::{Behaviour, Expected, Seen, Task};
use crate::id::GraphRunId;
use crate::outcome::error::TaskError;
use crate::outcome::failure::RetryOn;
use crate::wire::chunk::WithoutValue;

impl Book {
    /// The controller says that a task has ended so. Nothing is known of one that was
    /// gone at once.
    pub(super) fn ended(
        &mut self,
        index: usize,
        attempts: Option<u32>,
        seen: Option<Seen>,
        whereabouts: &Whereabouts<'_>,
    ) {
        let model = &self.tasks[index];
        assert!(model.running == 0 || model.limits.may_go_on(), "{} ends while it runs", model.id);
        assert!(!model.has_ended(), "{} ends once", model.id);
        let is_excused = self.is_excused(index);
        // It has failed, whatever it would have given.
        let may_have_failed = self.may_be_stuck(seen.as_ref()) || self.may_lack_state(seen.as_ref());
        match &seen {
            None => {}
            Some(seen) if is_excused || may_have_failed => self.check_causes(model, seen, whereabouts),
            Some(seen) => self.check_expected(model, seen),
        }
        if !is_excused && !may_have_failed {
            check_attempts(model, attempts);
        }
        let expects_value = matches!(model.expected, Expected::Value { .. });
        let is_certain = !(is_excused || may_have_failed && expects_value);
        let gave = is_certain.then_some(expects_value);
        let seen = seen.unwrap_or(Seen::Gone { gave });
        let root = if let Seen::Error(error) = &seen { Some(self.root_of(index, error)) } else { None };
        let model = &mut self.tasks[index];
        (model.seen, model.root) = (Some(seen), root);
        self.count_end(index);
        self.parties.retain(|_, party| !(party.task == index && party.is_over()));
    }

    fn count_end(&mut self, index: usize) {
        let model = &self.tasks[index];
        let weight = model.weight();
        match model.has_value() {
            Some(true) => {
                assert!(model.has_given, "{} ends with a value that nobody gave", model.id);
                let WithoutValue { failed, cancelled } = model.content.without_value();
                let without_value = u64::from(failed + cancelled);
                self.done += weight - without_value;
                self.failed += without_value;
            }
            Some(false) => self.failed += weight,
            None => self.open += weight,
        }
        if let Some(Seen::Error(error)) = &model.seen {
            self.stalled += u64::from(matches!(error, TaskError::Stalled { .. }));
            let is_lost = matches!(error, TaskError::WorkerLost { .. } | TaskError::ValueLost { .. });
            self.lost_tasks += u64::from(is_lost);
            self.cancelled += u64::from(matches!(error, TaskError::Cancelled { .. }));
            if let TaskError::LimitReached { limit, .. } = error {
                self.limits_reached[*limit as usize] += 1;
            }
            self.stuck += u64::from(is_stuck(model.seen.as_ref()));
            self.nowhere += u64::from(says(error, NOWHERE));
            let lacks_state = u64::from(matches!(error, TaskError::Init { .. }));
            self.ended_without_state.0 += lacks_state;
            self.ended_without_state.1 += lacks_state * u64::from(self.is_barred(index));
        }
        self.cancelled_in_vain += u64::from(model.cancelled.is_some() && model.has_value() == Some(true));
    }

    /// A user gets this of a task: right bytes (true), wrong ones, or an error. It is how
    /// the task has ended, but a value may be lost afterwards.
    pub(super) fn check_got(&self, index: usize, result: &Result<bool, TaskError>, whereabouts: &Whereabouts<'_>) {
        let model = &self.tasks[index];
        match (&model.seen, result) {
            (Some(Seen::Value), Ok(is_right)) => assert!(is_right, "the bytes of {}", model.id),
            (Some(Seen::Value), Err(error @ TaskError::ValueLost { .. })) => {
                let is_lost = self.is_at_risk(index) && !whereabouts.has(model);
                assert!(is_lost, "{} is not lost: {error}", model.id);
                check_site(model, error);
            }
            (Some(Seen::Error(seen)), Err(error)) => assert_eq!(seen, error, "the error of {} stays", model.id),
            (seen, result) => panic!("{} gives {result:?} and has ended as {seen:?}", model.id),
        }
    }

    /// No loss can have changed how a task ends.
    fn check_expected(&self, model: &Task, seen: &Seen) {
        match (&model.expected, seen) {
            (Expected::Value { .. }, Seen::Value) => {}
            (Expected::Failed { attempts, text }, Seen::Error(error)) => {
                check_site(model, error);
                assert_eq!(error.site().map(|site| site.attempts), Some(*attempts), "{error}");
                assert!(says(error, text), "{} fails with {error} instead of {text}", model.id);
            }
            (Expected::Upstream | Expected::Stuck, Seen::Error(error @ TaskError::Upstream { .. })) => {
                check_site(model, error);
            }
            (Expected::Stuck, Seen::Error(error @ TaskError::Stalled { .. })) => check_site(model, error),
            // What fails of the others fails later, as it takes the end of one that is
            // stuck.
            (Expected::Upstream, Seen::Error(error @ TaskError::Stalled { .. })) if self.may_be_stuck_before(model) => {
                check_site(model, error);
            }
            (expected, seen) => panic!("{} ends with {seen:?} instead of {expected:?}", model.id),
        }
    }

    /// Whether a task waits for one that can never run.
    fn may_be_stuck_before(&self, model: &Task) -> bool {
        let is_stuck = |before: &Task| before.expected == Expected::Stuck || self.may_be_stuck_before(before);
        model.dependencies.iter().any(|&before| is_stuck(&self.tasks[before]))
    }

    /// A loss may have changed how a task ends: each error needs its cause all the same.
    fn check_causes(&self, model: &Task, seen: &Seen, whereabouts: &Whereabouts<'_>) {
        let Seen::Error(error) = seen else { return };
        check_site(model, error);
        let site = error.site().expect("it has just been looked at");
        let is_last = |cause| site.attempts == model.retries + 1 || !model.limits.terms.retry_on.contains(cause);
        match error {
            TaskError::Upstream { .. } => assert!(model.cancelled.is_none(), "{error}, but it was cancelled itself"),
            TaskError::Cancelled { .. } => assert!(model.cancelled.is_some(), "{error}, but nobody has cancelled it"),
            // All are cancelled for a state that is not made anew in time.
            TaskError::Init { .. } if model.cancelled.is_some() => self.check_lacks_state(model, error),
            _ if model.cancelled.is_some() => panic!("{error}, but it was cancelled"),
            TaskError::LimitReached { .. } => check_limit(model, error, self.now),
            TaskError::Stalled { .. } if is_stuck(Some(seen)) => self.check_stuck(error),
            TaskError::Failed { .. } if says(error, NOWHERE) => assert!(model.limits.wished > 0, "{error}"),
            TaskError::Init { .. } => self.check_lacks_state(model, error),
            TaskError::WorkerLost { .. } => {
                let worker = site.rank.expect("it names the worker").index() - 1;
                assert!(self.lost.contains(&worker), "{error}, but that worker lives");
                assert_eq!(site.host, Some(format!("host{}", (worker + 1) % 2)), "{error}");
                let leader = model.follow.and_then(|leader| self.tasks[leader].ran_on);
                let had_it = model.lost_with.contains(&(worker, site.attempts)) && is_last(RetryOn::LOST_WORKERS);
                assert!(had_it || leader == Some(worker), "{error}, but it can run elsewhere");
            }
            TaskError::ValueLost { .. } => {
                let mut inputs = model.inputs.iter().map(|input| self.index(input.source));
                let is_lost = |input| self.is_lost(input, (error, is_last(RetryOn::LOST_WORKERS)), whereabouts);
                assert!(inputs.any(is_lost), "{error}, but all inputs are there");
            }
            TaskError::Stalled { .. } => {
                let is_stuck = model.ranks > self.living() || model.expected == Expected::Stuck;
                let is_stuck = is_stuck || self.may_be_stuck_before(model);
                assert!(is_stuck, "{error}, but there are workers for it");
            }
            TaskError::Panicked { .. } => self.check_own_failure(model, site.attempts, is_last(RetryOn::PANICS), error),
            _ => self.check_own_failure(model, site.attempts, is_last(RetryOn::ERRORS), error),
        }
    }

    /// A task has ended because all workers for it were set aside: some attempt has
    /// reached a limit.
    fn check_stuck(&self, error: &TaskError) {
        assert!(self.has_limits(), "{error}, but there are no limits");
    }

    fn has_limits(&self) -> bool {
        self.tasks.iter().any(|task| task.limits.may_go_on())
    }

    /// Whether a task has ended because all workers for it were set aside, or may have,
    /// as it was gone at once.
    fn may_be_stuck(&self, seen: Option<&Seen>) -> bool {
        is_stuck(seen) || (seen.is_none() && self.has_limits())
    }

    /// A task has ended because a state could not be made: that has happened, and no
    /// attempt has followed one that ended so.
    fn check_lacks_state(&self, model: &Task, error: &TaskError) {
        assert!(error.message().is_some_and(|text| self.is_why_not_made(text)), "{error}, but that has not happened");
        // One that is lost with its worker, or is given up because that is silent, may
        // not have begun.
        let before = error.site().map_or(0, |site| site.attempts).saturating_sub(1);
        let may_not_have_begun = !self.lost.is_empty() || model.limits.terms.run_limit_ns.is_some();
        assert!(may_not_have_begun || before <= model.begun, "{error}, but no other attempt has begun");
    }

    /// Whether a task has ended because a state could not be made, or may have, as it was
    /// gone at once.
    fn may_lack_state(&self, seen: Option<&Seen>) -> bool {
        let has_gone = seen.is_none() && self.lacks_a_state();
        has_gone || matches!(seen, Some(Seen::Error(TaskError::Init { .. })))
    }

    /// Whether a task can have failed with this error because of an input.
    fn is_lost(&self, input: usize, (error, is_last): (&TaskError, bool), whereabouts: &Whereabouts<'_>) -> bool {
        let model = &self.tasks[input];
        let has_lost = match whereabouts.who_did_not_have(model.id, error) {
            Some(rank) => is_last && whereabouts.may_lack(model, rank),
            None => !whereabouts.has(model),
        };
        has_lost && self.is_at_risk(input)
    }

    /// A task has failed by itself, at this attempt.
    fn check_own_failure(&self, model: &Task, attempt: u32, is_last: bool, error: &TaskError) {
        let (text, is_final) = match &model.behaviour {
            Behaviour::Given => panic!("a value does not fail: {error}"),
            Behaviour::Single { failure, .. } => {
                assert_eq!(model.failed_at, attempt, "{error}");
                let outcome = Outcome::Fails(failure.clone());
                (failure_text(failure).to_owned(), outcome.is_final())
            }
            Behaviour::Group(_) => {
                let outcome = &model.script(attempt).outcome;
                (outcome.text(), outcome.is_final())
            }
        };
        assert!(is_last || is_final, "{error}, but there are attempts left");
        assert!(!text.is_empty() && says(error, &text), "{} fails with {error} instead of {text:?}", model.id);
    }

    /// Where the error of a task began.
    fn root_of(&self, index: usize, error: &TaskError) -> usize {
        if !matches!(error, TaskError::Upstream { .. }) {
            return index;
        }
        let root = error.root().site().and_then(|site| self.index_of_serial(site.task)).unwrap_or(usize::MAX);
        let is_cause = self.tasks[index].dependencies.iter().any(|&before| self.can_be_root(before, root));
        assert!(is_cause, "{} fails because of task {}", self.tasks[index].id, root.wrapping_add(1));
        root
    }

    /// Whether a task that has given no value can have failed because of that one.
    fn can_be_root(&self, index: usize, root: usize) -> bool {
        let model = &self.tasks[index];
        match &model.seen {
            None | Some(Seen::Value | Seen::Gone { gave: Some(true) }) => false,
            Some(Seen::Error(_)) => model.root == Some(root),
            Some(Seen::Gone { .. }) => {
                index == root || model.dependencies.iter().any(|&before| self.can_be_root(before, root))
            }
        }
    }

    /// The tasks of a graph that have failed, as far as that is certain.
    pub(super) fn failures_of(&self, graph_run: GraphRunId) -> Failures {
        let mut failures = Failures::default();
        for task in self.tasks.iter().filter(|task| task.graph_run == Some(graph_run)) {
            match (task.seen.as_ref().expect("the graph is over"), &task.expected) {
                (Seen::Value | Seen::Gone { gave: Some(true) }, _) => {}
                // It may have been cancelled before what it needs has failed.
                (Seen::Gone { gave: Some(false) }, Expected::Upstream) if self.cancels_for_states => failures.open += 1,
                (Seen::Error(TaskError::Upstream { .. }), _)
                | (Seen::Gone { gave: Some(false) }, Expected::Upstream) => failures.upstream += 1,
                (Seen::Error(_), _) | (Seen::Gone { gave: Some(false) }, Expected::Failed { .. }) => {
                    failures.own.push(task.id.serial());
                }
                (Seen::Gone { .. }, _) => failures.open += 1,
            }
        }
        failures
    }
}

/// What a task says that no worker is to run.
const NOWHERE: &str = "no worker is left";

/// Whether a task has ended because all workers for it were set aside.
fn is_stuck(seen: Option<&Seen>) -> bool {
    matches!(seen, Some(Seen::Error(error @ TaskError::Stalled { .. })) if says(error, "set aside"))
}

/// How the tasks of a graph have failed.
#[derive(Default, Debug)]
pub(super) struct Failures {
    /// Numbers of those that have failed themselves.
    pub(super) own: Vec<u32>,
    /// How many did not run because of others.
    pub(super) upstream: usize,
    /// How many may have failed in either way, or not.
    pub(super) open: usize,
}

/// The attempts of a task, as it has begun and as the controller tells them.
fn check_attempts(model: &Task, told: Option<u32>) {
    match &model.expected {
        Expected::Value { attempts } | Expected::Failed { attempts, .. } => {
            assert_eq!(model.begun, *attempts, "attempts of {}", model.id);
            assert!(told.is_none_or(|told| told == *attempts), "told attempts of {}", model.id);
        }
        Expected::Upstream | Expected::Stuck => assert_eq!(model.begun, 0, "{} must not run", model.id),
    }
}

/// An error names the task.
fn check_site(model: &Task, error: &TaskError) {
    let site = error.site().unwrap_or_else(|| panic!("{error} has a site"));
    assert_eq!(site.task, model.id.serial(), "{error}");
    assert_eq!(site.label, model.label, "{error}");
    assert!(site.attempts <= model.retries + 1, "{error}");
}

/// Whether an error says this.
fn says(error: &TaskError, text: &str) -> bool {
    error.message().is_some_and(|message| message.contains(text))
}
