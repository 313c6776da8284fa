//! Maps: results in order or as they come, within a window, whatever travels together.

use distwq::prelude::*;
use distwq::{CancelState, Refusal};
use std::cell::Cell;
use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
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
