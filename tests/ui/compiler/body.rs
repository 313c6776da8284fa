//! A body whose error nobody can show.

use distwq::prelude::*;

struct Silent;

#[distwq::main]
fn main(_: &Cluster) -> Result<(), Silent> {
    Ok(())
}
