//! Runs several items of a map, which have come as one task: one after another, each with
//! its own failure.

use super::Keeper;
use crate::codec::PayloadWriter;
use crate::function::registry::{Body, FunctionId, Registry, Remote};
use crate::function::remote::{Failure, Invocation};
use crate::machine::worker::{ItemsRun, Task};
use crate::panics;
use crate::runtime::observer;
use crate::task::context::SlotSite;
use crate::task::current::{self, Described};
use crate::task::items::Items;
use crate::wire::chunk::{self, Call, OutcomeWriter, WithoutValue};

/// What has become of a task of several items.
pub(super) struct Ran {
    pub(super) items: ItemsRun,
    /// Why the task as a whole has failed.
    pub(super) failure: Option<Box<Failure>>,
}

/// Runs the items of a task. Writes what became of each, or the one value that they make.
/// A failure is one of the task as a whole.
pub(super) fn run(
    task: &mut Task,
    items: Items,
    site: &SlotSite,
    output: &mut PayloadWriter,
    keeper: Option<&mut Keeper>,
) -> Ran {
    let remote = task.remote.expect("a task that runs has a function");
    let attempt = current::description().attempt();
    output.clear();
    current::set(Some((task.id, remote.path)));
    let left = task.plain.as_slice();
    let mut calls = Calls { left, items, next: 0, site, attempt, is_labelled: false, are_torn: false };
    let (failed, without_value, result) = match items.fold {
        None => outcomes(remote, &mut calls, output, keeper),
        Some(fold) => {
            let result = folded(remote, FunctionId(fold), &mut calls, output, keeper);
            (u32::from(result.is_err()), WithoutValue::NONE, result)
        }
    };
    let items = ItemsRun { ran: calls.next, failed, without_value };
    current::set(None);
    task.plain.unshare();
    let failure = result.err().map(|failure| {
        output.clear();
        Box::new(failure)
    });
    Ran { items, failure }
}

/// The calls of a task that are left.
struct Calls<'a> {
    left: &'a [u8],
    items: Items,
    /// The place of the next one.
    next: u32,
    site: &'a SlotSite,
    attempt: u32,
    /// The thread has the label of an item.
    is_labelled: bool,
    /// They end too early.
    are_torn: bool,
}

impl<'a> Calls<'a> {
    /// The arguments of the next one, which the thread runs from here on. None if there
    /// is none.
    #[inline]
    fn next(&mut self) -> Option<&'a [u8]> {
        if self.next == self.items.count {
            return None;
        }
        let Some(Call { label, arguments }) = chunk::next_call(&mut self.left) else {
            self.are_torn = true;
            return None;
        };
        current::set_item(Some(self.items.item(self.next)));
        self.next += 1;
        if label.is_some() || self.is_labelled {
            self.describe(label);
        }
        Some(arguments)
    }

    #[cold]
    fn describe(&mut self, label: Option<&str>) {
        self.site.describe(&Described::new(label, self.attempt, None));
        self.is_labelled = label.is_some();
    }

    /// Whether all that were announced have come.
    fn are_whole(&self) -> Result<(), Failure> {
        let torn = || Failure::Decode { parameter: 0, message: "the calls of a chunk end too early".to_owned() };
        if self.are_torn { Err(torn()) } else { Ok(()) }
    }
}

/// Runs each item that has its turn before the task is cancelled. Gives how many have
/// failed, and how many of all have no value.
fn outcomes(
    remote: &Remote,
    calls: &mut Calls<'_>,
    output: &mut PayloadWriter,
    mut keeper: Option<&mut Keeper>,
) -> (u32, WithoutValue, Result<(), Failure>) {
    // Outputs are often about as large as arguments.
    output.reserve(calls.left.len());
    let mut outcomes = OutcomeWriter::new(output);
    let cancellation = current::cancellation();
    let mut failed = 0;
    loop {
        // One catch for many, which costs little: a panic ends one item, and the others
        // go on under the next.
        let result = panics::caught(|| {
            while !cancellation.is_raised()
                && let Some(arguments) = calls.next()
            {
                let value = outcomes.value();
                match call(remote, arguments, value, keeper.as_deref_mut()) {
                    Ok(()) => outcomes.end_value(),
                    Err(failure) => {
                        failed += 1;
                        fails(&mut outcomes, &failure);
                    }
                }
            }
        });
        match result {
            Ok(()) => break,
            Err(message) => {
                failed += 1;
                fails(&mut outcomes, &Failure::Panicked(message));
            }
        }
    }
    (calls.next..calls.items.count).for_each(|_| outcomes.cancelled());
    (failed, outcomes.without_value(), calls.are_whole())
}

/// An item has failed: if it was cancelled before, then of that.
#[cold]
fn fails(outcomes: &mut OutcomeWriter<'_>, failure: &Failure) {
    if current::is_cancelled() { outcomes.cancelled() } else { outcomes.failure(failure) }
}

/// Runs the items and joins their values to one, from the first to the last.
fn folded(
    remote: &Remote,
    fold: FunctionId,
    calls: &mut Calls<'_>,
    output: &mut PayloadWriter,
    mut keeper: Option<&mut Keeper>,
) -> Result<(), Failure> {
    let fold = Registry::get().ok().and_then(|registry| registry.function(fold)).expect("it was looked up before");
    let mut merges = false;
    let result = panics::caught(|| {
        let mut joined = Vec::new();
        let mut scratch = PayloadWriter::new();
        let mut is_first = true;
        while let Some(arguments) = calls.next() {
            if current::is_cancelled() {
                // Nobody is told: the task ends as cancelled.
                return Err(Failure::Returned("cancelled".to_owned()));
            }
            scratch.clear();
            call(remote, arguments, &mut scratch, keeper.as_deref_mut())?;
            if !std::mem::take(&mut is_first) {
                joined.extend_from_slice(scratch.as_slice());
                scratch.clear();
                merges = true;
                call(fold, &joined, &mut scratch, keeper.as_deref_mut())?;
                merges = false;
            }
            joined.clear();
            joined.extend_from_slice(scratch.as_slice());
        }
        output.append_bytes(&joined);
        calls.are_whole()
    });
    let failure = match result {
        Ok(Ok(())) => return Ok(()),
        Ok(Err(failure)) => failure,
        Err(message) => Failure::Panicked(message),
    };
    let merge = merges.then(|| fold.path.to_owned());
    Err(Failure::Joining { place: calls.next.saturating_sub(1), merge, failure: Box::new(failure) })
}

/// Runs a function with arguments that all came as values.
#[inline]
fn call(
    remote: &Remote,
    arguments: &[u8],
    output: &mut PayloadWriter,
    keeper: Option<&mut Keeper>,
) -> Result<(), Failure> {
    if let Some(keeper) = keeper {
        keeper.prepare().map_err(Failure::Init)?;
    }
    let Body::Single(run) = remote.body else { unreachable!("a collective task travels alone") };
    let mut invocation = Invocation::new(arguments, &[], output);
    observer::in_attempt(|| run(&mut invocation))
}
