//! All figures of a screening: what is printed, compared and reported.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::base::{BaseFigures, PowerFlow};
use crate::grid::Grid;
use crate::recheck::Recheck;
use crate::summary::Summary;

/// Relative difference above which a loading from scratch disagrees with the screened
/// one.
pub const RECHECK_TOLERANCE: f64 = 1e-6;

/// The figures of a screening. Rows are those of the table of branches in the case file,
/// from 0.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Figures {
    /// Name of the case.
    pub case: String,
    /// Buses in service.
    pub buses: usize,
    /// Branches in service, each of which is taken out once.
    pub branches: usize,
    /// Branches with a limit.
    pub limited_branches: usize,
    /// Id of the slack bus.
    pub slack_bus: u64,
    /// Power that is 1 per unit, in MVA.
    pub base_mva: f64,
    /// The grid as it is.
    pub base: BaseFigures,
    /// Iterations of the base case.
    pub base_iterations: u32,
    /// Relative residual of the base case.
    pub base_residual: f64,
    /// Rows of the branches whose loss splits the grid.
    pub islanding_rows: Vec<u32>,
    /// The outages.
    pub outages: Summary,
    /// The worst overloads, solved again from scratch.
    pub rechecks: Vec<Recheck>,
}

/// A loading from scratch that disagrees with the screened one.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error(
    "outage of branch row {outage_row}: the screening gives branch row {monitored_row} a loading of {screened}, a \
     solution from scratch {resolved}"
)]
pub struct Disagreement {
    outage_row: u32,
    monitored_row: u32,
    screened: f64,
    resolved: f64,
}

impl Figures {
    /// Puts the results of all stages together; `bridges` are positions of branches.
    #[must_use]
    pub fn new(grid: &Grid, base: &PowerFlow, bridges: &[u32], outages: Summary, rechecks: Vec<Recheck>) -> Self {
        let case = &grid.case;
        Self {
            case: case.name.clone(),
            buses: case.buses.len(),
            branches: case.branches.len(),
            limited_branches: case.branches.iter().filter(|branch| branch.limit_mw.is_some()).count(),
            slack_bus: case.buses[case.slack as usize].id,
            base_mva: case.base_mva,
            base: BaseFigures::new(grid, base),
            base_iterations: base.iterations,
            base_residual: base.residual,
            islanding_rows: bridges.iter().map(|position| case.branches[*position as usize].row).collect(),
            outages,
            rechecks,
        }
    }

    /// The overloads whose solution from scratch disagrees with the screening.
    #[must_use]
    pub fn disagreements(&self) -> Vec<Disagreement> {
        let off = self.rechecks.iter().filter(|recheck| {
            let difference = recheck.difference();
            difference.is_nan() || difference > RECHECK_TOLERANCE
        });
        let disagreements = off.map(|recheck| Disagreement {
            outage_row: recheck.screened.outage_row,
            monitored_row: recheck.screened.monitored_row,
            screened: recheck.screened.loading,
            resolved: recheck.resolved,
        });
        disagreements.collect()
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (base, outages) = (&self.base, &self.outages);
        writeln!(
            f,
            "{}: {} buses, {} branches in service, {} of them with a limit",
            self.case, self.buses, self.branches, self.limited_branches
        )?;
        write!(f, "base case: {} overloaded", base.overloaded)?;
        if let Some((loading, row)) = base.highest {
            write!(f, ", highest loading {loading:.6} on row {row}")?;
        }
        writeln!(f, ", {} iterations, residual {:.1e}", self.base_iterations, self.base_residual)?;
        writeln!(
            f,
            "outages: {} solved, {} split the grid, {} cause {} overloads",
            outages.solved,
            self.islanding_rows.len(),
            outages.with_violation,
            outages.violations
        )?;
        for (index, overload) in outages.top.iter().enumerate() {
            write!(
                f,
                "{:>3}. loading {:.6}  outage of row {:>5} on row {:>5}",
                index + 1,
                overload.loading,
                overload.outage_row,
                overload.monitored_row
            )?;
            match self.rechecks.get(index) {
                Some(recheck) => writeln!(f, "  from scratch {:.6}", recheck.resolved)?,
                None => writeln!(f)?,
            }
        }
        Ok(())
    }
}
