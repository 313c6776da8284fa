//! What comes in from one rank where messages have a size that they must not exceed:
//! decides which frame a piece belongs to, and in which order frames that become whole at
//! any time are handed over. The other end is [`Departures`](super::Departures).

use std::collections::VecDeque;

/// A frame on its way in.
pub(super) trait Incoming {
    /// Whether pieces of it have not been announced by the fabric yet.
    fn lacks_pieces(&self) -> bool;

    /// Whether all its bytes are here.
    fn is_complete(&mut self) -> bool;
}

/// Frames of one rank that have begun to come and are not handed over yet.
///
/// The fabric announces messages in the order in which they were sent, but their bytes
/// may be here in another. A frame without attachments is handed over after all others
/// without that were sent before it. One with attachments may be overtaken, but overtakes
/// nothing itself.
#[derive(Debug)]
pub(super) struct Arrivals<F> {
    /// Frames without attachments.
    plain: VecDeque<F>,
    /// Frames with attachments, each with how many of `plain` had begun before it.
    attached: VecDeque<(u64, F)>,
    begun: u64,
    handed_over: u64,
}

impl<F> Default for Arrivals<F> {
    fn default() -> Self {
        Self { plain: VecDeque::new(), attached: VecDeque::new(), begun: 0, handed_over: 0 }
    }
}

impl<F: Incoming> Arrivals<F> {
    pub(super) fn is_empty(&self) -> bool {
        self.plain.is_empty() && self.attached.is_empty()
    }

    /// Whether a frame without attachments that is here as a whole can be handed over at
    /// once.
    #[inline]
    pub(super) fn are_in_order(&self) -> bool {
        self.plain.is_empty()
    }

    /// A frame without attachments begins.
    pub(super) fn begin_plain(&mut self, frame: F) {
        self.begun += 1;
        self.plain.push_back(frame);
    }

    /// A frame with attachments begins.
    pub(super) fn begin_attached(&mut self, frame: F) {
        self.attached.push_back((self.begun, frame));
    }

    /// The frame to which a piece belongs: only the last of either kind may lack some.
    pub(super) fn lacking(&mut self) -> Option<&mut F> {
        let plain = self.plain.back_mut().filter(|frame| frame.lacks_pieces());
        let attached = self.attached.back_mut().map(|(_, frame)| frame);
        plain.or_else(|| attached.filter(|frame| frame.lacks_pieces()))
    }

    /// The next frame that can be handed over.
    pub(super) fn next(&mut self) -> Option<F> {
        if self.plain.front_mut().is_some_and(F::is_complete) {
            self.handed_over += 1;
            return self.plain.pop_front();
        }
        let (after, frame) = self.attached.front_mut()?;
        let can_go = *after <= self.handed_over && frame.is_complete();
        if can_go { self.attached.pop_front().map(|(_, frame)| frame) } else { None }
    }
}

#[cfg(test)]
mod tests {
    use super::super::departures::{Departures, Message, lengths};
    use super::*;
    use crate::codec::frame::Frame;

    const PIECE_BYTES: usize = 8;

    /// A frame whose bytes come when the test says so.
    #[derive(Debug)]
    struct Slow {
        lengths: Vec<usize>,
        bytes: Vec<u8>,
        /// Messages whose bytes are not here.
        pending: usize,
    }

    impl Slow {
        fn frame(&self) -> (Vec<u8>, usize) {
            (self.bytes[..self.lengths[0]].to_vec(), self.lengths.len() - 1)
        }
    }

    impl Incoming for Slow {
        fn lacks_pieces(&self) -> bool {
            self.bytes.len() < self.lengths.iter().sum()
        }

        fn is_complete(&mut self) -> bool {
            self.pending == 0 && !self.lacks_pieces()
        }
    }

    /// The fabric announces a message, whose bytes come later.
    fn announce(arrivals: &mut Arrivals<Slow>, message: &Message) {
        let bytes = message.bytes().to_vec();
        match message {
            Message::Frame(_) => arrivals.begin_plain(Slow { lengths: vec![bytes.len()], bytes, pending: 1 }),
            Message::Head(_) => {
                let frame = Slow { lengths: lengths(&bytes).collect(), bytes: Vec::new(), pending: 0 };
                if frame.lengths.len() == 1 { arrivals.begin_plain(frame) } else { arrivals.begin_attached(frame) }
            }
            Message::Piece(_) => {
                let frame = arrivals.lacking().expect("a piece belongs to a frame");
                frame.bytes.extend(bytes);
                frame.pending += 1;
            }
        }
    }

    /// A frame of `body_bytes` that begins with its number.
    fn frame(number: u8, body_bytes: usize, attachments: &[usize]) -> Frame {
        let attachments = attachments.iter().map(|&bytes| vec![number; bytes].into()).collect();
        Frame { body: vec![number; body_bytes], attachments }
    }

    fn next(arrivals: &mut Arrivals<Slow>) -> Option<(u8, usize)> {
        arrivals.next().map(|frame| {
            let (body, attachments) = frame.frame();
            assert!(frame.bytes.iter().all(|byte| *byte == body[0]), "{frame:?} has bytes of another");
            (body[0], attachments)
        })
    }

    #[test]
    fn a_frame_with_attachments_does_not_overtake_an_earlier_one_whose_bytes_come_later() {
        let (mut departures, mut arrivals) = (Departures::default(), Arrivals::default());
        departures.push(frame(1, PIECE_BYTES, &[]), PIECE_BYTES);
        departures.push(frame(2, 1, &[20]), PIECE_BYTES);
        while let Some(message) = departures.pop() {
            announce(&mut arrivals, &message);
        }
        arrivals.attached[0].1.pending = 0;
        assert_eq!(next(&mut arrivals), None, "the first frame is not here");
        arrivals.plain[0].pending = 0;
        assert_eq!([next(&mut arrivals), next(&mut arrivals)], [Some((1, 0)), Some((2, 1))]);
    }

    #[test]
    fn a_frame_without_attachments_is_not_overtaken_though_it_goes_in_pieces() {
        let (mut departures, mut arrivals) = (Departures::default(), Arrivals::default());
        departures.push(frame(1, 1, &[20]), PIECE_BYTES);
        announce(&mut arrivals, &departures.pop().expect("a head"));
        departures.push(frame(2, 3 * PIECE_BYTES, &[]), PIECE_BYTES);
        departures.push(frame(3, 1, &[]), PIECE_BYTES);
        while let Some(message) = departures.pop() {
            announce(&mut arrivals, &message);
        }
        arrivals.plain[1].pending = 0;
        arrivals.attached[0].1.pending = 0;
        assert_eq!(next(&mut arrivals), Some((1, 1)), "what is to be first, not what is small");
        assert_eq!(next(&mut arrivals), None);
        arrivals.plain[0].pending = 0;
        assert_eq!([next(&mut arrivals), next(&mut arrivals)], [Some((2, 0)), Some((3, 0))]);
    }

    /// The next number of a sequence without a pattern (splitmix64, Vigna 2015).
    fn random(state: &mut u64, below: usize) -> usize {
        *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = *state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) % below as u64) as usize
    }

    /// Sends frames of all kinds, whose messages go and whose bytes come at any time.
    /// Gives, in the order in which the frames came, their numbers and how many
    /// attachments they have.
    fn run(seed: u64) -> Vec<(u8, usize)> {
        let mut state = seed;
        let mut random = |below| random(&mut state, below);
        let (mut departures, mut arrivals) = (Departures::default(), Arrivals::default());
        let (mut sent, mut came) = (0, Vec::new());
        while sent < 40 || !departures.is_empty() || !arrivals.is_empty() {
            match random(4) {
                0 if sent < 40 => {
                    let attachments: Vec<_> = (0..random(3)).map(|_| random(4 * PIECE_BYTES)).collect();
                    departures.push(frame(sent, 1 + random(4 * PIECE_BYTES), &attachments), PIECE_BYTES);
                    sent += 1;
                }
                1 => match departures.pop() {
                    // It is small, and here at once.
                    Some(Message::Frame(bytes)) if arrivals.are_in_order() && random(2) == 0 => {
                        came.push((bytes[0], 0))
                    }
                    message => message.iter().for_each(|message| announce(&mut arrivals, message)),
                },
                2 => {
                    let Arrivals { plain, attached, .. } = &mut arrivals;
                    let mut coming: Vec<_> = plain.iter_mut().chain(attached.iter_mut().map(|(_, f)| f)).collect();
                    if !coming.is_empty() {
                        let some = random(coming.len());
                        coming[some].pending = coming[some].pending.saturating_sub(1);
                    }
                }
                _ => came.extend(next(&mut arrivals)),
            }
        }
        came
    }

    #[test]
    fn whenever_bytes_come_frames_keep_the_order_that_is_promised() {
        let only = std::env::var("DISTWQ_SEED").ok().map(|seed| seed.parse::<u64>().expect("DISTWQ_SEED is a number"));
        let mut overtaken = 0;
        for seed in only.map_or(0..500, |seed| seed..seed + 1) {
            let came = run(seed);
            let mut numbers: Vec<u8> = came.iter().map(|(number, _)| *number).collect();
            for (index, &(later, _)) in came.iter().enumerate() {
                let behind = came[index..].iter().filter(|(earlier, _)| *earlier < later);
                let wrong = behind.clone().find(|(_, attachments)| *attachments == 0);
                assert_eq!(wrong, None, "seed {seed}: it was overtaken by {later}: {came:?}");
                overtaken += behind.count();
            }
            numbers.sort_unstable();
            assert_eq!(numbers, (0..40).collect::<Vec<_>>(), "seed {seed}");
        }
        assert!(overtaken > 100 || only.is_some(), "only {overtaken} frames were overtaken");
    }
}
