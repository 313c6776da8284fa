//! What `#[remote]` makes: functions that every rank finds by a number, and how they are
//! called with encoded arguments.

pub(crate) mod argument;
pub(crate) mod fingerprint;
pub mod registry;
pub mod remote;
pub mod returned;
pub mod travels;
