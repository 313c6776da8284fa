//! The network: frames on their way, each with a delay of its own, within the promises of
//! a transport. Frames from one rank to another arrive in the order in which they were
//! sent, but one with attachments may be overtaken by later ones.

use super::agenda::{Agenda, Happening};
use super::history::History;
use super::random::Random;
use crate::codec::frame::{Frame, Messages};
use crate::id::Rank;
use crate::machine::Ns;
use crate::wire::attempt::{Done, Run};
use crate::wire::message::{ToController, ToWorker};
use std::fmt::Write;

/// The rank of the controller.
pub(super) const CONTROLLER: Rank = Rank(0);

/// A frame on a slow way takes so long at most, as a rule.
const SLOW_NS_MAX: Ns = 60_000_000;

/// The way between all ranks.
#[derive(Debug)]
pub(super) struct Network {
    ranks: usize,
    delay_ns_max: Ns,
    /// So many frames of 400 take a hundred times as long at most.
    late: u64,
    /// The way from this rank to that one, if any, takes far longer than all others.
    slow: Option<(Rank, Rank)>,
    /// By sender and receiver, when the last frame without attachments arrives.
    last: Vec<Ns>,
    /// The same of all frames.
    latest: Vec<Ns>,
}

impl Network {
    pub(super) fn new(random: &mut Random, ranks: usize, delay_ns_max: Ns) -> Self {
        let mut any = || Rank(random.below(ranks as u64) as u32);
        let (from, to) = (any(), any());
        // What the controller says decides what follows.
        let from = if random.percent(40) { CONTROLLER } else { from };
        let slow = random.percent(40).then_some((from, to));
        let late = *random.pick(&[8, 80]).expect("there are some");
        Self { ranks, delay_ns_max, late, slow, last: vec![0; ranks * ranks], latest: vec![0; ranks * ranks] }
    }

    /// Takes a frame, which arrives some time.
    pub(super) fn send(
        &mut self,
        (agenda, random, history): (&mut Agenda, &mut Random, &mut History),
        (from, to): (Rank, Rank),
        frame: Frame,
    ) {
        assert_ne!(from, to, "no rank sends frames to itself");
        assert!(!frame.body.is_empty(), "a frame says something");
        let now = agenda.now();
        history.sent(now, (from, to), &frame);
        history.note(now, || format!("{from} sends {to} {}", told(to, &frame)));
        let pair = from.index() * self.ranks + to.index();
        let usual_ns_max = if self.slow == Some((from, to)) { SLOW_NS_MAX } else { self.delay_ns_max };
        let number = random.below(400);
        let delay = match number {
            // Something stands still for long, as machines do.
            0 => random.up_to(1_500_000_000),
            1.. if number <= self.late => random.up_to(100 * self.delay_ns_max),
            _ => random.up_to(usual_ns_max),
        };
        let mut at = (now + delay).max(self.last[pair]);
        if frame.attachments.is_empty() {
            self.last[pair] = at;
            history.tally.overtaken += u64::from(at < self.latest[pair]);
        } else {
            at += random.up_to(20 * self.delay_ns_max);
        }
        self.latest[pair] = self.latest[pair].max(at);
        agenda.at(at, Happening::Arrives { from, to, frame });
    }
}

/// What a frame says, in words.
pub(super) fn told(to: Rank, frame: &Frame) -> String {
    let mut words = String::new();
    let mut messages = Messages::of(frame);
    while !messages.is_empty() {
        if !words.is_empty() {
            words.push_str("; ");
        }
        let told = if to == CONTROLLER {
            match messages.next_fixed(Done::read) {
                Some(done) => {
                    write!(words, "Done {} with {} bytes and {:?}", done.task(), done.bytes.len(), done.tail())
                }
                None => match messages.next::<ToController<'_>>() {
                    Ok(message) => write!(words, "{message:?}"),
                    Err(error) => return words + &error.to_string(),
                },
            }
        } else {
            match messages.next_fixed(Run::read) {
                Some(run) => {
                    write!(words, "Run {} with {} bytes and {:?}", run.task(), run.bytes.len(), run.tail())
                }
                None => match messages.next::<ToWorker<'_>>() {
                    Ok(message) => write!(words, "{message:?}"),
                    Err(error) => return words + &error.to_string(),
                },
            }
        };
        told.expect("a text can be written to");
    }
    // Payloads are thousands of numbers.
    if words.len() > WORDS_BYTES_MAX {
        let cut = (0..=WORDS_BYTES_MAX).rev().find(|end| words.is_char_boundary(*end)).unwrap_or(0);
        words.truncate(cut);
        words.push('…');
    }
    words
}

/// More of a frame is not told.
const WORDS_BYTES_MAX: usize = 600;
