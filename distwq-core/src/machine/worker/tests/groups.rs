//! A worker as a member of a group: how it begins, exchanges messages, waits and leaves.

use super::*;
use crate::task::group::Operation;

/// The other members, which the test plays as well.
const SECOND: Rank = Rank(2);
const THIRD: Rank = Rank(3);
pub(super) const MEMBERS: [Rank; 3] = [WORKER, SECOND, THIRD];
pub(super) const EPOCH: u64 = 7;

impl Told {
    /// It has to run task 9 as a member of this group.
    pub(super) fn join(&mut self, members: [Rank; 3], inputs: &[(u32, Source<'_>)]) {
        let members = Members::of(members).encoded();
        let mut frame = Frame::default();
        push_run_in(&mut frame.body, 9, inputs, Some(GroupOfRun { epoch: EPOCH, members: &members }));
        self.receive(&frame);
    }

    /// It does so, as the first of its members or another one.
    fn member(members: [Rank; 3]) -> (Self, Attempt) {
        let mut worker = Self::new();
        worker.join(members, &[]);
        worker.say([ToWorker::Enter { epoch: EPOCH }]);
        let mut attempt = Attempt::NONE;
        worker.worker.handle(0, Input::Begin { slot: SLOT, attempt: &mut attempt }, &mut worker.out);
        assert_eq!((attempt.parts().0.id, attempt.parts().1), (id(9), Some(EPOCH)));
        worker.heard();
        (worker, attempt)
    }

    fn end(&mut self, attempt: &mut Attempt) {
        self.worker.handle(0, Input::Ended { slot: SLOT, attempt }, &mut self.out);
    }

    /// Another rank says this.
    fn hear(&mut self, from: Rank, message: ToPeer<'_>) {
        let mut frame = Frame::default();
        frame.push(&ToWorker::Peer(message));
        self.worker.handle(0, Input::Frame { from, frame: &frame }, &mut self.out);
    }

    /// What it says to other workers, with the receivers, as text.
    fn said_to_others(&mut self) -> Vec<(Rank, String)> {
        let mut frames = Vec::new();
        self.out.outgoing.take(&mut frames, |frames, to, frame| frames.push((to, frame)), |_| Vec::new());
        let text = |frame: &Frame| format!("{:?}", Messages::of(frame).next::<ToWorker<'_>>().expect("it decodes"));
        frames.iter().map(|(to, frame)| (*to, text(frame))).collect()
    }

    fn send(&mut self, to: usize, sequence: u64) -> Result<(), GroupError> {
        self.worker.send_in_group(EPOCH, to, key(sequence), &Payload::copy_of(&[5; 3]), &mut self.out)
    }

    fn take_from(&mut self, from: usize, sequence: u64) -> Option<Result<usize, GroupError>> {
        let taken = self.worker.take_in_group(EPOCH, from, key(sequence))?;
        Some(taken.map(|payload| payload.len()))
    }
}

fn key(sequence: u64) -> GroupKey {
    GroupKey { operation: Operation::Message as u8, sequence, round: 0 }
}

fn message(sequence: u64) -> ToPeer<'static> {
    ToPeer::Group { epoch: EPOCH, key: key(sequence), bytes: Blob::Inline(&[5; 4]) }
}

fn waits(on: Option<(u32, GroupKey)>, (sent, received): (u64, u64), answers: Option<u32>) -> String {
    said(&ToController::Waits(crate::wire::message::WaitReport { epoch: EPOCH, on, sent, received, answers }))
}

#[test]
fn a_member_is_ready_when_its_inputs_are_here_and_begins_before_others_when_told_to() {
    let mut worker = Told::new();
    worker.say([run(8, &[])]);
    worker.join(MEMBERS, &[(1, HELD)]);
    assert!(worker.heard()[0].contains("Fetch"));
    worker.say([value(1, &[5; 100])]);
    assert_eq!(worker.heard(), [said(&ToController::Ready { epoch: EPOCH })]);
    worker.say([ToWorker::Enter { epoch: EPOCH + 1 }]);
    assert_eq!(worker.worker.ready(), 1, "that is another group");
    worker.say([ToWorker::Enter { epoch: EPOCH }]);
    assert_eq!(worker.worker.index_in_group(EPOCH), (0, 3));
    worker.say([ToWorker::TakeBack { tasks: vec![id(9)] }]);
    assert_eq!([worker.next(), worker.next()], [Some((Next::Begin, id(9))), Some((Next::Begin, id(8)))]);
}

#[test]
fn messages_of_members_are_sent_and_taken_once() {
    let (mut worker, _) = Told::member([SECOND, WORKER, THIRD]);
    assert_eq!(worker.worker.index_in_group(EPOCH), (1, 3));
    assert_eq!([worker.send(0, 0), worker.send(1, 0), worker.send(2, 4)], [Ok(()), Ok(()), Ok(())]);
    let sent = |sequence| {
        let bytes = Blob::Inline(&[5; 3]);
        format!("{:?}", Some(ToWorker::Peer(ToPeer::Group { epoch: EPOCH, key: key(sequence), bytes })))
    };
    assert_eq!(worker.said_to_others(), [(SECOND, sent(0)), (THIRD, sent(4))]);
    assert_eq!(worker.take_from(1, 0), Some(Ok(3)), "what it sends itself is here at once");
    assert_eq!(worker.take_from(2, 0), None);
    worker.hear(THIRD, message(0));
    worker.hear(Rank(77), message(1));
    assert_eq!([worker.take_from(0, 0), worker.take_from(2, 0), worker.take_from(2, 0)], [None, Some(Ok(4)), None]);
}

#[test]
fn a_member_that_waits_for_long_says_so_and_answers_when_asked() {
    let (mut worker, mut attempt) = Told::member(MEMBERS);
    assert_eq!(worker.worker.next_deadline(), None);
    worker.worker.handle(1_000, Input::Awaits { epoch: EPOCH, from: 2, key: key(3) }, &mut worker.out);
    assert_eq!(worker.worker.next_deadline(), Some(50_001_000));
    for (now, heard) in [(50_000_999, vec![]), (50_001_000, vec![waits(Some((2, key(3))), (0, 0), None)])] {
        worker.worker.handle(now, Input::TurnEnds, &mut worker.out);
        assert_eq!(worker.heard(), heard);
    }
    worker.say([ToWorker::AskWait { epoch: EPOCH, round: 4 }]);
    assert_eq!(worker.heard(), [waits(Some((2, key(3))), (0, 0), Some(4))]);
    worker.hear(THIRD, message(3));
    assert_eq!(worker.take_from(2, 3), Some(Ok(4)));
    assert_eq!((worker.worker.next_deadline(), worker.send(1, 0)), (None, Ok(())));
    worker.said_to_others();
    worker.end(&mut attempt);
    assert!(matches!(&worker.sent()[..], [frame] if frame.attachments.is_empty()));
    // One that has left still tells how much has come, and again if more does.
    worker.say([ToWorker::AskWait { epoch: EPOCH, round: 5 }]);
    assert_eq!(worker.heard(), [waits(None, (1, 1), Some(5))]);
    worker.hear(SECOND, message(9));
    assert_eq!(worker.heard(), [waits(None, (1, 2), None)]);
    worker.say([ToWorker::AskWait { epoch: EPOCH + 1, round: 6 }]);
    assert!(worker.heard().is_empty(), "it was in no such group");
}

#[test]
fn one_that_has_left_says_how_much_it_has_sent_to_those_that_wait_for_it() {
    let (mut worker, mut attempt) = Told::member(MEMBERS);
    assert_eq!([worker.send(1, 0), worker.send(1, 1)], [Ok(()), Ok(())]);
    let say_left = |to: &[u32]| ToWorker::SayLeft { epoch: EPOCH, to: to.to_vec() };
    worker.said_to_others();
    worker.say([say_left(&[1])]);
    assert_eq!(worker.said_to_others(), [], "it is still inside");
    worker.end(&mut attempt);
    worker.say([say_left(&[1, 2])]);
    let left = |sent| format!("{:?}", Some(ToWorker::Peer(ToPeer::GroupLeft { epoch: EPOCH, sent })));
    assert_eq!(worker.said_to_others(), [(SECOND, left(2)), (THIRD, left(0))]);
    assert!(worker.out.take_halt().is_none());
    worker.say([say_left(&[3])]);
    assert!(matches!(worker.out.take_halt(), Some(Halt::Unreadable { .. })), "there are three members");
}

#[test]
fn who_waits_for_a_message_of_one_that_has_left_hears_that_it_never_comes() {
    let (mut worker, _) = Told::member(MEMBERS);
    worker.hear(SECOND, message(0));
    worker.hear(SECOND, ToPeer::GroupLeft { epoch: EPOCH, sent: 2 });
    assert_eq!([worker.take_from(1, 0), worker.take_from(1, 1)], [Some(Ok(4)), None], "one is on its way");
    worker.hear(SECOND, message(1));
    assert_eq!(worker.take_from(1, 1), Some(Ok(4)));
    let left = GroupError::MemberLeft { member: 1, operation: "recv" };
    assert_eq!([worker.take_from(1, 2), worker.take_from(2, 0)], [Some(Err(left)), None]);
}

#[test]
fn after_the_failure_of_another_member_no_operation_succeeds_and_its_own_only_follows() {
    let (mut worker, mut attempt) = Told::member([SECOND, WORKER, THIRD]);
    worker.say([ToWorker::Leave { epoch: EPOCH, member: 2, failure: "it breaks" }]);
    assert_eq!(worker.heard(), [said(&ToController::Heard { epoch: EPOCH })]);
    let cause = GroupError::MemberFailed { member: 2, message: "it breaks".to_owned() };
    assert_eq!((worker.send(0, 0), worker.take_from(0, 0)), (Err(cause.clone()), Some(Err(cause.clone()))));
    assert_eq!(worker.worker.enter_raw(EPOCH).err(), Some(cause.clone()));
    attempt.failure = Some(Box::new(Failure::Returned("it could not go on".to_owned())));
    worker.end(&mut attempt);
    let failure = Failure::Group(cause.to_string());
    assert_eq!(worker.heard(), [format!("{failure:?} of 9")]);
}

#[test]
fn a_deadlock_ends_the_wait_of_a_member() {
    let (mut worker, _) = Told::member(MEMBERS);
    assert_eq!(worker.take_from(1, 0), None);
    worker.say([ToWorker::Deadlock { epoch: EPOCH, waits: "all of them" }]);
    let deadlock = GroupError::Deadlock { waits: "all of them".to_owned() };
    assert_eq!(worker.take_from(1, 0), Some(Err(deadlock)));
}

#[test]
fn after_a_failed_end_no_operation_of_a_group_goes_on() {
    let (mut worker, _) = Told::member(MEMBERS);
    worker.hear(SECOND, message(0));
    worker.say([ToWorker::Stop { failed: false }]);
    assert_eq!(worker.take_from(1, 0), Some(Ok(4)), "a good end does not disturb what runs");
    worker.say([ToWorker::Stop { failed: true }]);
    assert!(matches!(worker.take_from(1, 0), Some(Err(GroupError::Closed(_)))));
}

#[test]
fn a_group_that_does_not_begin_leaves_nothing_of_its_members_part() {
    for has_gathered in [true, false] {
        let mut worker = Told::new();
        worker.join(MEMBERS, if has_gathered { &[] } else { &[(1, HELD)] });
        worker.heard();
        worker.say([ToWorker::Leave { epoch: EPOCH, member: 1, failure: "it fails" }]);
        let failure = Failure::Group("the group did not begin".to_owned());
        let heard = [said(&ToController::Heard { epoch: EPOCH }), format!("{failure:?} of 9")];
        assert_eq!(worker.heard(), heard);
        worker.say([ToWorker::Enter { epoch: EPOCH }]);
        assert_eq!(worker.next(), None);
        assert_eq!(worker.worker.groups.len(), 0);
    }
}

#[test]
fn the_output_of_a_group_is_that_of_its_first_member() {
    for (members, bytes) in [(MEMBERS, 3), ([SECOND, WORKER, THIRD], 0), ([SECOND, THIRD, WORKER], 0)] {
        for raw in [false, true] {
            let (mut worker, mut attempt) = Told::member(members);
            if raw {
                let expected: Vec<Rank> = worker.worker.enter_raw(EPOCH).expect("nobody has failed").ranks().collect();
                assert_eq!(expected, members);
            }
            (0..3).for_each(|_| attempt.output.append_plain(&7_u8).expect("it has room"));
            worker.end(&mut attempt);
            let frame = worker.sent().pop().expect("its part has ended");
            let done = Messages::of(&frame).next_fixed(Done::read).expect("it tells of an attempt");
            let tail = done.tail().expect("it decodes");
            assert_eq!(tail.as_ref().is_some_and(|tail| tail.raw), raw);
            let given = match tail.map(|tail| tail.outcome.expect("it has succeeded")) {
                None => done.bytes.len(),
                Some(Given::Here(blob)) => frame.payload(blob).expect("it is whole").len(),
                Some(Given::Resident { .. }) => panic!("it is small"),
            };
            assert_eq!(given, bytes, "{members:?}, raw: {raw}");
        }
    }
}
