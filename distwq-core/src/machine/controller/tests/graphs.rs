//! Graphs, references and values: how a graph has gone, and what draws tasks.

use super::*;
use crate::outcome::error::RunError;

fn size(tasks: usize, values: usize) -> GraphSize {
    GraphSize { tasks, values, dependencies: 1, inputs_room: 1 }
}

/// A graph of so many tasks begins.
fn begin(play: &mut Play, tasks: usize) -> GraphRunId {
    play.tell(Input::GraphBegins { size: size(tasks, 0), cancels: false });
    play.out.graph_run.take().expect("it was started")
}

fn add_to(play: &mut Play, graph_run: GraphRunId, before: &[TaskId]) -> TaskId {
    play.add_new(&NewTask { before, origin: Origin::Graph(graph_run), ..plain(&SINGLE) })
}

/// ```text
/// a → b, c       d after a task outside, which has failed
/// ```
#[test]
fn a_graph_tells_who_has_failed_and_how_many_did_not_run_for_that() {
    let mut play = Play::new();
    let outside = play.add(&SINGLE, &[], 0);
    let on = play.worker_of(outside);
    play.fail(on, outside, "outside");
    play.woken();

    let graph_run = begin(&mut play, 3);
    let a = add_to(&mut play, graph_run, &[]);
    let [b, c] = [(); 2].map(|()| add_to(&mut play, graph_run, &[a]));
    assert_eq!((play.told(), play.woken()), (vec![], vec![]), "the graph is not complete");
    play.tell(Input::GraphEnds);
    let on = play.worker_of(a);
    assert!(!play.controller.has_graph_run_ended(graph_run));
    play.fail(on, a, "inside");
    assert_eq!(play.woken(), [Awaited::GraphRun(graph_run), Awaited::Drained]);
    assert!(play.controller.has_graph_run_ended(graph_run));
    let errors = [b, c].map(|task| play.error(task).expect("it has ended").to_string());
    assert!(errors.iter().all(|error| error.contains("inside")), "{errors:?}");
    let Err(RunError::Failed { failed, upstream }) = play.controller.result_of_graph_run(graph_run) else {
        panic!("a has failed")
    };
    assert_eq!((failed.len(), failed[0].message(), upstream), (1, Some("inside"), 2));

    let graph_run = begin(&mut play, 1);
    add_to(&mut play, graph_run, &[outside]);
    play.tell(Input::GraphEnds);
    let Err(RunError::Failed { failed, upstream }) = play.controller.result_of_graph_run(graph_run) else {
        panic!("d did not run")
    };
    assert_eq!((failed.len(), failed[0].message(), upstream), (1, Some("outside"), 1));
}

/// ```text
/// a, b, c → d    a fails
/// ```
#[test]
fn a_graph_that_wants_it_is_cancelled_when_a_task_fails() {
    let mut play = Play::with_workers(&[W3]);
    let submitted = play.add(&SINGLE, &[], 0);
    play.tell(Input::GraphBegins { size: size(4, 0), cancels: true });
    let graph_run = play.out.graph_run.take().expect("it was started");
    let [a, b, c] = [(); 3].map(|()| add_to(&mut play, graph_run, &[]));
    let d = add_to(&mut play, graph_run, &[c]);
    play.tell(Input::GraphEnds);
    play.tell(Input::References { notes: &mut vec![ReferenceNote::GraphForgotten(graph_run)] });
    assert_eq!(play.controller.graph_progress(graph_run).map(|progress| progress.ended), Some(0), "it is not over");
    play.tell(Input::Cancel { tasks: &[b] });
    let others = [a, c, d, submitted];
    assert!(others.iter().all(|&task| !play.controller.has_ended(task)), "what a user cancels has not failed");
    play.fail(W3, a, "inside");
    for task in [c, d] {
        let error = play.error(task);
        assert!(error.is_none_or(|error| matches!(error, TaskError::Cancelled { .. })), "{task}");
    }
    assert!(!play.controller.has_ended(submitted), "it is not of the graph");
}

/// The task before the graph has failed, and the first of the graph ends while the others
/// are added.
#[test]
fn a_graph_that_fails_while_it_is_added_is_cancelled_when_all_is_there() {
    let mut play = Play::with_workers(&[W3]);
    let outside = play.add(&SINGLE, &[], 0);
    play.fail(W3, outside, "outside");
    let busy = play.add(&SINGLE, &[], 0);
    play.tell(Input::GraphBegins { size: size(3, 0), cancels: true });
    let graph_run = play.out.graph_run.take().expect("it was started");
    let a = add_to(&mut play, graph_run, &[outside]);
    let [b, c] = [(); 2].map(|()| add_to(&mut play, graph_run, &[busy]));
    assert!(play.controller.has_ended(a) && !play.controller.has_ended(b));
    play.tell(Input::GraphEnds);
    assert!([b, c].map(|task| play.error(task)).iter().all(|error| matches!(error, Some(TaskError::Cancelled { .. }))));
    assert!(play.woken().contains(&Awaited::GraphRun(graph_run)));
    let progress = play.controller.graph_progress(graph_run).expect("it was not forgotten");
    let counts = [progress.tasks, progress.ended, progress.failed, progress.cancelled];
    assert_eq!(counts, [3, 3, 1, 2]);
}

#[test]
fn how_a_graph_has_gone_is_kept_until_nobody_will_ask() {
    let mut play = Play::new();
    let graph_run = begin(&mut play, 1);
    let task = add_to(&mut play, graph_run, &[]);
    play.tell(Input::GraphEnds);
    let on = play.worker_of(task);
    play.finish(on, task);
    play.tell(Input::References { notes: &mut vec![ReferenceNote::Dropped(task)] });
    assert_eq!(
        [play.controller.result_of_graph_run(graph_run), play.controller.result_of_graph_run(graph_run)],
        [Ok(()), Ok(())]
    );
    assert_eq!(play.controller.leftovers().as_deref(), Some("1 graphs"));
    play.tell(Input::References { notes: &mut vec![ReferenceNote::GraphForgotten(graph_run)] });
    assert_eq!(play.controller.leftovers(), None);
}

#[test]
fn a_graph_that_the_end_has_cut_off_tells_how_much_is_left() {
    let mut play = Play::new();
    let graph_run = begin(&mut play, 2);
    let [a, _] = [(); 2].map(|()| add_to(&mut play, graph_run, &[]));
    play.tell(Input::GraphEnds);
    let on = play.worker_of(a);
    play.finish(on, a);
    assert!(!play.controller.has_graph_run_ended(graph_run));
    play.tell(Input::Stop { failed: true });
    assert!(play.controller.has_graph_run_ended(graph_run));
    assert_eq!(play.controller.result_of_graph_run(graph_run), Err(RunError::Closed { outstanding: 1 }));
}

#[test]
fn a_graph_may_have_more_values_than_tasks() {
    let mut play = Play::new();
    play.tell(Input::GraphBegins { size: size(1, 2), cancels: false });
    let graph_run = play.out.graph_run.take().expect("it was started");
    let [value, _] = [1, 2].map(|bytes| play.give(bytes));
    let task = add_to(&mut play, graph_run, &[value]);
    play.tell(Input::GraphEnds);
    let on = play.worker_of(task);
    play.finish(on, task);
    assert_eq!(play.controller.result_of_graph_run(graph_run), Ok(()));
}

#[test]
fn a_value_goes_with_its_last_reference() {
    let mut play = Play::new();
    let task = play.add(&SINGLE, &[], 0);
    let on = play.worker_of(task);
    play.kept(on, task);
    let [retained, dropped] = [ReferenceNote::Retained(task), ReferenceNote::Dropped(task)];
    for notes in [vec![retained, retained, dropped], vec![dropped]] {
        play.tell(Input::References { notes: &mut notes.clone() });
        assert_eq!((play.told(), play.controller.knows(task)), (vec![], true));
    }
    play.tell(Input::References { notes: &mut vec![dropped] });
    let forget = format!("{:?}", Some(ToWorker::Forget { values: vec![task] }));
    assert_eq!((play.told(), play.controller.knows(task)), (vec![(on, forget)], false));
}

/// Many go together, some of them twice as many as are told of at once.
#[test]
fn all_whose_references_are_gone_go() {
    let mut play = Play::new();
    let values: Vec<TaskId> = (0..130).map(|_| play.give(1)).collect();
    let mut notes = values.iter().map(|value| ReferenceNote::Dropped(*value)).collect();
    play.tell(Input::References { notes: &mut notes });
    assert_eq!((notes.len(), play.controller.leftovers()), (0, None));
}

/// ```text
/// a → b, c       one of b and c runs where a is not
/// ```
/// A user waits for a. The worker that was to get a copy has none.
#[test]
fn who_lacks_a_copy_changes_nothing_for_those_who_wait_for_the_value_itself() {
    let mut play = Play::new();
    let a = play.add(&SINGLE, &[], 0);
    let maker = play.worker_of(a);
    play.kept(maker, a);
    for _ in 0..2 {
        play.add(&SINGLE, &[a], 0);
    }
    play.tell(Input::Awaited { task: a });
    play.told();
    assert_eq!((play.controller.in_flight(), play.controller.scheduler.holders(a).count()), (3, 2));
    play.say(other(maker), &ToController::Missing { values: vec![a] });
    assert_eq!((play.told(), play.controller.in_flight()), (vec![], 3), "the maker has been asked");
    assert_eq!(play.controller.scheduler.holders(a).count(), 1);
    let bytes = Some(crate::codec::frame::Blob::Inline(&[7; 9]));
    play.say(maker, &ToController::Peer(ToPeer::Value { value: a, bytes }));
    // It has let it go, as far as it knows; what is here stays.
    play.say(maker, &ToController::Missing { values: vec![a] });
    assert!(play.controller.output_here(a, &mut Payload::EMPTY.clone()));
}

/// ```text
/// a (comes along, and is shared) → b, c       b has brought a copy of it to one worker
/// ```
#[test]
fn a_large_value_that_came_along_draws_tasks_to_its_copies() {
    for (bytes, is_drawn) in [(64 << 10, true), ((64 << 10) - 1, false)] {
        let mut play = Play::with_config(&[W1, W2], Config::new().inline_bytes_max(100_000));
        let a = play.add(&SINGLE, &[], 0);
        let on_a = play.worker_of(a);
        let value = vec![7; bytes];
        play.done(on_a, a, Ok(Given::Here(crate::codec::frame::Blob::Inline(&value))));
        let b = play.add(&SHARING, &[a], 0);
        let on_b = play.worker_of(b);
        play.finish(on_b, b);
        // The other one becomes idle last, and would be the next.
        let fillers = [(); 2].map(|()| play.add(&SINGLE, &[], 0));
        let told = play.told();
        for on in [on_b, other(on_b)] {
            let filler = fillers.into_iter().find(|filler| told.contains(&(on, run(*filler)))).expect("each has one");
            play.finish(on, filler);
        }
        let c = play.add(&SHARING, &[a], 0);
        let expected = if is_drawn { on_b } else { other(on_b) };
        assert_eq!(play.worker_of(c), expected, "{bytes} bytes");
    }
}
