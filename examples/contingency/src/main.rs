//! N-1 contingency screening of a transmission grid as a graph of tasks.
//!
//! ```sh
//! cargo run --release -p contingency -- CASE.m             # on this machine
//! mpirun -n 4 contingency CASE.m                           # built with --features mpi
//! ```
#![allow(clippy::print_stdout, reason = "the figures are what this program prints")]

use std::error::Error;

use contingency::expected::{Comparison, Expected};
use contingency::job::{self, Outcome};
use contingency::options::{HELP, Options};
use contingency::report::Report;
use distwq::prelude::*;

#[distwq::main]
fn main(cluster: &Cluster) -> Result<(), Box<dyn Error>> {
    let Some(options) = Options::from_arguments().map_err(|error| format!("{error}: see --help"))? else {
        print!("{HELP}");
        return Ok(());
    };
    // Looked at first, so that a malformed file, or a report that has no folder, costs no
    // screening.
    let expected = options.expected().map(|file| Expected::read(&file)).transpose()?;
    options.check_report()?;
    let outcome = job::run(cluster, &options)?;
    print!("{}", outcome.figures);
    let plural = if cluster.workers() == 1 { "" } else { "s" };
    println!("finished in {:.3} s on {} worker{plural}", outcome.seconds, cluster.workers());
    let comparisons = expected.map(|expected| expected.compare(&outcome.figures)).unwrap_or_default();
    write_report(&options, &outcome, &comparisons)?;
    contingency::verdict::verdict(&outcome.figures, &comparisons)?;
    Ok(())
}

fn write_report(options: &Options, outcome: &Outcome, comparisons: &[Comparison]) -> Result<(), String> {
    let Some(file) = &options.report else { return Ok(()) };
    let report = Report {
        grid: &outcome.grid,
        figures: &outcome.figures,
        comparisons,
        tasks: &outcome.tasks,
        seconds: outcome.seconds,
    };
    let written = std::fs::write(file, report.html());
    written.map_err(|reason| format!("cannot write the report {}: {reason}", file.display()))?;
    println!("report: {}", std::path::absolute(file).unwrap_or_else(|_| file.clone()).display());
    Ok(())
}
