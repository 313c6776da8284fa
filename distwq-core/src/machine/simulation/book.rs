//! What must hold, kept beside the machines and independent of them: of each task, of
//! each group.

use super::content::Content;
use super::script::{Outcome, Script};
use super::task::{Behaviour, Expected, Seen, Task};
use crate::codec;
use crate::function::argument::{Input, Part, Role, Shape};
use crate::function::remote::{Failure, InputArgument};
use crate::id::{GraphRunId, Rank, TaskId};
use crate::machine::Ns;
use crate::machine::worker;
use crate::outcome::error::TaskError;
use crate::task::current::Described;
use crate::task::group::GroupError;
use rustc_hash::{FxHashMap, FxHashSet};

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
    /// A member is lost: the others may be told of that at any time, and the controller
    /// tries again.
    pub(super) broken: bool,
}

/// What the serials of tasks of maps have.
const OF_MAP: u32 = 1 << 31;

impl Party {
    /// It is broken, and nobody is inside.
    pub(super) fn is_over(&self) -> bool {
        let has_left = |(member, left): (&Option<usize>, &Option<_>)| member.is_none() || left.is_some();
        self.broken && self.members.iter().zip(&self.left).all(has_left)
    }
}

/// All tasks by their numbers, all groups by their epochs.
#[derive(Default, Debug)]
pub(super) struct Book {
    pub(super) tasks: Vec<Task>,
    /// The tasks that are made of items of maps, in their order, and the others.
    of_maps: Vec<usize>,
    plain: Vec<usize>,
    pub(super) parties: FxHashMap<u64, Party>,
    /// The body of the program has failed: what has not ended may end in any way.
    pub(super) body_failed: bool,
    /// Workers that the controller was told are lost.
    pub(super) lost: Vec<usize>,
    /// Graphs whose tasks are cancelled when one of them fails, which none has.
    pub(super) cancelling: Vec<GraphRunId>,
    pub(super) cancelled_graphs: u64,
    workers: u32,
    /// Outputs of more bytes stay where they were made.
    inline_bytes_max: u64,
    /// Raw communicators that are to be freed: of which task, and on which worker.
    pub(super) to_be_freed: Vec<(usize, usize)>,
    /// Tasks whose groups have asked for one.
    with_raw: FxHashSet<usize>,
    /// One of these tasks has lost a member: who of the others is told to free it is not
    /// known here.
    pub(super) may_be_freed: bool,
    /// Lines that tasks have logged and nobody has heard, by worker and number.
    pub(super) unheard: FxHashSet<(Rank, u32)>,
    /// Why states could not be made, in the order in which that happened.
    init_failures: Vec<String>,
    /// One was not made anew in time: all tasks are cancelled for that.
    pub(super) cancels_for_states: bool,
    /// Tasks from this number on were added when the controller knew that: none begins.
    pub(super) barred_from: Option<usize>,
    /// Tasks that ended for that reason, and how many of them were such.
    pub(super) ended_without_state: (u64, u64),
    pub(super) done: u64,
    pub(super) failed: u64,
    /// Tasks that have ended and were gone at once, with a value or without.
    pub(super) open: u64,
    pub(super) retries: u64,
    pub(super) groups: u64,
    pub(super) deadlocks: u64,
    pub(super) stalled: u64,
    pub(super) lost_tasks: u64,
    pub(super) cancelled: u64,
    pub(super) cancelled_in_vain: u64,
    /// Errors of tasks that others have taken.
    pub(super) took_errors: u64,
    /// Tasks that ended at a limit, of each kind.
    pub(super) limits_reached: [u64; 3],
    /// Tasks that ended because all workers for them were set aside, or wanted them to
    /// run elsewhere.
    pub(super) stuck: u64,
    pub(super) nowhere: u64,
    /// By the clock of the controller.
    pub(super) now: Ns,
}

impl Book {
    /// That of a run with so many workers.
    pub(super) fn new(workers: u32, inline_bytes_max: u64) -> Self {
        Self { workers, inline_bytes_max, ..Self::default() }
    }

    /// How many workers there are, as far as the controller knows.
    pub(super) fn living(&self) -> u32 {
        self.workers - self.lost.len() as u32
    }

    /// Whether the value of a task was lost with its worker, unless another rank has a
    /// copy.
    pub(super) fn is_at_risk(&self, index: usize) -> bool {
        let model = &self.tasks[index];
        let was_there = model.ran_on.is_some_and(|worker| self.lost.contains(&worker));
        was_there && !model.gives_outcomes() && model.output.len() as u64 > self.inline_bytes_max
    }

    /// Whether a loss or a cancel can explain that a task does not go as it should.
    pub(super) fn is_excused(&self, index: usize) -> bool {
        let model = &self.tasks[index];
        let leader = model.follow.and_then(|leader| self.tasks[leader].ran_on);
        let by_loss = || {
            !model.lost_with.is_empty()
                || model.ranks > self.living()
                || leader.is_some_and(|leader| self.lost.contains(&leader))
                || model.inputs.iter().any(|input| self.is_at_risk(self.index(input.source)))
        };
        model.cancelled.is_some()
            || self.cancels_for_states
            || model.items_lack_state
            || model.limits.are_there()
            || (!self.lost.is_empty() && by_loss())
            || model.dependencies.iter().any(|&before| self.tasks[before].deviates())
    }

    /// A state could not be made: members of groups may fail of that.
    pub(super) fn state_not_made(&mut self, failure: String) {
        self.init_failures.push(failure);
        self.parties.values_mut().for_each(|party| party.broken = true);
        self.may_be_freed = true;
    }

    /// Whether some state could not be made.
    pub(super) fn lacks_a_state(&self) -> bool {
        !self.init_failures.is_empty()
    }

    /// Whether a text tells why a state could not be made.
    pub(super) fn is_why_not_made(&self, text: &str) -> bool {
        self.init_failures.iter().any(|failure| text.contains(failure))
    }

    /// Whether a task was added when the controller knew that a state could not be made.
    pub(super) fn is_barred(&self, index: usize) -> bool {
        self.barred_from.is_some_and(|from| index >= from)
    }

    /// The number of a task.
    pub(super) fn index(&self, id: TaskId) -> usize {
        let index = self.index_of_serial(id.serial());
        assert_eq!(index.map(|index| self.tasks[index].id), Some(id), "the id is whole");
        index.expect("it is there")
    }

    /// The number of the task with this serial.
    pub(super) fn index_of_serial(&self, serial: u32) -> Option<usize> {
        let place = (serial & !OF_MAP).checked_sub(1)? as usize;
        let serials = if serial & OF_MAP == 0 { &self.plain } else { &self.of_maps };
        serials.get(place).copied()
    }

    /// A task is added behind all others.
    pub(super) fn add(&mut self, task: Task) {
        let serials = if task.items.is_some() { &mut self.of_maps } else { &mut self.plain };
        serials.push(self.tasks.len());
        let mark = if task.items.is_some() { OF_MAP } else { 0 };
        assert_eq!(task.id.serial(), serials.len() as u32 | mark, "tasks are counted");
        self.tasks.push(task);
    }

    /// The controller is told of one handle more or less.
    pub(super) fn counted(&mut self, id: TaskId, change: i32) {
        let index = self.index(id);
        let counted = &mut self.tasks[index].counted;
        *counted = counted.checked_add_signed(change).expect("a handle is dropped once");
    }

    /// A task begins on a worker; `group` is the epoch and the index of a member of a
    /// group. Gives the number of the task.
    pub(super) fn begins(
        &mut self,
        worker: usize,
        task: &worker::Task,
        description: Option<&Described>,
        group: Option<(u64, usize, usize)>,
    ) -> usize {
        let index = self.index(task.id);
        let model = &self.tasks[index];
        let may_be = !model.has_ended() || model.limits.may_go_on();
        assert!(may_be, "{} begins after its end", task.id);
        assert!(!self.is_barred(index), "{} begins, and it is known that there is no state", task.id);
        assert!(model.remote.is_some_and(|remote| task.remote.is_some_and(|given| std::ptr::eq(remote, given))));
        for &before in &model.dependencies {
            let has_value = self.tasks[before].has_value() != Some(false);
            assert!(has_value, "{} begins before {} has ended", task.id, self.tasks[before].id);
        }
        for &before in &model.ends {
            assert!(self.tasks[before].has_ended(), "{} begins before the end of {}", task.id, self.tasks[before].id);
        }
        self.took_errors += model.ends.iter().filter(|&&end| self.tasks[end].has_value() == Some(false)).count() as u64;
        let model = &self.tasks[index];
        self.check_arguments(model, task);
        self.check_follow(model, worker, group);
        let (label, told) = description.map_or((None, 1), |told| (told.short.label(), told.short.attempt()));
        assert_eq!(label, model.label.as_deref(), "what is told of {}", model.id);
        assert_eq!(description.and_then(|told| told.items), model.items, "what is told of {}", model.id);
        let may_be = model.cancelled.is_none_or(|sent| told <= sent);
        assert!(may_be, "attempt {told} of {} begins after it was cancelled", model.id);
        match group {
            None => self.begins_alone(index, worker, told),
            Some((epoch, member, width)) => self.begins_in_group(index, worker, (epoch, told), (member, width)),
        }
        self.check_attempt(index, told);
        let model = &mut self.tasks[index];
        model.running += 1;
        model.told = model.told.max(told);
        index
    }

    fn begins_alone(&mut self, index: usize, worker: usize, attempt: u32) {
        let model = &mut self.tasks[index];
        assert!(matches!(model.behaviour, Behaviour::Single { .. }), "{} needs a group", model.id);
        assert!(model.running == 0 || model.limits.may_go_on(), "{} begins twice", model.id);
        model.begun += 1;
        // One that was given up may come after the next.
        if attempt >= model.told {
            model.ran_on = Some(worker);
        }
        self.retries += u64::from(model.begun > 1);
    }

    fn begins_in_group(
        &mut self,
        index: usize,
        worker: usize,
        (epoch, attempt): (u64, u32),
        (member, width): (usize, usize),
    ) {
        let lacks_a_state = self.lacks_a_state();
        let model = &mut self.tasks[index];
        assert_eq!(model.ranks as usize, width, "the width of {}", model.id);
        if !self.parties.contains_key(&epoch) {
            assert!(model.running == 0 || model.limits.may_go_on(), "{} begins twice", model.id);
            model.begun += 1;
            self.groups += 1;
            self.retries += u64::from(model.begun > 1);
            self.parties.retain(|_, party| !(party.task == index && party.is_over()));
            let (members, left) = (vec![None; width], vec![None; width]);
            let is_lost = model.lost_with.iter().any(|(_, lost)| *lost == attempt);
            let broken = is_lost || lacks_a_state || model.limits.may_go_on();
            self.parties.insert(epoch, Party { task: index, attempt, members, left, raw: false, broken });
        }
        let party = self.parties.get_mut(&epoch).expect("it has begun");
        assert_eq!((party.task, party.attempt), (index, attempt), "epochs are used once");
        assert!(party.members[member].is_none(), "member {member} of {} begins twice", model.id);
        assert!(!party.members.contains(&Some(worker)), "the members of {} are on ranks of their own", model.id);
        party.members[member] = Some(worker);
        if member == 0 && attempt >= model.told {
            model.ran_on = Some(worker);
        }
    }

    /// A task begins, and its worker is told that this is its attempt with this number.
    fn check_attempt(&self, index: usize, told: u32) {
        let model = &self.tasks[index];
        if self.is_excused(index) {
            let is_next = model.told <= told || model.limits.may_go_on();
            assert!(is_next && told <= model.retries + 1, "attempt {told} of {}", model.id);
            let most = model.retries as usize + 1 + model.lost_with.len() + model.limits.wished as usize;
            // A group that was given up may begin in parts.
            let is_group = matches!(model.behaviour, Behaviour::Group(_)) && model.limits.may_go_on();
            assert!(is_group || model.begun as usize <= most, "{} begins for the {}. time", model.id, model.begun);
            return;
        }
        assert_eq!(told, model.begun, "what is told of {}", model.id);
        // No attempt follows one that succeeds or that must be the last.
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
            let given = task.plain.as_slice();
            let together = model.arguments_together(|input, at| {
                let is_error = given.get(at..).is_some_and(|given| given.starts_with(&codec::ERR.to_le_bytes()));
                let mut bytes = Vec::new();
                if input.position.role == Role::End {
                    codec::encode_variant(if is_error { codec::ERR } else { codec::OK }, &mut bytes);
                }
                let at = at + bytes.len();
                let is_error = is_error && !bytes.is_empty();
                bytes.extend(self.input_bytes(input, is_error, given.get(at..).unwrap_or_default()));
                bytes
            });
            assert!(given == together, "the arguments of {} are right", model.id);
            return;
        }
        assert!(task.plain.as_slice() == model.plain, "the plain arguments of {} are right", model.id);
        let same = |one: &Input<TaskId>, next: &Input<TaskId>| one.position.parameter == next.position.parameter;
        let mut given = task.inputs.iter();
        for wanted in model.inputs.chunk_by(same) {
            let input = given.next().unwrap_or_else(|| panic!("an input of {} is missing", model.id));
            self.check_input(model, wanted, input);
        }
        assert!(given.next().is_none(), "{} has too many inputs", model.id);
    }

    /// The bytes that a task must get for an input: an output, or an error, of which
    /// `given` begins with what it gets.
    fn input_bytes(&self, input: &Input<TaskId>, is_error: bool, given: &[u8]) -> Vec<u8> {
        let index = self.index(input.source);
        let source = &self.tasks[index];
        if !is_error {
            let has_failed = input.position.role == Role::End && source.has_value() == Some(false);
            assert!(!has_failed, "{} has no value", source.id);
            return source.output.as_slice().to_vec();
        }
        let (error, _) = codec::decode_prefix::<TaskError>(given).expect("the error of a task travels");
        match &source.seen {
            Some(Seen::Error(seen)) => assert_eq!(*seen, error, "the error of {}", source.id),
            _ => {
                let is_lost = self.is_at_risk(index) && matches!(error, TaskError::ValueLost { .. });
                assert!(is_lost, "{} has not failed: {error}", source.id);
            }
        }
        codec::encode_plain(&error).expect("an error encodes").as_slice().to_vec()
    }

    /// The shape that these outputs must make; an error is told by its tag alone.
    fn shape(wanted: &[Input<TaskId>], given: &Shape) -> Shape {
        let given = if let Shape::Composed(parts) = given { &parts[..] } else { &[] };
        let part = |(index, input): (usize, &Input<TaskId>)| Part {
            offset: input.position.offset,
            tag: (input.position.role == Role::End).then_some(match given.get(index).map(|part| part.tag) {
                Some(Some(codec::ERR)) => codec::ERR,
                _ => codec::OK,
            }),
        };
        match wanted[0].position.role {
            Role::Whole => Shape::Whole,
            Role::Element => Shape::Gathered,
            Role::Part | Role::End => Shape::Composed(wanted.iter().enumerate().map(part).collect()),
        }
    }

    fn check_input(&self, model: &Task, wanted: &[Input<TaskId>], input: &InputArgument) {
        let expected = (wanted[0].position.parameter, &Self::shape(wanted, &input.shape));
        assert_eq!((input.parameter, &input.shape), expected, "an input of {}", model.id);
        assert_eq!(input.values.len(), wanted.len(), "an input of {}", model.id);
        for (index, (wanted, (id, resident))) in wanted.iter().zip(&input.values).enumerate() {
            assert_eq!(*id, wanted.source, "an input of {}", model.id);
            let resident = resident.as_ref().expect("a task that begins has its inputs");
            let is_error = matches!(&input.shape, Shape::Composed(parts) if parts[index].tag == Some(codec::ERR));
            let bytes = resident.payload().as_slice();
            assert!(bytes == self.input_bytes(wanted, is_error, bytes), "{} gets the bytes of {id}", model.id);
        }
    }

    /// A single-rank task that was cancelled stops for that reason.
    pub(super) fn stops_alone(&mut self, index: usize, (attempt, is_late): (u32, bool)) -> Failure {
        let model = &mut self.tasks[index];
        model.running -= 1;
        if is_late {
            model.limits.overran.push(attempt);
        }
        Failure::Returned("it was cancelled".to_owned())
    }

    /// A task of several items that was cancelled begins none after these.
    pub(super) fn stops_between(&mut self, index: usize, items: usize) {
        let model = &mut self.tasks[index];
        model.running -= 1;
        model.has_given = true;
        if let Content::Outcomes { begun, .. } = &mut model.content {
            *begun = items;
        }
        model.output = model.content.encoded();
    }

    /// A single-rank task ends for which there is no state; of several items each has
    /// failed of that. Gives the failure of the task.
    pub(super) fn ends_without_state(
        &mut self,
        index: usize,
        (attempt, is_late): (u32, bool),
        failure: Failure,
    ) -> Option<Failure> {
        let model = &mut self.tasks[index];
        model.running -= 1;
        if is_late {
            model.limits.overran.push(attempt);
        }
        let Content::Outcomes { outcomes, begun } = &mut model.content else { return Some(failure) };
        *begun = outcomes.len();
        outcomes.fill_with(|| Err(failure.clone()));
        model.output = model.content.encoded();
        (model.has_given, model.items_lack_state) = (true, true);
        None
    }

    /// What the group of this epoch does.
    pub(super) fn script(&self, epoch: u64) -> &Script {
        let party = &self.parties[&epoch];
        self.tasks[party.task].script(party.attempt)
    }

    /// A member of a group is told that an operation cannot succeed: that has to be true.
    pub(super) fn check_group_error(&self, epoch: u64, error: &GroupError) {
        let (party, outcome) = (&self.parties[&epoch], &self.script(epoch).outcome);
        match error {
            GroupError::Closed(_) => assert!(self.body_failed, "the run goes on"),
            GroupError::MemberFailed { member, .. } => {
                let has_failed = party.left[*member] == Some(Err(()));
                assert!(party.broken || has_failed, "member {member} of epoch {epoch} has failed");
                assert!(party.broken || self.body_failed || *outcome != Outcome::Good, "{outcome:?}");
            }
            GroupError::MemberLeft { member, .. } => {
                assert!(party.left[*member].is_some(), "member {member} of epoch {epoch} has left");
                assert!(party.broken || self.body_failed || *outcome == Outcome::Left, "{outcome:?}");
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
        let party = self.parties.get_mut(&epoch).expect("it has begun");
        party.raw = true;
        self.with_raw.insert(party.task);
        self.may_be_freed |= party.broken;
    }

    /// A single-rank task ends on its worker, in this attempt, which has run past its
    /// limit or not. Gives its failure, if it has one.
    pub(super) fn ends_alone(
        &mut self,
        index: usize,
        (attempt, is_late): (u32, bool),
        wish: Option<Failure>,
    ) -> Option<Failure> {
        let model = &mut self.tasks[index];
        model.running -= 1;
        let failure = wish.or_else(|| model.failure(attempt).cloned());
        match failure {
            _ if is_late => model.limits.overran.push(attempt),
            Some(_) => model.failed_at = attempt,
            None => model.has_given = true,
        }
        failure
    }

    /// A worker dies within a single-rank task.
    pub(super) fn dies_in(&mut self, index: usize) {
        self.tasks[index].running -= 1;
    }

    /// A worker dies, and so do its parts of groups.
    pub(super) fn dies(&mut self, worker: usize) {
        for party in self.parties.values_mut() {
            let Some(member) = party.members.iter().position(|member| *member == Some(worker)) else { continue };
            if party.left[member].is_none() {
                party.left[member] = Some(Err(()));
                self.tasks[party.task].running -= 1;
            }
            party.broken = true;
            self.may_be_freed |= self.with_raw.contains(&party.task);
        }
        let Self { parties, tasks, .. } = self;
        parties.retain(|_, party| !(party.is_over() && tasks[party.task].has_ended()));
    }

    /// The groups of these tasks may be given up at any time from here on, also if all
    /// members have left and the controller does not know.
    pub(super) fn may_be_given_up(&mut self, tasks: &[usize]) {
        let of_tasks = |party: &&mut Party| tasks.contains(&party.task);
        self.parties.values_mut().filter(of_tasks).for_each(|party| party.broken = true);
        self.may_be_freed |= tasks.iter().any(|task| self.with_raw.contains(task));
    }

    /// The controller is about to be told that a worker is lost, which has this task.
    pub(super) fn is_lost_with(&mut self, index: usize, worker: usize, attempt: u32) {
        self.tasks[index].lost_with.push((worker, attempt));
        for party in self.parties.values_mut().filter(|party| party.task == index) {
            party.broken = true;
        }
        self.may_be_freed |= self.with_raw.contains(&index);
        // That it asked for the communicator may be lost with it.
        self.to_be_freed.retain(|(task, _)| *task != index);
    }

    /// A member leaves its group.
    pub(super) fn leaves(&mut self, epoch: u64, member: usize, result: Result<(), ()>) {
        let outcome = self.script(epoch).outcome.clone();
        let party = self.parties.get_mut(&epoch).expect("it has begun");
        let model = &mut self.tasks[party.task];
        model.running -= 1;
        // The output of a group is that of its first member.
        model.has_given |= member == 0 && result.is_ok();
        assert!(party.left[member].replace(result).is_none(), "a member leaves once");
        if party.is_over() && model.has_ended() {
            self.parties.remove(&epoch);
            return;
        }
        if party.left.iter().any(Option::is_none) {
            return;
        }
        let party = self.parties.remove(&epoch).expect("it was there");
        if self.body_failed || party.broken {
            return;
        }
        let has_failed = party.left.contains(&Some(Err(())));
        assert_eq!(has_failed, outcome != Outcome::Good, "epoch {epoch} goes as its script says");
        self.deadlocks += u64::from(outcome == Outcome::Deadlock);
        if party.raw && has_failed {
            self.to_be_freed.extend(party.members.iter().flatten().map(|worker| (party.task, *worker)));
        }
    }

    /// Whether somebody needs a task: a handle, a task that takes its output, or what it
    /// still waits for itself.
    pub(super) fn is_needed(&self, index: usize, consumers: &[usize]) -> bool {
        let model = &self.tasks[index];
        let is_pending = |&other: &usize| !self.tasks[other].has_ended();
        let waits = || model.dependencies.iter().chain(&model.ends).any(is_pending);
        !model.has_ended() || model.counted > 0 || consumers.iter().any(is_pending) || waits()
    }
}
