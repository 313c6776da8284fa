//! What ranks say to each other.

pub(crate) mod attempt;
pub(crate) mod chunk;
pub(crate) mod members;
pub(crate) mod message;
pub(crate) mod report;
