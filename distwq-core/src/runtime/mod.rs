//! What runs the machines of `machine/`: the driver with its lock, the clock, the executors of a worker.

pub(crate) mod clock;
pub(crate) mod drive;
mod executor;
mod worker;

pub(crate) use executor::serve;
pub(crate) use worker::WorkerEngine;
