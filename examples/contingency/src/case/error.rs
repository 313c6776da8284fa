//! What can be wrong with a case.

use crate::matpower::FormatError;

/// Why a case cannot be used; every message names the file, and the line where there is
/// one.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CaseError {
    /// The file cannot be read.
    #[error("cannot read the case file {file}: {reason}")]
    Unreadable {
        /// The file.
        file: String,
        /// What the system said.
        reason: std::io::Error,
    },
    /// The text is not a case of format version 2.
    #[error("{file}: {reason}")]
    Format {
        /// The file.
        file: String,
        /// What is wrong.
        reason: FormatError,
    },
    /// The tables are in order, but do not describe a grid.
    #[error("{file}: {reason}")]
    Model {
        /// The file.
        file: String,
        /// What is wrong.
        reason: ModelError,
    },
}

/// What is wrong with the grid that the tables describe.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ModelError {
    /// `baseMVA` is not a positive number that can be meant.
    #[error("line {line}: baseMVA is {value:?}, it must be a positive number from 1e-9 to 1e10")]
    Base {
        /// Line of the value.
        line: usize,
        /// The value found.
        value: f64,
    },
    /// A value that the model needs is `NaN` or infinite.
    #[error("line {line}: {what} is {value}, a finite number is needed")]
    NotFinite {
        /// Line of the value.
        line: usize,
        /// What it is.
        what: &'static str,
        /// The value found.
        value: f64,
    },
    /// A value is outside of what it may be.
    #[error("line {line}: {what} is {value:?}, {expected}")]
    Value {
        /// Line of the value.
        line: usize,
        /// What it is.
        what: &'static str,
        /// The value found.
        value: f64,
        /// What it may be.
        expected: &'static str,
    },
    /// Two buses have one id.
    #[error("line {line}: bus {id} is there twice, first on line {first}")]
    DuplicateBus {
        /// Line of the second.
        line: usize,
        /// The id.
        id: u64,
        /// Line of the first.
        first: usize,
    },
    /// A generator or a branch names a bus that is not in the table of buses.
    #[error("line {line}: {what} names bus {id}, which is not in the table of buses")]
    UnknownBus {
        /// Line of the row.
        line: usize,
        /// Which row it is.
        what: &'static str,
        /// The id.
        id: u64,
    },
    /// No bus has type 3.
    #[error("no bus is the slack bus (type 3): set the type of one bus to 3")]
    NoSlack,
    /// More than one bus has type 3.
    #[error(
        "line {line}: bus {id} is a second slack bus (type 3) beside bus {first}: keep one and give the others type 2"
    )]
    SeveralSlacks {
        /// Line of the second.
        line: usize,
        /// Its id.
        id: u64,
        /// Id of the first.
        first: u64,
    },
    /// A branch in service has no reactance.
    #[error(
        "line {line}: the branch between buses {from} and {to} has reactance 0, so its flow is not defined: merge \
         the two buses or give it a reactance"
    )]
    NoReactance {
        /// Line of the branch.
        line: usize,
        /// Id of its first bus.
        from: u64,
        /// Id of its second bus.
        to: u64,
    },
    /// A branch joins a bus to itself.
    #[error("line {line}: the branch joins bus {id} to itself")]
    Loop {
        /// Line of the branch.
        line: usize,
        /// Id of the bus.
        id: u64,
    },
    /// No branch is in service.
    #[error("no branch is in service, so there is nothing to screen")]
    NoBranches,
}
