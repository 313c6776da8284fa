//! Settings that are one of a few words.

/// How it is shown how far tasks are.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub enum ProgressStyle {
    /// A bar if standard error is a terminal, else lines.
    #[default]
    Auto,
    /// A bar, also where standard error is no terminal: a launcher may pass it on to one.
    Bar,
    /// Lines, at growing intervals.
    Lines,
    /// Not at all.
    Off,
}

impl ProgressStyle {
    /// By the words of the variable.
    pub(super) const WORDS: [(&'static str, Self); 4] =
        [("auto", Self::Auto), ("bar", Self::Bar), ("lines", Self::Lines), ("off", Self::Off)];
}
