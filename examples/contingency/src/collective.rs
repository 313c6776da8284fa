//! Conjugate gradients over several ranks, each with a block of rows; one message round
//! an iteration.
//!
//! Plain conjugate gradients ask for two rounds: the halo of the direction before the
//! product, and the sum of the inner products after it. Here both travel together. The
//! form of Chronopoulos and Gear (1989, "s-step iterative methods for symmetric linear
//! systems") takes its scalars from the residual `r` alone: `γ = r·r` and `δ = r·Ar`. A
//! rank sends its part of both, as far as its own rows give it, with those of its `r`
//! that other ranks need. What `δ` still lacks runs over the entries of `A` between two
//! blocks, whose values of `r` every rank then has: each adds the same numbers in the
//! same order, so all ranks take the same steps and stop at the same iteration.

use std::error::Error;
use std::ops::Range;

use crate::grid::Grid;
use crate::scaled::Scaled;
use crate::solver::{RESTARTS_MAX, SolveError, iterations_max};

mod blocks;

use blocks::Blocks;

/// Some ranks that work together: what the solver asks of a communicator.
pub trait Ranks {
    /// What goes wrong between ranks.
    type Error: Error + Send + Sync + 'static;

    /// The number of this rank, from 0.
    fn rank(&self) -> usize;

    /// How many ranks there are.
    fn size(&self) -> usize;

    /// Puts the `own` of every rank into `all`, rank after rank. `counts` says how many
    /// numbers each rank gives, and is the same on all.
    ///
    /// # Errors
    /// Whatever goes wrong between ranks.
    fn all_gather(&self, own: &[f64], counts: &[usize], all: &mut [f64]) -> Result<(), Self::Error>;
}

/// One rank on its own.
#[derive(Debug, Clone, Copy)]
pub struct Alone;

impl Ranks for Alone {
    type Error = std::convert::Infallible;

    fn rank(&self) -> usize {
        0
    }

    fn size(&self) -> usize {
        1
    }

    fn all_gather(&self, own: &[f64], _counts: &[usize], all: &mut [f64]) -> Result<(), Self::Error> {
        all.copy_from_slice(own);
        Ok(())
    }
}

/// A solution, the same on every rank.
#[derive(Debug, Clone, PartialEq)]
pub struct Solution {
    /// The angle of each row of the system, in radians.
    pub angles: Vec<f64>,
    /// Iterations made.
    pub iterations: u32,
    /// Relative residual of the solution, in the norm of the preconditioner.
    pub residual: f64,
}

/// Solves the system of `grid` for its own right-hand side, to the relative residual
/// `tolerance`.
///
/// Every rank calls it with the same grid; `outage` names the branch row that is out in
/// errors.
///
/// # Errors
/// [`SolveError`], the same on every rank, except for [`SolveError::Exchange`].
pub fn solve<R: Ranks>(ranks: &R, grid: &Grid, tolerance: f64, outage: Option<u32>) -> Result<Solution, SolveError> {
    let matrix = Scaled::of(grid);
    let blocks = Blocks::new(&matrix, ranks.size());
    let mut solver = Solver::new(ranks, &matrix, &blocks);
    let rhs: Vec<f64> = grid.rhs.iter().zip(&matrix.scale).map(|(value, scale)| value * scale).collect();
    let square = rhs.iter().map(|value| value * value).sum::<f64>();
    let goal = square * tolerance * tolerance;
    let is_driven = grid.rhs.iter().any(|value| *value != 0.0);
    if !square.is_finite() || (is_driven && !goal.is_normal()) {
        return Err(SolveError::OutOfRange { square });
    }
    let limit = iterations_max(grid.rows());
    let mut iterations = 0;
    let mut residual = square;
    // A first round starts from zero; every further one, from the true residual of what
    // the last one found.
    for round in 0..=RESTARTS_MAX {
        let reached = solver.round(&rhs, round > 0, goal, limit, &mut iterations, outage)?;
        // Only the first residual of a round is a true one.
        residual = reached.first;
        if residual <= goal {
            let residual = if square > 0.0 { (residual / square).sqrt() } else { 0.0 };
            return Ok(Solution { angles: solver.collect()?, iterations, residual });
        }
        if iterations >= limit {
            residual = reached.last;
            break;
        }
    }
    Err(SolveError::NotConverged { residual: (residual / square).sqrt(), iterations, tolerance, outage })
}

/// Squared residuals at the start and at the end of a round.
struct Reached {
    first: f64,
    last: f64,
}

/// The vectors of one rank. `residual` and `solution` are as long as the system, but
/// filled in only where this rank owns a row or where a border row of another was
/// received.
struct Solver<'a, R> {
    ranks: &'a R,
    matrix: &'a Scaled,
    blocks: &'a Blocks,
    own: Range<usize>,
    solution: Vec<f64>,
    residual: Vec<f64>,
    product: Vec<f64>,
    direction: Vec<f64>,
    direction_product: Vec<f64>,
    /// What is sent and received in a round: two sums, then the border rows.
    message: Vec<f64>,
    received: Vec<f64>,
    counts: Vec<usize>,
}

impl<'a, R: Ranks> Solver<'a, R> {
    fn new(ranks: &'a R, matrix: &'a Scaled, blocks: &'a Blocks) -> Self {
        let own = blocks.rows[ranks.rank()].clone();
        let counts: Vec<usize> = blocks.borders.iter().map(|border| border.len() + 2).collect();
        Self {
            ranks,
            matrix,
            blocks,
            solution: vec![0.0; matrix.rows()],
            residual: vec![0.0; matrix.rows()],
            product: vec![0.0; own.len()],
            direction: vec![0.0; own.len()],
            direction_product: vec![0.0; own.len()],
            message: Vec::new(),
            received: vec![0.0; counts.iter().sum()],
            counts,
            own,
        }
    }

    /// Iterates until the residual has reached `goal`; it starts from the solution so far
    /// if `again`, else from zero.
    fn round(
        &mut self,
        rhs: &[f64],
        again: bool,
        goal: f64,
        limit: u32,
        iterations: &mut u32,
        outage: Option<u32>,
    ) -> Result<Reached, SolveError> {
        self.residual.copy_from_slice(rhs);
        if again {
            // For once the product is that of the solution, whose border rows travel
            // instead of the residual's.
            std::mem::swap(&mut self.residual, &mut self.solution);
            let exchanged = self.multiply();
            std::mem::swap(&mut self.residual, &mut self.solution);
            exchanged?;
            for (row, product) in self.own.clone().zip(&self.product) {
                self.residual[row] = rhs[row] - product;
            }
        }
        let (mut square, mut curvature) = self.multiply()?;
        let first = square;
        let (mut turn, mut denominator) = (0.0, curvature);
        while square.is_nan() || square > goal {
            if *iterations >= limit {
                break;
            }
            *iterations += 1;
            if denominator.is_nan() || denominator <= 0.0 {
                return Err(SolveError::NotPositiveDefinite { value: denominator, iteration: *iterations, outage });
            }
            let step = square / denominator;
            self.advance(step, turn);
            let before = square;
            (square, curvature) = self.multiply()?;
            turn = square / before;
            denominator = curvature - turn * square / step;
        }
        Ok(Reached { first, last: square })
    }

    /// Computes `product = A · residual` on the own rows, and returns `γ = r·r` and `δ =
    /// r·Ar` of all rows: the one message round of an iteration.
    fn multiply(&mut self) -> Result<(f64, f64), SolveError> {
        let (mut square, mut inner) = (0.0, 0.0);
        for (product, row) in self.product.iter_mut().zip(self.own.clone()) {
            let value = self.residual[row];
            let (columns, values) = self.matrix.row(row);
            let mut sum = value;
            for (column, entry) in columns.iter().zip(values) {
                if self.own.contains(&(*column as usize)) {
                    sum += entry * self.residual[*column as usize];
                }
            }
            *product = sum;
            square += value * value;
            inner += value * sum;
        }
        self.message.clear();
        self.message.extend([square, inner]);
        self.message.extend(self.blocks.borders[self.ranks.rank()].iter().map(|row| self.residual[*row]));
        self.exchange()?;
        (square, inner) = (0.0, 0.0);
        let mut received = self.received.as_slice();
        for border in &self.blocks.borders {
            let (part, rest) = received.split_at(border.len() + 2);
            square += part[0];
            inner += part[1];
            for (row, value) in border.iter().zip(&part[2..]) {
                self.residual[*row] = *value;
            }
            received = rest;
        }
        for (row, column, value) in &self.blocks.cut {
            let (row, column) = (*row, *column);
            inner += 2.0 * value * self.residual[row] * self.residual[column];
            for (row, column) in [(row, column), (column, row)] {
                if self.own.contains(&row) {
                    self.product[row - self.own.start] += value * self.residual[column];
                }
            }
        }
        Ok((square, inner))
    }

    fn exchange(&mut self) -> Result<(), SolveError> {
        let exchanged = self.ranks.all_gather(&self.message, &self.counts, &mut self.received);
        exchanged.map_err(|error| SolveError::Exchange(Box::new(error)))
    }

    fn advance(&mut self, step: f64, turn: f64) {
        let own = self.own.clone();
        let (solution, residual) = (&mut self.solution[own.clone()], &mut self.residual[own]);
        let vectors = solution.iter_mut().zip(residual).zip(&mut self.direction).zip(&mut self.direction_product);
        for ((((solution, residual), direction), direction_product), product) in vectors.zip(&self.product) {
            *direction = *residual + turn * *direction;
            *direction_product = product + turn * *direction_product;
            *solution += step * *direction;
            *residual -= step * *direction_product;
        }
    }

    /// The solution of all ranks, scaled back.
    fn collect(&mut self) -> Result<Vec<f64>, SolveError> {
        self.message.clear();
        self.message.extend_from_slice(&self.solution[self.own.clone()]);
        self.counts = self.blocks.rows.iter().map(Range::len).collect();
        self.received.resize(self.matrix.rows(), 0.0);
        self.exchange()?;
        Ok(self.received.iter().zip(&self.matrix.scale).map(|(value, scale)| value * scale).collect())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Barrier, Mutex};

    use super::*;
    use crate::testing::{case, random_case};

    /// Ranks that are threads of the test.
    struct Threads<'a> {
        rank: usize,
        barrier: &'a Barrier,
        parts: &'a [Mutex<Vec<f64>>],
    }

    impl Ranks for Threads<'_> {
        type Error = std::convert::Infallible;

        fn rank(&self) -> usize {
            self.rank
        }

        fn size(&self) -> usize {
            self.parts.len()
        }

        fn all_gather(&self, own: &[f64], counts: &[usize], all: &mut [f64]) -> Result<(), Self::Error> {
            assert_eq!(own.len(), counts[self.rank]);
            *self.parts[self.rank].lock().unwrap() = own.to_vec();
            self.barrier.wait();
            let parts: Vec<f64> = self.parts.iter().flat_map(|part| part.lock().unwrap().clone()).collect();
            all.copy_from_slice(&parts);
            self.barrier.wait();
            Ok(())
        }
    }

    fn on_threads(size: usize, grid: &Grid) -> Vec<Result<Solution, SolveError>> {
        let barrier = Barrier::new(size);
        let parts: Vec<_> = (0..size).map(|_| Mutex::new(Vec::new())).collect();
        std::thread::scope(|scope| {
            let (barrier, parts) = (&barrier, parts.as_slice());
            let ranks: Vec<_> = (0..size)
                .map(|rank| scope.spawn(move || solve(&Threads { rank, barrier, parts }, grid, 1e-12, None)))
                .collect();
            ranks.into_iter().map(|rank| rank.join().unwrap()).collect()
        })
    }

    #[test]
    fn every_number_of_ranks_finds_the_same_angles() {
        for buses in [2, 3, 50, 300] {
            let grid = Grid::build(random_case(buses, u64::from(buses))).unwrap();
            let alone = solve(&Alone, &grid, 1e-12, None).unwrap();
            assert!(alone.residual <= 1e-12);
            for size in [1, 2, 3, 5] {
                let solutions: Vec<_> = on_threads(size, &grid).into_iter().map(Result::unwrap).collect();
                for solution in &solutions {
                    assert_eq!(solution, &solutions[0], "the ranks of a group of {size} differ");
                    for (a, b) in solution.angles.iter().zip(&alone.angles) {
                        assert!((a - b).abs() <= 1e-9 * b.abs().max(1.0), "{a} is not {b}");
                    }
                }
            }
        }
    }

    #[test]
    fn the_solution_satisfies_the_equations() {
        let grid = Grid::build(random_case(200, 5)).unwrap();
        let angles = solve(&Alone, &grid, 1e-12, None).unwrap().angles;
        for row in 0..grid.rows() {
            let entries = grid.matrix.starts[row] as usize..grid.matrix.starts[row + 1] as usize;
            let product = grid.matrix.diagonal[row] * angles[row]
                + entries.map(|e| grid.matrix.values[e] * angles[grid.matrix.columns[e] as usize]).sum::<f64>();
            assert!((product - grid.rhs[row]).abs() < 1e-9, "row {row}: {product} is not {}", grid.rhs[row]);
        }
    }

    #[test]
    fn injections_beyond_the_range_of_floats_are_refused_on_all_ranks() {
        for (value, expected) in [(1e200, f64::INFINITY), (1e-200, 0.0)] {
            let mut grid = Grid::build(random_case(50, 7)).unwrap();
            grid.rhs.fill(0.0);
            grid.rhs[3] = value;
            for result in on_threads(3, &grid) {
                let error = result.unwrap_err();
                assert!(matches!(error, SolveError::OutOfRange { square } if square == expected), "{error}");
            }
        }
    }

    #[test]
    fn a_grid_without_injections_has_angles_of_zero() {
        let grid = Grid::build(case(3, &[(0, 1, 1.0), (1, 2, 1.0)])).unwrap();
        assert_eq!(solve(&Alone, &grid, 1e-12, None).unwrap().angles, [0.0, 0.0]);
    }

    #[test]
    fn all_ranks_report_a_matrix_that_is_not_positive_definite() {
        let mut case = case(3, &[(0, 1, 3.0), (1, 2, -2.0), (2, 0, 3.0)]);
        case.buses[1].injection_mw = 100.0;
        case.buses[2].injection_mw = -100.0;
        let grid = Grid::build(case).unwrap();
        for result in on_threads(2, &grid) {
            let error = result.unwrap_err();
            assert!(matches!(error, SolveError::NotPositiveDefinite { .. }), "{error}");
        }
    }
}
