//! What goes wrong around the machines: workers that die, a controller whose process
//! exits, a frame that is torn.

use super::agenda::Happening;
use super::network::CONTROLLER;
use super::world::{Phase, World};
use crate::codec::frame::Frame;
use crate::id::Rank;
use crate::machine::Ns;
use crate::machine::controller::Input;
use crate::outcome::info::TaskState;

/// The controller hears of a loss after so long at most, as a rule.
const TOLD_AFTER_NS_MAX: Ns = 50_000_000;

/// What a torn frame ends with: no message begins so.
const TORN: [u8; 6] = [0xEE, 0x01, 0xEE, 0x02, 0xEE, 0x03];

/// What has become of the frame that is to be torn.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Torn {
    /// There is none.
    No,
    /// The next one is.
    Next,
    /// That on this way.
    Sent { from: Rank, to: Rank },
    /// Its receiver has found that it cannot be read, which ends the run.
    Read,
}

impl Torn {
    /// Whether a frame from one rank to another was torn.
    pub(super) fn is(self, sender: Rank, receiver: Rank) -> bool {
        matches!(self, Self::Sent { from, to } if (from, to) == (sender, receiver))
    }

    /// Whether this is that frame.
    pub(super) fn is_mark_of(self, frame: &Frame) -> bool {
        matches!(self, Self::Sent { .. } | Self::Read) && frame.body.ends_with(&TORN)
    }
}

impl World<'_> {
    /// The process of a worker is gone, and all that ran in it.
    pub(super) fn gone(&mut self, worker: usize) {
        self.dies_with_states(worker);
        for task in self.workers[worker].die() {
            self.book.dies_in(task);
        }
        self.book.dies(worker);
    }

    /// A worker dies. The controller hears of it later.
    pub(super) fn dies(&mut self, worker: usize) {
        if self.phase == Phase::Closed || self.workers[worker].is_dead {
            return;
        }
        self.history.note(self.agenda.now(), || format!("rank {} dies", worker + 1));
        self.history.tally.lost += 1;
        self.gone(worker);
        self.workers[worker].takes_frames_along = self.random.percent(30);
        let after = match self.random.below(20) {
            0..4 => 0,
            4 => self.random.up_to(2_000_000_000),
            5..12 => self.random.up_to(20 * self.shape.run_ns_max),
            _ => self.random.up_to(TOLD_AFTER_NS_MAX),
        };
        self.agenda.at(self.agenda.now() + after, Happening::ToldOfLoss(worker));
    }

    /// Whether a frame that would arrive now went with its sender.
    pub(super) fn takes_frames_along(&self, from: Rank) -> bool {
        from != CONTROLLER && self.workers[from.index() - 1].takes_frames_along
    }

    /// The controller is told that a worker is lost.
    pub(super) fn told_of_loss(&mut self, worker: usize) {
        let rank = Rank(worker as u32 + 1);
        self.history.note(self.agenda.now(), || format!("the controller is told that {rank} is lost"));
        for &index in &self.unended {
            let info = self.controller.machine.info(self.book.tasks[index].id);
            if let Some(info) = info
                && info.state == TaskState::Sent
                && info.ranks.contains(&rank)
            {
                self.book.is_lost_with(index, worker, info.attempts);
            }
        }
        self.book.lost.push(worker);
        self.tell(Input::Lost { rank });
        self.after_controller();
    }

    /// The process of the controller exits.
    pub(super) fn exits(&mut self) {
        if self.phase != Phase::Open {
            return;
        }
        self.history.note(self.agenda.now(), || "the controller's process exits".to_owned());
        self.history.tally.exits += 1;
        self.book.body_failed = true;
        self.phase = Phase::Exited;
        self.user.exits();
        self.tell(Input::Exit);
        self.after_controller();
        self.controller.is_silent = true;
    }

    /// Tears a frame that is about to be sent, if it is to be.
    pub(super) fn tear(&mut self, from: Rank, to: Rank, frame: &mut Frame) {
        if self.torn == Torn::Next {
            frame.body.extend_from_slice(&TORN);
            self.torn = Torn::Sent { from, to };
        }
    }

    /// A frame was read. If it was torn, that was found, unless it is that of a lost
    /// worker or its receiver has exited.
    pub(super) fn check_torn(&self, (from, to): (Rank, Rank), frame: &Frame) {
        let is_late = from != CONTROLLER && to == CONTROLLER && self.book.lost.contains(&(from.index() - 1));
        let has_exited = to != CONTROLLER && self.workers[to.index() - 1].is_dead;
        let is_found = self.torn == Torn::Read || is_late || has_exited || !self.torn.is_mark_of(frame);
        assert!(is_found, "a torn frame from {from} to {to} is read as if it were whole");
    }
}
