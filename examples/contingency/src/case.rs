//! A transmission grid as its case file describes it, checked: the part of it that is in
//! service and that the DC power flow needs.

use std::collections::HashMap;
use std::fs;
use std::ops::RangeInclusive;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::matpower::{Row, Tables};

mod error;

pub use error::{CaseError, ModelError};

/// A bus in service.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Bus {
    /// Its id in the case file.
    pub id: u64,
    /// What it feeds into the grid: generation less demand less shunt, in MW.
    pub injection_mw: f64,
}

/// A branch in service: a line or a transformer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Branch {
    /// Row of the branch in the table of the case file, from 0, rows out of service
    /// counted too.
    pub row: u32,
    /// Position of its first bus in [`Case::buses`].
    pub from: u32,
    /// Position of its second bus in [`Case::buses`].
    pub to: u32,
    /// `1 / (x · tap)`, per unit.
    pub susceptance: f64,
    /// Angle of a phase shifter, in radians.
    pub shift_rad: f64,
    /// How much it may carry, in MW; `None` without a limit.
    pub limit_mw: Option<f64>,
}

/// A grid as its case file describes it, without what is out of service.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Case {
    /// Name of the file without its folder and extension.
    pub name: String,
    /// Power that is 1 per unit, in MVA.
    pub base_mva: f64,
    /// The buses in service, in the order of the file.
    pub buses: Vec<Bus>,
    /// Position of the slack bus in `buses`.
    pub slack: u32,
    /// The branches in service, in the order of the file.
    pub branches: Vec<Branch>,
    /// Rows of the table of branches, those out of service too.
    pub branch_rows: u32,
}

/// Reads a case file into text, whatever the encoding of its comments.
///
/// # Errors
/// [`CaseError::Unreadable`] with the reason that the system gives.
pub fn read_text(file: &Path) -> Result<String, CaseError> {
    match fs::read(file) {
        Ok(bytes) => Ok(String::from_utf8_lossy(&bytes).into_owned()),
        Err(reason) => Err(CaseError::Unreadable { file: file.display().to_string(), reason }),
    }
}

impl Case {
    /// Reads the text of `file`, which is named in errors and gives the case its name.
    ///
    /// # Errors
    /// A [`CaseError`] with the line and the reason.
    pub fn parse(file: &str, text: &str) -> Result<Self, CaseError> {
        let tables = Tables::read(text).map_err(|reason| CaseError::Format { file: file.to_owned(), reason })?;
        let stem = Path::new(file).file_stem().map_or_else(|| file.to_owned(), |s| s.to_string_lossy().into_owned());
        Self::from_tables(stem, &tables).map_err(|reason| CaseError::Model { file: file.to_owned(), reason })
    }

    /// Checks the tables and keeps what is in service.
    ///
    /// # Errors
    /// A [`ModelError`] with the line and the reason.
    pub fn from_tables(name: String, tables: &Tables) -> Result<Self, ModelError> {
        let (line, base_mva) = tables.base_mva;
        if !(BASE_MVA_MIN..=MEGAWATTS_MAX).contains(&base_mva) {
            return Err(ModelError::Base { line, value: base_mva });
        }
        let mut buses = BusTable::read(&tables.bus)?;
        for row in &tables.generators {
            buses.add_generator(row)?;
        }
        let mut branches = Vec::with_capacity(tables.branch.len());
        for (number, row) in (0_u32..).zip(&tables.branch) {
            branches.extend(read_branch(number, row, &buses)?);
        }
        if branches.is_empty() {
            return Err(ModelError::NoBranches);
        }
        let branch_rows = count(tables.branch.len());
        Ok(Self { name, base_mva, slack: buses.slack, buses: buses.in_service, branches, branch_rows })
    }
}

/// The table of buses while it is read.
struct BusTable {
    in_service: Vec<Bus>,
    slack: u32,
    /// Position in `in_service` by id, `None` for an isolated bus, with the line of each.
    positions: HashMap<u64, (usize, Option<u32>)>,
}

impl BusTable {
    fn read(rows: &[Row]) -> Result<Self, ModelError> {
        let mut in_service: Vec<Bus> = Vec::with_capacity(rows.len());
        let mut positions = HashMap::with_capacity(rows.len());
        let mut slack: Option<u32> = None;
        for row in rows {
            let line = row.line;
            let id = bus_id(row, 0, "a bus id")?;
            let kind = row.values[1];
            if ![1.0, 2.0, 3.0, 4.0].contains(&kind) {
                let expected = "1, 2, 3 (slack) or 4 (isolated) is needed";
                return Err(ModelError::Value { line, what: "the type of a bus", value: kind, expected });
            }
            let isolated = kind == 4.0;
            let position = (!isolated).then(|| count(in_service.len()));
            if let Some((first, _)) = positions.insert(id, (line, position)) {
                return Err(ModelError::DuplicateBus { line, id, first });
            }
            if isolated {
                continue;
            }
            if kind == 3.0 {
                if let Some(first) = slack {
                    return Err(ModelError::SeveralSlacks { line, id, first: in_service[first as usize].id });
                }
                slack = position;
            }
            let demand = megawatts(row, 2, "the demand Pd")? + megawatts(row, 4, "the shunt conductance Gs")?;
            in_service.push(Bus { id, injection_mw: -demand });
        }
        Ok(Self { in_service, slack: slack.ok_or(ModelError::NoSlack)?, positions })
    }

    /// Position of the bus that column `column` of `row` names, `None` if it is isolated.
    fn find(&self, row: &Row, column: usize, what: &'static str) -> Result<(u64, Option<u32>), ModelError> {
        let id = bus_id(row, column, "a bus id")?;
        match self.positions.get(&id) {
            Some((_, position)) => Ok((id, *position)),
            None => Err(ModelError::UnknownBus { line: row.line, what, id }),
        }
    }

    fn add_generator(&mut self, row: &Row) -> Result<(), ModelError> {
        let (_, position) = self.find(row, 0, "a generator")?;
        let status = finite(row, 7, "the status of a generator")?;
        if let Some(position) = position.filter(|_| status > 0.0) {
            self.in_service[position as usize].injection_mw += megawatts(row, 1, "the generation Pg")?;
        }
        Ok(())
    }
}

/// A branch, or `None` when it is out of service itself or ends at an isolated bus.
fn read_branch(number: u32, row: &Row, buses: &BusTable) -> Result<Option<Branch>, ModelError> {
    let line = row.line;
    let (from_id, from) = buses.find(row, 0, "a branch")?;
    let (to_id, to) = buses.find(row, 1, "a branch")?;
    let status = finite(row, 10, "the status of a branch")?;
    let (Some(from), Some(to), true) = (from, to, status > 0.0) else {
        return Ok(None);
    };
    if from == to {
        return Err(ModelError::Loop { line, id: from_id });
    }
    // The power flow does not need it, but a row in which it cannot be meant is not read
    // as it was written.
    per_unit(row, 2, "the resistance r", 0.0, "a size up to 1e6 per unit can be meant")?;
    if row.values[3] == 0.0 {
        return Err(ModelError::NoReactance { line, from: from_id, to: to_id });
    }
    let expected = "a size from 1e-9 to 1e6 per unit can be meant";
    let reactance = per_unit(row, 3, "the reactance x", REACTANCE_MIN, expected)?;
    let tap = finite(row, 8, "the tap ratio")?;
    if tap != 0.0 && !TAP_RATIOS.contains(&tap) {
        let expected = "a number from 0.01 to 100, or 0 for a line, is needed";
        return Err(ModelError::Value { line, what: "the tap ratio", value: tap, expected });
    }
    let susceptance = 1.0 / (reactance * if tap == 0.0 { 1.0 } else { tap });
    let limit_mw = match row.values[5] {
        // Both zero and infinity are in use for "no limit".
        limit if limit == 0.0 || limit == f64::INFINITY => None,
        limit if (LIMIT_MW_MIN..=MEGAWATTS_MAX).contains(&limit) => Some(limit),
        value => {
            let expected = "a number from 1e-6 to 1e10 MW, or 0 for no limit, is needed";
            return Err(ModelError::Value { line, what: "the limit rateA", value, expected });
        }
    };
    let shift = finite(row, 9, "the phase shift")?;
    if shift.abs() > 360.0 {
        let expected = "an angle from -360 to 360 degrees is needed";
        return Err(ModelError::Value { line, what: "the phase shift", value: shift, expected });
    }
    let shift_rad = shift.to_radians();
    Ok(Some(Branch { row: number, from, to, susceptance, shift_rad, limit_mw }))
}

fn finite(row: &Row, column: usize, what: &'static str) -> Result<f64, ModelError> {
    let value = row.values[column];
    if value.is_finite() { Ok(value) } else { Err(ModelError::NotFinite { line: row.line, what, value }) }
}

/// A thousand times what the whole world could generate.
const MEGAWATTS_MAX: f64 = 1e10;

/// Less than a milliwatt is no base for a grid.
const BASE_MVA_MIN: f64 = 1e-9;

/// A kilometre of cable at 400 V has some hundred on a base of 100 MVA; this is more than
/// a thousand times that.
const PER_UNIT_MAX: f64 = 1e6;

/// A thousandth of what usually stands for a closed switch. Beside the susceptance of a
/// smaller one those of all other branches would be lost in rounding.
const REACTANCE_MIN: f64 = 1e-9;

/// Transformers are within a few tenths of 1, because a ratio is relative to that of the
/// nominal voltages.
const TAP_RATIOS: RangeInclusive<f64> = 0.01..=100.0;

/// Nothing that is built for less than a watt is a branch of a grid; and the loading of
/// one would overflow.
const LIMIT_MW_MIN: f64 = 1e-6;

/// A value of a size from `least` to [`PER_UNIT_MAX`].
fn per_unit(
    row: &Row,
    column: usize,
    what: &'static str,
    least: f64,
    expected: &'static str,
) -> Result<f64, ModelError> {
    let value = finite(row, column, what)?;
    if !(least..=PER_UNIT_MAX).contains(&value.abs()) {
        return Err(ModelError::Value { line: row.line, what, value, expected });
    }
    Ok(value)
}

fn megawatts(row: &Row, column: usize, what: &'static str) -> Result<f64, ModelError> {
    let value = finite(row, column, what)?;
    if value.abs() > MEGAWATTS_MAX {
        return Err(ModelError::Value { line: row.line, what, value, expected: "at most 1e10 MW can be meant" });
    }
    Ok(value)
}

fn bus_id(row: &Row, column: usize, what: &'static str) -> Result<u64, ModelError> {
    let value = finite(row, column, what)?;
    // 2^53: above it a float no longer tells neighbouring integers apart.
    if value.fract() != 0.0 || !(1.0..9.007_199_254_740_992e15).contains(&value) {
        return Err(ModelError::Value { line: row.line, what, value, expected: "a positive whole number is needed" });
    }
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked just above")]
    Ok(value as u64)
}

fn count(length: usize) -> u32 {
    u32::try_from(length).expect("a table of four billion rows does not fit into memory as text")
}

#[cfg(test)]
mod tests {
    use super::*;

    const BUS: &str =
        "1 3 0 0 0 0 1 1 0 380 1 1.1 0.9;\n2 1 10 0 2 0 1 1 0 380 1 1.1 0.9;\n7 4 0 0 0 0 1 1 0 380 1 1.1 0.9;";
    const GENERATOR: &str = "1 10 0 Inf -Inf 1 100 1 99 0;\n2 3 0 0 0 1 100 0 99 0;";
    const BRANCH: &str =
        "1 2 0 0.1 0 50 0 0 0 0 1;\n1 2 0 0.2 0 0 0 0 0.5 90 1;\n1 2 0 0 0 0 0 0 0 0 0;\n2 7 0 1 0 0 0 0 0 0 1;";

    fn parse(bus: &str, generator: &str, branch: &str) -> Result<Case, CaseError> {
        let text = format!(
            "mpc.baseMVA = 100;\nmpc.bus = [\n{bus}\n];\nmpc.gen = [\n{generator}\n];\nmpc.branch = [\n{branch}\n];"
        );
        Case::parse("grids/tiny.m", &text)
    }

    fn fails(bus: &str, generator: &str, branch: &str) -> String {
        parse(bus, generator, branch).expect_err("this case is malformed").to_string()
    }

    #[test]
    fn only_what_is_in_service_is_kept_with_its_row_in_the_file() {
        let case = parse(BUS, GENERATOR, BRANCH).unwrap();
        assert_eq!((case.name.as_str(), case.buses.len(), case.slack, case.branch_rows), ("tiny", 2, 0, 4));
        assert_eq!(case.buses[1], Bus { id: 2, injection_mw: -12.0 });
        assert_eq!(case.branches.iter().map(|b| b.row).collect::<Vec<_>>(), [0, 1]);
        assert_eq!((case.branches[0].limit_mw, case.branches[1].limit_mw), (Some(50.0), None));
        assert_eq!(case.branches[1].susceptance, 10.0);
        assert_eq!(case.branches[1].shift_rad, std::f64::consts::FRAC_PI_2);
    }

    #[test]
    fn what_is_wrong_is_said_with_file_and_line() {
        let bus = |from: &str, to: &str| fails(&BUS.replace(from, to), GENERATOR, BRANCH);
        assert_eq!(bus("2 1 10", "1 1 10"), "grids/tiny.m: line 4: bus 1 is there twice, first on line 3");
        assert!(bus("1 3", "1 2").contains("no bus is the slack bus"));
        assert!(bus("2 1 10", "2 3 10").contains("line 4: bus 2 is a second slack bus (type 3) beside bus 1"));
        assert!(bus("2 1 10", "2 5 10").contains("line 4: the type of a bus is 5"));
        assert!(bus("2 1 10", "2 1 NaN").contains("line 4: the demand Pd is NaN"));
        assert!(bus("2 1 10", "2 1 1e308").contains("line 4: the demand Pd is 1e308, at most 1e10 MW can be meant"));
        assert!(bus("2 1 10", "2.5 1 10").contains("line 4: a bus id is 2.5"));
        let branch = |from: &str, to: &str| fails(BUS, GENERATOR, &BRANCH.replacen(from, to, 1));
        assert!(branch("1 2", "1 9").contains("line 12: a branch names bus 9, which is not"));
        assert!(branch("0.1", "0").contains("line 12: the branch between buses 1 and 2 has reactance 0"));
        assert!(branch("0.1", "NaN").contains("line 12: the reactance x is NaN"));
        assert!(branch("50", "-50").contains("line 12: the limit rateA is -50"));
        assert!(branch("50", "NaN").contains("line 12: the limit rateA is NaN"));
        assert!(branch("0.5 90", "-1 90").contains("line 13: the tap ratio is -1"));
        assert!(branch("1 2", "2 2").contains("line 12: the branch joins bus 2 to itself"));
        for far in ["1e300", "-1e300", "1e-300", "5e-324"] {
            let said = branch("0.1", far);
            assert!(said.contains("line 12: the reactance x is"), "{said}");
            assert!(said.ends_with("a size from 1e-9 to 1e6 per unit can be meant"), "{said}");
        }
        assert!(
            branch("1 2 0 ", "1 2 1e300 ").contains("line 12: the resistance r is 1e300, a size up to 1e6 per unit")
        );
        assert!(branch("1 2 0 ", "1 2 NaN ").contains("line 12: the resistance r is NaN"));
        assert!(branch("50", "1e-300").contains("line 12: the limit rateA is 1e-300, "));
        assert!(branch("50", "1e300").contains("line 12: the limit rateA is 1e300, "));
        assert!(branch("0.5 90", "1e-300 90").contains("line 13: the tap ratio is 1e-300, "));
        assert!(branch("0.5 90", "1e300 90").contains("line 13: the tap ratio is 1e300, "));
        assert!(branch("0.5 90", "0.5 1e300").contains("line 13: the phase shift is 1e300, "));
        assert!(fails(BUS, &GENERATOR.replace("1 10", "8 10"), BRANCH).contains("line 8: a generator names bus 8"));
        assert!(fails(BUS, GENERATOR, "1 2 0 0.1 0 0 0 0 0 0 0;").contains("no branch is in service"));
    }

    #[test]
    fn a_missing_file_is_named() {
        let error = read_text(Path::new("no/such/case.m")).expect_err("there is no such file");
        assert!(error.to_string().starts_with("cannot read the case file no/such/case.m: "), "{error}");
    }

    #[test]
    fn an_empty_table_of_generators_is_a_grid_without_generation() {
        assert_eq!(parse(BUS, "", BRANCH).unwrap().buses[0].injection_mw, 0.0);
    }
}
