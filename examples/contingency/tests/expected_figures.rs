//! The numerics against figures computed elsewhere, outage by outage.

#![allow(clippy::unwrap_used, missing_docs, reason = "a test fails by panicking")]

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use contingency::base::PowerFlow;
use contingency::bridges::bridges;
use contingency::case::{Case, read_text};
use contingency::collective::Alone;
use contingency::expected::Expected;
use contingency::figures::Figures;
use contingency::grid::Grid;
use contingency::recheck::recheck;
use contingency::screening::{Plan, each_outage};
use contingency::solver::TOLERANCE;
use contingency::summary::Summary;

fn data(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../data/powergrid").join(file)
}

fn grid(name: &str) -> Grid {
    let file = data(&format!("{name}.m"));
    Grid::build(Case::parse(&file.display().to_string(), &read_text(&file).unwrap()).unwrap()).unwrap()
}

fn expected(file: &str) -> String {
    let mut text = String::new();
    let file = File::open(data("expected").join(file)).unwrap();
    flate2::read::GzDecoder::new(file).read_to_string(&mut text).unwrap();
    text
}

fn close(found: f64, expected: f64, what: &str) {
    assert!((found - expected).abs() <= 1e-6 * expected.abs() + 1e-9, "{what}: {found} is not {expected}");
}

fn screen_all(name: &str) {
    let grid = grid(name);
    let base = PowerFlow::solve(&Alone, &grid, TOLERANCE).unwrap();
    for (line, (bus, theta)) in
        expected(&format!("{name}.theta.txt.gz")).lines().skip(1).zip(grid.case.buses.iter().zip(&base.theta_rad))
    {
        let (id, angle) = line.split_once(' ').unwrap();
        assert_eq!(id, bus.id.to_string());
        close(*theta, angle.parse().unwrap(), line);
    }
    let islanding = bridges(&grid.case);
    let plan = Plan::new(&grid, &islanding);
    let mut found = Vec::new();
    each_outage(&grid, &base, &plan, 0, 1, TOLERANCE, |outage| found.push(outage)).unwrap();
    found.sort_by_key(|outage| outage.row);
    let table = expected(&format!("{name}.n1.tsv.gz"));
    assert_eq!(table.lines().count(), found.len() + 1);
    for (line, outage) in table.lines().skip(1).zip(&found) {
        let columns: Vec<&str> = line.split('\t').collect();
        let (loading, _) = outage.highest.unwrap();
        assert_eq!(columns[0], outage.row.to_string());
        close(loading, columns[1].parse().unwrap(), line);
        assert_eq!(columns[3], outage.violations.to_string(), "{line}");
    }
    let mut summary = Summary::default();
    found.iter().for_each(|outage| summary.add(outage));
    let rechecks = summary.top.iter().map(|overload| recheck(&Alone, &grid, *overload, TOLERANCE).unwrap()).collect();
    let figures = Figures::new(&grid, &base, &islanding, summary, rechecks);
    assert_eq!(figures.disagreements(), []);
    compare(&data(&format!("{name}.m")), figures);
}

/// All figures agree; what is then changed is off, and nothing else.
fn compare(case_file: &Path, mut figures: Figures) {
    let expected = Expected::read(&Expected::beside(case_file).unwrap()).unwrap();
    let off = |figures: &Figures| {
        let comparisons = expected.compare(figures).into_iter();
        comparisons.filter(|comparison| !comparison.agrees).map(|comparison| comparison.name).collect::<Vec<_>>()
    };
    assert_eq!(off(&figures), [""; 0]);
    figures.outages.violations += 1;
    figures.base.theta_l2_rad *= 1.0 + 2e-6;
    figures.islanding_rows[3] += 1;
    assert_eq!(off(&figures), ["norm of the angles (rad)", "outages that split the grid", "violations"]);
    figures.outages.top[2].loading *= 1.0 + 2e-6;
    figures.rechecks[0].resolved = f64::NAN;
    assert_eq!(off(&figures).last().unwrap(), "overload 3");
    assert!(figures.disagreements()[0].to_string().contains("a solution from scratch NaN"));
}

#[test]
fn every_outage_of_the_small_case_is_as_expected() {
    screen_all("case1354pegase");
}

/// Minutes without optimisation, so it runs with `--ignored`, best in release.
#[test]
#[ignore = "slow without optimisation"]
fn every_outage_of_the_main_case_is_as_expected() {
    screen_all("case2869pegase");
}
