//! π by the midpoint rule on a group: broadcast, a sum over the members, the same figure
//! for any number of ranks.

use distwq::prelude::*;
use std::f64::consts::PI;

#[remote(collective)]
fn pi(group: &Group, intervals: u32) -> Result<f64, GroupError> {
    // All members have the argument anyway; this is how one of them would tell the others
    // what it alone knows.
    let intervals = group.broadcast(0, (group.rank() == 0).then_some(intervals))?;
    let width = 1.0 / f64::from(intervals);
    let own = (0..intervals).skip(group.rank()).step_by(group.size());
    let heights = own.map(|i| (f64::from(i) + 0.5) * width).map(|x| 4.0 / (1.0 + x * x));
    let sum = group.reduce(0, heights.sum::<f64>(), |left, right| left + right)?;
    // Only the root has the sum, and only the value of the first member counts.
    Ok(sum.map_or(0.0, |sum| sum * width))
}

#[distwq::main]
fn main(cluster: &Cluster) -> Result<(), TaskError> {
    for ranks in 1..=cluster.workers() {
        let estimates = [128, 512].map(|intervals| (intervals, cluster.submit(pi::call(intervals).ranks(ranks))));
        for (intervals, estimate) in estimates {
            // The error of the midpoint rule for this integral, but for terms that do not
            // matter here.
            let expected = 1.0 / (12.0 * f64::from(intervals).powi(2));
            let error = estimate.get()? - PI;
            assert!((error - expected).abs() < 1e-3 * expected, "{error} is not {expected}");
            println!("ranks {ranks}, intervals {intervals}: the error is {error:.2e}");
        }
    }
    Ok(())
}
