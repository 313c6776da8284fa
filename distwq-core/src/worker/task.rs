//! One attempt of a task on a worker, and how it is run.

use crate::codec::{Payload, PayloadWriter};
use crate::contain;
use crate::current;
use crate::group::Group;
use crate::id::TaskId;
use crate::registry::{Body, Remote};
use crate::remote::{Failure, InputArgument, Invocation};
use std::fmt;

/// An attempt with all its inputs.
pub(crate) struct Task {
    pub(crate) id: TaskId,
    /// The function; a place where no task has been put yet has none.
    pub(crate) remote: Option<&'static Remote>,
    pub(crate) plain: Payload,
    pub(crate) inputs: Vec<InputArgument>,
}

impl Task {
    /// A place for tasks.
    pub(crate) const NONE: Self =
        Self { id: TaskId::new(0, 0), remote: None, plain: Payload::EMPTY, inputs: Vec::new() };

    /// Runs the function: on the calling thread, with its panics contained. Writes the encoded output, or gives why there
    /// is none. The arguments are dropped here too.
    pub(crate) fn run(&mut self, group: Option<&Group>, output: &mut PayloadWriter) -> Option<Box<Failure>> {
        let remote = self.remote.expect("a task that runs has a function");
        output.clear();
        current::set(Some((self.id, remote.path)));
        let result = contain::panics(|| {
            let mut invocation = Invocation::new(self.plain.as_slice(), &self.inputs, output);
            match (remote.body, group) {
                (Body::Single(run), _) => run(&mut invocation),
                (Body::Collective(run), Some(group)) => run(group, &mut invocation),
                (Body::Collective(_), None) => unreachable!("a collective task has a group"),
            }
        });
        self.plain.unshare();
        if !self.inputs.is_empty() {
            // What the task held may be the last of a shared value, whose Drop is the user's.
            let inputs = std::mem::take(&mut self.inputs);
            contain::quietly(move || drop(inputs));
        }
        current::set(None);
        let failure = match result {
            Ok(Ok(())) => return None,
            Ok(Err(failure)) => failure,
            Err(message) => Failure::Panicked(message),
        };
        // It may have been written in part.
        output.clear();
        Some(Box::new(failure))
    }
}

impl fmt::Debug for Task {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.id, self.remote.map_or("", |remote| remote.path))
    }
}
