//! What both solvers share: their errors and their limits.

use std::error::Error;

/// Relative residual at which a solution is good, in the norm of the preconditioner.
///
/// Figures are compared to 1e-6 and no loading of the two cases is nearer to its limit
/// than 4e-6; the distance between is for the outages of branches that carry nearly all
/// there is, which magnify errors.
pub const TOLERANCE: f64 = 1e-10;

/// A solution is checked against the equations at the end, and improved at most this
/// often.
pub(crate) const RESTARTS_MAX: u32 = 8;

/// In exact arithmetic as many iterations as rows are enough; rounding can ask for a
/// multiple.
pub(crate) fn iterations_max(rows: usize) -> u32 {
    u32::try_from(rows.saturating_mul(10)).unwrap_or(u32::MAX).saturating_add(1000)
}

/// Why conjugate gradients gave no solution.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SolveError {
    /// A direction was found in which the matrix is not positive.
    #[error(
        "the susceptance matrix is not positive definite (p'Bp = {value:e} in iteration {iteration}{}): the grid has \
         negative reactances that outweigh others, and conjugate gradients cannot solve it",
        outage.map_or(String::new(), |row| format!(", outage of branch row {row}"))
    )]
    NotPositiveDefinite {
        /// The product found.
        value: f64,
        /// The iteration.
        iteration: u32,
        /// Row of the branch that is out, if any.
        outage: Option<u32>,
    },
    /// The numbers leave the range of floating point.
    #[error(
        "what drives the grid, injected power and phase shifts, is too large or too small to compute with (the sum of \
         its squares, in units of the preconditioner, is {square:e})"
    )]
    OutOfRange {
        /// That sum.
        square: f64,
    },
    /// The residual did not fall far enough.
    #[error(
        "conjugate gradients did not converge: relative residual {residual:e} after {iterations} iterations{}, \
         wanted {tolerance:e}: the susceptance matrix is nearly singular, or the tolerance is too small",
        outage.map_or(String::new(), |row| format!(" on the outage of branch row {row}"))
    )]
    NotConverged {
        /// The residual reached.
        residual: f64,
        /// Iterations made.
        iterations: u32,
        /// The residual wanted.
        tolerance: f64,
        /// Row of the branch that is out, if any.
        outage: Option<u32>,
    },
    /// The grid without a branch is no grid.
    #[error("the grid without branch row {outage}: {reason}")]
    Outage {
        /// Row of the branch that is out.
        outage: u32,
        /// What is wrong.
        reason: crate::grid::GridError,
    },
    /// An outage leaves the grid connected on paper only.
    #[error(
        "the outage of branch row {outage} leaves no way for its power (1 - PTDF = {denominator:e}) although the \
         grid stays connected: look for a reactance near it that is far too large or too small"
    )]
    NoWayRound {
        /// Row of the branch that is out.
        outage: u32,
        /// What is left of the power that flowed over the branch.
        denominator: f64,
    },
    /// The ranks could not exchange their parts.
    #[error("the ranks of a solve cannot exchange their parts")]
    Exchange(#[source] Box<dyn Error + Send + Sync>),
}
