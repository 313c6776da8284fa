//! What is kept of screened outages: counts, the highest loadings, and a histogram; two
//! summaries merge into one.

use std::cmp::{Ordering, Reverse};

use serde::{Deserialize, Serialize};

/// A loading above this is a violation; the margin keeps a branch exactly at its limit
/// out.
pub const LOADING_LIMIT: f64 = 1.0 + 1e-9;

/// Overloads that a summary keeps.
pub const TOP: usize = 20;

/// Overloads of one outage that may enter the list, so that one outage does not fill it.
pub const TOP_PER_OUTAGE: usize = 8;

/// Width of a bar of the histogram of highest loadings.
pub const BAR_WIDTH: f64 = 0.05;

/// Bars of the histogram; the last one takes all that is above.
pub const BARS: usize = 41;

/// A branch above its limit while another is out.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Overload {
    /// Flow over limit.
    pub loading: f64,
    /// Row of the branch that is out.
    pub outage_row: u32,
    /// Row of the branch that is above its limit.
    pub monitored_row: u32,
}

impl Overload {
    /// The order of the list: by loading, the highest first, then by outage row, then by
    /// monitored row.
    ///
    /// Loadings that differ by rounding alone (two equal parallel lines) count as equal,
    /// so that the order does not depend on how many ranks solved the base case.
    #[must_use]
    pub fn order(&self, other: &Self) -> Ordering {
        // Rounding to a fixed grid, unlike a tolerance, keeps the order transitive.
        let rank = |overload: &Self| (overload.loading * 1e8).round();
        rank(other)
            .total_cmp(&rank(self))
            .then(self.outage_row.cmp(&other.outage_row))
            .then(self.monitored_row.cmp(&other.monitored_row))
    }
}

/// What the outage of one branch does.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Outage {
    /// Row of the branch that is out.
    pub row: u32,
    /// The highest loading and the row of its branch; `None` if no other branch has a
    /// limit.
    pub highest: Option<(f64, u32)>,
    /// Branches above their limit.
    pub violations: u32,
    /// The worst of them, at most [`TOP_PER_OUTAGE`].
    pub overloads: Vec<Overload>,
}

/// What is kept of any number of outages.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// Outages solved.
    pub solved: u32,
    /// Outages with a violation.
    pub with_violation: u32,
    /// Pairs of an outage and a branch above its limit.
    pub violations: u64,
    /// Sum of the highest loading of each outage.
    pub sum_highest: f64,
    /// The worst overloads, at most [`TOP`], in their [order](Overload::order).
    pub top: Vec<Overload>,
    /// Outages by their highest loading, in bars of [`BAR_WIDTH`].
    pub histogram: Vec<u32>,
}

impl Default for Summary {
    fn default() -> Self {
        Self {
            solved: 0,
            with_violation: 0,
            violations: 0,
            sum_highest: 0.0,
            top: Vec::new(),
            histogram: vec![0; BARS],
        }
    }
}

impl Summary {
    /// Takes one more outage in.
    pub fn add(&mut self, outage: &Outage) {
        self.solved += 1;
        self.with_violation += u32::from(outage.violations > 0);
        self.violations += u64::from(outage.violations);
        let highest = outage.highest.map_or(0.0, |(loading, _)| loading);
        self.sum_highest += highest;
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a loading is finite and not below 0"
        )]
        let bar = (highest / BAR_WIDTH) as usize;
        self.histogram[bar.min(BARS - 1)] += 1;
        self.keep(&outage.overloads);
    }

    /// The summary of the outages of all `parts`.
    #[must_use]
    pub fn merge(parts: &[Self]) -> Self {
        let mut all = Self::default();
        for part in parts {
            all.solved += part.solved;
            all.with_violation += part.with_violation;
            all.violations += part.violations;
            all.sum_highest += part.sum_highest;
            for (sum, bar) in all.histogram.iter_mut().zip(&part.histogram) {
                *sum += bar;
            }
            all.keep(&part.top);
        }
        all
    }

    fn keep(&mut self, overloads: &[Overload]) {
        if !overloads.is_empty() {
            self.top.extend_from_slice(overloads);
            self.top.sort_by(Overload::order);
            self.top.truncate(TOP);
        }
    }
}

/// The worst of `overloads` by loading, at most [`TOP_PER_OUTAGE`].
pub(crate) fn worst_of_outage(mut overloads: Vec<Overload>) -> Vec<Overload> {
    overloads.sort_by_key(|overload| (Reverse(TotalOrder(overload.loading)), overload.monitored_row));
    overloads.truncate(TOP_PER_OUTAGE);
    overloads
}

/// A float with the order of [`f64::total_cmp`].
#[derive(PartialEq)]
struct TotalOrder(f64);

impl Eq for TotalOrder {}

impl PartialOrd for TotalOrder {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for TotalOrder {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.total_cmp(&other.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Random;

    fn outage(row: u32, loadings: &[f64]) -> Outage {
        let overloads =
            (0..).zip(loadings).map(|(m, &loading)| Overload { loading, outage_row: row, monitored_row: m }).collect();
        Outage { row, highest: Some((loadings[0], 0)), violations: loadings.len() as u32, overloads }
    }

    #[test]
    fn the_order_is_by_loading_then_rows_and_blind_to_rounding() {
        let o = |loading, outage_row, monitored_row| Overload { loading, outage_row, monitored_row };
        let mut list = [o(1.2, 9, 1), o(1.5 + 1e-13, 7, 2), o(1.5, 7, 1), o(1.5, 3, 8), o(1.7, 5, 5)];
        list.sort_by(Overload::order);
        assert_eq!(list.map(|o| (o.outage_row, o.monitored_row)), [(5, 5), (3, 8), (7, 1), (7, 2), (9, 1)]);
    }

    #[test]
    fn a_tree_of_merges_keeps_what_one_pass_keeps() {
        let mut random = Random::new(4);
        let outages: Vec<_> = (0..300)
            .map(|row| {
                outage(
                    row,
                    &[1.0 + f64::from(random.below(1000)) / 1024.0, 1.0 + f64::from(random.below(1000)) / 1024.0],
                )
            })
            .collect();
        let mut whole = Summary::default();
        let mut parts = vec![Summary::default(); 30];
        for outage in &outages {
            whole.add(outage);
            parts[random.below(30) as usize].add(outage);
        }
        while parts.len() > 1 {
            parts = parts.chunks(8).map(Summary::merge).collect();
        }
        let tree = &parts[0];
        assert_eq!(
            (&tree.top, tree.solved, tree.violations, &tree.histogram),
            (&whole.top, 300, 600, &whole.histogram)
        );
        assert_eq!(tree.top.len(), TOP);
        assert!((tree.sum_highest - whole.sum_highest).abs() < 1e-9);
    }
}
