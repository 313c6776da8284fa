//! What runs the machines of `machine/`: the driver with its lock, the clock, the
//! executors of a worker, the handshake, and the last words of a rank.

pub(crate) mod clock;
pub(crate) mod collectors;
mod controller;
pub(crate) mod driver;
mod executor;
pub(crate) mod fault;
pub(crate) mod handshake;
pub(crate) mod interrupts;
pub(crate) mod observer;
mod traffic;
mod worker;

pub(crate) use controller::{ControllerEngine, NOTES_TOGETHER, ReferenceNotes};
pub(crate) use executor::serve;
pub(crate) use worker::WorkerEngine;
