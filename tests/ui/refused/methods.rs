//! Methods.

use distwq::prelude::*;

struct Grid;

impl Grid {
    #[remote]
    fn by_reference(&self, x: i64) -> i64 {
        x
    }

    #[remote]
    fn by_value(self) {}

    #[remote]
    fn returned(x: i64) -> Self {
        let _ = x;
        Self
    }
}

trait Solve {
    #[remote]
    fn solve(x: i64) -> i64;
}

fn main() {}
