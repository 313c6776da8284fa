//! Conjugate gradients for many right-hand sides at once, on one rank.
//!
//! The lanes of a block stand side by side in memory, so each entry of the matrix is read
//! once for all of them, and the compiler turns every loop over the lanes into vector
//! instructions.

use crate::grid::Grid;
use crate::scaled::Scaled;
use crate::solver::{RESTARTS_MAX, SolveError, iterations_max};

/// Right-hand sides that are solved at once: a cache line of numbers.
pub const LANES: usize = 8;

/// One number for each right-hand side.
pub type Lanes = [f64; LANES];

/// Solves blocks of right-hand sides with the matrix of one grid, in buffers that are
/// used again.
pub struct BlockSolver {
    matrix: Scaled,
    tolerance: f64,
    solution: Vec<Lanes>,
    residual: Vec<Lanes>,
    direction: Vec<Lanes>,
    product: Vec<Lanes>,
}

impl std::fmt::Debug for BlockSolver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BlockSolver").field("rows", &self.matrix.rows()).finish_non_exhaustive()
    }
}

/// A transfer of power from one bus to another: the rows of both, `None` for the slack
/// bus.
pub type Transfer = [Option<u32>; 2];

impl BlockSolver {
    /// A solver for the matrix of `grid` that stops at the relative residual `tolerance`.
    #[must_use]
    pub fn new(grid: &Grid, tolerance: f64) -> Self {
        let zeros = || vec![[0.0; LANES]; grid.rows()];
        Self {
            matrix: Scaled::of(grid),
            tolerance,
            solution: zeros(),
            residual: zeros(),
            direction: zeros(),
            product: zeros(),
        }
    }

    /// Solves `B · x = a` for the transfer `a` of each lane, and returns `x` by rows;
    /// lanes beyond `transfers` are 0.
    ///
    /// `name` gives the branch row of a lane for an error.
    ///
    /// # Errors
    /// [`SolveError::NotPositiveDefinite`] and [`SolveError::NotConverged`].
    ///
    /// # Panics
    /// If there are more transfers than lanes.
    pub fn solve(&mut self, transfers: &[Transfer], name: impl Fn(usize) -> u32) -> Result<&[Lanes], SolveError> {
        assert!(transfers.len() <= LANES, "a block has {LANES} lanes, not {}", transfers.len());
        let limit = iterations_max(self.matrix.rows());
        let mut iterations = 0;
        self.solution.fill([0.0; LANES]);
        self.start_residual(transfers);
        let goal = squared_norms(&self.residual).map(|square| square * self.tolerance * self.tolerance);
        for _ in 0..RESTARTS_MAX {
            self.iterate(&goal, limit, &mut iterations, &name)?;
            // The residual of the recurrence drifts from the true one, which decides.
            self.start_residual(transfers);
            self.subtract_product_of_solution();
            let squares = squared_norms(&self.residual);
            if squares.iter().zip(&goal).all(|(square, goal)| square <= goal) {
                for (row, scale) in self.solution.iter_mut().zip(&self.matrix.scale) {
                    *row = row.map(|value| value * scale);
                }
                return Ok(&self.solution);
            }
        }
        Err(self.not_converged(&goal, iterations, name))
    }

    fn start_residual(&mut self, transfers: &[Transfer]) {
        self.residual.fill([0.0; LANES]);
        for (lane, [from, to]) in transfers.iter().enumerate() {
            for (row, sign) in [(from, 1.0), (to, -1.0)] {
                if let Some(row) = row {
                    self.residual[*row as usize][lane] += sign * self.matrix.scale[*row as usize];
                }
            }
        }
    }

    fn subtract_product_of_solution(&mut self) {
        multiply(&self.matrix, &self.solution, &mut self.product);
        for (residual, product) in self.residual.iter_mut().zip(&self.product) {
            for lane in 0..LANES {
                residual[lane] -= product[lane];
            }
        }
    }

    /// Iterates from the residual as it stands until each lane has reached its goal.
    fn iterate(
        &mut self,
        goal: &Lanes,
        limit: u32,
        iterations: &mut u32,
        name: &impl Fn(usize) -> u32,
    ) -> Result<(), SolveError> {
        self.direction.copy_from_slice(&self.residual);
        let mut squares = squared_norms(&self.residual);
        while (0..LANES).any(|lane| squares[lane].is_nan() || squares[lane] > goal[lane]) {
            if *iterations == limit {
                return Err(self.not_converged(goal, *iterations, name));
            }
            *iterations += 1;
            let curvature = multiply(&self.matrix, &self.direction, &mut self.product);
            let mut step = [0.0; LANES];
            for lane in 0..LANES {
                // A lane that is done stands still: its numbers are near zero, and their
                // quotients are noise.
                if squares[lane].is_nan() || squares[lane] > goal[lane] {
                    let value = curvature[lane];
                    if value.is_nan() || value <= 0.0 {
                        return Err(SolveError::NotPositiveDefinite {
                            value,
                            iteration: *iterations,
                            outage: Some(name(lane)),
                        });
                    }
                    step[lane] = squares[lane] / value;
                }
            }
            let next = advance(&mut self.solution, &mut self.residual, &self.direction, &self.product, &step);
            let mut turn = [0.0; LANES];
            for lane in 0..LANES {
                if step[lane] != 0.0 {
                    turn[lane] = next[lane] / squares[lane];
                }
            }
            squares = next;
            redirect(&mut self.direction, &self.residual, &turn);
        }
        Ok(())
    }

    fn not_converged(&self, goal: &Lanes, iterations: u32, name: impl Fn(usize) -> u32) -> SolveError {
        let squares = squared_norms(&self.residual);
        let ratio = |lane: usize| squares[lane] / goal[lane];
        let worst = (0..LANES).filter(|lane| goal[*lane] > 0.0).max_by(|a, b| ratio(*a).total_cmp(&ratio(*b)));
        let worst = worst.expect("a block that is not solved has a lane that is not zero");
        let residual = ratio(worst).sqrt() * self.tolerance;
        SolveError::NotConverged { residual, iterations, tolerance: self.tolerance, outage: Some(name(worst)) }
    }
}

/// `product = A · vector`; returns their inner products.
fn multiply(matrix: &Scaled, vector: &[Lanes], product: &mut [Lanes]) -> Lanes {
    let mut inner = [0.0; LANES];
    for (row, product) in product.iter_mut().enumerate() {
        let own = vector[row];
        let mut sum = own;
        let (columns, values) = matrix.row(row);
        for (column, value) in columns.iter().zip(values) {
            let other = &vector[*column as usize];
            for lane in 0..LANES {
                sum[lane] += value * other[lane];
            }
        }
        for lane in 0..LANES {
            inner[lane] += own[lane] * sum[lane];
        }
        *product = sum;
    }
    inner
}

/// `solution += step · direction`, `residual -= step · product`; returns the squared
/// norms of the residuals.
fn advance(
    solution: &mut [Lanes],
    residual: &mut [Lanes],
    direction: &[Lanes],
    product: &[Lanes],
    step: &Lanes,
) -> Lanes {
    let mut squares = [0.0; LANES];
    for (((solution, residual), direction), product) in solution.iter_mut().zip(residual).zip(direction).zip(product) {
        for lane in 0..LANES {
            solution[lane] += step[lane] * direction[lane];
            residual[lane] -= step[lane] * product[lane];
            squares[lane] += residual[lane] * residual[lane];
        }
    }
    squares
}

/// `direction = residual + turn · direction`.
fn redirect(direction: &mut [Lanes], residual: &[Lanes], turn: &Lanes) {
    for (direction, residual) in direction.iter_mut().zip(residual) {
        for lane in 0..LANES {
            direction[lane] = residual[lane] + turn[lane] * direction[lane];
        }
    }
}

fn squared_norms(vector: &[Lanes]) -> Lanes {
    let mut squares = [0.0; LANES];
    for row in vector {
        for lane in 0..LANES {
            squares[lane] += row[lane] * row[lane];
        }
    }
    squares
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{case, random_case};

    #[test]
    fn each_lane_solves_its_own_transfer() {
        let grid = Grid::build(random_case(60, 7)).unwrap();
        let transfers: Vec<Transfer> = grid.case.branches.iter().take(5).map(|branch| grid.ends(branch)).collect();
        let mut solver = BlockSolver::new(&grid, 1e-12);
        let solution = solver.solve(&transfers, |lane| lane as u32).unwrap();
        for (lane, transfer) in transfers.iter().enumerate() {
            for row in 0..grid.rows() {
                let entries = grid.matrix.starts[row] as usize..grid.matrix.starts[row + 1] as usize;
                let product = grid.matrix.diagonal[row] * solution[row][lane]
                    + entries
                        .map(|e| grid.matrix.values[e] * solution[grid.matrix.columns[e] as usize][lane])
                        .sum::<f64>();
                let expected = f64::from(transfer[0] == Some(row as u32)) - f64::from(transfer[1] == Some(row as u32));
                assert!((product - expected).abs() < 1e-9, "row {row} lane {lane}: {product} is not {expected}");
            }
        }
        assert!(solution.iter().all(|row| row[5..] == [0.0; 3]));
    }

    #[test]
    fn a_matrix_that_is_not_positive_definite_is_an_error() {
        // Each diagonal entry is positive, but the ring 1-2-3 has a branch of negative
        // reactance.
        let grid = Grid::build(case(3, &[(0, 1, 1.0), (1, 2, -2.0), (2, 0, 3.0), (0, 1, 2.0)])).unwrap();
        let error = BlockSolver::new(&grid, 1e-10).solve(&[grid.ends(&grid.case.branches[1])], |_| 41).unwrap_err();
        assert!(matches!(error, SolveError::NotPositiveDefinite { outage: Some(41), .. }), "{error}");
    }

    #[test]
    fn a_tolerance_out_of_reach_is_an_error() {
        let grid = Grid::build(random_case(40, 3)).unwrap();
        let error = BlockSolver::new(&grid, 1e-30).solve(&[grid.ends(&grid.case.branches[0])], |_| 0).unwrap_err();
        assert!(matches!(error, SolveError::NotConverged { .. }), "{error}");
    }
}
