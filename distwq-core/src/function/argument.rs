//! Where the output of another task belongs among the arguments of a call.

/// The output of another task as an argument, or one of several that make an argument.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Input<S> {
    /// The other task.
    pub(crate) source: S,
    pub(crate) position: ArgumentPosition,
}

/// Where among the arguments an output belongs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct ArgumentPosition {
    /// How many bytes the arguments before it have that came as values.
    pub(crate) offset: u32,
    pub(crate) parameter: u16,
    /// All outputs of this parameter, one behind another here, make one `Vec`.
    pub(crate) gathered: bool,
}
