//! Arguments made of handles in other ways than as a value or a list of values: ends of
//! tasks, whichever they are, and handles within options, arrays and tuples.

use distwq::prelude::*;
use distwq::{Refusal, TaskState};
use std::time::Duration;

type Outcome = Result<(), Box<dyn std::error::Error>>;

/// Fails below 0, and panics above 1,000.
#[remote]
fn root(x: f64) -> Result<f64, String> {
    assert!(x <= 1_000.0, "{x} is too much");
    if x < 0.0 { Err(format!("{x} has no root")) } else { Ok(x.sqrt()) }
}

#[remote]
fn text(byte: u8, bytes: usize) -> Vec<u8> {
    vec![byte; bytes]
}

#[remote]
fn same(value: f64) -> f64 {
    value
}

/// What its argument was, in words.
#[remote]
fn end_of(end: Result<f64, TaskError>) -> String {
    told(&end)
}

#[remote]
fn ends_of(ends: Vec<Result<f64, TaskError>>, behind: u8) -> (Vec<String>, u8) {
    (ends.iter().map(told).collect(), behind)
}

fn told(end: &Result<f64, TaskError>) -> String {
    match end {
        Ok(value) => format!("{value}"),
        Err(error @ TaskError::Upstream { path, .. }) => format!("upstream {path}: {}", said(error.root())),
        Err(error) => said(error),
    }
}

fn said(error: &TaskError) -> String {
    match error {
        TaskError::Failed { message, .. } => format!("failed: {message}"),
        TaskError::Panicked { message, .. } => format!("panicked: {message}"),
        TaskError::Cancelled { .. } => "cancelled".to_owned(),
        TaskError::Refused { reason, .. } => format!("refused: {reason}"),
        other => format!("{other}"),
    }
}

#[distwq::test(ranks = [2, 3, 4, 7])]
fn a_task_takes_the_ends_of_others_whichever_they_are(cluster: &Cluster) -> Outcome {
    let value = cluster.submit(root::call(4.0));
    let failed = cluster.submit(root::call(-1.0));
    let panicked = cluster.submit(root::call(1e6));
    let upstream = cluster.submit(same::call(&failed).label("behind"));
    let refused = cluster.submit(same::call(1.0).ranks(2));
    let all = [value.clone(), failed.clone(), panicked, upstream, refused];
    let expected =
        ["2", "failed: -1 has no root", "panicked: 1000000 is too much", "upstream ", "refused: it wants 2 ranks"];
    for (handle, expected) in all.iter().zip(expected) {
        let told = cluster.submit(end_of::call(handle)).get()?;
        assert!(told.starts_with(expected), "{told}");
    }
    let (told, behind) = cluster.submit(ends_of::call(&all[..], 7)).get()?;
    assert_eq!((told.len(), behind), (5, 7));
    assert!(told.iter().zip(expected).all(|(told, expected)| told.starts_with(expected)), "{told:?}");
    assert!(told[3].contains("root #") && told[3].ends_with("failed: -1 has no root"), "{told:?}");
    let again = cluster.submit(ends_of::call(all.to_vec(), 8)).get()?;
    assert_eq!(again, (told, 8));
    assert_eq!(cluster.submit(ends_of::call(Vec::<Handle<f64>>::new(), 9)).get()?, (Vec::new(), 9));
    Ok(())
}

#[distwq::test(ranks = [2, 3, 4, 7])]
fn a_result_is_a_value_like_any_other(cluster: &Cluster) -> Outcome {
    assert_eq!(cluster.submit(end_of::call(Ok(2.5))).get()?, "2.5");
    let error = cluster.submit(root::call(-4.0)).get().expect_err("it has no root");
    assert_eq!(cluster.submit(end_of::call(Err(error.clone()))).get()?, "failed: -4 has no root");
    assert_eq!(cluster.submit(error_back::call(error.clone())).get()?, error);
    Ok(())
}

#[remote]
fn error_back(error: TaskError) -> TaskError {
    error
}

#[remote]
fn wait_for(milliseconds: u64) -> f64 {
    std::thread::sleep(Duration::from_millis(milliseconds));
    1.0
}

#[distwq::test(ranks = [2, 3, 4, 7])]
fn a_cancelled_task_is_an_end_like_any_other(cluster: &Cluster) -> Outcome {
    let busy: Vec<_> = (0..2 * cluster.workers()).map(|_| cluster.submit(wait_for::call(100))).collect();
    let waits = cluster.submit(wait_for::call(60_000).after_all(&busy));
    let told = cluster.submit(end_of::call(&waits));
    let upstream = cluster.submit(same::call(&waits));
    waits.cancel();
    assert_eq!(told.get()?, "cancelled");
    assert!(matches!(upstream.get(), Err(TaskError::Upstream { .. })));
    Ok(())
}

#[distwq::test(ranks = [2, 3, 4, 7])]
fn in_a_graph_failure_ends_with_who_takes_it(cluster: &Cluster) -> Outcome {
    let mut graph = Graph::new();
    let failed = graph.add(root::call(-1.0));
    let behind = graph.add(same::call(&failed).label("behind"));
    let told = graph.add(ends_of::call([behind.clone(), failed.clone()].to_vec(), 1));
    let counted = graph.add(length_of::call(&told));
    let error = cluster.run(&mut graph).expect_err("a task fails");
    assert!(matches!(&error, RunError::Failed { failed, upstream: 1 } if failed.len() == 1), "{error}");
    assert_eq!(behind.info().state, TaskState::Failed);
    assert_eq!(told.get()?.0[1], "failed: -1 has no root");
    assert_eq!(counted.get()?, 2);
    Ok(())
}

#[remote]
fn length_of((told, _): (Vec<String>, u8)) -> usize {
    told.len()
}

/// How many bytes each part has, and the sums of their first bytes.
#[remote]
fn sizes_of(parts: Vec<Result<Vec<u8>, TaskError>>) -> Vec<Result<(usize, u8), String>> {
    parts.iter().map(|part| part.as_ref().map(|bytes| size_of(bytes)).map_err(ToString::to_string)).collect()
}

#[remote(collective)]
fn sizes_in_group(group: &Group, parts: &[Result<Vec<u8>, TaskError>]) -> Result<usize, GroupError> {
    let here: usize = parts.iter().flatten().map(Vec::len).sum();
    group.all_reduce(here, |a, b| a + b)
}

fn size_of(bytes: &[u8]) -> (usize, u8) {
    (bytes.len(), bytes.first().copied().unwrap_or_default())
}

#[remote]
fn broken(bytes: usize) -> Result<Vec<u8>, String> {
    Err("x".repeat(bytes))
}

#[distwq::test(ranks = [2, 3, 4, 7])]
fn ends_of_any_size_come_from_wherever_they_are(cluster: &Cluster) -> Outcome {
    for bytes in [0, 100, 3_000, 200_000] {
        let parts: Vec<_> = (0..3).map(|byte| cluster.submit(text::call(byte, bytes))).collect();
        let fails = cluster.submit(broken::call(bytes));
        let ends = [parts[0].clone(), fails.clone(), parts[1].clone(), parts[2].clone()];
        let sizes = cluster.submit(sizes_of::call(&ends[..])).get()?;
        let found: Vec<_> = sizes.iter().flatten().copied().collect();
        let first = |byte| if bytes == 0 { 0 } else { byte };
        assert_eq!(found, [0, 1, 2].map(|byte| (bytes, first(byte))));
        assert!(sizes[1].as_ref().is_err_and(|error| error.ends_with(&"x".repeat(bytes))), "{bytes}");
        let ranks = cluster.workers().min(2);
        let in_group = cluster.submit(sizes_in_group::call(&ends[..]).ranks(ranks));
        assert_eq!(in_group.get()?, 3 * bytes * ranks);
    }
    Ok(())
}

#[remote]
fn summed(pair: (Vec<u8>, u64), more: Option<Vec<u8>>, three: [u64; 3], last: u64) -> Vec<u64> {
    let (bytes, number) = pair;
    let sum = |bytes: &[u8]| bytes.iter().map(|byte| u64::from(*byte)).sum::<u64>();
    [sum(&bytes), number, more.map_or(0, |bytes| sum(&bytes)), three.iter().sum(), last].to_vec()
}

#[remote]
fn number(x: u64) -> u64 {
    x
}

#[remote]
fn four(parts: &(u64, Vec<u8>, u64, String), behind: &str) -> String {
    format!("{} {} {} {} {behind}", parts.0, parts.1.len(), parts.2, parts.3)
}

#[distwq::test(ranks = [2, 3, 4, 7])]
fn handles_stand_within_tuples_arrays_and_options(cluster: &Cluster) -> Outcome {
    let numbers: Vec<_> = (1..=3).map(|x| cluster.submit(number::call(x))).collect();
    let [a, b, c] = [&numbers[0], &numbers[1], &numbers[2]];
    for bytes in [3, 300, 100_000] {
        let ones = cluster.submit(text::call(1, bytes));
        let bytes = bytes as u64;
        let call = summed::call((&ones, 5), Some(&ones), [a, b, c], 9);
        assert_eq!(cluster.submit(call).get()?, [bytes, 5, bytes, 6, 9]);
        let call = summed::call((ones.clone(), a), None::<Vec<u8>>, [a.clone(), a.clone(), b.clone()], c);
        assert_eq!(cluster.submit(call).get()?, [bytes, 1, 0, 4, 3]);
        let call = summed::call((vec![2_u8; 2], c), Some(ones.clone()), [1, 2, 3], 9);
        assert_eq!(cluster.submit(call).get()?, [4, 3, bytes, 6, 9]);
        let call = four::call((7, &ones, a, "x".repeat(400)), "behind");
        assert_eq!(cluster.submit(call).get()?, format!("7 {bytes} 1 {} behind", "x".repeat(400)));
    }
    let all = [a.clone(), b.clone(), c.clone()];
    let call = summed::call((vec![0_u8], 0), Some(vec![1_u8]), &all, 0);
    assert_eq!(cluster.submit(call).get()?, [0, 0, 1, 6, 0]);
    Ok(())
}

#[distwq::test(ranks = [2, 3, 4, 7])]
fn handles_of_batches_and_graphs_stand_anywhere(cluster: &Cluster) -> Outcome {
    let batch = cluster.submit_all((1..=2).map(number::call));
    let handles: Vec<_> = (0..2).map(|index| batch.handle(index).expect("it was not taken")).collect();
    let mut graph = Graph::new();
    let inner = graph.add(number::call(10));
    let call = summed::call((vec![1_u8], &handles[0]), None::<Vec<u8>>, [&handles[1], &inner, &inner], 0);
    let sums = graph.add(call);
    cluster.run(&mut graph)?;
    assert_eq!(sums.get()?, [1, 1, 0, 22, 0]);
    Ok(())
}

#[distwq::test(ranks = [2, 3, 4, 7])]
fn what_is_wrong_with_a_part_is_told_of_the_whole_argument(cluster: &Cluster) {
    let failed = cluster.submit(root::call(-1.0));
    let behind = cluster.submit(pair_of::call((&failed, 1.0)));
    assert!(matches!(behind.get(), Err(TaskError::Upstream { .. })), "a part has to give a value");
    let mut other = Graph::new();
    let unstarted = other.add(number::call(1));
    let refused = cluster.submit(summed::call((vec![1_u8], &unstarted), None::<Vec<u8>>, [1, 2, 3], 0)).get();
    let reason = Refusal::NotStartedDependency;
    assert!(matches!(&refused, Err(TaskError::Refused { reason: told, .. }) if *told == reason), "{refused:?}");
}

#[remote]
fn pair_of(pair: (f64, f64)) -> f64 {
    pair.0 + pair.1
}

#[remote]
fn fails_once(ctx: &Context, end: Result<f64, TaskError>) -> Result<String, String> {
    if ctx.attempt() == 1 { Err("the first time".to_owned()) } else { Ok(told(&end)) }
}

#[distwq::test(ranks = [2, 3, 4, 7])]
fn a_task_that_is_tried_again_is_given_the_same_end(cluster: &Cluster) -> Outcome {
    let failed = cluster.submit(root::call(-1.0));
    let handle = cluster.submit(fails_once::call(&failed).retries(1));
    drop(failed);
    assert_eq!(handle.get()?, "failed: -1 has no root");
    Ok(())
}
