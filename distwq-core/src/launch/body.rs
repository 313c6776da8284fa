//! The body of a program: what it may return, and how it ended.

use crate::outcome::error::with_sources;
use crate::panics;
use std::any::Any;
use std::error::Error;
use std::fmt::Display;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;

/// What the body of a program may return: nothing, or a `Result<(), E>` whose error can
/// be displayed. Of a boxed error the sources are told too; an error of another type says
/// what its alternate form `{:#}` says.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be what the body of a program returns",
    label = "return nothing, or a `Result<(), E>` whose error is `Display`"
)]
pub trait BodyResult {
    /// The error in words, if it is one.
    ///
    /// # Errors
    /// These words.
    fn into_result(self) -> Result<(), String>;
}

impl BodyResult for () {
    fn into_result(self) -> Result<(), String> {
        Ok(())
    }
}

impl<E: Display + 'static> BodyResult for Result<(), E> {
    fn into_result(self) -> Result<(), String> {
        self.map_err(|error| match boxed(&error) {
            Some(boxed) => with_sources(boxed),
            // The alternate form is where some error types keep the chain of their
            // sources.
            None => format!("{error:#}"),
        })
    }
}

/// The error in one of the usual boxes. These do not implement `Error`, while other types
/// here need not, so that only the type itself tells which of both it is.
fn boxed(error: &dyn Any) -> Option<&dyn Error> {
    if let Some(error) = error.downcast_ref::<Box<dyn Error>>() {
        Some(&**error)
    } else if let Some(error) = error.downcast_ref::<Box<dyn Error + Send>>() {
        Some(&**error)
    } else {
        error.downcast_ref::<Box<dyn Error + Send + Sync>>().map(|error| &**error as &dyn Error)
    }
}

/// The exit code of a program whose body returned an error or panicked.
pub(super) const FAILED: u8 = 1;

/// How a body ended.
pub(super) enum Body {
    Returned(Result<(), String>),
    Panicked(Box<dyn Any + Send>),
}

impl Body {
    /// Runs a body to its end, with its panics caught.
    pub(super) fn run<R: BodyResult>(body: impl FnOnce() -> R) -> Self {
        match catch_unwind(AssertUnwindSafe(body)) {
            Ok(result) => Self::Returned(
                panics::caught(|| result.into_result())
                    .unwrap_or_else(|panic| Err(format!("its error cannot be displayed: {panic}"))),
            ),
            Err(payload) => Self::Panicked(payload),
        }
    }

    /// The run has failed of this, whatever the body has returned.
    pub(super) fn fail(&mut self, text: String) {
        if !self.is_failure() {
            *self = Self::Returned(Err(text));
        }
    }

    pub(super) fn is_failure(&self) -> bool {
        !matches!(self, Self::Returned(Ok(())))
    }

    /// How it ended, in words.
    pub(super) fn why(&self) -> &str {
        match self {
            Self::Returned(Ok(())) => "the body returned",
            Self::Returned(Err(text)) => text,
            Self::Panicked(_) => "the body panicked",
        }
    }

    pub(super) fn exit_code(&self) -> u8 {
        if self.is_failure() { FAILED } else { 0 }
    }

    pub(super) fn code(&self) -> ExitCode {
        ExitCode::from(self.exit_code())
    }
}
