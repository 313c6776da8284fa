//! How attempts end, what ends the run, and what time changes.

use super::*;
use crate::wire::report::Report;

#[test]
fn each_failure_makes_the_error_that_says_what_it_is_and_is_tried_again_if_that_may_help() {
    let text = || "the text".to_owned();
    type IsIt = fn(&TaskError) -> bool;
    let table: [(Failure, IsIt, bool); 7] = [
        (Failure::Returned(text()), |error| matches!(error, TaskError::Failed { .. }), true),
        (Failure::Panicked(text()), |error| matches!(error, TaskError::Panicked { .. }), true),
        (
            Failure::Decode { parameter: 1, message: text() },
            |error| matches!(error, TaskError::Codec { message, .. } if message.contains("argument 2")),
            false,
        ),
        (Failure::Encode(text()), |error| matches!(error, TaskError::Codec { .. }), true),
        (Failure::Input(text()), |error| matches!(error, TaskError::ValueLost { .. }), true),
        (Failure::Group(text()), |error| matches!(error, TaskError::Group { .. }), true),
        (Failure::Init(text()), |error| matches!(error, TaskError::Init { .. }), false),
    ];
    for (failure, is_it, is_tried_again) in table {
        for retries in [0, 1] {
            let mut play = Play::with_workers(&[W3]);
            play.out.notices.want(true);
            let task = play.add(&SINGLE, &[], retries);
            play.told();
            play.done(W3, task, Err(failure.clone()));
            let goes_on = is_tried_again && retries > 0;
            assert_eq!((play.told().len(), play.error(task).is_none()), (usize::from(goes_on), goes_on), "{failure:?}");
            let retried =
                Notice::Retried { task: play.controller.named(task), attempt: 1, rank: W3, error: failure.to_string() };
            assert_eq!(play.out.notices.take(), if goes_on { vec![retried] } else { vec![] });
            if goes_on {
                play.done(W3, task, Err(failure.clone()));
            }
            let error = play.error(task).expect("it has no attempt left");
            let attempts = 1 + u32::from(goes_on);
            assert!(is_it(&error) && error.to_string().contains("the text"), "{error}");
            assert_eq!(error.site().map(|site| (site.rank, site.attempts)), Some((Some(W3), attempts)));
        }
    }
}

#[test]
fn what_is_known_of_an_attempt_is_over_when_the_next_one_begins() {
    let mut play = Play::with_workers(&[W3]);
    let task = play.add(&SINGLE, &[], 1);
    let times = |play: &Play| {
        let info = play.controller.info(task).expect("it has not gone");
        (info.attempts, info.started_ns, info.finished_ns)
    };
    play.done_at(W3, task, (5, 4), false, Err(Failure::Returned("it fails".to_owned())));
    assert_eq!(times(&play), (2, None, None));
    play.now = 30;
    play.tell(Input::Lost { rank: W3 });
    assert_eq!(times(&play), (2, None, Some(30)));
}

#[test]
fn a_report_that_makes_no_sense_ends_the_run_with_its_sender() {
    let unreadable = |play: &mut Play| match play.out.take_halt() {
        Some(Halt::Unreadable { from, error }) => (from, error.0),
        other => panic!("{other:?}"),
    };
    let mut play = Play::with_workers(&[W3]);
    play.finish(W1, TaskId::new(0, 1));
    assert_eq!(unreadable(&mut play), (W1, "it is no worker".to_owned()));
    play.finish(W3, TaskId::new(0, 1));
    let not_given = "it tells the end of an attempt that it was not given";
    assert_eq!(unreadable(&mut play), (W3, not_given.to_owned()));
    play.add(&SINGLE, &[], 0);
    play.tell(Input::Frame { from: W3, frame: &Frame { body: vec![1, 2, 3], attachments: Vec::new() } });
    assert_eq!(unreadable(&mut play).0, W3);
    let mut frame = Frame::default();
    attempt::push(&mut frame.body, DoneFields::new(TaskId::new(0, 9), 1, 1), |_| true, None);
    // The state is not checked: after that, nothing that the worker says counts.
    play.controller.handle(1, Input::Frame { from: W3, frame: &frame }, &mut play.out);
    let (from, error) = unreadable(&mut play);
    assert!(from == W3 && error.starts_with("there is no task"), "{error}");
}

/// One worker runs dry, the other one is silent.
#[test]
fn as_time_passes_work_is_asked_back_and_given_to_who_has_none() {
    let mut play = Play::new();
    play.out.notices.want(true);
    let tasks = play.fill();
    let dry = tasks[0].0;
    let silent = other(dry);
    let ahead = tasks.iter().rev().find(|(rank, _)| *rank == silent).expect("each has two").1;
    tasks.iter().filter(|(rank, _)| *rank == dry).for_each(|(rank, task)| play.finish(*rank, *task));
    assert_eq!(play.controller.next_deadline(), Some(1_000_001));
    play.now = 1_000_001;
    play.tell(Input::TurnEnds);
    let take_back = format!("{:?}", Some(ToWorker::TakeBack { tasks: vec![ahead] }));
    assert_eq!(play.told(), [(silent, take_back)]);
    play.say(silent, &ToController::Returned { tasks: vec![ahead] });
    assert_eq!((play.told(), play.controller.in_flight()), (vec![(dry, run(ahead))], 2));
    let told = [Notice::AskedBack { rank: silent, count: 1 }, Notice::Returned { rank: silent, count: 1 }];
    assert_eq!(play.out.notices.take(), told);
    play.tell(Input::Stop { failed: true });
    assert_eq!(play.controller.next_deadline(), None, "time changes nothing after the end");
}

/// A failed attempt is measured like any other: it took a tenth of a millisecond, and
/// twenty of these are sent ahead.
#[test]
fn how_long_a_failed_attempt_ran_is_learned() {
    let mut play = Play::with_workers(&[W3]);
    let [first, ..] = [(); 40].map(|()| play.add(&SINGLE, &[], 0));
    assert_eq!(play.controller.in_flight(), 2);
    play.done_at(W3, first, (7_000_000_000, 100_000), false, Err(Failure::Returned("it fails".to_owned())));
    assert_eq!(play.controller.in_flight(), 1 + 20);
}

/// Each loss settles what was asked of that worker.
#[test]
fn reports_are_complete_when_all_that_live_have_answered() {
    for is_lost_first in [true, false] {
        let mut play = Play::new();
        assert!(play.controller.has_reports(), "none was asked for");
        play.tell(Input::ReportsWanted);
        assert!(!play.controller.has_reports());
        let report = ToController::Report(Report::default());
        let steps: [fn(&mut Play, &ToController<'_>); 2] =
            [|play, report| play.say(W1, report), |play, _| drop(play.lose(W2))];
        let steps = if is_lost_first { [steps[1], steps[0]] } else { steps };
        steps[0](&mut play, &report);
        assert_eq!((play.controller.has_reports(), play.woken()), (false, vec![]));
        steps[1](&mut play, &report);
        assert_eq!((play.controller.has_reports(), play.woken()), (true, vec![Awaited::Reports]));
        play.tell(Input::ReportsWanted);
        assert!(!play.controller.has_reports());
        play.say(W1, &report);
        assert!(play.controller.has_reports(), "who is lost is not asked");
    }
}

#[test]
fn the_first_word_of_the_close_tells_what_is_left_and_no_phase_goes_back() {
    let mut play = Play::new();
    play.out.notices.want(true);
    play.add(&SINGLE, &[], 0);
    for _ in 0..2 {
        play.tell(Input::Closing);
    }
    assert_eq!(play.out.notices.take(), [Notice::Closing { pending: 1 }]);
    assert_eq!(
        (play.controller.is_closing(), play.controller.is_over(), play.controller.is_closed()),
        (true, false, false)
    );
    play.told();
    play.tell(Input::Exit);
    assert_eq!(play.told(), [W1, W2].map(|rank| (rank, "Some(Exit)".to_owned())));
    play.tell(Input::Closing);
    assert_eq!(
        (play.controller.is_closing(), play.controller.is_over(), play.controller.is_closed()),
        (true, true, false)
    );
    play.tell(Input::Closed);
    assert!(play.controller.is_closed() && play.controller.is_over());
}
