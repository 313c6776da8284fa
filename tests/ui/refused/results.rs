//! A `Result` whose value cannot be seen.

use distwq::prelude::*;

#[remote]
fn formats() -> std::fmt::Result {
    Ok(())
}

fn main() {}
