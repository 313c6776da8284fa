//! A `main` with settings and a result, under lints.

#![forbid(unsafe_code)]
#![deny(missing_docs, unreachable_pub, unused, unused_qualifications)]

use distwq::prelude::*;

/// The square.
#[remote]
pub fn square(x: i64) -> i64 {
    x * x
}

/// Entry.
#[allow(clippy::unnecessary_wraps)]
#[distwq::main(config = Config::new().workers(1), crate = ::distwq)]
fn main(cluster: &Cluster) -> Result<(), TaskError> {
    assert_eq!(cluster.submit(square::call(3)).get()?, 9);
    Ok(())
}
