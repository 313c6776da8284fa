//! What a task that fails may ask for, and after which failures a call is tried again.

use crate::outcome::error::with_sources;
use serde::{Deserialize, Serialize};
use std::error::Error;
use std::fmt;
use std::ops::{BitOr, BitOrAssign};
use std::time::Duration;

/// The error of a remote function that says what is to follow: made of any error, and
/// returned as the error of the function, or in a `Box<dyn Error>`.
///
/// Without a wish it is an error like any other. Of several wishes the last one counts.
///
/// # Examples
/// ```
/// use distwq::TaskFailure;
/// use distwq::prelude::*;
///
/// #[remote]
/// fn parse(text: String) -> Result<f64, TaskFailure> {
///     // To try again would not help.
///     text.parse().map_err(|error| TaskFailure::from(error).permanent())
/// }
///
/// #[remote]
/// fn fetch(ctx: &Context, server: &str) -> Result<u32, TaskFailure> {
///     match ctx.attempt() {
///         1 => Err(TaskFailure::from(format!("{server} does not answer"))),
///         _ => Ok(200),
///     }
/// }
///
/// #[distwq::main]
/// fn main(cluster: &Cluster) {
///     let number = cluster.submit(parse::call("one").retries(5));
///     match number.get() {
///         Err(TaskError::Failed { site, message }) => {
///             assert_eq!((site.attempts, &*message), (1, "invalid float literal"));
///         }
///         other => panic!("{other:?}"),
///     }
///     assert_eq!(cluster.submit(fetch::call("a").retries(1)).get(), Ok(200));
/// }
/// ```
#[derive(Debug)]
pub struct TaskFailure {
    cause: Box<dyn Error + Send + Sync>,
    wish: Option<Wish>,
}

/// What a failed task asks for.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Wish {
    /// No further attempt.
    Permanent,
    /// Another worker.
    NotHere,
    /// Some time.
    Busy {
        /// How many nanoseconds.
        delay_ns: u64,
    },
}

/// A task that is busy for no time comes back after this.
const DELAY_MIN: Duration = Duration::from_millis(1);

impl TaskFailure {
    /// A failure of this cause: an error, a box of one, or a text.
    #[must_use]
    pub fn from(cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self { cause: cause.into(), wish: None }
    }

    /// Not to be tried again, whatever [`retries`](crate::Call::retries) are left: it
    /// would fail in the same way.
    #[must_use]
    pub fn permanent(self) -> Self {
        Self { wish: Some(Wish::Permanent), ..self }
    }

    /// To be run by another worker, and never by this one. That is no further attempt: it
    /// works without [`retries`](crate::Call::retries). If no worker is left, because all
    /// have said so, or the task has to run on this one, it fails, and says that.
    #[must_use]
    pub fn not_here(self) -> Self {
        Self { wish: Some(Wish::NotHere), ..self }
    }

    /// To be run again after this time, 1 ms at least, by any worker. That is no further
    /// attempt: it works without [`retries`](crate::Call::retries), and as often as it is
    /// said; a deadline bounds it.
    #[must_use]
    pub fn busy(self, delay: Duration) -> Self {
        let delay_ns = u64::try_from(delay.max(DELAY_MIN).as_nanos()).unwrap_or(u64::MAX);
        Self { wish: Some(Wish::Busy { delay_ns }), ..self }
    }

    /// The text of the cause with the chain of its sources, and what is asked for.
    pub(crate) fn told(&self) -> (String, Option<Wish>) {
        (with_sources(&*self.cause), self.wish)
    }
}

impl fmt::Display for TaskFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.cause.fmt(f)
    }
}

impl Error for TaskFailure {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.cause.source()
    }
}

/// After which failures a call with [`retries`](crate::Call::retries) is tried again;
/// joined with `|`.
///
/// The default is `ERRORS | PANICS | LOST_WORKERS`: an attempt that reached its limit was
/// given the time that it should need, and the function may still run.
///
/// # Examples
/// ```
/// use distwq::RetryOn;
///
/// let chosen = RetryOn::ERRORS | RetryOn::LIMITS;
/// assert!(chosen.contains(RetryOn::LIMITS) && !chosen.contains(RetryOn::PANICS));
/// assert!(RetryOn::default().contains(RetryOn::PANICS | RetryOn::LOST_WORKERS));
/// assert!(!RetryOn::default().contains(RetryOn::LIMITS));
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct RetryOn(u8);

impl RetryOn {
    /// The function has returned an error, its output did not encode, or its group broke.
    pub const ERRORS: Self = Self(1);
    /// The function has panicked.
    pub const PANICS: Self = Self(1 << 1);
    /// An attempt has reached its [`run_limit`](crate::Call::run_limit).
    pub const LIMITS: Self = Self(1 << 2);
    /// The worker was lost, or a value that the task takes could not be fetched.
    pub const LOST_WORKERS: Self = Self(1 << 3);
    /// All of them.
    pub const ALL: Self = Self(0b1111);
    /// What holds for a call that does not say.
    pub(crate) const DEFAULT: Self = Self(Self::ERRORS.0 | Self::PANICS.0 | Self::LOST_WORKERS.0);

    /// Whether all of `other` are among these.
    #[must_use]
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
}

impl Default for RetryOn {
    fn default() -> Self {
        Self::DEFAULT
    }
}

impl BitOr for RetryOn {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl BitOrAssign for RetryOn {
    fn bitor_assign(&mut self, other: Self) {
        *self = *self | other;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_tells_its_cause_once_and_its_last_wish() {
        let failure = TaskFailure::from("no gpu").permanent().not_here();
        assert_eq!(failure.to_string(), "no gpu");
        assert_eq!(failure.told(), ("no gpu".to_owned(), Some(Wish::NotHere)));
        assert_eq!(TaskFailure::from(fmt::Error).told().1, None);
        let busy = TaskFailure::from("full").busy(Duration::ZERO).told().1;
        assert_eq!(busy, Some(Wish::Busy { delay_ns: 1_000_000 }));
    }
}
