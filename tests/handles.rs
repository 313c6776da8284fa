//! Handles: waiting with and without an end, looking, what is known of a task.

use distwq::TaskState;
use distwq::prelude::*;
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

type Outcome = Result<(), Box<dyn std::error::Error>>;

#[remote]
fn pause(milliseconds: u64) -> u64 {
    thread::sleep(Duration::from_millis(milliseconds));
    milliseconds
}

#[remote]
fn fails() -> Result<u64, String> {
    Err("it fails".to_owned())
}

#[remote]
fn bytes(count: usize) -> Vec<u8> {
    vec![1; count]
}

#[distwq::test(ranks = [2, 3, 4, 7], every)]
fn waiting_with_a_limit_ends_at_the_limit_and_the_task_goes_on(cluster: &Cluster) -> Outcome {
    let slow = cluster.submit(pause::call(600).label("slow"));
    let error = slow.get_timeout(Duration::ZERO).expect_err("it has not ended");
    assert!(matches!(error, TaskError::Timeout { .. }), "{error}");
    let begun = Instant::now();
    let error = slow.get_timeout(Duration::from_millis(50)).expect_err("it has not ended");
    let TaskError::Timeout { site, waited_ms } = &error else { panic!("{error}") };
    assert!((50..500).contains(waited_ms) && begun.elapsed() < Duration::from_millis(500), "{error}");
    assert_eq!(site.label.as_deref(), Some("slow"));
    assert_eq!(slow.get_timeout(Duration::from_secs(30))?, 600);
    assert_eq!(slow.get_timeout(Duration::ZERO)?, 600, "it has ended");
    assert_eq!(slow.get_timeout(Duration::MAX)?, 600);
    Ok(())
}

/// The limit holds although the thread that waits could run tasks instead.
#[distwq::test(ranks = [2, 3, 4, 7])]
fn waiting_with_a_limit_ends_in_time_while_much_else_goes_on(cluster: &Cluster) -> Outcome {
    let slow = cluster.submit(pause::call(1000));
    let others: Vec<_> = (0..2000).map(|_| cluster.submit(bytes::call(10))).collect();
    let begun = Instant::now();
    assert!(slow.get_timeout(Duration::from_millis(100)).is_err());
    assert!(begun.elapsed() < Duration::from_millis(900), "it took {:?}", begun.elapsed());
    for other in &others {
        other.get()?;
    }
    Ok(())
}

#[distwq::test(ranks = [2, 3, 4, 7], every)]
fn looking_never_waits_and_sees_the_end(cluster: &Cluster) -> Outcome {
    let begun = Instant::now();
    let slow = cluster.submit(pause::call(500));
    assert!(!slow.is_done() && slow.try_get().is_none());
    assert!(begun.elapsed() < Duration::from_millis(450), "looking took {:?}", begun.elapsed());
    // Looking alone has to be enough to get on.
    let deadline = Instant::now() + Duration::from_secs(20);
    while !slow.is_done() {
        assert!(Instant::now() < deadline, "it never ends");
        thread::yield_now();
    }
    assert_eq!(slow.try_get(), Some(Ok(500)));
    let failed = cluster.submit(fails::call());
    while failed.try_get().is_none() {
        assert!(Instant::now() < deadline, "it never ends");
    }
    assert!(failed.is_done());
    assert!(matches!(failed.try_get(), Some(Err(TaskError::Failed { .. }))));
    let resident = cluster.submit(bytes::call(100_000));
    resident.get()?;
    assert_eq!(resident.try_get().map(|value| value.map(|value| value.len())), Some(Ok(100_000)));
    Ok(())
}

/// Tasks flow while the body computes and nobody waits.
#[distwq::test(ranks = [2, 3, 4, 7])]
fn tasks_run_while_nobody_waits(cluster: &Cluster) -> Outcome {
    let first = cluster.submit(pause::call(10));
    let mut last = first.clone();
    for _ in 0..10 {
        last = cluster.submit(pause::call(10).after(&last));
    }
    thread::sleep(Duration::from_secs(2));
    let asked = unix_now();
    last.get()?;
    let finished = last.info().finished_ns.expect("it has ended");
    assert!(finished < asked, "the chain waited until somebody asked for it");
    Ok(())
}

fn unix_now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("it is after 1970");
    u64::try_from(since.as_nanos()).expect("it is before 2554")
}

#[distwq::test(ranks = [2, 3, 4, 7])]
fn what_is_known_of_a_task_tells_when_and_where_and_how_long(cluster: &Cluster) -> Outcome {
    let before = unix_now();
    let handle = cluster.submit(pause::call(60).label("napping"));
    let early = handle.info();
    assert!(matches!(early.state, TaskState::Waiting | TaskState::Sent), "{early:?}");
    assert_eq!((early.finished_ns, early.received_ns, early.run_time()), (None, None, None));
    assert_eq!(early.is_running, early.state == TaskState::Sent, "its worker has nothing else");
    handle.get()?;
    let info = handle.info();
    assert!(info.function.ends_with("::pause"), "{info:?}");
    assert_eq!((info.label.as_deref(), info.state, info.attempts), (Some("napping"), TaskState::Done, 1));
    assert_eq!((info.ranks.len(), info.hosts.len()), (1, 1));
    assert!(
        cluster.stats().ranks[1..].iter().any(|rank| [rank.rank] == *info.ranks && [&rank.host] == [&info.hosts[0]])
    );
    let (started, finished) = (info.started_ns.expect("it ran"), info.finished_ns.expect("it ended"));
    assert!(before <= info.submitted_ns && info.submitted_ns <= started, "{info:?}");
    let received = info.received_ns.expect("its end was told");
    assert!(started < finished && finished <= received && received <= unix_now(), "{info:?}");
    assert!(info.run_time().is_some_and(|ran| (60..5000).contains(&ran.as_millis())), "{info:?}");
    assert!(info.output_bytes > 0 && info.id > 0);

    let failed = cluster.submit(fails::call());
    assert!(failed.get().is_err());
    let info = failed.info();
    assert_eq!((info.state, info.attempts, info.output_bytes), (TaskState::Failed, 1, 0));
    let below = cluster.submit(pause::call(&failed));
    assert!(below.get().is_err());
    let info = below.info();
    assert_eq!((info.state, info.attempts, info.started_ns), (TaskState::Failed, 0, None), "it never ran");
    assert!(info.ranks.is_empty(), "{info:?}");
    Ok(())
}

#[distwq::test(ranks = [2, 3, 4, 7])]
fn before_its_graph_starts_a_task_has_not_started(cluster: &Cluster) -> Outcome {
    let mut graph = Graph::new();
    let handle = graph.add(pause::call(1));
    let begun = Instant::now();
    for error in [handle.get(), handle.get_timeout(Duration::from_secs(5))] {
        assert!(matches!(error, Err(TaskError::NotStarted)), "{error:?}");
    }
    assert!(begun.elapsed() < Duration::from_secs(4), "nobody waits for what has not started");
    assert!(!handle.is_done() && handle.try_get().is_none());
    assert_eq!(handle.info().state, TaskState::NotStarted);
    cluster.run(&mut graph)?;
    assert_eq!(handle.get()?, 1);
    assert_eq!(handle.info().state, TaskState::Done);
    Ok(())
}

#[distwq::test(ranks = [2, 3, 4, 7])]
fn clones_are_the_same_task_and_dropping_handles_cancels_nothing(cluster: &Cluster) -> Outcome {
    let handle = cluster.submit(bytes::call(50_000));
    let clone = handle.clone();
    drop(handle);
    assert_eq!(clone.get()?.len(), 50_000);
    let copy = clone.clone();
    assert_eq!((copy.info().id, copy.get()?.len()), (clone.info().id, 50_000));
    for _ in 0..30 {
        drop(cluster.submit(pause::call(1)));
    }
    cluster.shutdown();
    let stats = cluster.stats();
    assert_eq!((stats.submitted, stats.done), (31, 31), "{stats}");
    Ok(())
}

/// Handles of many tasks, dropped by other threads while they run.
#[distwq::test(ranks = [2, 3, 4, 7])]
fn handles_can_be_dropped_anywhere_at_any_time(cluster: &Cluster) {
    thread::scope(|scope| {
        for thread in 0..4 {
            scope.spawn(move || {
                for number in 0..100 {
                    let handle = cluster.submit(bytes::call(10 + 5000 * (number % 2)));
                    let below = cluster.submit(length::call(&handle));
                    if (number + thread) % 3 == 0 {
                        drop(handle);
                        assert_eq!(below.get(), Ok(10 + 5000 * (number % 2)));
                    }
                }
            });
        }
    });
    cluster.shutdown();
    assert_eq!(cluster.stats().done, 800);
}

#[remote]
fn length(value: &[u8]) -> usize {
    value.len()
}

/// The times of several tasks that run at the same time add up to more than their wall
/// time.
#[distwq::test(ranks = [5], workers = 4)]
fn tasks_run_at_the_same_time(cluster: &Cluster) -> Outcome {
    let handles: Vec<_> = (0..4).map(|_| cluster.submit(pause::call(250))).collect();
    for handle in &handles {
        handle.get()?;
    }
    let infos: Vec<_> = handles.iter().map(Handle::info).collect();
    let serial: u64 = infos.iter().filter_map(|info| Some(info.finished_ns? - info.started_ns?)).sum();
    let first = infos.iter().filter_map(|info| info.started_ns).min().expect("they ran");
    let last = infos.iter().filter_map(|info| info.finished_ns).max().expect("they ended");
    assert!(last - first < serial, "{} ns of wall time for {serial} ns of work", last - first);
    Ok(())
}
