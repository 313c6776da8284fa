//! A context that is not the library's.

use distwq::prelude::remote;

struct Context;

#[remote]
fn rank(ctx: &Context) -> usize {
    let _ = ctx;
    0
}

fn main() {}
