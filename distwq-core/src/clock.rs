//! The clock of a rank: nanoseconds since the Unix epoch that never run backwards.

use std::sync::OnceLock;
use std::time::{Instant, SystemTime};

/// Now, in nanoseconds since the Unix epoch: the wall clock at the first call, and the steady clock from there.
pub(crate) fn now_ns() -> u64 {
    static START: OnceLock<(Instant, u64)> = OnceLock::new();
    let (start, epoch_ns) = START.get_or_init(|| {
        let epoch = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
        (Instant::now(), epoch.as_nanos() as u64)
    });
    epoch_ns + start.elapsed().as_nanos() as u64
}
