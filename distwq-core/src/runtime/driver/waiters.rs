//! The threads of a rank that wait without driving, by what they wait for. Each sleeps on
//! a condition variable of its own, so that it is woken for what concerns it and for
//! nothing else. Futures wait here too.

use crate::machine::Happened;
use parking_lot::Condvar;
use std::collections::BTreeMap;
use std::mem::take;
use std::sync::Arc;
use std::task::Waker;

/// Threads that wait, each under a key that says for what. Behind the engine's lock.
#[derive(Debug)]
pub(crate) struct Waiters<K> {
    asleep: BTreeMap<Ticket<K>, Arc<Condvar>>,
    begun: u64,
    /// What wakes futures, by what they wait for and by its identity: many may wait for
    /// one thing, and each is known once however often it is polled.
    pending: BTreeMap<(K, Identity), Waker>,
    /// Those to be woken once the engine is unlocked: that is users' code.
    due: Vec<Waker>,
}

/// What two wakers that wake the same have in common: the addresses of data and
/// functions.
type Identity = (usize, usize);

fn identity_of(waker: &Waker) -> Identity {
    (waker.data().addr(), std::ptr::from_ref(waker.vtable()).addr())
}

/// The key of one thread among those that wait.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct Ticket<K> {
    key: K,
    number: u64,
}

impl<K> Default for Waiters<K> {
    fn default() -> Self {
        Self { asleep: BTreeMap::new(), begun: 0, pending: BTreeMap::new(), due: Vec::new() }
    }
}

impl<K: Copy + Ord> Waiters<K> {
    pub(crate) fn is_empty(&self) -> bool {
        self.asleep.is_empty() && self.pending.is_empty() && self.due.is_empty()
    }

    /// Wakes all that wait for this.
    pub(crate) fn wake(&mut self, key: K) {
        self.wake_some(key, usize::MAX);
        let of_key = (key, (0, 0))..=(key, (usize::MAX, usize::MAX));
        while let Some((&known, _)) = self.pending.range(of_key.clone()).next() {
            self.due.extend(self.pending.remove(&known));
        }
    }

    /// Wakes so many of those that wait for this, who began first.
    pub(crate) fn wake_some(&mut self, key: K, count: usize) {
        for _ in 0..count {
            let of_key = Ticket { key, number: 0 }..=Ticket { key, number: u64::MAX };
            let Some((&ticket, _)) = self.asleep.range(of_key).next() else { return };
            self.wake_one(ticket);
        }
    }

    /// Wakes all: what they wait for may have become impossible.
    pub(crate) fn wake_all(&mut self) {
        for thread in take(&mut self.asleep).into_values() {
            thread.notify_one();
        }
        self.due.extend(take(&mut self.pending).into_values());
    }

    /// A future begins to wait, or still does.
    pub(super) fn add_waker(&mut self, key: K, waker: Waker) {
        self.pending.entry((key, identity_of(&waker))).or_insert(waker);
    }

    /// Whether futures are to be woken.
    pub(super) fn has_due(&self) -> bool {
        !self.due.is_empty()
    }

    /// Takes what wakes them.
    pub(super) fn take_due(&mut self) -> Vec<Waker> {
        take(&mut self.due)
    }

    /// Wakes all that wait for what has happened.
    pub(crate) fn tell(&mut self, happened: &mut Happened<K>) {
        happened.take(self, Self::wake_all, Self::wake);
    }

    /// Wakes the thread with the greatest key to drive. Keys are ordered by how long the
    /// wait is likely to last, so that the driver changes rarely.
    pub(super) fn appoint(&mut self) {
        if let Some((&ticket, _)) = self.asleep.last_key_value() {
            self.wake_one(ticket);
        }
    }

    /// A thread begins to wait. It sleeps on the condition variable while it [is
    /// asleep](Self::is_asleep).
    pub(super) fn add(&mut self, key: K) -> (Ticket<K>, Arc<Condvar>) {
        self.begun += 1;
        let ticket = Ticket { key, number: self.begun };
        let woken = Arc::new(Condvar::new());
        self.asleep.insert(ticket, Arc::clone(&woken));
        (ticket, woken)
    }

    /// Whether nobody has woken this thread.
    pub(super) fn is_asleep(&self, ticket: Ticket<K>) -> bool {
        self.asleep.contains_key(&ticket)
    }

    /// A thread stops waiting.
    pub(super) fn remove(&mut self, ticket: Ticket<K>) {
        self.asleep.remove(&ticket);
    }

    fn wake_one(&mut self, ticket: Ticket<K>) {
        if let Some(thread) = self.asleep.remove(&ticket) {
            thread.notify_one();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Waiters for these keys, and what tells which of them are asleep.
    fn waiting(keys: &[u32]) -> (Waiters<u32>, impl Fn(&Waiters<u32>) -> Vec<u32>) {
        let mut waiters = Waiters::default();
        let tickets: Vec<_> = keys.iter().map(|key| waiters.add(*key).0).collect();
        (waiters, move |waiters| {
            tickets.iter().filter(|ticket| waiters.is_asleep(**ticket)).map(|ticket| ticket.key).collect()
        })
    }

    #[test]
    fn only_who_waits_for_it_is_woken() {
        let (mut waiters, asleep) = waiting(&[1, 2, 1, 3]);
        waiters.wake(1);
        assert_eq!(asleep(&waiters), [2, 3]);
        waiters.wake(1);
        waiters.wake(7);
        assert_eq!(asleep(&waiters), [2, 3]);
    }

    /// Counts how often it is woken.
    #[derive(Default)]
    struct Count(std::sync::atomic::AtomicU32);

    impl std::task::Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        }
    }

    #[test]
    fn a_future_is_woken_once_for_what_it_waits_for_and_for_all_that_ends() {
        let counts = [(); 2].map(|()| Arc::new(Count::default()));
        let mut waiters = Waiters::default();
        let wake_due = |waiters: &mut Waiters<u32>| {
            waiters.take_due().into_iter().for_each(Waker::wake);
            counts.each_ref().map(|count| count.0.load(std::sync::atomic::Ordering::Relaxed))
        };
        for (key, index) in [(1, 0), (1, 0), (2, 1)] {
            waiters.add_waker(key, Waker::from(Arc::clone(&counts[index])));
        }
        waiters.wake(3);
        assert!(!waiters.is_empty() && !waiters.has_due());
        waiters.wake(1);
        assert!(waiters.has_due());
        assert_eq!(wake_due(&mut waiters), [1, 0]);
        waiters.wake(1);
        assert!(!waiters.has_due());
        waiters.wake_all();
        assert_eq!(wake_due(&mut waiters), [1, 1]);
        assert!(waiters.is_empty());
    }

    #[test]
    fn each_of_many_futures_that_wait_for_one_thing_is_woken_once() {
        let counts: Vec<_> = (0..10_000).map(|_| Arc::new(Count::default())).collect();
        let mut waiters = Waiters::default();
        for count in counts.iter().chain(&counts) {
            waiters.add_waker(1, Waker::from(Arc::clone(count)));
        }
        waiters.add_waker(2, Waker::from(Arc::clone(&counts[0])));
        waiters.wake(1);
        waiters.take_due().into_iter().for_each(Waker::wake);
        assert!(counts.iter().all(|count| count.0.load(std::sync::atomic::Ordering::Relaxed) == 1));
        assert!(!waiters.is_empty(), "one waits for something else");
    }

    #[test]
    fn as_many_are_woken_as_there_is_work_for() {
        let (mut waiters, asleep) = waiting(&[5, 5, 5, 6]);
        waiters.wake_some(5, 2);
        assert_eq!(asleep(&waiters), [5, 6]);
        waiters.wake_some(5, 2);
        assert_eq!(asleep(&waiters), [6]);
    }

    #[test]
    fn the_greatest_key_drives_next() {
        let (mut waiters, asleep) = waiting(&[1, 9, 4]);
        waiters.appoint();
        assert_eq!(asleep(&waiters), [1, 4]);
        waiters.appoint();
        waiters.appoint();
        waiters.appoint();
        assert!(waiters.is_empty());
    }

    #[test]
    fn what_happened_is_told_once() {
        let mut happened = Happened::default();
        happened.note(2);
        let (mut waiters, asleep) = waiting(&[1, 2]);
        waiters.tell(&mut happened);
        assert_eq!(asleep(&waiters), [1]);
        waiters.add(2);
        waiters.tell(&mut happened);
        assert!(!waiters.is_empty(), "nothing has happened since");
        happened.note_all();
        waiters.tell(&mut happened);
        assert!(waiters.is_empty());
    }
}
