//! The last words of a process that a signal ends within a task: an abort, a stack
//! overflow, a bad access to memory.
//!
//! These cannot be contained, but the task can be named. Whoever handled the signal
//! before comes after, so core dumps, Rust's word about a stack overflow and the
//! backtraces of an MPI library stay.

use super::{ARMED, is_forked, rank_and_host};
use crate::task::current;
use std::ffi::{c_int, c_void};
use std::fmt::{self, Write as _};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

/// The signals of faults, in words.
const FAULTS: [(c_int, &str); 5] = [
    (libc::SIGABRT, "it aborts (SIGABRT)"),
    (libc::SIGSEGV, "an invalid access to memory, or a stack overflow (SIGSEGV)"),
    (libc::SIGBUS, "an invalid access to memory, or a stack overflow (SIGBUS)"),
    (libc::SIGFPE, "an arithmetic fault (SIGFPE)"),
    (libc::SIGILL, "an instruction that does not exist (SIGILL)"),
];

/// The actions that were in force before, in the order of [`FAULTS`].
static BEFORE: [OnceLock<libc::sigaction>; FAULTS.len()] = [const { OnceLock::new() }; FAULTS.len()];

/// Something has been told: an abort that follows from an overflow is not told again.
static TOLD: AtomicBool = AtomicBool::new(false);

/// From here on, a signal that ends the process within a task is told with it. Called
/// once, before any task runs.
#[allow(unsafe_code, reason = "signal handlers are set by C calls")]
pub(super) fn tell_faults() {
    for ((signal, _), before) in FAULTS.iter().zip(&BEFORE) {
        // SAFETY: an all-zero `sigaction` is a valid one; both calls get pointers to
        // values that live for their time. The handler does only what POSIX allows in
        // one, see there. It runs on the alternate stack where there is one, as after an
        // overflow there is no other.
        unsafe {
            let mut action: libc::sigaction = std::mem::zeroed();
            action.sa_sigaction = on_fault as extern "C" fn(c_int, *mut libc::siginfo_t, *mut c_void) as usize;
            action.sa_flags = libc::SA_ONSTACK | libc::SA_SIGINFO;
            let mut old: libc::sigaction = std::mem::zeroed();
            // Asked for first: the handler may run as soon as it is set.
            if libc::sigaction(*signal, std::ptr::null(), &raw mut old) == 0 && before.set(old).is_ok() {
                libc::sigaction(*signal, &raw const action, std::ptr::null_mut());
            }
        }
    }
}

/// Whether this process ignores a signal.
#[allow(unsafe_code, reason = "how a signal is handled is asked by a C call")]
pub(crate) fn is_ignored(signal: c_int) -> bool {
    // SAFETY: an all-zero `sigaction` is a valid one; the call gets a pointer to it, and
    // changes nothing but that.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        let asked = libc::sigaction(signal, std::ptr::null(), &raw mut action);
        asked == 0 && action.sa_sigaction == libc::SIG_IGN
    }
}

#[allow(unsafe_code, reason = "only such C calls are allowed in a signal handler")]
extern "C" fn on_fault(signal: c_int, info: *mut libc::siginfo_t, _context: *mut c_void) {
    if ARMED.load(Ordering::SeqCst) > 0 && !is_forked() && !TOLD.load(Ordering::SeqCst) {
        let mut line = Line::new();
        if last_words(signal, &mut line).is_ok() && !TOLD.swap(true, Ordering::SeqCst) {
            line.write();
        }
    }
    for ((other, _), before) in FAULTS.iter().zip(&BEFORE) {
        let Some(before) = before.get() else { continue };
        // SAFETY: the action is one that was in force before. `info` is valid while the
        // handler runs, as SA_SIGINFO promises. A fault of the processor happens again
        // when this returns, with all that belongs to it (Rust looks at the address to
        // tell an overflow); one that was sent is sent again, and is pending until then.
        unsafe {
            libc::sigaction(*other, before, std::ptr::null_mut());
            if *other == signal && (*info).si_code <= 0 {
                libc::raise(signal);
            }
        }
    }
}

/// Says which task the calling thread runs, and what happens to it. An error if it runs
/// none.
fn last_words(signal: c_int, line: &mut Line) -> fmt::Result {
    current::task().ok_or(fmt::Error)?;
    let what = FAULTS.iter().find(|(fault, _)| *fault == signal).map_or("a signal", |(_, what)| what);
    line.write_str("distwq: ")?;
    rank_and_host(line)?;
    line.write_str(" ends the run: ")?;
    current::write_name(line)?;
    writeln!(line, " ends its process: {what}")
}

/// A line that is put together without an allocation: a handler runs on a small stack,
/// and in the middle of anything.
struct Line {
    bytes: [u8; Self::BYTES_MAX],
    used: usize,
}

impl Line {
    const BYTES_MAX: usize = 512;

    const fn new() -> Self {
        Self { bytes: [0; Self::BYTES_MAX], used: 0 }
    }

    /// Writes it to standard error in one piece.
    #[allow(unsafe_code, reason = "only such C calls are allowed in a signal handler")]
    fn write(&self) {
        // SAFETY: the pointer and the length are those of an array and of the part of it
        // that is used.
        unsafe {
            libc::write(libc::STDERR_FILENO, self.bytes.as_ptr().cast(), self.used);
        }
    }
}

impl fmt::Write for Line {
    /// What does not fit is left out, but for the end of the line.
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let room = Self::BYTES_MAX - 1 - self.used;
        let fits = text.len().min(room);
        self.bytes[self.used..self.used + fits].copy_from_slice(&text.as_bytes()[..fits]);
        self.used += fits;
        if fits < text.len() && text.ends_with('\n') {
            self.bytes[self.used] = b'\n';
            self.used += 1;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::{Rank, TaskId};
    use crate::task::current::Description;

    fn text(line: &Line) -> &str {
        std::str::from_utf8(&line.bytes[..line.used]).expect("it is text")
    }

    #[test]
    fn last_words_name_the_task_its_label_its_attempt_and_its_rank() {
        let mut line = Line::new();
        assert!(last_words(libc::SIGFPE, &mut line).is_err(), "this thread runs no task");
        current::set_rank(Rank(3));
        current::set(Some((TaskId::new(9, u32::MAX), "model::solve")));
        let mut line = Line::new();
        last_words(libc::SIGFPE, &mut line).expect("it fits");
        let (start, end) = text(&line).split_once(" ends the run: ").expect("it says what it does");
        assert!(start.starts_with("distwq: rank 3 (host "), "{start}");
        assert_eq!(end, "task model::solve #4294967295 ends its process: an arithmetic fault (SIGFPE)\n");

        current::describe(Description::new(Some("step 7"), 2));
        let mut line = Line::new();
        last_words(libc::SIGABRT, &mut line).expect("it fits");
        let told = "task model::solve #4294967295 \"step 7\" (attempt 2) ends its process: it aborts (SIGABRT)\n";
        assert!(text(&line).ends_with(told), "{}", text(&line));
    }

    #[test]
    fn a_line_that_is_too_long_is_cut_and_ends() {
        let mut line = Line::new();
        for _ in 0..100 {
            line.write_str("0123456789").expect("it never fails");
        }
        writeln!(line, " end").expect("it never fails");
        assert_eq!(line.used, Line::BYTES_MAX);
        assert!(text(&line).ends_with("\n") && !text(&line).contains("end"));
    }
}
