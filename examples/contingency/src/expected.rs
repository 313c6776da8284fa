//! Compares the figures of a screening with figures computed elsewhere.

use std::fmt::Display;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::figures::Figures;

/// Floats agree within this, relative to the expected one.
pub const RELATIVE_TOLERANCE: f64 = 1e-6;

/// Why expected figures cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ExpectedError {
    /// The file cannot be read.
    #[error("cannot read the expected figures {file}: {reason}")]
    Unreadable {
        /// The file.
        file: String,
        /// What the system said.
        reason: io::Error,
    },
    /// The file does not hold expected figures.
    #[error("the expected figures {file} are malformed: {reason}")]
    Malformed {
        /// The file.
        file: String,
        /// What is wrong, with line and column.
        reason: serde_json::Error,
    },
}

/// One figure beside the one expected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Comparison {
    /// Which figure.
    pub name: String,
    /// The figure expected.
    pub expected: String,
    /// The figure found.
    pub found: String,
    /// Whether they agree.
    pub agrees: bool,
}

/// Figures computed elsewhere.
#[derive(Debug, Clone, Deserialize)]
pub struct Expected {
    buses: usize,
    branches: usize,
    limited_branches: usize,
    slack_bus_id: u64,
    #[serde(rename = "baseMVA")]
    base_mva: f64,
    base: ExpectedBase,
    n1: ExpectedOutages,
}

#[derive(Debug, Clone, Deserialize)]
struct ExpectedBase {
    theta_min_rad: f64,
    theta_max_rad: f64,
    theta_l2_rad: f64,
    #[serde(rename = "flow_l2_MW")]
    flow_l2_mw: f64,
    #[serde(rename = "max_abs_flow_MW")]
    max_abs_flow_mw: f64,
    overloaded: u32,
    max_loading: f64,
}

#[derive(Debug, Clone, Deserialize)]
struct ExpectedOutages {
    outages: usize,
    islanding_outages: u32,
    solved_outages: u32,
    outages_with_violation: u32,
    violation_pairs: u64,
    sum_max_loading: f64,
    top20: Vec<ExpectedOverload>,
    islanding_rows: Vec<u32>,
}

#[derive(Debug, Clone, Deserialize)]
struct ExpectedOverload {
    loading: f64,
    outage_row: u32,
    monitored_row: u32,
}

impl Expected {
    /// Where the expected figures of a case file are, if there are any:
    /// `expected/CASE.json` beside it.
    #[must_use]
    pub fn beside(case_file: &Path) -> Option<PathBuf> {
        let name = Path::new(case_file.file_stem()?).with_extension("json");
        let file = case_file.parent()?.join("expected").join(name);
        file.exists().then_some(file)
    }

    /// Reads expected figures.
    ///
    /// # Errors
    /// [`ExpectedError`] with the file and the reason.
    pub fn read(file: &Path) -> Result<Self, ExpectedError> {
        let name = || file.display().to_string();
        let text = fs::read_to_string(file).map_err(|reason| ExpectedError::Unreadable { file: name(), reason })?;
        serde_json::from_str(&text).map_err(|reason| ExpectedError::Malformed { file: name(), reason })
    }

    /// All figures beside the expected ones.
    #[must_use]
    pub fn compare(&self, figures: &Figures) -> Vec<Comparison> {
        let mut list = List::default();
        let (base, found) = (&self.base, &figures.base);
        list.equal("buses", self.buses, figures.buses);
        list.equal("branches", self.branches, figures.branches);
        list.equal("branches with a limit", self.limited_branches, figures.limited_branches);
        list.equal("slack bus", self.slack_bus_id, figures.slack_bus);
        list.close("base power (MVA)", self.base_mva, figures.base_mva);
        list.close("smallest angle (rad)", base.theta_min_rad, found.theta_min_rad);
        list.close("largest angle (rad)", base.theta_max_rad, found.theta_max_rad);
        list.close("norm of the angles (rad)", base.theta_l2_rad, found.theta_l2_rad);
        list.close("norm of the flows (MW)", base.flow_l2_mw, found.flow_l2_mw);
        list.close("largest flow (MW)", base.max_abs_flow_mw, found.max_abs_flow_mw);
        list.equal("overloaded in the base case", base.overloaded, found.overloaded);
        list.close(
            "highest loading in the base case",
            base.max_loading,
            found.highest.map_or(0.0, |(loading, _)| loading),
        );
        self.compare_outages(figures, &mut list);
        list.0
    }

    fn compare_outages(&self, figures: &Figures, list: &mut List) {
        let (n1, found) = (&self.n1, &figures.outages);
        list.equal("outages", n1.outages, figures.branches);
        let rows = || n1.islanding_rows.iter().copied();
        let missing = rows().filter(|row| figures.islanding_rows.binary_search(row).is_err()).count();
        list.push(
            "outages that split the grid",
            n1.islanding_outages,
            figures.islanding_rows.len(),
            n1.islanding_outages as usize == figures.islanding_rows.len() && missing == 0,
        );
        list.equal("outages solved", n1.solved_outages, found.solved);
        list.equal("outages with a violation", n1.outages_with_violation, found.with_violation);
        list.equal("violations", n1.violation_pairs, found.violations);
        list.close("sum of the highest loadings", n1.sum_max_loading, found.sum_highest);
        list.equal("length of the list of overloads", n1.top20.len(), found.top.len());
        let last = n1.top20.last().map_or(0.0, |overload| overload.loading);
        for (index, (expected, at_index)) in n1.top20.iter().zip(&found.top).enumerate() {
            let same = found.top.iter().find(|overload| {
                (overload.outage_row, overload.monitored_row) == (expected.outage_row, expected.monitored_row)
            });
            // Loadings equal but for rounding may stand in another order, and at the end
            // of the list one may stand for another; the loading at each index is the
            // same all the same.
            let agrees = close(expected.loading, at_index.loading)
                && same.map_or(close(expected.loading, last), |same| close(expected.loading, same.loading));
            let text =
                |outage: u32, monitored: u32, loading: f64| format!("{loading:.6} (row {outage} on row {monitored})");
            let shown = same.unwrap_or(at_index);
            list.push(
                &format!("overload {}", index + 1),
                text(expected.outage_row, expected.monitored_row, expected.loading),
                text(shown.outage_row, shown.monitored_row, shown.loading),
                agrees,
            );
        }
    }
}

fn close(expected: f64, found: f64) -> bool {
    (expected - found).abs() <= RELATIVE_TOLERANCE * expected.abs()
}

#[derive(Default)]
struct List(Vec<Comparison>);

impl List {
    fn push(&mut self, name: &str, expected: impl Display, found: impl Display, agrees: bool) {
        let (expected, found) = (expected.to_string(), found.to_string());
        self.0.push(Comparison { name: name.to_owned(), expected, found, agrees });
    }

    fn equal<T: PartialEq + Display>(&mut self, name: &str, expected: T, found: T) {
        let agrees = expected == found;
        self.push(name, expected, found, agrees);
    }

    fn close(&mut self, name: &str, expected: f64, found: f64) {
        self.push(name, format!("{expected:.9}"), format!("{found:.9}"), close(expected, found));
    }
}
