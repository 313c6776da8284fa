//! What a worker knows of one group that it is a member of: the messages that have come,
//! and who has left.

use super::task::Task;
use crate::codec::Payload;
use crate::id::{GroupKey, Rank, TaskId};
use crate::machine::Ns;
use crate::task::group::{GroupError, Operation};
use crate::wire::members::Members;
use crate::wire::message::WaitReport;
use rustc_hash::FxHashMap;
use smallvec::SmallVec;

/// A member's side of a group, from its `Run` until the member's part of the task has
/// ended; and then what is left of it until the next group begins here, for members that
/// wait for this one.
///
/// It costs what the member does: nothing of it is there for each member of the group.
#[derive(Debug)]
pub(crate) struct Membership {
    pub(crate) members: Members,
    pub(crate) index: usize,
    /// The id of the task.
    pub(crate) id: TaskId,
    /// The task, from when its inputs are here until its member begins.
    pub(crate) task: Option<Task>,
    /// Whether this member has begun.
    pub(crate) entered: bool,
    /// Whether it has asked for the raw communicator.
    pub(crate) raw: bool,
    /// Whether the task was cancelled before this member has begun.
    pub(crate) cancelled: bool,
    /// Messages that have come and were not taken.
    inbox: FxHashMap<(usize, GroupKey), Payload>,
    /// By number in the order of operations, in which operations these messages are, but
    /// for those from member to member, which have an order of their own.
    operations: FxHashMap<u64, SmallVec<[Untaken; 1]>>,
    /// The members with which it has exchanged something.
    peers: FxHashMap<usize, Peer>,
    /// What it has exchanged with all of them.
    sent: u64,
    received: u64,
    failed: Option<GroupError>,
    /// What the member waits for, and when it has to say so next.
    awaits: Option<Await>,
    /// What it has said that it waits for, while it does.
    waits: Option<(usize, GroupKey)>,
    /// The next wait is told after so long.
    told_after_ns: Ns,
    /// What the controller was told last.
    told: Option<WaitReport>,
}

/// A wait of a member.
#[derive(Clone, Copy, Debug)]
struct Await {
    from: usize,
    key: GroupKey,
    told_at: Ns,
}

/// Messages of one operation that have come and were not taken.
#[derive(Clone, Copy, Debug)]
struct Untaken {
    operation: u8,
    /// Who has sent the first of them.
    member: usize,
    count: usize,
}

/// A member that waits for this long says so, so that a circle of waits is found, and
/// that it waits for one that has left. Twice as long after each such wait that has ended
/// by itself: a group that waits often is not to tell it often.
const WAIT_TOLD_FIRST_NS: Ns = 50_000_000;

/// At most so long.
const WAIT_TOLD_MAX_NS: Ns = 800_000_000;

/// It says so again after this time if it has exchanged something meanwhile.
const WAIT_TOLD_AGAIN_NS: Ns = 1_000_000_000;

#[derive(Clone, Default, Debug)]
struct Peer {
    sent: u64,
    received: u64,
    /// How many messages the peer had sent to this member when it left.
    left_after: Option<u64>,
}

impl Membership {
    pub(crate) fn new(id: TaskId, members: Members, index: usize) -> Self {
        Self {
            members,
            index,
            id,
            task: None,
            entered: false,
            raw: false,
            cancelled: false,
            inbox: FxHashMap::default(),
            operations: FxHashMap::default(),
            peers: FxHashMap::default(),
            sent: 0,
            received: 0,
            failed: None,
            awaits: None,
            waits: None,
            told_after_ns: WAIT_TOLD_FIRST_NS,
            told: None,
        }
    }

    /// A message has come.
    pub(crate) fn arrived(&mut self, from: usize, key: GroupKey, bytes: Payload) {
        self.received += 1;
        self.peers.entry(from).or_default().received += 1;
        if key.operation != Operation::Message as u8 {
            let operations = self.operations.entry(key.sequence).or_default();
            match operations.iter_mut().find(|untaken| untaken.operation == key.operation) {
                Some(untaken) => untaken.count += 1,
                None => operations.push(Untaken { operation: key.operation, member: from, count: 1 }),
            }
        }
        self.inbox.insert((from, key), bytes);
    }

    /// Takes a message that has come.
    fn take_out(&mut self, from: usize, key: GroupKey) -> Option<Payload> {
        let payload = self.inbox.remove(&(from, key))?;
        if let Some(operations) = self.operations.get_mut(&key.sequence) {
            operations
                .iter_mut()
                .filter(|untaken| untaken.operation == key.operation)
                .for_each(|untaken| untaken.count -= 1);
            operations.retain(|untaken| untaken.count > 0);
            if operations.is_empty() {
                self.operations.remove(&key.sequence);
            }
        }
        Some(payload)
    }

    /// A member has left without an error.
    pub(crate) fn left(&mut self, member: usize, sent: u64) {
        self.peers.entry(member).or_default().left_after = Some(sent);
    }

    /// A member has failed.
    pub(crate) fn member_failed(&mut self, member: usize, message: &str) {
        self.failed.get_or_insert_with(|| GroupError::MemberFailed { member, message: message.to_owned() });
    }

    /// A message is about to be sent to `to`; not if a member has failed.
    pub(crate) fn sending(&mut self, to: usize) -> Result<Rank, GroupError> {
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        self.sent += 1;
        self.peers.entry(to).or_default().sent += 1;
        Ok(self.members.rank(to))
    }

    /// How many messages were sent to a member.
    pub(crate) fn sent_to(&self, member: usize) -> u64 {
        self.peers.get(&member).map_or(0, |peer| peer.sent)
    }

    /// This member leaves the group.
    pub(crate) fn leaves(&mut self) {
        self.end_wait();
        (self.inbox, self.operations) = (FxHashMap::default(), FxHashMap::default());
    }

    /// A message has come to this member, which has left. Whether the controller has to
    /// be told, because it has asked.
    pub(crate) fn arrived_late(&mut self) -> bool {
        self.received += 1;
        self.told.is_some()
    }

    /// Why no operation of the group can succeed any more.
    pub(crate) fn failure(&self) -> Option<&GroupError> {
        self.failed.as_ref()
    }

    /// The member waits for this message from now on, until [`take`](Self::take) gives
    /// something.
    pub(crate) fn begin_wait(&mut self, now: Ns, from: usize, key: GroupKey) {
        if !self.is_awaiting(from, key) {
            self.awaits = Some(Await { from, key, told_at: now + self.told_after_ns });
        }
    }

    /// Whether it is known that the member waits for this message.
    pub(crate) fn is_awaiting(&self, from: usize, key: GroupKey) -> bool {
        self.awaits.is_some_and(|known| (known.from, known.key) == (from, key))
    }

    /// The member waits for nothing.
    pub(crate) fn end_wait(&mut self) {
        if self.waits.take().is_some() {
            self.told_after_ns = (2 * self.told_after_ns).min(WAIT_TOLD_MAX_NS);
        }
        self.awaits = None;
    }

    /// When the member is next to say that it waits for long.
    pub(crate) fn next_deadline(&self) -> Option<Ns> {
        self.awaits.map(|awaits| awaits.told_at)
    }

    /// What it has to say now, if it waits for long.
    pub(crate) fn overdue_report(&mut self, now: Ns, epoch: u64) -> Option<WaitReport> {
        let awaits = self.awaits.as_mut().filter(|awaits| awaits.told_at <= now)?;
        awaits.told_at = now + WAIT_TOLD_AGAIN_NS;
        self.waits = Some((awaits.from, awaits.key));
        let report = self.now(epoch);
        let is_known = match &self.told {
            Some(told) => report == WaitReport { answers: None, ..told.clone() },
            None => report.on.is_none(),
        };
        (!is_known).then(|| self.tell(report))
    }

    /// What the member waits for, and what it has exchanged; the answer to `AskWait` of
    /// this round, if it is one.
    pub(crate) fn wait_report(&mut self, epoch: u64, answers: Option<u32>) -> WaitReport {
        let report = WaitReport { answers, ..self.now(epoch) };
        self.tell(report)
    }

    fn now(&self, epoch: u64) -> WaitReport {
        // What ends the wait ends it at once, also while the member's thread has not
        // looked yet.
        let on = self
            .waits
            .filter(|(from, key)| !self.inbox.contains_key(&(*from, *key)) && self.why_never(*from, *key).is_none());
        let on = on.map(|(from, key)| (from as u32, key));
        WaitReport { epoch, on, sent: self.sent, received: self.received, answers: None }
    }

    fn tell(&mut self, report: WaitReport) -> WaitReport {
        self.told = Some(report.clone());
        report
    }

    /// The members wait for each other: no operation can succeed any more.
    pub(crate) fn deadlocked(&mut self, waits: &str) {
        self.failed.get_or_insert_with(|| GroupError::Deadlock { waits: waits.to_owned() });
    }

    /// The message of `from` with this key, if it has come or cannot come any more. Then
    /// the member does not wait any more, from this very moment: one that computes must
    /// never be counted among those that wait.
    pub(crate) fn take(&mut self, from: usize, key: GroupKey) -> Option<Result<Payload, GroupError>> {
        let taken = self.look_for(from, key)?;
        self.end_wait();
        Some(taken)
    }

    fn look_for(&mut self, from: usize, key: GroupKey) -> Option<Result<Payload, GroupError>> {
        if let Some(payload) = self.take_out(from, key) {
            return Some(Ok(payload));
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
            // What a member sends itself is here at once, and while it waits it sends
            // nothing.
            let operation = Operation::name_of(key.operation);
            let waits = format!("member {from} waits for itself in {operation}, and has sent itself nothing more");
            return Some(GroupError::Deadlock { waits });
        }
        let peer = self.peers.get(&from)?;
        (peer.left_after == Some(peer.received))
            .then(|| GroupError::MemberLeft { member: from, operation: Operation::name_of(key.operation) })
    }

    /// Who is in another operation, and in which, at the number in the order where this
    /// member is in that of `key`. It need not be the member that this one waits for:
    /// that one may wait for somebody else. Messages from member to member have an order
    /// of their own.
    fn other_operation(&self, key: GroupKey) -> Option<(usize, u8)> {
        let message = Operation::Message as u8;
        if key.operation == message {
            return None;
        }
        let other = self.operations.get(&key.sequence)?.iter().find(|untaken| untaken.operation != key.operation);
        other.map(|untaken| (untaken.member, untaken.operation))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member_of_two() -> Membership {
        Membership::new(TaskId::new(0, 0), Members::of([Rank(1), Rank(2)]), 0)
    }

    fn key(sequence: u64) -> GroupKey {
        GroupKey { operation: Operation::Message as u8, sequence, round: 0 }
    }

    /// What the member, which waits for this message of the other one, has to say now, if
    /// it has: what it waits for.
    #[expect(clippy::option_option, reason = "it may say that it does not wait")]
    fn says(member: &mut Membership, now: Ns, key: GroupKey) -> Option<Option<(u32, GroupKey)>> {
        member.begin_wait(now, 1, key);
        member.overdue_report(now, 1).map(|report| report.on)
    }

    #[test]
    fn a_member_that_has_taken_its_message_does_not_wait_any_more() {
        let mut member = member_of_two();
        assert!(member.take(1, key(0)).is_none());
        assert_eq!(says(&mut member, 0, key(0)), None, "it has just begun");
        assert_eq!(says(&mut member, WAIT_TOLD_FIRST_NS, key(0)), Some(Some((1, key(0)))));
        assert_eq!(says(&mut member, WAIT_TOLD_FIRST_NS, key(0)), None, "it has said so");
        assert_eq!(member.wait_report(1, Some(1)).on, Some((1, key(0))));
        member.arrived(1, key(0), Payload::EMPTY);
        assert!(matches!(member.take(1, key(0)), Some(Ok(_))));
        assert_eq!(member.wait_report(1, Some(2)).on, None);
    }

    #[test]
    fn a_member_says_again_that_it_waits_only_if_something_has_come_meanwhile() {
        let mut member = member_of_two();
        says(&mut member, 0, key(0));
        assert!(says(&mut member, WAIT_TOLD_FIRST_NS, key(0)).is_some());
        let again = WAIT_TOLD_FIRST_NS + WAIT_TOLD_AGAIN_NS;
        assert_eq!(says(&mut member, again, key(0)), None);
        member.arrived(1, key(3), Payload::EMPTY);
        assert_eq!(says(&mut member, again + WAIT_TOLD_AGAIN_NS, key(0)), Some(Some((1, key(0)))));
    }

    #[test]
    fn a_member_whose_message_has_come_does_not_wait_though_its_thread_has_not_taken_it() {
        let mut member = member_of_two();
        says(&mut member, 0, key(0));
        says(&mut member, WAIT_TOLD_FIRST_NS, key(0));
        member.arrived(1, key(0), Payload::EMPTY);
        assert_eq!(member.wait_report(1, Some(1)).on, None);
        says(&mut member, WAIT_TOLD_FIRST_NS + WAIT_TOLD_AGAIN_NS, key(0));
        assert_eq!(member.wait_report(1, None).on, None);
    }

    #[test]
    fn the_next_wait_is_told_later_if_the_last_one_ended_by_itself() {
        let mut member = member_of_two();
        let mut now = 0;
        for told_after in [1, 2, 4, 8, 16, 16].map(|times| times * WAIT_TOLD_FIRST_NS) {
            let sequence = now;
            assert_eq!(says(&mut member, now, key(sequence)), None);
            assert_eq!(says(&mut member, now + told_after - 1, key(sequence)), None);
            now += told_after;
            assert_eq!(says(&mut member, now, key(sequence)), Some(Some((1, key(sequence)))));
            member.arrived(1, key(sequence), Payload::EMPTY);
            assert!(matches!(member.take(1, key(sequence)), Some(Ok(_))));
        }
    }

    #[test]
    fn a_member_whose_peer_has_left_does_not_wait_though_its_thread_has_not_looked() {
        let mut member = member_of_two();
        says(&mut member, 0, key(0));
        assert_eq!(says(&mut member, WAIT_TOLD_FIRST_NS, key(0)), Some(Some((1, key(0)))));
        member.left(1, 1);
        assert_eq!(member.wait_report(1, None).on, Some((1, key(0))), "its last message is on its way");
        member.arrived(1, key(1), Payload::EMPTY);
        assert_eq!(member.wait_report(1, Some(1)).on, None, "it is no deadlock but that the peer has left");
        assert!(matches!(member.take(1, key(0)), Some(Err(GroupError::MemberLeft { member: 1, .. }))));
    }

    #[test]
    fn a_member_that_has_left_tells_what_comes_late_once_it_was_asked() {
        let mut member = member_of_two();
        assert_eq!(member.sending(1), Ok(Rank(2)));
        member.leaves();
        assert!(!member.arrived_late());
        let report = member.wait_report(1, Some(1));
        assert_eq!((report.on, report.sent, report.received), (None, 1, 1));
        assert!(member.arrived_late());
        assert_eq!(member.wait_report(1, None).received, 2);
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

    /// This message of an operation, by its number in the order of operations.
    fn in_operation(operation: Operation, sequence: u64, round: u32) -> GroupKey {
        GroupKey { operation: operation as u8, sequence, round }
    }

    #[test]
    fn who_is_in_another_operation_is_noticed_until_all_its_messages_are_taken() {
        let mut member = member_of_two();
        let (barrier, gather) = (Operation::Barrier, Operation::Gather);
        for round in [0, 1] {
            member.arrived(1, in_operation(barrier, 5, round), Payload::EMPTY);
        }
        let mismatch = |member: &mut Membership, key| match member.take(1, key) {
            Some(Err(GroupError::Mismatch { member, here, there })) => Some((member, here, there)),
            None => None,
            other => panic!("{other:?}"),
        };
        let expected = Some((1, Operation::name_of(gather as u8), Operation::name_of(barrier as u8)));
        for round in [0, 1] {
            assert_eq!(mismatch(&mut member, in_operation(gather, 5, 0)), expected, "round {round} is there");
            assert_eq!(mismatch(&mut member, in_operation(gather, 6, 0)), None, "that is another number");
            assert_eq!(mismatch(&mut member, key(5)), None, "messages have an order of their own");
            assert!(matches!(member.take(1, in_operation(barrier, 5, round)), Some(Ok(_))));
        }
        assert_eq!(mismatch(&mut member, in_operation(gather, 5, 0)), None);
        member.arrived(1, key(7), Payload::EMPTY);
        assert_eq!(mismatch(&mut member, in_operation(gather, 7, 0)), None);
    }

    #[test]
    fn what_is_sent_is_counted_for_each_member_and_nothing_goes_after_a_failure() {
        let mut member = member_of_two();
        for to in [1, 0, 1, 1] {
            assert_eq!(member.sending(to), Ok(Rank(to as u32 + 1)));
        }
        member.member_failed(1, "first");
        member.member_failed(0, "second");
        member.deadlocked("third");
        let first = GroupError::MemberFailed { member: 1, message: "first".to_owned() };
        assert_eq!((member.sending(1), member.failure()), (Err(first.clone()), Some(&first)));
        assert_eq!([0, 1, 2].map(|to| member.sent_to(to)), [1, 3, 0]);
        assert_eq!(member.wait_report(1, None).sent, 4);
    }

    #[test]
    fn a_wait_is_told_at_a_time_that_is_set_when_it_begins() {
        let mut member = member_of_two();
        member.begin_wait(10, 1, key(0));
        member.begin_wait(20, 1, key(0));
        assert_eq!(member.next_deadline(), Some(10 + WAIT_TOLD_FIRST_NS), "it is the same one");
        member.begin_wait(30, 1, key(1));
        assert_eq!(member.next_deadline(), Some(30 + WAIT_TOLD_FIRST_NS));
        let now = 40 + WAIT_TOLD_FIRST_NS;
        assert!(member.overdue_report(now, 1).is_some());
        assert_eq!(member.next_deadline(), Some(now + WAIT_TOLD_AGAIN_NS));
        member.end_wait();
        assert_eq!(member.next_deadline(), None);
    }

    #[test]
    fn what_was_said_in_an_answer_is_not_said_again() {
        let mut member = member_of_two();
        says(&mut member, 0, key(0));
        assert!(says(&mut member, WAIT_TOLD_FIRST_NS, key(0)).is_some());
        assert_eq!(member.wait_report(1, Some(3)).answers, Some(3));
        assert_eq!(says(&mut member, WAIT_TOLD_FIRST_NS + WAIT_TOLD_AGAIN_NS, key(0)), None);
        // Who has not said anything does not say that it does not wait.
        let mut member = member_of_two();
        says(&mut member, 0, key(0));
        member.arrived(1, key(0), Payload::EMPTY);
        assert_eq!(says(&mut member, WAIT_TOLD_FIRST_NS, key(0)), None);
    }
}
