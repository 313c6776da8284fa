//! What ranks say to each other.

pub(crate) mod message;
