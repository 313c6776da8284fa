//! Takes tasks, values and graphs from users, or refuses them.

use super::ends::upstream;
use super::engine::ControllerEngine;
use super::table::{Entry, HomeCopy, Output};
use crate::call::{Input, Options, Parts};
use crate::codec::Payload;
use crate::error::{PathStep, Reason, Refusal, RunError, TaskError};
use crate::graph::{Graph, StartingNode};
use crate::id::TaskId;
use crate::info::{TaskInfo, TaskState};
use crate::machine::scheduler::{Event, Spec};
use crate::reference::{Outcomes, Reference, State};
use crate::registry::Remote;
use rustc_hash::FxHashMap;
use smallvec::SmallVec;
use std::num::NonZeroU32;
use std::sync::Arc;

/// One started graph.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(crate) struct RunId(NonZeroU32);

/// How far a started graph is.
#[derive(Default, Debug)]
pub(super) struct GraphRun {
    outstanding: usize,
    failed: Vec<Arc<TaskError>>,
    upstream: usize,
    /// Why the first of them did not: needed where all that failed is outside of the graph.
    cause: Option<Arc<TaskError>>,
}

impl GraphRun {
    /// Tells the run that a task belongs to, if it does, that it has ended. Gives the run if that is over then.
    #[inline]
    pub(super) fn tell(runs: &mut FxHashMap<RunId, Self>, task: &Entry) -> Option<RunId> {
        let id = task.run?;
        let run = runs.get_mut(&id)?;
        run.ended(&task.output);
        run.is_over().then_some(id)
    }

    fn ended(&mut self, output: &Output) {
        self.outstanding -= 1;
        match output {
            Output::Failed(error) => self.failed.push(Arc::clone(error)),
            Output::Upstream(step) => {
                self.upstream += 1;
                self.cause.get_or_insert_with(|| Arc::clone(step.root()));
            }
            Output::Pending | Output::Here | Output::Resident { .. } => {}
        }
    }

    pub(super) fn is_over(&self) -> bool {
        self.outstanding == 0
    }
}

/// A task to be taken, with the tasks that it depends on by their ids.
struct NewTask<'a> {
    remote: &'static Remote,
    inputs: &'a [Input<TaskId>],
    options: Option<&'a Options>,
    /// Tasks to wait for besides those that the options name.
    before: &'a [TaskId],
    level: u32,
    run: Option<RunId>,
}

impl ControllerEngine {
    /// Takes one task, or says why not. What is left of its parts is the caller's to drop.
    pub(crate) fn submit(&mut self, parts: &mut Parts) -> Result<TaskId, Arc<PathStep>> {
        self.check(parts)?;
        if self.in_flight == 0 {
            // While tasks flow, turns keep the time.
            self.now_ns = crate::runtime::clock::now_ns();
        }
        let mut inputs = SmallVec::<[Input<TaskId>; 4]>::new();
        // A loop, because collecting costs several times as much.
        for input in &parts.arguments.inputs {
            inputs.push(Input { source: input.source.task(), place: input.place });
        }
        self.submitting = true;
        let Parts { remote, arguments, options } = parts;
        let options = options.as_deref();
        let new = NewTask { remote, inputs: &inputs, options, before: &[], level: 0, run: None };
        let task = self.add(&new, |payload| arguments.plain.move_to(payload));
        self.submitting = false;
        self.submitted();
        Ok(task)
    }

    /// Takes a value that a user gives. A large one is worth a turn, in which those that nobody holds any more go.
    pub(crate) fn submit_value(&mut self, payload: Payload) -> Result<TaskId, Arc<PathStep>> {
        let large = payload.len() as u64 > self.limits.inline_bytes_max;
        let task = self.add_value(payload)?;
        if large {
            self.turn_now();
        } else {
            self.submitted();
        }
        Ok(task)
    }

    /// Takes a value.
    fn add_value(&mut self, payload: Payload) -> Result<TaskId, Arc<PathStep>> {
        if self.is_closing() {
            return Err(PathStep::refused("value", Refusal::Closed));
        }
        let bytes = payload.len() as u64;
        let now_ns = self.now_ns;
        let task = self.table.insert(&[], |entry| {
            (entry.output, entry.payload) = (Output::Here, payload);
            (entry.submitted_ns, entry.started_ns, entry.finished_ns) = (now_ns, now_ns, now_ns);
        });
        self.tell_scheduler(Event::Value { task, bytes });
        Ok(task)
    }

    /// Whether a task can run at all.
    fn check(&self, parts: &Parts) -> Result<(), Arc<PathStep>> {
        if parts.is_plain() && !self.is_closing() {
            return Ok(());
        }
        let dependency = || parts.dependencies().find_map(|other| self.refusal_of(other, None));
        let reason = if self.is_closing() {
            Some(Refusal::Closed.into())
        } else {
            // What is wrong whatever the cluster comes first: more ranks would not help it.
            let own = parts.refusal().or_else(|| self.too_many_ranks(parts.options()));
            own.map(Reason::from).or_else(dependency)
        };
        reason.map_or(Ok(()), |reason| Err(PathStep::refused(&parts.name(), reason)))
    }

    fn too_many_ranks(&self, options: &Options) -> Option<Refusal> {
        let workers = self.workers() as u32;
        let wanted = options.ranks.filter(|wanted| *wanted > workers)?;
        Some(Refusal::TooManyRanks { wanted, workers })
    }

    /// Why a handle cannot be a dependency. Those of graph `graph` may be unbound: they are about to be bound.
    fn refusal_of(&self, other: &Reference, graph: Option<u64>) -> Option<Reason> {
        match other.state() {
            State::Bound(_, outcomes) => (outcomes.session() != self.session).then_some(Refusal::ForeignHandle.into()),
            State::Refused(step) => Some(Reason::Dependency(Arc::clone(step))),
            State::Unbound(node) if Some(node.graph) == graph => None,
            State::Unbound(_) => Some(Refusal::NotStartedDependency.into()),
        }
    }

    /// Why a graph cannot start.
    pub(crate) fn refusal_of_graph(&self, graph: &Graph) -> Option<Arc<PathStep>> {
        if self.is_closing() {
            return Some(PathStep::refused("graph", Refusal::Closed));
        }
        let refusal_of = |other: &Reference| self.refusal_of(other, Some(graph.id()));
        let options = |said: &Options| {
            let own = self.too_many_ranks(said).map(Reason::from);
            own.or_else(|| said.dependencies().find_map(refusal_of))
        };
        graph.refused_by(options, refusal_of)
    }

    /// Takes a graph, all of it checked before. Its handles ask for their outputs at `outcomes`.
    pub(crate) fn start_graph(&mut self, graph: &mut Graph, outcomes: &Arc<dyn Outcomes>) -> RunId {
        self.now_ns = crate::runtime::clock::now_ns();
        self.run_serial = self.run_serial.checked_add(1).expect("fewer than 2^32 graphs are started");
        let run = RunId(self.run_serial);
        self.runs.insert(run, GraphRun::default());
        // The places of those that have gone are used again.
        self.release();
        let new_slots = self.table.reserve(graph.len(), graph.inputs_room());
        self.scheduler.reserve(graph.len(), new_slots, graph.dependencies());
        self.tell_scheduler(Event::Hold);
        let mut outstanding = 0;
        graph.start(outcomes, |node| {
            let StartingNode { remote, plain, inputs, options, before, level } = node;
            let Some(remote) = remote else {
                let mut payload = Payload::EMPTY;
                plain.move_to(&mut payload);
                return self.add_value(payload).expect("a graph is checked before it starts");
            };
            outstanding += 1;
            let new = NewTask { remote, inputs, options, before, level, run: Some(run) };
            self.add(&new, |payload| plain.move_to(payload))
        });
        if let Some(run) = self.runs.get_mut(&run) {
            run.outstanding += outstanding;
        }
        self.tell_scheduler(Event::Resume);
        self.turn_now();
        run
    }

    /// Whether all tasks of a graph have ended.
    pub(crate) fn has_run_ended(&self, run: RunId) -> bool {
        self.is_over() || self.runs.get(&run).is_none_or(GraphRun::is_over)
    }

    /// The failures of a graph that is over: those of tasks themselves, and how many did not run because of them.
    pub(crate) fn take_run(&mut self, run: RunId) -> Result<(), RunError> {
        let run = self.runs.remove(&run).unwrap_or_default();
        if !run.is_over() {
            return Err(RunError::Closed { outstanding: run.outstanding });
        }
        let outside = run.cause.filter(|_| run.failed.is_empty());
        let mut failed: Vec<TaskError> = run.failed.iter().chain(&outside).map(|error| (**error).clone()).collect();
        if failed.is_empty() {
            return Ok(());
        }
        failed.sort_by_key(|error| error.site().map(|site| site.task));
        Err(RunError::Failed { failed, upstream: run.upstream })
    }

    /// Nobody will ask how the graph as a whole went.
    pub(crate) fn forget_run(&mut self, run: RunId) {
        self.runs.remove(&run);
    }

    /// Adds a task; `fill` puts the arguments that came as values into their place.
    #[inline]
    fn add(&mut self, new: &NewTask<'_>, fill: impl FnOnce(&mut Payload)) -> TaskId {
        let &NewTask { remote, inputs, options, before, level, run } = new;
        let collective = remote.is_collective();
        let every = if collective { self.workers() as u32 } else { 1 };
        let task = self.table.insert(inputs, |entry| {
            entry.function = Some(remote);
            fill(&mut entry.payload);
            entry.submitted_ns = self.now_ns;
            entry.run = run;
        });
        self.counts.submitted += 1;
        let spec = Spec { ranks: every, collective, level, ..Spec::PLAIN };
        if inputs.is_empty() && before.is_empty() && options.is_none() {
            self.tell_scheduler(Event::Added { task, spec: &spec });
        } else {
            self.add_with_wishes(task, new, spec);
        }
        task
    }

    /// Tells the scheduler of a task that depends on others or says more than its function and its arguments.
    fn add_with_wishes(&mut self, task: TaskId, new: &NewTask<'_>, spec: Spec<'_>) {
        let mut inputs = SmallVec::<[TaskId; 8]>::new();
        for input in new.inputs {
            inputs.push(input.source);
        }
        let options = new.options.unwrap_or(Options::NONE);
        let mut after = SmallVec::<[TaskId; 8]>::from_slice(new.before);
        after.extend(options.after.iter().map(Reference::task));
        if let (Some(label), Some(entry)) = (&options.label, self.table.get_mut(task)) {
            entry.label = Some(Box::from(&**label));
        }
        let spec = Spec {
            inputs: &inputs,
            after: &after,
            follow: options.follow.as_ref().map(Reference::task),
            ranks: options.ranks.unwrap_or(spec.ranks),
            priority: options.priority,
            retries: options.retries,
            ..spec
        };
        self.tell_scheduler(Event::Added { task, spec: &spec });
    }

    /// What is known of a task.
    pub(crate) fn info(&self, task: TaskId) -> Option<TaskInfo> {
        let entry = self.table.get(task)?;
        let state = match entry.output {
            Output::Pending if entry.attempts == 0 => TaskState::Waiting,
            Output::Pending => TaskState::Sent,
            Output::Here | Output::Resident { .. } => TaskState::Done,
            Output::Failed(_) | Output::Upstream(_) => TaskState::Failed,
        };
        let places = || entry.place.workers().iter().map(|worker| &self.workers[worker.index()]);
        Some(TaskInfo {
            id: entry.serial,
            function: entry.path().to_owned(),
            label: entry.label().map(str::to_owned),
            state,
            ranks: places().map(|place| place.rank).collect(),
            hosts: places().map(|place| place.host.clone()).collect(),
            attempts: entry.attempts,
            submitted_ns: entry.submitted_ns,
            started_ns: (entry.started_ns > 0).then_some(entry.started_ns),
            finished_ns: (entry.finished_ns > 0).then_some(entry.finished_ns),
            output_bytes: entry.output_bytes(),
        })
    }

    /// Gives the output of a task if it is here. False if not.
    #[inline]
    pub(crate) fn output_here(&self, task: TaskId, into: &mut Payload) -> bool {
        let here = self.table.get(task).and_then(Entry::payload_here);
        here.is_some_and(|payload| {
            into.copy_from(payload);
            true
        })
    }

    /// The same, if it is here or there is none. Asks for it if it lies on a worker.
    pub(crate) fn output(&mut self, task: TaskId, into: &mut Payload) -> Option<Result<(), TaskError>> {
        if self.output_here(task, into) {
            return Some(Ok(()));
        }
        let over = self.is_over();
        let workers = &self.workers;
        let entry = self.table.get_mut(task)?;
        let ask = match &mut entry.output {
            Output::Here | Output::Resident { copy: HomeCopy::Here, .. } => return None,
            Output::Failed(error) => return Some(Err((**error).clone())),
            Output::Upstream(step) => {
                let step = Arc::clone(step);
                return Some(Err(upstream(&step, entry.site(workers, None))));
            }
            Output::Pending | Output::Resident { .. } if over => {
                let site = Arc::new(entry.site(workers, None));
                return Some(Err(TaskError::Closed { site }));
            }
            Output::Pending | Output::Resident { copy: HomeCopy::Asked, .. } => None,
            Output::Resident { by, copy, .. } => {
                *copy = HomeCopy::Asked;
                Some(*by)
            }
        };
        entry.watched = true;
        if let Some(holder) = ask {
            self.fetch(task, holder);
        }
        None
    }

    /// Whether a task has ended.
    pub(crate) fn has_ended(&self, task: TaskId) -> bool {
        self.is_over() || self.table.get(task).is_none_or(|entry| !matches!(entry.output, Output::Pending))
    }

    /// The task in words, for errors made outside.
    pub(crate) fn site(&self, task: TaskId) -> crate::error::TaskSite {
        let entry = self.table.get(task).expect("a task stays while a handle of it does");
        entry.site(&self.workers, None)
    }
}
