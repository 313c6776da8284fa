//! Attempts from their `Run` to what the controller hears of them, and reports.

use super::*;
use crate::outcome::tally::Tally;
use crate::task::items::Items;
use crate::wire::report::{LongAttempt, Measured};

/// Task 1 with what few tasks say.
fn run_with(worker: &mut Told, label: Option<&str>, attempt: u32) {
    let mut frame = Frame::default();
    let tail = RunTail { label, attempt, ..RunTail::empty() };
    assert!(attempt::push(&mut frame.body, RunFields::new(id(1), FunctionId(0)), |_| true, Some(&tail)));
    worker.receive(&frame);
}

/// The first ready task begins at this time.
fn begin(worker: &mut Told, now: Ns) -> Attempt {
    let mut attempt = Attempt::NONE;
    worker.worker.handle(now, Input::Begin { slot: SLOT, attempt: &mut attempt }, &mut worker.out);
    attempt
}

/// It has ended.
fn end(worker: &mut Told, attempt: &mut Attempt) {
    worker.worker.handle(0, Input::Ended { slot: SLOT, attempt }, &mut worker.out);
}

#[test]
fn what_has_a_label_or_is_tried_again_is_described() {
    let table = [
        (None, 1, None),
        (Some("mine"), 1, Some((Some("mine"), 1))),
        (None, 2, Some((None, 2))),
        (Some("mine"), 3, Some((Some("mine"), 3))),
    ];
    for (label, attempt, expected) in table {
        let mut worker = Told::new();
        run_with(&mut worker, label, attempt);
        let begun = begin(&mut worker, 5);
        let described =
            begun.description.as_ref().map(|described| (described.short.label(), described.short.attempt()));
        assert_eq!((described, begun.started_ns), (expected, 5));
        assert_eq!(worker.worker.leftovers().as_deref(), Some("1 tasks that run"));
        run_with(&mut worker, label, attempt);
        worker.say([ToWorker::TakeBack { tasks: vec![id(1)] }]);
        assert_eq!(worker.worker.leftovers().as_deref(), Some("1 tasks that run"), "its description is gone");
    }
}

#[test]
fn a_task_is_written_by_its_number_and_function() {
    let mut worker = Told::new();
    worker.say([run(1, &[])]);
    let mut attempt = begin(&mut worker, 0);
    assert_eq!(format!("{:?}", attempt.parts().0), format!("{} f", id(1)));
}

/// How many bytes, whether they stay here, and whether they go behind the header.
#[test]
fn an_output_goes_to_the_controller_up_to_the_limit_and_else_stays() {
    for (bytes, stays, is_behind) in
        [(0, false, true), (255, false, true), (256, false, false), (1_000, false, false), (1_001, true, false)]
    {
        let mut worker = Told::new();
        worker.say([run(1, &[])]);
        let mut attempt = begin(&mut worker, 5);
        (0..bytes).for_each(|_| attempt.output.append_plain(&7_u8).expect("it has room"));
        attempt.ran_ns = 9;
        assert_eq!((attempt.output.len(), attempt.ended_ns()), (bytes, 14));
        end(&mut worker, &mut attempt);
        assert_eq!(worker.out.reports(), 1);
        let frame = worker.sent().pop().expect("one waits");
        assert!(worker.sent().is_empty());
        let done = Messages::of(&frame).next_fixed(Done::read).expect("it tells of an attempt");
        assert_eq!((done.task(), done.times(), done.bytes.len()), (id(1), (5, 14), if is_behind { bytes } else { 0 }));
        let outcome = done.tail().expect("it decodes").map(|tail| tail.outcome.expect("it has succeeded"));
        match outcome {
            None => assert!(is_behind, "{bytes} bytes"),
            Some(Given::Here(blob)) => {
                let payload = frame.payload(blob).expect("it is whole");
                assert!(!stays && !is_behind && payload.len() == bytes, "{bytes} bytes");
            }
            Some(Given::Resident { bytes: told }) => assert!(stays && told == bytes as u64, "{bytes} bytes"),
        }
        assert_eq!(worker.resident(), if stays { (bytes as u64, 1) } else { (0, 0) });
        assert_eq!(worker.worker.running(), 0);
    }
}

#[test]
fn the_outcomes_of_several_items_go_to_the_controller_beyond_the_limit_of_others() {
    let items = Items { map: 1, first: 3, count: 2, fold: None };
    for (bytes, stays) in [(1_001, false), (256 << 10, false), ((256 << 10) + 1, true)] {
        let mut worker = Told::new();
        let mut frame = Frame::default();
        let tail = RunTail { items: Some(items), ..RunTail::empty() };
        assert!(attempt::push(&mut frame.body, RunFields::new(id(1), FunctionId(0)), |_| true, Some(&tail)));
        worker.receive(&frame);
        let mut attempt = begin(&mut worker, 5);
        let told = attempt.description.as_ref().and_then(|described| described.items);
        assert_eq!((told, items.give_outcomes()), (Some(items), true));
        attempt.gives_outcomes = true;
        attempt.output.append_bytes(&vec![7; bytes]);
        end(&mut worker, &mut attempt);
        assert_eq!(worker.resident(), if stays { (bytes as u64, 1) } else { (0, 0) }, "{bytes} bytes");
    }
}

#[test]
fn a_failure_is_told_and_nothing_stays() {
    let mut worker = Told::new();
    worker.say([run(1, &[])]);
    let mut attempt = begin(&mut worker, 0);
    attempt.output.append_plain(&"part of it".repeat(500)).expect("it has room");
    attempt.failure = Some(Box::new(Failure::Returned("it fails".to_owned())));
    end(&mut worker, &mut attempt);
    assert_eq!(worker.heard(), ["Returned(\"it fails\") of 1"]);
    assert_eq!(worker.resident(), (0, 0));
}

#[test]
fn a_report_tells_what_lives_here_and_what_runs_since_when() {
    let mut worker = Told::new();
    worker.say([run(1, &[(7, inline(&[5; 30]))]), run(2, &[])]);
    assert!(!worker.out.take_asked());
    let _begun = begin(&mut worker, 100);
    worker.say([ToWorker::Report]);
    assert_eq!((worker.out.take_asked(), worker.out.take_asked()), (true, false), "it is asked for once");
    let measured = Measured { kept_bytes: 77, ..Measured::default() };
    worker.worker.handle(130, Input::Reports { measured, marks: Vec::new() }, &mut worker.out);
    let running = vec![(id(1), 30)];
    let report = Report { measured, resident_bytes: 30, values: 1, running, ..Report::default() };
    let report = said(&ToController::Report(report));
    assert_eq!((worker.worker.ready(), worker.worker.running(), worker.heard()), (1, 1, vec![report]));
}

#[test]
fn a_report_tells_what_the_tasks_that_have_ended_took() {
    let settings = Config::new().init(|_| ()).untyped().settings();
    let mut worker = Told::with_settings(&settings);
    worker.worker.handle(0, Input::StateMade { failure: None, took_ns: 8 }, &mut worker.out);
    worker.heard();
    let mut tally = Tally::NONE;
    let mut longest = Vec::new();
    for (task, ran_ns, init_ns, failure) in [(1, 40, 0, None), (2, 90, 20, Some("it fails"))] {
        worker.say([run(task, &[])]);
        let mut attempt = begin(&mut worker, 100);
        (attempt.ran_ns, attempt.init_ns) = (ran_ns, init_ns);
        attempt.failure = failure.map(|text| Box::new(Failure::Returned(text.to_owned())));
        end(&mut worker, &mut attempt);
        tally.add(ran_ns - init_ns, failure.is_some());
        longest.insert(0, LongAttempt { task, function: FunctionId(0), label: None, ran_ns: ran_ns - init_ns });
    }
    worker.sent();
    worker.worker.handle(300, Input::Reports { measured: Measured::default(), marks: Vec::new() }, &mut worker.out);
    let report = Report { init_ns: 28, runs: vec![(FunctionId(0), tally)], longest, ..Report::default() };
    assert_eq!(worker.heard(), [said(&ToController::Report(report))]);
}

/// ```text
/// task 1 runs     0 ─────────── 50
/// 2 lacks input     10 ────────────── 70
/// idle             0 of 1       1 of 1
/// ```
#[test]
fn a_slot_that_waits_for_inputs_that_are_on_their_way_is_told_so() {
    let mut worker = Told::new();
    worker.say([run(1, &[])]);
    let mut attempt = begin(&mut worker, 0);
    worker.receive_at(10, [run(2, &[(8, HELD)])]);
    attempt.ran_ns = 50;
    worker.worker.handle(50, Input::Ended { slot: SLOT, attempt: &mut attempt }, &mut worker.out);
    worker.receive_at(70, [ToWorker::Peer(ToPeer::Value { value: id(8), bytes: Some(Blob::Inline(&[1])) })]);
    worker.sent();
    worker.worker.handle(500, Input::Reports { measured: Measured::default(), marks: Vec::new() }, &mut worker.out);
    let heard = worker.heard();
    assert!(heard[0].contains("moving_ns: 20,"), "{heard:?}");
}

#[test]
fn the_last_word_of_a_worker_is_that_nothing_runs_and_nothing_is_left() {
    let mut worker = Told::new();
    worker.say([run(1, &[(7, inline(&[5; 30]))]), run(2, &[(8, HELD)])]);
    worker.heard();
    assert!(worker.worker.leftovers().is_some());
    worker.worker.handle(0, Input::Finished, &mut worker.out);
    assert_eq!(
        (worker.heard(), worker.worker.leftovers()),
        (vec![said(&ToController::Stopped { failure: None })], None)
    );
}

#[test]
fn after_the_end_only_the_controller_is_told_something() {
    let mut worker = Told::new();
    worker.say([ToWorker::Stop { failed: false }]);
    worker.say([ToWorker::Peer(ToPeer::Fetch { value: id(7) })]);
    assert_eq!((worker.out.is_pressing(), worker.heard()), (false, vec![missing(&[7])]));
}

#[test]
fn what_goes_at_once_presses() {
    let mut worker = Told::new();
    assert!(!worker.out.is_pressing());
    worker.say([ToWorker::Report]);
    assert!(!worker.out.is_pressing());
    let members = Members::of([WORKER, Rank(2)]).encoded();
    worker.say([ToWorker::FreeGroup { members: &members }]);
    assert!(worker.out.is_pressing());
    assert_eq!(worker.out.take_freed().collect::<Vec<_>>(), [[WORKER, Rank(2)]]);
    assert!(!worker.out.is_pressing());
    worker.say([run(9, &[(1, HELD)])]);
    assert!(worker.out.is_pressing());
}

#[test]
fn a_worker_ends_for_the_first_reason_that_is_given() {
    let mut worker = Told::new();
    worker.say([ToWorker::Exit]);
    worker.receive(&Frame { body: vec![1, 2, 3], attachments: Vec::new() });
    assert!(matches!(worker.out.take_halt(), Some(Halt::Exit)));
    assert!(worker.out.take_halt().is_none());
    worker.receive(&Frame { body: vec![1, 2, 3], attachments: Vec::new() });
    assert!(matches!(worker.out.take_halt(), Some(Halt::Unreadable { from: CONTROLLER, .. })));
}
