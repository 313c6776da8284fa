//! Panics of users' code, contained: the code of a task, of a `Drop`, of a `Serialize`.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::fmt::Display;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Once;

thread_local! {
    /// Whether a panic of this thread will be told as an error, so that it need not be told on standard error.
    static CONTAINED: Cell<bool> = const { Cell::new(false) };
    /// Where the last such panic was raised.
    static PLACE: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Runs `code`; a panic becomes the text that it was raised with, and where. The payload of the panic is dropped
/// with panics contained too.
pub(crate) fn panics<R>(code: impl FnOnce() -> R) -> Result<R, String> {
    hook();
    let outer = CONTAINED.replace(true);
    PLACE.take();
    let result = catch_unwind(AssertUnwindSafe(code)).map_err(|payload| {
        let place = PLACE.take();
        let text = text_of(&*payload);
        quietly(move || drop(payload));
        PLACE.take();
        match place {
            Some(place) => format!("{text} (at {place})"),
            None => text,
        }
    });
    CONTAINED.set(outer);
    result
}

/// The same for `code` that fails in words anyway; `whose` says of a panic where it came from.
pub(crate) fn failures<R, E: Display>(whose: &str, code: impl FnOnce() -> Result<R, E>) -> Result<R, String> {
    match panics(code) {
        Ok(result) => result.map_err(|error| error.to_string()),
        Err(panic) => Err(format!("{whose} panicked: {panic}")),
    }
}

/// Panics that are contained are noted instead of told, unless backtraces are wanted; a second one while the first
/// unwinds ends the process, and is told. The hook that a program has set before goes on telling all others.
pub(crate) fn hook() {
    static INSTALLED: Once = Once::new();
    INSTALLED.call_once(|| {
        let others = std::panic::take_hook();
        let backtraces = std::env::var_os("RUST_BACKTRACE").is_some_and(|value| value != "0");
        std::panic::set_hook(Box::new(move |info| {
            let contained = CONTAINED.try_with(Cell::get).unwrap_or(false);
            let noted = contained
                && PLACE
                    .try_with(|place| {
                        let mut place = place.borrow_mut();
                        let first = place.is_none();
                        *place = info.location().map(ToString::to_string);
                        first
                    })
                    .unwrap_or(false);
            if !noted || backtraces {
                others(info);
            }
        }));
    });
}

/// Runs `code` and swallows a panic, also one in the `Drop` of the panic's payload.
pub(crate) fn quietly(code: impl FnOnce()) {
    if let Err(payload) = catch_unwind(AssertUnwindSafe(code))
        && let Err(again) = catch_unwind(AssertUnwindSafe(move || drop(payload)))
    {
        // A payload whose Drop panics with another such payload: leaking it is the only end.
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
        let text = panics(|| -> () { panic!("a {}", "b") }).expect_err("it panics");
        assert!(text.starts_with("a b (at ") && text.contains("contain.rs:"), "{text}");
        let other = panics(|| std::panic::panic_any(3_u8));
        assert!(other.is_err_and(|text| text.contains("panic_any")));
        assert_eq!(panics(|| 7), Ok(7));
        assert_eq!(failures("it", || Err::<(), _>("an error")), Err("an error".to_owned()));
        let text = failures("it", || -> Result<(), String> { panic!("a panic") }).expect_err("it panics");
        assert!(text.starts_with("it panicked: a panic (at "), "{text}");
    }

    #[test]
    fn a_payload_whose_drop_panics_for_ever_is_contained() {
        assert!(panics(|| std::panic::panic_any(Bomb)).is_err());
    }
}
