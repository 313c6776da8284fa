//! Screens outages: which branches are above their limit when one branch is out?
//!
//! A branch `k` that goes out can be seen as a transfer of its flow from one of its ends
//! to the other that the rest of the grid has to take. With `x` the solution of `B · x =
//! a_k` (1 at the first end, −1 at the second), a transfer of one unit changes the flow
//! of branch `l` by `d_l = b_l · (x_from − x_to)`, and the outage itself by `d_l / (1 −
//! d_k)` for each unit that `k` carried: the line outage distribution factor (Wood and
//! Wollenberg, "Power Generation, Operation, and Control", section 11.3.3). So one solve
//! gives all flows of an outage, and all parallel branches between two buses share it.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use crate::base::PowerFlow;
use crate::block::{BlockSolver, LANES, Lanes, Transfer};
use crate::grid::Grid;
use crate::solver::SolveError;
use crate::summary::{LOADING_LIMIT, Outage, Overload, Summary, worst_of_outage};

/// The outages to screen, ordered so that any part of them is a few whole blocks of the
/// solver.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// Positions of the branches whose outages share a solve, because they join the same
    /// two buses.
    transfers: Vec<Vec<u32>>,
}

impl Plan {
    /// All outages of `grid` except those of its `bridges`, which are given by position,
    /// ascending.
    #[must_use]
    pub fn new(grid: &Grid, bridges: &[u32]) -> Self {
        let mut transfers: Vec<Vec<u32>> = Vec::new();
        let mut of_pair = HashMap::new();
        for (position, branch) in (0_u32..).zip(&grid.case.branches) {
            if bridges.binary_search(&position).is_ok() {
                continue;
            }
            let pair = (branch.from.min(branch.to), branch.from.max(branch.to));
            let index = *of_pair.entry(pair).or_insert(transfers.len());
            if index == transfers.len() {
                transfers.push(Vec::new());
            }
            transfers[index].push(position);
        }
        Self { transfers }
    }

    /// Number of outages.
    #[must_use]
    pub fn outages(&self) -> usize {
        self.transfers.iter().map(Vec::len).sum()
    }

    /// Number of blocks that the solver takes them in.
    #[must_use]
    pub fn blocks(&self) -> usize {
        self.transfers.len().div_ceil(LANES)
    }

    /// Part `part` of `parts`: whole blocks, as many in each part as in any other, or one
    /// more.
    fn part(&self, part: usize, parts: usize) -> &[Vec<u32>] {
        let bound = |part: usize| (part * self.blocks() / parts * LANES).min(self.transfers.len());
        &self.transfers[bound(part)..bound(part + 1)]
    }
}

/// Screens part `part` of `parts` of the plan, and keeps its summary.
///
/// # Errors
/// [`SolveError`] with the row of the outage.
pub fn screen(
    grid: &Grid,
    base: &PowerFlow,
    plan: &Plan,
    part: usize,
    parts: usize,
    tolerance: f64,
) -> Result<Summary, SolveError> {
    let mut summary = Summary::default();
    each_outage(grid, base, plan, part, parts, tolerance, |outage| summary.add(&outage))?;
    Ok(summary)
}

/// Screens part `part` of `parts` of the plan, and hands each outage to `found`.
///
/// # Errors
/// [`SolveError`] with the row of the outage.
pub fn each_outage(
    grid: &Grid,
    base: &PowerFlow,
    plan: &Plan,
    part: usize,
    parts: usize,
    tolerance: f64,
    mut found: impl FnMut(Outage),
) -> Result<(), SolveError> {
    let outages = plan.part(part, parts);
    if outages.is_empty() {
        return Ok(());
    }
    let monitored = Monitored::all(grid, base);
    let mut solver = BlockSolver::new(grid, tolerance);
    for block in outages.chunks(LANES) {
        let first = |lane: usize| &grid.case.branches[block[lane][0] as usize];
        let transfers: Vec<Transfer> = (0..block.len()).map(|lane| grid.ends(first(lane))).collect();
        let solution = solver.solve(&transfers, |lane| first(lane).row)?;
        for (lane, positions) in block.iter().enumerate() {
            for &position in positions {
                // A parallel branch that runs the other way is the same transfer turned
                // round.
                let sign = if grid.case.branches[position as usize].from == first(lane).from { 1.0 } else { -1.0 };
                let transfer = Solved { solution, lane, sign };
                found(outage(grid, base, &monitored, &transfer, position as usize)?);
            }
        }
    }
    Ok(())
}

/// A branch with a limit, with what an outage needs to know of it side by side.
struct Monitored {
    ends: [Option<u32>; 2],
    susceptance: f64,
    flow_mw: f64,
    limit_mw: f64,
    row: u32,
}

impl Monitored {
    fn all(grid: &Grid, base: &PowerFlow) -> Vec<Self> {
        let branches = grid.case.branches.iter().zip(&base.flow_mw);
        let monitored = branches.filter_map(|(branch, flow_mw)| {
            let limit_mw = branch.limit_mw?;
            let ends = grid.ends(branch);
            Some(Self { ends, susceptance: branch.susceptance, flow_mw: *flow_mw, limit_mw, row: branch.row })
        });
        monitored.collect()
    }
}

/// The solution of one transfer: a lane of a block, turned round for `sign` −1.
struct Solved<'a> {
    solution: &'a [Lanes],
    lane: usize,
    sign: f64,
}

impl Solved<'_> {
    /// Change of the flow over a branch for one unit transferred.
    fn factor(&self, ends: [Option<u32>; 2], susceptance: f64) -> f64 {
        let [from, to] = ends.map(|row| row.map_or(0.0, |row| self.solution[row as usize][self.lane]));
        self.sign * susceptance * (from - to)
    }
}

/// What the outage of the branch at `position` does, from the transfer between its ends.
fn outage(
    grid: &Grid,
    base: &PowerFlow,
    monitored: &[Monitored],
    transfer: &Solved<'_>,
    position: usize,
) -> Result<Outage, SolveError> {
    let out = &grid.case.branches[position];
    let denominator = 1.0 - transfer.factor(grid.ends(out), out.susceptance);
    if denominator.is_nan() || denominator.abs() < 1e-8 {
        return Err(SolveError::NoWayRound { outage: out.row, denominator });
    }
    let shifted_mw = base.flow_mw[position] / denominator;
    let mut highest: Option<(f64, u32)> = None;
    let mut overloads = Vec::new();
    for branch in monitored.iter().filter(|branch| branch.row != out.row) {
        let flow_mw = branch.flow_mw + transfer.factor(branch.ends, branch.susceptance) * shifted_mw;
        let loading = flow_mw.abs() / branch.limit_mw;
        if highest.is_none_or(|(most, _)| loading > most) {
            highest = Some((loading, branch.row));
        }
        if loading > LOADING_LIMIT {
            overloads.push(Overload { loading, outage_row: out.row, monitored_row: branch.row });
        }
    }
    let violations = u32::try_from(overloads.len()).expect("there are fewer branches than that");
    Ok(Outage { row: out.row, highest, violations, overloads: worst_of_outage(overloads) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bridges::bridges;
    use crate::collective::{Alone, solve};
    use crate::testing::random_case;

    #[test]
    fn screened_outages_agree_with_solutions_from_scratch() {
        for seed in 1..12 {
            let grid = Grid::build(random_case(25, seed)).unwrap();
            let flows = |grid: &Grid| PowerFlow::new(grid, &solve(&Alone, grid, 1e-13, None).unwrap());
            let base = flows(&grid);
            let plan = Plan::new(&grid, &bridges(&grid.case));
            let mut seen = Vec::new();
            for part in 0..3 {
                each_outage(&grid, &base, &plan, part, 3, 1e-13, |outage| {
                    let without = grid.without(outage.row as usize).unwrap();
                    let resolved = flows(&without);
                    let loadings = (0..without.case.branches.len()).filter_map(|b| resolved.loading(&without, b));
                    let highest = loadings.fold(0.0, f64::max);
                    let (screened, _) = outage.highest.unwrap();
                    assert!((screened - highest).abs() < 1e-7 * highest, "seed {seed}: {screened} is not {highest}");
                    seen.push(outage.row);
                })
                .unwrap();
            }
            seen.sort_unstable();
            let mut all = [seen, bridges(&grid.case)].concat();
            all.sort_unstable();
            assert!(all.into_iter().eq(0..grid.case.branches.len() as u32), "each branch is screened once or a bridge");
        }
    }

    #[test]
    fn more_parts_than_blocks_leave_some_parts_empty() {
        let grid = Grid::build(random_case(10, 2)).unwrap();
        let plan = Plan::new(&grid, &[]);
        let sizes: usize = (0..100).map(|part| plan.part(part, 100).iter().map(Vec::len).sum::<usize>()).sum();
        assert_eq!(sizes, plan.outages());
        assert_eq!(plan.outages(), grid.case.branches.len());
    }
}
