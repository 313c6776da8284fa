//! A value that many tasks read: sent to a worker once, decoded there once, shared by
//! reference.

use distwq::prelude::*;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::process;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Samples of a function, to interpolate in.
#[derive(Serialize, Deserialize)]
#[serde(from = "Samples")]
struct Table {
    step: f64,
    values: Vec<f64>,
}

/// What a [`Table`] is decoded by; to decode one counts.
#[derive(Deserialize)]
struct Samples {
    step: f64,
    values: Vec<f64>,
}

static DECODED: AtomicUsize = AtomicUsize::new(0);

impl From<Samples> for Table {
    fn from(Samples { step, values }: Samples) -> Self {
        DECODED.fetch_add(1, Ordering::Relaxed);
        Self { step, values }
    }
}

impl Table {
    fn at(&self, x: f64) -> f64 {
        let steps = x / self.step;
        let index = (steps as usize).min(self.values.len() - 2);
        let (left, right) = (self.values[index], self.values[index + 1]);
        left + (right - left) * (steps - index as f64)
    }
}

/// The sum of the table at some points; and in which process that was, and how many
/// tables it has decoded.
#[remote]
fn look_up(table: &Table, points: Vec<f64>) -> (f64, u32, usize) {
    (points.iter().map(|x| table.at(*x)).sum(), process::id(), DECODED.load(Ordering::Relaxed))
}

#[distwq::main]
fn main(cluster: &Cluster) -> Result<(), RunError> {
    let step = 1e-3;
    let sine = Table { step, values: (0..=10_000).map(|i| (f64::from(i) * step).sin()).collect() };

    let mut graph = Graph::new();
    let table = graph.value(&sine);
    let points = |task: u32| (0..50).map(|i| f64::from(task * 50 + i) * 1e-3).collect::<Vec<_>>();
    let sums: Vec<_> = (0..200).map(|task| graph.add(look_up::call(&table, points(task)))).collect();
    cluster.run(&mut graph)?;

    let mut decoded = HashMap::new();
    let mut total = 0.0;
    for sum in &sums {
        let (sum, process, count) = sum.get().expect("the graph ran");
        total += sum;
        let known = decoded.entry(process).or_insert(0);
        *known = count.max(*known);
    }
    let exact = (0..10_000).map(|i| (f64::from(i) * 1e-3).sin()).sum::<f64>();
    assert!((total - exact).abs() < 1e-3, "{total} is not {exact}");
    // One for each worker at most. The workers of the local backend live in the process
    // of the body, which has decoded the table too: the first value of a type is, to see
    // that it arrives as it was.
    let decoded: usize = decoded.values().sum();
    assert!(decoded <= cluster.workers() + 1, "{decoded} tables on {} workers", cluster.workers());
    println!("200 tasks read a table that was decoded {decoded} times on {} workers", cluster.workers());
    Ok(())
}
