//! Contexts for functions that are called without a cluster.

use crate::id::{Rank, Slot};
use crate::task::context::{Context, SlotSite};
use std::any::type_name;
use std::ops::Deref;

/// A context for a function that is called as any other, in a unit test: that of the
/// first attempt of task 1, without a label, on slot 0 of worker 0. The methods of
/// [`TestContext`] change that.
///
/// # Examples
/// ```
/// use distwq::{prelude::*, testing};
///
/// #[remote]
/// fn name(ctx: &Context, x: u32) -> String {
///     format!("{} {x}", ctx.label().unwrap_or("nameless"))
/// }
///
/// assert_eq!(name(&testing::context(), 1), "nameless 1");
/// assert_eq!(name(&testing::context().label("case"), 2), "case 2");
///
/// #[remote]
/// fn add(ctx: &Context, x: u64) {
///     *ctx.state::<u64>() += x;
/// }
///
/// let context = testing::context().with_state(40_u64);
/// add(&context, 2);
/// assert_eq!(*context.state::<u64>(), 42);
/// ```
pub fn context() -> TestContext {
    let site = SlotSite::new((0, Rank(1), "localhost".to_owned()), Slot(0), 0);
    TestContext { context: Context::of_a_test(site, "test") }
}

/// A [`Context`] of no cluster, made by [`context`]. A reference to it is one to that.
#[derive(Debug)]
#[must_use]
pub struct TestContext {
    context: Context,
}

impl TestContext {
    /// The label of the task.
    pub fn label(mut self, label: &str) -> Self {
        self.context.label = Some(label.into());
        self
    }

    /// The number of the task.
    pub fn task(mut self, task: u32) -> Self {
        self.context.task = task;
        self
    }

    /// Which attempt it is.
    pub fn attempt(mut self, attempt: u32) -> Self {
        self.context.attempt = attempt;
        self
    }

    /// Whether the task has been cancelled.
    pub fn cancelled(mut self, cancelled: bool) -> Self {
        self.context.cancelled = cancelled;
        self
    }

    /// The index of the worker; its rank is one more.
    pub fn worker(self, worker: usize) -> Self {
        self.with_site(|site| (site.worker, site.rank) = (worker, Rank(worker as u32 + 1)))
    }

    /// The seed of the run, of which that of the task is made: equal ones give equal
    /// [seeds](Context::seed).
    pub fn run_seed(self, seed: u64) -> Self {
        self.with_site(|site| site.seed = seed)
    }

    /// The state of the slot.
    pub fn with_state<S: 'static>(self, state: S) -> Self {
        self.with_site(|site| {
            // A slot that nobody else refers to lends its state to nobody.
            let _ = site.state.put(Box::new(state), type_name::<S>());
        })
    }

    fn with_site(mut self, change: impl FnOnce(&mut SlotSite)) -> Self {
        change(self.context.site_mut().expect("a context of a test has its slot for itself"));
        self
    }
}

impl Deref for TestContext {
    type Target = Context;

    fn deref(&self) -> &Context {
        &self.context
    }
}
