//! Work that is found on the way: results say what to submit next. Adaptive quadrature,
//! each interval a task.

use distwq::prelude::*;
use std::collections::VecDeque;

fn bump(x: f64) -> f64 {
    1.0 / (1e-4 + (x - 0.3).powi(2))
}

/// Simpson's rule on an interval, and on its halves.
#[remote]
fn integrate(from: f64, to: f64) -> (f64, f64) {
    let simpson = |from: f64, to: f64| (to - from) / 6.0 * (bump(from) + 4.0 * bump((from + to) / 2.0) + bump(to));
    let middle = (from + to) / 2.0;
    (simpson(from, to), simpson(from, middle) + simpson(middle, to))
}

#[distwq::main]
fn main(cluster: &Cluster) -> Result<(), TaskError> {
    const TOLERANCE: f64 = 1e-6;
    let submit = |from: f64, to: f64| (from, to, cluster.submit(integrate::call(from, to)));
    let mut open = VecDeque::from([submit(0.0, 1.0)]);
    let (mut total, mut tasks) = (0.0, 0);
    // While the body looks at one result, the workers are at the others.
    while let Some((from, to, estimates)) = open.pop_front() {
        let (coarse, fine) = estimates.get()?;
        tasks += 1;
        if (fine - coarse).abs() <= TOLERANCE * (to - from) {
            total += fine;
        } else {
            let middle = (from + to) / 2.0;
            open.push_back(submit(from, middle));
            open.push_back(submit(middle, to));
        }
    }
    let exact = 100.0 * (70.0_f64.atan() + 30.0_f64.atan());
    assert!((total - exact).abs() < TOLERANCE, "{total} is not {exact}");
    assert_eq!(cluster.stats().done, tasks);
    println!("the integral is {total:.6}, found by {tasks} tasks");
    Ok(())
}
