//! Whether the watcher sleeps.

use parking_lot::Mutex;
use std::sync::atomic::AtomicBool;
use std::thread::Thread;

/// What others need to know of the watcher.
#[derive(Default)]
pub(super) struct Watcher {
    /// It sleeps until it is woken: nothing is to be done, or somebody drives.
    pub(super) parked: AtomicBool,
    pub(super) ended: AtomicBool,
    pub(super) thread: Mutex<Option<Thread>>,
}
