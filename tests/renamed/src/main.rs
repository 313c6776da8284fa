//! A program that knows distwq under another name, and has to say so nowhere but in its
//! manifest.

use other_name::prelude::*;

/// The square.
#[remote]
fn square(x: i64) -> i64 {
    x * x
}

#[other_name::main]
fn main(cluster: &Cluster) -> Result<(), TaskError> {
    assert_eq!(cluster.submit(square::call(3)).get()?, 9);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[other_name::test(ranks = [2])]
    fn a_renamed_dependency_is_found(cluster: &Cluster) {
        let squared = cluster.submit(square::call(4)).get();
        assert_eq!(squared.expect("a square has no error"), 16);
    }
}
