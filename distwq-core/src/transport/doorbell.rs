//! A doorbell that wakes the thread of a rank that sleeps: an eventcount. Who waits
//! announces that, looks once more whether there is something to do, and sleeps; who has
//! brought something rings, which costs next to nothing while nobody has announced
//! itself.

use std::sync::atomic::{AtomicU32, Ordering, fence};
use std::time::Duration;

/// Rung by whoever has brought something for a rank; slept on by the thread of that rank
/// that drives. While nobody listens, a ring costs a fence and a load, and no thread
/// writes what the others read.
#[derive(Debug)]
pub(crate) struct Doorbell {
    memory: Memory,
}

/// Where a bell lies.
#[derive(Debug)]
enum Memory {
    /// In the memory of this process.
    Own(Words),
    /// In memory that processes share.
    #[cfg_attr(not(feature = "mpi"), allow(dead_code, reason = "only ranks of MPI are processes"))]
    Shared(&'static Words),
}

/// What a bell is in memory; all zeros at first. Two of them share no cache line, nor a
/// pair of lines that processors fetch together.
#[repr(C, align(128))]
#[derive(Default, Debug)]
pub(crate) struct Words {
    /// How often it has been rung for somebody: the futex.
    rings: AtomicU32,
    listeners: AtomicU32,
}

/// A thread that will sleep, or sleeps: from here on it is rung for. It has to look
/// whether there is something to do before it sleeps, and again before it sleeps the next
/// time.
#[derive(Debug)]
pub(crate) struct Listener<'a> {
    bell: &'a Doorbell,
    rings: u32,
}

impl Default for Doorbell {
    fn default() -> Self {
        Self { memory: Memory::Own(Words::default()) }
    }
}

impl Doorbell {
    /// A bell that lies where other processes can ring it.
    #[cfg(feature = "mpi")]
    pub(super) fn shared(words: &'static Words) -> Self {
        Self { memory: Memory::Shared(words) }
    }

    /// Wakes who listens, or keeps it awake. Called after what it is rung for has been
    /// done.
    pub(crate) fn ring(&self) {
        let words = self.words();
        // Pairs with the fence in `listen`: either this sees the listener, or the
        // listener's look sees what was done.
        fence(Ordering::SeqCst);
        if words.listeners.load(Ordering::Relaxed) > 0 {
            words.rings.fetch_add(1, Ordering::Release);
            self.wake();
        }
    }

    /// Announces a thread that will sleep if it finds nothing from here on.
    pub(crate) fn listen(&self) -> Listener<'_> {
        let words = self.words();
        words.listeners.fetch_add(1, Ordering::Relaxed);
        fence(Ordering::SeqCst);
        Listener { bell: self, rings: words.rings.load(Ordering::Acquire) }
    }

    fn words(&self) -> &Words {
        match &self.memory {
            Memory::Own(words) => words,
            Memory::Shared(words) => words,
        }
    }
}

impl Listener<'_> {
    /// Sleeps until the bell is rung, at once if it has been since this thread listens or
    /// slept last, for `limit` at most. Says whether it was rung.
    pub(crate) fn sleep(&mut self, limit: Duration) -> bool {
        let words = self.bell.words();
        if words.rings.load(Ordering::Acquire) == self.rings {
            self.bell.wait(self.rings, limit);
        }
        let rings = words.rings.load(Ordering::Acquire);
        std::mem::replace(&mut self.rings, rings) != rings
    }
}

impl Drop for Listener<'_> {
    fn drop(&mut self) {
        self.bell.words().listeners.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(target_os = "linux")]
impl Doorbell {
    /// Waits while there are so many rings. It may also end for nothing: the caller looks
    /// again anyway.
    fn wait(&self, rings: u32, limit: Duration) {
        let limit = rustix::thread::Timespec::try_from(limit).ok();
        let _ = rustix::thread::futex::wait(&self.words().rings, self.flags(), rings, limit.as_ref());
    }

    fn wake(&self) {
        let _ = rustix::thread::futex::wake(&self.words().rings, self.flags(), i32::MAX as u32);
    }

    fn flags(&self) -> rustix::thread::futex::Flags {
        match self.memory {
            Memory::Own(_) => rustix::thread::futex::Flags::PRIVATE,
            Memory::Shared(_) => rustix::thread::futex::Flags::empty(),
        }
    }
}

/// Where there is no futex, sleeps are short, and rings are noticed after them.
#[cfg(not(target_os = "linux"))]
impl Doorbell {
    fn wait(&self, _rings: u32, limit: Duration) {
        std::thread::sleep(limit.min(super::NAP_MAX_UNHEARD));
    }

    fn wake(&self) {}
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::AtomicU64;
    use std::time::Instant;

    /// What nobody waits for in a test that goes well.
    const LONG: Duration = Duration::from_secs(60);

    #[test]
    fn a_ring_between_the_announcement_and_the_sleep_is_not_lost() {
        let bell = Doorbell::default();
        let mut listener = bell.listen();
        bell.ring();
        assert!(listener.sleep(LONG));
        assert!(!listener.sleep(Duration::from_millis(1)), "a ring is heard once");
    }

    #[test]
    fn a_ring_while_nobody_listens_leaves_no_trace() {
        let bell = Doorbell::default();
        drop(bell.listen());
        bell.ring();
        assert!(!bell.listen().sleep(Duration::from_millis(1)));
    }

    /// Two threads hand a number to and fro, each asleep while the other has it: a lost
    /// ring would cost `LONG`.
    #[test]
    fn no_ring_is_lost_between_threads() {
        const ROUNDS: u64 = 20_000;
        let table: Arc<(AtomicU64, [Doorbell; 2])> = Arc::default();
        let player = |own: usize| {
            let table = Arc::clone(&table);
            move || {
                let (turn, bells) = &*table;
                let start = Instant::now();
                for round in (own as u64..ROUNDS).step_by(2) {
                    while turn.load(Ordering::Relaxed) != round {
                        let mut listener = bells[own].listen();
                        if turn.load(Ordering::Relaxed) != round {
                            listener.sleep(LONG);
                        }
                    }
                    turn.store(round + 1, Ordering::Relaxed);
                    bells[1 - own].ring();
                }
                start.elapsed()
            }
        };
        let other = std::thread::spawn(player(1));
        let took = player(0)().max(other.join().expect("it does not panic"));
        assert!(took < LONG, "a ring was lost: {took:?}");
    }
}
