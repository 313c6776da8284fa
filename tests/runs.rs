//! Graphs that run: waiting for them, cancelling them, what a failure does to them; and
//! batches that are cancelled.

use distwq::prelude::*;
use distwq::{Limit, OnFailure, Progress};
use std::time::{Duration, Instant};

type Outcome = Result<(), Box<dyn std::error::Error>>;

#[remote]
fn square(x: u64) -> u64 {
    x * x
}

#[remote]
fn pause(milliseconds: u64) -> u64 {
    std::thread::sleep(Duration::from_millis(milliseconds));
    milliseconds
}

/// Runs until it is cancelled, and then gives a value or an error.
#[remote]
fn until_cancelled(ctx: &Context, gives: bool) -> Result<u64, String> {
    let begun = Instant::now();
    while !ctx.cancelled() && begun.elapsed() < Duration::from_secs(30) {
        std::thread::sleep(Duration::from_millis(1));
    }
    if gives { Ok(1) } else { Err("it stops".to_owned()) }
}

#[remote]
fn fails() -> Result<u64, String> {
    Err("it always fails".to_owned())
}

#[remote]
fn sum(values: Vec<u64>) -> u64 {
    values.iter().sum()
}

fn is_cancelled(handle: &Handle<u64>) -> bool {
    matches!(handle.get(), Err(TaskError::Cancelled { .. }))
}

#[distwq::test(ranks = [2, 3, 4, 7])]
fn a_started_graph_is_waited_for_and_says_how_far_it_is(cluster: &Cluster) -> Outcome {
    let mut graph = Graph::new();
    let slow = graph.add(pause::call(50));
    let squares: Vec<_> = (0..10).map(|x| graph.add(square::call(x).after(&slow))).collect();
    let total = graph.add(sum::call(&squares));
    let run = cluster.start(&mut graph)?;
    assert_eq!(run.wait_timeout(Duration::ZERO), None);
    assert!(!run.is_done());
    let Progress { tasks, ended, failed, .. } = run.progress();
    assert_eq!((tasks, failed), (12, 0));
    assert!(ended < 12, "the slow one runs");
    run.wait()?;
    run.wait()?;
    assert_eq!(run.wait_timeout(Duration::ZERO), Some(Ok(())));
    assert!(run.is_done() && run.progress().ended == 12);
    assert_eq!(total.get()?, 285);
    Ok(())
}

#[distwq::test(ranks = [2, 3, 4, 7])]
fn dropping_a_run_cancels_nothing(cluster: &Cluster) -> Outcome {
    let mut graph = Graph::new();
    let square = graph.add(square::call(7));
    drop(cluster.start(&mut graph)?);
    assert_eq!(square.get()?, 49);
    Ok(())
}

#[distwq::test(ranks = [2, 3, 4, 7], repeat = 200)]
fn a_cancelled_run_ends_and_all_else_goes_on(cluster: &Cluster) -> Outcome {
    let other = cluster.submit(square::call(3));
    let mut graph = Graph::new();
    let running: Vec<_> =
        (0..cluster.workers()).map(|index| graph.add(until_cancelled::call(index == 0).priority(1))).collect();
    let waiting: Vec<_> = (0..20).map(|x| graph.add(square::call(x).after_all(&running))).collect();
    let run = cluster.start(&mut graph)?;
    run.cancel();
    run.cancel();
    let error = run.wait().expect_err("most are cancelled");
    assert!(matches!(&error, RunError::Failed { upstream: 0, .. }), "{error}");
    assert!(waiting.iter().all(is_cancelled));
    assert!(running[1..].iter().all(is_cancelled), "whether they had begun or not");
    assert_eq!((run.progress().ended, other.get()?), (cluster.workers() + 20, 9));
    assert_eq!(cluster.submit(square::call(4)).get()?, 16);
    Ok(())
}

fn is_late(handle: &Handle<u64>) -> bool {
    matches!(handle.get(), Err(TaskError::LimitReached { limit: Limit::Deadline, .. }))
}

#[distwq::test(ranks = [2, 3, 4, 7], repeat = 200)]
fn at_its_deadline_a_run_ends_and_what_has_ended_stays(cluster: &Cluster) -> Outcome {
    let mut graph = Graph::new();
    let early = graph.add(square::call(5).priority(1));
    let running: Vec<_> =
        (0..cluster.workers()).map(|_| graph.add(until_cancelled::call(true).after(&early))).collect();
    let waiting: Vec<_> = (0..20).map(|x| graph.add(square::call(x).after_all(&running))).collect();
    let run = cluster.start(&mut graph)?;
    assert_eq!(early.get()?, 25);
    let begun = Instant::now();
    run.deadline(Duration::from_secs(20));
    run.deadline(Duration::from_millis(30));
    let error = run.wait().expect_err("most are late");
    assert!((Duration::from_millis(30)..Duration::from_secs(10)).contains(&begun.elapsed()), "{error}");
    assert!(matches!(&error, RunError::Failed { upstream: 0, .. }), "{error}");
    assert!(running.iter().chain(&waiting).all(is_late));
    assert_eq!(early.get()?, 25);
    // Nothing else ends, and the workers come back.
    assert_eq!(cluster.submit(square::call(4)).get()?, 16);
    let mut graph = Graph::new();
    let squares: Vec<_> = (0..10).map(|x| graph.add(square::call(x))).collect();
    let run = cluster.start(&mut graph)?;
    run.deadline(Duration::from_secs(60));
    run.wait()?;
    run.deadline(Duration::ZERO);
    assert_eq!(squares[3].get()?, 9, "all had ended");
    Ok(())
}

/// ```text
/// fails      long, …      waits → waits
/// ```
#[distwq::test(ranks = [2, 3, 4, 7], repeat = 200)]
fn when_a_task_fails_the_run_is_cancelled_if_so_wished(cluster: &Cluster) -> Outcome {
    let other = cluster.submit(pause::call(20));
    let mut graph = Graph::new();
    graph.on_failure(OnFailure::CancelRun);
    let failing = graph.add(fails::call().priority(1));
    let long: Vec<_> = (0..2 * cluster.workers()).map(|_| graph.add(until_cancelled::call(false))).collect();
    let waits = graph.add(square::call(1).after_all(&long));
    let last = graph.add(sum::call(std::slice::from_ref(&waits)));
    let run = cluster.start(&mut graph)?;
    let error = run.wait().expect_err("a task fails");
    let RunError::Failed { failed, .. } = &error else { panic!("{error}") };
    assert_eq!(failed.len(), long.len() + 3, "{error}");
    assert!(error.to_string().starts_with(&format!("1 task failed, {} cancelled\n", long.len() + 2)), "{error}");
    assert!(matches!(failing.get(), Err(TaskError::Failed { .. })));
    assert!(long.iter().chain([&waits, &last]).all(is_cancelled));
    assert_eq!(other.get()?, 20, "it is of no graph");
    Ok(())
}

#[distwq::test(ranks = [2, 3, 4, 7], repeat = 200)]
fn a_run_that_nobody_holds_is_cancelled_on_failure_too(cluster: &Cluster) -> Outcome {
    let mut graph = Graph::new();
    graph.on_failure(OnFailure::CancelRun);
    graph.add(fails::call().priority(1));
    let long: Vec<_> = (0..2 * cluster.workers()).map(|_| graph.add(until_cancelled::call(false))).collect();
    cluster.start(&mut graph)?;
    assert!(long.iter().all(is_cancelled));
    Ok(())
}

#[remote]
fn fails_once(ctx: &Context) -> Result<u64, String> {
    if ctx.attempt() == 1 { Err("the first time".to_owned()) } else { Ok(1) }
}

#[distwq::test(ranks = [2, 3, 4, 7], repeat = 200)]
fn a_task_that_is_tried_again_does_not_cancel_the_run(cluster: &Cluster) -> Outcome {
    let mut graph = Graph::new();
    graph.on_failure(OnFailure::CancelRun);
    let first = graph.add(fails_once::call().retries(1));
    let others: Vec<_> = (0..20).map(|x| graph.add(square::call(x).after(&first))).collect();
    cluster.run(&mut graph)?;
    assert_eq!((first.info().attempts, others[19].get()?), (2, 361));
    Ok(())
}

#[distwq::test(ranks = [2, 3, 4, 7], repeat = 200)]
fn a_task_that_its_user_cancels_does_not_cancel_the_run(cluster: &Cluster) -> Outcome {
    let mut graph = Graph::new();
    graph.on_failure(OnFailure::CancelRun);
    let first = graph.add(pause::call(20));
    let unwanted = graph.add(square::call(2).after(&first));
    let behind = graph.add(sum::call(std::slice::from_ref(&unwanted)));
    let others: Vec<_> = (0..5).map(|x| graph.add(square::call(x).after(&first))).collect();
    let run = cluster.start(&mut graph)?;
    unwanted.cancel();
    assert!(run.wait().is_err());
    assert!(is_cancelled(&unwanted) && matches!(behind.get(), Err(TaskError::Upstream { .. })));
    assert!(others.iter().all(|other| other.get().is_ok()));
    Ok(())
}

#[distwq::test(ranks = [2, 3, 4, 7], repeat = 200)]
fn a_cancelled_batch_gives_each_result_once_and_can_go_on(cluster: &Cluster) -> Outcome {
    let batch = cluster.batch();
    for index in 0..cluster.workers() {
        batch.submit(until_cancelled::call(index == 0));
    }
    for _ in 0..20 {
        batch.submit(until_cancelled::call(false));
    }
    batch.cancel();
    let results: Vec<_> = batch.iter().collect();
    assert_eq!(results.len(), cluster.workers() + 20);
    let cancelled = results.iter().filter(|(_, result)| matches!(result, Err(TaskError::Cancelled { .. }))).count();
    assert!(cancelled >= results.len() - 1, "one may have begun, and given its value");
    let index = batch.submit(until_cancelled::call(true));
    batch.cancel();
    assert!(batch.next().is_some_and(|(found, _)| found == index));
    assert!(batch.next().is_none());
    Ok(())
}
