//! Shared pointers, which travel only with a feature of serde.

use distwq::prelude::*;
use std::sync::Arc;

#[remote]
fn owned(x: Arc<Vec<f64>>) -> f64 {
    x.iter().sum()
}

#[remote]
fn shared(x: &Arc<str>) -> usize {
    x.len()
}

#[remote]
fn within(x: Vec<Option<Arc<f64>>>) -> usize {
    x.len()
}

#[remote]
fn output(x: f64) -> Arc<f64> {
    Arc::new(x)
}

#[remote]
fn value(x: f64) -> Result<std::sync::Arc<f64>, String> {
    Ok(Arc::new(x))
}

fn main() {}
