//! The base case: the flows of the grid as it is.

use serde::{Deserialize, Serialize};

use crate::collective::{Ranks, Solution, solve};
use crate::grid::Grid;
use crate::solver::SolveError;
use crate::summary::LOADING_LIMIT;

/// The DC power flow of a grid.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PowerFlow {
    /// Angle of each bus in the order of the case, in radians; that of the slack bus is
    /// 0.
    pub theta_rad: Vec<f64>,
    /// Flow over each branch in the order of the case, in MW, from its first bus to its
    /// second.
    pub flow_mw: Vec<f64>,
    /// Iterations of the solver.
    pub iterations: u32,
    /// Relative residual of the solution.
    pub residual: f64,
}

impl PowerFlow {
    /// Solves the power flow of `grid` over all `ranks`, to the relative residual
    /// `tolerance`.
    ///
    /// # Errors
    /// [`SolveError`] if there is no solution, or the ranks cannot reach each other.
    pub fn solve<R: Ranks>(ranks: &R, grid: &Grid, tolerance: f64) -> Result<Self, SolveError> {
        Ok(Self::new(grid, &solve(ranks, grid, tolerance, None)?))
    }

    /// The flows that the angles of `solution` give.
    #[must_use]
    pub fn new(grid: &Grid, solution: &Solution) -> Self {
        let angle = |row: &Option<u32>| row.map_or(0.0, |row| solution.angles[row as usize]);
        let theta_rad: Vec<f64> = grid.row_of_bus.iter().map(angle).collect();
        let flow_mw = grid.case.branches.iter().map(|branch| {
            let difference = theta_rad[branch.from as usize] - theta_rad[branch.to as usize];
            branch.susceptance * (difference - branch.shift_rad) * grid.case.base_mva
        });
        let flow_mw = flow_mw.collect();
        Self { theta_rad, flow_mw, iterations: solution.iterations, residual: solution.residual }
    }

    /// The loading of a branch by its position; `None` without a limit.
    #[must_use]
    pub fn loading(&self, grid: &Grid, branch: usize) -> Option<f64> {
        grid.case.branches[branch].limit_mw.map(|limit| self.flow_mw[branch].abs() / limit)
    }
}

/// The figures of the base case.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BaseFigures {
    /// Smallest angle, in radians.
    pub theta_min_rad: f64,
    /// Largest angle, in radians.
    pub theta_max_rad: f64,
    /// Euclidean norm of the angles, in radians.
    pub theta_l2_rad: f64,
    /// Euclidean norm of the flows, in MW.
    pub flow_l2_mw: f64,
    /// Largest flow, in MW.
    pub max_abs_flow_mw: f64,
    /// Branches above their limit.
    pub overloaded: u32,
    /// Highest loading and the row of its branch; `None` if no branch has a limit.
    pub highest: Option<(f64, u32)>,
}

impl BaseFigures {
    /// The figures of `flow`.
    #[must_use]
    pub fn new(grid: &Grid, flow: &PowerFlow) -> Self {
        let norm = |values: &[f64]| values.iter().map(|v| v * v).sum::<f64>().sqrt();
        let loadings = (0..grid.case.branches.len())
            .filter_map(|position| Some((flow.loading(grid, position)?, grid.case.branches[position].row)));
        let mut overloaded = 0;
        let mut highest: Option<(f64, u32)> = None;
        for (loading, row) in loadings {
            overloaded += u32::from(loading > LOADING_LIMIT);
            if highest.is_none_or(|(most, _)| loading > most) {
                highest = Some((loading, row));
            }
        }
        Self {
            theta_min_rad: flow.theta_rad.iter().copied().fold(f64::INFINITY, f64::min),
            theta_max_rad: flow.theta_rad.iter().copied().fold(f64::NEG_INFINITY, f64::max),
            theta_l2_rad: norm(&flow.theta_rad),
            flow_l2_mw: norm(&flow.flow_mw),
            max_abs_flow_mw: flow.flow_mw.iter().fold(0.0, |most, flow| flow.abs().max(most)),
            overloaded,
            highest,
        }
    }
}
