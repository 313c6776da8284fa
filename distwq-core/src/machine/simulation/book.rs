//! What must hold, kept beside the machines and independent of them: of each task, of each group.

use super::script::{Outcome, Script};
use super::task::{Behaviour, Expected, Task};
use crate::function::argument::Input;
use crate::function::remote::InputArgument;
use crate::id::{RunId, TaskId};
use crate::machine::worker;
use crate::outcome::error::TaskError;
use crate::task::current::Description;
use crate::task::group::GroupError;
use rustc_hash::FxHashMap;

/// One attempt of a group, from when its first member begins until the last one has left.
#[derive(Debug)]
pub(super) struct Party {
    pub(super) task: usize,
    pub(super) attempt: u32,
    /// By member, the worker once it has begun, and how it has left.
    members: Vec<Option<usize>>,
    left: Vec<Option<Result<(), ()>>>,
    /// Some member has asked for the raw communicator.
    raw: bool,
}

/// All tasks by their numbers, all groups by their epochs.
#[derive(Default, Debug)]
pub(super) struct Book {
    pub(super) tasks: Vec<Task>,
    pub(super) parties: FxHashMap<u64, Party>,
    /// The body of the program has failed: what has not ended may end in any way.
    pub(super) body_failed: bool,
    /// Raw communicators that are to be freed, once for each of these workers.
    pub(super) to_be_freed: Vec<usize>,
    pub(super) done: u64,
    pub(super) failed: u64,
    pub(super) retries: u64,
    pub(super) groups: u64,
    pub(super) deadlocks: u64,
}

impl Book {
    /// The number of a task.
    pub(super) fn index(&self, id: TaskId) -> usize {
        let index = id.serial() as usize - 1;
        assert_eq!(self.tasks[index].id, id, "the id is whole");
        index
    }

    /// The controller is told of one handle more or less.
    pub(super) fn counted(&mut self, id: TaskId, change: i32) {
        let index = self.index(id);
        let counted = &mut self.tasks[index].counted;
        *counted = counted.checked_add_signed(change).expect("a handle is dropped once");
    }

    /// A task begins on a worker; `group` is the epoch and the place of a member of a group. Gives the
    /// number of the task.
    pub(super) fn begins(
        &mut self,
        worker: usize,
        task: &worker::Task,
        description: Option<&Description>,
        group: Option<(u64, usize, usize)>,
    ) -> usize {
        let index = self.index(task.id);
        let model = &self.tasks[index];
        assert!(!model.ended, "{} begins after its end", task.id);
        assert!(model.remote.is_some_and(|remote| task.remote.is_some_and(|given| std::ptr::eq(remote, given))));
        for &before in &model.dependencies {
            assert!(self.tasks[before].has_value(), "{} begins before {} has ended", task.id, self.tasks[before].id);
        }
        self.check_arguments(model, task);
        self.check_follow(model, worker, group);
        let attempt = match group {
            None => self.begins_alone(index, worker),
            Some((epoch, member, width)) => self.begins_in_group(index, worker, epoch, (member, width)),
        };
        self.tasks[index].running += 1;
        let model = &self.tasks[index];
        let (label, told) = description.map_or((None, 1), |told| (told.label(), told.attempt()));
        assert_eq!((label, told), (model.label.as_deref(), attempt), "what is told of {}", model.id);
        index
    }

    fn begins_alone(&mut self, index: usize, worker: usize) -> u32 {
        let model = &mut self.tasks[index];
        assert!(matches!(model.behaviour, Behaviour::Single { .. }), "{} needs a group", model.id);
        assert_eq!(model.running, 0, "{} begins twice", model.id);
        model.begun += 1;
        model.ran_on = Some(worker);
        self.retries += u64::from(model.begun > 1);
        self.check_attempts(index);
        self.tasks[index].begun
    }

    fn begins_in_group(&mut self, index: usize, worker: usize, epoch: u64, (member, width): (usize, usize)) -> u32 {
        let model = &mut self.tasks[index];
        assert_eq!(model.ranks as usize, width, "the width of {}", model.id);
        let party = self.parties.entry(epoch).or_insert_with(|| {
            assert_eq!(model.running, 0, "{} begins twice", model.id);
            model.begun += 1;
            self.groups += 1;
            self.retries += u64::from(model.begun > 1);
            let (members, left) = (vec![None; width], vec![None; width]);
            Party { task: index, attempt: model.begun, members, left, raw: false }
        });
        assert_eq!(party.task, index, "epochs are used once");
        assert!(party.members[member].is_none(), "member {member} of {} begins twice", model.id);
        assert!(!party.members.contains(&Some(worker)), "the members of {} are on ranks of their own", model.id);
        party.members[member] = Some(worker);
        if member == 0 {
            model.ran_on = Some(worker);
        }
        let attempt = party.attempt;
        self.check_attempts(index);
        attempt
    }

    /// No attempt follows one that succeeds or that must be the last.
    fn check_attempts(&self, index: usize) {
        let model = &self.tasks[index];
        let (Expected::Value { attempts } | Expected::Failed { attempts, .. }) = model.expected else {
            panic!("{} begins, though what comes before it has no value", model.id);
        };
        assert!(model.begun <= attempts, "{} begins for the {}. time", model.id, model.begun);
    }

    fn check_follow(&self, model: &Task, worker: usize, group: Option<(u64, usize, usize)>) {
        let is_first = group.is_none_or(|(_, member, _)| member == 0);
        if let Some(leader) = model.follow.and_then(|leader| self.tasks[leader].ran_on)
            && is_first
        {
            assert_eq!(leader, worker, "{} follows a task to its worker", model.id);
        }
    }

    fn check_arguments(&self, model: &Task, task: &worker::Task) {
        if task.inputs.is_empty() && !model.inputs.is_empty() {
            let together = model.arguments_together(|source| &self.tasks[self.index(source)].output);
            assert!(task.plain.as_slice() == together, "the arguments of {} are right", model.id);
            return;
        }
        assert!(task.plain.as_slice() == model.plain, "the plain arguments of {} are right", model.id);
        let same = |one: &Input<TaskId>, next: &Input<TaskId>| one.place.parameter == next.place.parameter;
        let mut given = task.inputs.iter();
        for wanted in model.inputs.chunk_by(same) {
            let input = given.next().unwrap_or_else(|| panic!("an input of {} is missing", model.id));
            self.check_input(model, wanted, input);
        }
        assert!(given.next().is_none(), "{} has too many inputs", model.id);
    }

    fn check_input(&self, model: &Task, wanted: &[Input<TaskId>], input: &InputArgument) {
        let place = wanted[0].place;
        assert_eq!((input.parameter, input.gathered), (place.parameter, place.gathered), "an input of {}", model.id);
        assert_eq!(input.values.len(), wanted.len(), "an input of {}", model.id);
        for (wanted, (id, resident)) in wanted.iter().zip(&input.values) {
            assert_eq!(*id, wanted.source, "an input of {}", model.id);
            let resident = resident.as_ref().expect("a task that begins has its inputs");
            let output = &self.tasks[self.index(*id)].output;
            assert!(resident.payload() == output, "{} gets the bytes of {id}", model.id);
        }
    }

    /// What the group of this epoch does.
    pub(super) fn script(&self, epoch: u64) -> &Script {
        let party = &self.parties[&epoch];
        let Behaviour::Group(scripts) = &self.tasks[party.task].behaviour else {
            panic!("{} is no group", self.tasks[party.task].id);
        };
        &scripts[party.attempt as usize - 1]
    }

    /// A member of a group is told that an operation cannot succeed: that has to be true.
    pub(super) fn check_group_error(&self, epoch: u64, error: &GroupError) {
        let (party, outcome) = (&self.parties[&epoch], &self.script(epoch).outcome);
        match error {
            GroupError::Closed(_) => assert!(self.body_failed, "the run goes on"),
            GroupError::MemberFailed { member, .. } => {
                assert_eq!(party.left[*member], Some(Err(())), "member {member} of epoch {epoch} has failed");
                assert!(self.body_failed || *outcome != Outcome::Good, "{outcome:?}");
            }
            GroupError::MemberLeft { member, .. } => {
                assert!(party.left[*member].is_some(), "member {member} of epoch {epoch} has left");
                assert!(self.body_failed || *outcome == Outcome::Left, "{outcome:?}");
            }
            GroupError::Deadlock { .. } => {
                assert!(*outcome == Outcome::Deadlock, "epoch {epoch} is told of a deadlock: {error}");
            }
            GroupError::Mismatch { .. } => assert!(*outcome == Outcome::Mismatch, "epoch {epoch}: {error}"),
            other => panic!("no member of epoch {epoch} is to be told this: {other}"),
        }
    }

    /// A member asks for the raw communicator.
    pub(super) fn uses_raw(&mut self, epoch: u64) {
        self.parties.get_mut(&epoch).expect("it has begun").raw = true;
    }

    /// A single-rank task ends on its worker.
    pub(super) fn ends_alone(&mut self, index: usize) {
        self.tasks[index].running -= 1;
    }

    /// A member leaves its group.
    pub(super) fn leaves(&mut self, epoch: u64, member: usize, result: Result<(), ()>) {
        let outcome = self.script(epoch).outcome.clone();
        let party = self.parties.get_mut(&epoch).expect("it has begun");
        self.tasks[party.task].running -= 1;
        assert!(party.left[member].replace(result).is_none(), "a member leaves once");
        if party.left.iter().any(Option::is_none) {
            return;
        }
        let party = self.parties.remove(&epoch).expect("it was there");
        if self.body_failed {
            return;
        }
        let has_failed = party.left.contains(&Some(Err(())));
        assert_eq!(has_failed, outcome != Outcome::Good, "epoch {epoch} goes as its script says");
        self.deadlocks += u64::from(outcome == Outcome::Deadlock);
        if party.raw && has_failed {
            self.to_be_freed.extend(party.members.iter().flatten());
        }
    }

    /// The controller says that a task has ended with this output or error; with nothing if its output lies elsewhere.
    pub(super) fn ended(&mut self, index: usize, attempts: Option<u32>, result: Option<Result<bool, TaskError>>) {
        let model = &self.tasks[index];
        assert_eq!(model.running, 0, "{} ends while it runs", model.id);
        let before = if self.body_failed { None } else { Some(&model.expected) };
        match before {
            Some(Expected::Value { attempts: expected } | Expected::Failed { attempts: expected, .. }) => {
                assert_eq!(model.begun, *expected, "attempts of {}", model.id);
                assert!(attempts.is_none_or(|told| told == *expected), "told attempts of {}", model.id);
            }
            Some(Expected::Upstream) => assert_eq!(model.begun, 0, "{} must not run", model.id),
            None => {}
        }
        if let Some(result) = result {
            let root = self.check_result(index, result);
            self.tasks[index].root = root;
        }
        let model = &mut self.tasks[index];
        model.ended = true;
        match model.expected {
            Expected::Value { .. } => self.done += 1,
            Expected::Failed { .. } | Expected::Upstream => self.failed += 1,
        }
    }

    /// A task has given this: right bytes (true), wrong ones, or an error. Gives where the error began.
    pub(super) fn check_result(&self, index: usize, result: Result<bool, TaskError>) -> Option<usize> {
        let model = &self.tasks[index];
        match (&model.expected, result) {
            (Expected::Value { .. }, Ok(right)) => {
                assert!(right, "the bytes of {}", model.id);
                None
            }
            (Expected::Failed { attempts, text }, Err(error)) => {
                let site = error.site().unwrap_or_else(|| panic!("{error} has a place"));
                assert_eq!(site.task, model.id.serial(), "{error}");
                assert_eq!(site.attempts, *attempts, "{error}");
                assert_eq!(site.label, model.label, "{error}");
                let message = error.message().unwrap_or_default();
                assert!(message.contains(text.as_str()), "{} fails with {message:?} instead of {text:?}", model.id);
                Some(index)
            }
            (Expected::Upstream, Err(error)) => {
                assert!(matches!(error, TaskError::Upstream { .. }), "{} ends as {error:?}", model.id);
                let root = error.root().site().map_or(0, |site| site.task as usize).wrapping_sub(1);
                assert!(self.roots(index).contains(&root), "{} fails because of task {root}", model.id);
                Some(root)
            }
            (expected, result) => panic!("{} gives {result:?} instead of {expected:?}", model.id),
        }
    }

    /// Where the errors can have begun that keep a task from running.
    fn roots(&self, index: usize) -> Vec<usize> {
        let failed = self.tasks[index].dependencies.iter().filter(|&&before| {
            let before = &self.tasks[before];
            before.ended && !before.has_value()
        });
        let mut roots = Vec::new();
        for &before in failed {
            match (&self.tasks[before].expected, self.tasks[before].root) {
                (_, Some(root)) => roots.push(root),
                (Expected::Failed { .. }, None) => roots.push(before),
                (_, None) => roots.extend(self.roots(before)),
            }
        }
        roots
    }

    /// Whether somebody needs a task: a handle, a task that takes its output, or what it still waits for itself.
    pub(super) fn is_needed(&self, index: usize, consumers: &[usize]) -> bool {
        let model = &self.tasks[index];
        let waits = || model.dependencies.iter().any(|&before| !self.tasks[before].ended);
        !model.ended || model.counted > 0 || consumers.iter().any(|&other| !self.tasks[other].ended) || waits()
    }

    /// Numbers of the tasks of a graph that fail themselves, and how many do not run.
    pub(super) fn failures_of(&self, run: RunId) -> (Vec<u32>, usize) {
        let of_run = || self.tasks.iter().filter(|task| task.run == Some(run));
        let failed = of_run().filter(|task| matches!(task.expected, Expected::Failed { .. }));
        let upstream = of_run().filter(|task| task.expected == Expected::Upstream).count();
        (failed.map(|task| task.id.serial()).collect(), upstream)
    }
}
