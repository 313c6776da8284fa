//! What goes wrong with an encoding.

/// A value could not be turned into bytes, or bytes not into a value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct CodecError(pub String);
