//! Groups that are missing or in the wrong position.

use distwq::prelude::*;

#[remote(collective)]
fn without_a_group(x: i64) -> i64 {
    x
}

#[remote]
fn not_collective(group: &Group, x: i64) -> i64 {
    x + group.rank() as i64
}

#[remote(collective)]
fn by_value(group: Group) -> usize {
    group.rank()
}

#[remote(collective)]
fn mutable(group: &mut Group) -> usize {
    group.rank()
}

#[remote(collective)]
fn second(x: i64, group: &Group) -> i64 {
    x + group.rank() as i64
}

#[remote(collective)]
fn two(group: &Group, other: &Group) -> usize {
    group.rank() + other.rank()
}

fn main() {}
