//! A group belongs to the thread of its task.

use distwq::prelude::*;

#[remote(collective)]
fn receives_on_another_thread(group: &Group) -> Result<u8, GroupError> {
    std::thread::scope(|scope| {
        let received = scope.spawn(|| group.recv::<u8>(0));
        group.send(0, &1_u8)?;
        received.join().expect("no panic")
    })
}

fn main() {}
