//! Maps whose results are joined to one on the workers.

use distwq::Limit;
use distwq::prelude::*;
use std::time::{Duration, Instant};

type Outcome = Result<(), Box<dyn std::error::Error>>;

#[remote]
fn letter(x: u32) -> String {
    char::from(b'a' + (x % 26) as u8).to_string()
}

#[remote]
fn join(a: String, b: &str) -> String {
    a + b
}

#[remote]
fn join_with(a: String, between: char, b: String) -> String {
    format!("{a}{between}{b}")
}

#[remote]
fn identity(x: u64) -> u64 {
    x
}

#[remote]
fn add(a: u64, b: u64) -> u64 {
    a + b
}

fn letters(count: u32) -> String {
    (0..count).map(|x| char::from(b'a' + (x % 26) as u8)).collect()
}

#[distwq::test(ranks = [2, 3, 4, 7])]
fn a_reduction_keeps_the_order_whatever_travels_together(cluster: &Cluster) -> Outcome {
    for count in [0, 1, 2, 3, 7, 64, 101] {
        let expected = (count > 0).then(|| letters(count));
        assert_eq!(cluster.map(letter::call, 0..count).tree_reduce(join::call)?, expected);
        for (window, chunk) in [(1, 1), (10, 3), (200, 101), (64, 7)] {
            let map = cluster.map(letter::call, 0..count).window(window).chunk(chunk);
            assert_eq!(map.tree_reduce(join::call)?, expected, "{count}: {window}, {chunk}");
        }
    }
    Ok(())
}

#[distwq::test(ranks = [2, 3, 4])]
fn a_merge_may_say_more_than_the_two_values(cluster: &Cluster) -> Outcome {
    let joined = cluster.map(letter::call, 0..20).tree_reduce(|a, b| join_with::call(a, '-', b))?;
    let expected = letters(20).chars().map(String::from).collect::<Vec<_>>().join("-");
    assert_eq!(joined, Some(expected));
    let joined = cluster.map(letter::call, 0..20).tree_reduce(|a, b| join::call(a, b).priority(1).label("join"))?;
    assert_eq!(joined, Some(letters(20)));
    let reversed = cluster.map(letter::call, 0..20).tree_reduce(|a, b| join::call(&b, &a))?;
    assert_eq!(reversed, Some(letters(20).chars().rev().collect()));
    Ok(())
}

#[distwq::test(ranks = [2, 3, 4])]
fn many_items_are_reduced_and_few_values_are_kept(cluster: &Cluster) -> Outcome {
    let count = if cfg!(debug_assertions) { 100_000 } else { 3_000_000 };
    assert_eq!(cluster.map(identity::call, 0..count).tree_reduce(add::call)?, Some(count * (count - 1) / 2));
    let held: u64 = cluster.stats().ranks.iter().map(|rank| rank.resident_bytes).sum();
    assert_eq!(held, 0, "{}", cluster.stats());
    Ok(())
}

#[remote]
fn block(x: usize) -> Vec<u8> {
    vec![x as u8; 50_000]
}

#[remote]
fn longer(a: Vec<u8>, b: Vec<u8>) -> Vec<u8> {
    [a, b].concat()
}

#[distwq::test(ranks = [2, 3, 4])]
fn large_values_are_joined_where_they_are(cluster: &Cluster) -> Outcome {
    let joined = cluster.map(block::call, 0..20).tree_reduce(longer::call)?.expect("there are twenty");
    assert!(joined == (0..20_u8).flat_map(|x| vec![x; 50_000]).collect::<Vec<u8>>());
    Ok(())
}

#[remote]
fn not_seven(x: u64) -> Result<u64, String> {
    if x == 7 { Err("seven".to_owned()) } else { Ok(x) }
}

#[remote]
fn not_above(a: u64, b: u64) -> Result<u64, String> {
    if a + b > 50 { Err("too much".to_owned()) } else { Ok(a + b) }
}

#[remote]
fn pause(milliseconds: u64) -> u64 {
    std::thread::sleep(Duration::from_millis(milliseconds));
    milliseconds
}

#[remote]
fn at_second_attempt(ctx: &Context, x: u64) -> Result<u64, String> {
    if ctx.attempt() == 1 && x.is_multiple_of(3) { Err("not yet".to_owned()) } else { Ok(x) }
}

#[distwq::test(ranks = [2, 3, 4])]
fn the_first_error_ends_a_reduction(cluster: &Cluster) -> Outcome {
    for chunk in [1, 5, 100] {
        let error =
            cluster.map(not_seven::call, 0..).chunk(chunk).tree_reduce(add::call).expect_err("there is a seven");
        assert_eq!(error.message(), Some("seven"), "{error}");
        let site = error.site().expect("an item has failed");
        assert_eq!((site.task, site.function.as_str()), (8, "tree_reduce::not_seven"), "{error}");
        let error = cluster.map(identity::call, 0..).chunk(chunk).tree_reduce(not_above::call).expect_err("too much");
        assert_eq!(error.message(), Some("too much"), "{error}");
        assert_eq!(error.site().expect("a merge has failed").function, "tree_reduce::not_above", "{error}");
    }
    let begun = Instant::now();
    let late = cluster.map(pause::call, [1_000; 50]).deadline(Duration::from_millis(200)).tree_reduce(add::call);
    assert!(matches!(late, Err(TaskError::LimitReached { limit: Limit::Deadline, .. })), "{late:?}");
    assert!(begun.elapsed() < Duration::from_millis(900));
    let sum = cluster.map(|x| at_second_attempt::call(x).retries(1), 0..40).tree_reduce(add::call)?;
    assert_eq!(sum, Some(40 * 39 / 2));
    Ok(())
}
