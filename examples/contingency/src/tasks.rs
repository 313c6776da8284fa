//! The remote functions of the job: thin, each hands on to the numerics.

use distwq::prelude::*;

use crate::base::PowerFlow;
use crate::case::{Case, CaseError};
use crate::collective::Ranks;
use crate::grid::{Grid, GridError};
use crate::recheck::Recheck;
use crate::screening::Plan;
use crate::solver::SolveError;
use crate::summary::{Overload, Summary};
use crate::{bridges, recheck, screening};

impl Ranks for Group {
    type Error = GroupError;

    fn rank(&self) -> usize {
        Group::rank(self)
    }

    fn size(&self) -> usize {
        Group::size(self)
    }

    fn all_gather(&self, own: &[f64], counts: &[usize], all: &mut [f64]) -> Result<(), GroupError> {
        let parts = Group::all_gather(self, &own.to_vec())?;
        let mut rest = all;
        for (part, count) in parts.iter().zip(counts) {
            let (section, after) = rest.split_at_mut(*count);
            section.copy_from_slice(part);
            rest = after;
        }
        Ok(())
    }
}

/// Reads the text of a case file.
///
/// # Errors
/// [`CaseError`] with the line and the reason.
#[remote]
pub fn parse(file: String, text: String) -> Result<Case, CaseError> {
    Case::parse(&file, &text)
}

/// Builds the matrix and the right-hand side.
///
/// # Errors
/// [`GridError`] if the grid is not connected, or its matrix plainly not positive
/// definite.
#[remote]
pub fn build(case: Case) -> Result<Grid, GridError> {
    Grid::build(case)
}

/// Finds the branches whose loss splits the grid.
#[remote]
pub fn find_bridges(case: Case) -> Vec<u32> {
    bridges::bridges(&case)
}

/// Orders the outages of all other branches.
#[remote]
pub fn plan(grid: &Grid, bridges: Vec<u32>) -> Plan {
    Plan::new(grid, &bridges)
}

/// Solves the base case over the ranks of a group.
///
/// # Errors
/// [`SolveError`] if there is no solution.
#[remote(collective)]
pub fn solve_base(group: &Group, grid: &Grid, tolerance: f64) -> Result<PowerFlow, SolveError> {
    PowerFlow::solve(group, grid, tolerance)
}

/// Screens batch `batch` of `batches`.
///
/// # Errors
/// [`SolveError`] with the row of the outage.
#[remote]
pub fn screen(
    grid: &Grid,
    base: &PowerFlow,
    plan: &Plan,
    batch: u32,
    batches: u32,
    tolerance: f64,
) -> Result<Summary, SolveError> {
    screening::screen(grid, base, plan, batch as usize, batches as usize, tolerance)
}

/// Merges summaries into one.
#[remote]
pub fn merge(parts: Vec<Summary>) -> Summary {
    Summary::merge(&parts)
}

/// Solves one overload again from scratch, over the ranks of a group.
///
/// # Errors
/// [`SolveError`] if there is no solution.
#[remote(collective)]
pub fn resolve(group: &Group, grid: &Grid, overload: Overload, tolerance: f64) -> Result<Recheck, SolveError> {
    recheck::recheck(group, grid, overload, tolerance)
}
