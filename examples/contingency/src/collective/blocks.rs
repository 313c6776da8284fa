//! How the rows are cut into blocks, one for each rank.

use std::ops::Range;

use crate::scaled::Scaled;

/// Which rows each rank owns, and which of them other ranks need.
pub(super) struct Blocks {
    /// The rows of each rank.
    pub(super) rows: Vec<Range<usize>>,
    /// For each rank its rows with an entry in the block of another.
    pub(super) borders: Vec<Vec<usize>>,
    /// All entries between two blocks, each once: row, column, value.
    pub(super) cut: Vec<(usize, usize, f64)>,
}

impl Blocks {
    /// Cuts the rows into `size` blocks of about as many entries each.
    pub(super) fn new(matrix: &Scaled, size: usize) -> Self {
        let work = |row: usize| matrix.starts[row] as usize + row;
        let total = work(matrix.rows());
        let mut ends: Vec<usize> = Vec::with_capacity(size);
        for rank in 1..=size {
            let from = ends.last().copied().unwrap_or(0);
            let end = (from..matrix.rows()).find(|row| work(*row) * size >= total * rank);
            ends.push(end.unwrap_or(matrix.rows()));
        }
        let rows: Vec<Range<usize>> =
            ends.iter().enumerate().map(|(rank, end)| if rank == 0 { 0..*end } else { ends[rank - 1]..*end }).collect();
        let mut borders = vec![Vec::new(); size];
        let mut cut = Vec::new();
        for (rank, block) in rows.iter().enumerate() {
            for row in block.clone() {
                let (columns, values) = matrix.row(row);
                let entries = columns.iter().map(|column| *column as usize).zip(values);
                let outside: Vec<_> = entries.filter(|(column, _)| !block.contains(column)).collect();
                if !outside.is_empty() {
                    borders[rank].push(row);
                }
                // Both ends of an entry are border rows; the lower one lists it.
                cut.extend(
                    outside.into_iter().filter(|(column, _)| row < *column).map(|(column, v)| (row, column, *v)),
                );
            }
        }
        Self { rows, borders, cut }
    }
}
