//! What the code that `#[remote]` generates asks of return types: that a `Result` is
//! known as one, and that its error can be told. Nobody else should need it.

use crate::function::remote::{ErrorText, Failure};
use std::fmt::Display;
use std::marker::PhantomData;

/// A return type that is not written `Result`. Generated code calls
/// `Returned::<R>::check()` with [`IsNoResult`] in scope: an alias of `Result` meets the
/// inherent function and its bound, which nothing fulfils; any other type meets the one
/// of the trait.
#[derive(Debug)]
pub struct Returned<R>(PhantomData<fn() -> R>);

impl<T, E> Returned<Result<T, E>> {
    /// Does not compile.
    pub fn check()
    where
        Self: WrittenAsResult,
    {
    }
}

/// What holds for types that are not a `Result`.
pub trait IsNoResult {
    /// Compiles, and does nothing.
    fn check();
}

impl<R> IsNoResult for Returned<R> {
    fn check() {}
}

/// Implemented by nothing.
#[diagnostic::on_unimplemented(
    message = "the return type of a remote function is a `Result` under another name",
    label = "write `Result<…, …>` here",
    note = "as `Result<Value, Error>` the task gives a `Handle<Value>` and an error fails it; under another name the error would be a value"
)]
pub trait WrittenAsResult {}

/// An error of which a text can be told on another rank.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be the error of a remote function",
    label = "this error has to be `Display`",
    note = "errors travel as text, with the chain of their sources if they implement `std::error::Error`"
)]
pub trait Tellable {}
impl<E: Display + ?Sized> Tellable for E {}

/// Compiles if the error can be told.
pub fn tellable<E: Tellable + ?Sized>(_: &E) {}

impl<E> Clone for ErrorText<'_, E> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<E> Copy for ErrorText<'_, E> {}

/// The last choice of `failure()`, for an error that cannot be told: there is one, so
/// that [`tellable`] alone reports it.
pub trait UntoldText {
    /// A failure that is never made, because the program does not compile.
    fn failure(self) -> Failure;
}

impl<E> UntoldText for ErrorText<'_, E> {
    fn failure(self) -> Failure {
        Failure::Returned(String::new())
    }
}

#[cfg(test)]
#[allow(clippy::needless_borrow, reason = "the borrows pick the trait")]
mod tests {
    use crate::function::remote::{BoxedErrorText as _, DisplayText as _, ErrorText, Failure, PlainErrorText as _};
    use std::fmt;

    #[derive(Debug, thiserror::Error)]
    #[error("the outer")]
    struct Outer(#[from] Inner);

    #[derive(Debug, thiserror::Error)]
    #[error("the inner")]
    struct Inner;

    struct Shown;

    impl fmt::Display for Shown {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str(if f.alternate() { "shown in full" } else { "shown" })
        }
    }

    #[test]
    fn an_error_tells_its_sources_also_out_of_a_box_and_anything_else_displays_itself() {
        let returned = |text: &str| Failure::Returned(text.to_owned());
        let boxed: Box<dyn std::error::Error + Send + Sync> = Box::new(Outer(Inner));
        assert_eq!((&&&ErrorText(&Outer(Inner))).failure(), returned("the outer: the inner"));
        assert_eq!((&&&ErrorText(&boxed)).failure(), returned("the outer: the inner"));
        assert_eq!((&&&ErrorText(&Shown)).failure(), returned("shown in full"));
        assert_eq!((&&&ErrorText(&"text")).failure(), returned("text"));
    }
}
