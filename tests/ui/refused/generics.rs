//! Generic remote functions.

use distwq::prelude::*;

#[remote]
fn of_a_type<T>(x: T) -> T {
    x
}

#[remote]
fn of_a_number<const N: usize>(x: [f64; 3]) -> f64 {
    x[N]
}

#[remote]
fn with_a_where_clause(x: i64) -> i64
where
    i64: Copy,
{
    x
}

fn main() {}
