//! All that is wrong is told at once.

use distwq::prelude::*;
use std::any::Any;

#[remote(collectiv)]
async unsafe fn all_wrong<T>(x: &mut Vec<T>, y: impl Fn() -> T, z: Vec<&str>) -> Box<dyn Any> {
    x.push(y());
    Box::new(z.len())
}

#[remote]
async fn much_wrong<'a>(x: &'a mut f64, group: &Group) -> Option<&'static str> {
    *x += group.size() as f64;
    None
}

fn main() {}
