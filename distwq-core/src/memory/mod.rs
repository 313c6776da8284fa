//! Memory in large pieces: used again, in huge pages, asked for ahead.

pub(crate) mod buffers;
pub(crate) mod prefetch;
