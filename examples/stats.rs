//! Where values live and what the ranks have done: large values stay where they were
//! made, and go with their last handle.

use distwq::prelude::*;

const BYTES: usize = 1 << 20;

#[remote]
fn make(seed: u8) -> Vec<u8> {
    vec![seed; BYTES]
}

#[remote]
fn sum(bytes: &[u8]) -> u64 {
    bytes.iter().map(|byte| u64::from(*byte)).sum()
}

#[distwq::main]
fn main(cluster: &Cluster) -> Result<(), Box<dyn std::error::Error>> {
    let mut graph = Graph::new();
    let blocks: Vec<_> = (1..=8).map(|seed| graph.add(make::call(seed).label("make"))).collect();
    let sums: Vec<_> = blocks.iter().map(|block| graph.add(sum::call(block))).collect();
    cluster.run(&mut graph)?;
    for (seed, sum) in (1..).zip(&sums) {
        assert_eq!(sum.get()?, seed * BYTES as u64);
    }

    let stats = cluster.stats();
    println!("{stats}");
    assert_eq!((stats.submitted, stats.done, stats.failed, stats.outstanding), (16, 16, 0, 0));
    // One entry for the controller, one for each worker; each attempt was somebody's.
    assert_eq!(stats.ranks.len(), cluster.workers() + 1);
    assert_eq!(stats.ranks.iter().map(|rank| rank.runs.count).sum::<u64>(), 16);
    assert!(stats.resident_bytes() >= 8 * BYTES as u64, "the blocks lie on the workers that made them");

    let info = blocks[0].info();
    assert_eq!((info.attempts, info.ranks.len()), (1, 1));
    println!("{:?} ran for {:?} on {}", info.label, info.run_time(), info.hosts[0]);

    drop((blocks, sums));
    assert_eq!(cluster.stats().resident_bytes(), 0, "nobody can ask for them any more");
    Ok(())
}
