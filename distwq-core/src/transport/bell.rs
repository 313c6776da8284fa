//! A bell that wakes the sleeping threads of a rank.

use parking_lot::{Condvar, Mutex};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering, fence};
use std::time::Duration;

/// Rung by whoever has something for a rank; slept on by the threads of that rank. Ringing costs two loads while
/// nobody sleeps.
#[derive(Default, Debug)]
pub(crate) struct Bell {
    rings: AtomicU64,
    sleepers: AtomicU32,
    lock: Mutex<()>,
    rung: Condvar,
}

impl Bell {
    /// Wakes all who sleep, and keeps those awake who are about to sleep.
    pub(crate) fn ring(&self) {
        self.rings.fetch_add(1, Ordering::Release);
        // Pairs with the fence in `sleep`: either the sleeper sees the new count, or this sees the sleeper.
        fence(Ordering::SeqCst);
        if self.sleepers.load(Ordering::Relaxed) > 0 {
            drop(self.lock.lock());
            self.rung.notify_all();
        }
    }

    /// How often it has been rung: to be read before one looks whether there is something to do.
    pub(crate) fn rings(&self) -> u64 {
        self.rings.load(Ordering::Acquire)
    }

    /// Sleeps until it is rung, at once if it has been since `rings` was read, for `limit` at most.
    pub(crate) fn sleep(&self, rings: u64, limit: Option<Duration>) {
        let mut guard = self.lock.lock();
        self.sleepers.fetch_add(1, Ordering::Relaxed);
        fence(Ordering::SeqCst);
        if self.rings.load(Ordering::Relaxed) == rings {
            match limit {
                Some(limit) => {
                    self.rung.wait_for(&mut guard, limit);
                }
                None => self.rung.wait(&mut guard),
            }
        }
        self.sleepers.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    #[test]
    fn a_ring_between_the_look_and_the_sleep_is_not_lost() {
        let bell = Bell::default();
        let rings = bell.rings();
        bell.ring();
        bell.sleep(rings, None);
        assert_eq!(bell.rings(), rings + 1);
    }

    #[test]
    fn a_sleeper_is_woken() {
        let bell = Arc::new(Bell::default());
        let rings = bell.rings();
        let ringer = std::thread::spawn({
            let bell = Arc::clone(&bell);
            move || bell.ring()
        });
        while bell.rings() == rings {
            bell.sleep(rings, None);
        }
        ringer.join().expect("ringing does not panic");
    }
}
