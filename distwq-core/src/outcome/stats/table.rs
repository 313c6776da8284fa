//! Figures as tables for people: columns as wide as what stands in them, numbers with
//! three digits and a unit.

use super::{LongTask, RunTimes, Stats};
use crate::outcome::error::plural;
use std::fmt::{self, Write as _};
use std::time::Duration;

impl fmt::Display for Stats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { submitted, done, failed, cancelled, outstanding, elapsed, functions, longest, ranks } = self;
        let submitted = plural(*submitted, "task");
        write!(f, "{submitted}: {done} done, {failed} failed, {cancelled} cancelled, {outstanding} outstanding")?;
        if !elapsed.is_zero() {
            let busy = 100.0 * self.controller_busy();
            write!(f, "; {} so far, the controller busy for {busy:.1} % of that", time(*elapsed))?;
        }
        if !functions.is_empty() {
            let mut table = Table::of(&["function", "runs", "failed", "total", "mean", "sd", "min", "max"]);
            for of in functions {
                table.row([vec![of.function.clone()], runs(&of.runs)].concat());
            }
            write!(f, "\n\n{table}")?;
        }
        let columns = ["rank", "runs", "failed", "start", "init", "work", "move", "wait", "in", "out", "values"];
        let mut table = Table::of(&[&columns[..], &["bytes", "kept", "host"]].concat());
        for (index, of) in ranks.iter().enumerate() {
            let role = if index == 0 { " (controller)" } else { "" };
            let counts = [of.runs.count, of.runs.failures].map(|count| count.to_string());
            let times = [of.starting, of.in_init, of.working, of.moving, of.waiting].map(time);
            let traffic = [size(of.bytes_in), size(of.bytes_out)];
            let held = [of.resident_values.to_string(), size(of.resident_bytes), size(of.kept_bytes)];
            let parts = [&[format!("{}{role}", of.rank.0)][..], &counts, &times, &traffic, &held];
            table.row([parts.concat(), vec![of.host.clone()]].concat());
        }
        write!(f, "\n\n{table}")?;
        if !longest.is_empty() {
            f.write_str("\n\nlongest:")?;
            longest.iter().try_for_each(|task| write!(f, "\n  {task}"))?;
        }
        Ok(())
    }
}

impl fmt::Display for LongTask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { task, function, label, rank, time: ran } = self;
        write!(f, "{} {function} #{task}", time(*ran))?;
        if let Some(label) = label {
            write!(f, " {label:?}")?;
        }
        write!(f, " on {rank}")
    }
}

fn runs(of: &RunTimes) -> Vec<String> {
    let &RunTimes { count, failures, total, mean, sd, min, max } = of;
    let counts = [count, failures].map(|count| count.to_string());
    let times = [total, mean, sd, min, max].map(time);
    counts.into_iter().chain(times).collect()
}

/// Rows of texts. The first column and one with hosts start at the left, numbers end at
/// the right.
struct Table {
    rows: Vec<Vec<String>>,
    last_is_text: bool,
}

impl Table {
    fn of(columns: &[&str]) -> Self {
        let last_is_text = columns.last() == Some(&"host");
        Self { rows: vec![columns.iter().map(|column| (*column).to_owned()).collect()], last_is_text }
    }

    fn row(&mut self, cells: Vec<String>) {
        debug_assert_eq!(cells.len(), self.rows[0].len(), "a row has a cell for each column");
        self.rows.push(cells);
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let columns = self.rows[0].len();
        let width = |column: usize| self.rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
        let widths: Vec<usize> = (0..columns).map(width).collect();
        for (number, row) in self.rows.iter().enumerate() {
            let mut line = String::new();
            for (column, (cell, &width)) in row.iter().zip(&widths).enumerate() {
                match column {
                    0 => write!(line, "{cell:<width$}")?,
                    last if self.last_is_text && last + 1 == columns => write!(line, "  {cell}")?,
                    _ => write!(line, "  {cell:>width$}")?,
                }
            }
            f.write_str(if number > 0 { "\n" } else { "" })?;
            f.write_str(line.trim_end())?;
        }
        Ok(())
    }
}

/// A time with three digits.
pub(crate) fn time(time: Duration) -> String {
    let ns = time.as_nanos() as f64;
    let units = [("ns", 1.0), ("us", 1e3), ("ms", 1e6), ("s", 1e9), ("min", 60e9), ("h", 3_600e9)];
    // From so many of a unit on the next one is taken.
    let limits = [1e3, 1e3, 1e3, 120.0, 120.0, f64::INFINITY];
    let fits = units.iter().zip(limits).find(|((_, unit), limit)| ns / unit < *limit - 0.5);
    let (unit, divisor) = fits.map_or(("h", 3_600e9), |((name, unit), _)| (*name, *unit));
    if ns == 0.0 { "0".to_owned() } else { format!("{} {unit}", digits(ns / divisor, divisor == 1.0)) }
}

/// A size with three digits.
pub(crate) fn size(bytes: u64) -> String {
    let units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
    let mut value = bytes as f64;
    let mut unit = 0;
    while value >= 1_023.5 && unit + 1 < units.len() {
        value /= 1_024.0;
        unit += 1;
    }
    if bytes == 0 { "0".to_owned() } else { format!("{} {}", digits(value, unit == 0), units[unit]) }
}

/// Three digits, none of them behind the point if it is a whole number of the smallest
/// unit.
fn digits(value: f64, is_whole: bool) -> String {
    match value {
        _ if is_whole => format!("{value:.0}"),
        _ if value < 9.995 => format!("{value:.2}"),
        _ if value < 99.95 => format!("{value:.1}"),
        _ => format!("{value:.0}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::Rank;
    use crate::outcome::stats::{FunctionStats, RankStats};

    #[test]
    fn times_and_sizes_have_three_digits_and_a_unit() {
        let times = [0, 7, 999, 1_000, 12_345, 999_400_000, 1_000_000_000, 119_000_000_000, 120_000_000_000];
        let texts = times.map(|ns| time(Duration::from_nanos(ns)));
        assert_eq!(texts, ["0", "7 ns", "999 ns", "1.00 us", "12.3 us", "999 ms", "1.00 s", "119 s", "2.00 min"]);
        assert_eq!(time(Duration::from_secs(3 * 3_600)), "3.00 h");
        let sizes = [0, 1_000, 1_024, 10 << 20, 1 << 40].map(size);
        assert_eq!(sizes, ["0", "1000 B", "1.00 KiB", "10.0 MiB", "1.00 TiB"]);
    }

    #[test]
    fn a_cluster_that_did_nothing_prints_without_tables_of_nothing() {
        assert!(Stats::default().to_string().starts_with("0 tasks: 0 done, 0 failed, 0 cancelled, 0 outstanding"));
    }

    #[test]
    fn the_columns_of_a_table_stand_below_each_other() {
        let mut tally = crate::outcome::tally::Tally::NONE;
        [3_000_000, 5_000_000].iter().for_each(|ran_ns| tally.add(*ran_ns, false));
        let runs = tally.times();
        let long = LongTask {
            task: 7,
            function: "model::step".to_owned(),
            label: Some("north".to_owned()),
            rank: Rank(1),
            time: Duration::from_millis(5),
        };
        let rank = |rank, working| RankStats {
            rank: Rank(rank),
            host: "a".to_owned(),
            runs: if rank == 0 { RunTimes::default() } else { runs },
            longest: vec![long.clone()],
            starting: Duration::from_millis(20),
            in_init: Duration::ZERO,
            working: Duration::from_millis(working),
            moving: Duration::ZERO,
            waiting: Duration::from_secs(1),
            bytes_in: 2_048,
            bytes_out: 100,
            resident_bytes: 0,
            resident_values: 0,
            kept_bytes: 0,
        };
        let stats = Stats {
            submitted: 2,
            done: 2,
            failed: 0,
            cancelled: 0,
            outstanding: 0,
            elapsed: Duration::from_secs(1),
            functions: vec![FunctionStats { function: "model::step".to_owned(), runs }],
            longest: vec![long.clone()],
            ranks: vec![rank(0, 15), rank(1, 8)],
        };
        let expected = "\
2 tasks: 2 done, 0 failed, 0 cancelled, 0 outstanding; 1.00 s so far, the controller busy for 1.5 % of that

function     runs  failed    total     mean       sd      min      max
model::step     2       0  8.00 ms  4.00 ms  1.41 ms  3.00 ms  5.00 ms

rank            runs  failed    start  init     work  move    wait        in    out  values  bytes  kept  host
0 (controller)     0       0  20.0 ms     0  15.0 ms     0  1.00 s  2.00 KiB  100 B       0      0     0  a
1                  2       0  20.0 ms     0  8.00 ms     0  1.00 s  2.00 KiB  100 B       0      0     0  a

longest:
  5.00 ms model::step #7 \"north\" on rank 1";
        assert_eq!(stats.to_string(), expected);
    }
}
