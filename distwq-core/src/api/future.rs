//! Waiting for a task with `.await`.

use crate::api::handle::Handle;
use crate::outcome::error::TaskError;
use serde::de::DeserializeOwned;
use std::fmt;
use std::future::{Future, IntoFuture};
use std::pin::Pin;
use std::task::{Context, Poll};

/// What `.await` of a [`Handle`] waits with. Any executor will do: the cluster goes on by
/// itself, and wakes the future when the task has ended. Dropping it cancels nothing.
///
/// # Examples
/// ```
/// use distwq::prelude::*;
///
/// #[remote]
/// fn square(x: u64) -> u64 {
///     x * x
/// }
///
/// async fn sum(cluster: &Cluster) -> Result<u64, TaskError> {
///     let (three, four) = (cluster.submit(square::call(3)), cluster.submit(square::call(4)));
///     Ok(three.await? + (&four).await?)
/// }
/// ```
pub struct HandleFuture<T> {
    handle: Handle<T>,
}

impl<T: DeserializeOwned> Future for HandleFuture<T> {
    type Output = Result<T, TaskError>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        match self.handle.poll(context.waker()) {
            Some(result) => Poll::Ready(result),
            None => Poll::Pending,
        }
    }
}

impl<T: DeserializeOwned> IntoFuture for Handle<T> {
    type Output = Result<T, TaskError>;
    type IntoFuture = HandleFuture<T>;

    fn into_future(self) -> HandleFuture<T> {
        HandleFuture { handle: self }
    }
}

impl<T: DeserializeOwned> IntoFuture for &Handle<T> {
    type Output = Result<T, TaskError>;
    type IntoFuture = HandleFuture<T>;

    fn into_future(self) -> HandleFuture<T> {
        HandleFuture { handle: self.clone() }
    }
}

impl<T> fmt::Debug for HandleFuture<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HandleFuture({:?})", self.handle)
    }
}
