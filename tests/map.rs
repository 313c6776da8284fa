//! Maps: results in order or as they come, within a window, whatever travels together.

use distwq::prelude::*;
use distwq::{Limit, Refusal, RetryOn, TaskFailure};
use std::cell::Cell;
use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

type Outcome = Result<(), Box<dyn std::error::Error>>;

/// So long that only a hang takes longer.
const LIMIT: Duration = Duration::from_secs(60);

#[remote]
fn square(x: i64) -> i64 {
    x * x
}

#[remote]
fn add(x: i64, y: i64) -> i64 {
    x + y
}

#[remote]
fn pause(milliseconds: u64) -> u64 {
    thread::sleep(Duration::from_millis(milliseconds));
    milliseconds
}

#[remote]
fn inverse(x: i64) -> Result<f64, String> {
    if x == 0 { Err("a division by zero".to_owned()) } else { Ok(1.0 / x as f64) }
}

#[remote]
fn odd(x: i64) -> Result<i64, String> {
    if x % 2 == 0 { Err(format!("{x} is even")) } else { Ok(x) }
}

#[distwq::test(ranks = [2, 3, 4, 7], every)]
fn a_map_gives_what_the_iterator_gives_whatever_the_length(cluster: &Cluster) -> Outcome {
    let workers = cluster.workers() as i64;
    for length in [0, 1, 2, workers - 1, workers, workers + 1, 101] {
        let expected: Vec<i64> = (0..length).map(|x| x * x).collect();
        let found: Result<Vec<i64>, _> = cluster.map(square::call, 0..length).collect();
        assert_eq!(found?, expected);
        let mut found = cluster.map(square::call, 0..length).unordered().collect::<Result<Vec<i64>, _>>()?;
        found.sort_unstable();
        assert_eq!(found, expected);
    }
    Ok(())
}

#[distwq::test(ranks = [2, 3, 4, 7])]
fn a_source_need_not_know_its_length_and_two_are_zipped(cluster: &Cluster) -> Outcome {
    let mut next = 0;
    let source = std::iter::from_fn(|| {
        next += 1;
        (next <= 37).then_some(next)
    });
    let found: Result<Vec<i64>, _> = cluster.map(square::call, source).collect();
    assert_eq!(found?, (1..=37).map(|x| x * x).collect::<Vec<_>>());
    let (ten, four) = (0..10_i64, 0..4_i64);
    let one: Result<Vec<i64>, _> = cluster.map(|(x, y)| add::call(x, y), ten.clone().zip(four.clone())).collect();
    let other: Result<Vec<i64>, _> = cluster.map(|(x, y)| add::call(x, y), four.zip(ten)).collect();
    assert_eq!((one?, other?), (vec![0, 2, 4, 6], vec![0, 2, 4, 6]));
    Ok(())
}

#[distwq::test(ranks = [2, 3, 4, 7])]
fn results_come_in_order_or_as_tasks_end(cluster: &Cluster) -> Outcome {
    let times: Vec<u64> = (1..=16).rev().map(|step| step * 20).collect();
    let in_order: Result<Vec<u64>, _> = cluster.map(pause::call, times.clone()).collect();
    assert_eq!(in_order?, times);
    let mut as_they_end = cluster.map(pause::call, times.clone()).unordered().collect::<Result<Vec<u64>, _>>()?;
    if cluster.workers() > 1 {
        assert_ne!(as_they_end, times);
    }
    as_they_end.sort_unstable_by(|one, other| other.cmp(one));
    assert_eq!(as_they_end, times);
    let indexed = cluster.map(pause::call, [30, 0, 10]).unordered().indexed();
    let found: BTreeSet<(usize, u64)> = indexed.map(|(index, result)| (index, result.expect("it sleeps"))).collect();
    assert_eq!(found, BTreeSet::from([(0, 30), (1, 0), (2, 10)]));
    Ok(())
}

#[distwq::test(ranks = [2, 3, 4, 7])]
fn any_window_and_any_chunk_give_the_same(cluster: &Cluster) -> Outcome {
    let expected: Vec<i64> = (0..40).map(|x| x * x).collect();
    for chunk in [6, 40, 50] {
        let found: Result<Vec<i64>, _> = cluster.map(square::call, 0..40).chunk(chunk).collect();
        assert_eq!(found?, expected);
    }
    for window in [1, 2, 9, 10, 11] {
        for chunk in [1, 2, 9, 10, 11] {
            let map = || cluster.map(square::call, 0..10).window(window).chunk(chunk);
            let found: Result<Vec<i64>, _> = map().collect();
            assert_eq!(found?, expected[..10], "window {window}, chunk {chunk}");
            let mut found = map().unordered().collect::<Result<Vec<i64>, _>>()?;
            found.sort_unstable();
            assert_eq!(found, expected[..10], "window {window}, chunk {chunk}, unordered");
        }
        let found: Result<Vec<i64>, _> = cluster.map(square::call, 0..10).window(window).collect();
        assert_eq!(found?, expected[..10], "window {window}");
    }
    Ok(())
}

#[distwq::test(ranks = [2, 4])]
fn a_window_or_a_chunk_of_no_items_is_an_error(cluster: &Cluster) -> Outcome {
    let refused = |result: Option<Result<i64, TaskError>>, expected| match result {
        Some(Err(TaskError::Refused { reason: Refusal::NoItems { what }, .. })) => assert_eq!(what, expected),
        other => panic!("{other:?}"),
    };
    let mut map = cluster.map(square::call, 0..40).chunk(0);
    refused(map.next(), "chunk");
    assert_eq!(map.next(), None);
    refused(cluster.map(square::call, 0..40).window(0).next(), "window");
    refused(cluster.map(square::call, 0..40).chunk(0).tree_reduce(add::call).map(|_| 0).err().map(Err), "chunk");
    Ok(())
}

#[distwq::test(ranks = [2, 3, 4, 7])]
fn an_endless_source_is_pulled_within_the_window_only(cluster: &Cluster) -> Outcome {
    let pulled = Cell::new(0);
    let source = (0..).inspect(|_| pulled.set(pulled.get() + 1));
    let mut map = cluster.map(square::call, source).window(2);
    assert_eq!(pulled.get(), 0, "nobody has asked");
    let found: Result<Vec<i64>, _> = map.by_ref().take(4).collect();
    assert_eq!(found?, [0, 1, 4, 9]);
    drop(map);
    assert!(pulled.get() < 10, "{}", pulled.get());
    assert_eq!(cluster.submit(square::call(12)).get()?, 144);
    Ok(())
}

#[distwq::test(ranks = [2, 3, 4, 7])]
fn the_window_bounds_the_items_that_were_pulled_and_not_given(cluster: &Cluster) -> Outcome {
    for (window, chunk) in [(5, None), (5, Some(2)), (1, None), (64, Some(64)), (300, None)] {
        let pulled = Cell::new(0);
        let given = Cell::new(0);
        let source = (0..1_000).inspect(|_| {
            pulled.set(pulled.get() + 1);
            assert!(pulled.get() <= given.get() + window, "{} pulled, {} given", pulled.get(), given.get());
        });
        let mut map = cluster.map(square::call, source).window(window);
        if let Some(chunk) = chunk {
            map = map.chunk(chunk);
        }
        assert_eq!(pulled.get(), 0, "nobody has asked");
        for result in map {
            result?;
            given.set(given.get() + 1);
            assert!(given.get() > 1 || pulled.get() >= window, "at first there is a full window");
            assert!(given.get() > 2 || pulled.get() <= 2 * window);
        }
        assert_eq!((pulled.get(), given.get()), (1_000, 1_000));
    }
    Ok(())
}

#[distwq::test(ranks = [2, 3, 4, 7])]
fn a_failure_is_an_error_at_its_item_and_its_neighbours_are_given(cluster: &Cluster) -> Outcome {
    let mut map = cluster.map(inverse::call, [2, 3, 0, 5]);
    assert_eq!((map.next(), map.next()), (Some(Ok(0.5)), Some(Ok(1.0 / 3.0))));
    let error = map.next().expect("it has an index").expect_err("it fails");
    assert_eq!(error.message(), Some("a division by zero"));
    assert_eq!(map.next(), Some(Ok(0.2)));
    assert_eq!(map.next(), None);
    for chunk in [1, 4, 50] {
        for (index, result) in (0..).zip(cluster.map(odd::call, 0..50).chunk(chunk)) {
            if index % 2 == 1 {
                assert_eq!(result, Ok(index));
                continue;
            }
            let Err(TaskError::Failed { site, message }) = result else { panic!("{result:?}") };
            assert_eq!(&*message, format!("{index} is even"));
            assert_eq!((site.task as i64, site.attempts), (index + 1, 1));
            assert!(site.rank.is_some() && site.host.is_some() && site.function.ends_with("odd"), "{site}");
        }
    }
    Ok(())
}

#[remote]
fn breaks(x: u64) -> u64 {
    assert!(!x.is_multiple_of(3), "{x} is a multiple of three");
    x
}

#[distwq::test(ranks = [2, 3])]
fn a_panic_ends_its_item_alone(cluster: &Cluster) {
    for (x, result) in (0..30).zip(cluster.map(breaks::call, 0..30).chunk(30)) {
        match result {
            Ok(value) => assert_eq!((value, x % 3 != 0), (x, true)),
            Err(TaskError::Panicked { message, .. }) => {
                assert!(x % 3 == 0 && message.starts_with(&format!("{x} is a multiple of three (at ")), "{message}");
            }
            Err(error) => panic!("{error}"),
        }
    }
}

#[distwq::test(ranks = [2, 3, 4])]
fn the_first_error_ends_a_map_that_fails_fast(cluster: &Cluster) -> Outcome {
    for chunk in [1, 8] {
        let mut map = cluster.map(inverse::call, [5, 4, 2, 1, 0].into_iter().chain(6..)).chunk(chunk).fail_fast();
        let values: Vec<f64> = map.by_ref().map_while(Result::ok).collect();
        assert_eq!(values, [0.2, 0.25, 0.5, 1.0]);
        assert_eq!(map.next(), None);
        let mut map = cluster.map(inverse::call, (0..).map(|x| x - 20)).chunk(chunk).unordered().fail_fast();
        let last = map.by_ref().find(Result::is_err).expect("there is a zero").expect_err("it was asked for");
        assert_eq!((last.message(), map.next()), (Some("a division by zero"), None));
    }
    assert_eq!(cluster.submit(square::call(3)).get()?, 9);
    Ok(())
}

#[distwq::test(ranks = [2, 3, 4, 7])]
fn progress_counts_items_however_they_travel(cluster: &Cluster) -> Outcome {
    for chunk in [1, 7, 100] {
        let mut map = cluster.map(square::call, 0..100).chunk(chunk);
        assert_eq!((map.done(), map.size_hint()), (0, (100, Some(100))));
        let mut before = 0;
        for given in 1..=100 {
            map.next().expect("there are a hundred")?;
            let done = map.done();
            assert!(done >= given.max(before) && done <= 100, "{done} of {given}");
            assert_eq!(map.size_hint(), (100 - given, Some(100 - given)));
            before = done;
        }
        assert_eq!((map.next(), map.done()), (None, 100));
    }
    let counted = cluster.stats();
    assert_eq!((counted.submitted, counted.done), (300, 300));
    Ok(())
}

#[distwq::test(ranks = [2, 3], repeat = 200)]
fn dropping_a_map_cancels_what_has_not_started(cluster: &Cluster) -> Outcome {
    let begun = Instant::now();
    let mut map = cluster.map(pause::call, std::iter::once(0).chain(std::iter::repeat_n(300, 100)));
    assert_eq!(map.next(), Some(Ok(0)));
    drop(map);
    // Also of items that travel together, those whose turn has not come.
    let limit = Duration::from_millis(50);
    let late = cluster.map(pause::call, std::iter::repeat_n(300, 100)).chunk(50).deadline(limit).next();
    assert!(matches!(late, Some(Err(TaskError::LimitReached { limit: Limit::Deadline, .. }))), "{late:?}");
    cluster.shutdown();
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
    Ok(())
}

#[remote]
fn reluctant(ctx: &Context, x: u32) -> Result<(u32, u32), String> {
    let (attempt, wanted) = (ctx.attempt(), x % 4 + 1);
    if attempt < wanted { Err(format!("{x} at attempt {attempt}")) } else { Ok((x, attempt)) }
}

#[distwq::test(ranks = [2, 3, 4])]
fn each_item_has_its_own_retries_whatever_travels_with_it(cluster: &Cluster) {
    for (rounds, chunk) in (1..).zip([1, 5, 40]) {
        let map = cluster.map(|x| reluctant::call(x).retries(2), 0..40).chunk(chunk);
        for (x, result) in (0..).zip(map) {
            if x % 4 < 3 {
                assert_eq!(result, Ok((x, x % 4 + 1)), "chunk {chunk}");
                continue;
            }
            let Err(TaskError::Failed { site, message }) = result else { panic!("{result:?}") };
            assert_eq!((&*message, site.attempts, site.task), (&*format!("{x} at attempt 3"), 3, x + 1));
        }
        let map = cluster.map(|x| reluctant::call(x).retries(3), 0..40).chunk(chunk).unordered().indexed();
        let found: BTreeSet<(usize, u32)> =
            map.map(|(index, result)| (index, result.expect("four will do").1)).collect();
        assert_eq!(found, (0..40).map(|x| (x as usize, x % 4 + 1)).collect());
        // Each counts once, as it has ended for good.
        let distwq::Stats { submitted, done, failed, cancelled, outstanding, .. } = cluster.stats();
        assert_eq!((submitted, done, failed), (rounds * 80, rounds * 70, rounds * 10));
        assert_eq!((cancelled, outstanding), (0, 0));
    }
}

/// Fails in the way that its number says, until it is where and when it wants to be.
#[remote]
fn wishes(ctx: &Context, x: u32, begun_ms: u64) -> Result<(u32, u32), TaskFailure> {
    let failure = TaskFailure::from(format!("item {x}"));
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("it is later").as_millis() as u64;
    match x % 4 {
        0 => Err(failure.permanent()),
        1 if ctx.worker() == 0 => Err(failure.not_here()),
        2 if now < begun_ms + 60 => Err(failure.busy(Duration::from_millis(20))),
        _ => Ok((ctx.attempt(), ctx.rank().0)),
    }
}

#[distwq::test(ranks = [2, 3, 4])]
fn an_item_goes_on_as_it_asks_for_whatever_travels_with_it(cluster: &Cluster) {
    for (chunk, retries) in [(1, 0), (4, 0), (10, 2), (40, 0)] {
        let begun = SystemTime::now().duration_since(UNIX_EPOCH).expect("it is later").as_millis() as u64;
        let map = cluster.map(|x| wishes::call(x, begun).retries(retries), 0..40).chunk(chunk);
        for (x, result) in (0..).zip(map) {
            match (x % 4, &result) {
                (0, Err(TaskError::Failed { site, message })) => {
                    assert_eq!((site.attempts, site.task, &**message), (1, x + 1, &*format!("item {x}")));
                }
                (1, Err(TaskError::Failed { site, message })) if cluster.workers() == 1 => {
                    assert_eq!(site.task, x + 1);
                    assert!(message.contains("not_here"), "{message}");
                }
                (1..=3, Ok((attempt, _))) => assert_eq!(*attempt, 1, "chunk {chunk}"),
                _ => panic!("{x}: {result:?}"),
            }
        }
    }
}

#[distwq::test(ranks = [2, 3])]
fn items_are_tried_again_after_the_failures_that_were_chosen(cluster: &Cluster) {
    for chunk in [1, 8] {
        let call = |x| reluctant::call(x).retries(3);
        let never = cluster.map(|x| call(x).retry_on(RetryOn::PANICS), 0..16).chunk(chunk);
        let attempts: Vec<_> =
            never.filter_map(Result::err).map(|error| error.site().map(|site| site.attempts)).collect();
        assert_eq!(attempts, [Some(1); 12], "only every fourth needs one attempt");
        let begun = Instant::now();
        let mut paused = cluster.map(|x| call(x).backoff(Duration::from_millis(20)), 0..16).chunk(chunk);
        assert!(paused.all(|result| result.is_ok()));
        assert!(begun.elapsed() >= Duration::from_millis(20 + 40 + 80), "{:?}", begun.elapsed());
    }
}

#[remote]
fn describes(ctx: &Context, x: u32) -> (u32, Option<String>, u64) {
    (ctx.task() + x - x, ctx.label().map(str::to_owned), ctx.seed())
}

#[distwq::test(ranks = [2, 3, 4], config = Config::new().seed(5))]
fn labels_numbers_and_seeds_do_not_hang_on_what_travels_together(cluster: &Cluster) -> Outcome {
    let call = |x| {
        let call = describes::call(x);
        if x % 3 == 0 { call.label(format!("item {x}")) } else { call }
    };
    let mut seeds = BTreeSet::new();
    for chunk in [1, 4, 30] {
        for (x, result) in (0..).zip(cluster.map(call, 0..30).chunk(chunk)) {
            let (task, label, seed) = result?;
            assert_eq!((task, label), (x + 1, (x % 3 == 0).then(|| format!("item {x}"))));
            assert!(seeds.insert(seed), "each item of each map has its own");
        }
    }
    // Nor do the numbers of other tasks.
    let (task, _, _) = cluster.submit(describes::call(0)).get()?;
    assert_eq!(task, 1);
    Ok(())
}

#[distwq::test(ranks = [2, 3], config = Config::new().seed(5))]
fn the_seeds_of_a_map_are_those_of_any_run(cluster: &Cluster) -> Outcome {
    let first = cluster.map(describes::call, 0..3).next().expect("there are three")?;
    let third = cluster.map(describes::call, 0..3).nth(2).expect("there are three")?;
    assert_eq!((first.2, third.2), SEEDS);
    Ok(())
}

/// As they were told on one worker: they are part of what a program gives.
const SEEDS: (u64, u64) = (925_402_682_634_284_312, 8_501_357_320_168_594_570);

#[remote]
fn total(ctx: &Context, x: u64) -> u64 {
    let mut total = ctx.state::<u64>();
    *total += x;
    *total
}

#[distwq::test(ranks = [2, 3, 4], config = Config::new().init(|_| 0_u64).finish(|total| total))]
fn items_that_travel_together_use_the_state_of_their_slot(cluster: &Cluster) -> Outcome {
    for result in cluster.map(total::call, 1..=100).chunk(9) {
        result?;
    }
    assert_eq!(cluster.finish::<u64>()?.iter().sum::<u64>(), 5_050);
    Ok(())
}

#[remote]
fn scaled(factor: &i64, x: i64) -> i64 {
    factor * x
}

#[remote(collective)]
fn ranks_of(group: &Group, x: u64) -> Result<u64, GroupError> {
    Ok(group.all_reduce(x, |a, b| a + b)? / x)
}

#[distwq::test(ranks = [2, 3, 4])]
fn calls_that_cannot_travel_together_are_mapped_as_well(cluster: &Cluster) -> Outcome {
    let factor = cluster.value(&7_i64);
    let scaled: Result<Vec<i64>, _> = cluster.map(|x| scaled::call(&factor, x), 0..20).collect();
    assert_eq!(scaled?, (0..20).map(|x| 7 * x).collect::<Vec<_>>());
    // Of several functions, and with several options.
    let mixed = cluster.map(
        |x: i64| match x % 3 {
            0 => square::call(x),
            1 => add::call(x, x).priority(2),
            _ => scaled::call(&factor, x).retries(1),
        },
        0..60,
    );
    let expected = (0..60).map(|x| [x * x, x + x, 7 * x][x as usize % 3]);
    assert_eq!(mixed.collect::<Result<Vec<i64>, _>>()?, expected.collect::<Vec<_>>());
    let ranks: Result<Vec<u64>, _> = cluster.map(|x| ranks_of::call(x).ranks(1), 1..=5).collect();
    assert_eq!(ranks?, [1; 5]);
    let refused = cluster.map(|x: u64| ranks_of::call(x).ranks(100 * x as usize), [0, 1]).collect::<Vec<_>>();
    assert!(refused.iter().all(|result| matches!(result, Err(TaskError::Refused { .. }))), "{refused:?}");
    Ok(())
}

#[distwq::test(ranks = [2, 3])]
fn a_source_that_panics_loses_that_item_alone(cluster: &Cluster) -> Outcome {
    let source = (0..30_i64).inspect(|x| assert!(x % 10 != 5, "no five"));
    let mut map = cluster.map(square::call, source).window(4);
    let mut found = Vec::new();
    let mut panics = 0;
    loop {
        match catch_unwind(AssertUnwindSafe(|| map.next())) {
            Ok(Some(result)) => found.push(result?),
            Ok(None) => break,
            Err(_) => panics += 1,
        }
    }
    assert_eq!(panics, 3);
    assert_eq!(found, (0..30).filter(|x| x % 10 != 5).map(|x| x * x).collect::<Vec<_>>());
    Ok(())
}

#[distwq::test(ranks = [2, 3, 4])]
fn a_source_may_use_the_cluster(cluster: &Cluster) -> Outcome {
    let source = (1..=20_i64).map(|x| cluster.submit(square::call(x)).get().expect("it is a square"));
    let found: Result<Vec<i64>, _> = cluster.map(|x| add::call(x, 1), source).collect();
    assert_eq!(found?, (1..=20).map(|x| x * x + 1).collect::<Vec<_>>());
    // A map is a source.
    let squares = cluster.map(square::call, 1..=20).map(|result| result.expect("it is a square"));
    let found: Result<Vec<i64>, _> = cluster.map(|x| add::call(x, 1), squares).collect();
    assert_eq!(found?, (1..=20).map(|x| x * x + 1).collect::<Vec<_>>());
    Ok(())
}

#[distwq::test(ranks = [2, 3, 4])]
fn maps_batches_and_graphs_go_on_beside_each_other(cluster: &Cluster) -> Outcome {
    let mut endless = cluster.map(square::call, 0..);
    let mut slow = cluster.map(pause::call, std::iter::repeat(5));
    assert_eq!((endless.next(), slow.next()), (Some(Ok(0)), Some(Ok(5))));
    let batch = cluster.submit_all((0..200).map(square::call));
    let mut graph = Graph::new();
    let sum = (1..50).fold(graph.add(square::call(0)), |sum, x| graph.add(add::call(&sum, x)));
    cluster.start(&mut graph)?;
    let begun = Instant::now();
    let mut ended = 0;
    let mut x = 0;
    while ended < 200 || !sum.is_done() {
        assert!(begun.elapsed() < LIMIT, "{ended} of the batch");
        x += 1;
        assert_eq!((endless.next(), slow.next()), (Some(Ok(x * x)), Some(Ok(5))));
        ended += batch.drain().len();
    }
    assert_eq!(sum.get()?, 49 * 50 / 2);
    Ok(())
}

#[distwq::test(ranks = [2, 4])]
fn maps_run_on_several_threads(cluster: &Cluster) {
    thread::scope(|scope| {
        for start in 0..5 {
            scope.spawn(move || {
                let found: Result<Vec<i64>, _> = cluster.map(square::call, start..start + 300).collect();
                assert_eq!(found, Ok((start..start + 300).map(|x| x * x).collect()));
            });
        }
    });
}

#[remote]
fn bytes(count: usize) -> Vec<u8> {
    vec![count as u8; count]
}

#[distwq::test(ranks = [2, 3])]
fn items_and_results_of_any_size_are_mapped(cluster: &Cluster) -> Outcome {
    let sizes = [0, 10, 100_000, 5_000, 1_000_000, 3, 300_000, 70_000];
    for chunk in [1, 3, 8] {
        let map = cluster.map(bytes::call, sizes).chunk(chunk);
        for (size, result) in sizes.into_iter().zip(map) {
            assert!(result? == vec![size as u8; size], "{size} bytes");
        }
        let lengths: Result<Vec<usize>, _> =
            cluster.map(length::call, sizes.map(|size| vec![1; size])).chunk(chunk).collect();
        assert_eq!(lengths?, sizes);
    }
    Ok(())
}

#[remote]
fn length(bytes: &[u8]) -> usize {
    bytes.len()
}

#[distwq::test(ranks = [2, 3], repeat = 200)]
fn cancelling_all_ends_a_map(cluster: &Cluster) {
    fn is_cancelled<T>(result: Result<T, TaskError>) -> bool {
        matches!(result, Err(TaskError::Cancelled { interrupted: false, .. }))
    }
    for window in [1, 2, 3, 50] {
        let mut map = cluster.map(pause::call, std::iter::repeat(2)).window(window);
        let mut later = cluster.map(pause::call, [0, 0]);
        assert_eq!(map.next(), Some(Ok(2)));
        cluster.cancel_all();
        let rest: Vec<_> = map.by_ref().take(10_000).collect();
        let values = rest.iter().take_while(|result| result.is_ok()).count();
        assert!(values + 1 == rest.len() && values <= window + 1, "{window}: {rest:?}");
        assert!(rest.into_iter().next_back().is_some_and(is_cancelled::<u64>) && map.next().is_none());
        // One that begins afterwards goes on.
        assert_eq!((later.next(), later.next(), later.next()), (Some(Ok(0)), Some(Ok(0)), None));
        let begun = AtomicBool::new(false);
        thread::scope(|scope| {
            let items = std::iter::repeat(1).inspect(|_| begun.store(true, Relaxed));
            let reduced = scope.spawn(|| cluster.map(square::call, items).window(window).tree_reduce(add::call));
            while !begun.load(Relaxed) {
                thread::yield_now();
            }
            cluster.cancel_all();
            assert!(is_cancelled(reduced.join().expect("it does not panic")));
        });
    }
}

#[distwq::test(ranks = [2, 3], repeat = 200)]
fn a_map_that_is_half_read_at_shutdown_ends_with_an_error(cluster: &Cluster) -> Outcome {
    let mut map = cluster.map(square::call, 0..).window(20);
    let mut left = cluster.map(square::call, 0..);
    assert_eq!((map.next(), left.next()), (Some(Ok(0)), Some(Ok(0))));
    cluster.shutdown();
    let rest: Vec<_> = map.by_ref().take(1_000).collect();
    let values = rest.iter().take_while(|result| result.is_ok()).count();
    assert!(values < 20 && rest.len() < 1_000, "{values} of {}", rest.len());
    assert!(matches!(rest.last(), Some(Err(TaskError::Refused { reason: Refusal::Closed, .. }))), "{:?}", rest.last());
    assert_eq!(map.next(), None);
    Ok(())
}

#[distwq::test(ranks = [2, 3])]
fn many_rounds_of_a_small_map_end(cluster: &Cluster) -> Outcome {
    let rounds = if distwq::testing::full() { 10_000 } else { 200 };
    for round in 0..rounds {
        let map = cluster.map(square::call, round..round + 12);
        let found: Result<Vec<i64>, _> = if round % 2 == 0 { map.collect() } else { map.unordered().collect() };
        let mut found = found?;
        found.sort_unstable();
        assert_eq!(found, (round..round + 12).map(|x| x * x).collect::<Vec<_>>());
    }
    Ok(())
}
