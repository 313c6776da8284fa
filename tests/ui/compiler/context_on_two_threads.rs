//! A context belongs to the thread of its task.

use distwq::prelude::*;

#[remote]
fn asks_on_another_thread(ctx: &Context) -> bool {
    std::thread::scope(|scope| scope.spawn(|| ctx.cancelled()).join().expect("no panic"))
}

fn main() {}
