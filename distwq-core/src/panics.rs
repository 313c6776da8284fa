//! Catching the panics of users' code: of a task, of a `Drop`, of a `Serialize`.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::fmt::Display;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Once;

thread_local! {
    /// Whether a panic of this thread will be caught and told as an error, so that the
    /// hook need not tell it on standard error.
    static CAUGHT: Cell<bool> = const { Cell::new(false) };
    /// Whether the hook has noted one since the last catch began.
    static NOTED: Cell<bool> = const { Cell::new(false) };
    /// Where that was raised. What lies here while none is noted means nothing: a catch
    /// costs less than a number's encoding if it need not look.
    static LOCATION: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Runs `code`; a panic becomes the text that it was raised with, and where. A panic
/// while its payload is dropped is caught too.
#[inline]
pub(crate) fn caught<R>(code: impl FnOnce() -> R) -> Result<R, String> {
    install_hook();
    let outer = CAUGHT.replace(true);
    NOTED.set(false);
    let result = catch_unwind(AssertUnwindSafe(code)).map_err(told);
    CAUGHT.set(outer);
    result
}

/// The text of a panic, and where it was raised, if it passed the hook.
#[cold]
fn told(payload: Box<dyn Any + Send>) -> String {
    let location = NOTED.take().then(|| LOCATION.take()).flatten();
    let text = text_of(&*payload);
    discarded(move || drop(payload));
    NOTED.set(false);
    match location {
        Some(location) => format!("{text} (at {location})"),
        None => text,
    }
}

/// The same for `code` that fails in words anyway; `whose` says of a panic where it came
/// from.
#[inline]
pub(crate) fn caught_error<R, E: Display>(whose: &str, code: impl FnOnce() -> Result<R, E>) -> Result<R, String> {
    match caught(code) {
        Ok(result) => result.map_err(|error| error.to_string()),
        Err(panic) => Err(format!("{whose} panicked: {panic}")),
    }
}

/// Installs the panic hook that notes panics which are caught instead of telling them,
/// unless backtraces are wanted. A second panic while the first unwinds ends the process,
/// and is told. The hook that a program has set before goes on telling all others.
#[inline]
pub(crate) fn install_hook() {
    static INSTALLED: Once = Once::new();
    INSTALLED.call_once(|| {
        let others = std::panic::take_hook();
        let backtraces = std::env::var_os("RUST_BACKTRACE").is_some_and(|value| value != "0");
        std::panic::set_hook(Box::new(move |info| {
            let caught = CAUGHT.try_with(Cell::get).unwrap_or(false);
            let noted = caught
                && LOCATION
                    .try_with(|location| {
                        *location.borrow_mut() = info.location().map(ToString::to_string);
                        !NOTED.replace(true)
                    })
                    .unwrap_or(false);
            if !noted || backtraces {
                others(info);
            }
        }));
    });
}

/// Runs `code` and discards a panic, also one in the `Drop` of the panic's payload.
pub(crate) fn discarded(code: impl FnOnce()) {
    if let Err(payload) = catch_unwind(AssertUnwindSafe(code))
        && let Err(again) = catch_unwind(AssertUnwindSafe(move || drop(payload)))
    {
        // A payload whose Drop panics with another such payload: leaking it is the only
        // end.
        std::mem::forget(again);
    }
}

pub(crate) fn text_of(payload: &(dyn Any + Send)) -> String {
    if let Some(text) = payload.downcast_ref::<&str>() {
        (*text).to_owned()
    } else if let Some(text) = payload.downcast_ref::<String>() {
        text.clone()
    } else {
        "a value that is not text (raised by `panic_any`)".to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Bomb;
    impl Drop for Bomb {
        fn drop(&mut self) {
            std::panic::panic_any(Bomb);
        }
    }

    #[test]
    fn text_and_other_payloads_are_told() {
        let text = caught(|| -> () { panic!("a {}", "b") }).expect_err("it panics");
        assert!(text.starts_with("a b (at ") && text.contains("panics.rs:"), "{text}");
        let other = caught(|| std::panic::panic_any(3_u8));
        assert!(other.is_err_and(|text| text.contains("panic_any")));
        assert_eq!(caught(|| 7), Ok(7));
        assert_eq!(caught_error("it", || Err::<(), _>("an error")), Err("an error".to_owned()));
        let text = caught_error("it", || -> Result<(), String> { panic!("a panic") }).expect_err("it panics");
        assert!(text.starts_with("it panicked: a panic (at "), "{text}");
    }

    #[test]
    fn a_payload_whose_drop_panics_for_ever_is_discarded() {
        assert!(caught(|| std::panic::panic_any(Bomb)).is_err());
    }
}
