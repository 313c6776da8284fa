//! What a batch keeps of its tasks until their results are taken.

use super::Batch;
use crate::api::handle::{self, Handle};
use crate::api::reference::{Outcomes, Reference, State};
use crate::codec::Payload;
use crate::id::TaskId;
use crate::outcome::error::TaskError;
use serde::de::DeserializeOwned;

/// What is kept of one task: a reference to it. The batch has to make it one that counts
/// by itself, or give it back: one that is dropped keeps its task for ever.
#[derive(Debug)]
pub(super) enum Kept {
    /// To a task that the batch has submitted itself: it knows the cluster.
    Own(TaskId),
    /// Any other.
    Other(Box<Reference>),
}

impl Kept {
    pub(super) fn other(reference: Reference) -> Self {
        Self::Other(Box::new(reference))
    }

    /// The task, as far as a cluster has it.
    pub(super) fn task(&self) -> Option<TaskId> {
        match self {
            Self::Own(task) => Some(*task),
            Self::Other(reference) => match reference.state() {
                State::Bound(task, _) => Some(task),
                State::Unbound(_) | State::Refused(_) => None,
            },
        }
    }
}

impl<T> Batch<T> {
    /// The handle of a task whose result was not taken.
    #[must_use]
    pub fn handle(&self, index: usize) -> Option<Handle<T>> {
        let reference = |kept: &Kept| match kept {
            &Kept::Own(task) => {
                self.own_cluster().inner().retained(task);
                self.own_cluster().first_reference(task)
            }
            Kept::Other(reference) => Reference::clone(reference),
        };
        self.ends.with_kept(index, reference).map(Handle::new)
    }

    /// The handle that takes what was kept of a task.
    pub(super) fn handle_of(&self, kept: Kept) -> Handle<T> {
        Handle::new(match kept {
            Kept::Own(task) => self.own_cluster().first_reference(task),
            Kept::Other(reference) => *reference,
        })
    }

    /// Lets go of what is kept of a task.
    pub(super) fn let_go(&self, index: u32) {
        drop(self.ends.let_go(index).map(|kept| self.handle_of(kept)));
    }
}

impl<T: DeserializeOwned> Batch<T> {
    /// The result of a task of which this was kept.
    pub(super) fn result_of(&self, kept: Kept) -> Result<T, TaskError> {
        if let Kept::Own(task) = kept {
            let mut payload = Payload::EMPTY;
            let inner = self.own_cluster().inner();
            if let Some(was) = inner.driver.with(|engine| engine.take_output(task, &mut payload)) {
                return handle::decoded(&payload, |message| inner.undecodable_as(was, &message));
            }
        }
        self.handle_of(kept).get()
    }
}

impl<T> Drop for Batch<T> {
    fn drop(&mut self) {
        // Outside the lock, because that is users' code.
        self.ends.let_go_all().into_iter().for_each(|kept| drop(self.handle_of(kept)));
    }
}
