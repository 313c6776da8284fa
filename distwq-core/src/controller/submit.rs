//! Takes tasks, values and graphs from users, or refuses them.

use super::engine::ControllerEngine;
use super::table::{Argument, Entry, Output, Place};
use crate::call::Parts;
use crate::cell::{Binding, Cell};
use crate::codec::Payload;
use crate::error::{Refusal, RunError, TaskError};
use crate::graph::{Content, Graph, GraphTask};
use crate::id::TaskId;
use crate::info::{TaskInfo, TaskState};
use crate::scheduler::{Event, Spec};
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
    /// One of its tasks has ended, with this output if it gave no value.
    pub(super) fn ended(&mut self, failed: Option<&Output>) {
        self.outstanding -= 1;
        match failed {
            Some(Output::Failed(error)) => self.failed.push(Arc::clone(error)),
            Some(Output::Upstream(link)) => {
                self.upstream += 1;
                self.cause.get_or_insert_with(|| link.root());
            }
            Some(_) | None => {}
        }
    }

    pub(super) fn is_over(&self) -> bool {
        self.outstanding == 0
    }
}

impl ControllerEngine {
    /// Takes one task, or says why not.
    pub(crate) fn submit(&mut self, parts: Parts) -> Result<TaskId, TaskError> {
        self.check(&parts, None)?;
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

    /// Takes a value.
    pub(crate) fn add_value(&mut self, payload: Payload) -> Result<TaskId, TaskError> {
        if self.is_closing() {
            return Err(TaskError::refused("value", Refusal::Closed));
        }
        let bytes = payload.len() as u64;
        let now_ns = self.now_ns;
        let task = self.table.insert(|serial| Entry {
            serial,
            function: None,
            label: None,
            plain: Payload::EMPTY,
            inputs: Box::default(),
            attempts: 0,
            place: Place::Nowhere,
            submitted_ns: now_ns,
            started_ns: now_ns,
            finished_ns: now_ns,
            output: Output::Here(payload),
            watched: false,
            run: None,
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
        let dependency = || parts.cells().find_map(|cell| self.refusal_of(cell, graph));
        let reason = if self.is_closing() {
            Some(Refusal::Closed)
        } else {
            // What is wrong whatever the cluster comes first: more ranks would not help it.
            parts.refusal().or_else(too_many).or_else(dependency)
        };
        reason.map_or(Ok(()), |reason| Err(TaskError::refused(&parts.name(), reason)))
    }

    /// Why a handle cannot be a dependency.
    fn refusal_of(&self, cell: &Cell, graph: Option<u64>) -> Option<Refusal> {
        match (cell.binding(), cell.node()) {
            (Some(Binding::Task { outcomes, .. }), _) if outcomes.session() != self.session => {
                Some(Refusal::ForeignHandle)
            }
            (Some(Binding::Task { .. }), _) => None,
            (Some(Binding::Refused(error)), _) => Some(Refusal::RefusedDependency(error.clone())),
            (None, Some(node)) if Some(node.graph) == graph => None,
            (None, _) => Some(Refusal::NotStartedDependency),
        }
    }

    /// Why a graph cannot start.
    pub(crate) fn refusal_of_graph(&self, graph: &Graph) -> Option<TaskError> {
        if self.is_closing() {
            return Some(TaskError::refused("graph", Refusal::Closed));
        }
        graph.calls().find_map(|parts| self.check(parts, Some(graph.id())).err())
    }

    /// Takes a graph whose nodes stand in an order in which dependencies come first, all checked before.
    pub(crate) fn start_graph(&mut self, tasks: Vec<GraphTask>, bind: impl Fn(TaskId) -> Binding) -> RunId {
        self.now_ns = crate::clock::now_ns();
        self.run_serial = self.run_serial.checked_add(1).expect("fewer than 2^32 graphs are started");
        let run = RunId(self.run_serial);
        self.runs.insert(run, GraphRun::default());
        self.tell_scheduler(Event::Hold);
        for node in tasks {
            let task = match node.content {
                Content::Task(parts) => {
                    if let Some(run) = self.runs.get_mut(&run) {
                        run.outstanding += 1;
                    }
                    self.add(*parts, &node.before, node.level, Some(run))
                }
                Content::Value(payload) => self.add_value(payload).expect("a graph is checked before it starts"),
            };
            node.cell.bind(bind(task));
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

    fn add(&mut self, parts: Parts, before: &[Arc<Cell>], level: u32, run: Option<RunId>) -> TaskId {
        let options = parts.options();
        let function = self.registry.id_of(parts.remote);
        let function = function.expect("every remote function is in the table");
        let id_of = |cell: &Arc<Cell>| match cell.binding() {
            Some(Binding::Task { task, .. }) => *task,
            _ => unreachable!("dependencies were checked, and are bound before what depends on them"),
        };
        let inputs: Box<[Argument]> = parts
            .inputs
            .iter()
            .map(|input| Argument {
                parameter: input.parameter,
                gathered: input.gathered,
                values: input.sources.iter().map(id_of).collect(),
            })
            .collect();
        let mut values = SmallVec::<[TaskId; 8]>::new();
        inputs.iter().for_each(|input| values.extend_from_slice(&input.values));
        let mut after = SmallVec::<[TaskId; 8]>::new();
        options.after.iter().chain(before).for_each(|cell| after.push(id_of(cell)));
        let collective = parts.remote.is_collective();
        let every = if collective { self.workers() as u32 } else { 1 };
        let spec = Spec {
            inputs: &values,
            after: &after,
            follow: options.follow.as_ref().map(id_of),
            ranks: options.ranks.unwrap_or(every),
            collective,
            priority: options.priority,
            retries: options.retries,
            level,
        };
        let label = options.label.as_deref().map(Box::from);
        let submitted_ns = self.now_ns;
        let task = self.table.insert(|serial| Entry {
            serial,
            function: Some((function, parts.remote)),
            label,
            plain: parts.plain,
            inputs,
            attempts: 0,
            place: Place::Nowhere,
            submitted_ns,
            started_ns: 0,
            finished_ns: 0,
            output: Output::Pending,
            watched: false,
            run,
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
            Output::Here(_) | Output::Resident { .. } => TaskState::Done,
            Output::Failed(_) | Output::Upstream(_) => TaskState::Failed,
        };
        let places = || entry.place.workers().iter().map(|worker| &self.workers[worker.index()]);
        Some(TaskInfo {
            id: entry.serial,
            function: entry.path().to_owned(),
            label: entry.label.as_deref().map(str::to_owned),
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

    /// The output of a task, if it is here or there is none. Asks for it if it lies on a worker.
    pub(crate) fn output(&mut self, task: TaskId) -> Option<Result<Payload, TaskError>> {
        let over = self.is_over();
        let workers = &self.workers;
        let entry = self.table.get_mut(task)?;
        let ask = match &mut entry.output {
            Output::Here(payload) => return Some(Ok(payload.clone())),
            Output::Resident { copy: Some(payload), .. } => return Some(Ok(Payload::clone(payload))),
            Output::Failed(error) => return Some(Err((**error).clone())),
            Output::Upstream(link) => {
                let link = Arc::clone(link);
                return Some(Err(link.error(entry.site(workers, None))));
            }
            Output::Pending | Output::Resident { .. } if over => {
                let site = Arc::new(entry.site(workers, None));
                return Some(Err(TaskError::Closed { site }));
            }
            Output::Pending | Output::Resident { asked: true, .. } => None,
            Output::Resident { by, asked, .. } => {
                *asked = true;
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
