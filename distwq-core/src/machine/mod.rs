//! What decides: state machines without clock, lock, thread, transport or environment,
//! which run no code of users.
//!
//! A machine is told what has happened to its rank, and when: `handle(now, input, &mut
//! Outbox)`. All that follows lies in the outbox afterwards: messages, encoded already,
//! values to drop, threads to wake, the end of the run. The same inputs at the same times
//! give the same outbox. What runs a machine (`runtime/`) owns the transport and the
//! clock: it passes on what came, sends what lies in the outbox, and calls again when
//! [`next_deadline`](worker::Worker::next_deadline) has come, whatever else happens. The
//! time may be some turns old. That of the controller never goes back; a worker's
//! executors read the clock before they come to the engine, so there it may, by as much.

pub(crate) mod controller;
pub(crate) mod handshake;
mod happened;
mod notice;
mod outgoing;
pub mod scheduler;
#[cfg(any(test, feature = "simulation"))]
pub mod simulation;
pub(crate) mod worker;

pub(crate) use happened::Happened;
pub(crate) use notice::{NamedTask, Notice, Notices};
pub(crate) use outgoing::Outgoing;

/// Nanoseconds since the Unix epoch, by the clock of the rank.
pub(crate) type Ns = u64;

/// Values of users that nobody needs any more. To drop them is users' code.
pub(crate) type Garbage = Vec<Box<dyn Send>>;
