//! One attempt of a task on an executor.

use super::queue::ReadyTask;
use super::task::Task;
use crate::codec::PayloadWriter;
use crate::function::remote::Failure;
use crate::task::current::Described;
use crate::wire::chunk::WithoutValue;

/// One attempt on an executor, and what became of it: reused for one after another, so
/// that none is moved.
#[derive(Debug)]
pub(crate) struct Attempt {
    pub(super) ready: ReadyTask,
    /// What people want to know of the task if its process ends within it, and what its
    /// context tells; few have that.
    pub(crate) description: Option<Box<Described>>,
    pub(crate) started_ns: u64,
    pub(crate) ran_ns: u64,
    /// How much of that was before the function was called, to make the state anew.
    pub(crate) init_ns: u64,
    pub(crate) output: PayloadWriter,
    /// It was of several items of a map, and the output tells what became of each.
    pub(crate) gives_outcomes: bool,
    /// What became of the items of a map, if it was of several.
    pub(crate) items: Option<ItemsRun>,
    /// Why it has given no output.
    pub(crate) failure: Option<Box<Failure>>,
}

/// What became of several items of a map.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ItemsRun {
    /// How many have run.
    pub(crate) ran: u32,
    /// How many of them have failed.
    pub(crate) failed: u32,
    /// How many of all have no value, where each has an outcome of its own.
    pub(crate) without_value: WithoutValue,
}

impl Attempt {
    /// One that holds no task yet.
    pub(crate) const NONE: Self = Self {
        ready: ReadyTask::NONE,
        description: None,
        started_ns: 0,
        ran_ns: 0,
        init_ns: 0,
        output: PayloadWriter::new(),
        gives_outcomes: false,
        items: None,
        failure: None,
    };

    /// The task, with the group in which it is the part of this member and the buffer for
    /// its output.
    #[inline]
    pub(crate) fn parts(&mut self) -> (&mut Task, Option<u64>, &mut PayloadWriter) {
        (&mut self.ready.task, self.ready.epoch, &mut self.output)
    }

    pub(crate) fn ended_ns(&self) -> u64 {
        self.started_ns + self.ran_ns
    }
}
