//! Processor time.

use rustix::time::{ClockId, clock_gettime};

/// The processor time that all threads of this process have used so far, in seconds.
#[must_use]
pub fn cpu_seconds() -> f64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 * 1e-9
}
