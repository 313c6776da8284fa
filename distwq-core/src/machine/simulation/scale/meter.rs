//! Processor time and bytes, counted.

use super::super::network::CONTROLLER;
use crate::codec::frame::Frame;
use crate::id::Rank;
use std::time::Instant;

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

/// Counts since it was [taken](Self::take) last.
#[derive(Default, Debug)]
pub(super) struct Meter(Cost);

impl Meter {
    /// Something that the controller does.
    pub(super) fn controller<R>(&mut self, action: impl FnOnce() -> R) -> R {
        timed(&mut self.0.controller_ns, action)
    }

    /// Something that a worker does.
    pub(super) fn worker<R>(&mut self, action: impl FnOnce() -> R) -> R {
        timed(&mut self.0.workers_ns, action)
    }

    /// A frame goes from rank to rank.
    pub(super) fn frame(&mut self, from: Rank, to: Rank, frame: &Frame) {
        let beside: usize = frame.attachments.iter().map(|bytes| bytes.len()).sum();
        let bytes = (frame.body.len() + beside) as f64;
        if from == CONTROLLER || to == CONTROLLER {
            self.0.controller_bytes += bytes;
        } else {
            self.0.worker_bytes += bytes;
        }
    }

    /// What was counted; begins again.
    pub(super) fn take(&mut self) -> Cost {
        std::mem::take(&mut self.0)
    }
}

fn timed<R>(sum_ns: &mut f64, action: impl FnOnce() -> R) -> R {
    let began = Instant::now();
    let result = action();
    *sum_ns += began.elapsed().as_nanos() as f64;
    result
}
