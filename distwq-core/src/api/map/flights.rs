//! The tasks of a map, from when the cluster takes them until their results are given.

use super::source::{Calls, Lot};
use crate::api::argument::Arguments;
use crate::api::call::{Options, Parts, PartsBox};
use crate::api::cluster::{self, Cluster};
use crate::api::reference::{Bound, Reference};
use crate::codec::Payload;
use crate::function::argument::Input;
use crate::function::registry::Remote;
use crate::function::remote::Failure;
use crate::id::{CollectorId, Origin, TaskId};
use crate::machine::controller::{Awaited, Controller, Encoded, FailedItem, ItemsOfMap, NewTask, Watch, WatchedEnd};
use crate::outcome::error::{PathStep, TaskError};
use crate::outcome::failure::RetryOn;
use crate::runtime::collectors::Arrivals;
use crate::runtime::observer;
use crate::task::items::Items;
use crate::wire::chunk;
use smallvec::SmallVec;
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// A task that the cluster has taken, with the items that it is made of.
pub(super) struct Flight {
    pub(super) first: u64,
    pub(super) count: u32,
    pub(super) task: TaskId,
    /// Keeps the output.
    reference: Bound,
    pub(super) again: Option<Again>,
}

/// What it takes to name an item of several, and to submit it again.
pub(super) struct Again {
    remote: &'static Remote,
    options: Option<Box<Options>>,
    /// All calls, as they were sent.
    calls: Payload,
}

impl Again {
    /// How often an item is tried again, and after which failures.
    pub(super) fn retries(&self) -> (u32, RetryOn) {
        let chosen = |options: &Options| (options.retries, options.terms.retry_on);
        self.options.as_deref().map_or((0, RetryOn::DEFAULT), chosen)
    }

    /// The call of an item, by its place.
    fn call(&self, place: u32) -> chunk::Call<'_> {
        let mut left = self.calls.as_slice();
        let mut calls = std::iter::from_fn(|| chunk::next_call(&mut left));
        calls.nth(place as usize).expect("the item has been sent")
    }

    /// The label of an item, by its place.
    pub(super) fn label(&self, place: u32) -> Option<&str> {
        self.call(place).label
    }
}

/// A task that has ended.
pub(super) struct Ended {
    pub(super) flight: Flight,
    /// How long its last attempt ran; nothing if it never ran.
    pub(super) ran_ns: Option<u64>,
    pub(super) has_value: bool,
}

/// What has come of a wait for tasks.
pub(super) enum Waited {
    /// Some have ended.
    Ended,
    /// The deadline has passed before.
    TooLate,
    /// All tasks were cancelled.
    Stopped,
}

/// Whether a map pulls more items.
pub(super) enum Room {
    /// It may.
    Free,
    /// As much is queued as may be.
    Full,
    /// All tasks were cancelled.
    Stopped,
}

/// The tasks of one map that have not ended.
pub(super) struct Flights {
    pub(super) cluster: Cluster,
    /// The number of the map.
    map: u32,
    arrivals: Arc<Arrivals>,
    collector: CollectorId,
    /// By the index of the watch.
    flights: Vec<Option<Flight>>,
    vacant: Vec<u32>,
    /// Ends that have come and were not looked at; empty in between.
    ended: VecDeque<WatchedEnd>,
    /// The function that joins the values of neighbours, by its number.
    pub(super) fold: Option<u32>,
    /// How often all tasks of the cluster had been cancelled when the map began.
    times_cancelled: u64,
}

impl Flights {
    pub(super) fn new(cluster: &Cluster) -> Self {
        let arrivals = Arc::new(Arrivals::default());
        let inner = cluster.inner();
        let collector = inner.driver.with(|engine| engine.collect(&arrivals));
        let map = inner.maps.fetch_add(1, Ordering::Relaxed).wrapping_add(1);
        Self {
            cluster: cluster.clone(),
            map,
            arrivals,
            collector,
            flights: Vec::new(),
            vacant: Vec::new(),
            ended: VecDeque::new(),
            fold: None,
            times_cancelled: 0,
        }
    }

    /// The map begins. After a signal it has been cancelled before.
    pub(super) fn begin(&mut self) {
        let times = |machine: &Controller| machine.times_cancelled() - u64::from(machine.is_interrupted());
        self.times_cancelled = self.cluster.inner().driver.with(|engine| times(engine.machine()));
    }

    /// Whether all tasks were cancelled since the map has begun.
    pub(super) fn is_stopped(&self) -> bool {
        self.cluster.inner().driver.with(|engine| engine.machine().was_cancelled_since(self.times_cancelled))
    }

    /// How many tasks have not ended, as far as was looked.
    pub(super) fn len(&self) -> usize {
        self.flights.len() - self.vacant.len()
    }

    /// Submits a lot. Gives the index of its flight.
    ///
    /// # Errors
    /// Why the cluster does not take it.
    pub(super) fn submit(&mut self, lot: Lot) -> Result<u32, Arc<PathStep>> {
        self.submit_untold(lot).inspect_err(|step| observer::refused(step))
    }

    fn submit_untold(&mut self, lot: Lot) -> Result<u32, Arc<PathStep>> {
        let Lot { first, count, calls } = lot;
        match calls {
            Calls::Alone(mut parts) => {
                let inner = self.cluster.inner();
                inner.driver.with(|engine| inner.admission(engine).check(&parts))?;
                let Parts { remote, arguments: Arguments { plain, inputs, .. }, options } = &mut *parts;
                let inputs: SmallVec<[Input<TaskId>; 4]> = inputs
                    .iter()
                    .map(|input| Input { source: input.source.task(), position: input.position })
                    .collect();
                let call = Taken { remote, inputs: &inputs, options: options.as_deref() };
                self.take(&call, Encoded::Written(plain), self.items(first, 1), None, None)
            }
            Calls::Joined { remote, options, bytes } if count == 1 => {
                let chunk::Call { label, arguments } = chunk::next_call(&mut &bytes[..]).expect("it was written here");
                let labelled = label.map(|label| with_label(options.as_deref(), label));
                let call = Taken { remote, inputs: &[], options: labelled.as_ref().or(options.as_deref()) };
                self.take(&call, Encoded::Few(arguments), self.items(first, 1), None, None)
            }
            Calls::Joined { remote, options, bytes } => {
                let calls = Payload::from(bytes);
                let call = Taken { remote, inputs: &[], options: options.as_deref() };
                // Those that are joined to one value go again together.
                let again =
                    self.fold.is_none().then(|| Again { remote, options: options.clone(), calls: calls.clone() });
                self.take(&call, Encoded::Many(calls), self.items(first, count), None, again)
            }
        }
    }

    /// Submits one item of a flight again, which has failed.
    ///
    /// # Errors
    /// Why the cluster does not take it.
    pub(super) fn submit_again(
        &mut self,
        flight: &Flight,
        place: u32,
        failure: &Failure,
    ) -> Result<u32, Arc<PathStep>> {
        let again = flight.again.as_ref().expect("it may be tried again");
        let chunk::Call { label, arguments } = again.call(place);
        let labelled = label.map(|label| with_label(again.options.as_deref(), label));
        let options = labelled.as_ref().or(again.options.as_deref());
        let call = Taken { remote: again.remote, inputs: &[], options };
        let items = self.items(flight.first + u64::from(place), 1);
        self.take(&call, Encoded::Few(arguments), items, Some(FailedItem { with: flight.task, failure }), None)
    }

    fn items(&self, first: u64, count: u32) -> Items {
        Items { map: self.map, first, count, fold: self.fold.filter(|_| count > 1) }
    }

    fn take(
        &mut self,
        call: &Taken<'_>,
        plain: Encoded<'_>,
        items: Items,
        failed: Option<FailedItem<'_>>,
        again: Option<Again>,
    ) -> Result<u32, Arc<PathStep>> {
        let index = self.vacant.pop().unwrap_or_else(|| {
            self.flights.push(None);
            u32::try_from(self.flights.len() - 1).expect("fewer than 2^32 tasks are under way")
        });
        let watch = Watch { collector: self.collector, index };
        let inner = self.cluster.inner();
        let taken = inner.driver.with(|engine| {
            inner.admission(engine).check_open(call.name())?;
            let &Taken { remote, inputs, options } = call;
            let origin = Origin::Collected(self.collector);
            let new = NewTask { remote, inputs, options: None, before: &[], level: 0, origin, watch: Some(watch) };
            let of = ItemsOfMap { items, failed };
            Ok(match options {
                None => engine.submit_items(&new, plain, of),
                Some(options) => cluster::with_options(new, options, |new| engine.submit_items(new, plain, of)),
            })
        });
        match taken {
            Ok(task) => {
                let reference = Bound::first(task, self.cluster.outcomes());
                let flight = Flight { first: items.first, count: items.count, task, reference, again };
                self.flights[index as usize] = Some(flight);
                Ok(index)
            }
            Err(step) => {
                self.vacant.push(index);
                Err(step)
            }
        }
    }

    /// Whether more items are pulled.
    pub(super) fn room(&self) -> Room {
        let inner = self.cluster.inner();
        inner.driver.with(|engine| match engine.machine().was_cancelled_since(self.times_cancelled) {
            true => Room::Stopped,
            false if inner.is_full(engine) => Room::Full,
            false => Room::Free,
        })
    }

    /// Waits until tasks have ended, until `deadline` at most.
    pub(super) fn wait(&mut self, deadline: Option<Instant>) -> Waited {
        let Self { cluster, arrivals, ended, collector, times_cancelled, .. } = self;
        // Ends because every task ends.
        let found = cluster.inner().driver.wait_until(Awaited::Collected(*collector), deadline, |engine| {
            arrivals.take(ended);
            let machine = engine.machine();
            if !ended.is_empty() || machine.is_over() {
                return Some(Waited::Ended);
            }
            machine.was_cancelled_since(*times_cancelled).then_some(Waited::Stopped)
        });
        found.unwrap_or(Waited::TooLate)
    }

    /// Takes the next task of those that have ended by now, and once the run is over of
    /// all.
    pub(super) fn next_ended(&mut self) -> Option<Ended> {
        if self.ended.is_empty() {
            self.arrivals.take(&mut self.ended);
        }
        let (index, ran_ns, has_value) = match self.ended.pop_front() {
            Some(end) => {
                let ran_ns = (end.started_ns > 0).then(|| end.finished_ns.saturating_sub(end.started_ns));
                (end.watch.index, ran_ns, end.has_value())
            }
            None if self.len() > 0 && self.is_over() => {
                let index = self.flights.iter().position(Option::is_some)?;
                (index as u32, None, false)
            }
            None => return None,
        };
        let flight = self.flights[index as usize].take().expect("a task ends once");
        self.vacant.push(index);
        Some(Ended { flight, ran_ns, has_value })
    }

    /// Submits a task that joins the values of two neighbours. Gives its reference.
    ///
    /// # Errors
    /// Why the cluster does not take it.
    pub(super) fn submit_merge(&mut self, parts: PartsBox, first: u64) -> Result<Reference, Arc<PathStep>> {
        let index = self.submit(Lot { first, count: 1, calls: Calls::Alone(parts) })?;
        if let Some(flight) = &mut self.flights[index as usize] {
            // It is of no item of its own.
            flight.count = 0;
        }
        Ok(self.reference(index))
    }

    /// The reference of a task that has not ended, as far as was looked.
    pub(super) fn reference(&self, index: u32) -> Reference {
        let flight = self.flights[index as usize].as_ref().expect("it is under way");
        Reference::Task(flight.reference.clone())
    }

    fn is_over(&self) -> bool {
        self.cluster.inner().driver.with(|engine| engine.machine().is_over())
    }

    /// Cancels the tasks whose items are all from this one on.
    pub(super) fn cancel_from(&self, first: u64) {
        let tasks = self.tasks_from(first);
        if !tasks.is_empty() {
            self.cluster.inner().driver.with(|engine| engine.cancel_tasks(&tasks));
        }
    }

    /// The deadline of all tasks has come.
    pub(super) fn are_late(&self) {
        let tasks = self.tasks_from(0);
        if !tasks.is_empty() {
            self.cluster.inner().driver.with(|engine| engine.deadline_in(&tasks, Duration::ZERO));
        }
    }

    fn tasks_from(&self, first: u64) -> Vec<TaskId> {
        self.flights.iter().flatten().filter(|flight| flight.first >= first).map(|flight| flight.task).collect()
    }

    /// Forgets all tasks that have not ended.
    pub(super) fn forget_all(&mut self) {
        self.flights.clear();
        self.vacant.clear();
        // Ends that still come are not of these.
        let arrivals = Arc::new(Arrivals::default());
        self.collector = self.cluster.inner().driver.with(|engine| engine.collect(&arrivals));
        self.arrivals = arrivals;
        self.ended.clear();
    }

    /// The error of an item whose task has given a value, because other items have.
    pub(super) fn error_of_item(&self, task: TaskId, failure: &Failure) -> TaskError {
        self.cluster.inner().driver.with(|engine| engine.machine().error_of_item(task, failure))
    }

    /// The error of an item that was cancelled before its worker had begun it.
    pub(super) fn cancelled(&self, task: TaskId) -> TaskError {
        self.cluster.inner().driver.with(|engine| engine.machine().cancelled_item(task))
    }

    /// How many attempts of a task were made.
    pub(super) fn attempts(&self, task: TaskId) -> u32 {
        self.cluster.inner().driver.with(|engine| engine.machine().attempts(task))
    }
}

impl Drop for Flights {
    /// What has not started never will.
    fn drop(&mut self) {
        self.cancel_from(0);
    }
}

/// A call as it is taken.
struct Taken<'a> {
    remote: &'static Remote,
    inputs: &'a [Input<TaskId>],
    options: Option<&'a Options>,
}

impl Taken<'_> {
    fn name(&self) -> &str {
        self.options.and_then(|options| options.label.as_deref()).unwrap_or(self.remote.path)
    }
}

fn with_label(options: Option<&Options>, label: &str) -> Options {
    let options = options.cloned().unwrap_or_default();
    Options { label: Some(label.to_owned().into()), ..options }
}
