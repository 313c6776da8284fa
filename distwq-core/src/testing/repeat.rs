//! The body of a test, again and again.

use crate::{BodyResult, Cluster};

/// Runs the body so often, or until it has shut the cluster down or failed. Gives how
/// often it ran, and the error of the last time.
pub(super) fn repeat<R: BodyResult>(
    times: usize,
    cluster: &Cluster,
    body: fn(&Cluster) -> R,
) -> (usize, Result<(), String>) {
    let mut done = 0;
    loop {
        let result = body(cluster).into_result();
        done += 1;
        if done == times || result.is_err() || cluster.is_closing() {
            return (done, result);
        }
    }
}
