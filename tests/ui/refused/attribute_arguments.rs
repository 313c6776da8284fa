//! Unknown, repeated and malformed arguments of the attribute.

use distwq::prelude::*;

#[remote(colective)]
fn misspelt(x: i64) -> i64 {
    x
}

#[remote(collective = true)]
fn with_a_value(group: &Group) -> usize {
    group.size()
}

#[remote(collective, collective)]
fn repeated(group: &Group) -> usize {
    group.size()
}

#[remote(crate = "distwq", retries = 3)]
fn of_text(x: i64) -> i64 {
    x
}

#[remote(crate)]
fn of_nothing(x: i64) -> i64 {
    x
}

#[remote(collective collective)]
fn malformed(group: &Group) -> usize {
    group.size()
}

fn main() {}
