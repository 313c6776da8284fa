//! What is no call where one is wanted: a closure, the value of a function, a function that is not remote.

use distwq::prelude::*;

#[remote]
fn square(x: i64) -> i64 {
    x * x
}

fn cube(x: i64) -> i64 {
    x * x * x
}

#[distwq::main]
fn main(cluster: &Cluster) {
    let _ = cluster.submit(|| 3 * 3);
    let _ = cluster.submit(move |x: i64| x);
    let _ = cluster.submit(square(3));
    let _ = cluster.submit(square);
    let _ = cluster.submit(cube::call(3));
    let mut graph = Graph::new();
    let _ = graph.add(|| 3 * 3);
    let _ = graph.add(square(3));
    let _: Handle<i64> = graph.add(square::call(3).label("nine"));
}
