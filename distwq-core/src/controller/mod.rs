//! The controller rank: it knows all tasks, asks the scheduler what to do, and tells the workers. Values pass it
//! by, except small ones and those that its user asks for.

mod dispatch;
mod drain;
mod ends;
mod engine;
mod groups;
mod references;
mod reports;
mod spans;
mod submit;
mod table;
mod waits;

pub(crate) use engine::{Awaited, ControllerEngine, Limits, WorkerPlace};
pub(crate) use references::{NOTES_TOGETHER, ReferenceNote, ReferenceNotes};
pub(crate) use submit::RunId;
