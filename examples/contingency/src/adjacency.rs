//! Which branches meet at each bus.

use crate::case::Case;

/// The neighbours of each bus with the branch to each; a parallel branch gives a second
/// entry.
pub(crate) struct Adjacency {
    starts: Vec<usize>,
    neighbours: Vec<(u32, u32)>,
}

impl Adjacency {
    /// The neighbours in the grid of `case`.
    pub(crate) fn of(case: &Case) -> Self {
        let mut starts = vec![0; case.buses.len() + 1];
        for branch in &case.branches {
            starts[branch.from as usize + 1] += 1;
            starts[branch.to as usize + 1] += 1;
        }
        for bus in 0..case.buses.len() {
            starts[bus + 1] += starts[bus];
        }
        let mut next = starts.clone();
        let mut neighbours = vec![(0, 0); 2 * case.branches.len()];
        for (position, branch) in (0_u32..).zip(&case.branches) {
            for (bus, other) in [(branch.from, branch.to), (branch.to, branch.from)] {
                neighbours[next[bus as usize]] = (other, position);
                next[bus as usize] += 1;
            }
        }
        Self { starts, neighbours }
    }

    /// Position of each neighbour of `bus` and of the branch to it.
    pub(crate) fn of_bus(&self, bus: u32) -> &[(u32, u32)] {
        &self.neighbours[self.starts[bus as usize]..self.starts[bus as usize + 1]]
    }
}
