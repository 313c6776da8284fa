//! What the members of a group do in one attempt, and what must become of it.

use super::content::Content;
use super::random::Random;
use crate::function::remote::Failure;
use crate::id::GroupKey;
use crate::machine::Ns;
use crate::task::group::Operation;

/// One thing that a member does.
#[derive(Clone, Debug)]
pub(super) enum Step {
    Compute(Ns),
    Send {
        to: usize,
        key: GroupKey,
        content: Content,
    },
    Receive {
        from: usize,
        key: GroupKey,
        /// What it must be; nothing if it is never sent.
        content: Option<Content>,
    },
    /// Asks for the raw communicator.
    Raw,
    Fail(Failure),
}

/// What must become of an attempt.
#[derive(Clone, PartialEq, Debug)]
pub(super) enum Outcome {
    /// All members leave with success.
    Good,
    /// A member fails by itself with this, and only that is told.
    Fails(Failure),
    /// A member leaves while another waits for it.
    Left,
    /// Members wait for each other.
    Deadlock,
    /// Two members are in different operations.
    Mismatch,
}

impl Outcome {
    /// What the error of a task that ended so must say.
    pub(super) fn text(&self) -> String {
        match self {
            Self::Good => String::new(),
            Self::Fails(failure) => failure_text(failure).to_owned(),
            Self::Left => "has returned, but this one still waits".to_owned(),
            Self::Deadlock => "a deadlock in the group".to_owned(),
            Self::Mismatch => "all members call the same operations in the same order".to_owned(),
        }
    }

    /// Whether no further attempt follows.
    pub(super) fn is_final(&self) -> bool {
        matches!(self, Self::Fails(Failure::Decode { .. }))
    }
}

/// The text that a failure was made with.
pub(super) fn failure_text(failure: &Failure) -> &str {
    match failure {
        Failure::Returned(text)
        | Failure::Panicked(text)
        | Failure::Encode(text)
        | Failure::Input(text)
        | Failure::Group(text)
        | Failure::Init(text)
        | Failure::Lost(text)
        | Failure::Asks { message: text, .. }
        | Failure::Decode { message: text, .. } => text,
        Failure::Limit { .. } => "",
        Failure::Joining { failure, .. } => failure_text(failure),
    }
}

/// A failure of a function.
pub(super) fn any_failure(random: &mut Random, is_final: bool, text: String) -> Failure {
    if is_final {
        return Failure::Decode { parameter: 0, message: text };
    }
    match random.below(3) {
        0 => Failure::Returned(text),
        1 => Failure::Panicked(text),
        _ => Failure::Encode(text),
    }
}

/// One attempt of a group.
#[derive(Clone, Debug)]
pub(super) struct Script {
    /// By member, what it does.
    pub(super) members: Vec<Vec<Step>>,
    pub(super) outcome: Outcome,
    /// How many messages each member sends each other.
    sent: Vec<Vec<u64>>,
    operations: u64,
}

/// A message that was sent and not yet received.
struct Pending {
    from: usize,
    to: usize,
    key: GroupKey,
    content: Content,
}

impl Script {
    /// One in which all goes well: messages are thought of one after another, each
    /// received after it was sent, so there is an order in which nobody waits for ever.
    pub(super) fn good(random: &mut Random, width: usize, name: u64) -> Self {
        let mut script = Self {
            members: vec![Vec::new(); width],
            outcome: Outcome::Good,
            sent: vec![vec![0; width]; width],
            operations: 0,
        };
        let mut pending = Vec::new();
        for message in 0..random.below(3 * width as u64 + 1) {
            match random.below(10) {
                0 => script.barrier(),
                1 | 2 => script.compute(random),
                3 if random.percent(10) => script.members[random.below(width as u64) as usize].push(Step::Raw),
                _ => pending.push(script.send(random, name << 8 | message)),
            }
            if random.percent(50) {
                script.receive_some(random, &mut pending);
            }
        }
        while !pending.is_empty() && random.percent(85) {
            script.receive_some(random, &mut pending);
        }
        if random.percent(20) {
            script.barrier();
        }
        script
    }

    /// The same with a fault in it.
    pub(super) fn bad(random: &mut Random, width: usize, name: u64, text: String) -> Self {
        let mut script = Self::good(random, width, name);
        match random.below(5) {
            0 if script.leave_early(random) => script.outcome = Outcome::Left,
            2 if width > 1 => {
                script.disagree(random);
                script.outcome = Outcome::Mismatch;
            }
            1 => {
                script.wait_in_a_circle(random);
                script.outcome = Outcome::Deadlock;
            }
            _ => {
                let is_final = random.percent(10);
                let failure = any_failure(random, is_final, text);
                let steps = &mut script.members[random.below(width as u64) as usize];
                steps.truncate(random.below(steps.len() as u64 + 1) as usize);
                steps.push(Step::Fail(failure.clone()));
                script.outcome = Outcome::Fails(failure);
            }
        }
        script
    }

    fn width(&self) -> usize {
        self.members.len()
    }

    fn compute(&mut self, random: &mut Random) {
        let member = random.below(self.width() as u64) as usize;
        let ns = if random.percent(4) { random.up_to(1_500_000_000) } else { random.up_to(1_000_000) };
        self.members[member].push(Step::Compute(ns));
    }

    fn send(&mut self, random: &mut Random, number: u64) -> Pending {
        let from = random.below(self.width() as u64) as usize;
        let to = random.below(self.width() as u64) as usize;
        let key = self.next_key(from, to);
        self.sent[from][to] += 1;
        let bytes = if random.percent(10) { 17_000 } else { random.below(100) };
        let content = Content::new(number, bytes);
        self.members[from].push(Step::Send { to, key, content: content.clone() });
        Pending { from, to, key, content }
    }

    /// The key of the next message from one member to another.
    fn next_key(&self, from: usize, to: usize) -> GroupKey {
        GroupKey { operation: Operation::Message as u8, sequence: self.sent[from][to], round: 0 }
    }

    /// The first message of some pair is received.
    fn receive_some(&mut self, random: &mut Random, pending: &mut Vec<Pending>) {
        if pending.is_empty() {
            return;
        }
        let any = &pending[random.below(pending.len() as u64) as usize];
        let first = pending.iter().position(|other| (other.from, other.to) == (any.from, any.to));
        let Pending { from, to, key, content } = pending.remove(first.expect("the one itself is there"));
        self.members[to].push(Step::Receive { from, key, content: Some(content) });
    }

    /// All members meet, as `Group::barrier` has them do.
    fn barrier(&mut self) {
        let (width, sequence) = (self.width(), self.operations);
        self.operations += 1;
        let (mut distance, mut round) = (1, 0);
        while distance < width {
            let key = GroupKey { operation: Operation::Barrier as u8, sequence, round };
            for (member, steps) in self.members.iter_mut().enumerate() {
                steps.push(Step::Send { to: (member + distance) % width, key, content: Content::Nothing });
                let from = (member + width - distance) % width;
                steps.push(Step::Receive { from, key, content: Some(Content::Nothing) });
            }
            (distance, round) = (distance * 2, round + 1);
        }
    }

    /// A member returns before it sends what another waits for. False if nobody waits for
    /// any.
    fn leave_early(&mut self, random: &mut Random) -> bool {
        let mut cuts = Vec::new();
        for (member, steps) in self.members.iter().enumerate() {
            for (at, step) in steps.iter().enumerate() {
                if let Step::Send { to, key, .. } = step
                    && *to != member
                    && self.receives(*to, member, *key)
                {
                    cuts.push((member, at));
                }
            }
        }
        let Some((member, at)) = random.pick(&cuts).copied() else { return false };
        self.members[member].truncate(at);
        true
    }

    fn receives(&self, member: usize, sender: usize, wanted: GroupKey) -> bool {
        let waits = |step: &Step| matches!(step, Step::Receive { from, key, .. } if (*from, *key) == (sender, wanted));
        self.members[member].iter().any(waits)
    }

    /// Some members wait for each other in the end; the others return, or wait for one of
    /// these.
    fn wait_in_a_circle(&mut self, random: &mut Random) {
        let width = self.width();
        let mut members: Vec<usize> = (0..width).collect();
        for index in 0..width {
            members.swap(index, index + random.below((width - index) as u64) as usize);
        }
        let size = width.min(2 + random.below(width as u64) as usize);
        for index in 0..size {
            self.wait_for_nothing(members[index], members[(index + 1) % size]);
        }
        for &other in &members[size..] {
            if random.percent(50) {
                self.wait_for_nothing(other, members[random.below(size as u64) as usize]);
            }
        }
    }

    /// All members meet in the end, but one of them means another operation.
    fn disagree(&mut self, random: &mut Random) {
        let (width, sequence) = (self.width(), self.operations);
        let odd = random.below(width as u64) as usize;
        let key = |member| {
            let operation = if member == odd { Operation::Gather } else { Operation::Barrier };
            GroupKey { operation: operation as u8, sequence, round: 0 }
        };
        for (member, steps) in self.members.iter_mut().enumerate() {
            let (to, from) = ((member + 1) % width, (member + width - 1) % width);
            let content = (key(from) == key(member)).then_some(Content::Nothing);
            steps.push(Step::Send { to, key: key(member), content: Content::Nothing });
            steps.push(Step::Receive { from, key: key(member), content });
        }
    }

    /// A member waits for a message that the other does not send.
    fn wait_for_nothing(&mut self, member: usize, from: usize) {
        let key = self.next_key(from, member);
        self.members[member].push(Step::Receive { from, key, content: None });
    }
}
