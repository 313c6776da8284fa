//! Takes tasks, values and graphs from users, or refuses them.

use super::engine::ControllerEngine;
use super::table::{Argument, Entry, Extra, HomeCopy, Output};
use crate::call::Parts;
use crate::codec::Payload;
use crate::error::{Refusal, RunError, TaskError};
use crate::graph::{Content, Graph, StartedGraph};
use crate::id::TaskId;
use crate::info::{TaskInfo, TaskState};
use crate::reference::{Bound, Reference, State};
use crate::scheduler::{Event, Spec};
use rustc_hash::FxHashMap;
use smallvec::SmallVec;
use std::num::NonZeroU32;
use std::sync::Arc;

/// One started graph.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
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
    /// Tells the run that a task belongs to, if it does, that it has ended. True if that is over then.
    #[inline]
    pub(super) fn tell(runs: &mut FxHashMap<RunId, Self>, task: &Entry) -> bool {
        let run = task.run.and_then(|run| runs.get_mut(&run));
        run.is_some_and(|run| {
            run.ended(&task.output);
            run.is_over()
        })
    }

    fn ended(&mut self, output: &Output) {
        self.outstanding -= 1;
        match output {
            Output::Failed(error) => self.failed.push(Arc::clone(error)),
            Output::Upstream(link) => {
                self.upstream += 1;
                self.cause.get_or_insert_with(|| link.root());
            }
            Output::Pending | Output::Here | Output::Resident { .. } => {}
        }
    }

    pub(super) fn is_over(&self) -> bool {
        self.outstanding == 0
    }
}

impl ControllerEngine {
    /// Takes one task, or says why not. What is left of its parts is the caller's to drop.
    pub(crate) fn submit(&mut self, parts: &mut Parts) -> Result<TaskId, TaskError> {
        self.check(parts, None)?;
        if self.in_flight == 0 {
            // While tasks flow, turns keep the time.
            self.now_ns = crate::clock::now_ns();
        }
        self.submitting = true;
        let task = self.add(parts, &[], 0, None);
        self.submitting = false;
        self.submitted();
        Ok(task)
    }

    /// Takes a value that a user gives. A large one is worth a turn, in which those that nobody holds any more go.
    pub(crate) fn submit_value(&mut self, payload: Payload) -> Result<TaskId, TaskError> {
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
    fn add_value(&mut self, payload: Payload) -> Result<TaskId, TaskError> {
        if self.is_closing() {
            return Err(TaskError::refused("value", Refusal::Closed));
        }
        let bytes = payload.len() as u64;
        let now_ns = self.now_ns;
        let task = self.table.insert(|entry| {
            (entry.output, entry.payload) = (Output::Here, payload);
            (entry.submitted_ns, entry.started_ns, entry.finished_ns) = (now_ns, now_ns, now_ns);
        });
        self.tell_scheduler(Event::Value { task, bytes });
        Ok(task)
    }

    /// Whether a task can run at all. Handles of graph `graph` may be unbound: they are about to be bound.
    pub(crate) fn check(&self, parts: &Parts, graph: Option<u64>) -> Result<(), TaskError> {
        if parts.is_plain() && !self.is_closing() {
            return Ok(());
        }
        let workers = self.workers() as u32;
        let too_many = || {
            let wanted = parts.options().ranks.filter(|wanted| *wanted > workers)?;
            Some(Refusal::TooManyRanks { wanted, workers })
        };
        let dependency = || parts.dependencies().find_map(|other| self.refusal_of(other, graph));
        let reason = if self.is_closing() {
            Some(Refusal::Closed)
        } else {
            // What is wrong whatever the cluster comes first: more ranks would not help it.
            parts.refusal().or_else(too_many).or_else(dependency)
        };
        reason.map_or(Ok(()), |reason| Err(TaskError::refused(&parts.name(), reason)))
    }

    /// Why a handle cannot be a dependency.
    fn refusal_of(&self, other: &Reference, graph: Option<u64>) -> Option<Refusal> {
        match other.state() {
            State::Bound(bound) => (bound.outcomes().session() != self.session).then_some(Refusal::ForeignHandle),
            State::Refused(error) => Some(Refusal::RefusedDependency(Box::new((**error).clone()))),
            State::Unbound(node) if Some(node.graph) == graph => None,
            State::Unbound(_) => Some(Refusal::NotStartedDependency),
        }
    }

    /// Why a graph cannot start.
    pub(crate) fn refusal_of_graph(&self, graph: &Graph) -> Option<TaskError> {
        if self.is_closing() {
            return Some(TaskError::refused("graph", Refusal::Closed));
        }
        graph.unchecked().find_map(|parts| self.check(parts, Some(graph.id())).err())
    }

    /// Takes a graph, all of it checked before.
    pub(crate) fn start_graph(&mut self, graph: StartedGraph, bind: impl Fn(TaskId) -> Bound) -> RunId {
        self.now_ns = crate::clock::now_ns();
        self.run_serial = self.run_serial.checked_add(1).expect("fewer than 2^32 graphs are started");
        let run = RunId(self.run_serial);
        self.runs.insert(run, GraphRun::default());
        self.tell_scheduler(Event::Hold);
        let mut outstanding = 0;
        graph.for_each(|node| {
            let task = match node.content {
                Content::Task(parts) => {
                    outstanding += 1;
                    self.add(parts, node.before, node.level, Some(run))
                }
                Content::Value(payload) => {
                    let payload = std::mem::take(payload);
                    self.add_value(payload).expect("a graph is checked before it starts")
                }
            };
            node.cell.bind(Ok(bind(task)));
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

    #[inline]
    fn add(&mut self, parts: &mut Parts, before: &[Reference], level: u32, run: Option<RunId>) -> TaskId {
        let collective = parts.remote.is_collective();
        let every = if collective { self.workers() as u32 } else { 1 };
        let spec = Spec { ranks: every, collective, level, ..Spec::PLAIN };
        if parts.is_plain() && before.is_empty() {
            self.add_as(parts, spec, None, run)
        } else {
            self.add_with_wishes(parts, spec, before, run)
        }
    }

    /// Adds a task that says more than its function and its arguments.
    fn add_with_wishes(
        &mut self,
        parts: &mut Parts,
        spec: Spec<'_>,
        before: &[Reference],
        run: Option<RunId>,
    ) -> TaskId {
        // Loops, because collecting into these vectors costs several times as much.
        let mut arguments = SmallVec::<[Argument; 2]>::with_capacity(parts.arguments.inputs.len());
        let mut inputs = SmallVec::<[TaskId; 8]>::with_capacity(parts.arguments.inputs.len());
        for input in &parts.arguments.inputs {
            let value = input.source.task();
            arguments.push(Argument { value, place: input.place });
            inputs.push(value);
        }
        let options = parts.options();
        let mut after = SmallVec::<[TaskId; 8]>::new();
        for other in options.after.iter().chain(before) {
            after.push(other.task());
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
        let label = options.label.as_deref().map(Box::from);
        let extra = (label.is_some() || !arguments.is_empty()).then(|| Box::new(Extra { label, inputs: arguments }));
        self.add_as(parts, spec, extra, run)
    }

    #[inline]
    fn add_as(&mut self, parts: &mut Parts, spec: Spec<'_>, extra: Option<Box<Extra>>, run: Option<RunId>) -> TaskId {
        let task = self.table.insert(|entry| {
            entry.function = Some(parts.remote);
            parts.arguments.plain.move_to(&mut entry.payload);
            entry.extra = extra;
            entry.submitted_ns = self.now_ns;
            entry.run = run;
        });
        self.counts.submitted += 1;
        self.tell_scheduler(Event::Added { task, spec });
        task
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
            Output::Upstream(link) => {
                let link = Arc::clone(link);
                return Some(Err(link.error(entry.site(workers, None))));
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
