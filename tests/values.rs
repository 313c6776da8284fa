//! Values: where they live, how they move, when they go, how often they are decoded.

use distwq::prelude::*;
use distwq::{RankStats, Stats};
use serde::{Deserialize, Deserializer, Serialize};
use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

type Outcome = Result<(), Box<dyn std::error::Error>>;

/// Bytes that tell where they stand, so that pieces in a wrong order show.
fn pattern(seed: u8, bytes: usize) -> Vec<u8> {
    (0..bytes).map(|index| (index as u8).wrapping_mul(31) ^ (index >> 8) as u8 ^ seed).collect()
}

/// A small sum of bytes that depends on their order (Fletcher 1982).
fn checksum(bytes: &[u8]) -> (u64, u64) {
    bytes.iter().fold((0, 0), |(a, b), byte| {
        let a = (a + u64::from(*byte)) % 0xffff_fffb;
        (a, (a + b) % 0xffff_fffb)
    })
}

#[remote]
fn make(seed: u8, bytes: usize) -> Vec<u8> {
    pattern(seed, bytes)
}

#[remote]
fn make_slowly(seed: u8, bytes: usize) -> Vec<u8> {
    thread::sleep(Duration::from_millis(100));
    pattern(seed, bytes)
}

#[remote]
fn echo(value: Vec<u8>) -> Vec<u8> {
    value
}

#[remote]
fn sum_of(value: &[u8]) -> (usize, (u64, u64)) {
    (value.len(), checksum(value))
}

#[remote]
fn sums_of(values: Vec<Vec<u8>>) -> Vec<(usize, (u64, u64))> {
    values.iter().map(|value| (value.len(), checksum(value))).collect()
}

fn expected(seed: u8, bytes: usize) -> (usize, (u64, u64)) {
    (bytes, checksum(&pattern(seed, bytes)))
}

fn controller(stats: &Stats) -> &RankStats {
    &stats.ranks[0]
}

/// Waits until no rank holds a value any more.
#[track_caller]
fn expect_empty(cluster: &Cluster) {
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        let stats = cluster.stats();
        let values: u64 = stats.ranks.iter().map(|rank| rank.resident_values).sum();
        if values == 0 && stats.resident_bytes() == 0 {
            return;
        }
        assert!(Instant::now() < deadline, "values stay although nobody holds them: {stats}");
        thread::yield_now();
    }
}

/// Arguments of every kind beside each other: what is given, what other tasks give,
/// several at once, nothing.
#[remote]
fn list(a: String, b: Vec<String>, unit: (), c: i64, d: Vec<String>, e: &str, f: String) -> String {
    let () = unit;
    format!("{a}|{}|{c}|{}|{e}|{f}", b.join(","), d.join(","))
}

#[remote]
fn letters(count: usize, letter: char) -> String {
    std::iter::repeat_n(letter, count).collect()
}

#[remote]
fn nothing() {}

#[remote]
fn number(c: i64) -> i64 {
    c
}

/// Which rank this is: its process, or on the local backend its thread.
#[remote]
fn here() -> String {
    format!("{} {:?}", std::process::id(), thread::current().id())
}

#[remote]
fn fails_on_one_worker(a: String, worker: String, several: Vec<String>) -> Result<String, String> {
    if worker == format!("{} {:?}", std::process::id(), thread::current().id()) {
        return Err("not here".to_owned());
    }
    Ok(a + &several.join(","))
}

/// Small inputs travel among the arguments that came as values, larger ones beside them;
/// it must make no difference.
#[distwq::test(ranks = [3])]
fn arguments_keep_their_positions_whether_given_or_made_and_whatever_their_size(cluster: &Cluster) -> Outcome {
    let text = |count: usize, letter: char| std::iter::repeat_n(letter, count).collect::<String>();
    // Around the sizes at which the way of a value changes: 8 bytes of length come before
    // a text.
    for size in [0, 1, 21, 22, 23, 24, 100, 246, 247, 248, 300, 5_000, 20_000] {
        let made = |letter| cluster.submit(letters::call(size, letter));
        let (a, f) = (made('a'), made('f'));
        let several = [made('x'), made('y'), made('z')];
        let (unit, c, e) = (cluster.submit(nothing::call()), cluster.submit(number::call(-7)), made('e'));
        let [x, y, z] = ['x', 'y', 'z'].map(|letter| text(size, letter));
        let expected =
            |b: &str, d: &str| format!("{}|{b}|-7|{d}|{}|{}", text(size, 'a'), text(size, 'e'), text(size, 'f'));
        let gathered = format!("{x},{y},{z}");
        let none: Vec<Handle<String>> = Vec::new();
        let given = vec!["g".to_owned(), "h".to_owned()];

        let all_made = list::call(&a, &several[..], &unit, &c, &none, &e, &f);
        assert_eq!(cluster.submit(all_made).get()?, expected(&gathered, ""), "{size}");
        let all_but_shared = list::call(&a, &several[..], &unit, &c, &several[..], text(size, 'e'), &f);
        assert_eq!(cluster.submit(all_but_shared).get()?, expected(&gathered, &gathered), "{size}");
        let mixed = list::call(text(size, 'a'), &given, (), &c, &several[..], text(size, 'e'), &f);
        assert_eq!(cluster.submit(mixed.after(&unit)).get()?, expected("g,h", &gathered), "{size}");
        let again = fails_on_one_worker::call(&a, cluster.submit(here::call()), &several[..]).retries(1);
        let again = cluster.submit(again);
        assert_eq!(again.get()?, format!("{}{gathered}", text(size, 'a')), "{size}");
        let mut graph = Graph::new();
        let [a, f] = ['a', 'f'].map(|letter| graph.add(letters::call(size, letter)));
        let several: Vec<_> = ['x', 'y', 'z'].map(|letter| graph.add(letters::call(size, letter))).into();
        let listed = graph.add(list::call(a, &several, &unit, -7, given, &e, f));
        cluster.run(&mut graph)?;
        assert_eq!(listed.get()?, expected(&gathered, "g,h"), "{size}");
    }
    Ok(())
}

/// Calls hold what they take, whether they are submitted or not.
#[distwq::test(ranks = [3])]
fn a_call_that_is_dropped_lets_go_of_its_arguments(cluster: &Cluster) -> Outcome {
    let value = cluster.submit(make::call(1, 100_000));
    let kept = echo::call(&value);
    let dropped = (echo::call(&value), sums_of::call(vec![value.clone(), value]));
    drop(dropped);
    // The call alone holds the value now.
    assert_eq!(cluster.submit(nothing::call()).get(), Ok(()));
    assert_eq!(cluster.submit(kept).get()?, pattern(1, 100_000));
    let mut graph = Graph::new();
    let node = graph.add(make::call(2, 100_000));
    let from_node = echo::call(&node);
    drop(node);
    cluster.run(&mut graph)?;
    drop(graph);
    assert_eq!(cluster.submit(from_node).get()?, pattern(2, 100_000), "a call of before the start holds its node");
    expect_empty(cluster);
    Ok(())
}

/// What is kept for later is no value any more, and is told beside them.
#[distwq::test(ranks = [3, 4])]
fn buffers_that_are_kept_for_later_are_told(cluster: &Cluster) -> Outcome {
    const BYTES: usize = 4 << 20;
    const KEPT_MAX: u64 = (512 + 64) << 20;
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        let handles: Vec<_> = (0..8).map(|seed| cluster.submit(make::call(seed, BYTES))).collect();
        assert_eq!(cluster.submit(sums_of::call(&handles)).get()?.len(), 8);
        drop(handles);
        expect_empty(cluster);
        let stats = cluster.stats();
        assert!(stats.ranks.iter().all(|rank| rank.kept_bytes <= KEPT_MAX), "{stats}");
        if stats.ranks.iter().any(|rank| rank.kept_bytes >= BYTES as u64) {
            return Ok(());
        }
        assert!(Instant::now() < deadline, "no buffer of a large value is kept: {stats}");
    }
}

#[distwq::test(ranks = [2, 3, 4, 7], every)]
fn large_values_stay_on_the_workers_that_made_them_and_go_with_their_handles(cluster: &Cluster) -> Outcome {
    const BYTES: usize = 100_000;
    let handles: Vec<_> = (0..12).map(|seed| cluster.submit(make_slowly::call(seed, BYTES))).collect();
    // One task takes them all, so most of them move from worker to worker.
    let sums = cluster.submit(sums_of::call(&handles));
    let all: Vec<_> = (0..12).map(|seed| expected(seed, BYTES)).collect();
    assert_eq!(sums.get()?, all);
    let ranks: HashSet<_> = handles.iter().map(|handle| handle.info().ranks[0]).collect();
    assert_eq!(ranks.len(), cluster.workers());
    let stats = cluster.stats();
    assert_eq!(controller(&stats).resident_bytes, 0, "the controller relays no large value: {stats}");
    assert!(stats.resident_bytes() >= 12 * BYTES as u64, "{stats}");
    let made: u64 = handles.iter().map(|handle| handle.info().output_bytes).sum();
    assert!(made >= 12 * BYTES as u64);

    for (seed, handle) in (0..).zip(&handles) {
        assert_eq!(handle.get()?, pattern(seed, BYTES));
        assert_eq!(handle.get()?, pattern(seed, BYTES), "it can be had again");
    }
    drop((handles, sums));
    expect_empty(cluster);
    Ok(())
}

#[distwq::test(ranks = [2, 3, 4, 7])]
fn a_value_without_handles_lives_until_its_last_consumer_has_it(cluster: &Cluster) -> Outcome {
    let last = {
        let value = cluster.submit(make_slowly::call(3, 50_000));
        let mut last = cluster.submit(echo::call(&value));
        for _ in 0..10 {
            last = cluster.submit(echo::call(&last));
        }
        last
    };
    assert_eq!(last.get()?, pattern(3, 50_000));
    drop(last);
    expect_empty(cluster);
    Ok(())
}

#[distwq::test(ranks = [2, 3, 4, 7])]
fn the_values_of_a_graph_go_when_nobody_needs_them(cluster: &Cluster) -> Outcome {
    let mut graph = Graph::new();
    let shared = graph.value(&pattern(9, 60_000));
    let copies: Vec<_> = (0..20).map(|_| graph.add(echo::call(&shared))).collect();
    let sums = graph.add(sums_of::call(&copies));
    drop((shared, copies));
    cluster.run(&mut graph)?;
    assert_eq!(sums.get()?, vec![expected(9, 60_000); 20]);
    drop(sums);
    expect_empty(cluster);
    Ok(())
}

/// Values of failed tasks, of tasks upstream of them, and of handles dropped while their
/// task runs.
#[distwq::test(ranks = [2, 3, 4, 7])]
fn nothing_stays_of_tasks_that_fail_or_that_nobody_waits_for(cluster: &Cluster) -> Outcome {
    let large = cluster.submit(make::call(1, 40_000));
    let failed = cluster.submit(refuses::call(&large));
    let below = cluster.submit(sum_of::call(&failed));
    assert!(below.get().is_err());
    for seed in 0..20 {
        drop(cluster.submit(make_slowly::call(seed, 20_000)));
    }
    drop((large, failed, below));
    cluster.submit(make::call(1, 1)).get()?;
    let deadline = Instant::now() + Duration::from_secs(20);
    while cluster.stats().outstanding > 0 {
        assert!(Instant::now() < deadline, "dropped tasks still run");
        thread::yield_now();
    }
    expect_empty(cluster);
    Ok(())
}

#[remote]
fn refuses(_value: Vec<u8>) -> Result<Vec<u8>, String> {
    Err("refused".to_owned())
}

#[distwq::test(ranks = [2, 3, 4, 7], config = Config::new().inline_bytes_max(100))]
fn values_on_either_side_of_the_inline_limit_are_the_same_to_the_user(cluster: &Cluster) -> Outcome {
    for bytes in [0, 1, 90, 97, 98, 99, 100, 101, 102, 200] {
        let value = cluster.submit(make::call(5, bytes));
        let copy = cluster.submit(echo::call(&value));
        let sum = cluster.submit(sum_of::call(&copy));
        assert_eq!((value.get()?, copy.get()?, sum.get()?), (pattern(5, bytes), pattern(5, bytes), expected(5, bytes)));
    }
    expect_empty(cluster);
    Ok(())
}

/// Around the size of a piece, around several, and far above it.
const SIZES: [usize; 16] = [0, 1, 31, 55, 56, 62, 63, 64, 65, 127, 128, 129, 4095, 4097, 70_001, 300_000];

/// Sends values of all sizes as argument, as output to the user, from worker to worker
/// and within a group.
fn values_of_all_sizes(cluster: &Cluster) -> Outcome {
    let mut made = Vec::new();
    for (seed, bytes) in (0..).zip(SIZES) {
        let value = pattern(seed, bytes);
        let sent = cluster.submit(echo::call(&value));
        assert_eq!(sent.get()?, value, "{bytes} bytes there and back");
        made.push(cluster.submit(make_slowly::call(seed, bytes)));
    }
    let sums = cluster.submit(sums_of::call(&made));
    let all: Vec<_> = (0..).zip(SIZES).map(|(seed, bytes)| expected(seed, bytes)).collect();
    assert_eq!(sums.get()?, all);
    let shared = cluster.value(&pattern(77, 100_000));
    let sharing: Vec<_> = (0..20).map(|_| cluster.submit(sum_of::call(&shared))).collect();
    for handle in &sharing {
        assert_eq!(handle.get()?, expected(77, 100_000));
    }
    let around = cluster.submit(sent_around::call(Vec::from(SIZES)));
    assert_eq!(around.get()?, cluster.workers() * SIZES.len());
    drop((made, sums, shared, sharing, around));
    expect_empty(cluster);
    Ok(())
}

/// Each member sends values of all sizes to the next one. Gives how many have arrived
/// rightly.
#[remote(collective)]
fn sent_around(group: &Group, sizes: Vec<usize>) -> Result<usize, GroupError> {
    let (next, before) = ((group.rank() + 1) % group.size(), (group.rank() + group.size() - 1) % group.size());
    for bytes in &sizes {
        group.send(next, &pattern(group.rank() as u8, *bytes))?;
    }
    let mut right = 0;
    for bytes in &sizes {
        let value: Vec<u8> = group.recv(before)?;
        right += usize::from(value == pattern(before as u8, *bytes));
    }
    group.all_reduce(right, |a, b| a + b)
}

#[distwq::test(ranks = [2, 3, 4, 7], every, config = Config::new().piece_bytes(64))]
fn values_in_tiny_pieces_arrive_whole(cluster: &Cluster) -> Outcome {
    values_of_all_sizes(cluster)
}

#[distwq::test(ranks = [2, 3, 4, 7])]
fn values_in_one_piece_arrive_whole(cluster: &Cluster) -> Outcome {
    values_of_all_sizes(cluster)
}

#[remote]
fn first_after(value: &[u8], pause_us: u64, ballast: Vec<u8>) -> (u8, usize) {
    thread::sleep(Duration::from_micros(pause_us));
    (value[0], ballast.len())
}

/// A task that brings the value along, in pieces, is overtaken by tasks that ask for it,
/// of which some are given back before they have got it: so the value is on a worker and
/// on its way to it at once.
#[distwq::test(ranks = [3], config = Config::new().inline_bytes_max(1 << 20).piece_bytes(256))]
fn values_that_come_twice_go_all_the_same(cluster: &Cluster) -> Outcome {
    for round in 0..25_usize {
        let value = cluster.value(&pattern(round as u8, 100_000));
        // The first tasks are long and hold up what is queued behind them, so that others
        // ask it back.
        let pause = |task| if task < 2 { 2_000 } else { 0 };
        let ballast = |task| vec![0; if task < 2 { 20_000 } else { task }];
        let calls = (0..40).map(|task| first_after::call(&value, pause(task), ballast(task)));
        let handles: Vec<_> = calls.map(|call| cluster.submit(call)).collect();
        drop(value);
        for (task, handle) in handles.into_iter().enumerate() {
            assert_eq!(handle.get()?, (round as u8, ballast(task).len()), "task {task} of round {round}");
        }
    }
    expect_empty(cluster);
    Ok(())
}

/// A byte string, which is written at once and not byte by byte.
type Bytes = serde_bytes::ByteBuf;

#[remote]
fn make_huge(bytes: usize) -> Bytes {
    let mut value = vec![0; bytes];
    for (number, byte) in value.iter_mut().step_by(1 << 20).enumerate() {
        *byte = number as u8;
    }
    Bytes::from(value)
}

/// How many of the marks of `make_huge` are right.
#[remote]
fn marks(value: &Bytes) -> (usize, usize) {
    let right = value.iter().step_by(1 << 20).enumerate().filter(|(number, byte)| *number as u8 == **byte);
    (value.len(), right.count())
}

/// Above what a C int can count; runs only in full, since it takes several times its size
/// in memory.
#[distwq::test(ranks = [3], time_limit = 600)]
fn a_value_above_two_gibibytes_moves_from_worker_to_worker_and_to_the_user(cluster: &Cluster) -> Outcome {
    let bytes = if distwq::testing::full() { (2 << 30) + (100 << 20) + 5 } else { (4 << 20) + 5 };
    let value = cluster.submit(make_huge::call(bytes));
    let marked = cluster.submit(marks::call(&value));
    let expected = (bytes, bytes.div_ceil(1 << 20));
    assert_eq!(marked.get()?, expected);
    let small = cluster.submit(make_slowly::call(1, 10_000));
    let elsewhere = cluster.submit(marks_beside::call(&value, &small).follow(&small));
    assert_eq!(elsewhere.get()?, expected);
    let here = value.get()?;
    assert_eq!(marks(&here), expected);
    drop((value, small, here));
    expect_empty(cluster);
    Ok(())
}

#[remote]
fn marks_beside(value: &Bytes, _other: Vec<u8>) -> (usize, usize) {
    marks(value)
}

/// How often [`Counted`] was decoded in this process.
static DECODED: AtomicU64 = AtomicU64::new(0);

/// A value that counts how often it is decoded.
#[derive(Serialize)]
struct Counted(Vec<u8>);

impl<'de> Deserialize<'de> for Counted {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        DECODED.fetch_add(1, Ordering::SeqCst);
        Vec::deserialize(deserializer).map(Counted)
    }
}

#[remote]
fn length_of(value: &Counted) -> usize {
    value.0.len()
}

/// The process, and how often the value was decoded in it.
#[remote]
fn decoded() -> (u32, u64) {
    (std::process::id(), DECODED.load(Ordering::SeqCst))
}

#[distwq::test(ranks = [2, 3, 4, 7], every, config = Config::new().slots(2))]
fn a_shared_value_is_decoded_once_on_each_worker(cluster: &Cluster) -> Outcome {
    // The first value of a type is also decoded where it is encoded, to be compared.
    drop(cluster.value(&Counted(vec![1])));
    DECODED.store(0, Ordering::SeqCst);
    let mut sharing = Vec::new();
    let mut rounds = 0;
    for bytes in [10, 50_000] {
        for _ in 0..3 {
            let shared = cluster.value(&Counted(vec![1; bytes]));
            let handles: Vec<_> = (0..30).map(|_| cluster.submit(length_of::call(&shared))).collect();
            for handle in &handles {
                assert_eq!(handle.get()?, bytes);
            }
            let ranks: HashSet<_> = handles.iter().map(|handle| handle.info().ranks[0]).collect();
            rounds += ranks.len() as u64;
            sharing.extend(handles);
        }
    }
    let counts: HashMap<u32, u64> = sharing
        .iter()
        .map(|handle| cluster.submit(decoded::call().follow(handle)))
        .map(|handle| handle.get())
        .collect::<Result<_, _>>()?;
    assert_eq!(counts.values().sum::<u64>(), rounds, "once for each value and worker: {counts:?}");
    Ok(())
}

#[distwq::test(ranks = [2, 3, 4, 7])]
fn a_fan_in_keeps_the_order_of_the_handles(cluster: &Cluster) -> Outcome {
    let sizes = [3, 9000, 0, 1, 20_000, 4096];
    let handles: Vec<_> = (0..).zip(sizes).map(|(seed, bytes)| cluster.submit(make::call(seed, bytes))).collect();
    let all: Vec<_> = (0..).zip(sizes).map(|(seed, bytes)| expected(seed, bytes)).collect();
    assert_eq!(cluster.submit(sums_of::call(&handles)).get()?, all);
    assert_eq!(cluster.submit(sums_of::call(&handles[1..3])).get()?, all[1..3]);
    let twice = vec![handles[1].clone(), handles[1].clone(), handles[0].clone()];
    assert_eq!(cluster.submit(sums_of::call(twice)).get()?, [all[1], all[1], all[0]]);
    let none: Vec<Handle<Vec<u8>>> = Vec::new();
    assert_eq!(cluster.submit(sums_of::call(none)).get()?, []);
    let gathered = cluster.submit(sums_of::call(&handles));
    assert_eq!(cluster.submit(twice_over::call(&gathered, &gathered)).get()?, 2 * all.len());
    Ok(())
}

#[remote]
fn twice_over(first: &[(usize, (u64, u64))], second: Vec<(usize, (u64, u64))>) -> usize {
    first.len() + second.len()
}

#[distwq::test(ranks = [2, 3, 4, 7])]
fn values_of_the_cluster_and_of_a_graph_can_be_read_and_shared(cluster: &Cluster) -> Outcome {
    let of_cluster = cluster.value(&pattern(1, 5000));
    assert_eq!(of_cluster.get()?, pattern(1, 5000));
    let mut graph = Graph::new();
    let of_graph = graph.value(&pattern(2, 10));
    let sums = [graph.add(sum_of::call(&of_graph)), graph.add(sum_of::call(&of_cluster))];
    let owned = graph.add(echo::call(&of_graph));
    cluster.run(&mut graph)?;
    assert_eq!((sums[0].get()?, sums[1].get()?), (expected(2, 10), expected(1, 5000)));
    assert_eq!((owned.get()?, of_graph.get()?), (pattern(2, 10), pattern(2, 10)));
    Ok(())
}

/// Many values between all workers at once, more than is in flight to one rank.
#[distwq::test(ranks = [2, 3, 4, 7], every)]
fn many_large_values_cross_at_the_same_time(cluster: &Cluster) -> Outcome {
    let mut layer: Vec<_> = (0..24).map(|seed| cluster.submit(make::call(seed, 30_000))).collect();
    for _ in 0..5 {
        layer = (0..24)
            .map(|index| {
                cluster.submit(mixed::call(&layer[index], &layer[(index + 7) % 24], &layer[(index + 13) % 24]))
            })
            .collect();
    }
    let distributed: Vec<_> = layer.iter().map(Handle::get).collect::<Result<_, _>>()?;
    let mut plain: Vec<_> = (0..24).map(|seed| pattern(seed, 30_000)).collect();
    for _ in 0..5 {
        plain = (0..24)
            .map(|index| mixed(plain[index].clone(), &plain[(index + 7) % 24], plain[(index + 13) % 24].clone()))
            .collect();
    }
    assert!(distributed == plain, "the values differ from those computed on one rank");
    Ok(())
}

#[remote]
fn mixed(mut a: Vec<u8>, b: &[u8], c: Vec<u8>) -> Vec<u8> {
    for ((a, b), c) in a.iter_mut().zip(b).zip(c) {
        *a = a.wrapping_mul(3).wrapping_add(*b) ^ c;
    }
    a
}
