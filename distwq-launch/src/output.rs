//! What a launch left: how it ended, and what each rank said.

use std::{fmt, time::Duration};

/// How a launch ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Ending {
    /// The launcher ended by itself with this exit code: 0 if all ranks ended with 0.
    Exited(i32),
    /// The launcher was ended by this signal, which nobody here had sent.
    Signalled(i32),
    /// The time limit had passed, and everything was ended.
    TimeLimit(Duration),
}

impl fmt::Display for Ending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exited(code) => write!(f, "exit code {code}"),
            Self::Signalled(signal) => write!(f, "the launcher was ended by signal {signal}"),
            Self::TimeLimit(limit) => write!(f, "the time limit of {} s passed", limit.as_secs_f64()),
        }
    }
}

/// One rank of a launch.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct RankOutput {
    /// Its process, if it started.
    pub process: Option<u32>,
    /// What it wrote to its standard output and its standard error, in the order in which
    /// it was written.
    pub text: String,
    /// If it still lived when the time limit had passed: what each of its threads was
    /// doing.
    pub threads: Option<Vec<String>>,
}

/// How a launch ended and what it said.
///
/// It is shown (`{}`) rank by rank, each line marked with its rank, long outputs
/// shortened to their ends.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Output {
    /// What was launched, for people.
    pub what: String,
    /// Name and version of the MPI; nothing if the program ran without one.
    pub mpi: Option<String>,
    /// How it ended.
    pub ending: Ending,
    /// The ranks, by number.
    pub ranks: Vec<RankOutput>,
    /// What the launcher itself said.
    pub launcher: String,
    /// From the start of the launcher to its end.
    pub wall: Duration,
    /// Processes that still lived a second after the launcher had ended by itself, and
    /// had to be killed.
    pub left_behind: Vec<u32>,
}

impl Output {
    /// Whether every rank ended with code 0 in time and left nothing behind.
    pub fn success(&self) -> bool {
        self.ending == Ending::Exited(0) && self.left_behind.is_empty()
    }

    /// The exit code, if the launcher ended by itself.
    pub fn code(&self) -> Option<i32> {
        match self.ending {
            Ending::Exited(code) => Some(code),
            Ending::Signalled(_) | Ending::TimeLimit(_) => None,
        }
    }

    /// What one rank said; nothing if there is no such rank.
    pub fn rank(&self, rank: usize) -> &str {
        self.ranks.get(rank).map_or("", |rank| &rank.text)
    }

    /// Whether the launcher or any rank said this.
    pub fn contains(&self, text: &str) -> bool {
        self.launcher.contains(text) || self.ranks.iter().any(|rank| rank.text.contains(text))
    }

    /// Returns itself if it was a success.
    ///
    /// # Panics
    ///
    /// With everything that was said, if it was none.
    #[track_caller]
    pub fn expect_success(self) -> Self {
        assert!(self.success(), "a launch failed: {self}");
        self
    }

    /// Returns itself if it ended in time, by itself, with a code other than 0, and left
    /// nothing behind.
    ///
    /// # Panics
    ///
    /// With everything that was said, if it was a success, had to be ended or left
    /// processes behind.
    #[track_caller]
    pub fn expect_failure(self) -> Self {
        let failed = !self.success() && !matches!(self.ending, Ending::TimeLimit(_)) && self.left_behind.is_empty();
        assert!(failed, "a launch should have failed by itself: {self}");
        self
    }
}

impl fmt::Display for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} after {:.1} s", self.what, self.ending, self.wall.as_secs_f64())?;
        if !self.left_behind.is_empty() {
            write!(f, ", processes left behind: {:?}", self.left_behind)?;
        }
        writeln!(f)?;
        for (number, rank) in self.ranks.iter().enumerate() {
            match rank.process {
                Some(process) => write!(f, "rank {number} (process {process})")?,
                None => write!(f, "rank {number} (never started)")?,
            }
            match &rank.threads {
                Some(threads) => writeln!(f, " still lived; its threads: {}", threads.join(", "))?,
                None => writeln!(f, " had ended")?,
            }
            show(f, &rank.text, &format!("[{number}] "))?;
        }
        if !self.launcher.trim().is_empty() {
            writeln!(f, "the launcher said")?;
            show(f, &self.launcher, "[-] ")?;
        }
        Ok(())
    }
}

/// How many lines of each rank are shown: a rank that logs each task would bury the
/// others.
const LINES_SHOWN: usize = 80;

fn show(f: &mut fmt::Formatter<'_>, text: &str, mark: &str) -> fmt::Result {
    let lines: Vec<&str> = text.lines().collect();
    let hidden = lines.len().saturating_sub(LINES_SHOWN);
    if hidden > 0 {
        writeln!(f, "{mark}({hidden} lines before)")?;
    }
    lines[hidden..].iter().try_for_each(|line| writeln!(f, "{mark}{line}"))
}
