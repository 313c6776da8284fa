//! The shortest whole program: a function, a graph, its values.

use distwq::prelude::*;

#[remote]
fn square(x: i64) -> i64 {
    x * x
}

#[remote]
fn sum(values: Vec<i64>) -> i64 {
    values.iter().sum()
}

#[distwq::main]
fn main(cluster: &Cluster) -> Result<(), Box<dyn std::error::Error>> {
    let mut graph = Graph::new();
    let squares: Vec<_> = (1..=10).map(|x| graph.add(square::call(x).label("square"))).collect();
    let total = graph.add(sum::call(&squares));
    cluster.run(&mut graph)?;
    assert_eq!(total.get()?, 385);
    println!("the sum of the first ten squares is {} on {} workers", total.get()?, cluster.workers());
    Ok(())
}
