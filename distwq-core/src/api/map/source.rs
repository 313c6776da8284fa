//! The items of a map on their way to tasks: pulled one by one, joined to lots.

use super::sizes::Sizes;
use crate::api::argument::Arguments;
use crate::api::call::{Call, Options, Parts, PartsBox};
use crate::function::registry::Remote;
use crate::machine::controller::Terms;
use crate::wire::chunk;
use std::collections::VecDeque;
use std::ptr;
use std::time::Instant;

/// What becomes one task.
pub(super) struct Lot {
    /// The index of its first item.
    pub(super) first: u64,
    pub(super) count: u32,
    pub(super) calls: Calls,
}

/// The calls of a lot.
pub(super) enum Calls {
    /// One, whatever it is.
    Alone(PartsBox),
    /// One or several of one function with equal options, [encoded](chunk).
    Joined { remote: &'static Remote, options: Option<Box<Options>>, bytes: Vec<u8> },
}

/// Where the items come from.
pub(super) struct Source<I, F> {
    items: I,
    call: F,
    /// How many were pulled.
    pub(super) pulled: u64,
    /// There are no more, or no more are wanted.
    pub(super) is_over: bool,
    open: Open,
    /// Calls that travel alone, and those joined before them.
    closed: VecDeque<Lot>,
    /// The function of the call that was made last.
    pub(super) function: &'static str,
    /// Calls with retries travel alone.
    pub(super) parts_retried: bool,
}

/// Calls that wait for company.
#[derive(Default)]
struct Open {
    first: u64,
    count: u32,
    remote: Option<&'static Remote>,
    options: Option<Box<Options>>,
    bytes: Vec<u8>,
}

impl<I, F> Source<I, F> {
    pub(super) fn new(items: I, call: F) -> Self {
        let (open, closed) = Default::default();
        Self { items, call, pulled: 0, is_over: false, open, closed, function: "", parts_retried: false }
    }

    /// How many more there are, as far as the source tells.
    pub(super) fn size_hint(&self) -> (usize, Option<usize>)
    where
        I: Iterator,
    {
        if self.is_over { (0, Some(0)) } else { self.items.size_hint() }
    }

    /// Pulls no more, and drops what was pulled and not taken. Gives how many items.
    pub(super) fn end(&mut self) -> usize {
        self.is_over = true;
        let closed: u32 = self.closed.iter().map(|lot| lot.count).sum();
        let dropped = (closed + self.open.count) as usize;
        self.open = Open::default();
        self.closed.clear();
        dropped
    }
}

impl<T, I: Iterator, F: FnMut(I::Item) -> Call<T>> Source<I, F> {
    /// Pulls up to `room` items, and fewer if they make a lot, or time is up. Counts them
    /// in `held`.
    pub(super) fn pull(&mut self, room: usize, sizes: &mut Sizes, deadline: Option<Instant>, held: &mut usize) {
        let begun = Instant::now();
        let missing = sizes.chunk().saturating_sub(self.open.count as usize).max(1);
        let room = room.min(missing);
        let (mut count, closed) = (0, self.closed.len());
        while count < room && self.closed.len() == closed {
            let Some(item) = self.items.next() else {
                self.is_over = true;
                break;
            };
            // What panics here is the user's: the item is gone, and all else as before.
            let call = (self.call)(item);
            self.add(call);
            count += 1;
            *held += 1;
            if deadline.is_some_and(|deadline| Instant::now() >= deadline) {
                break;
            }
        }
        sizes.pulled(count, begun.elapsed());
    }

    #[inline]
    fn add(&mut self, call: Call<T>) {
        let index = self.pulled;
        self.pulled += 1;
        // As most calls of a map are, so they are not looked at any closer.
        if self.open.is_plain_of(call.parts.remote) && call.parts.is_plain() {
            self.open.push(None, &call.parts.arguments);
        } else {
            self.add_any(index, call.parts);
        }
    }
}

impl<I, F> Source<I, F> {
    /// Adds the call of this item, whatever it says.
    #[cold]
    fn add_any(&mut self, index: u64, parts: PartsBox) {
        if !can_join(&parts) {
            self.function = parts.remote.path;
            self.close();
            self.closed.push_back(Lot { first: index, count: 1, calls: Calls::Alone(parts) });
            return;
        }
        if !self.open.fits(&parts) {
            self.close();
            self.function = parts.remote.path;
            self.open.begin(index, &parts);
        }
        self.open.push(parts.options().label.as_deref(), &parts.arguments);
        if self.parts_retried && parts.options().retries > 0 {
            self.close();
        }
    }

    /// What waits for company waits no longer, in whatever pieces it is taken.
    fn close(&mut self) {
        if self.open.count > 0 {
            let count = self.open.count;
            let lot = self.open.split_off(count);
            self.closed.push_back(lot);
        }
    }

    /// Takes the next lot of up to `chunk` items. If not `all`, calls that wait for
    /// company go only when they are so many.
    pub(super) fn next_lot(&mut self, chunk: usize, all: bool) -> Option<Lot> {
        let chunk = u32::try_from(chunk).unwrap_or(u32::MAX);
        match self.closed.front_mut() {
            Some(first) if first.count > chunk => return Some(first.split_off(chunk)),
            Some(_) => return self.closed.pop_front(),
            None => {}
        }
        let count = self.open.count;
        (count >= chunk || all && count > 0).then(|| self.open.split_off(count.min(chunk)))
    }

    /// Whether something waits to be taken.
    pub(super) fn has_lots(&self) -> bool {
        self.open.count > 0 || !self.closed.is_empty()
    }
}

/// Whether a call can travel with others: it depends on no other task, runs on one rank,
/// and no time limits it alone. What else it says is compared.
fn can_join(parts: &Parts) -> bool {
    let says_little = || match parts.options.as_deref() {
        None => true,
        Some(Options { label: _, after, follow, ranks, priority: _, retries: _, terms }) => {
            let &Terms { run_limit_ns, wait_limit_ns, backoff_ns: _, retry_on: _ } = terms;
            let has_no_limit = run_limit_ns.is_none() && wait_limit_ns.is_none();
            after.is_empty() && follow.is_none() && ranks.is_none() && has_no_limit
        }
    };
    parts.arguments.is_plain() && !parts.remote.is_collective() && says_little()
}

/// Whether two calls that can join say the same, labels aside.
fn are_equal(one: Option<&Options>, other: Option<&Options>) -> bool {
    let of = |options: Option<&Options>| {
        options.map_or((0, 0, Terms::NONE), |options| (options.priority, options.retries, options.terms))
    };
    of(one) == of(other)
}

impl Open {
    /// Whether there are calls of this function that say nothing else.
    #[inline]
    fn is_plain_of(&self, remote: &'static Remote) -> bool {
        self.count > 0 && self.options.is_none() && self.remote.is_some_and(|mine| ptr::eq(mine, remote))
    }

    fn fits(&self, parts: &Parts) -> bool {
        let is_same = self.remote.is_some_and(|remote| ptr::eq(remote, parts.remote));
        let are_none = || self.options.is_none() && parts.options.is_none();
        is_same && self.count > 0 && (are_none() || are_equal(self.options.as_deref(), parts.options.as_deref()))
    }

    fn begin(&mut self, index: u64, parts: &Parts) {
        (self.first, self.remote) = (index, Some(parts.remote));
        self.options = parts.options.clone().map(|mut options| {
            options.label = None;
            options
        });
    }

    #[inline(always)]
    fn push(&mut self, label: Option<&str>, arguments: &Arguments) {
        chunk::push_call(label, arguments.plain.as_slice(), &mut self.bytes);
        self.count += 1;
    }

    /// Takes the first `count` of the calls that there are.
    fn split_off(&mut self, count: u32) -> Lot {
        let remote = self.remote.expect("there are calls");
        let bytes = if count == self.count {
            // The next ones are likely to be as many bytes.
            let room = Vec::with_capacity(self.bytes.len());
            std::mem::replace(&mut self.bytes, room)
        } else {
            let end = length_of(&self.bytes, count);
            self.bytes.drain(..end).collect()
        };
        let lot =
            Lot { first: self.first, count, calls: Calls::Joined { remote, options: self.options.clone(), bytes } };
        self.first += u64::from(count);
        self.count -= count;
        lot
    }
}

impl Lot {
    /// How many bytes its arguments have, as far as they came as values.
    pub(super) fn bytes(&self) -> usize {
        match &self.calls {
            Calls::Alone(parts) => parts.arguments.plain.len(),
            Calls::Joined { bytes, .. } => bytes.len(),
        }
    }

    /// Takes the first `count` of more calls.
    fn split_off(&mut self, count: u32) -> Self {
        let Calls::Joined { remote, options, bytes } = &mut self.calls else { unreachable!("one call is one") };
        let end = length_of(bytes, count);
        let calls = Calls::Joined { remote, options: options.clone(), bytes: bytes.drain(..end).collect() };
        let lot = Self { first: self.first, count, calls };
        self.first += u64::from(count);
        self.count -= count;
        lot
    }
}

/// How many bytes the first `count` calls have.
fn length_of(bytes: &[u8], count: u32) -> usize {
    let mut rest = bytes;
    for _ in 0..count {
        chunk::next_call(&mut rest).expect("they were written here");
    }
    bytes.len() - rest.len()
}
