//! What a run shows of itself: figures of its tasks and ranks, and who waits for what.

use distwq::prelude::*;
use distwq::{Explanation, Reason, RunTimes, Stats, Status, TaskState, WaitsFor};
use std::thread;
use std::time::{Duration, Instant};

type Outcome = Result<(), Box<dyn std::error::Error>>;

#[remote]
fn square(x: u64) -> u64 {
    x * x
}

/// Sleeps, and fails if that was odd.
#[remote]
fn sleep_even(milliseconds: u64) -> Result<u64, String> {
    thread::sleep(Duration::from_millis(milliseconds));
    if milliseconds.is_multiple_of(2) { Ok(milliseconds) } else { Err("it is odd".to_owned()) }
}

#[remote]
fn make(bytes: usize) -> Vec<u8> {
    vec![7; bytes]
}

#[remote]
fn total(parts: Vec<Vec<u8>>) -> usize {
    parts.iter().map(Vec::len).sum()
}

#[remote(collective)]
fn members(group: &Group) -> Result<usize, GroupError> {
    group.all_reduce(1, |a, b| a + b)
}

fn run_of(stats: &Stats, function: &str) -> RunTimes {
    let found = stats.functions.iter().find(|of| of.function.ends_with(function));
    found.map_or_else(RunTimes::default, |of| of.runs)
}

/// Waits for the reports to have all attempts: of a collective task the value may be here
/// before all members have left.
fn until_counted(cluster: &Cluster, attempts: u64) -> Stats {
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        let stats = cluster.stats();
        let counted: u64 = stats.ranks.iter().map(|rank| rank.runs.count).sum();
        if counted == attempts {
            return stats;
        }
        assert!(counted < attempts && Instant::now() < deadline, "{counted} of {attempts}: {stats}");
        thread::yield_now();
    }
}

#[distwq::test(ranks = [2, 3, 4, 7])]
fn figures_count_each_task_once_where_it_ran_and_are_zero_before(cluster: &Cluster) -> Outcome {
    const TASKS: u64 = 100;
    let before = cluster.stats();
    assert_eq!((before.submitted, before.done, before.failed, before.outstanding), (0, 0, 0, 0));
    assert!(before.functions.is_empty() && before.longest.is_empty(), "{before}");
    assert!(before.ranks.iter().all(|rank| rank.runs == RunTimes::default()), "{before}");
    assert!(before.ranks[1..].iter().all(|rank| rank.working.is_zero()), "{before}");
    assert!(before.controller_busy().is_finite() && !before.to_string().contains("NaN"), "{before}");

    for (_, result) in &cluster.submit_all((0..TASKS).map(square::call)) {
        result?;
    }
    let stats = cluster.stats();
    assert_eq!((stats.submitted, stats.done, stats.failed, stats.outstanding), (TASKS, TASKS, 0, 0));
    assert_eq!(stats.ranks.iter().map(|rank| rank.runs.count).sum::<u64>(), TASKS, "{stats}");
    assert_eq!(stats.ranks[0].runs.count, 0, "the controller runs no tasks: {stats}");
    let runs = run_of(&stats, "square");
    assert_eq!((runs.count, runs.failures), (TASKS, 0));
    assert!(runs.min <= runs.mean && runs.mean <= runs.max && runs.max <= runs.total, "{runs:?}");
    assert!(stats.controller_busy() > 0.0 && stats.controller_busy() <= 1.0, "{stats}");
    Ok(())
}

/// ```text
/// nap → cancelled → upstream        fails
/// ```
#[distwq::test(ranks = [2, 3, 4, 7])]
fn what_was_cancelled_has_not_failed(cluster: &Cluster) -> Outcome {
    let before = cluster.stats();
    let nap = cluster.submit(sleep_even::call(100));
    let cancelled = cluster.submit(square::call(1_u64).after(&nap));
    let upstream = cluster.submit(square::call(&cancelled));
    let fails = cluster.submit(sleep_even::call(1));
    cancelled.cancel();
    let values = Batch::of([&nap, &cancelled, &upstream, &fails]);
    assert_eq!(values.wait_all(Duration::MAX), [0, 1, 2, 3]);
    assert_eq!(values.progress().to_string(), "4 of 4, 2 failed, 1 cancelled");
    assert_eq!(values.is_ok(), Some(false));
    let states = [&nap, &cancelled, &upstream, &fails].map(|handle| handle.info().state);
    assert_eq!(states, [TaskState::Done, TaskState::Cancelled, TaskState::Failed, TaskState::Failed]);
    let stats = cluster.stats();
    let since = [stats.done - before.done, stats.failed - before.failed, stats.cancelled - before.cancelled];
    assert_eq!((since, stats.outstanding), ([1, 2, 1], 0));

    let mut graph = Graph::new();
    let first = graph.add(sleep_even::call(100));
    let behind = graph.add(square::call(1_u64).after(&first));
    let run = cluster.start(&mut graph)?;
    behind.cancel();
    assert!(run.wait().is_err());
    assert_eq!(run.progress().to_string(), "2 of 2, 1 cancelled");
    assert_eq!(Batch::of([&behind]).wait_first_error(Duration::MAX), [0]);
    Ok(())
}

#[distwq::test(ranks = [2, 3, 4])]
fn figures_tell_how_long_and_how_often_functions_ran_and_failed(cluster: &Cluster) -> Outcome {
    let batch = cluster.submit_all((1..=8).map(|time| sleep_even::call(time).label(format!("nap {time}"))));
    let failed = batch.iter().filter(|(_, result)| result.is_err()).count();
    assert_eq!(failed, 4);
    for x in 0..5 {
        cluster.submit(square::call(x)).get()?;
    }
    let stats = cluster.stats();
    let naps = run_of(&stats, "sleep_even");
    assert_eq!((naps.count, naps.failures, run_of(&stats, "square").failures), (8, 4, 0));
    assert!(naps.min >= Duration::from_millis(1) && naps.max >= Duration::from_millis(8), "{naps:?}");
    assert!(naps.total >= Duration::from_millis(36) && naps.mean >= Duration::from_micros(4_500), "{naps:?}");
    assert!(naps.sd > Duration::ZERO && naps.sd < naps.total, "{naps:?}");
    assert!(stats.functions[0].function.ends_with("sleep_even"), "the greatest total is first: {stats}");

    assert_eq!(stats.longest.len(), 5);
    assert!(stats.longest.is_sorted_by(|one, next| one.time >= next.time), "{stats}");
    assert!(stats.longest.iter().all(|long| long.time >= Duration::from_millis(1)), "{stats}");
    let labels = stats.longest.iter().filter_map(|long| long.label.as_deref());
    assert!(labels.filter(|label| label.starts_with("nap ")).count() >= 4, "{stats}");
    Ok(())
}

#[distwq::test(ranks = [2, 3, 4])]
fn the_times_of_a_worker_add_up(cluster: &Cluster) -> Outcome {
    let batch = cluster.submit_all((0..4 * cluster.workers() as u64).map(|_| sleep_even::call(20)));
    assert_eq!(batch.wait_all(Duration::from_secs(60)).len(), batch.len());
    let stats = cluster.stats();
    let worked: Duration = stats.ranks[1..].iter().map(|rank| rank.working).sum();
    assert!(worked >= Duration::from_millis(20) * batch.len() as u32, "{stats}");
    for rank in &stats.ranks[1..] {
        // One slot each. The report of a worker is older than the clock of the controller
        // by its way, and the ranks did not begin at the same moment.
        let all = rank.in_init + rank.working + rank.moving + rank.waiting;
        let off = all.abs_diff(stats.elapsed);
        assert!(off < Duration::from_secs(2) + stats.elapsed / 4, "{all:?} of {:?}: {stats}", stats.elapsed);
        assert!(rank.working == rank.runs.total, "nothing runs: {stats}");
    }
    Ok(())
}

#[distwq::test(ranks = [3, 4])]
fn figures_tell_what_was_moved(cluster: &Cluster) -> Outcome {
    const BYTES: usize = 1 << 20;
    let parts: Vec<_> = (0..4 * cluster.workers()).map(|_| cluster.submit(make::call(BYTES))).collect();
    assert_eq!(cluster.submit(total::call(&parts)).get()?, parts.len() * BYTES);
    let stats = cluster.stats();
    let ranks: std::collections::HashSet<_> = parts.iter().map(|part| part.info().ranks[0]).collect();
    if ranks.len() > 1 {
        let bytes_in: u64 = stats.ranks[1..].iter().map(|rank| rank.bytes_in).sum();
        assert!(bytes_in >= BYTES as u64, "{stats}");
        assert!(stats.ranks[1..].iter().any(|rank| !rank.moving.is_zero()), "{stats}");
    }
    assert!(stats.ranks.iter().all(|rank| rank.bytes_in > 0 && rank.bytes_out > 0), "{stats}");
    assert!(stats.ranks[0].bytes_in < BYTES as u64, "the controller relays no large value: {stats}");
    Ok(())
}

#[distwq::test(ranks = [3, 4])]
fn each_member_of_a_collective_task_counts_and_its_task_is_among_the_longest_once(cluster: &Cluster) -> Outcome {
    let ranks = cluster.workers();
    let handle = cluster.submit(members::call().ranks(ranks).label("all of them"));
    assert_eq!(handle.get()?, ranks);
    let stats = until_counted(cluster, ranks as u64);
    assert_eq!((stats.submitted, stats.done, run_of(&stats, "members").count), (1, 1, ranks as u64));
    let [long] = &stats.longest[..] else { panic!("{stats}") };
    assert_eq!((long.task, long.label.as_deref()), (handle.info().id, Some("all of them")));
    Ok(())
}

#[distwq::test(ranks = [2, 3])]
fn figures_travel_and_print_as_tables(cluster: &Cluster) -> Outcome {
    cluster.submit(sleep_even::call(2).label("a nap")).get()?;
    let stats = cluster.stats();
    let text = serde_json::to_string(&stats)?;
    assert_eq!(serde_json::from_str::<Stats>(&text)?, stats);
    let table = stats.to_string();
    for words in [
        "1 task: 1 done, 0 failed, 0 cancelled, 0 outstanding",
        "sleep_even",
        "mean",
        "0 (controller)",
        "\"a nap\" on rank",
    ] {
        assert!(table.contains(words), "{words:?} is missing in:\n{table}");
    }
    Ok(())
}

/// Waits until the reason of the last step of an explanation is as expected.
#[track_caller]
fn until_explained<T>(handle: &Handle<T>, is_meant: impl Fn(&Reason) -> bool) -> Explanation {
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        let explanation = handle.explain();
        if explanation.steps.last().is_some_and(|step| is_meant(&step.reason)) {
            return explanation;
        }
        assert!(Instant::now() < deadline, "{explanation}");
        thread::yield_now();
    }
}

#[distwq::test(ranks = [2, 3, 4])]
fn a_task_that_waits_is_explained_down_to_what_runs_and_where(cluster: &Cluster) -> Outcome {
    let slow = cluster.submit(sleep_even::call(600).label("slow"));
    let next = cluster.submit(square::call(&slow));
    let last = cluster.submit(square::call(&next));
    let explanation = until_explained(&last, |reason| matches!(reason, Reason::Runs { ranks: 1, .. }));
    assert_eq!(explanation.steps.len(), 3, "{explanation}");
    let text = explanation.to_string();
    assert!(text.contains("\"slow\" has run on rank"), "{text}");

    let status = cluster.status();
    assert_eq!((status.pending, status.given, status.workers.len()), (3, 1, cluster.workers()));
    let runs = status.workers.iter().filter(|worker| !worker.running.is_empty());
    let labels: Vec<_> = runs.map(|worker| worker.running[0].task.label.as_deref()).collect();
    assert_eq!(labels, [Some("slow")], "{status}");
    let [waiting] = &status.waiting[..] else { panic!("{status}") };
    assert_eq!((waiting.what, waiting.count, waiting.first.len()), (WaitsFor::Tasks, 2, 2));
    assert_eq!(serde_json::from_str::<Status>(&serde_json::to_string(&status)?)?, status);

    assert_eq!(last.get()?, 600_u64.pow(4));
    assert_eq!(last.explain().steps[0].reason, Reason::Done);
    let status = cluster.status();
    assert_eq!((status.pending, status.waiting.len()), (0, 0));
    assert!(status.to_string().starts_with("0 tasks have not ended"), "{status}");
    Ok(())
}

#[distwq::test(ranks = [3, 4])]
fn a_wide_task_is_explained_by_how_many_ranks_are_free(cluster: &Cluster) -> Outcome {
    let slow = cluster.submit(sleep_even::call(400));
    until_explained(&slow, |reason| matches!(reason, Reason::Runs { .. }));
    let ranks = cluster.workers();
    let wide = cluster.submit(members::call().ranks(ranks));
    let explanation = wide.explain();
    if !slow.is_done() {
        let free = ranks as u64 - 1;
        let Reason::Ranks { wanted, free: found, workers } = explanation.steps[0].reason else {
            panic!("{explanation}")
        };
        assert_eq!((wanted, found, workers), (ranks as u64, free, ranks as u64));
    }
    assert_eq!(wide.get()?, ranks);
    Ok(())
}

#[distwq::test(ranks = [2])]
fn what_was_refused_or_not_started_or_failed_is_explained_too(cluster: &Cluster) -> Outcome {
    let mut graph = Graph::new();
    let handle = graph.add(square::call(3));
    assert_eq!(handle.explain().steps[0].reason, Reason::NotStarted);
    let refused = cluster.submit(members::call().ranks(1_000).label("too wide"));
    assert!(refused.explain().to_string().starts_with("too wide has ended without a value: "), "{}", refused.explain());
    let failed = cluster.submit(sleep_even::call(1));
    failed.get().expect_err("it is odd");
    assert!(failed.explain().to_string().contains("it is odd"), "{}", failed.explain());
    Ok(())
}

/// The states of both tests take a while to be made.
fn slow_state(_: &Context) -> u64 {
    thread::sleep(Duration::from_millis(30));
    5
}

#[remote]
fn use_state(ctx: &Context) -> u64 {
    *ctx.state::<u64>()
}

#[distwq::test(ranks = [2, 3], config = Config::new().init(slow_state).state_lifespan(2))]
fn the_making_of_states_is_told_apart_from_work(cluster: &Cluster) -> Outcome {
    let first = cluster.stats();
    assert!(first.ranks[1..].iter().all(|rank| rank.in_init >= Duration::from_millis(30)), "{first}");
    for _ in 0..6 * cluster.workers() {
        cluster.submit(use_state::call()).get()?;
    }
    let stats = cluster.stats();
    let in_init: Duration = stats.ranks[1..].iter().map(|rank| rank.in_init).sum();
    let at_first: Duration = first.ranks[1..].iter().map(|rank| rank.in_init).sum();
    assert!(in_init >= at_first + Duration::from_millis(30), "some states were made anew: {stats}");
    assert!(run_of(&stats, "use_state").min < Duration::from_millis(30), "{stats}");
    Ok(())
}

/// However they travel.
#[distwq::test(ranks = [2, 3, 4, 7])]
fn each_item_of_a_map_counts_in_the_figures_as_a_task_does(cluster: &Cluster) -> Outcome {
    const ITEMS: u64 = 500;
    let wanted = |x: &u64| *x % 10 != 7;
    for chunk in [1, 50] {
        let results: Vec<_> = cluster.map(halve::call, 0..ITEMS).chunk(chunk).collect();
        assert_eq!(results.iter().filter(|result| result.is_err()).count() as u64, ITEMS / 10);
        let values: Vec<u64> = results.into_iter().filter_map(Result::ok).collect();
        assert_eq!(values, (0..ITEMS).filter(wanted).map(|x| x / 2).collect::<Vec<_>>());
    }
    let stats = until_counted(cluster, 2 * ITEMS);
    let runs = run_of(&stats, "halve");
    assert_eq!((runs.count, runs.failures, stats.outstanding), (2 * ITEMS, ITEMS / 5, 0), "{stats}");
    assert!(runs.min <= runs.mean && runs.mean <= runs.max && runs.max <= runs.total, "{runs:?}");
    Ok(())
}

#[distwq::test(ranks = [2, 3])]
fn an_item_of_a_map_is_told_by_its_own_number_while_it_runs_and_after(cluster: &Cluster) -> Outcome {
    let before: Vec<_> = (0..10).map(|x| cluster.submit(square::call(x))).collect();
    before.iter().try_for_each(|handle| handle.get().map(drop))?;
    let mut results = cluster.map(sleep_even::call, [0, 0, 400]).chunk(1);
    assert_eq!(results.next(), Some(Ok(0)));
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        let status = cluster.status();
        let running = status.workers.iter().flat_map(|worker| &worker.running);
        match running.map(|running| running.task.number).max() {
            Some(3) => break,
            other => assert!(other.unwrap_or(0) < 3 && Instant::now() < deadline, "{status}"),
        }
        thread::yield_now();
    }
    assert_eq!(results.collect::<Result<Vec<_>, _>>()?, [0, 400]);
    let stats = until_counted(cluster, 13);
    assert_eq!(stats.longest[0].task, 3, "{stats}");
    Ok(())
}

#[distwq::test(ranks = [2, 3])]
fn an_item_behind_a_failed_task_is_named_by_its_own_number(cluster: &Cluster) {
    let fails = cluster.submit(sleep_even::call(1).label("first"));
    for (x, result) in (0..).zip(cluster.map(|x| square::call(x).after(&fails), 0..3)) {
        let Err(TaskError::Upstream { site, path, .. }) = result else { panic!("{result:?}") };
        let [first, item] = &path.steps[..] else { panic!("{path}") };
        assert!(first.starts_with("first #") && u64::from(site.task) == x + 1, "{path}");
        assert_eq!(*item, format!("seeing::square #{}", x + 1));
    }
}

#[remote]
fn halve(x: u64) -> Result<u64, String> {
    if x % 10 == 7 { Err("it has a seven".to_owned()) } else { Ok(x / 2) }
}

#[distwq::test(ranks = [2, 3])]
fn a_task_that_runs_says_how_much_of_its_work_is_done(cluster: &Cluster) -> Outcome {
    for _ in 0..cluster.workers() {
        let handle = cluster.submit(two_thirds::call(300));
        until_explained(&handle, |reason| matches!(reason, Reason::Runs { percent: Some(66), .. }));
        assert_eq!(handle.get()?, 300);
    }
    // On slots whose last tasks have said it.
    let silent = cluster.submit(sleep_even::call(300));
    until_explained(&silent, |reason| matches!(reason, Reason::Runs { percent: None, .. }));
    assert_eq!(silent.get()?, 300);
    Ok(())
}

#[remote]
fn two_thirds(ctx: &Context, milliseconds: u64) -> u64 {
    for fraction in [-1.0, 7.0, 2.0 / 3.0, f64::NAN] {
        ctx.progress(fraction);
    }
    thread::sleep(Duration::from_millis(milliseconds));
    milliseconds
}
