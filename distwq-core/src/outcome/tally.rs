//! Run times, added up one by one where tasks end, and what they come to.

use serde::{Deserialize, Serialize};
use std::time::Duration;

/// How often something ran, and for how long: what is added to at the end of each
/// attempt. Nothing in it rounds, so the order of the ends changes nothing.
#[derive(Serialize, Deserialize, Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Tally {
    pub(crate) count: u64,
    failures: u64,
    total_ns: u64,
    /// The sum of the squares of all times.
    squares: u128,
    min_ns: u64,
    max_ns: u64,
}

impl Tally {
    /// That of what never ran.
    pub(crate) const NONE: Self = Self { count: 0, failures: 0, total_ns: 0, squares: 0, min_ns: u64::MAX, max_ns: 0 };

    /// One more has ended.
    #[inline]
    pub(crate) fn add(&mut self, ran_ns: u64, has_failed: bool) {
        self.add_items(ran_ns, 1, has_failed.into());
    }

    /// So many items of a map have run one after another, so long together: each counts
    /// with the mean of that.
    #[inline]
    pub(crate) fn add_items(&mut self, ran_ns: u64, items: u32, failed: u32) {
        let Some(mean_ns) = ran_ns.checked_div(items.into()) else { return };
        self.join(&Self {
            count: items.into(),
            failures: failed.into(),
            total_ns: ran_ns,
            squares: (u128::from(mean_ns) * u128::from(mean_ns)).wrapping_mul(items.into()),
            min_ns: mean_ns,
            max_ns: mean_ns,
        });
    }

    /// Adds what was counted elsewhere.
    #[inline]
    pub(crate) fn join(&mut self, other: &Self) {
        self.count += other.count;
        self.failures += other.failures;
        self.total_ns = self.total_ns.wrapping_add(other.total_ns);
        self.squares = self.squares.wrapping_add(other.squares);
        self.min_ns = self.min_ns.min(other.min_ns);
        self.max_ns = self.max_ns.max(other.max_ns);
    }

    /// How long all have run together.
    pub(crate) fn total_ns(&self) -> u64 {
        self.total_ns
    }

    /// What it comes to.
    pub(crate) fn times(&self) -> RunTimes {
        let &Self { count, failures, total_ns, squares, min_ns, max_ns } = self;
        if count == 0 {
            return RunTimes::default();
        }
        let spread = squares as f64 - total_ns as f64 * (total_ns as f64 / count as f64);
        let variance = if count > 1 { spread.max(0.0) / (count - 1) as f64 } else { 0.0 };
        RunTimes {
            count,
            failures,
            total: Duration::from_nanos(total_ns),
            mean: Duration::from_nanos(total_ns / count),
            sd: Duration::from_nanos(variance.sqrt() as u64),
            min: Duration::from_nanos(min_ns),
            max: Duration::from_nanos(max_ns),
        }
    }
}

/// How often something ran, and for how long. All is zero of what never ran.
#[derive(Serialize, Deserialize, Clone, Copy, PartialEq, Eq, Default, Debug)]
#[non_exhaustive]
pub struct RunTimes {
    /// Attempts that ran to their ends. Of a collective task each member is one, and so
    /// is each item of a map; items that travelled together count with their mean time.
    pub count: u64,
    /// Those of them that gave no value.
    pub failures: u64,
    /// How long they ran together.
    pub total: Duration,
    /// How long one ran in the mean.
    pub mean: Duration,
    /// The standard deviation from that, of a sample; zero of a single one.
    pub sd: Duration,
    /// The shortest.
    pub min: Duration,
    /// The longest.
    pub max: Duration,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tally(times: &[u64]) -> Tally {
        let mut tally = Tally::NONE;
        times.iter().for_each(|ran_ns| tally.add(*ran_ns, ran_ns % 2 == 1));
        tally
    }

    #[test]
    fn times_are_zero_of_what_never_ran_and_have_no_spread_if_it_ran_once() {
        assert_eq!(tally(&[]).times(), RunTimes::default());
        let once = tally(&[7]).times();
        assert_eq!((once.count, once.failures, once.mean, once.sd), (1, 1, Duration::from_nanos(7), Duration::ZERO));
    }

    #[test]
    fn items_that_ran_together_count_each_with_their_mean() {
        let mut items = tally(&[8]);
        items.add_items(40, 10, 3);
        items.add_items(5, 0, 0);
        let RunTimes { count, failures, total, min, max, .. } = items.times();
        assert_eq!((count, failures), (11, 3));
        assert_eq!([total, min, max], [48, 4, 8].map(Duration::from_nanos));
    }

    /// 2, 4, 4, 4, 5, 5, 7, 9: the sum of the squares of their distances from 5 is 32.
    #[test]
    fn mean_and_spread_are_those_of_the_sample_however_it_is_counted() {
        let unit = 1_000_000;
        let times = [2, 4, 4, 4, 5, 5, 7, 9].map(|time| time * unit);
        let all = tally(&times);
        let RunTimes { count, total, mean, sd, min, max, .. } = all.times();
        assert_eq!((count, total, mean), (8, Duration::from_millis(40), Duration::from_millis(5)));
        assert_eq!((min, max), (Duration::from_millis(2), Duration::from_millis(9)));
        let expected = (32.0_f64 / 7.0).sqrt() * unit as f64;
        assert!((sd.as_nanos() as f64 - expected).abs() <= 1.0, "{sd:?}");
        let (front, back) = times.split_at(3);
        let mut joined = tally(back);
        joined.join(&tally(front));
        joined.join(&Tally::NONE);
        assert_eq!(joined, all);
    }

    #[test]
    fn equal_long_times_have_no_spread_beside_them() {
        let year_ns = 365 * 24 * 3_600 * 1_000_000_000;
        let times = tally(&[year_ns; 100]).times();
        assert!(times.min <= times.mean && times.mean <= times.max);
        assert!(times.sd < times.mean / 1_000_000, "{:?}", times.sd);
    }
}
