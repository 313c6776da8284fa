//! What simulated programs are made of: random tasks, values and graphs.

use super::content::Content;
use super::functions;
use super::limits::Limits;
use super::script::{Outcome, Script, any_failure};
use super::task::{Behaviour, Expected, Seen, Task};
use super::world::{Shape, World};
use crate::codec::Payload;
use crate::function::argument::{ArgumentPosition, Input, Role};
use crate::function::remote::Failure;
use crate::id::{CollectorId, GraphRunId, Origin, TaskId};
use crate::machine::controller::{self, Encoded, GraphSize, ItemsOfMap, NewTask, Options, Terms};
use crate::outcome::error::TaskError;
use crate::task::items::Items;

/// Handles that a new task may take: the last ones, so that programs are deep as well as
/// wide.
const RECENT: usize = 10;

/// What a task is a part of.
#[derive(Clone, Copy)]
pub(super) enum Of {
    Nothing,
    Graph(GraphRunId),
    /// A map with a window, by its index.
    Map(usize),
}

/// What a call says.
struct Call {
    plain: Vec<u8>,
    inputs: Vec<Input<TaskId>>,
    before: Vec<TaskId>,
    follow: Option<TaskId>,
    ranks: Option<u32>,
    priority: i32,
    retries: u32,
    label: Option<String>,
}

impl World<'_> {
    /// The user adds one task, which goes out at once or waits for company.
    pub(super) fn submit_task(&mut self) {
        self.add_task(Of::Nothing);
        if self.random.percent(30) {
            self.watch(self.book.tasks.len() - 1);
        }
        self.after_controller();
        if self.random.percent(10) {
            self.controller_turn();
        }
    }

    /// The user adds one value.
    pub(super) fn submit_value(&mut self) {
        self.add_value();
        self.after_controller();
        if self.random.percent(30) {
            self.controller_turn();
        }
    }

    /// The user starts a graph.
    pub(super) fn submit_graph(&mut self) {
        let tasks = 1 + self.random.below(6) as usize;
        let values = self.random.below(2) as usize;
        self.count_references();
        self.after_controller();
        let size = GraphSize { tasks, values, dependencies: 4 * tasks, inputs_room: 4 * tasks };
        let cancels = self.random.percent(30);
        self.tell(controller::Input::GraphBegins { size, cancels });
        let graph_run = self.controller.out.graph_run.expect("it has begun");
        self.book.cancelling.extend(cancels.then_some(graph_run));
        for _ in 0..values {
            self.add_value();
        }
        for _ in 0..tasks {
            self.add_task(Of::Graph(graph_run));
        }
        self.tell(controller::Input::GraphEnds);
        self.controller_turn();
        self.graph_started(graph_run);
    }

    fn add_value(&mut self) {
        let index = self.book.tasks.len();
        let content = self.content(index);
        let output = content.encoded();
        self.tell(controller::Input::Value { payload: output.clone() });
        let id = self.controller.out.added;
        self.history.note(self.agenda.now(), || format!("the user gives {id}, {} bytes", output.len()));
        let expected = Expected::Value { attempts: 0 };
        self.added(Task {
            id,
            remote: None,
            plain: Vec::new(),
            inputs: Vec::new(),
            dependencies: Vec::new(),
            ends: Vec::new(),
            follow: None,
            ranks: 0,
            retries: 0,
            label: None,
            graph_run: None,
            items: None,
            behaviour: Behaviour::Given,
            expected,
            content,
            output,
            cancelled: None,
            begun: 0,
            told: 0,
            has_given: true,
            failed_at: 0,
            lost_with: Vec::new(),
            running: 0,
            ran_on: None,
            seen: Some(Seen::Value),
            limits: Limits::default(),
            root: None,
            items_lack_state: false,
            released: false,
            handles: 1,
            counted: 1,
            waits: 0,
        });
    }

    pub(super) fn add_task(&mut self, of: Of) {
        let index = self.book.tasks.len();
        let graph_run = if let Of::Graph(graph_run) = of { Some(graph_run) } else { None };
        let is_collective = !matches!(of, Of::Map(_)) && self.random.percent(self.shape.wide_percent);
        let remote = functions::any(&mut self.random, is_collective);
        let mut call = self.draw_call(is_collective);
        if matches!(of, Of::Map(_)) && self.random.percent(80) {
            // Few items take what other tasks give.
            (call.inputs, call.before, call.follow) = (Vec::new(), Vec::new(), None);
        }
        let living = self.book.living();
        let ranks = if is_collective { call.ranks.unwrap_or(living).max(1) } else { 1 };
        let behaviour = self.draw_behaviour(index, is_collective.then_some(ranks as usize), call.retries);
        let items = match of {
            Of::Map(map) => Some(self.next_items(map)),
            Of::Nothing if self.random.percent(self.shape.map_percent) => Some(self.draw_items(is_collective)),
            Of::Nothing | Of::Graph(_) => None,
        };
        let Shape { limit_percent, run_ns_max, .. } = self.shape;
        let mut limits = Limits::draw(&mut self.random, limit_percent, run_ns_max);
        if items.is_some_and(|items| items.count > 1) {
            // What has a limit of its own travels alone.
            (limits.terms.run_limit_ns, limits.terms.wait_limit_ns) = (None, None);
        }
        let id = self.tell_task(remote, &call, of, (items, limits.terms));
        let cancelled = self.ended_at_once(id).then_some(0);
        limits.submitted_ns = self.controller.clock.kept();
        let told = || format!("the user adds {id}: {} of {:?}, {behaviour:?}", remote.path, call.inputs);
        self.history.note(self.agenda.now(), told);
        let (ends, inputs): (Vec<&Input<TaskId>>, Vec<&Input<TaskId>>) =
            call.inputs.iter().partition(|input| input.position.role == Role::End);
        let inputs = inputs.iter().map(|input| input.source);
        let before = inputs.chain(call.before.iter().copied()).chain(call.follow);
        let mut dependencies: Vec<usize> = before.map(|id| self.book.index(id)).collect();
        dependencies.sort_unstable();
        dependencies.dedup();
        let mut ends: Vec<usize> = ends.iter().map(|input| self.book.index(input.source)).collect();
        ends.retain(|end| !dependencies.contains(end));
        let expected = match Task::expected_after(dependencies.iter().map(|&before| &self.book.tasks[before])) {
            None if ranks > living => Expected::Stuck,
            None => Task::expected_alone(&behaviour, call.retries),
            Some(expected) => expected,
        };
        let content = match items {
            Some(items) if items.give_outcomes() => self.outcomes(index, items),
            _ => self.content(index),
        };
        self.added(Task {
            id,
            remote: Some(remote),
            dependencies,
            ends,
            follow: call.follow.map(|id| self.book.index(id)),
            plain: call.plain,
            inputs: call.inputs,
            ranks,
            retries: call.retries,
            label: call.label,
            graph_run,
            items,
            behaviour,
            expected,
            output: content.encoded(),
            content,
            cancelled,
            begun: 0,
            told: 0,
            has_given: false,
            failed_at: 0,
            lost_with: Vec::new(),
            running: 0,
            ran_on: None,
            seen: None,
            limits,
            root: None,
            items_lack_state: false,
            released: false,
            handles: 1,
            counted: 1,
            waits: 0,
        });
    }

    /// Tells the controller of a task and gives its id.
    fn tell_task(
        &mut self,
        remote: &'static crate::function::registry::Remote,
        call: &Call,
        of: Of,
        (items, terms): (Option<Items>, Terms),
    ) -> TaskId {
        let Call { plain, inputs, before, follow, ranks, priority, retries, label } = call;
        let (follow, ranks, priority, retries) = (*follow, *ranks, *priority, *retries);
        let options = Options { label: label.as_deref(), follow, ranks, priority, retries, terms };
        let says_more = terms != Terms::default()
            || label.is_some()
            || follow.is_some()
            || ranks.is_some()
            || priority != 0
            || retries > 0;
        let (origin, watch) = match of {
            Of::Graph(graph_run) => (Origin::Graph(graph_run), None),
            Of::Map(map) => {
                let watch = self.watch_of_map(map);
                (Origin::Collected(watch.collector), Some(watch))
            }
            Of::Nothing if self.random.percent(50) => (Origin::Alone, None),
            Of::Nothing => {
                let collector = CollectorId(self.random.below(4));
                (Origin::Collected(collector), Some(self.watch_of(self.book.tasks.len(), collector)))
            }
        };
        let new = NewTask {
            remote,
            inputs,
            options: says_more.then_some(&options),
            before,
            level: if matches!(of, Of::Graph(_)) { self.random.below(4) as u32 } else { 0 },
            origin,
            watch,
        };
        let plain = if self.random.percent(50) { Encoded::Few(plain) } else { Encoded::Many(Payload::copy_of(plain)) };
        match items {
            None => self.tell(controller::Input::Task { new: &new, plain }),
            Some(items) => {
                let of = ItemsOfMap { items, failed: None };
                self.tell(controller::Input::Items { new: &new, plain, of });
            }
        }
        self.controller.out.added
    }

    /// Whether a task was cancelled as it was added: all are after a signal, but those
    /// that could not have run anyhow.
    fn ended_at_once(&mut self, id: TaskId) -> bool {
        if !self.controller.machine.is_interrupted() {
            return false;
        }
        self.history.tally.interrupted[1] += 1;
        let mut payload = Payload::EMPTY;
        let output = self.controller.machine.output(id, &mut payload);
        let error =
            output.and_then(Result::err).unwrap_or_else(|| panic!("{id} goes on, and was added after a signal"));
        matches!(error, TaskError::Cancelled { interrupted: true, .. })
    }

    fn added(&mut self, task: Task) {
        let index = self.book.tasks.len();
        for input in &task.inputs {
            let source = self.book.index(input.source);
            if self.consumers[source].last() != Some(&index) {
                self.consumers[source].push(index);
            }
        }
        self.consumers.push(Vec::new());
        if !task.has_ended() {
            self.unended.push(index);
        }
        self.unreleased.push(index);
        self.history.tally.of_maps += u64::from(task.items.is_some());
        self.book.add(task);
        self.user.handles += 1;
        if self.random.percent(60) {
            self.drop_some_time(index);
        }
    }

    /// The items of a map that a task is made of: several if they can go together.
    fn draw_items(&mut self, is_collective: bool) -> Items {
        let random = &mut self.random;
        let count = if is_collective || random.percent(20) { 1 } else { 2 + random.below(8) as u32 };
        let fold = (count > 1 && random.percent(20)).then_some(0);
        Items { map: 1 + random.below(3) as u32, first: random.below(1 << 40), count, fold }
    }

    /// What becomes of several items.
    fn outcomes(&mut self, index: usize, items: Items) -> Content {
        let random = &mut self.random;
        let outcome = |place| match random.percent(20) {
            true => Err(any_failure(random, false, format!("fault of item {place} of {index}"))),
            false => Ok(u64::from(place) ^ (index as u64) << 32),
        };
        Content::Outcomes { outcomes: (0..items.count).map(outcome).collect(), begun: items.count as usize }
    }

    /// What a task gives.
    fn content(&mut self, index: usize) -> Content {
        let bytes = self.random.up_to(self.shape.output_bytes_max) - 1;
        Content::new(index as u64 ^ 0xABCD_EF00, bytes)
    }

    fn draw_call(&mut self, is_collective: bool) -> Call {
        let held: Vec<TaskId> = self.held().map(|index| self.book.tasks[index].id).collect();
        let recent = &held[held.len().saturating_sub(RECENT)..];
        let random = &mut self.random;
        let (mut plain, mut inputs) = (Vec::new(), Vec::new());
        for parameter in 0..random.below(4) as u16 {
            let position = ArgumentPosition { offset: plain.len() as u32, parameter, role: Role::Whole };
            let taken = match random.below(10) {
                0..4 => {
                    let is_large = random.percent(self.shape.large_percent);
                    let bytes = if is_large { 10_000 + random.up_to(20_000) } else { random.below(40) };
                    plain.resize(plain.len() + bytes as usize, random.below(256) as u8);
                    0
                }
                4..8 => 1,
                _ => random.up_to(4),
            };
            if random.percent(30) {
                push_parts(random, recent, (taken, parameter), &mut plain, &mut inputs);
                continue;
            }
            let is_list = taken > 1 || (taken == 1 && random.percent(10));
            let position = ArgumentPosition { role: if is_list { Role::Element } else { Role::Whole }, ..position };
            for _ in 0..taken {
                inputs.extend(random.pick(recent).map(|&source| Input { source, position }));
            }
        }
        let mut before = Vec::new();
        if random.percent(20) {
            before.extend((0..random.up_to(3)).filter_map(|_| random.pick(recent).copied()));
        }
        let too_many = if random.percent(2) { random.up_to(2) } else { 0 };
        let width = (random.up_to(u64::from(self.shape.workers)) + too_many) as u32;
        Call {
            plain,
            inputs,
            before,
            follow: if random.percent(10) { random.pick(recent).copied() } else { None },
            ranks: if is_collective { random.percent(80).then_some(width) } else { random.percent(10).then_some(1) },
            priority: if random.percent(20) { random.below(3) as i32 - 1 } else { 0 },
            retries: if random.percent(60) { 1 + random.below(4) as u32 } else { 0 },
            label: random.percent(10).then(|| format!("label{}", self.book.tasks.len())),
        }
    }

    /// What a task does: on its own, or in groups of this width.
    fn draw_behaviour(&mut self, index: usize, width: Option<usize>, retries: u32) -> Behaviour {
        let random = &mut self.random;
        let failing = if random.percent(self.shape.failing_percent) { 1 + random.below(3) as u32 } else { 0 };
        let text = format!("fault of {}", index + 1);
        let Some(width) = width else {
            let is_final = random.percent(10);
            let failure: Failure = any_failure(random, is_final, text);
            return Behaviour::Single { failing, failure };
        };
        let mut scripts = Vec::new();
        for attempt in 0..failing.min(retries + 1) {
            scripts.push(Script::bad(random, width, (index as u64) << 4 | u64::from(attempt), text.clone()));
        }
        let is_over = scripts.iter().any(|script| script.outcome.is_final());
        if !is_over && failing <= retries {
            scripts.push(Script::good(random, width, (index as u64) << 4 | 15));
        }
        debug_assert!(scripts.iter().filter(|script| script.outcome == Outcome::Good).count() <= 1);
        Behaviour::Group(scripts)
    }
}

/// So many outputs that are parts of one argument, or ends of tasks, with bytes between
/// them.
fn push_parts(
    random: &mut super::random::Random,
    recent: &[TaskId],
    (count, parameter): (u64, u16),
    plain: &mut Vec<u8>,
    inputs: &mut Vec<Input<TaskId>>,
) {
    for _ in 0..count {
        plain.resize(plain.len() + random.below(5) as usize, random.below(256) as u8);
        let role = if random.percent(60) { Role::End } else { Role::Part };
        let position = ArgumentPosition { offset: plain.len() as u32, parameter, role };
        inputs.extend(random.pick(recent).map(|&source| Input { source, position }));
    }
    plain.resize(plain.len() + random.below(5) as usize, random.below(256) as u8);
}
