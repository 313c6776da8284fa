//! Finds the branches whose loss splits the grid.

use crate::adjacency::Adjacency;
use crate::case::Case;

/// Positions in [`Case::branches`] of all bridges, ascending.
///
/// Tarjan's low-link rule: a branch of the depth-first tree is a bridge if nothing below
/// it reaches above it by another branch. The walk goes by branches, not by buses, so the
/// second of two parallel branches counts as such another way. It keeps its own stack,
/// because a chain of a hundred thousand buses would overflow that of the thread.
#[must_use]
pub fn bridges(case: &Case) -> Vec<u32> {
    /// A bus on the way down from the root, the branch that led there, and its next
    /// neighbour to look at.
    struct Step {
        bus: u32,
        arrived_by: Option<u32>,
        next: usize,
    }
    const UNSEEN: u32 = u32::MAX;
    let adjacency = Adjacency::of(case);
    let mut found = vec![UNSEEN; case.buses.len()];
    let mut low = vec![UNSEEN; case.buses.len()];
    let mut bridges = Vec::new();
    let mut clock = 0;
    for root in (0_u32..).take(case.buses.len()) {
        if found[root as usize] != UNSEEN {
            continue;
        }
        let mut path = vec![Step { bus: root, arrived_by: None, next: 0 }];
        while let Some(step) = path.last_mut() {
            let bus = step.bus as usize;
            if step.next == 0 && found[bus] == UNSEEN {
                (found[bus], low[bus]) = (clock, clock);
                clock += 1;
            }
            if let Some(&(other, branch)) = adjacency.of_bus(step.bus).get(step.next) {
                step.next += 1;
                if found[other as usize] == UNSEEN {
                    path.push(Step { bus: other, arrived_by: Some(branch), next: 0 });
                } else if step.arrived_by != Some(branch) {
                    low[bus] = low[bus].min(found[other as usize]);
                }
                continue;
            }
            let arrived_by = step.arrived_by;
            path.pop();
            if let (Some(above), Some(branch)) = (path.last(), arrived_by) {
                let above = above.bus as usize;
                low[above] = low[above].min(low[bus]);
                if low[bus] > found[above] {
                    bridges.push(branch);
                }
            }
        }
    }
    bridges.sort_unstable();
    bridges
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Random, case};

    /// Takes each branch out and counts what can be reached.
    fn by_removal(case: &Case) -> Vec<u32> {
        let reached = |without: Option<usize>| {
            let mut parent: Vec<usize> = (0..case.buses.len()).collect();
            fn root(parent: &[usize], mut bus: usize) -> usize {
                while parent[bus] != bus {
                    bus = parent[bus];
                }
                bus
            }
            for (_, branch) in case.branches.iter().enumerate().filter(|(position, _)| Some(*position) != without) {
                let (a, b) = (root(&parent, branch.from as usize), root(&parent, branch.to as usize));
                parent[a] = b;
            }
            (0..parent.len()).filter(|bus| parent[*bus] == *bus).count()
        };
        (0..case.branches.len()).filter(|branch| reached(Some(*branch)) > reached(None)).map(|b| b as u32).collect()
    }

    #[test]
    fn a_single_branch_is_a_bridge_and_two_parallel_ones_are_not() {
        assert_eq!(bridges(&case(2, &[(0, 1, 1.0)])), [0]);
        assert_eq!(bridges(&case(2, &[(0, 1, 1.0), (1, 0, 1.0)])), [0_u32; 0]);
        // A ring of three with a tail, and a double line at its end.
        assert_eq!(
            bridges(&case(5, &[(0, 1, 1.0), (1, 2, 1.0), (2, 0, 1.0), (2, 3, 1.0), (3, 4, 1.0), (4, 3, 1.0)])),
            [3]
        );
    }

    #[test]
    fn random_grids_agree_with_removal() {
        for seed in 1..300 {
            let mut random = Random::new(seed);
            let buses = 2 + random.below(12);
            let branches: Vec<_> = (0..random.below(20))
                .map(|_| {
                    let from = random.below(buses);
                    (from, (from + 1 + random.below(buses - 1)) % buses, 1.0)
                })
                .collect();
            let case = case(buses as usize, &branches);
            assert_eq!(bridges(&case), by_removal(&case), "seed {seed}");
        }
    }

    #[test]
    fn a_long_chain_does_not_overflow_the_stack() {
        let branches: Vec<_> = (0..200_000).map(|bus| (bus, bus + 1, 1.0)).collect();
        assert_eq!(bridges(&case(200_001, &branches)).len(), 200_000);
    }
}
