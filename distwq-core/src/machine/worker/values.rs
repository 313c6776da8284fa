//! The values of a worker: how they come to its tasks, are kept, are lent to other ranks,
//! and go.

use super::inputs::{Failed, Gathered, Inputs, Purpose};
use super::store::Store;
use super::task::Task;
use crate::codec::frame::Frame;
use crate::codec::{CodecError, Payload};
use crate::function::remote::{InputArgument, Resident};
use crate::id::{Rank, TaskId};
use crate::wire::attempt::Source;
use smallvec::SmallVec;

/// A value that a task lacks, and who holds it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Missing {
    pub(super) value: TaskId,
    pub(super) holder: Rank,
}

/// What is known of the inputs of a task that has come.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) inputs: Vec<InputArgument>,
    pub(super) missing: Vec<Missing>,
    /// Other tasks, whose last missing value it has brought along.
    pub(super) completed: Vec<Gathered>,
}

/// What a task fails of that was to take a value from this rank.
pub(crate) fn not_there(value: TaskId, holder: Rank) -> String {
    format!("the output of task {value} is not on {holder} any more")
}

/// The values that are here, and the tasks that wait for others.
#[derive(Default, Debug)]
pub(super) struct Values {
    inputs: Inputs,
    store: Store,
}

impl Values {
    /// Finds the inputs of a task: the values that are here are taken from the store, and
    /// small ones that travel with the task are kept there if they are to be shared.
    pub(super) fn find<'a>(
        &mut self,
        frame: &Frame,
        sources: impl IntoIterator<Item = InputArgument<Source<'a>>>,
    ) -> Result<Found, CodecError> {
        let mut inputs = Vec::new();
        let (mut missing, mut completed) = (Vec::new(), Vec::new());
        for input in sources {
            let mut values = SmallVec::with_capacity(input.values.len());
            for (value, source) in input.values {
                let resident = match source {
                    Source::Inline { bytes, keep: true } => {
                        let fresh = Resident::new(frame.payload(bytes)?);
                        let (resident, ready) = self.inputs.brought(value, fresh, &mut self.store);
                        completed.extend(ready);
                        Some(resident)
                    }
                    Source::Inline { bytes, keep: false } => Some(Resident::of_one_task(frame.payload(bytes)?)),
                    Source::Held { by: holder } => {
                        let resident = self.store.get(value).cloned();
                        if resident.is_none() {
                            missing.push(Missing { value, holder });
                        }
                        resident
                    }
                };
                values.push((value, resident));
            }
            inputs.push(InputArgument { parameter: input.parameter, shape: input.shape, values });
        }
        Ok(Found { inputs, missing, completed })
    }

    /// Keeps a task until its missing values have come. Gives those that nobody has asked
    /// for yet.
    pub(super) fn wait(&mut self, task: Task, purpose: Purpose, mut missing: Vec<Missing>) -> Vec<Missing> {
        missing.sort_unstable_by_key(|missing| missing.value);
        missing.dedup_by_key(|missing| missing.value);
        let mut unasked = Vec::new();
        self.inputs.add(task, purpose, |value| {
            let found = missing.binary_search_by_key(&value, |missing| missing.value);
            let missing = missing[found.expect("it is named with who holds it")];
            unasked.push(missing);
            missing.holder
        });
        unasked.sort_unstable_by_key(|missing| missing.value);
        unasked
    }

    /// A value that was asked for has come. Gives the tasks that wait no longer.
    pub(super) fn arrived(&mut self, value: TaskId, payload: Payload) -> Vec<Gathered> {
        self.inputs.arrived(value, Resident::new(payload), &mut self.store)
    }

    /// A rank does not have a value that it was asked for. Nothing if another one was
    /// asked meanwhile.
    pub(super) fn refused(&mut self, value: TaskId, holder: Rank) -> Option<Failed> {
        self.inputs.failed(value, holder, &not_there(value, holder), &self.store)
    }

    /// The values that were asked of a rank and have not come.
    pub(super) fn asked_of(&self, holder: Rank) -> Vec<TaskId> {
        self.inputs.asked_of(holder)
    }

    /// Keeps the output of a task.
    pub(super) fn keep(&mut self, task: TaskId, output: Payload) {
        self.store.insert(task, Resident::new(output));
    }

    /// The bytes of a value, if it is here.
    pub(super) fn get(&self, value: TaskId) -> Option<&Payload> {
        self.store.get(value).map(Resident::payload)
    }

    /// Whether a value is here or on its way.
    pub(super) fn is_expected(&self, value: TaskId) -> bool {
        self.store.get(value).is_some() || self.inputs.is_asked(value)
    }

    /// Nobody needs the value any more, here or on its way. Gives it if it is here, to be
    /// dropped outside.
    pub(super) fn forget(&mut self, value: TaskId) -> Option<Resident> {
        self.inputs.forget(value, &mut self.store)
    }

    /// Takes a waiting task away. What it has asked for still comes.
    pub(super) fn take_back(&mut self, task: TaskId) -> Option<Task> {
        self.inputs.remove(task)
    }

    /// Takes all waiting tasks away.
    pub(super) fn take_waiting(&mut self) -> Inputs {
        std::mem::take(&mut self.inputs)
    }

    /// Whether tasks wait for values.
    #[inline]
    pub(super) fn are_awaited(&self) -> bool {
        self.inputs.has_waiting()
    }

    /// How many tasks wait for values, and how many values are on their way.
    #[cfg(any(test, feature = "simulation"))]
    pub(super) fn expected(&self) -> (usize, usize) {
        self.inputs.expected()
    }

    /// How many bytes live here, encoded, and in how many values.
    pub(super) fn held(&self) -> (u64, u64) {
        (self.store.bytes(), self.store.len() as u64)
    }
}
