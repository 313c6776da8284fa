//! The last words of a rank: what cannot be repaired ends the whole run, saying what is known. The one place of
//! the library that writes to standard error.

use crate::codec::CodecError;
use crate::current;
use crate::id::Rank;
use crate::transport::Transport;
use std::io::Write as _;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The exit code of a run that was ended: `EX_SOFTWARE` of sysexits.
pub(crate) const EXIT_CODE: i32 = 70;

/// Says something on standard error, in the name of distwq. Tests do not capture it: the macros that they capture panic
/// where standard error is closed.
pub(crate) fn say(text: &str) {
    // In one piece: what other ranks say at the same time would come in between.
    let line = format!("distwq: {text}\n");
    // Where nobody listens any more, nothing is to be said.
    let _ = std::io::stderr().write_all(line.as_bytes());
}

/// Ends all ranks.
pub(crate) fn end_run(transport: &mut dyn Transport, text: &str) -> ! {
    say(&format!("{} (host {}) ends the run: {text}", transport.rank(), host()));
    ARMED.store(0, Ordering::SeqCst);
    transport.abort(EXIT_CODE)
}

/// A frame that does not decode: the ranks do not speak the same protocol, or memory is damaged.
pub(crate) fn unreadable(transport: &mut dyn Transport, from: Rank, error: &CodecError) -> ! {
    end_run(transport, &format!("a frame from {from} cannot be read: {error}"))
}

/// The name of this host.
pub(crate) fn host() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").ok();
    let name = name.or_else(|| std::env::var("HOSTNAME").ok());
    name.map_or_else(|| "unknown".to_owned(), |name| name.trim().to_owned())
}

/// How many runs are under way in this process.
static ARMED: AtomicUsize = AtomicUsize::new(0);

/// From here on, a process that exits takes the whole run with it: a task that calls `process::exit` would leave
/// the others waiting.
#[allow(unsafe_code, reason = "registering with atexit is a C call")]
pub(crate) fn arm() {
    static REGISTERED: std::sync::Once = std::sync::Once::new();
    REGISTERED.call_once(|| {
        // SAFETY: `at_exit` is an `extern "C"` function without arguments that lives as long as the program; what
        // it does is sound on any thread while the process exits: atomics, a write to standard error, `_exit`.
        unsafe {
            libc::atexit(at_exit);
        }
        tell_aborts();
    });
    ARMED.fetch_add(1, Ordering::SeqCst);
}

/// The run has ended in order.
pub(crate) fn disarm() {
    // Another run of this process may have been ended meanwhile, and then none is under way.
    let less = |runs: usize| Some(runs.saturating_sub(1));
    let _ = ARMED.fetch_update(Ordering::SeqCst, Ordering::SeqCst, less);
}

extern "C" fn at_exit() {
    if ARMED.swap(0, Ordering::SeqCst) == 0 {
        return;
    }
    let during = current::task().map_or_else(String::new, |(id, path)| {
        format!(" during task {id} {path}, which must return instead of calling `process::exit`")
    });
    say(&format!("the process {} on host {} exits while the run goes on{during}", std::process::id(), host()));
    #[cfg(feature = "mpi")]
    crate::transport::Environment::abort_if_running(EXIT_CODE);
    leave()
}

/// What aborts a process (`abort`, a stack overflow, a panic while unwinding) cannot be contained, but the task can be
/// told. Whoever handled the signal before comes after.
#[allow(unsafe_code, reason = "signal handlers are set by C calls")]
fn tell_aborts() {
    // SAFETY: an all-zero `sigaction` is a valid one; both calls get pointers to values that live for their time. The
    // handler does only what POSIX allows in one: it reads thread-local memory, writes to a descriptor and sets the
    // action of the signal. It runs on the alternate stack where there is one, as after an overflow there is no other.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = on_abort as extern "C" fn(libc::c_int) as libc::sighandler_t;
        action.sa_flags = libc::SA_ONSTACK;
        let mut before: libc::sigaction = std::mem::zeroed();
        if libc::sigaction(libc::SIGABRT, &raw const action, &raw mut before) == 0 {
            // Set once, before any task runs.
            let _ = BEFORE_ABORT.set(before);
        }
    }
}

static BEFORE_ABORT: std::sync::OnceLock<libc::sigaction> = std::sync::OnceLock::new();

#[allow(unsafe_code, reason = "only such C calls are allowed in a signal handler")]
extern "C" fn on_abort(signal: libc::c_int) {
    if ARMED.load(Ordering::SeqCst) > 0
        && let Some((task, path)) = current::task()
    {
        let mut digits = [0; 10];
        let serial = decimal(task.serial(), &mut digits);
        for part in [b"distwq: the process aborts during task #".as_slice(), serial, b" ", path.as_bytes(), b"\n"] {
            // SAFETY: the pointer and the length are those of a slice.
            unsafe {
                libc::write(libc::STDERR_FILENO, part.as_ptr().cast(), part.len());
            }
        }
    }
    if let Some(before) = BEFORE_ABORT.get() {
        // SAFETY: the action is one that was in force before. The signal is pending until this handler returns, and
        // then handled by it.
        unsafe {
            libc::sigaction(signal, before, std::ptr::null_mut());
            libc::raise(signal);
        }
    }
}

/// The digits of a number, without an allocation.
fn decimal(mut number: u32, digits: &mut [u8; 10]) -> &[u8] {
    let mut start = digits.len();
    loop {
        start -= 1;
        digits[start] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            return &digits[start..];
        }
    }
}

/// Ends this process at once, without what libraries do when a process exits: MPI might wait there.
#[allow(unsafe_code, reason = "leaving without running further handlers is a C call")]
pub(crate) fn leave() -> ! {
    // SAFETY: `_exit` ends the process at once and runs nothing else.
    unsafe { libc::_exit(EXIT_CODE) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_without_an_allocation() {
        for number in [0, 7, 10, u32::MAX] {
            assert_eq!(decimal(number, &mut [0; 10]), number.to_string().as_bytes());
        }
    }
}
