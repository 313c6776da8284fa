//! A function applied to many items: pulled, sent and given back within a window.

mod bar;
mod cut;
mod flights;
mod reduce;
mod results;
mod sizes;
mod source;

use crate::api::call::Call;
use crate::api::cluster::Cluster;
use crate::outcome::error::{Limit, Refusal, TaskError};
use crate::task::current;
use bar::Bar;
use flights::{Ended, Flights, Room, Waited};
use results::{Given, Landed, Results};
use serde::de::DeserializeOwned;
use sizes::Sizes;
use source::{Lot, Source};
use std::fmt;
use std::iter::FusedIterator;
use std::time::{Duration, Instant};
use std::vec;

/// The results of a function that is applied to many items, in the order of the items;
/// made by [`Cluster::map`].
///
/// It is lazy: nothing is pulled before the first result is asked for, then as many
/// items as the [window](Self::window) holds, and more as results are taken. So the
/// source may be endless, may not know its length, and may itself use the cluster.
///
/// Items of which each takes little time travel together, so that an item costs little
/// more than its encoding. That changes nothing else: each has its own result, its own
/// retries, its own [seed](crate::Context::seed). An item that fails is an `Err` at its
/// place, and the others go on.
///
/// Dropping it cancels what has not started. When all tasks are cancelled after it has
/// begun, by [`cancel_all`](Cluster::cancel_all) or by
/// [SIGINT or SIGTERM](Cluster::is_interrupted), it pulls nothing more, gives the results
/// of all items that have ended, and [`Cancelled`](TaskError::Cancelled) as the last one.
/// It pulls nothing more either when a result tells that no task runs any more, because
/// the cluster has closed, its time is over, or its `init` has failed; then the results
/// of what was pulled are the last ones.
///
/// # Panics
/// `next` and [`tree_reduce`](Self::tree_reduce) panic within a task of this process.
/// What the source or the function that makes the calls panics with goes on through
/// `next`; the map can be used afterwards, without that item.
///
/// # Examples
/// ```
/// use distwq::prelude::*;
///
/// #[remote]
/// fn power(x: u64, exponent: u32) -> u64 {
///     x.pow(exponent)
/// }
///
/// #[distwq::main]
/// fn main(cluster: &Cluster) -> Result<(), TaskError> {
///     let cubes: Result<Vec<u64>, _> = cluster.map(|x| power::call(x, 3), 1..=4).collect();
///     assert_eq!(cubes?, [1, 8, 27, 64]);
///     // As results come, from an endless source, ten items at a time.
///     let mut sum = 0;
///     for square in cluster.map(|x| power::call(x, 2), 1..).window(10).unordered().take(100) {
///         sum += square?;
///     }
///     assert!(sum >= (1..=100).map(|x| x * x).sum());
///     Ok(())
/// }
/// ```
#[must_use = "a map is lazy: it does nothing until its results are taken"]
pub struct Map<I, F, T> {
    source: Source<I, F>,
    sizes: Sizes,
    flights: Flights,
    results: Results,
    /// What is being given.
    current: Option<Landed>,
    /// Values that come before.
    decoded: vec::IntoIter<T>,
    /// The index of the item behind the one whose result was given last.
    next_index: u64,
    /// Items that were pulled and not given.
    held: usize,
    /// When there are fewer, others are pulled.
    fill_below: usize,
    /// Items of tasks that have ended.
    done: usize,
    limit: Option<Duration>,
    /// From the first `next` on, if there is a limit.
    deadline: Option<Instant>,
    stage: Stage,
    is_shown: bool,
    /// What is shown while results are taken.
    bar: Option<Bar>,
}

/// How far a map is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Stage {
    /// Nobody has asked for a result.
    New,
    /// Items are pulled.
    Open,
    /// It was cut short: what has ended is given, and then an error.
    Cut(Cut),
    /// There are no more results.
    Over,
}

/// Why a map ends before its items do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Cut {
    /// The deadline has passed.
    Late,
    /// All tasks were cancelled.
    Stopped,
}

impl Cluster {
    /// Applies a function to all items: `call` makes a call of each, as it does for
    /// [`submit`](Self::submit), with any options. A remote function's `call` will do
    /// where it takes one argument.
    ///
    /// Of two sources make one by [`Iterator::zip`].
    ///
    /// # Examples
    /// ```
    /// use distwq::prelude::*;
    ///
    /// #[remote]
    /// fn divide(dividend: i32, divisor: i32) -> Result<i32, String> {
    ///     dividend.checked_div(divisor).ok_or_else(|| "a division by zero".to_owned())
    /// }
    ///
    /// #[distwq::main]
    /// fn main(cluster: &Cluster) {
    ///     let pairs = [10, 20, 30].into_iter().zip([5, 0, 3]);
    ///     let quotients: Vec<_> = cluster.map(|(a, b)| divide::call(a, b), pairs).collect();
    ///     assert_eq!((&quotients[0], &quotients[2]), (&Ok(2), &Ok(10)));
    ///     let error = quotients[1].as_ref().unwrap_err();
    ///     assert_eq!(error.message(), Some("a division by zero"));
    ///     assert_eq!(error.site().map(|site| site.task), Some(2)); // items are counted from 1
    /// }
    /// ```
    pub fn map<T, I, F>(&self, call: F, items: I) -> Map<I::IntoIter, F, T>
    where
        I: IntoIterator,
        F: FnMut(I::Item) -> Call<T>,
    {
        let slots = self.inner().driver.with(|engine| engine.machine().slots());
        Map {
            source: Source::new(items.into_iter(), call),
            sizes: Sizes::new(slots),
            flights: Flights::new(self),
            results: Results::new(),
            current: None,
            decoded: Vec::new().into_iter(),
            next_index: 0,
            held: 0,
            fill_below: 0,
            done: 0,
            limit: None,
            deadline: None,
            stage: Stage::New,
            is_shown: false,
            bar: None,
        }
    }
}

/// How a map goes.
impl<I, F, T> Map<I, F, T> {
    /// Gives results as tasks end, whatever the order of the items. What takes long then
    /// holds nobody up.
    pub fn unordered(mut self) -> Self {
        self.results.is_ordered = false;
        self
    }

    /// How many items may be pulled and not given at any moment, at least 1; chunks are
    /// no larger. It bounds the memory of the map, and how far it runs ahead.
    ///
    /// Without it there are 64 items for each slot of a worker, so that one that takes 60
    /// times as long as the others holds up nobody even in order, and more where small
    /// items travel together: four chunks for each slot. With 0 the only result is an
    /// error, [`Refusal::NoItems`].
    pub fn window(mut self, items: usize) -> Self {
        self.sizes.window = Some(items);
        self
    }

    /// How many items travel together, at least 1, if they can: calls of one function
    /// with equal options and without handles. A worker runs them one after another.
    ///
    /// Without it that follows from what was measured: as many as run for 0.2 ms
    /// together, up to 1,024, so that a message costs little, and workers still end
    /// together; slower ones go singly. What else waits for a worker waits for the chunk
    /// that it runs and for one behind that, so chunks of slow items hold others up.
    /// With 0 the only result is an error, [`Refusal::NoItems`].
    pub fn chunk(mut self, items: usize) -> Self {
        self.sizes.chunk = Some(items);
        self
    }

    /// The first error ends the map: it is the last result, and what has not started is
    /// cancelled. In order, the results of all items before it come first.
    pub fn fail_fast(mut self) -> Self {
        self.results.fails_fast = true;
        self
    }

    /// Ends the map when so much time has passed since the first result was asked for:
    /// then it gives the results of all items that have ended,
    /// [`LimitReached`](TaskError::LimitReached) as the last one, and cancels the others.
    pub fn deadline(mut self, after: Duration) -> Self {
        self.limit = Some(after);
        self
    }

    /// Shows on standard error how far the map is, from the first result that is asked
    /// for to the last: a bar on a terminal, lines elsewhere, see
    /// [`ProgressBar`](crate::ProgressBar). Items count, not messages.
    ///
    /// # Examples
    /// ```
    /// use distwq::prelude::*;
    ///
    /// #[remote]
    /// fn square(x: u64) -> u64 {
    ///     x * x
    /// }
    ///
    /// #[distwq::main]
    /// fn main(cluster: &Cluster) -> Result<(), TaskError> {
    ///     let sum: Result<u64, _> = cluster.map(square::call, 0..100).progress_bar().sum();
    ///     assert_eq!(sum?, 328_350);
    ///     Ok(())
    /// }
    /// ```
    pub fn progress_bar(mut self) -> Self {
        self.is_shown = true;
        self
    }

    /// Gives each result with the index of its item, counted from 0. With the error of a
    /// passed [deadline](Self::deadline) comes the number of items that were pulled.
    ///
    /// # Examples
    /// ```
    /// use distwq::prelude::*;
    ///
    /// #[remote]
    /// fn length(word: String) -> usize {
    ///     word.len()
    /// }
    ///
    /// #[distwq::main]
    /// fn main(cluster: &Cluster) {
    ///     let words = ["one", "three"].map(str::to_owned);
    ///     let mut lengths: Vec<_> = cluster.map(length::call, words).unordered().indexed().collect();
    ///     lengths.sort_by_key(|(index, _)| *index);
    ///     assert_eq!(lengths, [(0, Ok(3)), (1, Ok(5))]);
    /// }
    /// ```
    pub fn indexed(self) -> Indexed<I, F, T> {
        Indexed { map: self }
    }

    /// How many items have ended, with a value or without, as far as the map has looked;
    /// their results may be still to be given. Items count, however they travel. How many
    /// there will be is what [`size_hint`](Iterator::size_hint) says at first, if the
    /// source knows.
    #[must_use]
    pub fn done(&self) -> usize {
        self.done
    }

    /// Pulls no more, and submits nothing more of what was pulled.
    fn stop_pulling(&mut self) {
        self.held -= self.source.end();
        self.fill_below = 0;
    }
}

impl<I: Iterator, F: FnMut(I::Item) -> Call<T>, T: DeserializeOwned> Map<I, F, T> {
    /// The next value, if it is decoded already.
    #[inline]
    fn next_decoded(&mut self) -> Option<T> {
        let value = self.decoded.next()?;
        self.held -= 1;
        self.next_index += 1;
        Some(value)
    }

    /// The next result, which is not decoded yet.
    #[track_caller]
    fn next_given(&mut self) -> Option<Given<T>> {
        loop {
            if let Some(landed) = &mut self.current {
                self.decoded = landed.next_values().into_iter();
                if let Some(value) = self.next_decoded() {
                    return Some(Given { index: self.next_index - 1, result: Ok(value) });
                }
            }
            if self.stage == Stage::Open
                && let Some(landed) = self.current.take_if(|landed| landed.asks_to_go_again())
            {
                self.sort_out(landed);
            }
            if let Some(landed) = &mut self.current
                && let Some(given) = landed.next(&self.flights)
            {
                self.held -= 1;
                self.next_index = given.index + 1;
                match &given.result {
                    Err(error) if !self.passes_on(&error.clone()) => continue,
                    _ => return Some(given),
                }
            }
            if let Some(given) = self.advance()? {
                self.next_index = given.index + 1;
                return Some(given);
            }
        }
    }

    /// Whether an error is given. It may be the last that the map does.
    #[cold]
    fn passes_on(&mut self, error: &TaskError) -> bool {
        self.bar.iter().for_each(|bar| bar.has_none(error));
        let is_cut = matches!(self.stage, Stage::Cut(_));
        if is_cut && matches!(error.root(), TaskError::Cancelled { .. }) {
            return false;
        }
        if matches!(error.root(), TaskError::Cancelled { .. }) && self.flights.is_stopped() {
            // It is told once, behind what there is.
            self.cut_short(Cut::Stopped);
            return false;
        }
        if self.results.fails_fast {
            self.end();
        } else if is_end_of_all(error) {
            // The cluster runs no more.
            self.stop_pulling();
        }
        true
    }

    /// Goes on until there are results to give. None if there are no more; an error that
    /// is of no item is given at once.
    #[track_caller]
    fn advance(&mut self) -> Option<Option<Given<T>>> {
        current::assert_outside("Map::next");
        self.current = None;
        match self.stage {
            Stage::Over => return None,
            Stage::New => {
                if let Some(error) = self.begin() {
                    return Some(Some(error));
                }
            }
            Stage::Open | Stage::Cut(_) => {}
        }
        loop {
            self.land();
            if self.stage == Stage::Open && self.is_late() {
                self.pass_deadline();
            }
            if self.stage == Stage::Open {
                self.fill();
                self.results.ask_ahead(&self.flights);
            }
            let may_go_again = self.may_go_again();
            self.current = self.results.take_first(&mut self.flights, may_go_again);
            if let Some(landed) = &self.current {
                self.next_index = landed.first;
                if let Some(bytes) = landed.bytes() {
                    self.sizes.carried(landed.count, bytes);
                }
                return Some(None);
            }
            if self.flights.len() > 0 {
                match self.flights.wait(self.deadline) {
                    Waited::Ended => {}
                    Waited::TooLate => self.pass_deadline(),
                    Waited::Stopped => self.cut_short(Cut::Stopped),
                }
            } else if self.stage != Stage::Open || !self.is_late() || self.is_all_there() {
                let stage = self.stage;
                self.end();
                let Stage::Cut(cut) = stage else { return None };
                return Some(Some(self.last_of(cut)));
            }
        }
    }

    /// Somebody asks for the first result. Gives an error if there can be none.
    fn begin(&mut self) -> Option<Given<T>> {
        self.stage = Stage::Open;
        let what = match (self.sizes.window, self.sizes.chunk) {
            (Some(0), _) => "window",
            (_, Some(0)) => "chunk",
            _ => {
                self.flights.begin();
                self.deadline = self.limit.and_then(|limit| Instant::now().checked_add(limit));
                if self.is_shown {
                    let (least, most) = self.source.size_hint();
                    let of = most.filter(|most| *most == least);
                    self.bar = Some(Bar::new(self.flights.cluster.inner().progress, of.map(|of| of as u64)));
                }
                return None;
            }
        };
        self.stage = Stage::Over;
        Some(Given { index: 0, result: Err(TaskError::refused("map", Refusal::NoItems { what: what.to_owned() })) })
    }

    /// Takes in what has ended.
    fn land(&mut self) {
        while let Some(Ended { flight, ran_ns, .. }) = self.flights.next_ended() {
            self.have_ended(flight.count, ran_ns);
            self.results.land(Landed::new(flight), &mut self.flights);
        }
        if let Some(first) = self.results.first_failure.take()
            && self.results.fails_fast
        {
            // What comes before is still given.
            self.stop_pulling();
            self.flights.cancel_from(first + 1);
        }
    }

    /// The items of a task have ended, which ran for this time, if it ran.
    fn have_ended(&mut self, items: u32, ran_ns: Option<u64>) {
        self.done += items as usize;
        self.bar.iter().for_each(|bar| bar.ended(self.done));
        if let (Some(ran_ns), 1..) = (ran_ns, items) {
            self.sizes.ran(items, ran_ns);
        }
    }

    /// Pulls as much as the window holds, and submits it.
    fn fill(&mut self) {
        self.fill_below = 0;
        self.send(false);
        while self.pull(self.held) {
            self.send(false);
        }
        self.send(true);
        if !self.source.is_over {
            // It is worth to pull again once there is room for a chunk.
            self.fill_below = self.sizes.window() + 1 - self.sizes.chunk().min(self.sizes.window());
        }
    }

    /// Pulls some of the items that the window has room for, beside so many. False if
    /// there is no room, or there are none.
    fn pull(&mut self, held: usize) -> bool {
        let room = self.sizes.window().saturating_sub(held);
        if room == 0 || self.source.is_over || self.is_late() || self.has_to_pause() {
            return false;
        }
        self.source.pull(room, &mut self.sizes, self.deadline, &mut self.held);
        true
    }

    /// Whether the source has to wait because as much is queued as may be: until results
    /// are taken, or, if none are on their way, here. Or because the run is to end.
    fn has_to_pause(&mut self) -> bool {
        if self.held == 0 && matches!(self.flights.room(), Room::Full) {
            self.flights.cluster.await_room(self.deadline);
        }
        match self.flights.room() {
            Room::Free => false,
            Room::Full => self.held > 0,
            Room::Stopped => {
                if !self.is_all_there() {
                    self.cut_short(Cut::Stopped);
                }
                true
            }
        }
    }

    /// Submits what was pulled: if not `all`, what makes whole chunks.
    fn send(&mut self, all: bool) {
        while !self.sizes.waits_to_learn(self.flights.len())
            && let Some(lot) = self.source.next_lot(self.sizes.chunk(), all)
        {
            let Lot { first, count, .. } = lot;
            self.sizes.carried(count, lot.bytes());
            match self.flights.submit(lot) {
                Ok(_) => self.results.expect(first),
                Err(step) => self.results.put(Landed::refused(step.refusal(), first, count)),
            }
        }
    }

    /// No more results are given, and what has not started never will.
    fn end(&mut self) {
        self.stage = Stage::Over;
        self.bar = None;
        self.stop_pulling();
        self.current = None;
        self.results.forget_all();
        self.flights.cancel_from(0);
        self.flights.forget_all();
    }
}

/// Whether an error tells that the cluster runs nothing any more.
fn is_end_of_all(error: &TaskError) -> bool {
    matches!(
        error,
        TaskError::Cancelled { .. }
            | TaskError::Closed { .. }
            | TaskError::Init { .. }
            | TaskError::Refused { reason: Refusal::Closed, .. }
            // That of the whole run: a map tells its own one itself.
            | TaskError::LimitReached { limit: Limit::Deadline, .. }
    )
}

impl<I: Iterator, F: FnMut(I::Item) -> Call<T>, T: DeserializeOwned> Iterator for Map<I, F, T> {
    type Item = Result<T, TaskError>;

    #[inline]
    #[track_caller]
    fn next(&mut self) -> Option<Self::Item> {
        // Not before the last result was given: until then it counts.
        if self.held < self.fill_below {
            self.fill();
        }
        match self.next_decoded() {
            Some(value) => Some(Ok(value)),
            None => self.next_given().map(|given| given.result),
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let (least, most) = self.source.size_hint();
        // A source without end is cut short one day, and no vector has room for it all.
        let may_end_early = self.results.fails_fast || self.limit.is_some() || most.is_none();
        if may_end_early || matches!(self.stage, Stage::Cut(_) | Stage::Over) {
            return (0, most.and_then(|most| most.checked_add(self.held)?.checked_add(1)));
        }
        (least.saturating_add(self.held), most.and_then(|most| most.checked_add(self.held)))
    }
}

impl<I: Iterator, F: FnMut(I::Item) -> Call<T>, T: DeserializeOwned> FusedIterator for Map<I, F, T> {}

impl<I, F, T> fmt::Debug for Map<I, F, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { source, held, done, .. } = self;
        write!(f, "Map({} items pulled, {done} ended, {held} to be given)", source.pulled)
    }
}

/// The results of a [`Map`], each with the index of its item.
#[derive(Debug)]
#[must_use = "a map is lazy: it does nothing until its results are taken"]
pub struct Indexed<I, F, T> {
    map: Map<I, F, T>,
}

impl<I: Iterator, F: FnMut(I::Item) -> Call<T>, T: DeserializeOwned> Iterator for Indexed<I, F, T> {
    type Item = (usize, Result<T, TaskError>);

    #[track_caller]
    fn next(&mut self) -> Option<Self::Item> {
        let result = self.map.next()?;
        Some((self.map.next_index as usize - 1, result))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.map.size_hint()
    }
}

impl<I: Iterator, F: FnMut(I::Item) -> Call<T>, T: DeserializeOwned> FusedIterator for Indexed<I, F, T> {}
