//! Says whether the figures are right: as expected, and the same from scratch.

use crate::expected::Comparison;
use crate::figures::Figures;

/// Figures that are off, each named.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not as it should be ({} in all):\n  {}", off.len(), off.join("\n  "))]
pub struct FiguresOff {
    off: Vec<String>,
}

/// Prints that all figures are right.
///
/// # Errors
/// [`FiguresOff`] with every figure that is not as expected, and every loading that a
/// solution from scratch does not confirm.
#[expect(clippy::print_stdout, reason = "this is what the job tells its user")]
pub fn verdict(figures: &Figures, comparisons: &[Comparison]) -> Result<(), FiguresOff> {
    let unexpected = comparisons.iter().filter(|comparison| !comparison.agrees);
    let unexpected = unexpected
        .map(|comparison| format!("{}: expected {}, found {}", comparison.name, comparison.expected, comparison.found));
    let unconfirmed = figures.disagreements().into_iter().map(|disagreement| disagreement.to_string());
    let off: Vec<String> = unexpected.chain(unconfirmed).collect();
    if !off.is_empty() {
        return Err(FiguresOff { off });
    }
    if comparisons.is_empty() {
        println!("no expected figures to compare with");
    } else {
        println!("all {} figures are as expected", comparisons.len());
    }
    match figures.rechecks.len() {
        0 => println!("no outage overloads a branch, so there is nothing to confirm"),
        solutions => println!("all {solutions} solutions from scratch confirm the screening"),
    }
    Ok(())
}
