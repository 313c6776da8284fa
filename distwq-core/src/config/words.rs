//! Settings that are one of a few words.

use serde::{Deserialize, Serialize};
use std::fmt;

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

/// How much a line matters that a task logs, from the most to the least.
#[derive(Serialize, Deserialize, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum LogLevel {
    /// Something has failed.
    Error,
    /// Something may fail.
    Warn,
    /// What people want to know of a run.
    Info,
    /// What explains it.
    Debug,
    /// Everything.
    Trace,
}

impl fmt::Display for LogLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Error => "ERROR",
            Self::Warn => "WARN",
            Self::Info => "INFO",
            Self::Debug => "DEBUG",
            Self::Trace => "TRACE",
        })
    }
}

impl ProgressStyle {
    /// By the words of the variable.
    pub(super) const WORDS: [(&'static str, Self); 4] =
        [("auto", Self::Auto), ("bar", Self::Bar), ("lines", Self::Lines), ("off", Self::Off)];
}

impl LogLevel {
    /// By the words of the variable, of which one says that there is none.
    pub(super) const WORDS: [(&'static str, Option<Self>); 6] = [
        ("off", None),
        ("error", Some(Self::Error)),
        ("warn", Some(Self::Warn)),
        ("info", Some(Self::Info)),
        ("debug", Some(Self::Debug)),
        ("trace", Some(Self::Trace)),
    ];
}
