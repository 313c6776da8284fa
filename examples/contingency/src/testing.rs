//! Small grids and random numbers for the tests of this package.

use crate::case::{Branch, Bus, Case};

/// A case with buses 1, 2, 3 …, the first the slack bus, and branches `(from, to,
/// susceptance)` by position.
pub(crate) fn case(buses: usize, branches: &[(u32, u32, f64)]) -> Case {
    Case {
        name: "test".to_owned(),
        base_mva: 100.0,
        buses: (1..=buses as u64).map(|id| Bus { id, injection_mw: 0.0 }).collect(),
        slack: 0,
        branches: (0..)
            .zip(branches)
            .map(|(row, &(from, to, susceptance))| Branch {
                row,
                from,
                to,
                susceptance,
                shift_rad: 0.0,
                limit_mw: Some(1.0),
            })
            .collect(),
        branch_rows: branches.len() as u32,
    }
}

/// A connected grid with `buses` buses, rings in it, phase shifters, limits on most
/// branches, and injections.
pub(crate) fn random_case(buses: u32, seed: u64) -> Case {
    let mut random = Random::new(seed);
    let mut branches: Vec<(u32, u32, f64)> = (1..buses).map(|bus| (random.below(bus), bus, 0.0)).collect();
    for _ in 0..buses {
        let from = random.below(buses);
        branches.push((from, (from + 1 + random.below(buses - 1)) % buses, 0.0));
    }
    for branch in &mut branches {
        branch.2 = 1.0 + f64::from(random.below(100_000)) / 1000.0;
    }
    let mut case = case(buses as usize, &branches);
    for bus in &mut case.buses {
        bus.injection_mw = f64::from(random.below(2000)) / 10.0 - 100.0;
    }
    for branch in &mut case.branches {
        branch.limit_mw = (random.below(4) > 0).then(|| 100.0 + f64::from(random.below(1000)));
        branch.shift_rad = if random.below(10) == 0 { 0.1 } else { 0.0 };
    }
    case
}

/// A small generator of random numbers (xorshift, Marsaglia 2003), so that a seed replays
/// a test.
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// A number below `bound`.
    pub(crate) fn below(&mut self, bound: u32) -> u32 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        ((self.0 >> 33) % u64::from(bound)) as u32
    }
}
