//! Maps with deadlines, and items with limits.

use distwq::WorkerStatus;
use distwq::prelude::*;
use std::thread;
use std::time::{Duration, Instant};

/// More than a worker sends along with the news that a task has ended.
const MANY: usize = 200_000;

/// So long an item takes that is tried again: no test waits for it.
const LONG: Duration = Duration::from_secs(20);

/// Nothing here takes as long.
const END: Duration = Duration::from_secs(60);

#[remote]
fn square(x: i64) -> i64 {
    x * x
}

#[remote]
fn pause(milliseconds: u64) -> u64 {
    thread::sleep(Duration::from_millis(milliseconds));
    milliseconds
}

/// Many bytes; of the item `fails` none at the first attempt, and late at the next ones.
#[remote]
fn heavy(ctx: &Context, item: u8, fails: u8) -> Result<Vec<u8>, String> {
    if item != fails {
        return Ok(vec![item; MANY]);
    }
    let begun = Instant::now();
    while ctx.attempt() > 1 && !ctx.cancelled() && begun.elapsed() < LONG {
        thread::sleep(Duration::from_millis(1));
    }
    Err(format!("{item} fails"))
}

fn is_late<T>(result: &Result<T, TaskError>) -> bool {
    matches!(result, Err(TaskError::LimitReached { limit: Limit::Deadline, .. }))
}

/// Waits for what runs on past its deadline: it keeps its worker.
fn all_end(cluster: &Cluster) {
    let begun = Instant::now();
    loop {
        let status = cluster.status();
        let is_idle = |worker: &WorkerStatus| worker.running.is_empty() && worker.past_limit.is_empty();
        if status.pending == 0 && status.workers.iter().all(is_idle) {
            return;
        }
        assert!(begun.elapsed() < END, "{status}");
        thread::yield_now();
    }
}

#[distwq::test(ranks = [2, 3, 4, 7])]
fn after_the_deadline_come_the_results_that_are_there_and_one_error(cluster: &Cluster) -> Result<(), TaskError> {
    let mut map = cluster.map(pause::call, [0, 0, 1_000]).deadline(Duration::from_millis(250));
    assert_eq!((map.next(), map.next()), (Some(Ok(0)), Some(Ok(0))));
    let begun = Instant::now();
    let late = map.next();
    assert!(matches!(late, Some(Err(TaskError::LimitReached { limit: Limit::Deadline, .. }))), "{late:?}");
    assert!(begun.elapsed() < Duration::from_millis(900), "{:?}", begun.elapsed());
    assert_eq!((map.next(), map.next()), (None, None));
    assert_eq!(cluster.submit(square::call(3)).get()?, 9);
    all_end(cluster);
    // One keeps a worker, the others end.
    let workers = cluster.workers();
    let times = std::iter::once(1_000).chain(std::iter::repeat_n(0, workers - 1));
    let results: Vec<_> = cluster.map(pause::call, times).unordered().deadline(Duration::from_millis(250)).collect();
    assert_eq!(results.iter().filter(|result| **result == Ok(0)).count(), workers - 1);
    assert!(matches!(results.last(), Some(Err(TaskError::LimitReached { limit: Limit::Deadline, .. }))), "{results:?}");
    assert_eq!(results.len(), workers);
    all_end(cluster);
    // In order, what has ended behind the one that has not is given.
    let times = [1_000, 0, 0];
    let results: Vec<_> = cluster.map(pause::call, times).deadline(Duration::from_millis(250)).collect();
    assert_eq!(results.len(), if workers > 1 { 3 } else { 1 });
    all_end(cluster);
    // One that is not reached changes nothing, however late the results are taken.
    let mut map = cluster.map(square::call, 1..=3).deadline(Duration::from_millis(300));
    assert_eq!(map.next(), Some(Ok(1)));
    thread::sleep(Duration::from_millis(400));
    assert_eq!((map.next(), map.next(), map.next()), (Some(Ok(4)), Some(Ok(9)), None));
    Ok(())
}

#[distwq::test(ranks = [2, 3])]
fn an_item_with_a_limit_ends_at_it_and_the_others_go_on(cluster: &Cluster) {
    let times = [0, 0, 300, 0, 0, 0];
    let map = cluster.map(|time| pause::call(time).run_limit(Duration::from_millis(60)), times).chunk(6);
    for (time, result) in times.into_iter().zip(map) {
        match result {
            Ok(value) => assert_eq!((value, time), (0, 0)),
            Err(TaskError::LimitReached { limit, .. }) => assert_eq!((limit, time), (Limit::Run, 300)),
            Err(error) => panic!("{error}"),
        }
    }
    all_end(cluster);
}

/// Items 4 to 7 end in time, on a worker; that one of them has failed is seen later.
#[distwq::test(ranks = [2, 3, 4])]
fn past_its_deadline_a_map_tries_nothing_again_that_has_failed_on_a_worker(cluster: &Cluster) {
    for fails in [5, 100] {
        let begun = Instant::now();
        let limit = Duration::from_secs(1);
        let mut map = cluster.map(|item| heavy::call(item, fails).retries(3), 0..8).chunk(4).deadline(limit);
        assert!(map.next().is_some_and(|result| result.is_ok()));
        thread::sleep(limit.saturating_sub(begun.elapsed()) + Duration::from_millis(50));
        let results: Vec<_> = map.by_ref().take(20).collect();
        assert!(begun.elapsed() < LONG / 2, "it has waited for the item: {:?}", begun.elapsed());
        let values = results.iter().filter(|result| result.is_ok()).count();
        let failures: Vec<_> = results.iter().filter_map(|result| result.as_ref().err()).collect();
        if fails == 5 {
            assert!(failures.len() == 2 && failures[0].message() == Some("5 fails"), "{values} values, {failures:?}");
            assert!(results.last().is_some_and(is_late) && values == 6, "{values} values, {failures:?}");
        } else {
            assert!(failures.is_empty() && values == 7, "the deadline changes nothing: {values} values, {failures:?}");
        }
        assert!(map.next().is_none());
    }
}
