//! A benchmark as a program: the driver of its sides, or one of them.

use crate::side::Failure;
use std::env;
use std::process::ExitCode;

/// The name of a side and what it does.
pub type NamedSide = (&'static str, fn() -> ExitCode);

/// What `main` of a benchmark does: without an argument it measures the figures; with the
/// name of a side it is that side.
pub fn run(figures: fn() -> Result<(), Failure>, sides: &[NamedSide]) -> ExitCode {
    let Some(name) = env::args().nth(1) else {
        return match figures() {
            Ok(()) => ExitCode::SUCCESS,
            Err(failure) => {
                eprintln!("{failure}");
                ExitCode::FAILURE
            }
        };
    };
    match sides.iter().find(|(side, _)| *side == name) {
        Some((_, side)) => side(),
        None => {
            let known: Vec<_> = sides.iter().map(|(side, _)| *side).collect();
            eprintln!("there is no side {name:?}; there are: {}", known.join(", "));
            ExitCode::from(2)
        }
    }
}
