//! Whoever waits, drives. The engine of a rank sits behind one lock; a thread that has to wait for something
//! runs the engine itself until it is there. So a short task runs on the very thread that received it, and a
//! round trip costs no thread switch.
//!
//! At most one thread drives; others who wait sleep until it leaves or until something happened that may concern
//! them. A driver that finds nothing for a while naps until the bell of its rank is rung: by the transport for what
//! arrives, and here by threads of the rank that have been at the engine meanwhile. The lock is never held while a
//! thread sleeps, runs a task or drops a user's value. While nobody drives because all threads of the rank compute,
//! its watcher takes a turn now and then (see [`Drive::watch`]).

use crate::transport::{Bell, Listener};
use parking_lot::{Condvar, Mutex, MutexGuard};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::Thread;
use std::time::{Duration, Instant};

/// The state of a rank, advanced in turns.
pub(crate) trait Engine: Send {
    /// Receives all there is, decides, sends.
    fn turn(&mut self) -> Turn;

    /// Whether turns are needed although nobody waits, because tasks run or messages flow.
    fn is_busy(&self) -> bool;

    /// After how long at most a turn is needed although nobody has rung.
    fn nap_max(&self) -> Duration;

    /// Values of users that have become garbage: taken from here, to be dropped outside the lock.
    fn garbage(&mut self) -> &mut Vec<Box<dyn Send>>;
}

/// What a turn found.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Turn {
    /// Nothing to do.
    Idle,
    /// Nothing new, but something is on its way and wants to be moved on.
    Moving,
    /// Something happened; `wake` if it may concern another thread that waits.
    Worked { wake: bool },
}

/// An engine and the threads around it.
pub(crate) struct Drive<E> {
    state: Mutex<State<E>>,
    /// Something happened that may concern a thread that waits without driving, or nobody drives any more.
    changed: Condvar,
    bell: Arc<Bell>,
    patience: Patience,
    watcher: Watcher,
}

struct State<E> {
    engine: E,
    driven: bool,
    /// The driver naps, and nobody has woken it for what was done here meanwhile.
    naps: bool,
    waiters: usize,
    /// Counts the turns in which something happened.
    worked: u64,
}

impl<E> State<E> {
    /// Whether there is a driver that naps, and has to be woken by the caller: what was done here may need a turn.
    fn take_nap(&mut self) -> bool {
        std::mem::take(&mut self.naps)
    }
}

#[derive(Default)]
struct Watcher {
    parked: AtomicBool,
    ended: AtomicBool,
    thread: Mutex<Option<Thread>>,
}

/// How long a driver that finds nothing spins, and then yields, before it naps.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Patience {
    pub(crate) spin: Duration,
    pub(crate) yielding: Duration,
}

impl Patience {
    /// For a rank on a host where so many threads of this run wait. With more of them than cores, spinning takes the
    /// core from whoever should answer.
    pub(crate) fn among(threads_on_host: usize) -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        // Longer than a round trip takes; past that, yielding costs little and lets others at a core that they share.
        let spin = if threads_on_host > cores { 0 } else { 5 };
        Self { spin: Duration::from_micros(spin), yielding: Duration::from_micros(2_000) }
    }
}

/// A nap is this part of the time without work so far: two ranks that answer each other must not learn to nap from
/// each other's naps, so each nap is short beside what led to it. So is what it costs if a ring comes before the message
/// that it is for can be seen.
const NAP_PART: u32 = 4;
const WATCHER_NAP_MIN: Duration = Duration::from_millis(1);
const WATCHER_NAP_MAX: Duration = Duration::from_millis(8);

impl<E: Engine> Drive<E> {
    pub(crate) fn new(engine: E, bell: Arc<Bell>, patience: Patience) -> Self {
        Self {
            state: Mutex::new(State { engine, driven: false, naps: false, waiters: 0, worked: 0 }),
            changed: Condvar::new(),
            bell,
            patience,
            watcher: Watcher::default(),
        }
    }

    /// Does something with the engine, at once.
    #[inline]
    pub(crate) fn with<R>(&self, action: impl FnOnce(&mut E) -> R) -> R {
        let mut state = self.state.lock();
        let result = action(&mut state.engine);
        self.leave(state);
        result
    }

    /// Does something with the engine if nobody else does at this moment, this thread included.
    pub(crate) fn try_with(&self, action: impl FnOnce(&mut E)) {
        if let Some(mut state) = self.state.try_lock() {
            action(&mut state.engine);
            self.leave(state);
        }
    }

    /// Drives until `check` gives something. Its answer must come in the end: the caller names why.
    pub(crate) fn wait<R>(&self, check: impl FnMut(&mut E) -> Option<R>) -> R {
        self.wait_until(None, check).expect("without a deadline a wait ends with an answer")
    }

    /// Drives until `check` gives something, or until `deadline`.
    pub(crate) fn wait_until<R>(
        &self,
        deadline: Option<Instant>,
        mut check: impl FnMut(&mut E) -> Option<R>,
    ) -> Option<R> {
        let mut state = self.state.lock();
        let mut drives = false;
        let mut backoff = Backoff::new(self.patience);
        let mut listener = None;
        loop {
            let mut found = check(&mut state.engine);
            if found.is_none() && (drives || !state.driven) {
                drives = true;
                state.driven = true;
                let turn = state.engine.turn();
                if let Turn::Worked { wake } = turn {
                    state.worked += 1;
                    if wake && state.waiters > 0 {
                        self.changed.notify_all();
                    }
                }
                found = check(&mut state.engine);
                if found.is_none() && !is_past(deadline) {
                    backoff.after(turn);
                    // Others may have been at the engine while garbage was dropped: they are seen before a nap.
                    if !self.drop_garbage(&mut state) {
                        self.pause(&mut state, &mut backoff, &mut listener, deadline);
                    }
                    continue;
                }
            }
            if found.is_some() || is_past(deadline) {
                if drives {
                    state.driven = false;
                }
                // Also one who was woken to drive, and did not have to, passes that on.
                if !state.driven && state.waiters > 0 {
                    self.changed.notify_one();
                }
                self.leave(state);
                return found;
            }
            state.waiters += 1;
            // What this thread has left at the engine may have to go out.
            if state.take_nap() {
                self.bell.ring();
            }
            match deadline {
                Some(deadline) => {
                    self.changed.wait_until(&mut state, deadline);
                }
                None => self.changed.wait(&mut state),
            }
            state.waiters -= 1;
        }
    }

    /// Lets others at the lock, and passes the time if there is nothing to do. Before a nap it only announces it, so
    /// that there is one more turn which sees what was not rung for. From that turn to the nap the lock is held.
    fn pause<'a>(
        &'a self,
        state: &mut MutexGuard<'_, State<E>>,
        backoff: &mut Backoff,
        listener: &mut Option<Listener<'a>>,
        deadline: Option<Instant>,
    ) {
        let step = backoff.step();
        if !matches!(step, Step::Nap(_)) {
            *listener = None;
        }
        match step {
            Step::Again => MutexGuard::bump(state),
            Step::Spin => {
                MutexGuard::bump(state);
                std::hint::spin_loop();
            }
            Step::Yield => MutexGuard::unlocked(state, std::thread::yield_now),
            Step::Nap(nap) => {
                let Some(announced) = listener else {
                    *listener = Some(self.bell.listen());
                    return MutexGuard::bump(state);
                };
                let nap = nap.min(state.engine.nap_max());
                let left = deadline.map_or(nap, |at| at.saturating_duration_since(Instant::now()));
                state.naps = true;
                let rung = MutexGuard::unlocked(state, || announced.sleep(nap.min(left)));
                let from_outside = state.take_nap();
                if rung {
                    // Awake it need not be rung for.
                    *listener = None;
                    if from_outside {
                        backoff.rung();
                    }
                }
            }
        }
    }

    /// Drops what users' values are garbage, unlocked and with their panics caught. Says whether there was any.
    fn drop_garbage(&self, state: &mut MutexGuard<'_, State<E>>) -> bool {
        let garbage = take_some(state.engine.garbage());
        let any = garbage.is_some();
        if let Some(garbage) = garbage {
            MutexGuard::unlocked(state, || drop_quietly(garbage));
        }
        any
    }

    /// Wakes all who wait here, asleep or not: what they wait for may have become impossible.
    pub(crate) fn wake_all(&self) {
        let naps = self.state.lock().take_nap();
        if naps {
            self.bell.ring();
        }
        self.changed.notify_all();
    }

    /// Unlocks; wakes the driver if it naps, and the watcher if the rank is busy and it sleeps.
    #[inline]
    fn leave(&self, mut state: MutexGuard<'_, State<E>>) {
        let unwatched = !state.driven && self.watcher.parked.load(Ordering::Relaxed);
        if unwatched || state.naps || !state.engine.garbage().is_empty() {
            self.leave_with(state);
        }
    }

    fn leave_with(&self, mut state: MutexGuard<'_, State<E>>) {
        let naps = state.take_nap();
        let garbage = take_some(state.engine.garbage());
        let unwatched = !state.driven && self.watcher.parked.load(Ordering::Relaxed) && state.engine.is_busy();
        drop(state);
        if naps {
            self.bell.ring();
        }
        if let Some(garbage) = garbage {
            drop_quietly(garbage);
        }
        if unwatched {
            self.wake_watcher();
        }
    }

    fn wake_watcher(&self) {
        if self.watcher.parked.swap(false, Ordering::AcqRel)
            && let Some(thread) = &*self.watcher.thread.lock()
        {
            thread.unpark();
        }
    }

    /// The watcher's life, on a thread of its own, until [`end_watch`](Self::end_watch). It takes a turn when a
    /// nap went by in which nobody took one although the rank is busy. Its naps grow while others take turns; it
    /// sleeps for good while the rank is idle, and is woken when a thread leaves the engine of a busy rank, which
    /// is once a burst and not once a task.
    pub(crate) fn watch(&self) {
        *self.watcher.thread.lock() = Some(std::thread::current());
        let mut nap = WATCHER_NAP_MIN;
        let mut seen = 0;
        while !self.watcher.ended.load(Ordering::Acquire) {
            std::thread::park_timeout(nap);
            let mut state = self.state.lock();
            let quiet = state.worked == seen;
            if state.driven || !quiet {
                seen = state.worked;
                nap = (nap * 2).min(WATCHER_NAP_MAX);
                if quiet {
                    // Somebody drives and nothing flows: whoever leaves the engine busy wakes this thread.
                    self.park(state);
                }
                continue;
            }
            if !state.engine.is_busy() {
                self.park(state);
                nap = WATCHER_NAP_MIN;
                continue;
            }
            nap = self.take_over(&mut state, nap);
            seen = state.worked;
            self.leave(state);
        }
    }

    /// Takes turns until there is nothing left to do, and says how long to nap then.
    fn take_over(&self, state: &mut MutexGuard<'_, State<E>>, nap: Duration) -> Duration {
        let mut next = (nap * 2).min(WATCHER_NAP_MAX);
        while !state.driven {
            match state.engine.turn() {
                Turn::Idle => break,
                Turn::Moving => MutexGuard::unlocked(state, std::thread::yield_now),
                Turn::Worked { wake } => {
                    state.worked += 1;
                    if wake && state.waiters > 0 {
                        self.changed.notify_all();
                    }
                    MutexGuard::bump(state);
                }
            }
            next = WATCHER_NAP_MIN;
        }
        next
    }

    fn park(&self, state: MutexGuard<'_, State<E>>) {
        self.watcher.parked.store(true, Ordering::Release);
        drop(state);
        while self.watcher.parked.load(Ordering::Acquire) && !self.watcher.ended.load(Ordering::Acquire) {
            std::thread::park();
        }
    }

    /// Ends [`watch`](Self::watch).
    pub(crate) fn end_watch(&self) {
        self.watcher.ended.store(true, Ordering::Release);
        self.watcher.parked.store(false, Ordering::Release);
        if let Some(thread) = &*self.watcher.thread.lock() {
            thread.unpark();
        }
    }
}

/// What there is, if there is something: most of the time there is not.
fn take_some(garbage: &mut Vec<Box<dyn Send>>) -> Option<Vec<Box<dyn Send>>> {
    (!garbage.is_empty()).then(|| std::mem::take(garbage))
}

/// Drops values of users; a panic in a `Drop` ends with that value.
fn drop_quietly(garbage: Vec<Box<dyn Send>>) {
    for value in garbage {
        crate::contain::quietly(move || drop(value));
    }
}

fn is_past(deadline: Option<Instant>) -> bool {
    deadline.is_some_and(|deadline| Instant::now() >= deadline)
}

/// What a driver does between two turns.
enum Step {
    Again,
    Spin,
    Yield,
    Nap(Duration),
}

/// Spins first, then yields, then naps, longer and longer.
struct Backoff {
    patience: Patience,
    idle_since: Option<Instant>,
    turns: u32,
}

impl Backoff {
    fn new(patience: Patience) -> Self {
        Self { patience, idle_since: None, turns: 0 }
    }

    fn after(&mut self, turn: Turn) {
        match turn {
            Turn::Idle => self.turns = self.turns.wrapping_add(1),
            Turn::Moving | Turn::Worked { .. } => {
                self.idle_since = None;
                self.turns = 0;
            }
        }
    }

    /// Somebody has brought something that may not be seen yet: it is worth staying awake for a while.
    fn rung(&mut self) {
        self.idle_since = None;
    }

    fn step(&mut self) -> Step {
        if self.turns == 0 {
            // Something moves: at once again, but with more threads than cores the other side needs the core.
            return if self.patience.spin.is_zero() { Step::Yield } else { Step::Again };
        }
        let since = *self.idle_since.get_or_insert_with(Instant::now);
        let idle = since.elapsed();
        if idle < self.patience.spin {
            Step::Spin
        } else if idle < self.patience.yielding {
            Step::Yield
        } else {
            Step::Nap(idle / NAP_PART)
        }
    }
}
