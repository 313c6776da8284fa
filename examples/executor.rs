//! What a pool of processes is used for: submit one call, submit many and take them as
//! they end, apply a function to many items, in order or not; and a task that fails is an
//! error where its result is asked for.

use distwq::prelude::*;
use std::thread;
use std::time::Duration;

/// A task of as many milliseconds as it says.
#[remote]
fn menial(milliseconds: u64) -> u64 {
    thread::sleep(Duration::from_millis(milliseconds));
    milliseconds
}

#[remote]
fn add(a: u64, b: u64) -> Result<u64, String> {
    a.checked_add(b).ok_or_else(|| format!("{a} + {b} is too large"))
}

#[distwq::main]
fn main(cluster: &Cluster) -> Result<(), TaskError> {
    // One call gives a handle, to be asked now or later.
    let sum = cluster.submit(add::call(1, 2));
    assert_eq!(sum.get()?, 3);

    // What is submitted is an argument of other calls before it has ended.
    let first = cluster.submit(menial::call(3));
    let sum = cluster.submit(add::call(&first, &sum));
    assert_eq!(sum.get()?, 6);

    // A batch gives results as they end, each with its index, and may grow meanwhile.
    let batch = cluster.submit_all((0..20).rev().map(menial::call));
    let mut total = 0;
    for (index, result) in &batch {
        assert_eq!(result.as_ref(), Ok(&19_u64.saturating_sub(index as u64)));
        total += result?;
        if index == 0 {
            batch.submit(menial::call(0));
        }
    }
    assert_eq!((batch.len(), total), (21, 190));

    // A map keeps the order of its items, and pulls them as results are taken.
    let pairs = (0..1_000).zip((0..1_000).rev());
    let sums: Vec<u64> = cluster.map(|(a, b)| add::call(a, b), pairs).collect::<Result<_, _>>()?;
    assert_eq!(sums, vec![999; 1_000]);
    let soonest = cluster.map(menial::call, [40, 0, 0, 0]).unordered().next();
    assert_eq!(soonest.transpose()?, Some(if cluster.workers() == 1 { 40 } else { 0 }));

    // An error has its place too, and all others go on.
    let sums: Vec<_> = cluster.map(|a| add::call(a, 1), [1, u64::MAX, 3]).collect();
    assert_eq!((&sums[0], &sums[2]), (&Ok(2), &Ok(4)));
    let error = sums[1].as_ref().expect_err("it is too large");
    println!("as it should be: {error}");
    Ok(())
}
