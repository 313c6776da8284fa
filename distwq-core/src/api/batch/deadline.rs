//! The time by which the tasks of a batch have to end.

use super::Batch;
use std::sync::atomic::Ordering;
use std::time::Duration;

impl<T> Batch<T> {
    /// Ends what has not ended within this time from now, also what is submitted later,
    /// as [`LimitReached`](crate::TaskError::LimitReached). What has ended stays. Tasks
    /// that run learn of it by [`Context::cancelled`](crate::Context::cancelled); what
    /// they give later is dropped, and they keep their slots until they return. Said
    /// again, the earlier time counts.
    ///
    /// # Examples
    /// ```
    /// use distwq::prelude::*;
    /// use std::time::Duration;
    ///
    /// #[remote]
    /// fn nap(ms: u64) -> u64 {
    ///     std::thread::sleep(Duration::from_millis(ms));
    ///     ms
    /// }
    ///
    /// #[distwq::main]
    /// fn main(cluster: &Cluster) {
    ///     let batch = cluster.submit_all([0, 400].map(nap::call));
    ///     batch.deadline(Duration::from_millis(100));
    ///     let ended: Vec<_> = batch.iter().map(|(_, result)| result.is_ok()).collect();
    ///     assert_eq!(ended, [true, false]);
    /// }
    /// ```
    pub fn deadline(&self, time: Duration) {
        let Some((cluster, _)) = &self.cluster else { return };
        cluster.inner().driver.with(|engine| {
            // Under the engine's lock: what is submitted meanwhile must not be missed.
            let at = engine.deadline_in(&self.left(), time);
            self.deadline.fetch_min(at, Ordering::Relaxed);
        });
    }
}
