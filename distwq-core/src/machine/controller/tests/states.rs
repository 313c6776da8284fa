//! The states of slots: when all are made, whom a failure is told to, and what they are
//! made to.

use super::*;
use crate::codec::frame::Blob;

fn with_states() -> Play {
    Play::with_config(&[W1, W2], Config::new().init(|_| ()).untyped())
}

impl Play {
    fn made(&mut self, from: Rank, failure: Option<&str>) {
        self.say(from, &ToController::StatesMade { failure });
    }

    fn finals(&self) -> Option<Result<Vec<Vec<u8>>, FinishError>> {
        let bytes = |payloads: Vec<Payload>| payloads.iter().map(|payload| payload.as_slice().to_vec()).collect();
        self.controller.finals().map(|finals| finals.map(bytes))
    }
}

#[test]
fn states_are_made_when_all_workers_have_said_so() {
    assert!(Play::new().controller.are_states_made(), "there are none");
    let mut play = with_states();
    for (rank, all) in [(W2, false), (W1, true)] {
        assert!(!play.controller.are_states_made());
        play.made(rank, None);
        assert_eq!((play.controller.are_states_made(), play.woken().contains(&Awaited::States)), (all, all));
    }
    assert_eq!((play.told(), play.controller.init_failure()), (vec![], None));
}

#[test]
fn nobody_waits_for_the_states_of_a_lost_worker() {
    let mut play = with_states();
    play.made(W1, None);
    play.woken();
    play.tell(Input::Lost { rank: W2 });
    assert!(play.controller.are_states_made() && play.woken().contains(&Awaited::States));

    let mut play = with_states();
    play.tell(Input::FinalsWanted);
    play.say(W1, &ToController::Finals { values: vec![Ok(Blob::Inline(&[2]))] });
    play.woken();
    play.tell(Input::Lost { rank: W2 });
    assert!(play.woken().contains(&Awaited::States));
    assert_eq!(play.finals(), Some(Ok(vec![vec![2]])));
}

#[test]
fn the_first_failure_is_told_to_all_workers_with_its_site() {
    let mut play = with_states();
    play.made(W2, Some("no model"));
    assert!(play.controller.are_states_made());
    assert_eq!(play.woken(), [Awaited::States]);
    let failure = "init failed on rank 2 (host host2): no model";
    let bar = format!("{:?}", Some(ToWorker::Bar { failure }));
    assert_eq!(play.told(), [(W1, bar.clone()), (W2, bar)]);
    play.made(W1, Some("another reason"));
    play.tell(Input::StatesOverdue { limit_ms: 5 });
    assert_eq!((play.told(), play.controller.init_failure()), (vec![], Some(failure)));
    assert_eq!(play.finals(), Some(Err(FinishError::Init { message: failure.to_owned() })));
}

#[test]
fn past_the_limit_those_are_named_whose_states_are_not_made() {
    let mut play = with_states();
    play.made(W1, None);
    play.tell(Input::StatesOverdue { limit_ms: 5 });
    let failure = "init has not returned within the init limit of 5 ms on rank 2 (host host2)";
    assert_eq!((play.told().len(), play.controller.init_failure()), (2, Some(failure)));
    assert!(play.controller.who_is_busy().contains("rank 2 (host host2), where `init` has not returned"));

    let mut play = with_states();
    play.made(W1, None);
    play.made(W2, None);
    play.tell(Input::StatesOverdue { limit_ms: 5 });
    assert_eq!(play.controller.init_failure(), None, "they came in time");
}

#[test]
fn what_the_states_are_made_to_is_in_the_order_of_the_workers() {
    let mut play = with_states();
    play.made(W1, None);
    play.made(W2, None);
    play.tell(Input::FinalsWanted);
    let finish = format!("{:?}", Some(ToWorker::Finish));
    assert_eq!(play.told(), [(W1, finish.clone()), (W2, finish)]);
    play.say(W2, &ToController::Finals { values: vec![Ok(Blob::Inline(&[3])), Ok(Blob::Inline(&[4]))] });
    assert_eq!((play.finals(), &*play.controller.unfinished()), (None, "rank 1 (host host1)"));
    play.say(W1, &ToController::Finals { values: vec![Ok(Blob::Inline(&[2]))] });
    assert_eq!(play.finals(), Some(Ok(vec![vec![2], vec![3], vec![4]])));
    assert!(play.woken().contains(&Awaited::States));
}

#[test]
fn a_state_that_cannot_be_finished_is_told_with_its_site() {
    let mut play = with_states();
    play.say(W1, &ToController::Finals { values: vec![] });
    play.say(W2, &ToController::Finals { values: vec![Ok(Blob::Inline(&[3])), Err("no sum"), Err("no mean")] });
    let site = "rank 2 (host host2)".to_owned();
    assert_eq!(play.finals(), Some(Err(FinishError::Failed { site, message: "no sum".to_owned() })));
}

#[test]
fn a_state_that_cannot_be_finished_after_the_end_is_told_with_its_site() {
    let mut play = with_states();
    play.tell(Input::Stop { failed: false });
    let unended = |play: &Play| play.controller.has_unended_states();
    play.say(W2, &ToController::Stopped { failure: Some("no sum") });
    assert!(unended(&play));
    play.say(W1, &ToController::Stopped { failure: Some("no mean") });
    let failure = "a state of rank 2 (host host2) could not be finished: no sum";
    assert_eq!((unended(&play), play.controller.finish_failure()), (false, Some(failure)));

    let mut play = Play::new();
    play.tell(Input::Stop { failed: false });
    assert!(!unended(&play), "there are no states");
}

#[test]
fn what_is_not_here_when_the_run_is_over_never_comes() {
    let mut play = with_states();
    play.tell(Input::Stop { failed: false });
    assert_eq!(play.finals(), Some(Err(FinishError::Closed)));
}
