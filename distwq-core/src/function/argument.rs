//! Where the output of another task belongs among the arguments of a call.

use serde::{Deserialize, Serialize};

/// The output of another task as an argument, or as a part of one.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Input<S> {
    /// The other task.
    pub(crate) source: S,
    pub(crate) position: ArgumentPosition,
}

/// Where among the arguments an output belongs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct ArgumentPosition {
    /// How many bytes came as values before it, of the arguments before and of this one.
    pub(crate) offset: u32,
    pub(crate) parameter: u16,
    pub(crate) role: Role,
}

/// What the output of another task is in an argument.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Role {
    /// The whole of it.
    Whole,
    /// An element of a `Vec`, of which all others are outputs too.
    Element,
    /// A part of it; the bytes around it came as values.
    Part,
    /// A part of it, as a `Result`: the value of the other task, or why it has none.
    End,
}

impl Role {
    /// Workers decode the output for the tasks that share it, and keep it for them.
    #[inline]
    pub(crate) const fn may_be_shared(self) -> bool {
        matches!(self, Self::Whole | Self::Element)
    }
}

/// How the outputs that belong to one argument make it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, Debug)]
pub(crate) enum Shape {
    /// There is one, which is the argument.
    Whole,
    /// They are the elements of a `Vec`.
    Gathered,
    /// By output, where it belongs between the bytes that came as values.
    Composed(Box<[Part]>),
}

/// Where an output belongs that is a part of an argument.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Debug)]
pub(crate) struct Part {
    /// How many bytes of all that came as values are before it.
    pub(crate) offset: u32,
    /// Where the end of a task is taken, which variant of the `Result` it is.
    pub(crate) tag: Option<u32>,
}
