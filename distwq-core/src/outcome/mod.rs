//! How tasks end, and what is known of them and of a run: plain data, for machines to
//! give and users to hold.

pub(crate) mod error;
pub(crate) mod failure;
pub(crate) mod finish;
pub(crate) mod info;
pub(crate) mod stats;
pub(crate) mod status;
pub(crate) mod tally;
