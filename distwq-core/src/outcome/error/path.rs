//! How an error names the tasks between the one where it began and the one that it is
//! about: a persistent list of steps whose front is shared by all that hang on it, and
//! the path that users read, which is cut out of it when they ask.

use super::{Refusal, TaskError};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::sync::Arc;

/// The tasks from the one that failed to one that did not run because of it. Longer paths
/// keep both ends.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct UpstreamPath {
    /// The names in order; at most 20.
    pub steps: Vec<String>,
    /// How many are left out in the middle, between the tenth and the eleventh.
    pub omitted: usize,
}

impl UpstreamPath {
    /// How many steps are kept.
    pub const STEPS_MAX: usize = 20;
}

impl fmt::Display for UpstreamPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, step) in self.steps.iter().enumerate() {
            if index > 0 {
                f.write_str(" -> ")?;
            }
            if self.omitted > 0 && index == END {
                write!(f, "({} more) -> ", self.omitted)?;
            }
            f.write_str(step)?;
        }
        Ok(())
    }
}

/// How many steps are kept at each end of a path that is shortened.
const END: usize = UpstreamPath::STEPS_MAX / 2;

/// A task that gave no value, as a step on the way from the one where that began. It is a
/// cell of a persistent list: a task that hangs on it adds one, and a chain of any length
/// costs one each.
pub(crate) struct PathStep {
    name: Box<str>,
    /// The step before; none where it began.
    before: Option<Arc<PathStep>>,
    /// How many steps are before.
    depth: usize,
    /// The last step of the front that a shortened path keeps, so that the path is made
    /// without a walk over the middle. Only steps behind it have it.
    front: Option<Arc<PathStep>>,
    /// The error where it began.
    root: Arc<TaskError>,
}

/// Why something is not taken.
pub(crate) enum Reason {
    /// For what it says itself.
    Own(Refusal),
    /// Because this dependency was not.
    Dependency(Arc<PathStep>),
}

impl From<Refusal> for Reason {
    fn from(refusal: Refusal) -> Self {
        Self::Own(refusal)
    }
}

impl PathStep {
    /// Where it began.
    pub(crate) fn first(name: &str, root: Arc<TaskError>) -> Arc<Self> {
        Arc::new(Self { name: name.into(), before: None, depth: 0, front: None, root })
    }

    /// One that hangs on `before`.
    pub(crate) fn after(before: &Arc<Self>, name: &str) -> Arc<Self> {
        let front = if before.depth + 1 == END { Some(before) } else { before.front.as_ref() };
        Arc::new(Self {
            name: name.into(),
            before: Some(Arc::clone(before)),
            depth: before.depth + 1,
            front: front.cloned(),
            root: Arc::clone(&before.root),
        })
    }

    /// The step of something that is not taken.
    pub(crate) fn refused(name: &str, reason: impl Into<Reason>) -> Arc<Self> {
        match reason.into() {
            Reason::Own(reason) => Self::first(name, Arc::new(TaskError::refused(name, reason))),
            Reason::Dependency(before) => Self::after(&before, name),
        }
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// The error where it began.
    pub(crate) fn root(&self) -> &Arc<TaskError> {
        &self.root
    }

    /// The error of a step of something that was not taken.
    pub(crate) fn refusal(&self) -> TaskError {
        if self.before.is_none() {
            return (*self.root).clone();
        }
        let reason = Refusal::RefusedDependency { root: Arc::clone(&self.root), path: self.path_to(None) };
        TaskError::refused(&self.name, reason)
    }

    /// The path to this step, or to one of the name `last` behind it. Takes the same time
    /// for a path of any length.
    pub(crate) fn path_to(&self, last: Option<String>) -> UpstreamPath {
        let count = self.depth + 1 + usize::from(last.is_some());
        let omitted = count.saturating_sub(UpstreamPath::STEPS_MAX);
        let mut steps: Vec<String> = last.into_iter().collect();
        if let (1.., Some(front)) = (omitted, &self.front) {
            self.push_backwards(&mut steps, END);
            front.push_backwards(&mut steps, UpstreamPath::STEPS_MAX);
        } else {
            self.push_backwards(&mut steps, count);
        }
        steps.reverse();
        UpstreamPath { steps, omitted }
    }

    /// Appends the names of this step and those before it until there are `count`.
    fn push_backwards(&self, steps: &mut Vec<String>, count: usize) {
        let names = std::iter::successors(Some(self), |step| step.before.as_deref()).map(|step| step.name.to_string());
        let missing = count - steps.len();
        steps.extend(names.take(missing));
    }
}

impl Drop for PathStep {
    /// One step after another: a long chain must not be dropped by recursion.
    fn drop(&mut self) {
        let mut next = self.before.take();
        while let Some(mut step) = next.and_then(Arc::into_inner) {
            next = step.before.take();
        }
    }
}

impl fmt::Debug for PathStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {}", self.path_to(None), self.root)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The path through `steps`, shortened in the middle: the oracle.
    fn shortened(mut steps: Vec<String>) -> UpstreamPath {
        let omitted = steps.len().saturating_sub(UpstreamPath::STEPS_MAX);
        if omitted > 0 {
            steps.drain(END..END + omitted);
        }
        UpstreamPath { steps, omitted }
    }

    fn steps(count: usize) -> Vec<String> {
        (0..count).map(|i| i.to_string()).collect()
    }

    fn chain(count: usize) -> Arc<PathStep> {
        let first = PathStep::first("0", Arc::new(TaskError::NotStarted));
        steps(count).iter().skip(1).fold(first, |last, name| PathStep::after(&last, name))
    }

    #[test]
    fn a_path_up_to_twenty_is_whole_and_a_longer_one_keeps_both_ends() {
        assert_eq!(shortened(steps(20)).omitted, 0);
        let path = shortened(steps(200));
        assert_eq!((path.steps.len(), path.omitted), (20, 180));
        assert_eq!((path.steps[9].as_str(), path.steps[10].as_str()), ("9", "190"));
        assert!(path.to_string().contains("9 -> (180 more) -> 190"), "{path}");
    }

    #[test]
    fn the_path_of_a_step_is_that_through_all_before_it() {
        for count in 1..70 {
            let chain = chain(count);
            assert_eq!(chain.path_to(None), shortened(steps(count)));
            assert_eq!(chain.path_to(Some(count.to_string())), shortened(steps(count + 1)));
        }
    }

    #[test]
    fn a_chain_of_300_000_is_built_shown_and_dropped_without_recursion() {
        let small = std::thread::Builder::new().stack_size(64 << 10);
        let thread = small.spawn(|| {
            let chain = chain(300_000);
            let tail = PathStep::after(&chain, "tail");
            drop(chain);
            assert!(format!("{tail:?} {}", tail.refusal()).len() < 1_000);
            // The front outlives those behind it.
            let front = tail.front.clone();
            drop(tail);
            assert_eq!(front.map(|front| front.path_to(None)), Some(shortened(steps(10))));
        });
        thread.expect("a thread can be started").join().expect("it does not panic");
    }
}
