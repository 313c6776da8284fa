//! One attempt of a task on a worker, with what it takes.

use crate::codec::Payload;
use crate::function::registry::Remote;
use crate::function::remote::InputArgument;
use crate::id::TaskId;
use std::fmt;

/// An attempt with all its inputs.
pub(crate) struct Task {
    pub(crate) id: TaskId,
    /// The function; one that holds no task has none.
    pub(crate) remote: Option<&'static Remote>,
    pub(crate) plain: Payload,
    pub(crate) inputs: Vec<InputArgument>,
}

impl Task {
    /// One that holds nothing.
    pub(crate) const NONE: Self =
        Self { id: TaskId::new(0, 0), remote: None, plain: Payload::EMPTY, inputs: Vec::new() };
}

impl fmt::Debug for Task {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.id, self.remote.map_or("", |remote| remote.path))
    }
}
