//! Writes the report: one page without scripts or outside files, readable in light and
//! dark.

mod drawing;
mod histogram;
mod page;
mod timeline;

use crate::expected::Comparison;
use crate::figures::Figures;
use crate::grid::Grid;

/// The stages of the job, in the order of their first task.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Stage {
    /// Reading the case.
    Parse,
    /// Building the matrix.
    Build,
    /// Finding the bridges.
    Bridges,
    /// Ordering the outages.
    Plan,
    /// Solving the base case.
    Base,
    /// Screening a batch of outages.
    Screen,
    /// Merging summaries.
    Merge,
    /// Solving one overload from scratch.
    Resolve,
}

impl Stage {
    /// All stages.
    pub const ALL: [Self; 8] =
        [Self::Parse, Self::Build, Self::Bridges, Self::Plan, Self::Base, Self::Screen, Self::Merge, Self::Resolve];

    /// Its name for people.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Parse => "parse",
            Self::Build => "build matrix",
            Self::Bridges => "find bridges",
            Self::Plan => "plan outages",
            Self::Base => "base case",
            Self::Screen => "screen outages",
            Self::Merge => "merge",
            Self::Resolve => "solve from scratch",
        }
    }

    /// Its number, which also names its colour in the style sheet.
    fn number(self) -> usize {
        self as usize
    }
}

/// What the report says of one task.
#[derive(Debug, Clone)]
pub struct TaskRecord {
    /// Its stage.
    pub stage: Stage,
    /// Its label.
    pub label: String,
    /// The ranks it ran on.
    pub ranks: Vec<u32>,
    /// The host of each of these ranks.
    pub hosts: Vec<String>,
    /// How many times it was tried.
    pub attempts: u32,
    /// When it started, in nanoseconds since the Unix epoch.
    pub started_ns: u64,
    /// When it ended, in nanoseconds since the Unix epoch.
    pub finished_ns: u64,
    /// Positions of the tasks it waited for.
    pub parents: Vec<usize>,
}

impl TaskRecord {
    fn seconds(&self) -> f64 {
        seconds(self.finished_ns.saturating_sub(self.started_ns))
    }

    /// One line for a tooltip.
    fn tooltip(&self) -> String {
        let ranks: Vec<String> = self.ranks.iter().map(u32::to_string).collect();
        let plural = if ranks.len() == 1 { "" } else { "s" };
        let again = if self.attempts > 1 { format!(", attempt {}", self.attempts) } else { String::new() };
        format!("{}: {} on rank{plural} {}{again}", self.label, span(self.seconds()), ranks.join(", "))
    }
}

/// All that the report shows.
#[derive(Debug)]
pub struct Report<'a> {
    /// The grid, for the names of its branches.
    pub grid: &'a Grid,
    /// The figures.
    pub figures: &'a Figures,
    /// The figures beside the expected ones; empty if none are known.
    pub comparisons: &'a [Comparison],
    /// The tasks.
    pub tasks: &'a [TaskRecord],
    /// Wall time of the whole job, in seconds.
    pub seconds: f64,
}

impl Report<'_> {
    /// The page.
    #[must_use]
    pub fn html(&self) -> String {
        page::page(self)
    }
}

fn seconds(nanoseconds: u64) -> f64 {
    std::time::Duration::from_nanos(nanoseconds).as_secs_f64()
}

/// A span of time in the unit that suits it.
fn span(seconds: f64) -> String {
    match seconds {
        s if s >= 1.0 => format!("{s:.2} s"),
        s if s >= 1e-3 => format!("{:.1} ms", s * 1e3),
        s => format!("{:.0} µs", s * 1e6),
    }
}

/// A number as a coordinate: as float, with two digits in the drawing.
#[expect(clippy::cast_precision_loss, reason = "a drawing has far fewer than 2^52 parts")]
fn coordinate(number: usize) -> f64 {
    number as f64
}

/// Text with the characters that mean something in HTML replaced.
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            _ => out.push(c),
        }
    }
    out
}

/// Spacing of about `count` ticks over `span`: 1, 2 or 5 times a power of ten.
fn tick_spacing(span: f64, count: f64) -> f64 {
    let rough = span / count;
    let power = 10_f64.powf(rough.log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0].into_iter().find(|step| step * power >= rough);
    step.unwrap_or(10.0) * power
}

#[cfg(test)]
mod tests;
