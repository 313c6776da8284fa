//! A worker rank: it receives tasks, fetches their inputs from the ranks that hold them, runs them, keeps what
//! is large. It decides nothing about order or place.

mod attempt;
mod descriptions;
mod engine;
mod executor;
mod inputs;
mod membership;
mod queue;
mod slots;
mod store;
mod task;

pub(crate) use engine::WorkerEngine;
pub(crate) use executor::serve;
