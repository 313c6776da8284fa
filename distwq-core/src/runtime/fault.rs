//! The last words of a rank: what cannot be repaired ends the whole run, saying what is
//! known. The one module of the library that writes to standard error, but for the bars
//! of `api/progress.rs`.

mod exit;
mod signal;

pub(crate) use exit::{
    LOOK, OTHERS_LIMIT, abort, allow_exits, end_others, end_process, exit_with_others, finalize, forbid_exits,
    is_one_of_several, yield_to_exit,
};

pub(crate) use signal::is_ignored;

use crate::codec::CodecError;
use crate::id::Rank;
use crate::task::current;
use crate::transport::Transport;
use rustix::io::retry_on_intr;
use std::ffi::c_int;
use std::fmt;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::sync::{Once, OnceLock};

/// The exit code of a run that was ended: `EX_SOFTWARE` of sysexits.
pub(crate) const EXIT_CODE: i32 = 70;

/// Says something on standard error, in the name of distwq. Tests do not capture it: the
/// macros that they capture panic where standard error is closed.
pub(crate) fn say(text: &str) {
    // In one piece: what other ranks say at the same time would come in between.
    let line = format!("distwq: {text}\n");
    // Not by way of Rust's lock: a thread that waits for something that never comes now
    // may hold it.
    let mut rest = line.as_bytes();
    while !rest.is_empty() {
        match retry_on_intr(|| rustix::io::write(rustix::stdio::stderr(), rest)) {
            Ok(written) => rest = &rest[written..],
            // Where nobody listens any more, nothing is to be said.
            Err(_) => return,
        }
    }
}

/// Ends all ranks.
pub(crate) fn end_run(transport: &mut dyn Transport, text: &str) -> ! {
    say(&format!("{} (host {}) ends the run: {text}", transport.rank(), host()));
    ARMED.store(0, Ordering::SeqCst);
    transport.abort(EXIT_CODE)
}

/// Why a run ends that lacks a thread.
pub(crate) fn no_thread(which: &str, error: &std::io::Error) -> String {
    format!(
        "the thread {which} cannot be started: {error}; use fewer workers or slots or smaller stacks \
         (DISTWQ_STACK_BYTES), or allow more threads (`ulimit -u`)"
    )
}

/// A frame that does not decode: the ranks do not speak the same protocol, or memory is
/// damaged.
pub(crate) fn unreadable(transport: &mut dyn Transport, from: Rank, error: &CodecError) -> ! {
    end_run(transport, &format!("a frame from {from} cannot be read: {error}"))
}

/// The name of this host.
pub(crate) fn host() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").ok();
    let name = name.or_else(|| std::env::var("HOSTNAME").ok());
    name.map_or_else(|| "unknown".to_owned(), |name| name.trim().to_owned())
}

/// The process of the runs. A child that `fork` makes has all of this too, and is not
/// part of any run.
static PROCESS: AtomicU32 = AtomicU32::new(0);

/// How many runs are under way in this process.
static ARMED: AtomicUsize = AtomicUsize::new(0);

/// The rank that this process is; none if it is several.
static OWN_RANK: OnceLock<Rank> = OnceLock::new();

/// Asked for once: a signal handler cannot read files.
static HOST: OnceLock<String> = OnceLock::new();

/// From here on, a process that ends takes the whole run with it and says in which task
/// it does. `rank` is what the process is, if it is one rank.
pub(crate) fn arm(rank: Option<Rank>) {
    static REGISTERED: Once = Once::new();
    REGISTERED.call_once(|| {
        let _ = HOST.set(host());
        PROCESS.store(std::process::id(), Ordering::SeqCst);
        exit::register();
        signal::tell_faults();
    });
    if let Some(rank) = rank {
        // MPI starts once, so there is one.
        let _ = OWN_RANK.set(rank);
    }
    ARMED.fetch_add(1, Ordering::SeqCst);
}

/// The run has ended in order.
pub(crate) fn disarm() {
    // Another run of this process may have been ended meanwhile, and then none is under
    // way.
    let less = |runs: usize| Some(runs.saturating_sub(1));
    let _ = ARMED.fetch_update(Ordering::SeqCst, Ordering::SeqCst, less);
}

/// Whether a run is under way in this process, and nothing has ended it yet.
pub(crate) fn is_armed() -> bool {
    ARMED.load(Ordering::SeqCst) > 0
}

/// Whether this process only is a child that a process with a run has made by `fork`.
/// Without an allocation or a lock.
fn is_forked() -> bool {
    PROCESS.load(Ordering::SeqCst) != std::process::id()
}

/// How last words name who says them. Without an allocation or a lock.
fn rank_and_host(into: &mut dyn fmt::Write) -> fmt::Result {
    match current::rank().or_else(|| OWN_RANK.get().copied()) {
        Some(rank) => write!(into, "{rank}")?,
        None => into.write_str("the process of all ranks")?,
    }
    write!(into, " (host {})", HOST.get().map_or("unknown", String::as_str))
}

/// Ends this process at once, without what libraries do when a process exits: MPI might
/// wait there.
#[allow(unsafe_code, reason = "leaving without running further handlers is a C call")]
pub(crate) fn exit_at_once(code: c_int) -> ! {
    // SAFETY: `_exit` ends the process at once and runs nothing else.
    unsafe { libc::_exit(code) }
}
