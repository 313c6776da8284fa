//! Batches, maps, graphs and lone tasks share the workers: none waits for all of another.

use distwq::prelude::*;
use std::thread;
use std::time::Duration;

type Outcome = Result<(), Box<dyn std::error::Error>>;

/// Takes a millisecond.
#[remote]
fn step(x: u64) -> u64 {
    thread::sleep(Duration::from_millis(1));
    x
}

#[remote]
fn next_step(x: &u64) -> u64 {
    step(x + 1)
}

/// The tasks of a batch for each worker: far more than are handed out ahead.
const MANY: usize = 300;

fn many(cluster: &Cluster) -> Batch<u64> {
    cluster.submit_all((0..(MANY * cluster.workers()) as u64).map(step::call))
}

/// Hardly more of the batch has ended than what another one has had beside it and what
/// was handed out ahead.
fn assert_early(batch: &Batch<u64>) {
    let progress = batch.progress();
    assert!(progress.ended < progress.tasks / 2, "{progress:?}");
}

#[distwq::test(ranks = [2, 4])]
fn a_map_does_not_wait_for_a_batch_that_came_before(cluster: &Cluster) -> Outcome {
    let batch = many(cluster);
    assert_eq!(cluster.map(step::call, 0..10).collect::<Result<Vec<_>, _>>()?, Vec::from_iter(0..10));
    assert_early(&batch);
    batch.cancel();
    Ok(())
}

#[distwq::test(ranks = [2, 4])]
fn a_lone_task_does_not_wait_for_a_batch_that_came_before(cluster: &Cluster) -> Outcome {
    let batch = many(cluster);
    assert_eq!(cluster.submit(step::call(7)).get()?, 7);
    assert_early(&batch);
    batch.cancel();
    Ok(())
}

/// Chains of the graph have long paths, which go first among the tasks of the graph only.
#[distwq::test(ranks = [2, 4])]
fn a_map_does_not_wait_for_a_deep_graph(cluster: &Cluster) -> Outcome {
    let mut graph = Graph::new();
    let ends: Vec<_> = (0..30 * cluster.workers())
        .map(|_| {
            let first = graph.add(step::call(0));
            (0..10).fold(first, |last, _| graph.add(next_step::call(&last)))
        })
        .collect();
    let run = cluster.start(&mut graph)?;
    assert_eq!(cluster.map(step::call, 0..10).collect::<Result<Vec<_>, _>>()?, Vec::from_iter(0..10));
    let progress = run.progress();
    assert!(progress.ended < progress.tasks / 2, "{progress:?}");
    run.wait()?;
    for end in ends {
        assert_eq!(end.get()?, 10);
    }
    Ok(())
}

/// The map has no end. The graph has its turns beside it.
#[distwq::test(ranks = [2, 4])]
fn a_graph_ends_beside_a_map_without_end(cluster: &Cluster) -> Outcome {
    let mut map = cluster.map(step::call, 0..).unordered();
    map.next().expect("it has no end")?;
    let mut graph = Graph::new();
    let last = (0..5).fold(graph.add(step::call(0)), |last, _| graph.add(next_step::call(&last)));
    let run = cluster.start(&mut graph)?;
    let results = map.by_ref().take_while(|_| !run.is_done()).take(100_000).count();
    assert!(run.is_done(), "after {results} results of the map");
    assert_eq!(last.get()?, 5);
    Ok(())
}

/// Followers of a value may run on one worker only, here the only one.
#[distwq::test(ranks = [2])]
fn others_have_turns_on_a_worker_with_many_followers(cluster: &Cluster) -> Outcome {
    let here = cluster.submit(step::call(0));
    let followers = cluster.submit_all((0..MANY as u64).map(|x| step::call(x).follow(&here)));
    let beside: Vec<_> = (0..20).map(|x| cluster.submit(step::call(x))).collect();
    for (x, task) in (0..).zip(&beside) {
        assert_eq!(task.get()?, x);
    }
    assert_early(&followers);
    followers.cancel();
    Ok(())
}
