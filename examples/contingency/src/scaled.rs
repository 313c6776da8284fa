//! The system scaled to a unit diagonal, which is what Jacobi preconditioning comes to.
//!
//! With `D` the diagonal of `B`, conjugate gradients on `D^-1/2 · B · D^-1/2` take the
//! very steps of those on `B` with the preconditioner `D^-1`, but an iteration needs no
//! product with it (Saad, "Iterative Methods for Sparse Linear Systems", section 9.2).
//! Their residual is measured in the norm of `D^-1`.

use crate::grid::Grid;

/// The scaled matrix without its diagonal of ones, and the scale of each row.
pub(crate) struct Scaled {
    pub(crate) starts: Vec<u32>,
    pub(crate) columns: Vec<u32>,
    pub(crate) values: Vec<f64>,
    /// `1 / sqrt(diagonal)`.
    pub(crate) scale: Vec<f64>,
}

impl Scaled {
    pub(crate) fn of(grid: &Grid) -> Self {
        let matrix = &grid.matrix;
        let scale: Vec<f64> = matrix.diagonal.iter().map(|value| 1.0 / value.sqrt()).collect();
        let mut values = matrix.values.clone();
        for (row, ends) in matrix.starts.windows(2).enumerate() {
            for entry in ends[0] as usize..ends[1] as usize {
                values[entry] *= scale[row] * scale[matrix.columns[entry] as usize];
            }
        }
        Self { starts: matrix.starts.clone(), columns: matrix.columns.clone(), values, scale }
    }

    pub(crate) fn rows(&self) -> usize {
        self.scale.len()
    }

    /// Columns and values of the entries of a row beside the diagonal.
    pub(crate) fn row(&self, row: usize) -> (&[u32], &[f64]) {
        let entries = self.starts[row] as usize..self.starts[row + 1] as usize;
        (&self.columns[entries.clone()], &self.values[entries])
    }
}
