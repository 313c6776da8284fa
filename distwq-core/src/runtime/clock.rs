//! The clock of a rank: nanoseconds since the Unix epoch that never run backwards.

use rustix::time::{ClockId, clock_gettime};
use std::sync::OnceLock;
use std::time::SystemTime;

/// Now, in nanoseconds since the Unix epoch: the wall clock at the first call, and the
/// steady clock from there.
///
/// The steady clock is read without the detour by [`Instant`](std::time::Instant), whose
/// differences take half as long as reading it: this is done for every task.
pub(crate) fn now_ns() -> u64 {
    static EPOCH_NS: OnceLock<u64> = OnceLock::new();
    EPOCH_NS.get_or_init(epoch_ns).wrapping_add(steady_ns())
}

/// The wall clock when the steady one was 0, as seen when both were read with the least
/// time in between.
fn epoch_ns() -> u64 {
    let read_both = || {
        let before = steady_ns();
        let wall = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default().as_nanos() as u64;
        let between = steady_ns() - before;
        (between, wall.wrapping_sub(before + between / 2))
    };
    (0..READINGS).map(|_| read_both()).min().map_or(0, |(_, epoch_ns)| epoch_ns)
}

/// The first takes longer, and in any of them the thread may lose its core.
const READINGS: usize = 5;

/// Nanoseconds from any origin.
fn steady_ns() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn it_is_the_wall_clock_and_never_runs_backwards() {
        let mut last = now_ns();
        for _ in 0..100_000 {
            let now = now_ns();
            assert!(last <= now, "{last} came before {now}");
            last = now;
        }
        let wall = SystemTime::UNIX_EPOCH.elapsed().expect("it is after 1970");
        let off = wall.abs_diff(Duration::from_nanos(now_ns()));
        // Another program may get in between.
        assert!(off < Duration::from_millis(500), "{off:?}");
    }
}
