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
    pub(crate) remote: &'static Remote,
    pub(crate) plain: Payload,
    pub(crate) inputs: Vec<InputArgument>,
}

impl Task {
    /// Runs the function: on the calling thread, with its panics contained. Puts the encoded output into its place. The
    /// arguments are dropped here too.
    pub(crate) fn run(self, group: Option<&Group>, place: &mut Payload) -> Result<(), Failure> {
        let mut output = PayloadWriter::new();
        current::set(Some((self.id, self.remote.path)));
        let result = contain::panics(|| {
            let mut invocation = Invocation::new(self.plain.as_slice(), &self.inputs, &mut output);
            match (self.remote.body, group) {
                (Body::Single(run), _) => run(&mut invocation),
                (Body::Collective(run), Some(group)) => run(group, &mut invocation),
                (Body::Collective(_), None) => unreachable!("a collective task has a group"),
            }
        });
        // What the task held may be the last of a shared value, whose Drop is the user's.
        contain::quietly(move || drop(self.inputs));
        current::set(None);
        result.unwrap_or_else(|message| Err(Failure::Panicked(message)))?;
        output.move_to(place);
        Ok(())
    }
}

impl fmt::Debug for Task {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.id, self.remote.path)
    }
}
