//! How many tasks a second of one graph of 100 layers, where each task takes two values
//! of the layer before?
//!
//! Adding the tasks to the graph, running it and reading each result count. The reference
//! is the farm that one writes by hand over raw MPI, with as many tasks, which knows of
//! no dependencies.

use distwq::{Cluster, Graph, Handle, remote};
use distwq_benches::tasks::{increment, launch, warm_up};
use distwq_benches::{Failure, Figure, Side, farm, median, run, tell};
use std::error::Error;
use std::process::ExitCode;
use std::time::Instant;

const LAYERS: usize = 100;
const WIDTH: usize = 2_000;

/// Graphs of one measurement, of which the median counts.
const GRAPHS: usize = 3;

/// One more than the larger: in layer `n` it is `n`.
#[remote]
fn meet(left: i64, right: i64) -> i64 {
    left.max(right) + 1
}

fn ours() -> ExitCode {
    launch(|cluster| {
        warm_up(cluster)?;
        tell(median((0..GRAPHS).map(|_| one_graph(cluster)).collect::<Result<_, _>>()?));
        Ok(())
    })
}

/// Tasks per second of a graph.
fn one_graph(cluster: &Cluster) -> Result<f64, Box<dyn Error>> {
    let start = Instant::now();
    let mut graph = Graph::new();
    let mut layers: Vec<Vec<Handle<i64>>> = Vec::with_capacity(LAYERS);
    for _ in 0..LAYERS {
        let layer = match layers.last() {
            None => (0..WIDTH).map(|_| graph.add(increment::call(-1))).collect(),
            // A neighbour and one far away.
            Some(before) => {
                let other = |index: usize| &before[(index + WIDTH / 3) % WIDTH];
                (0..WIDTH).map(|index| graph.add(meet::call(&before[index], other(index)))).collect()
            }
        };
        layers.push(layer);
    }
    cluster.run(&mut graph)?;
    for (number, layer) in layers.iter().enumerate() {
        for handle in layer {
            let found = handle.get()?;
            if found != number as i64 {
                return Err(format!("a task of layer {number} gave {found}").into());
            }
        }
    }
    Ok((LAYERS * WIDTH) as f64 / start.elapsed().as_secs_f64())
}

fn figures() -> Result<(), Failure> {
    let (reference, ours) = (Side::new("raw", 2)?, Side::new("distwq", 2)?);
    Figure::new("graph_w1", "tasks/s").compare(|| reference.sample(), || ours.sample())
}

fn main() -> ExitCode {
    run(figures, &[("raw", || farm::run(GRAPHS, (LAYERS * WIDTH) as i64)), ("distwq", ours)])
}
