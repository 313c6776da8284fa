//! Two sides, measured by turns.

use crate::side::Failure;

/// How many pairs are measured; odd, so that one of them is the median.
pub const PAIRS: usize = 5;

/// One figure: what distwq reaches beside what its reference reaches.
#[derive(Clone, Copy, Debug)]
pub struct Figure<'a> {
    /// Its name.
    pub name: &'a str,
    /// The unit of both values.
    pub unit: &'static str,
}

/// One measurement of each side, right after each other.
#[derive(Clone, Copy, Debug)]
struct Pair {
    ours: f64,
    reference: f64,
}

impl Pair {
    fn ratio(self) -> f64 {
        self.ours / self.reference
    }
}

impl<'a> Figure<'a> {
    /// A figure of this name and unit.
    #[must_use]
    pub const fn new(name: &'a str, unit: &'static str) -> Self {
        Self { name, unit }
    }

    /// Measures reference and distwq by turns, [`PAIRS`] times, and prints the figure.
    ///
    /// # Errors
    /// The first failure of either side.
    pub fn compare(
        self,
        mut reference: impl FnMut() -> Result<f64, Failure>,
        mut ours: impl FnMut() -> Result<f64, Failure>,
    ) -> Result<(), Failure> {
        let mut pairs = Vec::new();
        for number in 1..=PAIRS {
            let reference = reference()?;
            let pair = Pair { reference, ours: ours()? };
            eprintln!("{} pair {number}: {}", self.name, self.shown(pair));
            pairs.push(pair);
        }
        pairs.sort_by(|one, other| one.ratio().total_cmp(&other.ratio()));
        self.print(pairs[pairs.len() / 2]);
        Ok(())
    }

    /// Prints the figure of a measurement that needs no pairs, because its reference is a
    /// constant.
    pub fn constant(self, ours: f64, reference: f64) {
        self.print(Pair { ours, reference });
    }

    fn print(self, pair: Pair) {
        println!("figure {} {}", self.name, self.shown(pair));
    }

    fn shown(self, pair: Pair) -> String {
        let (ours, reference) = (significant(pair.ours), significant(pair.reference));
        format!("{ours} {} reference {reference} ratio {:.3}", self.unit, pair.ratio())
    }
}

/// A value with four digits or all those before the point.
fn significant(value: f64) -> String {
    let before_the_point = value.abs().max(1.0).log10().floor() as usize + 1;
    format!("{value:.*}", 4_usize.saturating_sub(before_the_point))
}

#[cfg(test)]
mod tests {
    use super::significant;

    #[test]
    fn four_digits_are_shown() {
        assert_eq!(significant(0.12345), "0.123");
        assert_eq!(significant(1.23456), "1.235");
        assert_eq!(significant(99.876), "99.88");
        assert_eq!(significant(950_123.4), "950123");
    }
}
