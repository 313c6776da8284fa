//! A body that returns what no program ends with.

use distwq::prelude::*;

#[distwq::main]
fn main(_: &Cluster) -> u8 {
    7
}
