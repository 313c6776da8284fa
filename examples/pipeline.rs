//! A pipeline as a graph: stages that hand on values, order without values, a task that
//! is tried again.

use distwq::prelude::*;
use std::sync::atomic::{AtomicBool, Ordering};

const STATIONS: u32 = 6;

/// A record of a station: a trend with something periodic on it.
#[remote]
fn load(station: u32) -> Vec<f64> {
    let tone = f64::from(station + 1) / 50.0;
    (0..1000).map(f64::from).map(|t| 0.01 * t + (tone * t).sin()).collect()
}

/// Takes the straight line through the ends out of a record.
#[remote]
fn detrend(mut record: Vec<f64>) -> Result<Vec<f64>, String> {
    let [first, .., last] = record[..] else { return Err("a record needs two samples".into()) };
    let slope = (last - first) / (record.len() - 1) as f64;
    record.iter_mut().enumerate().for_each(|(i, sample)| *sample -= first + slope * i as f64);
    Ok(record)
}

#[remote]
fn energy(record: &[f64]) -> f64 {
    record.iter().map(|sample| sample * sample).sum::<f64>() / record.len() as f64
}

/// A service that hangs up on whoever calls for the first time.
#[remote]
fn publish(energies: Vec<f64>) -> Result<usize, String> {
    static CALLED: AtomicBool = AtomicBool::new(false);
    if CALLED.swap(true, Ordering::Relaxed) { Ok(energies.len()) } else { Err("the connection was closed".into()) }
}

#[remote]
fn clean_up() {}

#[distwq::main]
fn main(cluster: &Cluster) -> Result<(), Box<dyn std::error::Error>> {
    let mut graph = Graph::new();
    let mut followers = Vec::new();
    let mut energies = Vec::new();
    for station in 0..STATIONS {
        let record = graph.add(load::call(station).label(format!("load {station}")));
        // On the worker that has the record already.
        let flat = graph.add(detrend::call(&record).label(format!("detrend {station}")).follow(&record));
        energies.push(graph.add(energy::call(&flat).label(format!("energy {station}"))));
        followers.push((record, flat));
    }
    // A `Vec` of handles is what a function takes that takes a `Vec`. Each process is
    // refused once, so with one more attempt than there are workers this comes through.
    let published = graph.add(publish::call(&energies).priority(1).retries(cluster.workers() as u32));
    let cleaned = graph.add(clean_up::call().after_all(&energies));
    // Order between tasks that exist already; what would close a cycle is refused.
    graph.order(&published, &cleaned)?;
    assert!(graph.order(&cleaned, &energies[0]).is_err(), "tasks cannot wait for each other in a circle");

    assert_eq!((graph.width(), graph.critical_path().len()), (STATIONS as usize, 5));
    assert!(graph.to_dot().contains("detrend 3"));
    cluster.run(&mut graph)?;

    assert_eq!(published.get()?, STATIONS as usize);
    assert!(published.info().attempts >= 2);
    for (record, flat) in followers {
        let (parent, child) = (record.info(), flat.info());
        assert_eq!(parent.ranks, child.ranks, "a task that follows runs where the other ran");
        assert!(parent.finished_ns <= child.started_ns, "and after it");
    }
    println!("{STATIONS} stations, published at attempt {}", published.info().attempts);
    Ok(())
}
