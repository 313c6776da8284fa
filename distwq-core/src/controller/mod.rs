//! The controller rank: it knows all tasks, asks the scheduler what to do, and tells the workers. Values pass it
//! by, except small ones and those that its user asks for.

mod dispatch;
mod ends;
mod engine;
mod groups;
mod submit;
mod table;
mod waits;

pub(crate) use engine::{ControllerEngine, Limits, ReferenceNote, ReferenceNotes, WorkerPlace};
pub(crate) use submit::RunId;
