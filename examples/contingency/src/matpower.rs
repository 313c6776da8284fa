//! Reads the tables of a MATPOWER case file, format version 2.
//!
//! A case file is a MATLAB function, and only its assignments are read: `mpc.baseMVA` and
//! the tables `mpc.bus`, `mpc.gen` and `mpc.branch`. Nothing is computed: a file that
//! changes its tables by code is refused, because ignoring that code would silently give
//! another grid. What the numbers mean is the business of [`case`](crate::case).

mod statements;

use statements::{Statement, statements};

/// What is wrong with a case file, without its name;
/// [`CaseError`](crate::case::CaseError) adds that.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum FormatError {
    /// A table or `baseMVA` is not in the file.
    #[error("`{}.{name}` is missing: a case of format version 2 has baseMVA, bus, gen and branch", quoted(variable))]
    Missing {
        /// The variable that the file assigns to, usually `mpc`.
        variable: String,
        /// What is missing.
        name: &'static str,
    },
    /// A table or `baseMVA` is assigned twice.
    #[error("line {line}: `{name}` is assigned again, first on line {first}: keep one")]
    Repeated {
        /// Line of the second assignment.
        line: usize,
        /// What is assigned.
        name: &'static str,
        /// Line of the first assignment.
        first: usize,
    },
    /// A bracket is still open where the next assignment starts, or at the end of the
    /// file.
    #[error("line {line}: the bracket opened here is never closed: is the file cut off, or a `];` missing?")]
    Unclosed {
        /// Line of the statement that is not closed.
        line: usize,
    },
    /// The value of a table is not `[ … ]`.
    #[error("line {line}: `{name}` is not a table in square brackets")]
    NotATable {
        /// Line of the assignment.
        line: usize,
        /// The table.
        name: &'static str,
    },
    /// An entry is not a number.
    #[error("line {line}: `{}` in `{name}` is not a number", quoted(text))]
    NotANumber {
        /// Line of the entry.
        line: usize,
        /// The table, or `baseMVA`.
        name: &'static str,
        /// The entry as it stands in the file.
        text: String,
    },
    /// A row has too few columns.
    #[error("line {line}: a row of `{name}` has {found} columns, at least {least} are needed")]
    TooFewColumns {
        /// Line of the row.
        line: usize,
        /// The table.
        name: &'static str,
        /// Columns of this row.
        found: usize,
        /// Columns that the table needs.
        least: usize,
    },
    /// A row has another number of columns than the rows above it.
    #[error("line {line}: a row of `{name}` has {found} columns, the rows above it have {expected}")]
    ColumnCount {
        /// Line of the row.
        line: usize,
        /// The table.
        name: &'static str,
        /// Columns of this row.
        found: usize,
        /// Columns of the first row.
        expected: usize,
    },
    /// The file is of format version 1 or of one not yet known.
    #[error(
        "line {line}: this is a case of format version {}, version 2 is needed: convert it with MATPOWER's `loadcase` \
         and `savecase`",
        quoted(found)
    )]
    Version {
        /// Line that gives the version.
        line: usize,
        /// The version found.
        found: String,
    },
    /// The file changes a table by code.
    #[error(
        "line {line}: the file changes `{name}` by MATLAB code, which is not run here: write the finished tables \
         with MATPOWER's `savecase`"
    )]
    Computed {
        /// Line of the statement.
        line: usize,
        /// What is changed.
        name: &'static str,
    },
}

/// What stands in the file, for a terminal: at most 40 characters of it, and those that
/// would not be seen, or would steer the terminal, by their numbers. A file that is no
/// case can have anything in it.
fn quoted(text: &str) -> String {
    const CHARACTERS_MAX: usize = 40;
    let mut shown = String::new();
    for c in text.chars().take(CHARACTERS_MAX) {
        match c {
            '\'' | '"' | '\\' => shown.push(c),
            _ => shown.extend(c.escape_debug()),
        }
    }
    if text.chars().nth(CHARACTERS_MAX).is_some() {
        shown.push('…');
    }
    shown
}

/// One row of a table, with the line it starts on.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// Line in the file, from 1.
    pub line: usize,
    /// The entries; `Inf` and `NaN` are possible.
    pub values: Vec<f64>,
}

/// The tables of a case file as they stand in it.
#[derive(Debug, Clone, PartialEq)]
pub struct Tables {
    /// Line and value of `baseMVA`.
    pub base_mva: (usize, f64),
    /// `bus`, at least 13 columns.
    pub bus: Vec<Row>,
    /// `gen`, at least 8 columns.
    pub generators: Vec<Row>,
    /// `branch`, at least 11 columns.
    pub branch: Vec<Row>,
}

/// What is read, and the least number of columns that makes a row of format version 2.
const BASE: &str = "baseMVA";
const TABLES: [(&str, usize); 3] = [("bus", 13), ("gen", 8), ("branch", 11)];

impl Tables {
    /// Reads the text of a case file.
    ///
    /// # Errors
    /// A [`FormatError`] with the line and the reason.
    pub fn read(text: &str) -> Result<Self, FormatError> {
        let file = statements(text)?;
        let mut base_mva = None;
        let mut tables: [Option<(usize, Vec<Row>)>; 3] = [None, None, None];
        for statement in &file.statements {
            let Some((name, rest)) = statement.target(&file.variable) else {
                continue;
            };
            if name == "version" {
                check_version(statement, rest)?;
            }
            let table = TABLES.iter().position(|(table, _)| *table == name);
            if table.is_none() && name != BASE {
                continue;
            }
            let name = table.map_or(BASE, |t| TABLES[t].0);
            let Some(value) = rest.strip_prefix('=').filter(|v| !v.starts_with('=')) else {
                if is_assignment(rest) {
                    return Err(FormatError::Computed { line: statement.line, name });
                }
                continue;
            };
            let line = statement.line;
            let first = match table {
                None => base_mva.map(|(first, _)| first),
                Some(t) => tables[t].as_ref().map(|(first, _)| *first),
            };
            if let Some(first) = first {
                return Err(FormatError::Repeated { line, name, first });
            }
            match table {
                None => base_mva = Some((line, number(value.trim(), line, name)?)),
                Some(t) => tables[t] = Some((line, read_table(statement, value, name, TABLES[t].1)?)),
            }
        }
        let missing = |name| FormatError::Missing { variable: file.variable.clone(), name };
        let [bus, generators, branch] = tables;
        Ok(Self {
            base_mva: base_mva.ok_or_else(|| missing(BASE))?,
            bus: bus.ok_or_else(|| missing("bus"))?.1,
            generators: generators.ok_or_else(|| missing("gen"))?.1,
            branch: branch.ok_or_else(|| missing("branch"))?.1,
        })
    }
}

/// `(…) = …` assigns to a part of a table; `(…)` alone or `== …` only looks at it.
fn is_assignment(rest: &str) -> bool {
    let mut depth = 0_i32;
    for (at, c) in rest.char_indices() {
        match c {
            '(' | '{' | '[' => depth += 1,
            ')' | '}' | ']' => depth -= 1,
            '=' if depth == 0 => return !rest[at + 1..].starts_with('='),
            '~' | '<' | '>' if depth == 0 => return false,
            _ => {}
        }
    }
    false
}

fn check_version(statement: &Statement, rest: &str) -> Result<(), FormatError> {
    let found = rest.trim_start_matches('=').trim().trim_matches(['\'', '"']);
    if found == "2" {
        return Ok(());
    }
    Err(FormatError::Version { line: statement.line, found: found.to_owned() })
}

/// Splits `[ … ]` into rows and entries.
fn read_table(statement: &Statement, value: &str, name: &'static str, least: usize) -> Result<Vec<Row>, FormatError> {
    let not_a_table = FormatError::NotATable { line: statement.line, name };
    let before = statement.text.len() - value.len();
    let mut line = statement.line + statements::lines_in(&statement.text[..before]);
    line += statements::lines_in(&value[..value.len() - value.trim_start().len()]);
    let Some(body) = value.trim().strip_prefix('[').and_then(|v| v.strip_suffix(']')) else {
        return Err(not_a_table);
    };
    let mut rows: Vec<Row> = Vec::new();
    let mut row = Row { line, values: Vec::new() };
    let mut entry_start = None;
    // One separator past the end closes the last entry and the last row.
    for (at, c) in body.char_indices().chain([(body.len(), '\n')]) {
        let separator = c.is_whitespace() || statements::is_line_end(c) || matches!(c, ',' | ';');
        match (separator, entry_start) {
            (false, None) => entry_start = Some(at),
            (true, Some(start)) => {
                if row.values.is_empty() {
                    row.line = line;
                }
                row.values.push(number(&body[start..at], line, name)?);
                entry_start = None;
            }
            _ => {}
        }
        if matches!(c, ';' | '\n') && !row.values.is_empty() {
            check_width(&row, rows.first(), name, least)?;
            rows.push(std::mem::replace(&mut row, Row { line, values: Vec::new() }));
        }
        line += usize::from(statements::is_line_end(c));
    }
    Ok(rows)
}

fn check_width(row: &Row, first: Option<&Row>, name: &'static str, least: usize) -> Result<(), FormatError> {
    let (line, found) = (row.line, row.values.len());
    if found < least {
        return Err(FormatError::TooFewColumns { line, name, found, least });
    }
    match first.map(|row| row.values.len()) {
        Some(expected) if expected != found => Err(FormatError::ColumnCount { line, name, found, expected }),
        _ => Ok(()),
    }
}

fn number(text: &str, line: usize, name: &'static str) -> Result<f64, FormatError> {
    text.parse().map_err(|_| FormatError::NotANumber { line, name, text: text.to_owned() })
}

#[cfg(test)]
mod tests;
