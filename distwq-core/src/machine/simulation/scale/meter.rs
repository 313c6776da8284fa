//! Processor time and bytes, counted.

use super::super::network::CONTROLLER;
use crate::codec::frame::Frame;
use crate::id::Rank;
use rustix::time::{ClockId, clock_gettime};

/// What something has cost, in all or for each of several.
#[derive(Clone, Copy, Default, Debug)]
pub struct Cost {
    /// Nanoseconds of the controller.
    pub controller_ns: f64,
    /// Nanoseconds of all workers together.
    pub workers_ns: f64,
    /// Bytes of frames to and from the controller.
    pub controller_bytes: f64,
    /// Bytes of frames from worker to worker.
    pub worker_bytes: f64,
}

impl Cost {
    /// For each of so many.
    pub(super) fn each(self, count: u32) -> Self {
        let each = |sum: f64| sum / f64::from(count);
        Self {
            controller_ns: each(self.controller_ns),
            workers_ns: each(self.workers_ns),
            controller_bytes: each(self.controller_bytes),
            worker_bytes: each(self.worker_bytes),
        }
    }
}

/// Counts since it was [taken](Self::take) last. It counts the processor time of this
/// thread, less what it takes to read that: others may run on the same processors.
#[derive(Debug)]
pub(super) struct Meter {
    cost: Cost,
    reading_ns: f64,
}

impl Meter {
    pub(super) fn new() -> Self {
        const TIMES: u32 = 10_000;
        let mut sum_ns = 0.0;
        (0..TIMES).for_each(|_| timed(&mut sum_ns, 0.0, || {}));
        Self { cost: Cost::default(), reading_ns: sum_ns / f64::from(TIMES) }
    }

    /// Something that the controller does.
    pub(super) fn controller<R>(&mut self, action: impl FnOnce() -> R) -> R {
        timed(&mut self.cost.controller_ns, self.reading_ns, action)
    }

    /// Something that a worker does.
    pub(super) fn worker<R>(&mut self, action: impl FnOnce() -> R) -> R {
        timed(&mut self.cost.workers_ns, self.reading_ns, action)
    }

    /// A frame goes from rank to rank.
    pub(super) fn frame(&mut self, from: Rank, to: Rank, frame: &Frame) {
        let beside: usize = frame.attachments.iter().map(|bytes| bytes.len()).sum();
        let bytes = (frame.body.len() + beside) as f64;
        if from == CONTROLLER || to == CONTROLLER {
            self.cost.controller_bytes += bytes;
        } else {
            self.cost.worker_bytes += bytes;
        }
    }

    /// What was counted; begins again.
    pub(super) fn take(&mut self) -> Cost {
        std::mem::take(&mut self.cost)
    }
}

fn timed<R>(sum_ns: &mut f64, reading_ns: f64, action: impl FnOnce() -> R) -> R {
    let began_ns = thread_ns();
    let result = action();
    *sum_ns += (thread_ns() - began_ns) as f64 - reading_ns;
    result
}

/// Processor time of this thread.
fn thread_ns() -> i64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    time.tv_sec * 1_000_000_000 + time.tv_nsec
}
