//! The values of a batch by the workers that made them.

use super::Batch;
use crate::id::Rank;
use crate::outcome::error::TaskError;
use crate::task::current;
use serde::de::DeserializeOwned;
use std::collections::BTreeMap;

/// Why there is not one value for each worker.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ByWorkerError {
    /// A task gave no value.
    #[error("{0}")]
    Failed(#[source] TaskError),
    /// It is a value that the body has given: no worker ran a task for it.
    #[error("the value with index {index} was given by the body, no worker has made it: take it by its index")]
    Given {
        /// Its index in the batch.
        index: usize,
    },
    /// A worker ran more than one of the tasks.
    #[error("{rank} ran more than one of the tasks: take them by their indices instead")]
    Several {
        /// The rank of the worker.
        rank: Rank,
    },
}

impl<T: DeserializeOwned> Batch<T> {
    /// Waits for all tasks whose results were not taken, and takes their values, by the
    /// ranks that ran them; of a collective task that is the first of its group. Good for
    /// tasks that ran one on each worker.
    ///
    /// # Errors
    /// [`ByWorkerError::Several`] if a worker ran more than one of them,
    /// [`ByWorkerError::Given`] if one is a value that the body has given, and
    /// [`ByWorkerError::Failed`] if one gave no value; then all results stay.
    ///
    /// # Panics
    /// Within a task of this process.
    #[track_caller]
    pub fn by_worker(&self) -> Result<BTreeMap<Rank, T>, ByWorkerError> {
        current::assert_outside("Batch::by_worker");
        let left: Vec<u32> = std::iter::from_fn(|| self.ends.take_first()).collect();
        let values = self.values_by_worker(&left);
        match &values {
            Ok(_) => left.iter().for_each(|index| {
                self.let_go(*index);
                self.deliver();
            }),
            Err(_) => {
                left.iter().rev().for_each(|index| self.ends.give_back(*index, None));
                self.has_changed();
            }
        }
        values
    }

    fn values_by_worker(&self, indices: &[u32]) -> Result<BTreeMap<Rank, T>, ByWorkerError> {
        let mut values = BTreeMap::new();
        for index in indices.iter().map(|index| *index as usize) {
            let handle = self.handle(index).expect("a handle stays until its result is taken");
            let value = handle.get().map_err(ByWorkerError::Failed)?;
            let rank = *handle.info().ranks.first().ok_or(ByWorkerError::Given { index })?;
            if values.insert(rank, value).is_some() {
                return Err(ByWorkerError::Several { rank });
            }
        }
        Ok(values)
    }
}
