//! A module and a remote function of one name; the way out is `use solve::solve as cg`.

mod solve {
    use distwq::prelude::*;

    #[remote]
    pub fn solve(x: f64) -> f64 {
        x
    }
}

use solve::solve;

fn main() {
    let _ = solve::call(1.0);
}
