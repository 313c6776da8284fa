//! What follows an attempt that has failed.

use crate::function::remote::Failure;
use crate::id::WorkerId;
use crate::machine::scheduler::Retry;
use crate::outcome::failure::{RetryOn, Wish};

/// What is to follow an attempt that has failed on this worker, if further ones are made
/// after these failures.
pub(super) fn what_follows(failure: &Failure, retry_on: RetryOn, worker: WorkerId) -> Retry {
    let cause = match failure {
        // What does not decode here does not decode elsewhere, and once a state could not
        // be made, no task runs.
        Failure::Decode { .. } | Failure::Init(_) => return Retry::Never,
        Failure::Asks { wish: Wish::Permanent, .. } => return Retry::Never,
        Failure::Asks { wish: Wish::NotHere, .. } => return Retry::Elsewhere { not_on: worker },
        Failure::Asks { wish: Wish::Busy { delay_ns }, .. } => return Retry::Later { pause_ns: *delay_ns },
        Failure::Returned(_) | Failure::Encode(_) | Failure::Group(_) => RetryOn::ERRORS,
        Failure::Panicked(_) => RetryOn::PANICS,
        Failure::Limit { .. } => RetryOn::LIMITS,
        Failure::Input(_) | Failure::Lost(_) => RetryOn::LOST_WORKERS,
        Failure::Joining { failure, .. } => return what_follows(failure, retry_on, worker),
    };
    if retry_on.contains(cause) { Retry::Again } else { Retry::Never }
}

/// Whether one item of several that has failed goes again; `has_attempts`: not all of its
/// attempts were made.
pub(crate) fn goes_again(failure: &Failure, retry_on: RetryOn, has_attempts: bool) -> bool {
    match what_follows(failure, retry_on, WorkerId::new(0)) {
        Retry::Never => false,
        Retry::Again => has_attempts,
        Retry::Elsewhere { .. } | Retry::Later { .. } => true,
    }
}
