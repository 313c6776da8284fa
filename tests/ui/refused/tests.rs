//! Forms of a test that cannot be.

use distwq::prelude::*;

#[distwq::test]
fn no_parameter() {}

#[distwq::test(ranks = [])]
fn no_ranks(_: &Cluster) {}

#[distwq::test(ranks = [2, 0])]
fn zero_ranks(_: &Cluster) {}

#[distwq::test(ranks = 4)]
fn no_list(_: &Cluster) {}

#[distwq::test(rank = 4, every = true, workers)]
fn misspelt(_: &Cluster) {}

#[distwq::test]
#[should_panic]
fn panics(_: &Cluster) {}

#[distwq::test]
#[test]
fn twice(_: &Cluster) {}

fn main() {}
