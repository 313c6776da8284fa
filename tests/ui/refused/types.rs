//! Types that cannot travel, seen in how they are written.

use distwq::prelude::*;

#[remote]
fn of_any_iterator(x: impl Iterator<Item = i64>) -> i64 {
    x.sum()
}

#[remote]
fn gives_an_iterator(x: i64) -> impl Iterator<Item = i64> {
    0..x
}

#[remote]
fn nested(x: Vec<impl Into<f64>>) -> f64 {
    x.into_iter().map(Into::into).sum()
}

#[remote]
fn of_an_object(x: Box<dyn Fn(i64) -> i64>) -> i64 {
    x(1)
}

#[remote]
fn of_a_shared_object(x: &dyn Fn(i64) -> i64) -> i64 {
    x(1)
}

#[remote]
fn of_a_function(x: fn(i64) -> i64) -> i64 {
    x(1)
}

#[remote]
fn of_a_pointer(x: *const i64) -> bool {
    x.is_null()
}

#[remote]
fn never() -> ! {
    loop {}
}

fn main() {}
