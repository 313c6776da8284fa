//! Lines that tasks of a worker have logged, until the driver of the rank sends them to
//! the controller. To log never waits: what is too much is dropped and counted.

use crate::config::LogLevel;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// A line, and the task that has logged it.
#[derive(Serialize, Deserialize, Clone, PartialEq, Eq, Debug)]
pub(crate) struct Line {
    pub(crate) task: u32,
    pub(crate) function: String,
    pub(crate) label: Option<String>,
    pub(crate) attempt: u32,
    pub(crate) level: LogLevel,
    pub(crate) target: String,
    pub(crate) text: String,
}

/// The lines of a rank that were not sent.
#[derive(Debug)]
pub(crate) struct Lines {
    /// Whether there are any.
    has_some: AtomicBool,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    lines: Vec<Line>,
    /// Of how many nobody will hear.
    dropped: u64,
    /// What was taken in since then, for a second at most.
    since: Instant,
    count: usize,
    bytes: usize,
}

/// So many lines of a rank are sent in a second.
pub(crate) const LINES_EACH_SECOND: usize = 1_000;

/// And so many bytes of text.
pub(crate) const BYTES_EACH_SECOND: usize = 256 << 10;

/// Longer lines are cut.
pub(crate) const LINE_BYTES_MAX: usize = 4 << 10;

/// So many wait to be sent: a rank that sits in raw MPI sends none.
const WAITING_MAX: usize = 4 * LINES_EACH_SECOND;

impl Default for Lines {
    fn default() -> Self {
        let state = State { lines: Vec::new(), dropped: 0, since: Instant::now(), count: 0, bytes: 0 };
        Self { has_some: AtomicBool::new(false), state: Mutex::new(state) }
    }
}

impl Lines {
    /// A task has logged a line.
    pub(crate) fn add(&self, mut line: Line) {
        cut(&mut line.text);
        let mut state = self.state.lock();
        if state.since.elapsed() >= Duration::from_secs(1) {
            (state.since, state.count, state.bytes) = (Instant::now(), 0, 0);
        }
        let is_too_much = state.count >= LINES_EACH_SECOND
            || state.bytes + line.text.len() > BYTES_EACH_SECOND
            || state.lines.len() >= WAITING_MAX;
        if is_too_much {
            state.dropped += 1;
        } else {
            state.count += 1;
            state.bytes += line.text.len();
            state.lines.push(line);
        }
        self.has_some.store(true, Ordering::Release);
    }

    /// Whether there is something to be sent.
    #[inline]
    pub(crate) fn has_some(&self) -> bool {
        self.has_some.load(Ordering::Acquire)
    }

    /// Takes the lines, with how many were dropped since the last time.
    pub(crate) fn take(&self) -> (Vec<Line>, u64) {
        let mut state = self.state.lock();
        self.has_some.store(false, Ordering::Release);
        (std::mem::take(&mut state.lines), std::mem::take(&mut state.dropped))
    }
}

/// Cuts a text that is too long, between characters, and says so.
fn cut(text: &mut String) {
    if text.len() <= LINE_BYTES_MAX {
        return;
    }
    let end = (0..=LINE_BYTES_MAX).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
    let more = text.len() - end;
    text.truncate(end);
    text.push_str(&format!(" … {more} bytes more"));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(text: &str) -> Line {
        let (function, target) = ("f".to_owned(), "t".to_owned());
        Line { task: 1, function, label: None, attempt: 1, level: LogLevel::Info, target, text: text.to_owned() }
    }

    #[test]
    fn lines_come_in_order_and_once() {
        let lines = Lines::default();
        assert!(!lines.has_some());
        ["a", "b"].iter().for_each(|text| lines.add(line(text)));
        assert!(lines.has_some());
        assert_eq!(lines.take(), (vec![line("a"), line("b")], 0));
        assert_eq!((lines.has_some(), lines.take()), (false, (Vec::new(), 0)));
    }

    #[test]
    fn what_is_too_much_for_a_second_is_dropped_and_counted() {
        let lines = Lines::default();
        let count = 3 * LINES_EACH_SECOND;
        (0..count).for_each(|_| lines.add(line("x")));
        let (taken, dropped) = lines.take();
        // The test may be stopped for a second.
        assert!(taken.len() >= LINES_EACH_SECOND && taken.len() as u64 + dropped == count as u64, "{dropped}");
        let lines = Lines::default();
        let long = "y".repeat(LINE_BYTES_MAX);
        (0..1_000).for_each(|_| lines.add(line(&long)));
        let (taken, dropped) = lines.take();
        assert!(taken.len() < 1_000 && taken.len() as u64 + dropped == 1_000, "{dropped}");
    }

    #[test]
    fn a_long_line_is_cut_between_characters() {
        let mut text = format!("x{}", "é".repeat(LINE_BYTES_MAX));
        cut(&mut text);
        assert!(text.len() < LINE_BYTES_MAX + 40 && text.ends_with("é … 4098 bytes more"), "{}", &text[4_000..]);
    }
}
