//! What a worker cannot call.

use distwq::prelude::*;

#[remote]
async fn later(x: i64) -> i64 {
    x
}

#[remote]
unsafe fn dangerous(x: i64) -> i64 {
    x
}

#[remote]
extern "C" fn foreign(x: i64) -> i64 {
    x
}

#[remote]
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn vectorised(x: i64) -> i64 {
    x
}

fn main() {}
