//! What a worker knows of one group that it is a member of: the messages that have come, and who has left.

use super::task::Task;
use crate::codec::Payload;
use crate::id::{GroupKey, Rank, TaskId};
use crate::machine::Ns;
use crate::task::group::{GroupError, Operation};
use crate::wire::message::WaitReport;

/// A member's side of a group, from `Prepare` until the member's part of the task has ended.
#[derive(Debug)]
pub(crate) struct Membership {
    pub(crate) members: Vec<Rank>,
    pub(crate) index: usize,
    /// The id of the task.
    pub(crate) id: TaskId,
    /// The task, from when its inputs are here until its member begins.
    pub(crate) task: Option<Task>,
    /// Whether this member has begun.
    pub(crate) entered: bool,
    /// Whether it has asked for the raw communicator.
    pub(crate) raw: bool,
    inbox: Vec<(usize, GroupKey, Payload)>,
    peers: Vec<Peer>,
    failed: Option<GroupError>,
    /// What the member waits for, and when it has to say so next.
    awaits: Option<Await>,
    /// What it has said that it waits for, while it does.
    waits: Option<(usize, GroupKey)>,
}

/// A wait of a member.
#[derive(Clone, Copy, Debug)]
struct Await {
    from: usize,
    key: GroupKey,
    told_at: Ns,
}

/// A member that waits for this long says so, so that a circle of waits is found.
const WAIT_TOLD_FIRST_NS: Ns = 200_000_000;

/// It says so again from time to time, as others may have left meanwhile.
const WAIT_TOLD_AGAIN_NS: Ns = 1_000_000_000;

#[derive(Clone, Default, Debug)]
struct Peer {
    sent: u64,
    received: u64,
    /// How many messages the peer had sent to this member when it left.
    left_after: Option<u64>,
}

impl Membership {
    pub(crate) fn new(id: TaskId, members: Vec<Rank>, index: usize) -> Self {
        let peers = vec![Peer::default(); members.len()];
        Self {
            members,
            index,
            id,
            task: None,
            entered: false,
            raw: false,
            inbox: Vec::new(),
            peers,
            failed: None,
            awaits: None,
            waits: None,
        }
    }

    pub(crate) fn member(&self, rank: Rank) -> Option<usize> {
        self.members.iter().position(|member| *member == rank)
    }

    /// A message has come.
    pub(crate) fn arrived(&mut self, from: usize, key: GroupKey, bytes: Payload) {
        self.peers[from].received += 1;
        self.inbox.push((from, key, bytes));
    }

    /// A member has left, with an error or without.
    pub(crate) fn left(&mut self, member: usize, sent: u64, failure: Option<&str>) {
        self.peers[member].left_after = Some(sent);
        if let Some(message) = failure {
            self.failed.get_or_insert_with(|| GroupError::MemberFailed { member, message: message.to_owned() });
        }
    }

    /// A message is about to be sent to `to`; not if a member has failed.
    pub(crate) fn sending(&mut self, to: usize) -> Result<Rank, GroupError> {
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        self.peers[to].sent += 1;
        Ok(self.members[to])
    }

    /// How many messages were sent to a member.
    pub(crate) fn sent_to(&self, member: usize) -> u64 {
        self.peers[member].sent
    }

    /// Why no operation of the group can succeed any more.
    pub(crate) fn failure(&self) -> Option<&GroupError> {
        self.failed.as_ref()
    }

    /// The member waits for this message from now on, until [`take`](Self::take) gives something.
    pub(crate) fn begin_wait(&mut self, now: Ns, from: usize, key: GroupKey) {
        if !self.awaits.is_some_and(|known| (known.from, known.key) == (from, key)) {
            self.awaits = Some(Await { from, key, told_at: now + WAIT_TOLD_FIRST_NS });
        }
    }

    /// The member waits for nothing.
    pub(crate) fn end_wait(&mut self) {
        (self.awaits, self.waits) = (None, None);
    }

    /// When the member is next to say that it waits for long.
    pub(crate) fn next_deadline(&self) -> Option<Ns> {
        self.awaits.map(|awaits| awaits.told_at)
    }

    /// Whether it has to say so now.
    pub(crate) fn waits_for_long(&mut self, now: Ns) -> bool {
        let Some(awaits) = self.awaits.as_mut().filter(|awaits| awaits.told_at <= now) else { return false };
        awaits.told_at = now + WAIT_TOLD_AGAIN_NS;
        self.waits = Some((awaits.from, awaits.key));
        true
    }

    /// What the member waits for, and what it has exchanged.
    pub(crate) fn wait_report(&self, epoch: u64, answers: bool) -> WaitReport {
        let counts = |count: fn(&Peer) -> u64| self.peers.iter().map(count).collect();
        WaitReport {
            epoch,
            // What ends the wait ends it at once, also while the member's thread has not looked yet.
            on: self
                .waits
                .filter(|(from, key)| self.position(*from, *key).is_none() && self.why_never(*from, *key).is_none())
                .map(|(from, key)| (from as u32, key)),
            sent: counts(|peer| peer.sent),
            received: counts(|peer| peer.received),
            left_after: self.peers.iter().map(|peer| peer.left_after).collect(),
            answers,
        }
    }

    /// The members wait for each other: no operation can succeed any more.
    pub(crate) fn deadlocked(&mut self, waits: &str) {
        self.failed.get_or_insert_with(|| GroupError::Deadlock { waits: waits.to_owned() });
    }

    /// The message of `from` with this key, if it has come or cannot come any more. Then the member does not wait any
    /// more, from this very moment: one that computes must never be counted among those that wait.
    pub(crate) fn take(&mut self, from: usize, key: GroupKey) -> Option<Result<Payload, GroupError>> {
        let taken = self.look_for(from, key)?;
        self.end_wait();
        Some(taken)
    }

    fn look_for(&mut self, from: usize, key: GroupKey) -> Option<Result<Payload, GroupError>> {
        if let Some(position) = self.position(from, key) {
            return Some(Ok(self.inbox.swap_remove(position).2));
        }
        self.why_never(from, key).map(Err)
    }

    /// Why a message that is not here cannot come any more, if so.
    fn why_never(&self, from: usize, key: GroupKey) -> Option<GroupError> {
        if let Some(error) = &self.failed {
            return Some(error.clone());
        }
        if let Some((member, other)) = self.other_operation(key) {
            return Some(GroupError::Mismatch {
                member,
                here: Operation::name_of(key.operation),
                there: Operation::name_of(other),
            });
        }
        if from == self.index {
            // What a member sends itself is here at once, and while it waits it sends nothing.
            let operation = Operation::name_of(key.operation);
            let waits = format!("member {from} waits for itself in {operation}, and has sent itself nothing more");
            return Some(GroupError::Deadlock { waits });
        }
        let peer = &self.peers[from];
        (peer.left_after == Some(peer.received))
            .then(|| GroupError::MemberLeft { member: from, operation: Operation::name_of(key.operation) })
    }

    /// Where the message of `from` with this key lies in the inbox.
    fn position(&self, from: usize, key: GroupKey) -> Option<usize> {
        self.inbox.iter().position(|(sender, other, _)| *sender == from && *other == key)
    }

    /// Who is in another operation, and in which, at the place in the order where this member is in that of `key`.
    /// It need not be the member that this one waits for: that one may wait for somebody else. Messages from member
    /// to member have an order of their own.
    fn other_operation(&self, key: GroupKey) -> Option<(usize, u8)> {
        let message = Operation::Message as u8;
        if key.operation == message {
            return None;
        }
        let other = self.inbox.iter().find(|(_, other, _)| {
            other.sequence == key.sequence && other.operation != key.operation && other.operation != message
        });
        other.map(|(member, other, _)| (*member, other.operation))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member_of_two() -> Membership {
        Membership::new(TaskId::new(0, 0), vec![Rank(1), Rank(2)], 0)
    }

    fn key(sequence: u64) -> GroupKey {
        GroupKey { operation: Operation::Message as u8, sequence, round: 0 }
    }

    /// Whether the member, which waits for this message of the other one, has to say now that it waits for long.
    fn waits_for_long(member: &mut Membership, now: Ns, key: GroupKey) -> bool {
        member.begin_wait(now, 1, key);
        member.waits_for_long(now)
    }

    #[test]
    fn a_member_that_has_taken_its_message_does_not_wait_any_more() {
        let mut member = member_of_two();
        assert!(member.take(1, key(0)).is_none());
        assert!(!waits_for_long(&mut member, 0, key(0)), "it has just begun");
        assert!(waits_for_long(&mut member, WAIT_TOLD_FIRST_NS, key(0)));
        assert!(!waits_for_long(&mut member, WAIT_TOLD_FIRST_NS, key(0)), "it has said so");
        assert_eq!(member.wait_report(1, true).on, Some((1, key(0))));
        member.arrived(1, key(0), Payload::EMPTY);
        assert!(matches!(member.take(1, key(0)), Some(Ok(_))));
        assert_eq!(member.wait_report(1, true).on, None);
    }

    #[test]
    fn a_member_whose_message_has_come_does_not_wait_though_its_thread_has_not_taken_it() {
        let mut member = member_of_two();
        waits_for_long(&mut member, 0, key(0));
        waits_for_long(&mut member, WAIT_TOLD_FIRST_NS, key(0));
        member.arrived(1, key(0), Payload::EMPTY);
        assert_eq!(member.wait_report(1, true).on, None);
        let again = WAIT_TOLD_FIRST_NS + WAIT_TOLD_AGAIN_NS;
        assert!(waits_for_long(&mut member, again, key(0)));
        assert_eq!(member.wait_report(1, false).on, None);
        waits_for_long(&mut member, again, key(1));
        waits_for_long(&mut member, again + WAIT_TOLD_FIRST_NS, key(1));
        assert_eq!(member.wait_report(1, false).on, Some((1, key(1))));
    }

    #[test]
    fn a_member_whose_peer_has_left_does_not_wait_though_its_thread_has_not_looked() {
        let mut member = member_of_two();
        waits_for_long(&mut member, 0, key(0));
        waits_for_long(&mut member, WAIT_TOLD_FIRST_NS, key(0));
        assert_eq!(member.wait_report(1, false).on, Some((1, key(0))));
        member.left(1, 1, None);
        assert_eq!(member.wait_report(1, false).on, Some((1, key(0))), "its last message is on its way");
        member.arrived(1, key(1), Payload::EMPTY);
        assert_eq!(member.wait_report(1, true).on, None, "it is no deadlock but that the peer has left");
        assert!(matches!(member.take(1, key(0)), Some(Err(GroupError::MemberLeft { member: 1, .. }))));
    }

    #[test]
    fn a_message_of_oneself_that_was_not_sent_will_never_come() {
        let mut member = member_of_two();
        assert_eq!(member.sending(0), Ok(Rank(1)));
        member.arrived(0, key(0), Payload::EMPTY);
        assert!(matches!(member.take(0, key(0)), Some(Ok(_))));
        let Some(Err(GroupError::Deadlock { waits })) = member.take(0, key(1)) else {
            panic!("it has sent itself one message only");
        };
        assert!(waits.starts_with("member 0 waits for itself in recv"), "{waits}");
    }
}
