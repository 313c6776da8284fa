//! The arguments of the command line.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use lexopt::prelude::*;

use crate::expected::Expected;
use crate::solver::TOLERANCE;

/// What `--help` prints.
pub const HELP: &str = "\
N-1 contingency screening of a transmission grid

usage: contingency [options] [CASE.m]

CASE.m is a MATPOWER case of format version 2; without it, data/powergrid/case2869pegase.m is screened. Figures are
compared with expected/CASE.json beside the case if there is one.

options:
  --report FILE      where to write the report (report.html)
  --no-report        write none
  --expected FILE    compare with the figures of this file
  --no-expected      compare with none
  --ranks N          ranks of a collective solve, as far as there are workers (2)
  --batches N        batches that the outages are screened in (64)
  --tolerance X      relative residual at which a solve ends (1e-10)
  -h, --help         this text
";

/// The main case, from the root of the project.
const CASE: &str = "data/powergrid/case2869pegase.m";

/// Which figures to compare with.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Comparison {
    /// Those beside the case, if there are any.
    Beside,
    /// Those of this file.
    File(PathBuf),
    /// None.
    Off,
}

/// The arguments of the command line.
#[derive(Debug, Clone, PartialEq)]
pub struct Options {
    /// The case file.
    pub case: PathBuf,
    /// Where to write the report.
    pub report: Option<PathBuf>,
    /// Ranks of a collective solve.
    pub ranks: usize,
    /// Batches that the outages are screened in.
    pub batches: u32,
    /// Relative residual at which a solve ends.
    pub tolerance: f64,
    comparison: Comparison,
}

impl Options {
    /// Reads the arguments of this process; `None` asks for [`HELP`].
    ///
    /// # Errors
    /// An unknown option, or a value that is not what its option takes.
    pub fn from_arguments() -> Result<Option<Self>, lexopt::Error> {
        Self::parse(std::env::args_os().skip(1))
    }

    /// Reads `arguments`; `None` asks for [`HELP`].
    ///
    /// # Errors
    /// An unknown option, or a value that is not what its option takes.
    pub fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Option<Self>, lexopt::Error> {
        let arguments: Vec<_> = arguments.into_iter().collect();
        let mut parser = lexopt::Parser::from_args(arguments);
        let mut case = None;
        let mut options = Self {
            case: PathBuf::new(),
            report: Some(PathBuf::from("report.html")),
            ranks: 2,
            batches: 64,
            tolerance: TOLERANCE,
            comparison: Comparison::Beside,
        };
        while let Some(argument) = parser.next()? {
            match argument {
                Short('h') | Long("help") => return Ok(None),
                Long("report") => options.report = Some(parser.value()?.into()),
                Long("no-report") => options.report = None,
                Long("expected") => {
                    options.comparison = Comparison::File(parser.value()?.into());
                }
                Long("no-expected") => options.comparison = Comparison::Off,
                Long("ranks") => options.ranks = at_least_one(parser.value()?.parse()?, "--ranks")?,
                Long("batches") => {
                    options.batches = at_least_one(parser.value()?.parse()?, "--batches")?;
                }
                Long("tolerance") => {
                    options.tolerance = parser.value()?.parse()?;
                    if !(1e-15..=1e-3).contains(&options.tolerance) {
                        return Err("--tolerance takes a number from 1e-15 to 1e-3".into());
                    }
                }
                Value(file) if case.is_none() => case = Some(PathBuf::from(file)),
                other => return Err(other.unexpected()),
            }
        }
        options.case = case.unwrap_or_else(main_case);
        Ok(Some(options))
    }

    /// The file with the expected figures, if there is one to compare with.
    #[must_use]
    pub fn expected(&self) -> Option<PathBuf> {
        match &self.comparison {
            Comparison::Beside => Expected::beside(&self.case),
            Comparison::File(file) => Some(file.clone()),
            Comparison::Off => None,
        }
    }

    /// Looks whether the report can lie where it should, before any work is done for it.
    ///
    /// # Errors
    /// [`ReportPathError`] if it cannot.
    pub fn check_report(&self) -> Result<(), ReportPathError> {
        let Some(file) = &self.report else { return Ok(()) };
        let name = || file.display().to_string();
        match file.parent() {
            _ if file.is_dir() => Err(ReportPathError::IsFolder(name())),
            Some(folder) if !folder.as_os_str().is_empty() && !folder.is_dir() => {
                Err(ReportPathError::NoFolder { file: name(), folder: folder.display().to_string() })
            }
            _ => Ok(()),
        }
    }
}

/// Why the report cannot lie where it should.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReportPathError {
    /// Nothing is where it should lie.
    #[error("cannot write the report {file}: there is no folder {folder}")]
    NoFolder {
        /// The report.
        file: String,
        /// Where it should lie.
        folder: String,
    },
    /// It has the name of a folder.
    #[error("cannot write the report {0}: it is a folder")]
    IsFolder(String),
}

fn at_least_one<T: PartialOrd + From<u8>>(number: T, option: &str) -> Result<T, lexopt::Error> {
    if number < T::from(1) {
        return Err(format!("{option} takes a number from 1").into());
    }
    Ok(number)
}

/// The main case, also when the program is not started from the root of the project.
fn main_case() -> PathBuf {
    let here = PathBuf::from(CASE);
    if here.exists() {
        return here;
    }
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(CASE)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Option<Options>, String> {
        Options::parse(line.split_whitespace().map(OsString::from)).map_err(|e| e.to_string())
    }

    #[test]
    fn each_option_is_read() {
        let line = "--ranks 3 grid.m --batches=5 --tolerance 1e-9 --no-report --expected e.json";
        let options = parse(line).unwrap().unwrap();
        assert_eq!((options.ranks, options.batches, options.tolerance), (3, 5, 1e-9));
        assert_eq!((options.case.to_str(), options.report.clone()), (Some("grid.m"), None));
        assert_eq!(options.expected(), Some(PathBuf::from("e.json")));
        let options = parse("").unwrap().unwrap();
        assert!(options.case.ends_with(CASE));
        assert!(options.expected().is_some());
        assert_eq!(parse("--no-expected").unwrap().unwrap().expected(), None);
        assert_eq!(parse("a.m --help").unwrap(), None);
    }

    #[test]
    fn what_cannot_be_read_is_named() {
        assert!(parse("--rank 2").unwrap_err().contains("--rank"));
        assert!(parse("--ranks two").unwrap_err().contains("two"));
        assert!(parse("--batches 0").unwrap_err().contains("--batches"));
        assert!(parse("--tolerance 2").unwrap_err().contains("--tolerance"));
        assert!(parse("a.m b.m").unwrap_err().contains("b.m"));
    }
}
