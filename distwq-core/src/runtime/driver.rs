//! Whoever waits, drives. The engine of a rank sits behind one lock; a thread that has to
//! wait for something runs the engine itself until it is there. So a short task runs on
//! the very thread that received it, and a round trip costs no thread switch.
//!
//! At most one thread drives; others who wait sleep until what they wait for has
//! happened, or until the driver leaves and one of them has to take over. A driver that
//! finds nothing for a while naps until the bell of its rank is rung: by the transport
//! for what arrives, and here by threads of the rank that have been at the engine
//! meanwhile. The lock is never held while a thread sleeps, runs a task or drops a user's
//! value, and nobody drives who drops one. While nobody drives because all threads of the
//! rank compute, its watcher does (see [`Driver::watch`]).

mod backoff;
mod engine;
mod parking;
mod waiters;
mod watcher;

pub(crate) use backoff::Patience;
pub(crate) use engine::{Awaited, Engine, Turn, send_all};
pub(crate) use waiters::Waiters;
pub(crate) use watcher::Attention;

use super::clock::now_ns;
use super::observer;
use crate::machine::{Garbage, Ns};
use crate::transport::{Doorbell, Listener};
use backoff::{Backoff, Core, Step};
use parking::Watcher;
use parking_lot::{Mutex, MutexGuard};
use std::sync::Arc;
use std::task::Waker;
use std::time::{Duration, Instant};

/// How a nap went.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Nap {
    /// It is the next step: a turn comes first.
    Announced,
    /// Nobody has rung.
    Over,
    /// The bell was rung, by another rank or by a thread of this one.
    Rung { from_outside: bool },
}

/// An engine and the threads around it.
pub(crate) struct Driver<E: Engine> {
    state: Mutex<State<E>>,
    bell: Arc<Doorbell>,
    patience: Patience,
    watcher: Watcher,
}

struct State<E: Engine> {
    engine: E,
    driven: bool,
    /// The driver naps, and nobody has woken it for what was done here meanwhile.
    naps: bool,
    /// The same of the watcher.
    watcher_naps: bool,
    /// Threads that run code of users, and would drive instead.
    away: u32,
    waiters: Waiters<E::Awaited>,
    /// Counts the turns of drivers in which something happened.
    worked: u64,
    /// Whether the last driver that yielded has found somebody who wants the core.
    core: Core,
}

impl<E: Engine> State<E> {
    /// Takes a turn, and wakes the threads that wait for what has happened in it.
    fn turn(&mut self, now: Ns) -> Turn {
        let turn = self.engine.turn(now);
        if turn == Turn::Worked {
            self.worked += 1;
            self.engine.wake(&mut self.waiters);
        }
        turn
    }

    /// Whether turns are needed although nobody drives.
    fn is_busy(&self) -> bool {
        let engine = &self.engine;
        engine.is_busy() || engine.has_unsent() || self.away > 0 || engine.next_deadline().is_some()
    }

    /// For how long a thread may nap, if it would for `nap`.
    fn nap_max(&self, nap: Duration) -> Duration {
        let left = |deadline: Ns| Duration::from_nanos(deadline.saturating_sub(now_ns()));
        let nap = nap.min(self.engine.nap_max());
        self.engine.next_deadline().map_or(nap, |deadline| nap.min(left(deadline)))
    }

    /// Whether there is something to call that is users' code.
    fn has_calls(&self) -> bool {
        self.engine.has_notices() || self.waiters.has_due()
    }

    /// Takes it, to be called unlocked.
    fn take_calls(&mut self) -> impl FnOnce() + use<E> {
        let (notices, wakers) = (self.engine.take_notices(), self.waiters.take_due());
        move || {
            observer::tell(notices);
            for waker in wakers {
                crate::panics::discarded(move || waker.wake());
            }
        }
    }

    /// Counts what others did, to tell whether they go on.
    fn turns_of_others(&self) -> (u64, u64) {
        (self.worked, self.engine.turns_in_passing())
    }

    /// Whether there is a driver that naps, and has to be woken by the caller: what was
    /// done here may need a turn.
    fn take_nap(&mut self) -> bool {
        std::mem::take(&mut self.naps)
    }

    /// The same of the watcher, which is woken only if there is something to send: nobody
    /// waits for the rest.
    fn take_watchers_nap(&mut self) -> bool {
        self.watcher_naps && self.engine.has_unsent() && std::mem::take(&mut self.watcher_naps)
    }
}

impl<E: Engine> Driver<E> {
    pub(crate) fn new(engine: E, bell: Arc<Doorbell>, patience: Patience) -> Self {
        let state = State {
            engine,
            driven: false,
            naps: false,
            watcher_naps: false,
            away: 0,
            waiters: Waiters::default(),
            worked: 0,
            core: Core::default(),
        };
        Self { state: Mutex::new(state), bell, patience, watcher: Watcher::default() }
    }

    /// Does something with the engine, at once.
    #[inline]
    pub(crate) fn with<R>(&self, action: impl FnOnce(&mut E) -> R) -> R {
        let mut state = self.state.lock();
        let result = action(&mut state.engine);
        self.unlock(state);
        result
    }

    /// Does the last thing with the engine, and drops on this thread what users' values
    /// are garbage then.
    pub(crate) fn end(&self, action: impl FnOnce(&mut E)) {
        let mut state = self.state.lock();
        action(&mut state.engine);
        self.drop_garbage(&mut state);
        self.unlock(state);
    }

    /// Does something with the engine if nobody else does at this moment, this thread
    /// included.
    pub(crate) fn try_with(&self, action: impl FnOnce(&mut E)) {
        if let Some(mut state) = self.state.try_lock() {
            action(&mut state.engine);
            self.unlock(state);
        }
    }

    /// Drives until `check` gives something. Its answer must come in the end: the caller
    /// names why. What may change it is what `awaited` names.
    pub(crate) fn wait<R>(&self, awaited: E::Awaited, check: impl FnMut(&mut E) -> Option<R>) -> R {
        self.wait_until(awaited, None, check).expect("without a deadline a wait ends with an answer")
    }

    /// Drives until `check` gives something, or until `deadline`.
    pub(crate) fn wait_until<R>(
        &self,
        awaited: E::Awaited,
        deadline: Option<Instant>,
        mut check: impl FnMut(&mut E) -> Option<R>,
    ) -> Option<R> {
        let mut state = self.state.lock();
        let mut drives = false;
        let mut backoff = Backoff::new(self.patience);
        let mut listener = None;
        // Whether something has happened in the last turn that nobody has looked at.
        let mut has_worked = false;
        loop {
            let found = check(&mut state.engine);
            if found.is_some() || is_past(deadline) {
                if drives {
                    state.driven = false;
                }
                // Also one who was woken to drive, and did not have to, passes that on.
                if !state.driven {
                    state.waiters.appoint();
                }
                self.unlock(state);
                return found;
            }
            if state.driven && !drives {
                self.sleep(&mut state, awaited, deadline);
                continue;
            }
            if !std::mem::take(&mut has_worked) {
                (drives, state.driven) = (true, true);
                let turn = state.turn(backoff.time());
                backoff.after(turn);
                if state.has_calls() {
                    drives = false;
                    self.call(&mut state);
                    continue;
                }
                has_worked = turn == Turn::Worked;
                if has_worked {
                    continue;
                }
            }
            match state.engine.has_garbage() {
                true if awaited.may_drop_values() => {
                    drives = false;
                    self.drop_garbage(&mut state);
                    continue;
                }
                true => self.wake_watcher(),
                false => {}
            }
            self.pause(&mut state, &mut backoff, &mut listener, deadline);
        }
    }

    /// Gives what `check` finds. If that is nothing, `waker` is woken when `awaited` has
    /// happened.
    pub(crate) fn poll<R>(
        &self,
        awaited: E::Awaited,
        waker: &Waker,
        check: impl FnOnce(&mut E) -> Option<R>,
    ) -> Option<R> {
        // To clone it is users' code.
        let waker = waker.clone();
        let mut state = self.state.lock();
        let found = check(&mut state.engine);
        if found.is_none() {
            state.waiters.add_waker(awaited, waker);
        }
        self.unlock(state);
        found
    }

    /// Tells observers what they are to know, and wakes futures.
    fn call(&self, state: &mut MutexGuard<'_, State<E>>) {
        let calls = state.take_calls();
        self.run_code_of_users(state, calls);
    }

    /// Waits until it is woken, or until `deadline`.
    fn sleep(&self, state: &mut MutexGuard<'_, State<E>>, awaited: E::Awaited, deadline: Option<Instant>) {
        // What this thread has left at the engine may have to go out.
        if state.take_nap() {
            self.bell.ring();
        }
        let (ticket, woken) = state.waiters.add(awaited);
        while state.waiters.is_asleep(ticket) {
            match deadline {
                None => woken.wait(state),
                Some(deadline) => {
                    if woken.wait_until(state, deadline).timed_out() {
                        break;
                    }
                }
            }
        }
        state.waiters.remove(ticket);
    }

    /// Lets others at the lock, and passes the time if there is nothing to do.
    fn pause<'a>(
        &'a self,
        state: &mut MutexGuard<'_, State<E>>,
        backoff: &mut Backoff,
        listener: &mut Option<Listener<'a>>,
        deadline: Option<Instant>,
    ) {
        let step = backoff.step(state.core);
        if !matches!(step, Step::Nap(_)) {
            *listener = None;
        }
        match step {
            Step::Again => MutexGuard::bump(state),
            Step::Spin => {
                MutexGuard::bump(state);
                std::hint::spin_loop();
            }
            Step::Yield => state.core = MutexGuard::unlocked(state, Core::yields),
            Step::Nap(nap) => {
                let nap = state.nap_max(nap);
                let left = deadline.map_or(nap, |at| at.saturating_duration_since(Instant::now()));
                match self.nap(state, listener, nap.min(left), |state| &mut state.naps) {
                    Nap::Rung { from_outside: true } => backoff.rung(),
                    Nap::Rung { from_outside: false } => backoff.rung_from_inside(),
                    Nap::Announced | Nap::Over => {}
                }
            }
        }
    }

    /// Sleeps until the bell is rung, for `limit` at most. The first time it only
    /// announces that, so that there is one more turn which sees what was not rung for;
    /// from that turn to the sleep the lock is held. `flag` is set meanwhile, for threads
    /// of this rank to take when they ring.
    fn nap<'a>(
        &'a self,
        state: &mut MutexGuard<'_, State<E>>,
        listener: &mut Option<Listener<'a>>,
        limit: Duration,
        flag: fn(&mut State<E>) -> &mut bool,
    ) -> Nap {
        let Some(announced) = listener else {
            *listener = Some(self.bell.listen());
            MutexGuard::bump(state);
            return Nap::Announced;
        };
        *flag(state) = true;
        let rung = MutexGuard::unlocked(state, || announced.sleep(limit));
        let from_outside = std::mem::take(flag(state));
        if !rung {
            return Nap::Over;
        }
        // Awake it need not be rung for.
        *listener = None;
        Nap::Rung { from_outside }
    }

    /// Drops what users' values are garbage, with their panics caught.
    fn drop_garbage(&self, state: &mut MutexGuard<'_, State<E>>) {
        let garbage = state.engine.take_garbage();
        self.run_code_of_users(state, || drop_catching_panics(garbage));
    }

    /// Runs code of users, unlocked, and does not drive meanwhile: it may take long, or
    /// wait for a task. The watcher drives instead, or who comes first.
    fn run_code_of_users(&self, state: &mut MutexGuard<'_, State<E>>, code: impl FnOnce()) {
        state.driven = false;
        state.away += 1;
        MutexGuard::unlocked(state, || {
            self.wake_watcher();
            code();
        });
        state.away -= 1;
    }

    /// Wakes all who wait here, asleep or not: what they wait for may have become
    /// impossible.
    pub(crate) fn wake_all(&self) {
        let mut state = self.state.lock();
        state.waiters.wake_all();
        let naps = state.take_nap();
        let calls = state.take_calls();
        drop(state);
        if naps {
            self.bell.ring();
        }
        calls();
    }

    /// Unlocks; wakes the threads that wait for what was done, the driver or the watcher
    /// if they nap, and the watcher if it is parked and the rank is busy. Tells
    /// observers.
    #[inline]
    fn unlock(&self, state: MutexGuard<'_, State<E>>) {
        let unwatched = !state.driven && self.is_watcher_parked();
        let telling = state.has_calls();
        if unwatched || state.naps || state.watcher_naps || telling || !state.waiters.is_empty() {
            self.unlock_and_wake(state);
        }
    }

    fn unlock_and_wake(&self, mut state: MutexGuard<'_, State<E>>) {
        let State { engine, waiters, .. } = &mut *state;
        engine.wake(waiters);
        let naps = state.take_nap() | state.take_watchers_nap();
        let unwatched = !state.driven && (state.is_busy() || state.engine.has_garbage());
        let calls = state.has_calls().then(|| state.take_calls());
        drop(state);
        if naps {
            self.bell.ring();
        }
        if unwatched {
            self.wake_watcher();
        }
        if let Some(calls) = calls {
            calls();
        }
    }
}

/// Drops values of users; a panic in a `Drop` ends with that value.
fn drop_catching_panics(garbage: Garbage) {
    for value in garbage {
        crate::panics::discarded(move || drop(value));
    }
}

fn is_past(deadline: Option<Instant>) -> bool {
    deadline.is_some_and(|deadline| Instant::now() >= deadline)
}
