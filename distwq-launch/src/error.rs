//! What can go wrong before a launched program says a word of its own.

use std::{fmt, io, path::PathBuf};

/// Why a program could not be launched, or could not be watched.
///
/// A program that runs and fails is not one of these: that is an
/// [`Output`](crate::Output) without success.
#[derive(Debug)]
#[non_exhaustive]
pub enum LaunchError {
    /// There is no MPI launcher where one was looked for.
    NoLauncher {
        /// Where it was looked for, in words.
        looked: String,
    },
    /// The launcher is there, but does not even tell its version.
    BrokenLauncher {
        /// The launcher's path.
        path: PathBuf,
        /// What it said instead.
        said: String,
    },
    /// The operating system refused something.
    System {
        /// What was being done, in words.
        doing: String,
        /// What the system answered.
        source: io::Error,
    },
    /// A rank did not do in time what the caller waited for.
    RankSilent {
        /// The rank that was waited for.
        rank: usize,
        /// What it was waited for, in words.
        awaited: String,
        /// What all ranks had said until then.
        said: String,
    },
}

impl LaunchError {
    /// Wraps an answer of the operating system with what was being done.
    pub(crate) fn system(doing: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let doing = doing.into();
        move |source| Self::System { doing, source }
    }
}

impl fmt::Display for LaunchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoLauncher { looked } => write!(
                f,
                "no MPI launcher found ({looked}): install an MPI that brings mpirun, put it on PATH, or name the \
                 launcher in DISTWQ_MPIRUN"
            ),
            Self::BrokenLauncher { path, said } => {
                write!(f, "the MPI launcher {} does not work, asked for its version it said: {said}", path.display())
            }
            Self::System { doing, source } => write!(f, "{doing} failed: {source}"),
            Self::RankSilent { rank, awaited, said } => {
                write!(f, "rank {rank} did not {awaited} within the time limit; the ranks said:\n{said}")
            }
        }
    }
}

impl std::error::Error for LaunchError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::System { source, .. } => Some(source),
            _ => None,
        }
    }
}
