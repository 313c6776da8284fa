//! A collective task: conjugate gradients for the equation -u'' = f, the unknowns cut
//! over the ranks of a group. The same code runs on threads locally and on ranks over
//! MPI.

use distwq::prelude::*;
use std::ops::Range;

/// The unknowns of one member, as equal as can be.
fn part(total: usize, group: &Group) -> Range<usize> {
    let cut = |member: usize| total * member / group.size();
    cut(group.rank())..cut(group.rank() + 1)
}

fn dot(group: &Group, a: &[f64], b: &[f64]) -> Result<f64, GroupError> {
    let own = a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    group.all_reduce(own, |left, right| left + right)
}

/// The product with the matrix that has 2 on its diagonal and -1 beside it. Neighbours
/// tell each other their ends.
fn product(group: &Group, x: &[f64]) -> Result<Vec<f64>, GroupError> {
    let (left, right) = (group.rank().checked_sub(1), Some(group.rank() + 1).filter(|&next| next < group.size()));
    if let Some(left) = left {
        group.send(left, &x[0])?;
    }
    if let Some(right) = right {
        group.send(right, &x[x.len() - 1])?;
    }
    let before = left.map_or(Ok(0.0), |left| group.recv::<f64>(left))?;
    let behind = right.map_or(Ok(0.0), |right| group.recv::<f64>(right))?;
    let at = |index: usize| x.get(index).copied().unwrap_or(behind);
    let beside = |index: usize| if index == 0 { before } else { x[index - 1] };
    Ok((0..x.len()).map(|i| 2.0 * x[i] - beside(i) - at(i + 1)).collect())
}

/// Solves for all unknowns. Every member gets the whole right-hand side; the value of the
/// task is what the first member returns.
#[remote(collective)]
fn solve(group: &Group, rhs: &[f64], tolerance: f64) -> Result<Vec<f64>, GroupError> {
    let own = part(rhs.len(), group);
    let mut x = vec![0.0; own.len()];
    let mut residual = rhs[own].to_vec();
    let mut direction = residual.clone();
    let mut square = dot(group, &residual, &residual)?;
    let enough = tolerance * tolerance * square;
    while square > enough {
        let image = product(group, &direction)?;
        let step = square / dot(group, &direction, &image)?;
        for (i, image) in image.into_iter().enumerate() {
            x[i] += step * direction[i];
            residual[i] -= step * image;
        }
        let next = dot(group, &residual, &residual)?;
        direction.iter_mut().zip(&residual).for_each(|(d, r)| *d = r + next / square * *d);
        square = next;
    }
    Ok(group.gather(0, &x)?.unwrap_or_default().concat())
}

#[distwq::main]
fn main(cluster: &Cluster) -> Result<(), Box<dyn std::error::Error>> {
    // The exact solution at the points i·h of u'' = -1 with u = 0 at both ends is x(1 -
    // x)/2, also of the discrete equation.
    let points = 200;
    let h = 1.0 / (points + 1) as f64;
    let rhs = vec![h * h; points];
    let mut graph = Graph::new();
    let shared = graph.value(&rhs);
    // As many widths as there are workers for, all in one graph: none takes the ranks of
    // another.
    let widths = [1, 2, 3, 4].into_iter().filter(|&ranks| ranks <= cluster.workers());
    let solutions: Vec<_> = widths.map(|ranks| graph.add(solve::call(&shared, 1e-12).ranks(ranks))).collect();
    cluster.run(&mut graph)?;
    for solution in &solutions {
        let exact = |i: usize| 0.5 * h * i as f64 * (1.0 - h * i as f64);
        let error = solution.get()?.iter().enumerate().map(|(i, u)| (u - exact(i + 1)).abs()).fold(0.0, f64::max);
        assert!(error < 1e-9, "the error is {error}");
        println!("ranks {}: the error is {error:.1e}", solution.info().ranks.len());
    }
    Ok(())
}
