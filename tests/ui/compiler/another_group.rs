//! A group that is not the library's.

use distwq::prelude::remote;

struct Group;

#[remote(collective)]
fn rank(group: &Group) -> usize {
    let _ = group;
    0
}

fn main() {}
