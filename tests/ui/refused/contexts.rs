//! Contexts in the wrong position or of the wrong form.

use distwq::prelude::*;

#[remote]
fn second(x: i64, ctx: &Context) -> i64 {
    x + i64::from(ctx.attempt())
}

#[remote(collective)]
fn behind_the_group(group: &Group, ctx: &Context) -> usize {
    group.rank() + ctx.worker()
}

#[remote]
fn by_value(ctx: Context) -> usize {
    ctx.worker()
}

#[remote]
fn mutable(ctx: &mut Context) -> usize {
    ctx.worker()
}

#[remote]
fn two(ctx: &Context, other: &Context) -> usize {
    ctx.worker() + other.worker()
}

#[remote]
fn for_ever(ctx: &'static Context) -> usize {
    ctx.worker()
}

fn main() {}
