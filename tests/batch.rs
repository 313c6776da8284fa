//! Batches: results as they come, each once, and what is known of the whole.

use distwq::prelude::*;
use distwq::{ByWorkerError, Progress};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};

type Outcome = Result<(), Box<dyn std::error::Error>>;

/// So long that only a hang takes longer.
const LIMIT: Duration = Duration::from_secs(60);

#[remote]
fn square(x: i64) -> i64 {
    x * x
}

#[remote]
fn pause(milliseconds: u64) -> u64 {
    thread::sleep(Duration::from_millis(milliseconds));
    milliseconds
}

#[remote]
fn fails_after(milliseconds: u64) -> Result<u64, String> {
    thread::sleep(Duration::from_millis(milliseconds));
    Err("it fails".to_owned())
}

#[remote]
fn bytes(count: usize) -> Vec<u8> {
    vec![1; count]
}

#[distwq::test(ranks = [2, 3, 4, 7], every)]
fn five_squares_are_collected_with_next_and_then_there_is_nothing(cluster: &Cluster) -> Outcome {
    let batch = cluster.batch();
    for x in 1..=5 {
        assert_eq!(batch.submit(square::call(x)), x as usize - 1);
    }
    let mut found = BTreeMap::new();
    for _ in 0..5 {
        let (index, result) = batch.next().expect("five were submitted");
        assert_eq!(found.insert(index, result?), None);
    }
    assert_eq!(found.into_iter().collect::<Vec<_>>(), [(0, 1), (1, 4), (2, 9), (3, 16), (4, 25)]);
    let begun = Instant::now();
    assert_eq!((batch.next(), batch.try_next(), batch.next_timeout(LIMIT)), (None, None, None));
    assert!(begun.elapsed() < LIMIT / 2, "there was nothing to wait for");
    Ok(())
}

#[distwq::test(ranks = [2, 3, 4, 7])]
fn submitting_all_gives_a_handle_for_each_call_in_their_order(cluster: &Cluster) -> Outcome {
    let before = cluster.stats().submitted;
    let none = cluster.submit_all(Vec::<Call<i64>>::new());
    assert!(none.is_empty() && none.next().is_none() && none.in_order().next().is_none());
    assert_eq!((none.is_ok(), none.progress().to_string()), (Some(true), "0 of 0".to_owned()));
    assert_eq!(cluster.stats().submitted, before);
    let batch = cluster.submit_all((0..40).map(square::call));
    assert_eq!(batch.len(), 40);
    let mut ids = BTreeSet::new();
    for index in (0..40).rev() {
        let handle = batch.handle(index).expect("its result was not taken");
        assert_eq!(handle.get()?, (index * index) as i64);
        assert!(ids.insert(handle.info().id));
    }
    assert!(batch.handle(40).is_none());
    let squares: Result<Vec<_>, _> = batch.in_order().collect();
    assert_eq!(squares?, (0..40).map(|x| x * x).collect::<Vec<i64>>());
    assert!(batch.handle(7).is_none(), "its result was taken");
    let by_value = cluster.submit_all((0..5).map(square::call)).into_iter().map(|(_, result)| result);
    assert_eq!(by_value.sum::<Result<i64, _>>()?, 30);
    Ok(())
}

#[distwq::test(ranks = [2, 3, 4, 7])]
fn a_look_for_the_next_never_waits_and_gives_it_once(cluster: &Cluster) -> Outcome {
    let batch = cluster.submit_all([pause::call(500)]);
    let begun = Instant::now();
    assert!(batch.try_next().is_none() && batch.drain().is_empty());
    assert!(begun.elapsed() < Duration::from_millis(450), "looking took {:?}", begun.elapsed());
    let found = loop {
        assert!(begun.elapsed() < LIMIT, "it never ends");
        match batch.try_next() {
            Some(found) => break found,
            None => thread::yield_now(),
        }
    };
    assert_eq!(found, (0, Ok(500)));
    assert!(batch.try_next().is_none() && batch.drain().is_empty());
    Ok(())
}

#[distwq::test(ranks = [2, 3, 4, 7])]
fn a_wait_for_the_next_with_a_limit_ends_at_the_limit(cluster: &Cluster) -> Outcome {
    let batch = cluster.submit_all([pause::call(600)]);
    let begun = Instant::now();
    assert!(batch.next_timeout(Duration::from_millis(50)).is_none());
    let waited = begun.elapsed();
    assert!((50..500).contains(&waited.as_millis()), "it waited {waited:?}");
    assert!(batch.next_timeout(Duration::ZERO).is_none());
    assert_eq!(batch.next_timeout(Duration::MAX), Some((0, Ok(600))));
    Ok(())
}

/// ```text
/// worker 1: slow
/// worker 2: quick, quick, …
/// ```
#[distwq::test(ranks = [3, 4, 7])]
fn results_come_as_tasks_end_and_in_order_if_one_asks_for_that(cluster: &Cluster) -> Outcome {
    let calls = || [pause::call(700)].into_iter().chain((1..6).map(pause::call));
    let batch = cluster.submit_all(calls());
    let indices: Vec<usize> = batch.iter().map(|(index, _)| index).collect();
    assert_eq!(*indices.last().expect("six have come"), 0, "the slow one comes last: {indices:?}");
    assert_eq!(indices.iter().collect::<BTreeSet<_>>().len(), 6);
    let batch = cluster.submit_all(calls());
    let values: Result<Vec<_>, _> = batch.in_order().collect();
    assert_eq!(values?, [700, 1, 2, 3, 4, 5]);
    Ok(())
}

#[distwq::test(ranks = [2, 3, 4, 7])]
fn a_batch_grows_while_its_results_are_taken(cluster: &Cluster) -> Outcome {
    let batch = cluster.submit_all([square::call(2)]);
    let mut found = Vec::new();
    for (index, result) in &batch {
        let value = result?;
        found.push((index, value));
        if value < 1_000 {
            batch.submit(square::call(value));
        }
    }
    assert_eq!(found, [(0, 4), (1, 16), (2, 256), (3, 65_536)]);
    assert_eq!((batch.len(), batch.is_ok()), (4, Some(true)));
    Ok(())
}

#[distwq::test(ranks = [2, 3, 4, 7])]
fn a_result_taken_in_one_way_does_not_come_in_another(cluster: &Cluster) -> Outcome {
    let batch = cluster.submit_all((0..10).map(square::call));
    let mut in_order = batch.in_order();
    assert_eq!(in_order.next(), Some(Ok(0)));
    let (taken, result) = batch.next().expect("nine are left");
    assert_eq!(result?, (taken * taken) as i64);
    assert_ne!(taken, 0);
    let mut left: Vec<i64> = Vec::new();
    for value in in_order {
        left.push(value?);
    }
    let expected: Vec<i64> = (1..10).filter(|x| *x != taken as i64).map(|x| x * x).collect();
    assert_eq!(left, expected);
    assert!(batch.next().is_none() && batch.drain().is_empty());
    Ok(())
}

/// ```text
/// quick: a value at once · fails: after 250 ms · slow: a value after 1 s
/// ```
#[distwq::test(ranks = [4, 7])]
fn one_waits_for_the_first_the_first_error_or_all(cluster: &Cluster) -> Outcome {
    let [quick, fails, slow] = [pause::call(0), fails_after::call(250), pause::call(1_000)].map(|c| cluster.submit(c));
    let batch = Batch::of([&slow, &quick, &fails]);
    assert_eq!(batch.wait_any(LIMIT), [1]);
    assert_eq!(batch.is_ok(), None);
    assert_eq!(batch.wait_first_error(LIMIT), [1, 2]);
    assert_eq!(batch.progress().to_string(), "2 of 3, 1 failed");
    assert_eq!(batch.wait_all(Duration::from_millis(1)), [1, 2], "at the limit it tells what has ended");
    assert_eq!(batch.wait_all(LIMIT), [0, 1, 2]);
    assert_eq!(batch.is_ok(), Some(false));
    // Those that have ended count at once.
    let ended = Batch::of([&quick, &slow]);
    assert_eq!(ended.wait_any(Duration::ZERO), [0, 1]);
    assert_eq!((ended.wait_first_error(LIMIT), ended.is_ok()), (vec![0, 1], Some(true)));
    let Progress { tasks, ended, failed, .. } = batch.progress();
    assert_eq!((tasks, ended, failed), (3, 3, 1));
    Ok(())
}

#[distwq::test(ranks = [2, 3, 4, 7])]
fn with_no_time_to_wait_only_what_has_ended_is_given_and_each_task_once(cluster: &Cluster) -> Outcome {
    let [one, two] = [1, 2].map(|milliseconds| cluster.submit(pause::call(milliseconds)));
    assert_eq!((one.get()?, two.get()?), (1, 2));
    let slow = cluster.submit(pause::call(1_000));
    let batch = Batch::of([&one, &slow, &one, &two, &slow, &two]);
    assert_eq!((batch.len(), batch.wait_any(Duration::ZERO)), (3, vec![0, 2]));
    let mut given: Vec<_> = std::iter::from_fn(|| batch.next_timeout(Duration::ZERO)).collect();
    given.sort_by_key(|(index, _)| *index);
    assert_eq!(given, [(0, Ok(1)), (2, Ok(2))]);
    assert!(!slow.is_done() && batch.drain().is_empty());
    assert_eq!(batch.next(), Some((1, Ok(1_000))));
    assert_eq!((batch.next_timeout(Duration::ZERO), batch.next()), (None, None));
    Ok(())
}

#[distwq::test(ranks = [2, 3, 4, 7])]
fn the_same_task_is_given_once_and_the_tasks_of_a_graph_as_they_end(cluster: &Cluster) -> Outcome {
    let mut graph = Graph::new();
    let early: Vec<Handle<i64>> = (0..3).map(|x| graph.add(square::call(x))).collect();
    let not_started = Batch::of(&early);
    assert_eq!(not_started.len(), 3);
    assert!(not_started.iter().all(|(_, result)| matches!(result, Err(TaskError::NotStarted))));
    let late = graph.add(square::call(&early[2]));
    cluster.start(&mut graph)?;
    let batch = Batch::of(early.iter().chain([&late]).chain(&early));
    assert_eq!(batch.len(), 4);
    let mut found: Vec<_> =
        batch.iter().map(|(index, result)| Ok((index, result?))).collect::<Result<_, TaskError>>()?;
    found.sort_unstable();
    assert_eq!(found, [(0, 0), (1, 1), (2, 4), (3, 16)]);
    // It grows like any other.
    batch.submit(square::call(9));
    assert_eq!(batch.next(), Some((4, Ok(81))));
    assert_eq!(Batch::of(Vec::<Handle<i64>>::new()).next(), None);
    Ok(())
}

#[distwq::test(ranks = [2, 3, 4, 7])]
fn a_failure_comes_as_the_result_of_its_task(cluster: &Cluster) -> Outcome {
    let batch = cluster.batch();
    batch.submit(fails_after::call(0));
    batch.submit(pause::call(1));
    batch.submit(pause::call(1).ranks(1_000));
    let results: BTreeMap<usize, Result<u64, TaskError>> = batch.iter().collect();
    assert!(matches!(results[&0], Err(TaskError::Failed { .. })));
    assert_eq!(results[&1], Ok(1));
    assert!(matches!(results[&2], Err(TaskError::Refused { .. })));
    assert_eq!((batch.is_ok(), results.len()), (Some(false), 3));
    Ok(())
}

/// ```text
/// 4 × 100 ms on at most 6 workers
/// ```
#[distwq::test(ranks = [3, 4, 7])]
fn the_times_of_a_batch_are_known_once_all_have_ended(cluster: &Cluster) -> Outcome {
    let batch = cluster.submit_all((0..4).map(|_| pause::call(100)));
    assert_eq!((batch.wall_time(), batch.serial_time()), (None, None));
    let infos: Vec<_> = (0..4).map(|index| batch.handle(index).expect("it was not taken")).collect();
    assert_eq!(batch.wait_all(LIMIT).len(), 4);
    let (wall, serial) = (batch.wall_time().expect("all have ended"), batch.serial_time().expect("all have ended"));
    let ran: Duration = infos.iter().map(|handle| handle.info().run_time().expect("it has ended")).sum();
    assert_eq!(serial, ran);
    assert!(serial >= Duration::from_millis(400) && wall < serial, "{wall:?} and {serial:?}");
    assert!(batch.elapsed() + Duration::from_millis(50) >= wall, "{:?} and {wall:?}", batch.elapsed());
    for handle in infos {
        let info = handle.info();
        let (started, finished) = (info.started_ns.expect("it ran"), info.finished_ns.expect("it has ended"));
        let received = info.received_ns.expect("its end was told");
        let in_order = info.submitted_ns <= started && started <= finished && finished <= received;
        assert!(in_order && !info.is_running, "{info:?}");
    }
    Ok(())
}

#[distwq::test(ranks = [2, 3, 4, 7])]
fn values_are_given_by_worker_if_each_ran_one(cluster: &Cluster) -> Outcome {
    let batch = cluster.submit_all((0..cluster.workers()).map(|_| pause::call(300)));
    assert_eq!(batch.wait_all(LIMIT).len(), cluster.workers());
    let ranks: BTreeSet<_> = (0..batch.len()).filter_map(|index| batch.handle(index)?.info().ranks.pop()).collect();
    match batch.by_worker() {
        Ok(values) => {
            assert_eq!(values.keys().copied().collect::<BTreeSet<_>>(), ranks);
            assert_eq!(values.len(), cluster.workers());
            assert!(values.values().all(|value| *value == 300));
            assert_eq!(batch.next(), None, "all were taken");
        }
        Err(ByWorkerError::Several { rank }) => assert!(ranks.len() < batch.len() && ranks.contains(&rank)),
        Err(error) => return Err(error.into()),
    }
    let batch = cluster.submit_all((0..=cluster.workers()).map(|_| pause::call(1)));
    let error = batch.by_worker().expect_err("a worker ran two");
    assert!(
        error.to_string().ends_with("ran more than one of the tasks: take them by their indices instead"),
        "{error}"
    );
    assert_eq!(batch.iter().count(), cluster.workers() + 1, "all stay");
    let given = Batch::of([cluster.value(&7_i64)]);
    assert_eq!(given.by_worker(), Err(ByWorkerError::Given { index: 0 }));
    let batch = cluster.submit_all([fails_after::call(0)]);
    assert!(matches!(batch.by_worker(), Err(ByWorkerError::Failed(TaskError::Failed { .. }))));
    Ok(())
}

#[distwq::test(ranks = [2, 3, 4, 7])]
fn five_threads_share_the_results_of_a_batch(cluster: &Cluster) -> Outcome {
    let batch = cluster.batch();
    let found = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for thread in 0..5 {
            let (batch, found) = (&batch, &found);
            scope.spawn(move || {
                for x in 0..200 {
                    batch.submit(square::call(1_000 * thread + x));
                }
                for (index, result) in batch {
                    found.lock().expect("nobody panics").push((index, result));
                }
            });
        }
    });
    let mut found = found.into_inner()?;
    found.sort_unstable_by_key(|(index, _)| *index);
    assert_eq!(found.iter().map(|(index, _)| *index).collect::<Vec<_>>(), (0..1_000).collect::<Vec<_>>());
    let mut values = found.into_iter().map(|(_, result)| result).collect::<Result<Vec<_>, _>>()?;
    values.sort_unstable();
    let expected = (0..5_i64).flat_map(|thread| (0..200).map(move |x| (1_000 * thread + x) * (1_000 * thread + x)));
    let mut expected: Vec<i64> = expected.collect();
    expected.sort_unstable();
    assert_eq!(values, expected);
    Ok(())
}

#[distwq::test(ranks = [2, 3, 4, 7])]
fn the_value_of_a_task_goes_once_its_result_is_taken(cluster: &Cluster) -> Outcome {
    let resident = |cluster: &Cluster| cluster.stats().ranks.iter().map(|rank| rank.resident_bytes).sum::<u64>();
    let batch = cluster.submit_all((0..20).map(|_| bytes::call(100_000)));
    for (_, result) in &batch {
        assert_eq!(result?.len(), 100_000);
    }
    let begun = Instant::now();
    while resident(cluster) > 0 {
        assert!(begun.elapsed() < LIMIT, "{} bytes stay", resident(cluster));
    }
    assert_eq!(batch.len(), 20);
    Ok(())
}

#[distwq::test(ranks = [2, 3])]
fn results_that_are_left_at_the_end_are_read_after_shutdown(cluster: &Cluster) -> Outcome {
    let batch = cluster.submit_all((0..50).map(|_| pause::call(10)));
    assert_eq!(batch.next().map(|(_, result)| result), Some(Ok(10)));
    cluster.shutdown();
    assert_eq!(batch.progress().ended, 50);
    assert!(batch.iter().all(|(_, result)| result == Ok(10)));
    batch.submit(pause::call(1));
    assert!(matches!(batch.next(), Some((50, Err(TaskError::Refused { .. })))));
    assert!(batch.next().is_none());
    Ok(())
}

#[distwq::test(ranks = [2, 3, 4, 7])]
fn a_call_is_submitted_again(cluster: &Cluster) -> Outcome {
    let three = cluster.submit(square::call(3));
    let call = square::call(&three).label("again").priority(2);
    let batch = cluster.submit_all((0..4).map(|_| call.clone()));
    let last = cluster.submit(call);
    assert!(batch.in_order().all(|result| result == Ok(81)));
    assert_eq!((last.get()?, last.info().label.as_deref()), (81, Some("again")));
    Ok(())
}

#[distwq::test(ranks = [2, 3])]
fn dropping_a_batch_lets_its_tasks_go_on(cluster: &Cluster) -> Outcome {
    let done = cluster.stats().done;
    drop(cluster.submit_all((0..30).map(square::call)));
    cluster.shutdown();
    assert_eq!(cluster.stats().done, done + 30);
    Ok(())
}

#[distwq::test(ranks = [2, 3])]
fn a_value_that_is_given_by_worker_does_not_come_as_the_next(cluster: &Cluster) {
    for _ in 0..50 {
        let batch = cluster.submit_all([square::call(3)]);
        let (by_worker, next) = thread::scope(|scope| {
            let next = scope.spawn(|| batch.next());
            (batch.by_worker().expect("it gives a value").len(), next.join().expect("it does not panic"))
        });
        assert_eq!(by_worker + usize::from(next.is_some()), 1, "it is given once");
        assert_eq!(batch.next(), None);
    }
}

/// A thread that has no time to fetch a result gives it back.
#[distwq::test(ranks = [2, 3])]
fn there_is_a_next_until_the_last_result_was_delivered(cluster: &Cluster) {
    for _ in 0..10 {
        let batch = cluster.submit_all([bytes::call(200_000)]);
        batch.wait_all(LIMIT);
        let found = thread::scope(|scope| {
            let hasty = scope.spawn(|| batch.next_timeout(Duration::from_nanos(1)));
            (batch.next(), hasty.join().expect("it does not panic"))
        });
        assert_ne!(found.0.is_some(), found.1.is_some(), "one of them gets it");
    }
}

#[distwq::test(ranks = [2])]
fn a_task_that_is_awaited_in_order_can_be_cancelled(cluster: &Cluster) {
    let slow = cluster.submit(pause::call(500));
    let batch = cluster.submit_all([pause::call(0).after(&slow)]);
    thread::scope(|scope| {
        let first = scope.spawn(|| batch.in_order().next());
        thread::sleep(Duration::from_millis(50));
        batch.handle(0).expect("its result was not taken").cancel();
        let first = first.join().expect("it does not panic").expect("there is one");
        assert!(matches!(first, Err(TaskError::Cancelled { .. })), "{first:?}");
    });
    assert!(batch.handle(0).is_none());
}

/// Its encoding cannot be decoded where it is odd.
#[derive(Debug)]
struct Even(u32);

impl serde::Serialize for Even {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u32(self.0)
    }
}

impl<'de> serde::Deserialize<'de> for Even {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let number = u32::deserialize(deserializer)?;
        if number.is_multiple_of(2) { Ok(Self(number)) } else { Err(serde::de::Error::custom("it is odd")) }
    }
}

#[remote]
fn maybe_even(number: u32) -> Even {
    Even(number)
}

/// Its task may have gone by then: many others make the controller let go of it.
#[distwq::test(ranks = [2, 3, 4, 7])]
fn an_output_that_does_not_decode_fails_its_task_alone_and_names_it(cluster: &Cluster) -> Outcome {
    let calls = |x: u32| {
        if x.is_multiple_of(7) { maybe_even::call(x).label(format!("number {x}")) } else { maybe_even::call(x) }
    };
    let batch = cluster.submit_all((0..20_000).map(calls));
    for (index, result) in &batch {
        match result {
            Ok(even) => assert!(even.0 as usize == index && index % 2 == 0, "{even:?}"),
            Err(TaskError::Codec { site, message }) => {
                assert_eq!((index % 2, site.function.as_str()), (1, "batch::maybe_even"), "{message}");
                assert_eq!(site.label.as_deref(), (index % 7 == 0).then(|| format!("number {index}")).as_deref());
                assert!(
                    site.rank.is_some() && site.attempts == 1 && message.contains("it is odd"),
                    "{site}: {message}"
                );
            }
            Err(error) => panic!("{error}"),
        }
    }
    assert_eq!(cluster.submit(square::call(3)).get()?, 9);
    Ok(())
}

/// Handles of its tasks keep their values, also when it is gone and a bar still looks at
/// it. Every other value is so large that it stays on its worker.
#[distwq::test(ranks = [2, 3, 4, 7])]
fn handles_of_a_batch_outlive_it_and_the_results_that_were_taken(cluster: &Cluster) -> Outcome {
    let size = |index: usize| if index.is_multiple_of(2) { 10 } else { 100_000 };
    let batch = cluster.submit_all((0..40).map(|index| bytes::call(size(index))));
    let bar = batch.progress_bar();
    let handles: Vec<_> = (0..40).filter_map(|index| batch.handle(index)).collect();
    assert_eq!(batch.iter().take(20).filter(|(_, result)| result.is_ok()).count(), 20);
    drop(batch);
    for (index, handle) in handles.iter().enumerate() {
        assert_eq!(handle.get()?.len(), size(index));
    }
    drop((handles, bar));
    let begun = Instant::now();
    while cluster.stats().ranks.iter().any(|rank| rank.resident_bytes > 0) {
        assert!(begun.elapsed() < LIMIT, "{}", cluster.stats());
    }
    Ok(())
}

/// Whoever takes all values by worker gives them back if one task has failed.
#[distwq::test(ranks = [2, 3, 4, 7])]
fn results_in_order_wait_for_those_that_another_thread_may_give_back(cluster: &Cluster) {
    let batch = cluster.submit_all([200, 0].map(fails_after::call));
    thread::scope(|scope| {
        let by_worker = scope.spawn(|| batch.by_worker().is_err());
        while batch.progress().ended == 0 {
            thread::yield_now();
        }
        let in_order = batch.in_order().count();
        // Unless it has begun only now, when nothing is left.
        let has_failed = by_worker.join().expect("it does not panic");
        assert!(has_failed || in_order == 2);
        assert_eq!(in_order + batch.iter().count(), 2, "each comes once");
        assert!(in_order > 0, "it has waited");
    });
}
