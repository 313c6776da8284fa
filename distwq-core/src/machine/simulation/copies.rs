//! Which workers have which values: in truth, and as far as the controller can know from
//! what it told them and what they have answered. Noted from the frames of runs in which
//! workers are lost.
//!
//! That a value is lost is believed only in these two cases (decision 0031 promises no
//! more):
//!
//! - Nobody has it: neither the controller nor a living worker that made it, or was told
//!   to have it and has not denied it since. Excused is a worker that has the value now
//!   and has denied it: it was asked too early, while its copy was on its way.
//! - The last attempt of a task was at a worker that did not get it: from a rank that
//!   died, or from one that was told to have a copy, which has not come. Another rank may
//!   have the value: the worker cannot know, and the attempt is used up.
//!
//! And the controller names somebody to fetch a value from only as long as it makes sense
//! to ask there: see [`World::check_copies_asked`].

use super::network::CONTROLLER;
use super::task::Task;
use super::worker::SimulatedWorker;
use super::world::World;
use crate::codec::Payload;
use crate::codec::frame::{Frame, Messages};
use crate::function::remote::Failure;
use crate::id::{Rank, TaskId};
use crate::machine::controller::Controller;
use crate::machine::worker::not_there;
use crate::outcome::error::TaskError;
use crate::wire::attempt::{Done, Run, Source};
use crate::wire::message::{ToController, ToPeer, ToWorker};
use rustc_hash::{FxHashMap, FxHashSet};

/// What was told of copies.
#[derive(Default, Debug)]
pub(super) struct Copies {
    /// Workers that were told to fetch or to keep a value and have not denied it since.
    counted: FxHashSet<(TaskId, Rank)>,
    /// Runs on their way to a worker, which say that it is to have a value.
    runs: OnTheWay,
    /// Denials on their way to the controller.
    denials: OnTheWay,
    /// Denials that the controller has read in this turn: what it sends in the turn may
    /// have been written before or afterwards.
    read_now: Vec<(TaskId, Rank)>,
    /// Workers that have answered that they do not have this value, and were not told to
    /// have it since then.
    without: FxHashSet<(TaskId, Rank)>,
    /// Tasks of which the controller knows that an attempt has failed because a living
    /// worker did not have this value, and was not told since then to fetch it.
    refused: FxHashSet<(TaskId, TaskId, Rank)>,
    /// Workers that were told of the loss of a rank: the first knows of the second.
    told_lost: FxHashSet<(Rank, Rank)>,
    /// Tasks that were sent since the last turn of the controller was over, each with a
    /// value that was to be fetched, and from whom.
    asked: Vec<(TaskId, TaskId, Rank)>,
}

/// How many messages about a value at a worker were sent and not read.
#[derive(Default, Debug)]
struct OnTheWay(FxHashMap<(TaskId, Rank), u32>);

impl OnTheWay {
    fn sent(&mut self, value: TaskId, worker: Rank) {
        *self.0.entry((value, worker)).or_default() += 1;
    }

    fn read(&mut self, value: TaskId, worker: Rank) {
        let count = self.0.get_mut(&(value, worker)).expect("it was sent");
        *count -= 1;
    }

    fn has(&self, value: TaskId, worker: Rank) -> bool {
        self.0.get(&(value, worker)).is_some_and(|count| *count > 0)
    }
}

impl Copies {
    fn told_to_have(&mut self, value: TaskId, worker: Rank) {
        if !self.read_now.contains(&(value, worker)) {
            self.counted.insert((value, worker));
        }
        self.runs.sent(value, worker);
        self.without.remove(&(value, worker));
        self.refused.retain(|(_, refused, by)| (*refused, *by) != (value, worker));
    }
}

/// Who has values, for the check of an error that says that one is lost.
pub(super) struct Whereabouts<'a> {
    pub(super) workers: &'a [SimulatedWorker],
    pub(super) controller: &'a Controller,
    pub(super) copies: &'a Copies,
}

impl Whereabouts<'_> {
    /// Whether the output of a task can be had, and the controller can know from whom.
    pub(super) fn has(&self, model: &Task) -> bool {
        let is_home = self.controller.output_here(model.id, &mut Payload::EMPTY.clone());
        is_home || self.living().any(|worker| worker.holds(model.id) && self.is_counted(model, worker.rank))
    }

    fn is_counted(&self, model: &Task, worker: Rank) -> bool {
        is_maker(model, worker) || self.copies.counted.contains(&(model.id, worker))
    }

    fn living(&self) -> impl Iterator<Item = &SimulatedWorker> {
        self.workers.iter().filter(|worker| !worker.is_dead)
    }

    /// Of whom the last attempt has not got this input, if it has failed of that.
    pub(super) fn who_did_not_have(&self, value: TaskId, error: &TaskError) -> Option<Rank> {
        let mut ranks = std::iter::once(CONTROLLER).chain(self.workers.iter().map(|worker| worker.rank));
        ranks.find(|&rank| error.message().is_some_and(|message| message.contains(&not_there(value, rank))))
    }

    /// Whether it is possible that a rank did not have the value: it is a worker that has
    /// died, or one whose copy may not have come.
    pub(super) fn may_lack(&self, model: &Task, rank: Rank) -> bool {
        rank != CONTROLLER && (self.workers[rank.index() - 1].is_dead || !is_maker(model, rank))
    }
}

fn is_maker(model: &Task, worker: Rank) -> bool {
    model.ran_on == Some(worker.index() - 1)
}

impl World<'_> {
    pub(super) fn whereabouts(&self) -> Whereabouts<'_> {
        Whereabouts { workers: &self.workers, controller: &self.controller.machine, copies: &self.copies }
    }

    /// A frame is sent.
    pub(super) fn note_copies_sent(&mut self, from: Rank, to: Rank, frame: &Frame) {
        if self.shape.losses.is_empty() {
            return;
        }
        match (from, to) {
            (CONTROLLER, to) => self.note_told(to, frame),
            (from, CONTROLLER) => {
                for value in denied(frame) {
                    self.copies.denials.sent(value, from);
                }
                for (task, text) in failed_of_inputs(frame) {
                    let inputs = &self.book.tasks[self.book.index(task)].inputs;
                    let own = inputs.iter().filter(|input| text == not_there(input.source, from));
                    self.copies.without.extend(own.map(|input| (input.source, from)));
                }
            }
            (from, _) => {
                if let Ok(Some(ToWorker::Peer(ToPeer::Value { value, bytes: None }))) = Messages::of(frame).next() {
                    self.copies.without.insert((value, from));
                }
            }
        }
    }

    /// The controller tells a worker what is in this frame.
    fn note_told(&mut self, to: Rank, frame: &Frame) {
        for message in told(frame) {
            match message {
                Told::Lost(rank) => drop(self.copies.told_lost.insert((to, rank))),
                Told::ToHave(value) => self.copies.told_to_have(value, to),
                Told::ToFetch { task, value, by } => {
                    let is_lost = self.copies.told_lost.contains(&(to, by));
                    assert!(!is_lost, "{to} is to fetch {value} from {by}, which it knows is lost");
                    self.copies.asked.push((task, value, by));
                }
            }
        }
    }

    /// A worker reads a frame.
    pub(super) fn note_copies_read_by(&mut self, from: Rank, worker: Rank, frame: &Frame) {
        if from != CONTROLLER || self.shape.losses.is_empty() {
            return;
        }
        for message in told(frame) {
            if let Told::ToHave(value) = message {
                self.copies.runs.read(value, worker);
            }
        }
    }

    /// A turn of the controller is over, and all that it had to say was sent. The workers
    /// that others were told to fetch values from have them or will, or their denials are
    /// late. If an attempt has failed because such a worker did not have the value, that
    /// it is still to be told of it is no excuse for asking there again: by its answer it
    /// has denied it.
    pub(super) fn check_copies_asked(&mut self) {
        for (task, value, holder) in std::mem::take(&mut self.copies.asked) {
            let matters = !self.book.body_failed && self.controller.machine.knows(value);
            if holder != CONTROLLER && matters {
                self.check_holder(task, value, holder);
            }
        }
        self.copies.read_now.clear();
    }

    /// A task was sent whose worker is to fetch a value from this one: it made sense to
    /// ask there, as far as the controller could know.
    fn check_holder(&self, task: TaskId, value: TaskId, holder: Rank) {
        let Copies { runs, denials, refused, read_now, .. } = &self.copies;
        let worker = &self.workers[holder.index() - 1];
        let is_late = denials.has(value, holder) || read_now.contains(&(value, holder));
        if worker.is_dead || worker.expects(value) || is_late {
            return;
        }
        let is_again = refused.contains(&(task, value, holder));
        assert!(!is_again, "{task} is to fetch {value} from {holder} again, which did not have it and does not get it");
        assert!(runs.has(value, holder), "{task} is to fetch {value} from {holder}, which never gets it");
    }

    /// The controller reads a frame.
    pub(super) fn note_copies_read(&mut self, from: Rank, frame: &Frame) {
        if self.shape.losses.is_empty() || self.book.lost.contains(&(from.index() - 1)) {
            return;
        }
        for value in denied(frame) {
            self.history.tally.denials += 1;
            let denial = (value, from);
            self.copies.counted.remove(&denial);
            self.copies.read_now.push(denial);
            self.copies.denials.read(value, from);
        }
        for (task, text) in failed_of_inputs(frame) {
            let model = &self.book.tasks[self.book.index(task)];
            for input in &model.inputs {
                let living = self.workers.iter().filter(|worker| !worker.is_dead);
                let who = living.map(|worker| worker.rank).find(|rank| text == not_there(input.source, *rank));
                let who = who.filter(|rank| self.copies.without.contains(&(input.source, *rank)));
                self.copies.refused.extend(who.map(|rank| (task, input.source, rank)));
            }
        }
    }
}

/// What a worker is told that matters here.
enum Told {
    Lost(Rank),
    /// The worker will have this value.
    ToHave(TaskId),
    /// It is to fetch a value for this task.
    ToFetch {
        task: TaskId,
        value: TaskId,
        by: Rank,
    },
}

/// What the controller tells a worker in this frame.
fn told(frame: &Frame) -> Vec<Told> {
    let mut all = Vec::new();
    let mut messages = Messages::of(frame);
    loop {
        if let Some(run) = messages.next_fixed(Run::read) {
            let Ok(Some(tail)) = run.tail() else { continue };
            for &(value, source) in tail.inputs.iter().flat_map(|input| &input.values) {
                match source {
                    Source::Inline { keep: false, .. } => {}
                    Source::Inline { keep: true, .. } => all.push(Told::ToHave(value)),
                    Source::Held { by } => {
                        all.push(Told::ToHave(value));
                        all.push(Told::ToFetch { task: run.task(), value, by });
                    }
                }
            }
            continue;
        }
        match messages.next() {
            Ok(Some(ToWorker::Lost { rank })) => all.push(Told::Lost(rank)),
            Ok(Some(_)) => {}
            // A frame that is torn says nothing more.
            Ok(None) | Err(_) => return all,
        }
    }
}

/// The values that a worker says in this frame not to have.
fn denied(frame: &Frame) -> Vec<TaskId> {
    let mut all = Vec::new();
    let mut messages = Messages::of(frame);
    loop {
        if messages.next_fixed(Done::read).is_some() {
            continue;
        }
        match messages.next() {
            Ok(Some(ToController::Missing { values })) => all.extend(values),
            Ok(Some(ToController::Peer(ToPeer::Value { value, bytes: None }))) => all.push(value),
            Ok(Some(_)) => {}
            Ok(None) | Err(_) => return all,
        }
    }
}

/// The tasks of which a worker says in this frame that they have failed because of an
/// input, with its words.
fn failed_of_inputs(frame: &Frame) -> Vec<(TaskId, String)> {
    let mut all = Vec::new();
    let mut messages = Messages::of(frame);
    loop {
        if let Some(done) = messages.next_fixed(Done::read) {
            if let Ok(Some(tail)) = done.tail()
                && let Err(Failure::Input(text)) = tail.outcome
            {
                all.push((done.task(), text));
            }
            continue;
        }
        match messages.next::<ToController<'_>>() {
            Ok(Some(_)) => {}
            Ok(None) | Err(_) => return all,
        }
    }
}
