//! The least there can be.

#[distwq::main]
fn main(_: &distwq::Cluster) {}
