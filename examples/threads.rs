//! Several threads of one program submit and wait at the same time: a `Cluster` is shared
//! like any reference.

use distwq::prelude::*;
use std::thread;
use std::time::Duration;

/// One step of Collatz' sequence.
#[remote]
fn step(x: u64) -> u64 {
    if x.is_multiple_of(2) { x / 2 } else { 3 * x + 1 }
}

/// How many steps it takes to come to 1; each step waits for the one before.
fn length(cluster: &Cluster, start: u64) -> Result<u32, TaskError> {
    let (mut x, mut steps) = (start, 0);
    while x != 1 {
        x = cluster.submit(step::call(x)).get()?;
        steps += 1;
    }
    Ok(steps)
}

#[distwq::main]
fn main(cluster: &Cluster) -> Result<(), TaskError> {
    let starts = [6, 7, 9, 25, 27];
    let lengths = thread::scope(|scope| {
        let threads = starts.map(|start| scope.spawn(move || length(cluster, start)));
        threads.map(|thread| thread.join().expect("the thread does not panic"))
    });
    for ((start, length), expected) in starts.into_iter().zip(lengths).zip([8, 16, 19, 23, 111]) {
        assert_eq!(length?, expected, "the sequence from {start}");
    }

    // A thread that outlives this function takes a clone; once the cluster has shut down
    // its calls are refused.
    let late = thread::spawn({
        let cluster = cluster.clone();
        move || cluster.submit(step::call(3)).get_timeout(Duration::from_secs(60))
    });
    assert_eq!(late.join().expect("the thread does not panic")?, 10);
    println!("{} threads, {} tasks", starts.len(), cluster.stats().done);
    Ok(())
}
