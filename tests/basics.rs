//! A task from its call to its value: arguments, outputs, many tasks at once, several
//! threads, several slots.

use distwq::prelude::*;
use std::collections::HashSet;
use std::sync::{Condvar, Mutex};
use std::thread;
use std::time::{Duration, Instant};

#[remote]
fn square(x: i64) -> i64 {
    x * x
}

#[remote]
fn nothing() {}

#[remote]
fn answer() -> u8 {
    42
}

#[remote]
fn joined(a: u8, b: i64, c: f64, d: char, e: String, f: Option<u16>, g: (i8, u32)) -> String {
    format!("{a} {b} {c} {d} {e} {f:?} {g:?}")
}

#[remote]
fn doubled(values: Vec<f64>) -> Vec<f64> {
    values.iter().map(|value| 2.0 * value).collect()
}

#[remote]
fn length(text: &str) -> usize {
    text.len()
}

/// Many tasks, collected by handle in the order of submission.
#[distwq::test(ranks = [2, 3, 4, 7], every)]
fn each_value_belongs_to_its_handle_and_ids_are_distinct(cluster: &Cluster) -> Result<(), TaskError> {
    let handles: Vec<_> = (0..500).map(|x| cluster.submit(square::call(x))).collect();
    for (x, handle) in (0..).zip(&handles) {
        assert_eq!(handle.get()?, x * x);
    }
    let ids: HashSet<u32> = handles.iter().map(|handle| handle.info().id).collect();
    assert_eq!(ids.len(), handles.len());
    Ok(())
}

/// No argument, one, many; unit as output; vectors and texts of length 0.
#[distwq::test(ranks = [2, 3, 4, 7])]
fn functions_take_any_number_of_arguments_and_empty_values(cluster: &Cluster) -> Result<(), TaskError> {
    let () = cluster.submit(nothing::call()).get()?;
    assert_eq!(cluster.submit(answer::call()).get()?, 42);
    assert_eq!(cluster.submit(square::call(-3)).get()?, 9);
    let text = cluster.submit(joined::call(1, -2, 0.5, 'ß', "five", None::<u16>, (-7, 8))).get()?;
    assert_eq!(text, "1 -2 0.5 ß five None (-7, 8)");
    assert_eq!(cluster.submit(doubled::call(Vec::<f64>::new())).get()?, Vec::<f64>::new());
    assert_eq!(cluster.submit(length::call("")).get()?, 0);
    let empty = cluster.submit(doubled::call(Vec::<f64>::new()));
    assert_eq!(cluster.submit(doubled::call(&empty)).get()?, Vec::<f64>::new());
    Ok(())
}

/// The stack is constant, and the end comes within seconds.
#[distwq::test(ranks = [2, 3, 4, 7], config = Config::new().stack_bytes(256 << 10))]
fn ten_thousand_tasks_take_little_stack_and_little_time(cluster: &Cluster) {
    let begun = Instant::now();
    thread::scope(|scope| {
        let submits = thread::Builder::new().stack_size(128 << 10).spawn_scoped(scope, || {
            let handles: Vec<_> = (0..10_000).map(|x| cluster.submit(square::call(x))).collect();
            let sum: i64 = handles.iter().map(|handle| handle.get().expect("a square")).sum();
            assert_eq!(sum, (0..10_000).map(|x| x * x).sum::<i64>());
        });
        submits.expect("a thread starts").join().expect("all have their squares");
    });
    assert!(begun.elapsed() < Duration::from_secs(20), "it took {:?}", begun.elapsed());
}

#[distwq::test(ranks = [2, 3, 4, 7], every)]
fn five_threads_submit_and_wait_at_the_same_time(cluster: &Cluster) {
    thread::scope(|scope| {
        for thread in 0..5 {
            let cluster = cluster.clone();
            scope.spawn(move || {
                for round in 0..40 {
                    let x = 1000 * thread + round;
                    let first = cluster.submit(square::call(x));
                    let second = cluster.submit(square::call(&first));
                    assert_eq!(second.get().expect("a square of a square"), x.pow(4));
                    assert_eq!(first.get().expect("a square"), x.pow(2));
                }
            });
        }
    });
}

#[distwq::test(ranks = [2, 3, 4, 7])]
fn several_threads_wait_for_the_same_handle(cluster: &Cluster) {
    let slow = cluster.submit(slow_answer::call(200));
    thread::scope(|scope| {
        for _ in 0..5 {
            let handle = slow.clone();
            scope.spawn(move || assert_eq!(handle.get().expect("the answer"), 42));
        }
    });
}

#[remote]
fn slow_answer(milliseconds: u64) -> u8 {
    thread::sleep(Duration::from_millis(milliseconds));
    42
}

#[distwq::test(ranks = [2, 3, 4, 7])]
fn there_is_a_worker_for_each_rank_but_the_controllers(cluster: &Cluster) -> Result<(), TaskError> {
    let stats = cluster.stats();
    assert_eq!(stats.ranks.len(), cluster.workers() + 1);
    assert_eq!((stats.submitted, stats.done, stats.failed, stats.outstanding), (0, 0, 0, 0));
    let handles: Vec<_> = (0..100).map(|x| cluster.submit(square::call(x))).collect();
    for handle in &handles {
        handle.get()?;
    }
    let stats = cluster.stats();
    assert_eq!((stats.submitted, stats.done, stats.failed, stats.outstanding), (100, 100, 0, 0));
    assert_eq!(stats.ranks.iter().map(|rank| rank.runs.count).sum::<u64>(), 100, "{stats}");
    assert_eq!(stats.ranks[0].runs.count, 0, "the controller runs no tasks: {stats}");
    Ok(())
}

#[distwq::test(ranks = [2, 3, 4, 7])]
fn work_spreads_over_all_workers(cluster: &Cluster) -> Result<(), TaskError> {
    let handles: Vec<_> = (0..8 * cluster.workers()).map(|_| cluster.submit(slow_answer::call(20))).collect();
    for handle in &handles {
        handle.get()?;
    }
    let ranks: HashSet<_> = handles.iter().map(|handle| handle.info().ranks[0]).collect();
    assert_eq!(ranks.len(), cluster.workers());
    Ok(())
}

#[distwq::test(ranks = [2], workers = 1)]
fn tasks_of_higher_priority_start_first(cluster: &Cluster) -> Result<(), Box<dyn std::error::Error>> {
    // Ready from the start, and ready at the same moment later: when a gate ends.
    for gated in [false, true] {
        let mut graph = Graph::new();
        let gate = gated.then(|| graph.add(slow_answer::call(2)));
        let priorities = [0, 5, -3, 5, 0, 9];
        let call = |priority: &i32| slow_answer::call(2).priority(*priority).after_all(&gate);
        let handles: Vec<_> = priorities.iter().map(|priority| graph.add(call(priority))).collect();
        cluster.run(&mut graph)?;
        let mut started: Vec<_> =
            handles.iter().zip(priorities).map(|(handle, priority)| (handle.info().started_ns, priority)).collect();
        started.sort();
        let order: Vec<i32> = started.into_iter().map(|(_, priority)| priority).collect();
        assert_eq!(order, [9, 5, 5, 0, 0, -3], "behind a gate: {gated}");
    }
    Ok(())
}

/// How many tasks of one process have come to the meeting.
static MET: (Mutex<u32>, Condvar) = (Mutex::new(0), Condvar::new());

/// Waits until `count` tasks are in here at the same time, in one process.
#[remote]
fn meet(count: u32) -> Result<u32, String> {
    let (met, changed) = &MET;
    let mut met = met.lock().expect("nobody panics here");
    *met += 1;
    changed.notify_all();
    let limit = Duration::from_secs(30);
    let (met, waited) = changed.wait_timeout_while(met, limit, |met| *met < count).expect("nobody panics here");
    if waited.timed_out() { Err(format!("only {} came", *met)) } else { Ok(*met) }
}

#[distwq::test(ranks = [2], workers = 3, config = Config::new().slots(3))]
fn the_slots_of_a_worker_run_tasks_at_the_same_time(cluster: &Cluster) -> Result<(), TaskError> {
    let handles: Vec<_> = (0..3).map(|_| cluster.submit(meet::call(3))).collect();
    for handle in &handles {
        assert_eq!(handle.get()?, 3);
    }
    Ok(())
}

#[distwq::test(ranks = [2, 3, 4, 7], config = Config::new().slots(3))]
fn many_tasks_run_on_several_slots(cluster: &Cluster) -> Result<(), TaskError> {
    let first: Vec<_> = (0..600).map(|x| cluster.submit(square::call(x))).collect();
    let second: Vec<_> = first.iter().map(|x| cluster.submit(square::call(x))).collect();
    for (x, handle) in (0_i64..).zip(&second) {
        assert_eq!(handle.get()?, x.pow(4));
    }
    Ok(())
}

/// A logistic map: a few steps of it and any difference in a bit is seen.
#[remote]
fn chaos(seed: f64, steps: u32) -> Vec<f64> {
    std::iter::successors(Some(seed), |x| Some(3.99 * x * (1.0 - x))).take(steps as usize).collect()
}

#[remote]
fn blended(rows: Vec<Vec<f64>>, weights: &[f64]) -> Vec<f64> {
    let blend = |index: usize| rows.iter().zip(weights).map(|(row, weight)| row[index] * weight).sum();
    (0..rows[0].len()).map(blend).collect()
}

#[remote]
fn refuses(reason: String) -> Result<u8, String> {
    Err(reason)
}

/// The norm over a group of two at most, so that it is the same for any number of workers
/// but one.
#[remote(collective)]
fn norm(group: &Group, row: &[f64]) -> Result<f64, GroupError> {
    let mine = row.iter().skip(group.rank()).step_by(group.size());
    group.all_reduce(mine.map(|x| x * x).sum::<f64>(), |a, b| a + b).map(f64::sqrt)
}

/// Everything that a little of everything gives, to the last bit.
fn a_little_of_everything(cluster: &Cluster, ranks: usize) -> Vec<u64> {
    let mut graph = Graph::new();
    let weights = graph.value(&vec![0.1, 0.7, 1e-9, 3.0]);
    let rows: Vec<_> = (1_u8..=4).map(|n| graph.add(chaos::call(f64::from(n) / 7.0, 800))).collect();
    let blend = graph.add(blended::call(&rows, &weights));
    let norm = graph.add(norm::call(&blend).ranks(ranks));
    let failed = graph.add(refuses::call("a reason"));
    let error = cluster.run(&mut graph).expect_err("one refuses");
    assert!(error.to_string().contains("a reason"), "{error}");
    let submitted = cluster.submit(blended::call(&rows[..2], vec![norm.get().expect("a norm"), 2.0]));
    let values = rows.iter().chain([&blend, &submitted]).flat_map(|handle| handle.get().expect("values"));
    let mut bits: Vec<_> = values.chain(norm.get()).map(f64::to_bits).collect();
    let message = failed.get().expect_err("it refuses").message().unwrap_or_default().to_owned();
    bits.extend(message.bytes().map(u64::from));
    bits
}

/// The same calls give the same bytes on the local backend with one worker, with several,
/// and over MPI.
#[distwq::test(ranks = [2, 3, 4, 7], every)]
fn results_are_the_same_to_the_last_bit_on_every_backend(cluster: &Cluster) {
    let group = cluster.workers().min(2);
    for ranks in [1, group] {
        let here = a_little_of_everything(cluster, ranks);
        for workers in [ranks, 5] {
            let mut oracle = Vec::new();
            let config = Config::new().workers(workers);
            distwq_core::launch::run_local(config, |local| oracle = a_little_of_everything(local, ranks))
                .expect("it runs");
            assert!(here == oracle, "over {} workers it differs from {workers} local ones", cluster.workers());
        }
    }
}

/// Submits squares now and then, each to a rank that sleeps for 75 ms and more if it is
/// not woken: half of them have to be back sooner than that.
fn expect_prompt_answers(cluster: &Cluster) -> Result<(), TaskError> {
    let mut rounds: Vec<Duration> = Vec::new();
    for x in 0..7 {
        thread::sleep(Duration::from_millis(400));
        let start = Instant::now();
        assert_eq!(cluster.submit(square::call(x)).get()?, x * x);
        rounds.push(start.elapsed());
    }
    rounds.sort_unstable();
    let half = rounds[rounds.len() / 2];
    assert!(half < Duration::from_millis(25), "a bell is not rung, or nobody listens: {rounds:?}");
    Ok(())
}

#[distwq::test(ranks = [2, 4])]
fn ranks_that_sleep_are_woken_by_a_task(cluster: &Cluster) -> Result<(), TaskError> {
    expect_prompt_answers(cluster)
}

#[remote]
fn waits(time: Duration) {
    thread::sleep(time);
}

/// The thread that drives sleeps while another one submits to a worker that is not idle,
/// which is not at once sent what it gets.
#[distwq::test(ranks = [2], workers = 2, config = Config::new().slots(2))]
fn a_thread_that_sleeps_is_woken_for_what_another_one_submits(cluster: &Cluster) -> Result<(), TaskError> {
    let long = cluster.submit(waits::call(Duration::from_secs(4)));
    thread::scope(|scope| {
        let waiter = scope.spawn(|| long.get());
        expect_prompt_answers(cluster)?;
        waiter.join().expect("it does not panic")
    })
}
