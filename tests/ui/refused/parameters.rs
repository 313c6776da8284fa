//! Parameters that cannot be.

use distwq::prelude::*;

#[remote]
fn conditional(#[cfg(unix)] x: i64, #[cfg_attr(unix, allow(unused))] y: i64) -> i64 {
    x + y
}

#[remote]
#[rustfmt::skip]
fn sixty_five(
    _: u8, _: u8, _: u8, _: u8, _: u8, _: u8, _: u8, _: u8, _: u8, _: u8, _: u8, _: u8, _: u8, _: u8, _: u8, _: u8,
    _: u8, _: u8, _: u8, _: u8, _: u8, _: u8, _: u8, _: u8, _: u8, _: u8, _: u8, _: u8, _: u8, _: u8, _: u8, _: u8,
    _: u8, _: u8, _: u8, _: u8, _: u8, _: u8, _: u8, _: u8, _: u8, _: u8, _: u8, _: u8, _: u8, _: u8, _: u8, _: u8,
    _: u8, _: u8, _: u8, _: u8, _: u8, _: u8, _: u8, _: u8, _: u8, _: u8, _: u8, _: u8, _: u8, _: u8, _: u8, _: u8,
    last: u8,
) -> u8 {
    last
}

fn main() {}
