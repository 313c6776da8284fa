//! Lifetimes in the signature of a remote function.

use distwq::prelude::*;
use std::borrow::Cow;

#[remote]
fn named<'a>(x: &'a Vec<f64>) -> usize {
    x.len()
}

#[remote]
fn forever(x: &'static str) -> usize {
    x.len()
}

#[remote]
fn elided(x: Cow<'_, str>) -> usize {
    x.len()
}

fn main() {}
