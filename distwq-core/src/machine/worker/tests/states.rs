//! The states of a worker's slots: when they are told of, what does not begin without
//! them, and how they end.

use super::groups::{EPOCH, MEMBERS};
use super::*;
use crate::task::recipe::Renewal;

/// A worker whose two slots have states.
fn with_states() -> Told {
    Told::with_settings(&Config::new().slots(2).init(|_| ()).untyped().settings())
}

impl Told {
    fn state_made(&mut self, failure: Option<&str>) -> Vec<String> {
        let failure = failure.map(str::to_owned);
        self.worker.handle(0, Input::StateMade { failure, took_ns: 5 }, &mut self.out);
        self.heard()
    }

    fn state_ended(&mut self, slot: u32, finals: &[Result<&[u8], &str>]) -> Vec<String> {
        let finals = finals.iter().map(|value| value.map(Payload::copy_of).map_err(str::to_owned)).collect();
        self.worker.handle(0, Input::StateEnded { slot: Slot(slot), finals }, &mut self.out);
        self.heard()
    }
}

#[test]
fn the_controller_hears_when_all_states_are_made_and_at_once_of_a_failure() {
    let mut worker = with_states();
    assert!(worker.worker.attends_to_states());
    assert!(worker.state_made(None).is_empty());
    assert_eq!(worker.state_made(None), [said(&ToController::StatesMade { failure: None })]);
    assert!(!worker.worker.attends_to_states());

    let mut worker = with_states();
    let failed = [said(&ToController::StatesMade { failure: Some("no model") })];
    assert_eq!(worker.state_made(Some("no model")), failed);
    assert!(worker.worker.attends_to_states(), "one may still be made");

    let mut worker = Told::new();
    assert!(!worker.worker.attends_to_states());
    worker.worker.handle(0, Input::StateLost { failure: "no model".to_owned() }, &mut worker.out);
    assert_eq!(worker.heard(), failed);
}

#[test]
fn what_has_not_begun_ends_when_a_state_is_missing_and_so_does_what_comes_later() {
    let mut worker = with_states();
    worker.say([run(7, &[]), run(8, &[]), run(9, &[(1, HELD)])]);
    assert_eq!(worker.next(), Some((Next::Begin, id(7))));
    worker.heard();
    let gone = |task: u32| format!("Init(\"gone\") of {task}");
    worker.say([ToWorker::Bar { failure: "gone" }]);
    worker.say([ToWorker::Bar { failure: "another reason" }]);
    assert_eq!((worker.heard(), worker.next()), (vec![gone(8)], None));
    worker.say([Said::from(value(1, &[5; 100])), run(10, &[])]);
    let mut heard = worker.heard();
    heard.sort();
    assert_eq!((heard, worker.next()), (vec![gone(10), gone(9)], None));
    worker.say([ToWorker::Stop { failed: false }]);
    assert!(matches!(worker.next(), Some((Next::Stop, _))));
}

#[test]
fn a_member_ends_when_it_is_to_enter_without_a_state() {
    let mut worker = with_states();
    worker.join(MEMBERS, &[]);
    worker.say([ToWorker::Bar { failure: "gone" }]);
    assert_eq!(worker.heard(), [said(&ToController::Ready { epoch: EPOCH })]);
    worker.say([ToWorker::Enter { epoch: EPOCH }]);
    assert_eq!((worker.heard(), worker.next()), (vec!["Init(\"gone\") of 9".to_owned()], None));
    assert_eq!(worker.worker.groups.len(), 0);
}

#[test]
fn a_member_is_for_the_first_slot_alone() {
    let mut worker = with_states();
    worker.say([run(8, &[])]);
    assert!(!worker.worker.is_for_first_slot());
    worker.join(MEMBERS, &[]);
    worker.say([ToWorker::Enter { epoch: EPOCH }]);
    assert!(worker.worker.is_for_first_slot());
    worker.next();
    assert!(!worker.worker.is_for_first_slot());
}

#[test]
fn a_state_that_nobody_asks_for_and_that_cannot_be_finished_is_told_in_the_end() {
    let mut worker = with_states();
    worker.say([ToWorker::Stop { failed: false }]);
    for failure in ["no sum", "no mean"] {
        let failure = failure.to_owned();
        worker.worker.handle(0, Input::StateNotFinished { failure }, &mut worker.out);
    }
    worker.worker.handle(0, Input::Finished, &mut worker.out);
    assert_eq!(worker.heard(), [said(&ToController::Stopped { failure: Some("no sum") })]);
}

#[test]
fn states_end_when_they_are_asked_for_and_are_told_together() {
    let mut worker = with_states();
    worker.state_made(None);
    worker.state_made(None);
    let wanted = |worker: &Told| [0, 1].map(|slot| worker.worker.wants_final(Slot(slot)));
    assert_eq!(wanted(&worker), [false; 2]);
    worker.say([ToWorker::Finish]);
    assert_eq!((wanted(&worker), worker.worker.attends_to_states()), ([true; 2], true));
    assert!(worker.state_ended(1, &[Ok(&[3]), Err("no sum")]).is_empty());
    assert_eq!(wanted(&worker), [true, false]);
    worker.say([ToWorker::Finish]);
    assert_eq!(wanted(&worker), [true, false], "asked for again");
    let values = vec![Ok(Blob::Inline(&[2])), Ok(Blob::Inline(&[3])), Err("no sum")];
    assert_eq!(worker.state_ended(0, &[Ok(&[2])]), [said(&ToController::Finals { values })]);
    assert_eq!((wanted(&worker), worker.worker.attends_to_states()), ([false; 2], false));
}

#[test]
fn a_state_that_is_not_made_anew_in_time_ends_the_task_that_waits_for_it() {
    let config = Config::new().slots(2).init(|_| ()).untyped();
    let limits = config.init_limit(Duration::from_millis(5)).finish_limit(Duration::from_millis(2));
    let mut worker = Told::with_settings(&limits.settings());
    worker.say([run(7, &[])]);
    assert_eq!(worker.next(), Some((Next::Begin, id(7))));
    worker.heard();
    let pass = |worker: &mut Told, at: Ns, slot: u32, by: Option<Renewal>| {
        worker.worker.handle(at, Input::Renews { slot: Slot(slot), by }, &mut worker.out);
        worker.worker.next_deadline()
    };
    // The first slot is done with `finish`, and hangs in `init`.
    assert_eq!(pass(&mut worker, 1_000, 0, Some(Renewal::Finish)), Some(2_001_000));
    assert_eq!(pass(&mut worker, 2_000, 0, Some(Renewal::Init)), Some(5_002_000));
    // The second one is in time.
    assert_eq!(pass(&mut worker, 3_000, 1, Some(Renewal::Finish)), Some(2_003_000));
    assert_eq!(pass(&mut worker, 4_000, 1, None), Some(5_002_000));
    worker.worker.handle(5_001_999, Input::TurnEnds, &mut worker.out);
    assert!(worker.heard().is_empty());
    worker.worker.handle(5_002_000, Input::TurnEnds, &mut worker.out);
    let text = "init has not returned within the init limit of 5 ms, where the state of slot 0 was to be made anew";
    let overran = ToController::Overran { task: id(7), started_ns: 0, failure: Some(text) };
    assert_eq!(worker.heard(), [said(&ToController::StatesMade { failure: Some(text) }), said(&overran)]);
    assert_eq!(take(&mut worker.out.cancelled), [(Slot(0), id(7))]);
    assert_eq!(worker.worker.next_deadline(), None, "that is told once");
}
