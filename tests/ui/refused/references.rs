//! References where they cannot be.

use distwq::prelude::*;

#[remote]
fn changes(x: &mut Vec<f64>) {
    x.push(1.0);
}

#[remote]
fn within(x: Vec<&str>, y: Option<&i64>) -> usize {
    x.len() + usize::from(y.is_some())
}

#[remote]
fn twice(x: &&str) -> usize {
    x.len()
}

#[remote]
fn returned(x: &Vec<f64>) -> &[f64] {
    x
}

#[remote]
fn returned_if_all_is_well(x: &str) -> Result<&str, String> {
    Ok(x)
}

fn main() {}
