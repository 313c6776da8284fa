//! The results of a batch, one after another.

use super::Batch;
use crate::outcome::error::TaskError;
use crate::task::current;
use serde::de::DeserializeOwned;
use std::fmt;

impl<'a, T: DeserializeOwned> IntoIterator for &'a Batch<T> {
    type Item = (usize, Result<T, TaskError>);
    type IntoIter = Iter<'a, T>;

    fn into_iter(self) -> Iter<'a, T> {
        self.iter()
    }
}

/// The results of a [`Batch`] as its tasks end, each with the index of its task.
pub struct Iter<'a, T> {
    batch: &'a Batch<T>,
}

impl<'a, T> Iter<'a, T> {
    pub(super) fn of(batch: &'a Batch<T>) -> Self {
        Self { batch }
    }
}

impl<T: DeserializeOwned> Iterator for Iter<'_, T> {
    type Item = (usize, Result<T, TaskError>);

    #[track_caller]
    fn next(&mut self) -> Option<Self::Item> {
        self.batch.next()
    }
}

impl<T> fmt::Debug for Iter<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Iter({:?})", self.batch)
    }
}

/// The results of a [`Batch`] in the order of their indices.
pub struct InOrder<'a, T> {
    batch: &'a Batch<T>,
}

impl<'a, T> InOrder<'a, T> {
    pub(super) fn of(batch: &'a Batch<T>) -> Self {
        Self { batch }
    }
}

impl<T: DeserializeOwned> Iterator for InOrder<'_, T> {
    type Item = Result<T, TaskError>;

    #[track_caller]
    fn next(&mut self) -> Option<Self::Item> {
        current::assert_outside("InOrder::next");
        self.batch.take_in_order().and_then(|index| self.batch.result_in_order(index))
    }
}

impl<T> fmt::Debug for InOrder<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "InOrder({:?})", self.batch)
    }
}

impl<T: DeserializeOwned> IntoIterator for Batch<T> {
    type Item = (usize, Result<T, TaskError>);
    type IntoIter = IntoIter<T>;

    fn into_iter(self) -> IntoIter<T> {
        IntoIter { batch: self }
    }
}

/// The results of a [`Batch`] that nobody needs afterwards.
pub struct IntoIter<T> {
    batch: Batch<T>,
}

impl<T: DeserializeOwned> Iterator for IntoIter<T> {
    type Item = (usize, Result<T, TaskError>);

    #[track_caller]
    fn next(&mut self) -> Option<Self::Item> {
        self.batch.next()
    }
}

impl<T> fmt::Debug for IntoIter<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "IntoIter({:?})", self.batch)
    }
}
