//! The results of a map joined to one on the workers.

use super::flights::{Ended, Waited};
use super::source::Lot;
use super::{Cut, Map, Stage};
use crate::api::call::{Call, Parts};
use crate::api::handle::Handle;
use crate::api::reference::{Outcomes, Reference};
use crate::codec::Payload;
use crate::function::argument::Role;
use crate::function::registry::Registry;
use crate::outcome::error::{PathStep, Refusal, TaskError};
use crate::task::current;
use serde::de::DeserializeOwned;
use std::sync::Arc;

/// Values of neighbours, to be joined.
struct Part<T> {
    /// The index of its first item.
    first: u64,
    /// How many times parts were joined to make it.
    level: u32,
    handle: Handle<T>,
}

impl<I: Iterator, F: FnMut(I::Item) -> Call<T>, T: DeserializeOwned> Map<I, F, T> {
    /// Joins the values of all items to one: `merge` makes a call of the values of two
    /// neighbours, of which the first comes before the second. The order is kept, so that
    /// it need not be commutative; it has to be associative, for which are joined first
    /// depends on how items travel. Nothing is joined for one item, and without items
    /// there is no value.
    ///
    /// The workers do it: values go from worker to worker, and only the last one comes
    /// here. If `merge` calls a function of just the two values, without options, such as
    /// a remote function's `call`, those of items that travel together are joined where
    /// they are made; for that `merge` is asked once about two handles of no task. There
    /// are a few values for each slot at any moment, and about log2 of the number of
    /// items besides.
    ///
    /// # Errors
    /// The first error of an item or a merge, which is named by the first item of the
    /// second of its two values: what has not started is cancelled then. A passed
    /// [deadline](Map::deadline), and [`Cancelled`](TaskError::Cancelled) when all
    /// tasks are cancelled meanwhile.
    ///
    /// # Panics
    /// Within a task of this process.
    ///
    /// # Examples
    /// ```
    /// use distwq::prelude::*;
    ///
    /// #[remote]
    /// fn spell(digit: u32) -> String {
    ///     digit.to_string()
    /// }
    ///
    /// #[remote]
    /// fn join(a: String, b: &str) -> String {
    ///     a + b
    /// }
    ///
    /// #[distwq::main]
    /// fn main(cluster: &Cluster) -> Result<(), TaskError> {
    ///     let joined = cluster.map(spell::call, 1..=9).tree_reduce(join::call)?;
    ///     assert_eq!(joined.as_deref(), Some("123456789"));
    ///     Ok(())
    /// }
    /// ```
    #[track_caller]
    pub fn tree_reduce<M>(mut self, mut merge: M) -> Result<Option<T>, TaskError>
    where
        M: FnMut(Handle<T>, Handle<T>) -> Call<T>,
    {
        current::assert_outside("Map::tree_reduce");
        if self.stage == Stage::New
            && let Some(refused) = self.begin()
        {
            return refused.result.map(Some);
        }
        self.flights.fold = fold_of(&mut merge);
        self.source.parts_retried = true;
        if self.flights.fold.is_none() {
            self.sizes.chunk = Some(1);
        }
        let mut parts = Vec::new();
        while self.reduce_some(&mut parts, &mut merge)? {
            self.wait_for_some()?;
        }
        while parts.len() > 1
            && let (Some(right), Some(left)) = (parts.pop(), parts.pop())
        {
            parts.push(self.join(left, right, &mut merge)?);
        }
        while self.flights.len() > 0 {
            self.wait_for_some()?;
            self.take_ended()?;
        }
        parts.pop().map(|part| part.handle.get()).transpose()
    }

    /// Submits as much as the window holds. False once all was.
    fn reduce_some<M>(&mut self, parts: &mut Vec<Part<T>>, merge: &mut M) -> Result<bool, TaskError>
    where
        M: FnMut(Handle<T>, Handle<T>) -> Call<T>,
    {
        self.take_ended()?;
        self.reduce_lots(false, parts, merge)?;
        // Merges that have not ended hold values too.
        while self.pull(self.held.max(self.flights.len())) {
            self.reduce_lots(false, parts, merge)?;
        }
        if let Stage::Cut(cut) = self.stage {
            self.last_of(cut).result?;
        }
        self.reduce_lots(true, parts, merge)?;
        Ok(!self.source.is_over || self.source.has_lots())
    }

    /// Submits what was pulled, and joins it with what is there.
    fn reduce_lots<M>(&mut self, all: bool, parts: &mut Vec<Part<T>>, merge: &mut M) -> Result<(), TaskError>
    where
        M: FnMut(Handle<T>, Handle<T>) -> Call<T>,
    {
        while !self.sizes.waits_to_learn(self.flights.len())
            && let Some(lot) = self.source.next_lot(self.sizes.chunk(), all)
        {
            let Lot { first, count, .. } = lot;
            self.sizes.carried(count, lot.bytes());
            let index = self.flights.submit(lot).map_err(|step| step.refusal())?;
            let mut part = Part { first, level: 0, handle: Handle::new(self.flights.reference(index)) };
            // A binary counter: parts are joined with those of the same size before them.
            while let Some(before) = parts.pop_if(|before| before.level == part.level) {
                part = self.join(before, part, merge)?;
            }
            parts.push(part);
        }
        Ok(())
    }

    fn join<M>(&mut self, left: Part<T>, right: Part<T>, merge: &mut M) -> Result<Part<T>, TaskError>
    where
        M: FnMut(Handle<T>, Handle<T>) -> Call<T>,
    {
        let call = merge(left.handle, right.handle);
        let reference = self.flights.submit_merge(call.parts, right.first).map_err(|step| step.refusal())?;
        Ok(Part { first: left.first, level: right.level + 1, handle: Handle::new(reference) })
    }

    /// Takes in what has ended.
    ///
    /// # Errors
    /// The error of the first task that has given no value.
    fn take_ended(&mut self) -> Result<(), TaskError> {
        while let Some(Ended { flight, ran_ns, has_value }) = self.flights.next_ended() {
            if !has_value {
                let mut payload = Payload::EMPTY;
                let output = self.flights.cluster.inner().wait(flight.task, None, &mut payload);
                let number = (flight.first as u32).wrapping_add(1);
                output.map_err(|error| error.root().clone().of_item(number, None))?;
            }
            self.held -= flight.count as usize;
            self.have_ended(flight.count, ran_ns);
        }
        Ok(())
    }

    /// Waits until a task has ended.
    ///
    /// # Errors
    /// That the deadline has passed, or all tasks were cancelled.
    fn wait_for_some(&mut self) -> Result<(), TaskError> {
        let cut = if self.flights.len() > 0 {
            match self.flights.wait(self.deadline) {
                Waited::Ended => None,
                Waited::TooLate => Some(Cut::Late),
                Waited::Stopped => Some(Cut::Stopped),
            }
        } else {
            self.is_late().then_some(Cut::Late)
        };
        let Some(cut) = cut else { return Ok(()) };
        self.cut_short(cut);
        self.last_of(cut).result.map(drop)
    }
}

/// The number of the function that `merge` calls, if that is one of the two values alone.
fn fold_of<T, M: FnMut(Handle<T>, Handle<T>) -> Call<T>>(merge: &mut M) -> Option<u32> {
    let [one, other] = [(); 2].map(|()| PathStep::refused("a value to be merged", Refusal::NotStartedDependency));
    let handle = |step: &Arc<PathStep>| Handle::new(Reference::Refused(Arc::clone(step)));
    let call = merge(handle(&one), handle(&other));
    let Parts { remote, arguments, options } = &*call.parts;
    let is = |input: usize, step: &Arc<PathStep>| {
        let found = arguments.inputs.get(input)?;
        let is_it = matches!(&found.source, Reference::Refused(found) if Arc::ptr_eq(found, step));
        (is_it && usize::from(found.position.parameter) == input && found.position.role == Role::Whole).then_some(())
    };
    let takes_both = is(0, &one).is_some() && is(1, &other).is_some() && arguments.inputs.len() == 2;
    let is_plain = arguments.takes_inputs_alone() && options.is_none() && !remote.is_collective();
    if !takes_both || !is_plain {
        return None;
    }
    Some(Registry::get().ok()?.id_of(remote)?.0)
}
