//! What the controller tells of its tasks and workers: figures, states, reports in words.

use super::*;
use crate::function::registry::FunctionId;
use crate::outcome::info::{TaskInfo, TaskState};
use crate::outcome::stats::{RankStats, Stats};
use crate::outcome::tally::{RunTimes, Tally};
use crate::wire::report::{LongAttempt, Measured, Report};
use std::time::Duration;

const SECOND: Ns = 1_000_000_000;

fn stats(play: &Play) -> Stats {
    play.controller.stats(Measured { serving_ns: 40, busy_ns: 30, ..Measured::default() })
}

/// What lives on the ranks, the controller's first: bytes, values, bytes that are kept.
fn held(play: &Play) -> Vec<(Rank, u64, u64, u64)> {
    let held = |rank: &RankStats| (rank.rank, rank.resident_bytes, rank.resident_values, rank.kept_bytes);
    stats(play).ranks.iter().map(held).collect()
}

/// A report on what runs.
fn running(tasks: &[(TaskId, u64)]) -> ToController<'static> {
    ToController::Report(Report { running: tasks.to_vec(), ..Report::default() })
}

/// What becomes of all tasks: taken, done, failed, not ended.
fn counts(play: &Play) -> [u64; 4] {
    let stats = stats(play);
    [stats.submitted, stats.done, stats.failed, stats.outstanding]
}

#[test]
fn the_figures_tell_what_became_of_tasks_and_what_lies_where() {
    let mut play = Play::new();
    let [(on_a, a), (on_b, b), (on_c, c), _] = play.fill()[..] else { unreachable!() };
    assert_eq!((counts(&play), play.controller.in_flight()), ([4, 0, 0, 4], 4));
    play.finish(on_a, a);
    play.kept(on_b, b);
    play.fail(on_c, c, "it fails");
    assert_eq!((counts(&play), play.controller.in_flight()), ([4, 2, 1, 1], 1));
    // What is small is not counted.
    for bytes in [1_000, 1_001, 5_000] {
        play.give(bytes);
    }
    let here = (Rank(0), 6_001, 2, 0);
    assert_eq!(held(&play), [here, (W1, 0, 0, 0), (W2, 0, 0, 0)]);
    for (rank, values) in [(W1, 3), (W2, 4)] {
        let measured = Measured { kept_bytes: 7 * values, ..Measured::default() };
        let report = Report { resident_bytes: 100 * values, values, measured, ..Report::default() };
        play.say(rank, &ToController::Report(report));
    }
    assert_eq!(held(&play), [here, (W1, 300, 3, 21), (W2, 400, 4, 28)]);
    play.lose(W2);
    assert_eq!(held(&play), [here, (W1, 300, 3, 21), (W2, 0, 0, 28)], "what it held is gone");
}

#[test]
fn the_figures_tell_what_the_tasks_of_each_function_and_worker_took() {
    let mut play = Play::new();
    assert_eq!((stats(&play).functions, stats(&play).longest), (Vec::new(), Vec::new()));
    assert!((stats(&play).controller_busy() - 0.75).abs() < 1e-9);
    assert_eq!(stats(&play).ranks[1].runs, RunTimes::default());
    let tally = |times: &[u64]| {
        let mut tally = Tally::NONE;
        times.iter().for_each(|ran_ns| tally.add(*ran_ns, *ran_ns == 3));
        tally
    };
    let long = |task, ran_ns| LongAttempt { task, function: FunctionId(0), label: Some("far".into()), ran_ns };
    for (rank, times, longest) in [(W1, vec![1, 3], vec![long(5, 9), long(6, 8)]), (W2, vec![8], vec![long(5, 10)])] {
        let measured = Measured { serving_ns: 100, ..Measured::default() };
        let (running, runs) = (vec![(TaskId::new(0, 9), 20)], vec![(FunctionId(0), tally(&times))]);
        let report = Report { measured, running, init_ns: 7, moving_ns: 11, runs, longest, ..Report::default() };
        play.say(rank, &ToController::Report(report));
    }
    let stats = stats(&play);
    let [function] = &stats.functions[..] else { panic!("one function has run: {stats}") };
    assert_eq!((&*function.function, function.runs), ("f", tally(&[1, 3, 8]).times()));
    let workers = &stats.ranks[1..];
    assert_eq!([workers[0].runs, workers[1].runs], [tally(&[1, 3]).times(), tally(&[8]).times()]);
    let ns = |time: Duration| time.as_nanos() as u64;
    let parts = |rank: &RankStats| [rank.in_init, rank.moving, rank.working, rank.waiting].map(ns);
    let slots_ns = 100 * u64::from(play.controller.settings.slots);
    assert_eq!(parts(&workers[0]), [7, 11, 24, slots_ns - 42]);
    assert_eq!(parts(&workers[1]), [7, 11, 28, slots_ns - 46]);
    let longest: Vec<_> = stats.longest.iter().map(|long| (long.task, long.rank, ns(long.time))).collect();
    assert_eq!(longest, [(5, W2, 10), (6, W1, 8)], "each task once");
    assert_eq!(stats.longest[0].label.as_deref(), Some("far"));
}

#[test]
fn a_report_on_a_function_that_there_is_not_cannot_be_read() {
    let mut play = Play::new();
    let runs = vec![(FunctionId(1_000), Tally::NONE)];
    play.say(W1, &ToController::Report(Report { runs, ..Report::default() }));
    assert!(matches!(play.out.take_halt(), Some(Halt::Unreadable { from: W1, .. })));
}

#[test]
fn a_task_is_told_with_its_state_and_times_and_where_it_ran() {
    let mut play = Play::new();
    play.now = 5;
    let [(on_a, a), (on_b, b), (on_c, c), (on_d, d)] = play.fill()[..] else { unreachable!() };
    let label = Options { label: Some("last"), ..Options::default() };
    let e = play.add_new(&NewTask { options: Some(&label), ..plain(&SINGLE) });
    play.now = 6;
    play.done(on_a, a, Ok(Given::Here(crate::codec::frame::Blob::Inline(&[1, 2, 3]))));
    play.kept(on_b, b);
    play.fail(on_c, c, "it fails");
    let value = play.give(9);
    let sent = |id: TaskId, state, on: Rank| TaskInfo {
        id: id.serial(),
        function: "f".to_owned(),
        label: None,
        state,
        is_running: false,
        ranks: vec![on],
        hosts: vec![format!("host{}", on.0)],
        attempts: 1,
        submitted_ns: 5,
        started_ns: Some(1),
        finished_ns: Some(1 + LONG_NS),
        received_ns: Some(1 + LONG_NS),
        output_bytes: 0,
    };
    let on_e = play.worker_of(e);
    let expected = [
        TaskInfo { output_bytes: 3, ..sent(a, TaskState::Done, on_a) },
        TaskInfo { output_bytes: 5_000, ..sent(b, TaskState::Done, on_b) },
        sent(c, TaskState::Failed, on_c),
        TaskInfo {
            started_ns: None,
            finished_ns: None,
            received_ns: None,
            is_running: true,
            ..sent(d, TaskState::Sent, on_d)
        },
        TaskInfo {
            label: Some("last".to_owned()),
            started_ns: None,
            finished_ns: None,
            received_ns: None,
            is_running: true,
            ..sent(e, TaskState::Sent, on_e)
        },
        TaskInfo {
            function: "value".to_owned(),
            ranks: vec![],
            hosts: vec![],
            attempts: 0,
            submitted_ns: 6,
            started_ns: Some(6),
            finished_ns: Some(6),
            received_ns: Some(6),
            output_bytes: 9,
            ..sent(value, TaskState::Done, W1)
        },
    ];
    for (task, expected) in [a, b, c, d, e, value].into_iter().zip(expected) {
        assert_eq!(play.controller.info(task), Some(expected));
    }
    let waiting = play.add(&SINGLE, &[d], 0);
    let info = play.controller.info(waiting).expect("it has not gone");
    assert_eq!((info.state, info.attempts, info.ranks), (TaskState::Waiting, 0, vec![]));
    assert_eq!(play.controller.info(TaskId::new(0, 99)), None);
}

/// A user waits for each of them.
#[test]
fn what_is_waited_for_has_ended_or_is_asked_for_or_never_comes() {
    let mut play = Play::new();
    let [pending, kept, here] = [(); 3].map(|()| play.add(&SINGLE, &[], 0));
    let told = play.told();
    let rank_of = |task| told.iter().find(|(_, message)| *message == run(task)).expect("it was sent").0;
    play.kept(rank_of(kept), kept);
    play.finish(rank_of(here), here);
    let ended = |play: &Play| [pending, kept, here].map(|task| play.controller.has_ended(task));
    let awaited = |play: &Play| [pending, kept, here].map(|task| play.controller.is_awaited(task));
    assert_eq!((ended(&play), awaited(&play)), ([false, true, true], [false; 3]));
    for task in [pending, kept, here] {
        play.tell(Input::Awaited { task });
        play.tell(Input::Awaited { task });
    }
    assert_eq!(awaited(&play), [true; 3]);
    let fetch = format!("{:?}", Some(ToWorker::Peer(ToPeer::Fetch { value: kept })));
    assert_eq!(play.told(), [(rank_of(kept), fetch)], "it is asked for once");
    let output =
        |play: &Play, task| play.controller.output(task, &mut Payload::EMPTY.clone()).map(|output| output.is_ok());
    assert_eq!([pending, kept, here].map(|task| output(&play, task)), [None, None, Some(true)]);
    play.tell(Input::Stop { failed: false });
    assert_eq!(ended(&play), [true; 3]);
    assert_eq!([pending, kept, here].map(|task| output(&play, task)), [Some(false), Some(false), Some(true)]);
    assert!(matches!(play.error(pending), Some(TaskError::Closed { .. })));
}

#[test]
fn who_is_busy_at_the_end_is_named_with_its_tasks() {
    let mut play = Play::new();
    let [(one, first), (two, second), ..] = play.fill()[..] else { unreachable!() };
    let busy = |rank: Rank, first: TaskId| {
        format!("rank {rank} (host host{rank}) with 2 tasks, the first of them f #{}", first.serial(), rank = rank.0)
    };
    let both = [(one, first), (two, second)];
    let both = [W1, W2].map(|rank| both.into_iter().find(|(on, _)| *on == rank).expect("each has two"));
    let told = both.map(|(rank, task)| busy(rank, task));
    assert_eq!(play.controller.who_is_busy(), format!("busy: {}, {}", told[0], told[1]));
    play.say(W1, &ToController::Stopped { failure: None });
    assert_eq!(play.controller.who_is_busy(), format!("busy: {}", told[1]));
    play.say(W2, &ToController::Stopped { failure: None });
    assert!(play.controller.who_is_busy().starts_with("all have stopped"));
    let idle = Play::with_workers(&[W3]);
    assert!(idle.controller.who_is_busy().starts_with("busy: rank 3 (host host3) with no task (does"));
}

#[test]
fn what_was_at_a_rank_that_is_gone_is_named() {
    let mut play = Play::with_workers(&[W3]);
    let told = |play: &Play| play.controller.what_was_at(W3);
    assert_eq!(told(&play), "; it had no task");
    let label = Options { label: Some("first"), ..Options::default() };
    play.add_new(&NewTask { options: Some(&label), ..plain(&SINGLE) });
    assert_eq!(told(&play), "; it had task f #1 \"first\"");
    play.add(&SINGLE, &[], 0);
    assert_eq!(told(&play), "; it had 2 tasks, the first of them f #1 \"first\"");
    assert_eq!(play.controller.what_was_at(W1), "", "that is no worker");
    let mut play = Play::with_workers(&[W3]);
    play.add(&GROUP, &[], 0);
    assert_eq!(told(&play), "; it had task g #1");
}

const UNTIL_KILLED: &str = "; a task that never returns cannot be cancelled, only left behind: call \
    `shutdown_now`, or stop the program from outside";

#[test]
fn what_is_left_to_end_is_told_by_what_the_workers_answer() {
    let mut play = Play::new();
    play.now = 7 * SECOND;
    let [(one, first), (two, second), ..] = play.fill()[..] else { unreachable!() };
    assert!(!play.controller.is_closing());
    assert_eq!(play.controller.next_deadline(), None);
    play.tell(Input::Closing);
    assert!(play.controller.is_closing());
    assert_eq!(play.controller.next_deadline(), Some(17 * SECOND));
    play.now = 9 * SECOND;
    play.tell(Input::Closing);
    assert_eq!(play.controller.next_deadline(), Some(17 * SECOND), "it was closed before");
    play.now = 17 * SECOND;
    play.tell(Input::TurnEnds);
    assert_eq!(play.told(), [W1, W2].map(|rank| (rank, "Some(Report)".to_owned())));
    assert_eq!(play.controller.next_deadline(), Some(18 * SECOND));
    assert!(play.out.notices.is_empty());

    let begin = |seconds| format!("the run cannot end yet: it has waited {seconds} s for 4 tasks");
    let silent = |rank: Rank| {
        let first = if rank == one { first } else { second };
        let first = first.serial();
        format!(
            "; rank {rank} (host host{rank}), which was given 2 tasks, first f #{first}, does not say what it runs",
            rank = rank.0
        )
    };
    play.now = 18 * SECOND;
    play.tell(Input::TurnEnds);
    assert_eq!(play.left(), [format!("{}{}{}{UNTIL_KILLED}", begin(11), silent(W1), silent(W2))]);
    assert_eq!(play.controller.next_deadline(), Some(77 * SECOND));

    let answer = |task, ran_ns| running(&[(task, ran_ns), (TaskId::new(0, 99), 1)]);
    play.now = 80 * SECOND;
    play.tell(Input::TurnEnds);
    play.now += SECOND / 2;
    assert!(!play.controller.has_reports());
    play.say(one, &answer(first, 9 * SECOND));
    assert_eq!((play.controller.has_reports(), play.woken()), (false, vec![]));
    play.say(two, &answer(second, 12 * SECOND));
    assert_eq!((play.controller.has_reports(), play.woken()), (true, vec![Awaited::Reports]));
    let runs = |task: TaskId, rank: Rank, seconds| {
        format!("; f #{} has run on rank {rank} (host host{rank}) for {seconds} s", task.serial(), rank = rank.0)
    };
    let running = [runs(second, two, 12), runs(first, one, 9)].concat();
    assert_eq!(play.left(), [format!("{}{running}{UNTIL_KILLED}", begin(73))]);
    assert_eq!(play.controller.next_deadline(), Some(137 * SECOND));
}

/// ```text
/// a → seven others
/// ```
#[test]
fn some_of_those_that_wait_for_others_are_named_as_long_as_something_is_left() {
    let mut play = Play::with_workers(&[W3]);
    let a = play.add(&SINGLE, &[], 0);
    let waiting = [(); 7].map(|()| play.add(&SINGLE, &[a], 0));
    play.now = 1;
    play.tell(Input::Closing);
    let report = |play: &mut Play| {
        play.now = play.controller.next_deadline().expect("something is left");
        play.tell(Input::TurnEnds);
        play.say(W3, &running(&[]));
        play.left()
    };
    let named: String = waiting[..5].iter().map(|task| format!("; f #{} waits for f #1", task.serial())).collect();
    let begin = "the run cannot end yet: it has waited 10 s for 8 tasks";
    assert_eq!(report(&mut play), [format!("{begin}{named}; 2 more like that{UNTIL_KILLED}")]);
    // All end while the workers are asked.
    play.now = play.controller.next_deadline().expect("something is left");
    play.tell(Input::TurnEnds);
    play.fail(W3, a, "it fails");
    assert_eq!((play.controller.pending(), play.controller.next_deadline()), (0, None));
    play.say(W3, &running(&[]));
    assert_eq!(play.left(), [""; 0]);
}

#[test]
fn what_is_left_to_end_is_not_told_once_the_run_is_over() {
    let mut play = Play::new();
    play.fill();
    play.tell(Input::Closing);
    play.tell(Input::Stop { failed: true });
    play.now += 1_000 * SECOND;
    assert_eq!(play.controller.next_deadline(), None);
    play.tell(Input::TurnEnds);
    assert_eq!(play.left(), [""; 0]);
}

#[test]
fn what_workers_answer_after_the_end_leads_to_no_report_of_what_is_left() {
    for end in [Input::Stop { failed: true }, Input::Exit] {
        let mut play = Play::new();
        play.fill();
        play.tell(Input::Closing);
        play.now = play.controller.next_deadline().expect("something is left");
        play.tell(Input::TurnEnds);
        play.tell(end);
        for rank in [W1, W2] {
            play.say(rank, &running(&[]));
        }
        assert_eq!(play.left(), [""; 0]);
    }
}

#[test]
fn a_lost_worker_need_not_answer_for_what_is_left_to_be_told() {
    let mut play = Play::new();
    play.fill();
    play.tell(Input::Closing);
    play.now = play.controller.next_deadline().expect("something is left");
    play.tell(Input::TurnEnds);
    for rank in [W1, W2] {
        assert_eq!(play.left(), [""; 0]);
        play.tell(Input::Lost { rank });
    }
    let left = play.left();
    assert!(matches!(&left[..], [text] if text.contains("has waited 10 s for 3 tasks")), "{left:?}");
}

/// ```text
/// a (of three, of which there are two) → b
/// ```
#[test]
fn those_that_can_never_move_end_with_what_they_wait_for() {
    let mut play = Play::new();
    play.out.notices.want(true);
    let three = Options { ranks: Some(3), ..Options::default() };
    let a = play.add_new(&NewTask { options: Some(&three), ..plain(&GROUP) });
    let b = play.add(&SINGLE, &[a], 0);
    assert_eq!(play.controller.next_deadline(), Some(play.now), "there is nothing to wait for");
    play.tell(Input::TurnEnds);
    let waits = "2 tasks left; g #1 waits for 3 workers (the cluster has 2); f #2 waits for g #1";
    assert_eq!(play.out.notices.take(), [Notice::Stalled { waits: waits.to_owned() }]);
    for task in [a, b] {
        let error = play.error(task).expect("it has ended");
        assert!(matches!(error, TaskError::Stalled { .. }) && error.to_string().contains(waits), "{error}");
    }
    assert_eq!((play.woken(), play.controller.next_deadline()), (vec![Awaited::Drained], None));
}
