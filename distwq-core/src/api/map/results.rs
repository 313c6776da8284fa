//! What has become of the items of a map, in the order in which it is given.

use super::flights::{Again, Flight, Flights};
use crate::api::reference::Outcomes;
use crate::codec::{self, Payload};
use crate::function::remote::Failure;
use crate::machine::controller::goes_again;
use crate::outcome::error::TaskError;
use crate::outcome::failure::RetryOn;
use crate::panics;
use crate::wire::chunk::{self, Outcome};
use serde::de::DeserializeOwned;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Items that lie side by side and have ended together, or a part of them.
pub(super) struct Landed {
    /// None if the cluster has not taken them.
    flight: Option<Arc<Flight>>,
    content: Content,
    /// Where in the output the next outcome begins.
    at: usize,
    /// The index of the next item.
    pub(super) first: u64,
    /// How many are left.
    pub(super) count: u32,
    /// Those that go again have gone.
    is_sorted_out: bool,
}

/// What they have ended with.
enum Content {
    /// Nobody has looked yet.
    Unknown,
    /// One value.
    Value(Payload),
    /// An outcome for each item of the flight.
    Outcomes(Payload),
    /// The same error for all.
    Error(TaskError),
}

/// When somebody looks what has come.
#[derive(Clone, Copy)]
enum At {
    /// When it has come: it stays on its worker if it is there.
    Here,
    /// Some time before it is given: if it is on its worker, it is asked for.
    Ahead,
    /// When it is given: it is waited for.
    Last,
}

/// The result of one item.
pub(super) struct Given<T> {
    pub(super) index: u64,
    pub(super) result: Result<T, TaskError>,
}

impl Landed {
    pub(super) fn new(flight: Flight) -> Self {
        let (first, count) = (flight.first, flight.count);
        Self { flight: Some(Arc::new(flight)), content: Content::Unknown, at: 0, first, count, is_sorted_out: false }
    }

    /// Items that have this error and were never under way.
    pub(super) fn refused(error: TaskError, first: u64, count: u32) -> Self {
        Self { flight: None, content: Content::Error(error), at: 0, first, count, is_sorted_out: true }
    }

    /// Looks what they have ended with.
    fn look(&mut self, flights: &Flights, at: At) {
        let (Content::Unknown, Some(flight)) = (&self.content, &self.flight) else { return };
        let inner = flights.cluster.inner();
        let (task, mut payload) = (flight.task, Payload::EMPTY);
        let output = match at {
            At::Here => inner.driver.with(|engine| engine.machine().output(task, &mut payload)),
            At::Ahead => inner.driver.with(|engine| engine.output(task, &mut payload)),
            // Ends because the value comes, or its worker is lost.
            At::Last => Some(inner.wait(task, None, &mut payload)),
        };
        self.content = match output {
            None => Content::Unknown,
            Some(Err(error)) => Content::Error(error),
            Some(Ok(())) if flight.count > 1 => Content::Outcomes(payload),
            Some(Ok(())) => Content::Value(payload),
        };
    }

    /// How many bytes there are, if they are here.
    pub(super) fn bytes(&self) -> Option<usize> {
        match &self.content {
            Content::Value(payload) | Content::Outcomes(payload) => Some(payload.len()),
            Content::Unknown | Content::Error(_) => None,
        }
    }

    /// Takes the values of the next items, so far as they are values: under one catch,
    /// which costs more than decoding a number.
    pub(super) fn next_values<T: DeserializeOwned>(&mut self) -> Vec<T> {
        let Content::Outcomes(payload) = &self.content else { return Vec::new() };
        let mut left = &payload.as_slice()[self.at..];
        let enough = left.len().saturating_sub(BYTES_TOGETHER);
        let count = self.count as usize;
        // Nobody knows how small the encoding of a large value may be.
        let mut values = Vec::with_capacity(count.min(left.len() / size_of::<T>().max(1)));
        // What fails here is looked at again, by itself.
        let _ = panics::caught(|| {
            let mut rest = left;
            while values.len() < count
                && rest.len() > enough
                && let Some(Outcome::Value(bytes)) = chunk::next_outcome(&mut rest)
                && let Ok(value) = codec::decode(bytes)
            {
                values.push(value);
                left = rest;
            }
        });
        self.at = payload.len() - left.len();
        self.first += values.len() as u64;
        self.count -= values.len() as u32;
        values
    }

    /// Takes the result of the next item.
    pub(super) fn next<T: DeserializeOwned>(&mut self, flights: &Flights) -> Option<Given<T>> {
        if self.count == 0 {
            return None;
        }
        let index = self.first;
        let result = match &self.content {
            Content::Outcomes(payload) => {
                let mut left = &payload.as_slice()[self.at..];
                let outcome = chunk::next_outcome(&mut left);
                self.at = payload.len() - left.len();
                match outcome {
                    Some(Outcome::Value(bytes)) => decoded(bytes).map_err(|text| self.undecodable(flights, &text)),
                    Some(Outcome::Failure(bytes)) => Err(self.failed(flights, bytes)),
                    Some(Outcome::Cancelled) => Err(self.cancelled(flights)),
                    None => Err(self.undecodable(flights, "the outcomes of a chunk end too early")),
                }
            }
            Content::Value(payload) => decoded(payload.as_slice()).map_err(|text| self.undecodable(flights, &text)),
            Content::Error(error) => Err(self.named(error.clone())),
            Content::Unknown => unreachable!("results are taken after a look"),
        };
        self.first += 1;
        self.count -= 1;
        Some(Given { index, result })
    }

    /// The error with the number and the label of the next item.
    fn named(&self, error: TaskError) -> TaskError {
        let number = (self.first as u32).wrapping_add(1);
        let Some(flight) = &self.flight else { return error.of_item(number, None) };
        let place = (self.first - flight.first) as u32;
        error.of_item(number, flight.again.as_ref().and_then(|again| again.label(place)))
    }

    #[cold]
    fn undecodable(&self, flights: &Flights, text: &str) -> TaskError {
        let flight = self.flight.as_ref().expect("it has an output");
        self.named(flights.cluster.inner().undecodable(flight.task, text.to_owned()))
    }

    #[cold]
    fn cancelled(&self, flights: &Flights) -> TaskError {
        let flight = self.flight.as_ref().expect("it has an output");
        self.named(flights.cancelled(flight.task))
    }

    #[cold]
    fn failed(&self, flights: &Flights, failure: &[u8]) -> TaskError {
        let flight = self.flight.as_ref().expect("it has an output");
        match chunk::failure_of(failure) {
            Ok(failure) => self.named(flights.error_of_item(flight.task, &failure)),
            Err(error) => self.undecodable(flights, &error.0),
        }
    }

    /// Whether the next item has failed, and nobody has looked yet whether it goes again.
    pub(super) fn asks_to_go_again(&self) -> bool {
        let Content::Outcomes(payload) = &self.content else { return false };
        !self.is_sorted_out
            && self.count > 0
            && matches!(chunk::next_outcome(&mut &payload.as_slice()[self.at..]), Some(Outcome::Failure(_)))
    }

    /// Whether some of them are tried again if there is time.
    pub(super) fn would_go_again(&self, flights: &Flights) -> bool {
        let attempts = self.flight.as_ref().map_or(0, |flight| flights.attempts(flight.task));
        !self.failures(attempts).again.is_empty()
    }

    fn again(&self) -> Option<&Again> {
        self.flight.as_ref()?.again.as_ref()
    }

    /// What is to be known of what it ended with: an error, and the items that go again.
    /// So many attempts were made.
    fn failures(&self, attempts: u32) -> Failures {
        let (Content::Outcomes(payload), Some(_)) = (&self.content, &self.flight) else {
            let first = matches!(self.content, Content::Error(_)).then_some(self.first);
            return Failures { first, again: Vec::new() };
        };
        let mut failures = Failures { first: None, again: Vec::new() };
        let (retries, retry_on) = self.again().map_or((0, RetryOn::DEFAULT), Again::retries);
        let goes = |failure: &Failure| goes_again(failure, retry_on, attempts <= retries);
        let mut left = &payload.as_slice()[self.at..];
        for place in 0..self.count {
            let outcome = chunk::next_outcome(&mut left);
            let end = payload.len() - left.len();
            match outcome {
                Some(Outcome::Value(_)) => {}
                Some(Outcome::Failure(bytes)) => match chunk::failure_of(bytes).ok().filter(goes) {
                    Some(failure) => failures.again.push((place, end, failure)),
                    None => failures.has_failed(self.first + u64::from(place)),
                },
                // What was cancelled is not tried again.
                Some(Outcome::Cancelled) => return Failures { first: Some(self.first), again: Vec::new() },
                None => failures.has_failed(self.first + u64::from(place)),
            }
        }
        failures
    }

    /// The items from this place to that one, whose outcomes begin at a byte.
    fn part(&self, (from, at): (u32, usize), to: u32) -> Self {
        let content = match &self.content {
            Content::Outcomes(payload) => Content::Outcomes(payload.clone()),
            _ => unreachable!("what has one outcome has one part"),
        };
        let first = self.first + u64::from(from);
        Self { flight: self.flight.clone(), content, at, first, count: to - from, is_sorted_out: true }
    }
}

/// Items of a flight that have given no value.
struct Failures {
    /// The index of the first that is not tried again.
    first: Option<u64>,
    /// Those that are: the place, where the outcome ends, and the failure.
    again: Vec<(u32, usize, Failure)>,
}

impl Failures {
    /// An item has failed for good.
    fn has_failed(&mut self, index: u64) {
        self.first.get_or_insert(index);
    }
}

/// The results that were not given, in their order.
pub(super) struct Results {
    pub(super) is_ordered: bool,
    /// By the index of the first item, or as they have come.
    places: BTreeMap<u64, Option<Landed>>,
    arrived: u64,
    /// The least index of an item that has failed for good, as far as was looked.
    pub(super) first_failure: Option<u64>,
    /// The first failure is the last result, so failures are looked for at once.
    pub(super) fails_fast: bool,
}

impl Results {
    pub(super) fn new() -> Self {
        let places = BTreeMap::new();
        Self { is_ordered: true, places, arrived: 0, first_failure: None, fails_fast: false }
    }

    /// Items are under way, from this one on.
    pub(super) fn expect(&mut self, first: u64) {
        if self.is_ordered {
            self.places.insert(first, None);
        }
    }

    /// They have ended.
    pub(super) fn put(&mut self, landed: Landed) {
        let key = if self.is_ordered { landed.first } else { self.arrived };
        self.arrived += 1;
        self.places.insert(key, Some(landed));
    }

    /// A task has ended. Items that are worth another attempt go at once.
    pub(super) fn land(&mut self, mut landed: Landed, flights: &mut Flights) {
        landed.look(flights, At::Here);
        self.look_through(landed, flights);
    }

    /// Puts what has ended where it belongs. Unless failures are likely to go again, that
    /// is found out when they are to be given.
    fn look_through(&mut self, landed: Landed, flights: &mut Flights) {
        let retries = landed.again().map_or(0, |again| again.retries().0);
        if retries == 0 && !self.fails_fast || matches!(landed.content, Content::Unknown) {
            self.put(landed);
        } else {
            self.sort_out(landed, flights);
        }
    }

    /// Puts what has ended where it belongs, in parts if some items go again.
    pub(super) fn sort_out(&mut self, mut landed: Landed, flights: &mut Flights) {
        landed.is_sorted_out = true;
        let attempts = landed.flight.as_ref().map_or(0, |flight| flights.attempts(flight.task));
        let Failures { first, again } = landed.failures(attempts);
        if let Some(first) = first {
            self.first_failure = Some(self.first_failure.map_or(first, |before| before.min(first)));
        }
        if again.is_empty() {
            return self.put(landed);
        }
        let mut from = (0, landed.at);
        for (place, end, failure) in again {
            let flight = Arc::clone(landed.flight.as_ref().expect("it has outcomes"));
            let of_flight = (landed.first - flight.first) as u32 + place;
            if flights.submit_again(&flight, of_flight, &failure).is_err() {
                // Its failure stays.
                let index = landed.first + u64::from(place);
                self.first_failure = Some(self.first_failure.map_or(index, |before| before.min(index)));
                continue;
            }
            self.put_part(&landed, from, place);
            self.expect(landed.first + u64::from(place));
            from = (place + 1, end);
        }
        self.put_part(&landed, from, landed.count);
    }

    fn put_part(&mut self, landed: &Landed, from: (u32, usize), to: u32) {
        if from.0 < to {
            self.put(landed.part(from, to));
        }
    }

    /// Takes the first results, if they are the next ones to be given. `may_go_again`:
    /// there is time to try those again that have failed.
    pub(super) fn take_first(&mut self, flights: &mut Flights, may_go_again: bool) -> Option<Landed> {
        loop {
            let first = self.places.first_entry()?;
            first.get().as_ref()?;
            let mut landed = first.remove()?;
            if !matches!(landed.content, Content::Unknown) {
                return Some(landed);
            }
            landed.look(flights, At::Last);
            if !may_go_again {
                return Some(landed);
            }
            // It may have to go again in part.
            self.look_through(landed, flights);
        }
    }

    /// Asks for those of the next outputs that lie on workers.
    pub(super) fn ask_ahead(&mut self, flights: &Flights) {
        for landed in self.places.values_mut().take(AHEAD).flatten() {
            landed.look(flights, At::Ahead);
        }
    }

    /// Forgets all.
    pub(super) fn forget_all(&mut self) {
        self.places.clear();
    }

    /// Forgets the items that have not ended.
    pub(super) fn expect_no_more(&mut self) {
        self.places.retain(|_, place| place.is_some());
    }
}

/// Of so many bytes values are decoded together.
const BYTES_TOGETHER: usize = 64 << 10;

/// So many outputs are asked for before they are due.
const AHEAD: usize = 4;

fn decoded<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, String> {
    panics::caught_error("its `Deserialize`", || codec::decode(bytes))
}
