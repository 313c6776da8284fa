//! What a running function is given, and what its thread knows of the task.

pub(crate) mod cancel;
pub(crate) mod context;
pub(crate) mod current;
pub(crate) mod group;
pub(crate) mod items;
pub(crate) mod keeper;
pub(crate) mod lines;
pub(crate) mod mark;
pub(crate) mod recipe;
pub(crate) mod state;
