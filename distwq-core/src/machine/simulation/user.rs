//! The user of a simulated run: what he adds, holds, waits for, and how he ends. It
//! stands for `cluster.rs` and `handle.rs`.

use super::agenda::Happening;
use super::outcome::Failures;
use super::world::{Phase, World};
use crate::codec::Payload;
use crate::id::{GraphRunId, TaskId};
use crate::machine::Ns;
use crate::machine::controller::{Awaited, Input, ReferenceNote};
use crate::outcome::error::{RunError, TaskError};
use crate::outcome::info::{CancelState, TaskState};
use crate::outcome::status::{Reason, STEPS_MAX};
use crate::wire::report::Measured;

/// What a thread of the user waits for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Wait {
    Task(usize),
    Room,
    Reports,
    GraphRun(GraphRunId),
    Drained,
    /// All states being made.
    States,
    /// What they are made to.
    Finals,
}

impl Wait {
    /// Whether this may have happened with `key`; with none, anything may have.
    fn is_for(self, key: Option<Awaited>, task: impl FnOnce(usize) -> Awaited) -> bool {
        let own = match self {
            Self::Task(index) => task(index),
            Self::Room => Awaited::Room,
            Self::Reports => Awaited::Reports,
            Self::GraphRun(graph_run) => Awaited::GraphRun(graph_run),
            Self::Drained => Awaited::Drained,
            Self::States | Self::Finals => Awaited::States,
        };
        key.is_none_or(|key| key == own)
    }
}

/// A handle that he waits with is dropped some time after the wait.
const LOOKS_AGAIN_NS: Ns = 10_000_000;

/// The user.
#[derive(Debug)]
pub(super) struct User {
    /// So often he will add something.
    acts_left: u64,
    waits: Vec<Wait>,
    /// Handles that he has.
    pub(super) handles: u64,
    is_drained: bool,
}

impl User {
    pub(super) fn new(acts: u64) -> Self {
        Self { acts_left: acts, waits: Vec::new(), handles: 0, is_drained: false }
    }

    /// His process exits.
    pub(super) fn exits(&mut self) {
        self.waits.clear();
    }

    /// He waits for this no longer.
    pub(super) fn waits_no_longer(&mut self, wait: Wait) {
        self.waits.retain(|other| *other != wait);
    }

    pub(super) fn has_no_waits(&self) -> bool {
        self.waits.is_empty()
    }
}

impl World<'_> {
    /// Whether the user has all he wants, and lets the run end.
    pub(super) fn is_user_done(&self) -> bool {
        let User { acts_left, waits, handles, is_drained } = &self.user;
        *acts_left == 0
            && self.are_maps_over()
            && waits.is_empty()
            && *handles == 0
            && *is_drained
            && self.states.is_over()
    }

    /// Whether the user goes on with maps alone. All other handles go.
    pub(super) fn has_no_acts_left(&self) -> bool {
        self.user.acts_left == 0
    }

    /// The user does a few things, and comes again later.
    pub(super) fn user_acts(&mut self) {
        if self.controller.machine.is_closing() || self.waits_for_states() {
            return;
        }
        if self.random.percent(4) {
            // Queues become long, and workers that run dry get what others have not
            // begun.
            for _ in 0..self.random.up_to(30) {
                self.submit_task();
            }
        }
        for _ in 0..self.random.up_to(4) {
            self.user_acts_once();
        }
        self.user.acts_left = self.user.acts_left.saturating_sub(1);
        let next = self.agenda.now() + self.random.up_to(4 * self.shape.run_ns_max);
        if self.user.acts_left > 0 {
            return self.agenda.at(next, Happening::User);
        }
        self.agenda.at(next, Happening::Closes);
        for index in 0..self.book.tasks.len() {
            for _ in 0..self.book.tasks[index].handles {
                self.drop_some_time(index);
            }
        }
    }

    fn user_acts_once(&mut self) {
        if self.random.percent(self.shape.cancel_percent) {
            return self.user_cancels();
        }
        if self.random.percent(self.shape.limit_percent / 6) {
            return self.user_sets_deadline();
        }
        match self.random.below(100) {
            0..42 => {
                self.submit_task();
            }
            42..45 => self.begins_map(),
            45..52 => {
                self.submit_value();
            }
            52..60 => self.submit_graph(),
            60..68 => self.clone_handle(),
            68..83 => {
                if let Some(index) = self.any_handle() {
                    self.book.tasks[index].waits += 1;
                    self.wait(Wait::Task(index));
                }
            }
            83 => {
                self.tell(Input::RoomWanted);
                self.after_controller();
                self.wait(Wait::Room);
            }
            84..87 => {
                self.count_references();
                self.tell(Input::ReportsWanted);
                self.after_controller();
                self.wait(Wait::Reports);
            }
            87..96 => {
                if let Some(index) = self.any_handle() {
                    self.user_drops(index);
                }
            }
            96..99 => {
                if let Some(index) = self.any_handle() {
                    self.watch(index);
                }
            }
            // As `is_done` does.
            _ => self.controller_turn(),
        }
    }

    /// The user cancels a graph that runs, as `Run::cancel` does. False if there is none.
    fn user_cancels_graph(&mut self) -> bool {
        let Some((graph_run, tasks)) = self.any_graph() else { return false };
        self.history.note(self.agenda.now(), || format!("the user cancels {graph_run:?}"));
        let waiting = self.note_cancelled(&tasks);
        self.tell(Input::CancelGraph { graph_run });
        self.check_cancelled(&waiting);
        true
    }

    /// A graph whose run the user waits for, with its tasks that have not ended.
    pub(super) fn any_graph(&mut self) -> Option<(GraphRunId, Vec<usize>)> {
        let graphs = self.unended.iter().filter_map(|&index| self.book.tasks[index].graph_run);
        let graphs: Vec<GraphRunId> = graphs.filter(|run| self.user.waits.contains(&Wait::GraphRun(*run))).collect();
        let &graph_run = self.random.pick(&graphs)?;
        Some((graph_run, self.unended_of_graph(graph_run)))
    }

    /// The tasks of a graph that have not ended.
    pub(super) fn unended_of_graph(&self, graph_run: GraphRunId) -> Vec<usize> {
        let is_of = |index: &usize| self.book.tasks[*index].graph_run == Some(graph_run);
        self.unended.iter().copied().filter(is_of).collect()
    }

    /// The user cancels one task or a few, as `Handle::cancel` does.
    fn user_cancels(&mut self) {
        if self.random.percent(20) && self.user_cancels_graph() {
            return;
        }
        let mut chosen = Vec::new();
        for _ in 0..if self.random.percent(80) { 1 } else { self.random.up_to(5) } {
            // The last one is likely to be on its way.
            let last = if self.random.percent(40) { self.held().last() } else { None };
            chosen.extend(last.or_else(|| self.any_handle()));
        }
        self.controller_turn();
        let tasks: Vec<TaskId> = chosen.iter().map(|&index| self.book.tasks[index].id).collect();
        self.history.note(self.agenda.now(), || format!("the user cancels {tasks:?}"));
        let waiting = self.note_cancelled(&chosen);
        self.tell(Input::Cancel { tasks: &tasks });
        self.check_cancelled(&waiting);
    }

    /// The user cancels all tasks.
    pub(super) fn user_cancels_all(&mut self) {
        if self.controller.machine.is_over() {
            return;
        }
        let is_signal = self.random.percent(50);
        self.history
            .note(self.agenda.now(), || if is_signal { "a signal comes" } else { "the user cancels all" }.to_owned());
        let waiting = self.note_cancelled(&self.unended.clone());
        self.tell(if is_signal { Input::Interrupted } else { Input::CancelAll });
        self.history.tally.interrupted[0] += u64::from(is_signal);
        self.check_cancelled(&waiting);
    }

    /// These tasks are about to be cancelled. Gives those that no worker has.
    pub(super) fn note_cancelled(&mut self, tasks: &[usize]) -> Vec<TaskId> {
        let mut waiting = Vec::new();
        for &index in tasks {
            let model = &mut self.book.tasks[index];
            let Some(info) = self.controller.machine.info(model.id) else { continue };
            match self.controller.machine.cancel_state(model.id) {
                CancelState::Ended => continue,
                CancelState::Waiting if info.state == TaskState::Waiting => waiting.push(model.id),
                _ => {}
            }
            model.cancelled.get_or_insert(info.attempts);
        }
        waiting
    }

    /// What waited has ended at once.
    pub(super) fn check_cancelled(&mut self, waiting: &[TaskId]) {
        for &task in waiting {
            let state = self.controller.machine.cancel_state(task);
            assert_eq!(state, CancelState::Ended, "{task} was with no worker, and does not end");
        }
        self.after_controller();
    }

    /// A graph was started; its user waits for it, or does not.
    pub(super) fn graph_started(&mut self, graph_run: GraphRunId) {
        self.may_limit(graph_run);
        if self.random.percent(60) {
            self.wait(Wait::GraphRun(graph_run));
        } else {
            self.controller.notes.push(ReferenceNote::GraphForgotten(graph_run));
            self.plan_controller_turn();
        }
    }

    /// A task of which the user has a handle.
    fn any_handle(&mut self) -> Option<usize> {
        let held: Vec<usize> = self.held().collect();
        self.random.pick(&held).copied()
    }

    /// The tasks of which the user has handles.
    pub(super) fn held(&self) -> impl Iterator<Item = usize> + '_ {
        self.unreleased.iter().copied().filter(|&index| self.book.tasks[index].handles > 0)
    }

    fn clone_handle(&mut self) {
        if let Some(index) = self.any_handle() {
            let task = &mut self.book.tasks[index];
            task.handles += 1;
            self.user.handles += 1;
            self.controller.notes.push(ReferenceNote::Retained(task.id));
            self.drop_some_time(index);
        }
    }

    pub(super) fn drop_some_time(&mut self, index: usize) {
        let after = self.random.up_to(8 * self.shape.run_ns_max);
        self.agenda.at(self.agenda.now() + after, Happening::Drops(index));
    }

    /// The user drops a handle, but not one that he waits with. There may be none left.
    pub(super) fn user_drops(&mut self, index: usize) {
        if self.phase == Phase::Exited {
            return;
        }
        let task = &mut self.book.tasks[index];
        match (task.handles, task.waits) {
            (0, _) => {}
            (1, 1..) => self.agenda.at(self.agenda.now() + LOOKS_AGAIN_NS, Happening::Drops(index)),
            _ => {
                task.handles -= 1;
                self.user.handles -= 1;
                let id = task.id;
                self.history.note(self.agenda.now(), || format!("the user drops a handle of {id}"));
                self.controller.notes.push(ReferenceNote::Dropped(id));
                self.plan_controller_turn();
            }
        }
    }

    /// A thread of the user begins to wait.
    pub(super) fn wait(&mut self, wait: Wait) {
        self.history.note(self.agenda.now(), || format!("the user waits for {wait:?}"));
        if !self.is_over(wait) {
            self.user.waits.push(wait);
        }
    }

    /// Threads of the user look whether what they wait for is here.
    pub(super) fn user_woken(&mut self, key: Option<Awaited>) {
        let waits = std::mem::take(&mut self.user.waits);
        for wait in waits {
            let is_woken = wait.is_for(key, |index| Awaited::Task(self.book.tasks[index].id));
            if !(is_woken && self.is_over(wait)) {
                self.user.waits.push(wait);
            }
        }
    }

    /// Whether a wait for room ends. If others were faster, it goes on.
    fn has_room(&mut self) -> bool {
        let machine = &self.controller.machine;
        let has_room = machine.has_room() || machine.is_closing();
        if !has_room && !machine.is_room_wanted() {
            self.tell(Input::RoomWanted);
        }
        self.history.tally.waits += u64::from(has_room);
        has_room
    }

    /// Whether a wait ends, with what it should.
    fn is_over(&mut self, wait: Wait) -> bool {
        let machine = &mut self.controller.machine;
        let is_over = match wait {
            Wait::Task(index) => return self.has_output(index),
            Wait::Room => return self.has_room(),
            Wait::Finals => return self.has_finals(),
            Wait::States => machine.are_states_made() || machine.is_over(),
            Wait::Reports => machine.has_reports(),
            Wait::GraphRun(graph_run) => machine.has_graph_run_ended(graph_run),
            Wait::Drained => machine.pending() == 0 || machine.is_over(),
        };
        if !is_over {
            return false;
        }
        self.history.tally.waits += 1;
        match wait {
            Wait::Task(_) | Wait::Room | Wait::Finals => {}
            Wait::States => self.agenda.at(self.agenda.now(), Happening::User),
            Wait::Reports => {
                let stats = machine.stats(Measured::default());
                let ended = stats.done + stats.failed + stats.cancelled;
                assert_eq!(stats.submitted, ended + stats.outstanding);
                assert_eq!(stats.ranks.len(), self.workers.len() + 1);
                let of_ranks: u64 = stats.ranks.iter().map(|rank| rank.runs.count).sum();
                let of_functions: u64 = stats.functions.iter().map(|function| function.runs.count).sum();
                assert_eq!(of_ranks, of_functions, "each attempt is counted where it ran and as what");
                let all_runs = stats.ranks.iter().map(|rank| rank.runs);
                for runs in all_runs.chain(stats.functions.iter().map(|function| function.runs)) {
                    assert!(runs.min <= runs.mean && runs.mean <= runs.max && runs.max <= runs.total, "{runs:?}");
                    assert!(runs.failures <= runs.count, "{runs:?}");
                }
                self.check_status();
            }
            Wait::GraphRun(graph_run) => {
                let result = machine.result_of_graph_run(graph_run);
                self.tell(Input::References { notes: &mut vec![ReferenceNote::GraphForgotten(graph_run)] });
                self.check_graph_run(graph_run, result);
            }
            Wait::Drained => {
                self.user.is_drained = true;
                self.finishes_some_time();
            }
        }
        true
    }

    /// Each task that has not ended is told once, and something keeps it.
    fn check_status(&mut self) {
        let machine = &self.controller.machine;
        let status = machine.status();
        let waiting: u64 = status.waiting.iter().map(|waiting| waiting.count).sum();
        assert_eq!(status.pending, status.given + waiting, "{status}");
        assert!(status.waiting.iter().all(|waiting| !waiting.first.is_empty()), "{status}");
        if let Some(index) = self.any_handle() {
            let (machine, id) = (&self.controller.machine, self.book.tasks[index].id);
            let explanation = machine.explain(id);
            let last = &explanation.steps.last().expect("there is the task itself").reason;
            let ends = matches!(last, Reason::Done | Reason::Failed { .. });
            assert_eq!(ends, machine.has_ended(id), "{explanation}");
            let waits_on = matches!(last, Reason::Tasks { .. }) && explanation.steps.len() < STEPS_MAX;
            assert!(!waits_on, "{explanation}");
        }
    }

    /// Whether the output of a task is here, as it must be. If not, it comes.
    fn has_output(&mut self, index: usize) -> bool {
        let model = &self.book.tasks[index];
        let id = model.id;
        let mut payload = Payload::EMPTY;
        let Some(output) = self.controller.machine.output(id, &mut payload) else {
            self.tell(Input::Awaited { task: id });
            self.after_controller();
            return false;
        };
        self.history.note(self.agenda.now(), || format!("the user gets {id}: {output:?}"));
        self.history.tally.waits += 1;
        let result = output.map(|()| payload == model.output);
        if self.book.body_failed {
            assert!(result.is_err() || result == Ok(true), "the bytes of {id}");
        } else {
            assert!(!matches!(result, Err(TaskError::Closed { .. })), "the run goes on");
            self.book.check_got(index, &result, &self.whereabouts());
        }
        self.book.tasks[index].waits -= 1;
        true
    }

    /// A graph is over: as a whole it went as its tasks did.
    fn check_graph_run(&self, graph_run: GraphRunId, result: Result<(), RunError>) {
        if self.book.body_failed {
            return;
        }
        let Failures { own, upstream, open } = self.book.failures_of(graph_run);
        match result {
            Ok(()) => assert!(own.is_empty() && upstream == 0, "{own:?} of the graph have failed"),
            Err(RunError::Failed { failed, upstream: told_upstream }) => {
                let told: Vec<u32> = failed.iter().filter_map(|error| Some(error.site()?.task)).collect();
                // Where all began outside of the graph, one cause is told.
                let is_outside = own.is_empty() && told_upstream > 0 && told.len() == 1;
                let all = own.iter().all(|task| told.contains(task));
                let others = told.len() + told_upstream - own.len() - upstream;
                assert!(all && told_upstream >= upstream, "{failed:?} {own:?}");
                assert!(is_outside || (others <= open && told.len() <= own.len() + open), "{failed:?} {own:?}");
            }
            Err(other) => panic!("the graph is over: {other}"),
        }
    }

    /// The user closes the cluster, and waits until all tasks have ended.
    pub(super) fn user_closes(&mut self) {
        if self.controller.machine.is_over() {
            return;
        }
        if self.random.percent(10) {
            let waiting = self.note_cancelled(&self.unended.clone());
            self.tell(Input::ClosingNow);
            self.check_cancelled(&waiting);
        } else {
            self.tell(Input::Closing);
            self.after_controller();
        }
        self.wait(Wait::Drained);
    }
}
