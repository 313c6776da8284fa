//! What has happened in a run: counts, a hash of all frames, and, where somebody will
//! read them, the last events in words.

use super::states::StatesTally;
use crate::codec::frame::Frame;
use crate::id::Rank;
use crate::machine::Ns;
use std::collections::VecDeque;
use xxhash_rust::xxh3::xxh3_64_with_seed;

/// Events that a violation tells.
const TOLD_MAX: usize = 30;

/// How often what was met, over one run or many.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct Tally {
    /// All that has happened: turns, frames, steps of executors and of the user.
    pub events: u64,
    /// Frames that were sent.
    pub frames: u64,
    /// Those of them that a later one has overtaken.
    pub overtaken: u64,
    /// Tasks and values.
    pub tasks: u64,
    /// Tasks that ended with a value.
    pub done: u64,
    /// Tasks that ended without one.
    pub failed: u64,
    /// Attempts after the first.
    pub retries: u64,
    /// Groups that began.
    pub groups: u64,
    /// Groups whose members waited for each other.
    pub deadlocks: u64,
    /// Waits of the user that ended.
    pub waits: u64,
    /// Bodies that failed.
    pub failed_bodies: u64,
    /// Workers that were lost.
    pub lost: u64,
    /// Processes of the controller that exited.
    pub exits: u64,
    /// Runs that ended with a frame that cannot be read.
    pub unreadable: u64,
    /// Tasks that ended because nothing could move any more, or too few workers were
    /// left.
    pub stalled: u64,
    /// Tasks that ended because their worker was lost, or what they take.
    pub lost_tasks: u64,
    /// Tasks that ended because they were cancelled.
    pub cancelled: u64,
    /// Tasks that were cancelled and gave a value all the same.
    pub cancelled_in_vain: u64,
    /// Tasks that came to a worker after their cancel.
    pub cancelled_early: u64,
    /// Tasks that ran and were told that they were cancelled.
    pub cancelled_running: u64,
    /// Signals that asked for the end, and tasks that were added after one.
    pub interrupted: [u64; 2],
    /// Tasks that were made of items of maps.
    pub of_maps: u64,
    /// Those of them that were cancelled between two items.
    pub stopped_between: u64,
    /// Tasks that were cancelled because another one of their graph has failed.
    pub cancelled_graphs: u64,
    /// Errors of tasks that others have taken.
    pub took_errors: u64,
    /// Attempts that were told that they had reached their limits.
    pub overran: u64,
    /// Tasks that ended at a run limit, a wait limit, a deadline.
    pub limits_reached: [u64; 3],
    /// Graphs that were to end by a time.
    pub graph_deadlines: u64,
    /// Tasks of graphs that ended by a deadline for which others were cancelled.
    pub ended_together: u64,
    /// Tasks that ended because all workers for them were set aside.
    pub stuck: u64,
    /// Tasks that no worker was to run.
    pub nowhere: u64,
    /// Values that workers said not to have, in runs in which others are lost.
    pub denials: u64,
    /// Ends that the user was told.
    pub watched: u64,
    /// How often he went on with a map.
    pub slides: u64,
    /// Lines of tasks that were heard where the body runs.
    pub heard: u64,
    /// Reports of what was left to end.
    pub left_told: u64,
    /// What has to do with the states of slots.
    pub states: StatesTally,
    /// A hash of all frames, in the order in which they were sent.
    pub hash: u64,
}

impl std::ops::AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        self.events += other.events;
        self.frames += other.frames;
        self.overtaken += other.overtaken;
        self.tasks += other.tasks;
        self.done += other.done;
        self.failed += other.failed;
        self.retries += other.retries;
        self.groups += other.groups;
        self.deadlocks += other.deadlocks;
        self.waits += other.waits;
        self.failed_bodies += other.failed_bodies;
        self.lost += other.lost;
        self.exits += other.exits;
        self.unreadable += other.unreadable;
        self.stalled += other.stalled;
        self.lost_tasks += other.lost_tasks;
        self.cancelled += other.cancelled;
        self.cancelled_in_vain += other.cancelled_in_vain;
        self.cancelled_early += other.cancelled_early;
        self.cancelled_running += other.cancelled_running;
        self.interrupted.iter_mut().zip(other.interrupted).for_each(|(sum, count)| *sum += count);
        self.of_maps += other.of_maps;
        self.stopped_between += other.stopped_between;
        self.cancelled_graphs += other.cancelled_graphs;
        self.took_errors += other.took_errors;
        self.overran += other.overran;
        self.limits_reached.iter_mut().zip(other.limits_reached).for_each(|(sum, count)| *sum += count);
        self.graph_deadlines += other.graph_deadlines;
        self.ended_together += other.ended_together;
        self.stuck += other.stuck;
        self.nowhere += other.nowhere;
        self.denials += other.denials;
        self.watched += other.watched;
        self.slides += other.slides;
        self.heard += other.heard;
        self.left_told += other.left_told;
        self.states += other.states;
        self.hash = self.hash.rotate_left(1) ^ other.hash;
    }
}

/// What has happened so far.
#[derive(Default, Debug)]
pub(super) struct History {
    pub(super) tally: Tally,
    /// Words cost more than the run itself: only a run that is known to fail has them.
    with_words: bool,
    last: VecDeque<String>,
}

impl History {
    pub(super) fn new(with_words: bool) -> Self {
        Self { with_words, ..Self::default() }
    }

    /// Something has happened, which `words` tell.
    pub(super) fn note(&mut self, now: Ns, words: impl FnOnce() -> String) {
        self.tally.events += 1;
        if self.with_words {
            if self.last.len() == TOLD_MAX {
                self.last.pop_front();
            }
            self.last.push_back(format!("{:>13} ns  {}", now, words()));
        }
    }

    /// A frame was sent.
    pub(super) fn sent(&mut self, now: Ns, (from, to): (Rank, Rank), frame: &Frame) {
        self.tally.frames += 1;
        let way = u64::from(from.0) << 32 | u64::from(to.0);
        let mut hash = xxh3_64_with_seed(&frame.body, self.tally.hash ^ way ^ now.rotate_left(20));
        for attachment in &frame.attachments {
            hash = xxh3_64_with_seed(attachment, hash);
        }
        self.tally.hash = hash;
    }

    /// The last events in words.
    pub(super) fn into_words(self) -> Vec<String> {
        self.last.into()
    }
}
