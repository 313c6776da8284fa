//! The end of a cluster: it drains, as often as one likes to say so, whether or not
//! anything was collected.

use distwq::prelude::*;
use distwq::{Refusal, testing};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

type Outcome = Result<(), Box<dyn std::error::Error>>;

#[remote]
fn pause(milliseconds: u64, value: u64) -> u64 {
    thread::sleep(Duration::from_millis(milliseconds));
    value
}

#[remote]
fn large(bytes: usize) -> Vec<u8> {
    vec![3; bytes]
}

#[remote]
fn fails() -> Result<u64, String> {
    Err("it fails".to_owned())
}

#[remote(collective)]
fn wide(group: &Group) -> Result<u64, GroupError> {
    group.all_reduce(1, |a, b| a + b)
}

#[track_caller]
fn expect_closed<T: std::fmt::Debug>(result: Result<T, TaskError>) {
    assert!(matches!(result, Err(TaskError::Refused { reason: Refusal::Closed, .. })), "{result:?}");
}

/// 50 tasks of 10 ms, then shutdown: all 50 can be read afterwards.
#[distwq::test(ranks = [2, 3, 4, 7], every, repeat = 200)]
fn shutdown_waits_for_all_tasks_and_their_values_stay_readable(cluster: &Cluster) -> Outcome {
    let handles: Vec<_> = (0..50).map(|value| cluster.submit(pause::call(10, value))).collect();
    let resident = cluster.submit(large::call(50_000));
    cluster.shutdown();
    assert!(handles.iter().all(Handle::is_done), "shutdown returns when all have ended");
    for (value, handle) in (0..).zip(&handles) {
        assert_eq!(handle.get()?, value);
    }
    assert_eq!(resident.get()?, vec![3; 50_000], "also what lies on a worker");
    Ok(())
}

/// Shutdown six times, also from several threads; what is submitted afterwards is an
/// error.
#[distwq::test(ranks = [2, 3, 4, 7], repeat = 200)]
fn shutdown_can_be_said_again_and_nothing_is_taken_after_it(cluster: &Cluster) -> Outcome {
    let before = cluster.submit(pause::call(20, 7));
    let mut graph = Graph::new();
    let in_graph = graph.add(pause::call(0, 1));
    cluster.shutdown();
    thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| cluster.shutdown());
        }
    });
    cluster.shutdown();
    cluster.clone().shutdown();
    expect_closed(cluster.submit(pause::call(0, 1)).get());
    expect_closed(cluster.submit(wide::call()).get());
    expect_closed(cluster.submit(pause::call(0, 1).after(&before)).get());
    expect_closed(cluster.value(&1_u8).get());
    let error = cluster.run(&mut graph).expect_err("the cluster takes nothing any more");
    assert!(error.to_string().contains("shut down"), "{error}");
    expect_closed(in_graph.get());
    assert_eq!(before.get()?, 7);
    assert_eq!(cluster.stats().done, 1);
    Ok(())
}

/// Gives the value once it is cancelled, and the error of a hang if it never is.
#[remote]
fn until_cancelled(ctx: &Context, value: u64) -> Result<u64, String> {
    let begun = Instant::now();
    while !ctx.cancelled() {
        if begun.elapsed() > Duration::from_secs(60) {
            return Err("nobody has cancelled it".to_owned());
        }
        thread::yield_now();
    }
    Ok(value)
}

/// Shuts down six times, now or not by the bits of `order`, some in threads of their own.
fn shut_down_six_times(cluster: &Cluster, order: u32) {
    // What waits behind it must not run before it is cancelled, however slow this is.
    let is_now = order & 1 == 1;
    let before = cluster.submit(if is_now { until_cancelled::call(7) } else { pause::call(2, 7) });
    let queued: Vec<_> = (0..10).map(|value| cluster.submit(pause::call(0, value).after(&before))).collect();
    let says = |time: u32| if order & 1 << time == 0 { cluster.shutdown() } else { cluster.shutdown_now() };
    says(0);
    assert!(queued.iter().chain([&before]).all(Handle::is_done), "each of them waits for what runs");
    thread::scope(|scope| (1..4).for_each(|time| drop(scope.spawn(move || says(time)))));
    (4..6).for_each(says);
    let is_cancelled = |end: Result<u64, TaskError>| matches!(end, Err(TaskError::Cancelled { .. }));
    for (value, handle) in (0..).zip(&queued) {
        assert!(if is_now { is_cancelled(handle.get()) } else { handle.get() == Ok(value) }, "{:?}", handle.get());
    }
    // It may not have begun.
    assert!(before.get() == Ok(7) || is_now && is_cancelled(before.get()), "{:?}", before.get());
    expect_closed(cluster.submit(pause::call(0, 1)).get());
    expect_closed(cluster.map(|value| pause::call(0, value), [1]).next().expect("an error"));
    let mut graph = Graph::new();
    graph.add(pause::call(0, 1));
    assert!(matches!(cluster.run(&mut graph), Err(RunError::Refused(_))));
}

#[distwq::test(ranks = [2, 3, 4], repeat = 200)]
fn a_shutdown_may_be_followed_by_any_others(cluster: &Cluster) {
    shut_down_six_times(cluster, 0b10_1010);
}

#[distwq::test(ranks = [2, 3, 4], repeat = 200)]
fn a_shutdown_now_may_be_followed_by_any_others(cluster: &Cluster) {
    shut_down_six_times(cluster, 0b01_0101);
}

#[test]
fn six_shutdowns_in_any_order_end() {
    for order in 0..64 {
        let ended =
            distwq_core::launch::run_local(Config::new().workers(2), |cluster| shut_down_six_times(cluster, order));
        assert_eq!(ended, Ok(()), "order {order:b}");
    }
}

/// The body ends and nothing was collected: all ranks exit with 0.
#[distwq::test(ranks = [2, 3, 4, 7], every, repeat = 200)]
fn a_body_may_end_without_collecting_anything(cluster: &Cluster) {
    for value in 0..20 {
        drop(cluster.submit(pause::call(5, value)));
    }
    drop(cluster.submit(large::call(100_000)));
    let kept: Vec<_> = (0..20).map(|value| cluster.submit(pause::call(5, value))).collect();
    let mut graph = Graph::new();
    let first = graph.add(large::call(100_000));
    graph.add(large_after::call(&first));
    cluster.start(&mut graph).expect("it starts");
    cluster.submit(wide::call());
    cluster.submit(fails::call());
    drop(kept);
}

#[remote]
fn large_after(value: Vec<u8>) -> Vec<u8> {
    value
}

/// How many tasks of this process have run to their ends.
static RAN: AtomicUsize = AtomicUsize::new(0);

#[remote]
fn counts(file: String) -> Result<(), String> {
    thread::sleep(Duration::from_millis(5));
    RAN.fetch_add(1, Ordering::SeqCst);
    std::fs::write(file, "it ran").map_err(|error| error.to_string())
}

/// Leaving the body drains as well: what was submitted runs, though nobody has its
/// handle.
#[test]
fn tasks_without_handles_run_before_the_end() {
    let folder = std::env::temp_dir().join(format!("distwq-drain-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("the temporary folder can be written");
    let inside = folder.clone();
    let body = move |cluster: &Cluster| {
        for number in 0..20 {
            cluster.submit(counts::call(&*inside.join(number.to_string()).to_string_lossy()));
        }
    };
    distwq_core::launch::run_local(Config::new().workers(2), body).expect("it runs");
    let files = std::fs::read_dir(&folder).expect("it is there").count();
    std::fs::remove_dir_all(&folder).expect("it can go");
    assert_eq!((files, RAN.load(Ordering::SeqCst)), (20, 20));
}

/// What else goes on in the process goes on; the handles have an answer.
#[test]
fn a_local_run_that_cannot_end_is_an_error_within_the_grace() {
    let escaped = Mutex::new(None);
    let config = Config::new().workers(2).shutdown_grace(Duration::from_millis(300));
    let body = |cluster: &Cluster| -> Result<(), TaskError> {
        let long = cluster.submit(pause::call(5_000, 1));
        let late = long.get_timeout(Duration::from_millis(100)).map(drop);
        *escaped.lock().expect("no panic") = Some(long);
        late
    };
    let begun = Instant::now();
    let error = distwq_core::launch::run_local(config, body).expect_err("a task runs on");
    assert!(begun.elapsed() < Duration::from_secs(4), "{:?}", begun.elapsed());
    assert!(error.contains("within the shutdown grace of 300 ms; busy: rank"), "{error}");
    let long = escaped.into_inner().expect("no panic").expect("it was submitted").get();
    assert!(matches!(long, Err(TaskError::Closed { .. })), "{long:?}");
}

#[distwq::test(ranks = [2, 3, 4, 7], repeat = 200)]
fn shutdown_drains_though_tasks_fail(cluster: &Cluster) {
    let failing: Vec<_> = (0..10).map(|_| cluster.submit(fails::call())).collect();
    let below: Vec<_> = failing.iter().map(|failed| cluster.submit(pause::call(0, failed))).collect();
    cluster.shutdown();
    assert!(failing.iter().chain(&below).all(|handle| handle.is_done() && handle.get().is_err()));
    assert!(below.iter().all(|handle| matches!(handle.get(), Err(TaskError::Upstream { .. }))));
}

#[distwq::test(ranks = [2, 3, 4, 7])]
fn a_cluster_that_was_not_used_ends(_cluster: &Cluster) {}

#[distwq::test(ranks = [2, 3, 4, 7])]
fn an_idle_cluster_still_works(cluster: &Cluster) -> Outcome {
    for value in 0..3 {
        thread::sleep(Duration::from_millis(150));
        assert_eq!(cluster.submit(pause::call(0, value)).get()?, value);
    }
    Ok(())
}

/// Handles outlive the cluster and do not hang: what was not fetched is closed, what was
/// here stays.
#[test]
fn handles_that_outlive_the_cluster_give_an_answer_at_once() {
    let escaped = Mutex::new(Vec::new());
    let outside = Mutex::new(None);
    let body = |cluster: &Cluster| {
        let small = cluster.submit(large::call(10));
        assert_eq!(small.get().expect("a value").len(), 10);
        escaped.lock().expect("no panic").extend([small, cluster.submit(large::call(100_000))]);
        *outside.lock().expect("no panic") = Some(cluster.clone());
    };
    distwq_core::launch::run_local(Config::new().workers(2), body).expect("it runs");
    let begun = Instant::now();
    let handles = escaped.into_inner().expect("no panic");
    assert_eq!(handles[0].get().expect("it was here").len(), 10);
    let lost = handles[1].get();
    assert!(matches!(lost, Err(TaskError::Closed { .. })), "{lost:?}");
    assert!(handles.iter().all(Handle::is_done));
    let cluster = outside.into_inner().expect("no panic").expect("it was put there");
    expect_closed(cluster.submit(fails::call()).get());
    cluster.shutdown();
    let _ = cluster.stats();
    drop((handles, cluster));
    assert!(begun.elapsed() < Duration::from_secs(10), "it took {:?}", begun.elapsed());
}

/// A thread that waits for a task when the body ends gets the value: the end drains.
#[distwq::test(ranks = [2, 3, 4, 7], repeat = 200)]
fn a_thread_that_still_waits_when_the_body_ends_gets_its_answer(cluster: &Cluster) {
    let handle = cluster.submit(pause::call(100, 5));
    let cluster = cluster.clone();
    thread::spawn(move || {
        let value = handle.get();
        assert!(matches!(value, Ok(5) | Err(TaskError::Closed { .. })), "{value:?}");
        drop(cluster);
    });
}

/// Many short lives, one after another: nothing is left over from one to the next.
#[test]
fn clusters_come_and_go() {
    let rounds = if testing::full() { 500 } else { 30 };
    for round in 0..rounds {
        let body = |cluster: &Cluster| {
            assert_eq!(cluster.submit(pause::call(0, round)).get().expect("a value"), round);
        };
        distwq_core::launch::run_local(Config::new().workers(3), body).expect("it runs");
    }
}

#[remote]
fn made(count: usize) -> Vec<u64> {
    vec![7; count]
}

/// Each of them ends with a value or with an error, and the run in order, whatever they
/// ask for at that moment.
#[distwq::test(ranks = [2, 3, 4, 7], every, repeat = 200)]
fn threads_may_still_ask_when_the_body_returns(cluster: &Cluster) {
    // Too large to ride back: each has to be fetched.
    let handles: Vec<_> = (0..300).map(|_| cluster.submit(made::call(5_000_usize))).collect();
    for handle in &handles {
        while !handle.is_done() {}
    }
    let handles = std::sync::Arc::new(handles);
    for part in 0..3 {
        let (handles, cluster) = (std::sync::Arc::clone(&handles), cluster.clone());
        thread::spawn(move || {
            for handle in handles.iter().skip(part).step_by(3) {
                if let Ok(value) = handle.get() {
                    assert_eq!(value.len(), 5_000);
                }
            }
            let mut graph = Graph::new();
            let shared = graph.value(&vec![1_u64; 100]);
            let _ = graph.add(made::call(1_usize).after(&shared));
            let _ = (cluster.run(&mut graph), cluster.stats());
        });
    }
}

#[distwq::test(ranks = [2, 4], every, repeat = 200)]
fn graphs_that_meet_a_shutdown_run_whole_or_not_at_all(cluster: &Cluster) {
    let runs: Vec<_> = (0..3)
        .map(|_| {
            let cluster = cluster.clone();
            thread::spawn(move || {
                loop {
                    let mut graph = Graph::new();
                    let shared = graph.value(&1_usize);
                    let handles: Vec<_> = (0..50).map(|_| graph.add(made::call(&shared))).collect();
                    match cluster.run(&mut graph) {
                        Ok(()) => assert!(handles.iter().all(|handle| handle.get().is_ok())),
                        Err(error) => {
                            assert!(handles.iter().all(|handle| handle.get().is_err()), "{error}");
                            break;
                        }
                    }
                }
            })
        })
        .collect();
    thread::sleep(Duration::from_millis(20));
    cluster.shutdown();
    runs.into_iter().for_each(|run| run.join().expect("a refused graph is an error"));
}
