//! The grid as a system of linear equations: the susceptance matrix without the slack
//! bus, and its right-hand side.

use serde::{Deserialize, Serialize};

use crate::adjacency::Adjacency;
use crate::case::{Branch, Case};

/// Why a case gives no system that can be solved.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum GridError {
    /// Some buses cannot be reached from the slack bus.
    #[error(
        "the grid of {case} is not connected: {unreached} of {buses} buses, bus {example} among them, cannot be \
         reached from the slack bus {slack} over branches in service: give them type 4 (isolated) or screen the \
         islands one by one"
    )]
    Disconnected {
        /// Name of the case.
        case: String,
        /// Buses that cannot be reached.
        unreached: usize,
        /// Buses in service.
        buses: usize,
        /// Id of one that cannot be reached.
        example: u64,
        /// Id of the slack bus.
        slack: u64,
    },
    /// The matrix has an entry on its diagonal that is not above zero.
    #[error(
        "the susceptance matrix of {case} is not positive definite: its diagonal is {value} at bus {bus}, where \
         negative reactances outweigh the others; conjugate gradients cannot solve such a grid"
    )]
    Diagonal {
        /// Name of the case.
        case: String,
        /// Id of the bus.
        bus: u64,
        /// The entry.
        value: f64,
    },
}

/// A symmetric sparse matrix by rows (CSR), its diagonal apart.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SymmetricMatrix {
    /// The diagonal.
    pub diagonal: Vec<f64>,
    /// Where the entries of each row start in `columns` and `values`; one more than there
    /// are rows.
    pub starts: Vec<u32>,
    /// Column of each entry beside the diagonal, ascending in a row.
    pub columns: Vec<u32>,
    /// Value of each entry beside the diagonal.
    pub values: Vec<f64>,
}

/// A grid with its system `B · theta = rhs`, per unit.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Grid {
    /// The grid as the case describes it.
    pub case: Case,
    /// Row of each bus in the system, `None` for the slack bus, whose angle is 0.
    pub row_of_bus: Vec<Option<u32>>,
    /// Position in [`Case::buses`] of the bus of each row.
    pub bus_of_row: Vec<u32>,
    /// The susceptance matrix without the row and column of the slack bus.
    pub matrix: SymmetricMatrix,
    /// What each bus feeds into the grid, phase shifts taken into account.
    pub rhs: Vec<f64>,
}

impl Grid {
    /// Builds the system of a case.
    ///
    /// The rows stand in reverse Cuthill–McKee order from the slack bus: neighbours in
    /// the grid are neighbours in memory, and a cut between two blocks of rows goes
    /// through few branches.
    ///
    /// # Errors
    /// A [`GridError`] if the grid is not connected or a diagonal entry is not above
    /// zero.
    pub fn build(case: Case) -> Result<Self, GridError> {
        let order = cuthill_mckee(&case)?;
        let mut row_of_bus = vec![None; case.buses.len()];
        let bus_of_row: Vec<u32> = order.into_iter().rev().filter(|bus| *bus != case.slack).collect();
        for (row, bus) in (0_u32..).zip(&bus_of_row) {
            row_of_bus[*bus as usize] = Some(row);
        }
        let matrix = assemble(&case, &row_of_bus, bus_of_row.len());
        for (value, bus) in matrix.diagonal.iter().zip(&bus_of_row) {
            // Written so that NaN is refused too.
            if !(*value > 0.0 && value.is_finite()) {
                return Err(GridError::Diagonal {
                    case: case.name.clone(),
                    bus: case.buses[*bus as usize].id,
                    value: *value,
                });
            }
        }
        let mut rhs: Vec<f64> =
            bus_of_row.iter().map(|bus| case.buses[*bus as usize].injection_mw / case.base_mva).collect();
        for branch in case.branches.iter().filter(|branch| branch.shift_rad != 0.0) {
            let injection = -branch.susceptance * branch.shift_rad;
            for (bus, sign) in [(branch.from, 1.0), (branch.to, -1.0)] {
                if let Some(row) = row_of_bus[bus as usize] {
                    rhs[row as usize] -= sign * injection;
                }
            }
        }
        Ok(Self { case, row_of_bus, bus_of_row, matrix, rhs })
    }

    /// Number of unknown angles.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.rhs.len()
    }

    /// The rows of the two ends of a branch.
    #[must_use]
    pub fn ends(&self, branch: &Branch) -> [Option<u32>; 2] {
        [self.row_of_bus[branch.from as usize], self.row_of_bus[branch.to as usize]]
    }

    /// The same grid without the branch at position `branch` of [`Case::branches`], built
    /// anew.
    ///
    /// # Errors
    /// A [`GridError`] if the branch held the grid together.
    ///
    /// # Panics
    /// If there is no such branch.
    pub fn without(&self, branch: usize) -> Result<Self, GridError> {
        let mut case = self.case.clone();
        case.branches.remove(branch);
        Self::build(case)
    }
}

/// Buses in breadth-first order from the slack bus, at each bus those with few neighbours
/// first.
fn cuthill_mckee(case: &Case) -> Result<Vec<u32>, GridError> {
    let adjacency = Adjacency::of(case);
    let mut seen = vec![false; case.buses.len()];
    let mut order = vec![case.slack];
    seen[case.slack as usize] = true;
    let mut next = 0;
    while next < order.len() {
        let start = order.len();
        for &(bus, _) in adjacency.of_bus(order[next]) {
            if !std::mem::replace(&mut seen[bus as usize], true) {
                order.push(bus);
            }
        }
        order[start..].sort_by_key(|bus| adjacency.of_bus(*bus).len());
        next += 1;
    }
    match seen.iter().position(|seen| !seen) {
        None => Ok(order),
        Some(example) => Err(GridError::Disconnected {
            case: case.name.clone(),
            unreached: case.buses.len() - order.len(),
            buses: case.buses.len(),
            example: case.buses[example].id,
            slack: case.buses[case.slack as usize].id,
        }),
    }
}

/// Sums the branches into the matrix; parallel branches share an entry.
fn assemble(case: &Case, row_of_bus: &[Option<u32>], rows: usize) -> SymmetricMatrix {
    let mut diagonal = vec![0.0; rows];
    let mut entries: Vec<Vec<(u32, f64)>> = vec![Vec::new(); rows];
    for branch in &case.branches {
        let ends = [row_of_bus[branch.from as usize], row_of_bus[branch.to as usize]];
        for (row, other) in [(ends[0], ends[1]), (ends[1], ends[0])] {
            let Some(row) = row else { continue };
            diagonal[row as usize] += branch.susceptance;
            let Some(column) = other else { continue };
            let entries = &mut entries[row as usize];
            match entries.iter_mut().find(|(c, _)| *c == column) {
                Some((_, value)) => *value -= branch.susceptance,
                None => entries.push((column, -branch.susceptance)),
            }
        }
    }
    let mut matrix = SymmetricMatrix { diagonal, starts: vec![0], columns: Vec::new(), values: Vec::new() };
    for mut row in entries {
        row.sort_by_key(|(column, _)| *column);
        matrix.columns.extend(row.iter().map(|(column, _)| *column));
        matrix.values.extend(row.iter().map(|(_, value)| *value));
        let end =
            u32::try_from(matrix.columns.len()).expect("a row is in at most as many entries as there are branch ends");
        matrix.starts.push(end);
    }
    matrix
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::case;

    #[test]
    fn the_matrix_is_the_sum_of_the_branches_without_the_slack_bus() {
        // 1 (slack) ─ 2 ═ 3 ─ 1, the double line with b = 2 each, the others with 1 and
        // 4.
        let grid = Grid::build(case(3, &[(0, 1, 1.0), (1, 2, 2.0), (2, 1, 2.0), (2, 0, 4.0)])).unwrap();
        let row = |bus: usize| grid.row_of_bus[bus].unwrap() as usize;
        assert_eq!(grid.row_of_bus[0], None);
        assert_eq!((grid.matrix.diagonal[row(1)], grid.matrix.diagonal[row(2)]), (5.0, 8.0));
        assert_eq!((grid.matrix.columns.as_slice(), grid.matrix.values.as_slice()), (&[1, 0][..], &[-4.0, -4.0][..]));
    }

    #[test]
    fn a_phase_shifter_feeds_its_shift_into_both_ends() {
        let mut case = case(3, &[(0, 1, 1.0), (1, 2, 2.0)]);
        case.branches[1].shift_rad = 0.5;
        case.buses[2].injection_mw = -50.0;
        let grid = Grid::build(case).unwrap();
        let rhs = |bus: usize| grid.rhs[grid.row_of_bus[bus].unwrap() as usize];
        assert_eq!((rhs(1), rhs(2)), (1.0, -0.5 - 1.0));
    }

    #[test]
    fn a_grid_in_two_parts_is_refused() {
        let error = Grid::build(case(4, &[(0, 1, 1.0), (2, 3, 1.0)])).unwrap_err();
        assert_eq!(
            error,
            GridError::Disconnected { case: "test".to_owned(), unreached: 2, buses: 4, example: 3, slack: 1 }
        );
    }

    #[test]
    fn a_diagonal_that_is_not_positive_is_refused() {
        let error = Grid::build(case(3, &[(0, 1, 1.0), (1, 2, -1.0)])).unwrap_err();
        assert!(matches!(error, GridError::Diagonal { .. }), "{error}");
    }
}
