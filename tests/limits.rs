//! Limits in time: of an attempt, of the wait for one, deadlines. And what is tried
//! again.

use distwq::prelude::*;
use distwq::{Limit, RetryOn, TaskFailure, TaskSite};
use std::error::Error;
use std::fmt::Debug;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};
use std::{env, fs, process, thread};

const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// Far more than anything takes here.
const LONG: Duration = Duration::from_secs(30);

#[remote]
fn next(value: u64) -> u64 {
    value + 1
}

#[remote]
fn sleeps(for_ms: u64) -> u64 {
    thread::sleep(ms(for_ms));
    for_ms
}

/// Runs until it is told to stop; an error if it never is.
#[remote]
fn until_cancelled(ctx: &Context) -> Result<u32, String> {
    let until = Instant::now() + LONG;
    while !ctx.cancelled() {
        if Instant::now() > until {
            return Err("nobody has told it to stop".to_owned());
        }
        thread::sleep(ms(1));
    }
    Ok(ctx.attempt())
}

/// Runs past its limit at the first attempts, and gives the rank of a later one.
#[remote]
fn slow_at_first(ctx: &Context, slow_attempts: u32) -> Result<(u32, u32), String> {
    while ctx.attempt() <= slow_attempts && !ctx.cancelled() {
        thread::sleep(ms(1));
    }
    assert!(ctx.attempt() <= slow_attempts || !ctx.cancelled(), "this attempt has time");
    Ok((ctx.attempt(), ctx.rank().0))
}

#[remote]
fn fails_at_first(ctx: &Context, failures: u32) -> Result<u32, String> {
    if ctx.attempt() <= failures { Err(format!("attempt {} fails", ctx.attempt())) } else { Ok(ctx.attempt()) }
}

#[remote]
fn panics_at_first(ctx: &Context) -> u32 {
    assert!(ctx.attempt() > 1, "the first attempt panics");
    ctx.attempt()
}

#[track_caller]
fn expect_limit<T: Debug>(result: Result<T, TaskError>, wanted: Limit) -> Arc<TaskSite> {
    match result {
        Err(TaskError::LimitReached { site, limit, .. }) if limit == wanted => site,
        other => panic!("{wanted:?} is not reached: {other:?}"),
    }
}

#[distwq::test(ranks = [2, 3, 4], repeat = 200)]
fn an_attempt_that_reaches_its_limit_ends_and_its_function_is_told(cluster: &Cluster) {
    let call = until_cancelled::call().label("the slow one").run_limit(ms(50)).retries(3);
    let slow = cluster.submit(call);
    let error = slow.get().expect_err("it runs past its limit");
    let text = error.to_string();
    let TaskError::LimitReached { site, limit: Limit::Run, after } = error else { panic!("{error:?}") };
    assert_eq!((after, site.attempts), (ms(50), 1), "limits are not tried again unless that is chosen");
    assert_eq!(site.label.as_deref(), Some("the slow one"));
    assert!(site.rank.is_some() && site.host.is_some(), "{site:?}");
    assert!(text.contains("run limit, 50 ms after it began"), "{text}");
    let info = slow.info();
    assert!(info.run_time() >= Some(ms(50)), "{info:?}");
    // Its worker takes tasks again once it has returned.
    let others: Vec<_> = (0..20).map(|x| cluster.submit(next::call(x))).collect();
    for (x, other) in (0..).zip(others) {
        assert_eq!(other.get_timeout(LONG), Ok(x + 1));
    }
    assert!(matches!(slow.get(), Err(TaskError::LimitReached { .. })), "what it gave later is dropped");
}

#[distwq::test(ranks = [2, 3, 4], repeat = 200)]
fn an_attempt_within_its_limit_gives_its_value(cluster: &Cluster) {
    let tasks: Vec<_> = (0..50).map(|x| cluster.submit(next::call(x).run_limit(LONG).wait_limit(LONG))).collect();
    for (x, task) in (0..).zip(tasks) {
        assert_eq!(task.get(), Ok(x + 1));
    }
}

#[distwq::test(ranks = [4], workers = 3, repeat = 200)]
fn of_six_tasks_the_slow_ones_end_at_their_limit_and_the_cluster_goes_on(cluster: &Cluster) {
    let slow = |index: u64| if index % 2 == 1 { 400 } else { 0 };
    let batch = cluster.submit_all((0..6).map(|index| sleeps::call(slow(index)).run_limit(ms(150))));
    for (index, result) in &batch {
        match index % 2 {
            1 => drop(expect_limit(result, Limit::Run)),
            _ => assert_eq!(result, Ok(0)),
        }
    }
    assert_eq!(cluster.submit(next::call(41)).get_timeout(LONG), Ok(42));
}

/// Gives 42 once there is a file of this name.
#[remote]
fn until_there_is(file: String) -> Result<u64, String> {
    let until = Instant::now() + LONG;
    while !Path::new(&file).exists() {
        if Instant::now() > until {
            return Err("there is no such file".to_owned());
        }
        thread::sleep(ms(1));
    }
    Ok(42)
}

#[distwq::test(ranks = [3, 4], workers = 2, repeat = 200)]
fn a_task_that_fails_or_reaches_its_limit_leaves_one_that_is_blocked_alone(cluster: &Cluster) {
    let file = env::temp_dir().join(format!("distwq-blocked-{}", process::id()));
    for limited in [false, true] {
        let blocked = cluster.submit(until_there_is::call(file.display().to_string()));
        let other = match limited {
            true => cluster.submit(until_cancelled::call().run_limit(ms(20))),
            false => cluster.submit(fails_at_first::call(1)),
        };
        match other.get() {
            Err(TaskError::Failed { .. }) if !limited => {}
            end => drop(expect_limit(end, Limit::Run)),
        }
        assert!(!blocked.is_done());
        fs::write(&file, "").expect("the temporary folder can be written");
        assert_eq!(blocked.get(), Ok(42));
        fs::remove_file(&file).expect("it was written");
    }
}

#[distwq::test(ranks = [2, 3, 4], repeat = 200)]
fn an_attempt_at_its_limit_is_tried_again_if_that_is_chosen(cluster: &Cluster) {
    let call = slow_at_first::call(1).run_limit(ms(100)).retries(1).retry_on(RetryOn::LIMITS);
    let (attempt, _) = cluster.submit(call).get_timeout(LONG).expect("the second attempt is quick");
    assert_eq!(attempt, 2);
    let call = slow_at_first::call(9).run_limit(ms(30)).retries(2).retry_on(RetryOn::LIMITS);
    assert_eq!(expect_limit(cluster.submit(call).get(), Limit::Run).attempts, 3);
}

#[distwq::test(ranks = [3, 4], workers = 2, repeat = 200)]
fn an_attempt_after_a_limit_runs_on_another_worker(cluster: &Cluster) {
    let first = cluster.submit(sleeps::call(0));
    first.get().expect("it sleeps");
    let call = slow_at_first::call(1).run_limit(ms(100)).retries(1).retry_on(RetryOn::ALL);
    let task = cluster.submit(call.follow(&first));
    let (_, rank) = task.get_timeout(LONG).expect("the second attempt is quick");
    assert_eq!(first.info().ranks, [distwq::Rank(rank)], "one that follows stays");
    let call = slow_at_first::call(1).run_limit(ms(100)).retries(1).retry_on(RetryOn::ALL);
    let task = cluster.submit(call);
    while task.info().attempts < 1 {
        thread::yield_now();
    }
    let first = task.info().ranks;
    let (_, rank) = task.get_timeout(LONG).expect("the second attempt is quick");
    assert_ne!(first, [distwq::Rank(rank)]);
}

#[distwq::test(ranks = [2, 3, 4], repeat = 200)]
fn a_task_that_waits_behind_a_slow_parent_ends_at_its_wait_limit(cluster: &Cluster) {
    let begun = Instant::now();
    let parent = cluster.submit(sleeps::call(500));
    let child = cluster.submit(next::call(&parent).wait_limit(ms(50)));
    let site = expect_limit(child.get(), Limit::Wait);
    let took = begun.elapsed();
    assert!((ms(50)..ms(450)).contains(&took), "{took:?}");
    assert_eq!((site.attempts, site.rank), (0, None), "it has never begun");
    assert_eq!(parent.get(), Ok(500));
}

#[distwq::test(ranks = [2], workers = 1, repeat = 200)]
fn a_task_that_its_worker_has_ahead_ends_at_its_wait_limit(cluster: &Cluster) {
    let begun = Instant::now();
    let busy = cluster.submit(sleeps::call(500));
    let queued: Vec<_> = (0..3).map(|x| cluster.submit(next::call(x).wait_limit(ms(50)))).collect();
    for task in queued {
        assert_eq!(expect_limit(task.get(), Limit::Wait).attempts, 0);
    }
    assert!(begun.elapsed() < ms(450), "{:?}", begun.elapsed());
    assert_eq!(busy.get(), Ok(500));
}

#[distwq::test(ranks = [2, 3], repeat = 200)]
fn a_wait_limit_says_nothing_once_the_first_attempt_has_begun(cluster: &Cluster) {
    let call = fails_at_first::call(2).retries(2).backoff(ms(50)).wait_limit(ms(100));
    let begun = Instant::now();
    assert_eq!(cluster.submit(call).get(), Ok(3));
    assert!(begun.elapsed() >= ms(150), "it pauses for 50 ms, then for 100 ms: {:?}", begun.elapsed());
    assert_eq!(cluster.submit(sleeps::call(150).wait_limit(ms(100))).get(), Ok(150));
}

#[distwq::test(ranks = [2, 3, 4], repeat = 200)]
fn a_deadline_of_a_batch_ends_what_has_not_ended(cluster: &Cluster) {
    let batch = cluster.batch();
    for _ in 0..2 {
        batch.submit(sleeps::call(0));
    }
    assert_eq!(batch.wait_all(LONG).len(), 2);
    let parent = cluster.submit(sleeps::call(500));
    for _ in 0..4 {
        batch.submit(sleeps::call(500));
    }
    batch.submit(next::call(&parent));
    let begun = Instant::now();
    batch.deadline(ms(100));
    let results: Vec<_> = batch.iter().map(|(_, result)| result).collect();
    assert!(begun.elapsed() < ms(450), "{:?}", begun.elapsed());
    assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 2, "what has ended stays");
    for result in results.into_iter().filter(Result::is_err) {
        expect_limit(result, Limit::Deadline);
    }
    let index = batch.submit(next::call(1));
    expect_limit(batch.handle(index).expect("it was not taken").get(), Limit::Deadline);
    assert_eq!(parent.get(), Ok(500), "it is not of the batch");
    assert_eq!(cluster.submit(next::call(1)).get_timeout(LONG), Ok(2));
}

#[distwq::test(ranks = [2, 3], repeat = 200)]
fn a_task_that_runs_at_its_deadline_is_told(cluster: &Cluster) {
    let batch = cluster.batch();
    batch.submit(until_cancelled::call());
    batch.deadline(ms(50));
    expect_limit(batch.next().expect("it ends").1, Limit::Deadline);
    assert_eq!(cluster.submit(next::call(1)).get_timeout(LONG), Ok(2), "it has returned");
}

#[test]
fn a_time_limit_ends_all_tasks_and_those_that_come_later() {
    let config = Config::new().workers(2).time_limit(ms(200));
    let body = |cluster: &Cluster| {
        assert_eq!(cluster.submit(next::call(1)).get(), Ok(2));
        let running: Vec<_> = (0..2).map(|_| cluster.submit(until_cancelled::call())).collect();
        let waiting = cluster.submit(next::call(1).after_all(&running));
        for task in running {
            expect_limit(task.get(), Limit::Deadline);
        }
        expect_limit(waiting.get(), Limit::Deadline);
        expect_limit(cluster.submit(next::call(1)).get(), Limit::Deadline);
        let mut graph = Graph::new();
        let first = graph.add(next::call(1));
        graph.add(next::call(&first));
        assert!(cluster.run(&mut graph).is_err());
        expect_limit(first.get(), Limit::Deadline);
    };
    distwq_core::launch::run_local(config, body).expect("the body goes on and ends well");
}

#[distwq::test(ranks = [2, 3, 4], repeat = 200)]
fn what_is_tried_again_can_be_chosen(cluster: &Cluster) {
    let attempts = |call: Call<u32>| match cluster.submit(call.retries(1)).get() {
        Ok(attempts) => attempts,
        Err(error) => error.site().expect("it has run").attempts,
    };
    assert_eq!(attempts(fails_at_first::call(1)), 2);
    assert_eq!(attempts(panics_at_first::call()), 2);
    assert_eq!(attempts(fails_at_first::call(1).retry_on(RetryOn::PANICS)), 1);
    assert_eq!(attempts(panics_at_first::call().retry_on(RetryOn::ERRORS)), 1);
    assert_eq!(attempts(panics_at_first::call().retry_on(RetryOn::ERRORS | RetryOn::PANICS)), 2);
}

#[remote]
fn permanent(boxed: bool) -> Result<u32, Box<dyn Error + Send + Sync>> {
    let failure = TaskFailure::from("no such file").permanent();
    if boxed { Err(failure.into()) } else { Err("no such file".into()) }
}

#[remote]
fn not_on_these(ctx: &Context, workers: Vec<u32>) -> Result<(u32, u32), TaskFailure> {
    match workers.contains(&(ctx.worker() as u32)) {
        true => Err(TaskFailure::from("there is no licence here").not_here()),
        false => Ok((ctx.worker() as u32, ctx.attempt())),
    }
}

#[remote]
fn busy_until(at_ms: u64) -> Result<u64, TaskFailure> {
    let now_ms = std::time::UNIX_EPOCH.elapsed().expect("it is later").as_millis() as u64;
    if now_ms < at_ms { Err(TaskFailure::from("the server is busy").busy(ms(20))) } else { Ok(now_ms) }
}

#[distwq::test(ranks = [2, 3], repeat = 200)]
fn a_permanent_failure_is_not_tried_again(cluster: &Cluster) {
    for (boxed, attempts) in [(true, 1), (false, 3)] {
        match cluster.submit(permanent::call(boxed).retries(2)).get() {
            Err(TaskError::Failed { site, message }) => {
                assert_eq!((site.attempts, &*message), (attempts, "no such file"));
            }
            other => panic!("{other:?}"),
        }
    }
}

#[distwq::test(ranks = [4], workers = 3, repeat = 200)]
fn a_task_that_is_not_to_run_here_runs_elsewhere_without_a_further_attempt(cluster: &Cluster) {
    for _ in 0..4 {
        let task = cluster.submit(not_on_these::call(&[0, 1]));
        assert_eq!(task.get_timeout(LONG), Ok((2, 1)));
    }
    let nowhere = cluster.submit(not_on_these::call(&[0, 1, 2]).retries(5));
    match nowhere.get_timeout(LONG) {
        Err(TaskError::Failed { site, message }) => {
            assert_eq!(site.attempts, 1);
            assert!(message.contains("no licence") && message.contains("no worker is left"), "{message}");
        }
        other => panic!("{other:?}"),
    }
    let first = cluster.submit(not_on_these::call(&[1, 2]));
    let follows = cluster.submit(not_on_these::call(&[0]).follow(&first));
    let error = follows.get_timeout(LONG).expect_err("it may run on one worker only");
    assert!(error.to_string().contains("no worker is left"), "{error}");
}

#[distwq::test(ranks = [2, 3], repeat = 200)]
fn a_busy_task_comes_back_later_without_a_further_attempt(cluster: &Cluster) {
    let now_ms = std::time::UNIX_EPOCH.elapsed().expect("it is later").as_millis() as u64;
    let task = cluster.submit(busy_until::call(now_ms + 60));
    assert!(task.get_timeout(LONG).expect("it comes back") >= now_ms + 60);
    assert_eq!(task.info().attempts, 1);
}

/// Member 0 computes until it is told to stop, the others wait for it.
#[remote(collective)]
fn one_computes(ctx: &Context, group: &Group) -> Result<u64, GroupError> {
    while group.rank() == 0 && !ctx.cancelled() {
        thread::sleep(ms(1));
    }
    group.all_reduce(1, |a, b| a + b)
}

#[remote(collective)]
fn members(group: &Group) -> Result<u64, GroupError> {
    group.all_reduce(1, |a, b| a + b)
}

#[distwq::test(ranks = [2, 3, 4], repeat = 200)]
fn a_collective_task_ends_at_its_limit_and_its_members_are_told(cluster: &Cluster) {
    let workers = cluster.workers() as u64;
    for _ in 0..3 {
        let slow = cluster.submit(one_computes::call().run_limit(ms(40)));
        let site = expect_limit(slow.get_timeout(LONG), Limit::Run);
        assert!(site.rank.is_some(), "{site:?}");
        // All members return, and can be of the next group.
        let quick = cluster.submit(members::call().run_limit(LONG));
        assert_eq!(quick.get_timeout(LONG), Ok(workers));
    }
    let batch = cluster.batch();
    batch.submit(one_computes::call());
    batch.deadline(ms(40));
    expect_limit(batch.next().expect("it ends").1, Limit::Deadline);
    assert_eq!(cluster.submit(members::call()).get_timeout(LONG), Ok(workers));
}

#[test]
fn a_task_whose_only_worker_is_set_aside_for_too_long_ends_and_names_what_runs_there() {
    let config = Config::new().workers(2).stuck_grace(ms(200)).shutdown_grace(ms(200));
    let body = |cluster: &Cluster| {
        let stuck = cluster.submit(sleeps::call(4_000).label("the stuck one").run_limit(ms(50)));
        let site = expect_limit(stuck.get(), Limit::Run);
        assert_eq!(cluster.submit(next::call(1)).get(), Ok(2), "the other worker goes on");
        let wide = cluster.submit(members::call().ranks(2));
        let begun = Instant::now();
        let error = wide.get_timeout(LONG).expect_err("a worker is missing");
        assert!(begun.elapsed() < Duration::from_secs(3), "{:?}", begun.elapsed());
        let text = error.to_string();
        assert!(matches!(error, TaskError::Stalled { .. }), "{error}");
        let names = text.contains("from limits::sleeps #1 \"the stuck one\", which has reached its limit");
        assert!(names && text.contains(&format!("{} (host ", site.rank.expect("it has run"))), "{error}");
        assert_eq!(cluster.submit(next::call(2)).get(), Ok(3), "the run goes on");
    };
    let begun = Instant::now();
    let error = distwq_core::launch::run_local(config, body).expect_err("a rank does not answer in the end");
    assert!(begun.elapsed() < Duration::from_secs(4), "{:?}", begun.elapsed());
    assert!(error.contains("within the shutdown grace of 200 ms") && error.contains("the stuck one"), "{error}");
}

/// The item goes on past the deadline of its map. What else the only worker should do
/// ends, and so does the run.
#[test]
fn a_map_of_an_item_that_does_not_return_ends_at_its_deadline_and_the_run_within_the_grace() {
    for is_reduced in [false, true] {
        let config = Config::new().workers(1).stuck_grace(ms(200)).shutdown_grace(ms(200));
        let body = |cluster: &Cluster| {
            let mut map = cluster.map(sleeps::call, [4_000]).deadline(ms(50));
            if is_reduced {
                expect_limit(map.tree_reduce(|one, _| sleeps::call(one)), Limit::Deadline);
            } else {
                expect_limit(map.next().expect("it says so"), Limit::Deadline);
                assert_eq!(map.next(), None);
            }
            let error = cluster.submit(next::call(1)).get_timeout(LONG).expect_err("no worker is left");
            assert!(error.to_string().contains("has not returned from limits::sleeps"), "{error}");
        };
        let begun = Instant::now();
        let error = distwq_core::launch::run_local(config, body).expect_err("a rank does not answer in the end");
        assert!(begun.elapsed() < Duration::from_secs(4), "{:?}", begun.elapsed());
        assert!(error.contains("within the shutdown grace of 200 ms"), "{error}");
    }
}

#[distwq::test(ranks = [2, 3], repeat = 200)]
fn a_cancelled_task_that_runs_past_its_limit_is_cancelled(cluster: &Cluster) {
    let task = cluster.submit(sleeps::call(400).run_limit(ms(100)).retries(5).retry_on(RetryOn::ALL));
    while task.info().attempts == 0 {
        thread::yield_now();
    }
    task.cancel();
    let begun = Instant::now();
    let result = task.get();
    assert!(matches!(result, Err(TaskError::Cancelled { .. })), "{result:?}");
    assert!(begun.elapsed() < ms(350), "{:?}", begun.elapsed());
}

#[distwq::test(ranks = [3], workers = 2, repeat = 200)]
fn what_hangs_on_a_task_that_reached_a_limit_names_it(cluster: &Cluster) {
    let mut graph = Graph::new();
    let slow = graph.add(until_cancelled::call().label("root").run_limit(ms(50)));
    let after = graph.add(next::call(3).after(&slow));
    let error = cluster.run(&mut graph).expect_err("a task has reached its limit");
    assert!(error.to_string().contains("its run limit"), "{error}");
    let error = after.get().expect_err("it does not run");
    assert!(matches!(error.root(), TaskError::LimitReached { limit: Limit::Run, .. }), "{error}");
}
