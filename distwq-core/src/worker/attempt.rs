//! One attempt of a task on an executor.

use super::queue::ReadyTask;
use crate::codec::{Payload, PayloadWriter};
use crate::remote::Failure;

/// One attempt on an executor, and what became of it: a place for one after another, so that none is moved.
#[derive(Debug)]
pub(super) struct Attempt {
    pub(super) ready: ReadyTask,
    pub(super) started_ns: u64,
    pub(super) ran_ns: u64,
    pub(super) output: PayloadWriter,
    /// Why it has given no output.
    pub(super) failure: Option<Box<Failure>>,
}

impl Attempt {
    /// A place where no task has been put yet.
    pub(super) const NONE: Self =
        Self { ready: ReadyTask::NONE, started_ns: 0, ran_ns: 0, output: PayloadWriter::new(), failure: None };

    pub(super) fn ended_ns(&self) -> u64 {
        self.started_ns + self.ran_ns
    }

    pub(super) fn take_result(&mut self) -> Result<Payload, Failure> {
        match self.failure.take() {
            Some(failure) => Err(*failure),
            None => Ok(self.output.take()),
        }
    }
}

/// What an executor does next.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Next {
    /// Run the task that it was given.
    Run,
    /// Nothing more will come.
    Stop,
}
