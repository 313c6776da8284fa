//! What is not a function.

use distwq::prelude::*;

#[remote]
struct Window {
    samples: Vec<f64>,
}

#[remote]
#[derive(Clone)]
pub enum Shape {
    Hann,
}

#[remote]
mod tasks {}

#[remote]
impl Window {
    fn len(&self) -> usize {
        self.samples.len()
    }
}

fn main() {}
