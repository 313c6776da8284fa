//! Pointers that stay on their thread.

use distwq::prelude::*;
use std::rc::Rc;

#[remote]
fn owned(x: Rc<Vec<f64>>) -> f64 {
    x.iter().sum()
}

#[remote]
fn shared(x: &std::rc::Rc<str>) -> usize {
    x.len()
}

#[remote]
fn within(x: Vec<Option<Rc<f64>>>) -> Result<Rc<f64>, String> {
    x.into_iter().flatten().next().ok_or_else(|| "none".into())
}

fn main() {}
