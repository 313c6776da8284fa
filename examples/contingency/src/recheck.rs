//! Solves an overload that the screening found again from scratch, in another way.

use serde::{Deserialize, Serialize};

use crate::base::PowerFlow;
use crate::collective::{Ranks, solve};
use crate::grid::Grid;
use crate::solver::SolveError;
use crate::summary::Overload;

/// What a solution from scratch says of an overload that the screening found.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Recheck {
    /// What the screening found.
    pub screened: Overload,
    /// The loading that the solution from scratch gives.
    pub resolved: f64,
    /// Iterations of that solution.
    pub iterations: u32,
}

impl Recheck {
    /// By how much the two loadings differ, relative to the screened one.
    #[must_use]
    pub fn difference(&self) -> f64 {
        ((self.resolved - self.screened.loading) / self.screened.loading).abs()
    }
}

/// Builds the grid without the branch that is out, and solves it over all `ranks` to the
/// relative residual `tolerance`.
///
/// # Errors
/// [`SolveError`] if there is no solution, or the ranks cannot reach each other.
///
/// # Panics
/// If a row of the overload is not that of a branch of the grid.
pub fn recheck<R: Ranks>(ranks: &R, grid: &Grid, screened: Overload, tolerance: f64) -> Result<Recheck, SolveError> {
    let outage = screened.outage_row;
    let position = |grid: &Grid, row: u32| {
        let position = grid.case.branches.binary_search_by_key(&row, |branch| branch.row);
        position.expect("the screening names rows of this grid")
    };
    let without = grid.without(position(grid, outage)).map_err(|reason| SolveError::Outage { outage, reason })?;
    let solution = solve(ranks, &without, tolerance, Some(outage))?;
    let flow = PowerFlow::new(&without, &solution);
    let resolved = flow.loading(&without, position(&without, screened.monitored_row));
    let resolved = resolved.expect("only a branch with a limit is overloaded");
    Ok(Recheck { screened, resolved, iterations: solution.iterations })
}
