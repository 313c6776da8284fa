//! The watcher of a rank: drives while nobody does, because all threads of the rank
//! compute.

use super::backoff::{Backoff, Core, Step};
use super::engine::{Engine, Turn};
use super::{Driver, Nap, State, drop_catching_panics};
use crate::machine::Garbage;
use crate::runtime::clock::now_ns;
use parking_lot::MutexGuard;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// How a watcher attends to what arrives.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Attention {
    /// The controller's: workers wait for its answers. It takes a turn at each ring and
    /// stays awake between those that follow each other closely.
    Prompt,
    /// A worker's: what comes can wait for a moment, and the core is the executors'. It
    /// takes one turn a millisecond.
    Sparing,
}

impl Attention {
    /// For how long the watcher leaves turns to others, at first, when they take some,
    /// and after a turn that it took for a thread of its own rank. So it is woken a few
    /// times in a burst, not once a task.
    fn nap_min(self) -> Duration {
        match self {
            Self::Prompt => Duration::from_micros(250),
            Self::Sparing => Duration::from_millis(1),
        }
    }
}

/// For how long while others go on to take turns. A busy rank goes without a turn for as
/// long, or twice if the others stop in the middle of it. Workers are handed out tasks
/// for as long (`prefetch_ns` of the scheduler's settings).
const NAP_MAX: Duration = Duration::from_millis(2);

/// While it listens to the bell it looks no more often than that by itself.
const LOOK_EVERY_MIN: Duration = Duration::from_millis(2);

/// A watcher that was rung within this time stays awake for as long after its next turns:
/// waking a thread takes tens of microseconds, much beside a task of a millisecond.
/// (KVM's halt polling does the same for virtual processors.)
const AWAKE_MAX: Duration = Duration::from_millis(2);

/// A yield that takes longer has lent the core to a thread that computes. To sleep is
/// better then: a thread that wakes is given the core at once, one that yields gets it
/// when the other's time slice is over.
const YIELD_MAX: Duration = Duration::from_micros(200);

/// For this long after such a yield the watcher stays awake only for what it was rung for
/// and has not seen yet.
const CORE_WANTED_FOR: Duration = Duration::from_millis(100);

impl<E: Engine> Driver<E> {
    /// The watcher's life, on a thread of its own, until [`end_watch`](Self::end_watch).
    /// What users' values are garbage is dropped on another thread, with a stack of
    /// `stack_bytes`, so that a slow `Drop` does not stop the watcher.
    ///
    /// It sleeps without a timeout while the rank has nothing to do or somebody drives,
    /// and is woken by a thread that leaves the engine of a busy rank without a driver.
    /// While others take turns it only looks now and then whether they still do. When
    /// they do not, it drives.
    pub(crate) fn watch(&self, attention: Attention, stack_bytes: usize) {
        *self.watcher.thread.lock() = Some(thread::current());
        let mut dropper = Dropper::new(stack_bytes);
        let mut nap = attention.nap_min();
        let mut longer = nap;
        let mut seen = (0, 0);
        while !self.has_watch_ended() {
            thread::park_timeout(nap);
            let mut state = self.state.lock();
            dropper.take(&mut state);
            let turns = state.turns_of_others();
            if std::mem::replace(&mut seen, turns) != turns {
                nap = longer;
                longer = (longer * 2).min(NAP_MAX);
                continue;
            }
            (nap, longer) = (attention.nap_min(), attention.nap_min());
            if state.driven || !state.is_busy() {
                self.park(state);
                continue;
            }
            self.attend(&mut state, attention, &mut dropper);
            seen = state.turns_of_others();
            self.unlock(state);
        }
        dropper.take(&mut self.state.lock());
    }

    /// Drives until somebody else does or takes turns, the rank has nothing to do, or a
    /// thread of it has left something to send: it may leave more in the next moment.
    fn attend(&self, state: &mut MutexGuard<'_, State<E>>, attention: Attention, dropper: &mut Dropper) {
        let mut awake = Awake::default();
        let mut backoff = Backoff::new(self.patience);
        let mut listener = None;
        let in_passing = state.engine.turns_in_passing();
        while !state.driven && state.engine.turns_in_passing() == in_passing && !self.has_watch_ended() {
            let turn = state.turn(backoff.time());
            dropper.take(state);
            if state.has_calls() {
                self.call(state);
                continue;
            }
            if !state.is_busy() {
                return;
            }
            awake.after(turn);
            backoff.after(turn);
            backoff.set_yielding(awake.window());
            let step = backoff.step(Core::Wanted);
            if !matches!(step, Step::Nap(_)) {
                listener = None;
            }
            match step {
                // What is on its way to or from another rank takes its time.
                Step::Again if turn == Turn::Moving => MutexGuard::unlocked(state, thread::yield_now),
                Step::Again | Step::Spin => MutexGuard::bump(state),
                Step::Yield => MutexGuard::unlocked(state, || awake.yields()),
                Step::Nap(nap) => {
                    let nap = state.nap_max(nap.max(LOOK_EVERY_MIN));
                    let nap = self.nap(state, &mut listener, nap, |state| &mut state.watcher_naps);
                    let Nap::Rung { from_outside } = nap else { continue };
                    if attention == Attention::Sparing || !from_outside {
                        if !state.driven {
                            state.turn(now_ns());
                            dropper.take(state);
                        }
                        return;
                    }
                    awake.rung_after(backoff.idle());
                    backoff.rung();
                }
            }
        }
    }

    fn park(&self, state: MutexGuard<'_, State<E>>) {
        self.watcher.parked.store(true, Ordering::Release);
        drop(state);
        while self.is_watcher_parked() && !self.has_watch_ended() {
            thread::park();
        }
    }

    pub(super) fn is_watcher_parked(&self) -> bool {
        self.watcher.parked.load(Ordering::Acquire)
    }

    fn has_watch_ended(&self) -> bool {
        self.watcher.ended.load(Ordering::Acquire)
    }

    pub(super) fn wake_watcher(&self) {
        if self.watcher.parked.swap(false, Ordering::AcqRel)
            && let Some(thread) = &*self.watcher.thread.lock()
        {
            thread.unpark();
        }
    }

    /// Ends [`watch`](Self::watch).
    pub(crate) fn end_watch(&self) {
        self.watcher.ended.store(true, Ordering::Release);
        self.watcher.parked.store(false, Ordering::Release);
        if let Some(thread) = &*self.watcher.thread.lock() {
            thread.unpark();
        }
        self.bell.ring();
    }
}

/// For how long a watcher stays awake after a turn.
#[derive(Default)]
struct Awake {
    /// What it waited for last came soon.
    soon: bool,
    /// It was rung for something that it has not seen yet: MPI may deliver late.
    rung: bool,
    core_wanted_until: Option<Instant>,
}

impl Awake {
    fn window(&self) -> Duration {
        if self.soon || self.rung { AWAKE_MAX } else { Duration::ZERO }
    }

    fn after(&mut self, turn: Turn) {
        self.rung &= turn != Turn::Worked;
    }

    fn rung_after(&mut self, idle: Duration) {
        let core_is_free = self.core_wanted_until.is_none_or(|until| Instant::now() >= until);
        self.soon = core_is_free && idle < AWAKE_MAX;
        self.rung = true;
    }

    fn yields(&mut self) {
        let begun = Instant::now();
        thread::yield_now();
        let now = Instant::now();
        if now - begun > YIELD_MAX {
            self.soon = false;
            self.core_wanted_until = Some(now + CORE_WANTED_FOR);
        }
    }
}

/// Drops users' values for the watcher, on a thread that is started when there are some.
struct Dropper {
    stack_bytes: usize,
    thread: Option<(Sender<Garbage>, JoinHandle<()>)>,
}

impl Dropper {
    fn new(stack_bytes: usize) -> Self {
        Self { stack_bytes, thread: None }
    }

    /// Takes what is garbage. If no thread can be started it stays where it is, for an
    /// executor.
    fn take<E: Engine>(&mut self, state: &mut State<E>) {
        if !state.engine.has_garbage() {
            return;
        }
        if self.thread.is_none() {
            let (sender, receiver) = channel();
            let thread = thread::Builder::new().name("distwq-drops".to_owned()).stack_size(self.stack_bytes);
            let started = thread.spawn(move || receiver.into_iter().for_each(drop_catching_panics));
            self.thread = started.ok().map(|thread| (sender, thread));
        }
        if let Some((sender, _)) = &self.thread {
            // It ends with the sender only.
            let _ = sender.send(state.engine.take_garbage());
        }
    }
}

impl Drop for Dropper {
    /// Returns when all has been dropped: the shutdown grace bounds a `Drop` of a user
    /// that does not return.
    fn drop(&mut self) {
        if let Some((sender, thread)) = self.thread.take() {
            drop(sender);
            // A panic in a `Drop` is caught there.
            let _ = thread.join();
        }
    }
}
