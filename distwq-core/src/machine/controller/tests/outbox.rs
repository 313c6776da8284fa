//! What waits in the outbox, and for how long.

use super::*;
use crate::codec::frame::ATTACHED_BYTES_MIN;

const FIRST: WorkerId = WorkerId::new(0);
const SECOND: WorkerId = WorkerId::new(1);

fn outbox() -> Outbox {
    Outbox::new([W1, W2].into_iter())
}

#[test]
fn messages_to_a_worker_gather_until_they_are_many_or_flushed() {
    let mut out = outbox();
    for _ in 1..BATCH_COUNT {
        out.post(FIRST, &ToWorker::Report);
        assert_eq!((out.outgoing.is_empty(), out.has_unsent()), (true, true));
    }
    out.post(FIRST, &ToWorker::Report);
    assert_eq!((out.outgoing.is_empty(), out.has_unsent()), (false, false));
    out.post(SECOND, &ToWorker::Report);
    assert!(out.has_unsent());
    out.flush();
    assert!(!out.has_unsent());
    out.flush();
    assert_eq!(receivers(&mut out), [W1, W2], "a frame each");
}

#[test]
fn a_lost_worker_gets_neither_what_waited_for_it_nor_anything_later() {
    let mut out = outbox();
    for worker in [FIRST, SECOND] {
        out.post(worker, &ToWorker::Report);
        out.flush_to(worker);
        out.post(worker, &ToWorker::Report);
    }
    out.lose(FIRST);
    assert!(out.has_unsent(), "what is for the other one");
    out.post(FIRST, &ToWorker::Report);
    out.flush_to(SECOND);
    assert!(!out.has_unsent());
    out.lose(SECOND);
    assert!(!out.has_unsent());
    out.flush();
    assert_eq!(receivers(&mut out), []);
}

#[test]
fn nothing_is_said_after_the_end() {
    let mut out = outbox();
    out.post(FIRST, &ToWorker::Report);
    out.close();
    out.post(SECOND, &ToWorker::Report);
    out.flush();
    assert_eq!((out.has_unsent(), receivers(&mut out)), (false, vec![W1]));
}

#[test]
fn the_first_reason_to_end_is_the_one_that_is_told() {
    let mut out = outbox();
    for text in ["one", "two"] {
        out.halt(Halt::Stuck(text.to_owned()));
    }
    assert!(matches!(out.take_halt(), Some(Halt::Stuck(text)) if text == "one"));
    assert!(out.take_halt().is_none());
}

/// A user that adds one task may wait for it next. Those of a graph are many.
#[test]
fn one_task_that_a_user_adds_goes_at_once_to_a_worker_that_had_nothing() {
    let begin = || {
        let mut play = Play::with_workers(&[W3]);
        play.now = LONG_NS;
        play
    };
    let mut play = begin();
    play.add(&SINGLE, &[], 0);
    assert_eq!(receivers(&mut play.out), [W3]);
    play.now += LONG_NS;
    play.add(&SINGLE, &[], 0);
    assert_eq!(receivers(&mut play.out), [], "it had one");
    let mut play = begin();
    let size = GraphSize { tasks: 1, values: 0, dependencies: 0, inputs_room: 0 };
    play.tell(Input::GraphBegins { size, cancels: false });
    let origin = play.out.graph_run.take().map_or(Origin::Alone, Origin::Graph);
    play.add_new(&NewTask { origin, ..plain(&SINGLE) });
    play.tell(Input::GraphEnds);
    assert_eq!(receivers(&mut play.out), []);
    play.tell(Input::TurnEnds);
    assert_eq!(receivers(&mut play.out), [W3]);
}

#[test]
fn a_task_that_waits_for_another_one_does_not_hurry_that() {
    let mut play = Play::new();
    play.now = LONG_NS;
    let a = play.add(&SINGLE, &[], 0);
    assert_eq!(receivers(&mut play.out).len(), 1);
    play.now += LONG_NS;
    play.add(&SINGLE, &[a], 0);
    assert_eq!(receivers(&mut play.out), []);
}

/// To whom the frames go that lie in an outbox.
fn receivers(out: &mut Outbox) -> Vec<Rank> {
    let mut receivers = Vec::new();
    out.outgoing.take(&mut receivers, |receivers, to, _| receivers.push(to), |_| Vec::new());
    receivers
}

/// Each is told in the turn in which a task with large arguments starts again.
#[test]
fn what_no_later_message_may_overtake_goes_without_payloads_that_are_large() {
    let again = Options { retries: 1, ..Options::default() };
    let begin = |remote| {
        let mut play = Play::new();
        let plain = Encoded::Many(Payload::copy_of(&[7; ATTACHED_BYTES_MIN]));
        play.tell(Input::Task { new: &NewTask { options: Some(&again), ..super::plain(remote) }, plain });
        let task = play.out.added;
        let members = play.members_of(task);
        (play, task, members)
    };
    let (mut lost, _, members) = begin(&SINGLE);
    lost.tell(Input::Lost { rank: members[0] });
    let (mut group, task, members) = begin(&GROUP);
    group.kept(members[0], task);
    group.done_at(members[1], task, (1, 1), true, Err(Failure::Returned("it fails".to_owned())));
    for (mut play, told) in [(lost, &["Lost"][..]), (group, &["FreeGroup", "Forget"])] {
        let frames: Vec<_> = play.frames().into_iter().map(|(_, frame)| frame).collect();
        assert!(frames.iter().any(|frame| !frame.attachments.is_empty()), "the task starts again");
        for message in told {
            let is_told = |frame: &&Frame| texts(frame).iter().any(|text| text.contains(message));
            let mut with: Vec<_> = frames.iter().filter(is_told).collect();
            assert!(!with.is_empty(), "{message} is told");
            with.retain(|frame| !frame.attachments.is_empty());
            assert!(with.is_empty(), "{message} is told beside something large");
        }
    }
}
