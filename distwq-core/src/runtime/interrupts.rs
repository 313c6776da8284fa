//! Signals that ask a program to end: SIGINT, as from Ctrl-C, and SIGTERM, as from a
//! batch system. The first of them is told to the runs of this process, the second ends
//! these with all their ranks. One that the process ignores when the first run begins
//! stays ignored: whoever has started it wants that, as a shell does for SIGINT of what
//! it runs in the background.

use super::fault;
use parking_lot::Mutex;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use signal_hook::low_level;
use std::ffi::c_int;
use std::sync::Once;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

/// What a run does at the first signal, given its name.
type First = Box<dyn FnOnce(&'static str) + Send>;

/// The runs that handle signals, each with what it does at the first one, until then.
static RUNS: Mutex<Vec<(u64, Option<First>)>> = Mutex::new(Vec::new());

/// A run that handles signals, until it is dropped.
#[derive(Debug)]
pub(crate) struct Interrupts {
    run: u64,
}

impl Interrupts {
    /// From here on the first signal calls `first`, on a thread of its own, and the
    /// second ends all ranks.
    pub(crate) fn handle(first: impl FnOnce(&'static str) + Send + 'static) -> Self {
        static STARTED: Once = Once::new();
        static RUN: AtomicU64 = AtomicU64::new(0);
        let run = RUN.fetch_add(1, Ordering::Relaxed);
        RUNS.lock().push((run, Some(Box::new(first))));
        STARTED.call_once(start);
        Self { run }
    }
}

impl Drop for Interrupts {
    fn drop(&mut self) {
        RUNS.lock().retain(|(run, _)| *run != self.run);
    }
}

/// Starts the thread that signals are told to. Without it they end the process.
fn start() {
    let wanted = [SIGINT, SIGTERM].into_iter().filter(|signal| !fault::is_ignored(*signal));
    let started = Signals::new(wanted).and_then(|mut signals| {
        let serve = move || signals.forever().for_each(has_come);
        thread::Builder::new().name("distwq-signals".to_owned()).spawn(serve)
    });
    if let Err(error) = started {
        fault::say(&format!("SIGINT and SIGTERM are not handled, and end this process: {error}"));
    }
}

/// A signal has come.
fn has_come(signal: c_int) {
    let name = low_level::signal_name(signal).unwrap_or("a signal");
    let (runs, firsts) = {
        let mut runs = RUNS.lock();
        let firsts: Vec<First> = runs.iter_mut().filter_map(|(_, first)| first.take()).collect();
        (runs.len(), firsts)
    };
    if runs == 0 {
        // As if nobody had ever asked for it.
        let _ = low_level::emulate_default_handler(signal);
    } else if firsts.is_empty() {
        fault::abort(128 + signal, &format!("{name} has come, and not for the first time"));
    }
    for first in firsts {
        // It may have to wait for a lock; the second signal must not wait for that.
        let called = thread::Builder::new().name("distwq-interrupt".to_owned()).spawn(move || first(name));
        if let Err(error) = called {
            fault::say(&format!("{name} changes nothing: {}", fault::no_thread("that cancels all tasks", &error)));
        }
    }
}
