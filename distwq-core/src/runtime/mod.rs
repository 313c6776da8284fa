//! What runs the machines of `machine/`: the driver with its lock, the clock, the executors of a worker.

pub(crate) mod clock;
mod controller;
pub(crate) mod drive;
mod executor;
mod worker;

pub(crate) use controller::{ControllerEngine, NOTES_TOGETHER, ReferenceNotes};
pub(crate) use executor::serve;
pub(crate) use worker::WorkerEngine;
