//! Splits the text of a case file into statements: no comments, no continued lines,
//! brackets kept together.

use super::FormatError;

/// Stands for the end of a line that `...` continues: it counts as a line, but does not
/// end a row.
const CONTINUED: char = '\u{1}';

/// One statement, from its first character to before its `;` or the end of its line.
#[derive(Debug)]
pub(super) struct Statement {
    /// Line it starts on, from 1.
    pub(super) line: usize,
    /// Its text; ends of lines inside brackets are kept.
    pub(super) text: String,
}

/// The statements of a file.
#[derive(Debug)]
pub(super) struct File {
    /// The variable that the function returns, `mpc` in nearly every file.
    pub(super) variable: String,
    /// All statements in order.
    pub(super) statements: Vec<Statement>,
}

pub(super) fn is_line_end(c: char) -> bool {
    c == '\n' || c == CONTINUED
}

pub(super) fn lines_in(text: &str) -> usize {
    text.chars().filter(|c| is_line_end(*c)).count()
}

impl Statement {
    /// For `mpc.bus = …` or `mpc.bus(…) …`: the name `bus` and what follows it.
    pub(super) fn target<'a>(&'a self, variable: &str) -> Option<(&'a str, &'a str)> {
        let field = self.text.strip_prefix(variable)?.trim_start().strip_prefix('.')?;
        let end = field.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(field.len());
        Some((&field[..end], field[end..].trim_start()))
    }
}

/// Splits `text` into statements.
pub(super) fn statements(text: &str) -> Result<File, FormatError> {
    let mut file = File { variable: "mpc".to_owned(), statements: Vec::new() };
    let mut current = Statement { line: 1, text: String::new() };
    let mut depth = 0_usize;
    let mut comment_depth = 0_usize;
    let mut line_number = 0;
    for line in text.lines() {
        line_number += 1;
        // A block comment starts and ends with `%{` and `%}` alone on their lines, and
        // may hold another.
        match line.trim() {
            "%{" => comment_depth += 1,
            "%}" if comment_depth > 0 => {
                comment_depth -= 1;
                continue;
            }
            _ => {}
        }
        let line = if comment_depth > 0 { Line::default() } else { strip(line) };
        if depth > 0 && starts_assignment(&line.code, &file.variable) {
            return Err(FormatError::Unclosed { line: current.line });
        }
        for (c, quoted) in line.code.chars().zip(&line.quoted) {
            match c {
                _ if *quoted => current.text.push(c),
                '[' | '(' | '{' => {
                    depth += 1;
                    current.text.push(c);
                }
                ']' | ')' | '}' => {
                    depth = depth.saturating_sub(1);
                    current.text.push(c);
                }
                ';' if depth == 0 => finish(&mut current, line_number, &mut file)?,
                _ => {
                    if current.text.is_empty() {
                        if c.is_whitespace() {
                            continue;
                        }
                        current.line = line_number;
                    }
                    current.text.push(c);
                }
            }
        }
        if line.continues && !current.text.is_empty() {
            current.text.push(CONTINUED);
        } else if depth > 0 {
            current.text.push('\n');
        } else {
            finish(&mut current, line_number, &mut file)?;
        }
    }
    if depth > 0 {
        return Err(FormatError::Unclosed { line: current.line });
    }
    finish(&mut current, line_number, &mut file)?;
    Ok(file)
}

fn finish(current: &mut Statement, line: usize, file: &mut File) -> Result<(), FormatError> {
    let statement = std::mem::replace(current, Statement { line, text: String::new() });
    if let Some(rest) = statement.text.strip_prefix("function").filter(|rest| rest.starts_with([' ', '\t', '[']))
        && let Some((output, _)) = rest.split_once('=')
    {
        let output = output.trim();
        let inner = output.trim_start_matches('[').trim_end_matches(']').trim();
        if inner.contains([',', ' ']) {
            // Version 1 returns its tables one by one: `function [baseMVA, bus, gen,
            // branch] = …`.
            return Err(FormatError::Version { line: statement.line, found: "1".to_owned() });
        }
        inner.clone_into(&mut file.variable);
    } else if !statement.text.is_empty() {
        file.statements.push(statement);
    }
    Ok(())
}

/// Tells whether a line inside a bracket is plainly the next assignment, so that the
/// bracket was never closed.
fn starts_assignment(code: &str, variable: &str) -> bool {
    let Some(field) = code.trim_start().strip_prefix(variable).and_then(|rest| rest.strip_prefix('.')) else {
        return false;
    };
    field.trim_start_matches(|c: char| c.is_alphanumeric() || c == '_').trim_start().starts_with('=')
}

/// A line without its comment.
#[derive(Default)]
struct Line {
    code: String,
    /// For each character of `code` whether it is inside quotes.
    quoted: Vec<bool>,
    /// Whether `...` continues it on the next line.
    continues: bool,
}

fn strip(line: &str) -> Line {
    let mut out = Line::default();
    let mut quote = None;
    let mut previous = ' ';
    for (at, c) in line.char_indices() {
        let inside = quote.is_some();
        match quote {
            Some(q) if q == c => quote = None,
            Some(_) => {}
            None if c == '%' => break,
            None if line[at..].starts_with("...") => {
                out.continues = true;
                break;
            }
            // After a name or a closing bracket an apostrophe transposes; elsewhere it
            // opens a text.
            None if c == '"' || (c == '\'' && !(previous.is_alphanumeric() || "_)]}'.".contains(previous))) => {
                quote = Some(c);
            }
            None => {}
        }
        out.code.push(c);
        out.quoted.push(inside || quote.is_some());
        previous = c;
    }
    out
}
