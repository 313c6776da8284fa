//! What a task is told of itself and of the slot that runs it.

use distwq::prelude::*;
use distwq::{Rank, TaskInfo, testing};
use serde::{Deserialize, Serialize};
use std::collections::HashSet;

/// All that a context tells.
#[derive(Serialize, Deserialize, Clone, PartialEq, Eq, Debug)]
struct Told {
    task: u32,
    label: Option<String>,
    attempt: u32,
    worker: usize,
    rank: Rank,
    host: String,
    slot: usize,
    seed: u64,
    cancelled: bool,
}

fn told(ctx: &Context) -> Told {
    Told {
        task: ctx.task(),
        label: ctx.label().map(str::to_owned),
        attempt: ctx.attempt(),
        worker: ctx.worker(),
        rank: ctx.rank(),
        host: ctx.host().to_owned(),
        slot: ctx.slot(),
        seed: ctx.seed(),
        cancelled: ctx.cancelled(),
    }
}

#[remote]
fn tell(ctx: &Context, wait_ms: u64) -> Told {
    std::thread::sleep(std::time::Duration::from_millis(wait_ms));
    told(ctx)
}

/// Fails before its third attempt; gives the seed of each attempt in its errors and its
/// value.
#[remote]
fn third_time(ctx: &Context) -> Result<Told, String> {
    if ctx.attempt() < 3 { Err(format!("attempt {} with {}", ctx.attempt(), ctx.seed())) } else { Ok(told(ctx)) }
}

#[remote(collective)]
fn tell_all(ctx: &Context, group: &Group, _: u8) -> Result<Vec<Told>, GroupError> {
    group.all_gather(&told(ctx))
}

#[remote]
fn seed(ctx: &Context) -> u64 {
    ctx.seed()
}

#[remote]
fn next_seed(ctx: &Context, before: u64) -> (u64, u64) {
    (before, ctx.seed())
}

#[distwq::test(ranks = [2, 4])]
fn what_the_context_tells_agrees_with_what_is_known_of_the_task(cluster: &Cluster) -> Result<(), TaskError> {
    // A description of fixed size has room for 116 bytes.
    for label in [None, Some("short".to_owned()), Some("é".repeat(300))] {
        for _ in 0..2 * cluster.workers() {
            let call = tell::call(0);
            let call = if let Some(label) = &label { call.label(label.clone()) } else { call };
            let handle = cluster.submit(call);
            let told = handle.get()?;
            let TaskInfo { id, label, ranks, hosts, attempts, .. } = handle.info();
            assert_eq!((told.task, told.label, told.attempt), (id, label, attempts));
            assert_eq!((vec![told.rank], vec![told.host]), (ranks, hosts));
            // The controller is rank 0, and the workers are counted without it.
            assert_eq!((told.worker + 1, told.slot, told.cancelled), (told.rank.index(), 0, false));
        }
    }
    Ok(())
}

#[distwq::test(ranks = [3], config = Config::new().controller(1))]
fn workers_are_counted_without_the_controller(cluster: &Cluster) -> Result<(), TaskError> {
    let told = cluster.submit(tell_all::call(0)).get()?;
    let found: Vec<_> = told.iter().map(|told| (told.worker, told.rank)).collect();
    // On the local backend the controller is always rank 0.
    let is_local = cluster.stats().ranks[0].rank == Rank(0);
    assert_eq!(found, [(0, Rank(is_local.into())), (1, Rank(2))]);
    Ok(())
}

#[distwq::test(ranks = [2, 4])]
fn the_attempt_counts_up_and_the_seed_stays(cluster: &Cluster) -> Result<(), TaskError> {
    let handle = cluster.submit(third_time::call().retries(3).label("third"));
    let told = handle.get()?;
    assert_eq!((told.attempt, handle.info().attempts, told.label.as_deref()), (3, 3, Some("third")));
    let error = cluster.submit(third_time::call().retries(1)).get().expect_err("two attempts are not enough");
    let second = format!("attempt 2 with {}", testing_seed(error.site().expect("it has run").task));
    assert_eq!(error.message(), Some(&*second));
    assert_eq!(told.seed, testing_seed(told.task));
    // The next task on the same slot has a description of its own.
    let next = cluster.submit(tell::call(0)).get()?;
    assert_eq!((next.attempt, next.label), (1, None));
    Ok(())
}

/// The seed of a task that runs `third_time`, by what the documentation says of it.
fn testing_seed(task: u32) -> u64 {
    documented_seed(0, concat!(module_path!(), "::third_time"), task)
}

fn documented_seed(run: u64, path: &str, task: u32) -> u64 {
    let mixed = |number: u64| {
        let mut z = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    };
    let fnv = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    let path = path.bytes().fold(0xcbf2_9ce4_8422_2325, fnv);
    mixed(mixed(mixed(run) ^ path) ^ u64::from(task))
}

/// The same numbers on two and four ranks, on both backends.
#[distwq::test(ranks = [2, 4], config = Config::new().seed(2_026))]
fn the_seed_of_a_task_is_the_same_whatever_the_number_of_workers(cluster: &Cluster) -> Result<(), TaskError> {
    let of = |name: &str, task| documented_seed(2_026, &format!("{}::{name}", module_path!()), task);
    let handles: Vec<_> = (0..100).map(|_| cluster.submit(seed::call())).collect();
    let seeds = handles.iter().map(Handle::get).collect::<Result<Vec<_>, _>>()?;
    assert_eq!(seeds, (1..=100).map(|task| of("seed", task)).collect::<Vec<_>>());
    assert_eq!(seeds.iter().collect::<HashSet<_>>().len(), 100);

    // first ──▶ second
    let mut graph = Graph::new();
    let first = graph.add(seed::call());
    let second = graph.add(next_seed::call(&first));
    cluster.run(&mut graph).expect("both give values");
    assert_eq!(second.get()?, (of("seed", 101), of("next_seed", 102)));
    Ok(())
}

#[distwq::test(ranks = [4])]
fn each_member_of_a_collective_task_has_a_context_of_its_rank(cluster: &Cluster) -> Result<(), TaskError> {
    let handle = cluster.submit(tell_all::call(0).label("all"));
    let all = handle.get()?;
    let info = handle.info();
    assert_eq!(all.iter().map(|told| told.rank).collect::<Vec<_>>(), info.ranks);
    assert_eq!(all.iter().map(|told| told.worker).collect::<HashSet<_>>().len(), cluster.workers());
    for told in &all {
        assert_eq!((told.task, told.label.as_deref(), told.attempt), (info.id, Some("all"), 1));
        assert_eq!(told.seed, all[0].seed);
    }
    Ok(())
}

/// A worker of the local backend has one slot always.
#[distwq::test(ranks = [2], config = Config::new().slots(3))]
fn the_slots_of_a_worker_are_told_apart(cluster: &Cluster) -> Result<(), TaskError> {
    let handles: Vec<_> = (0..12).map(|_| cluster.submit(tell::call(20))).collect();
    let slots = handles.iter().map(|handle| Ok(handle.get()?.slot)).collect::<Result<HashSet<_>, TaskError>>()?;
    assert!(slots.contains(&0) && slots.iter().all(|slot| *slot < 3), "{slots:?}");
    Ok(())
}

#[test]
fn a_function_with_a_context_can_be_called_in_a_unit_test() {
    let context = testing::context();
    let own = Told {
        task: 1,
        label: None,
        attempt: 1,
        worker: 0,
        rank: Rank(1),
        host: "localhost".to_owned(),
        slot: 0,
        seed: context.seed(),
        cancelled: false,
    };
    assert_eq!(tell(&context, 0), own);
    let other = testing::context().label("x").task(9).attempt(2).worker(3).cancelled(true);
    let expected = Told {
        task: 9,
        label: Some("x".to_owned()),
        attempt: 2,
        worker: 3,
        rank: Rank(4),
        seed: other.seed(),
        cancelled: true,
        ..own.clone()
    };
    assert_eq!(tell(&other, 0), expected);
    assert!(third_time(&other).is_err());
    assert!(third_time(&testing::context().attempt(3)).is_ok());
    let seeds = [1, 2].map(|run| testing::context().run_seed(run).seed());
    assert!(seeds[0] != seeds[1] && seeds[0] == seed(&testing::context().run_seed(1)));
    assert_eq!(format!("{:?}", &*other), "Context(test #9, attempt 2, worker 3, slot 0)");
}
