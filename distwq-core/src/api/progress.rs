//! How far many tasks are, shown on standard error while they run: a bar on a terminal,
//! lines elsewhere. A thread of its own looks at counts that are kept anyway, a few times
//! a second, so the tasks pay nothing for it.

use crate::config::ProgressStyle;
use crate::runtime::fault;
use indicatif::{ProgressDrawTarget, ProgressStyle as Template, TermLike};
use parking_lot::{Condvar, Mutex};
use std::fmt;
use std::io::{self, IsTerminal, Write};
use std::sync::Arc;
use std::thread::{Builder, JoinHandle};
use std::time::{Duration, Instant};

/// Shows on standard error how far tasks are, until it is dropped. On a terminal that is
/// a bar; elsewhere, such as under `mpirun`, lines: after a second, then after two, after
/// four, up to one a minute, and one in the end.
/// [`Config::progress`](crate::Config::progress) and `DISTWQ_PROGRESS` choose.
///
/// [`Batch::progress_bar`](crate::Batch::progress_bar) and
/// [`Run::progress_bar`](crate::Run::progress_bar) make one.
#[must_use = "it is shown until it is dropped"]
pub struct ProgressBar {
    stop: Arc<Stop>,
    /// None if nothing is shown.
    thread: Option<JoinHandle<()>>,
}

/// How far tasks are.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(crate) struct HowFar {
    /// Those that have ended.
    pub(crate) ended: u64,
    /// Those of them without a value that were not cancelled themselves.
    pub(crate) failed: u64,
    pub(crate) cancelled: u64,
    /// All, if that is known.
    pub(crate) of: Option<u64>,
}

impl HowFar {
    pub(crate) fn of([ended, failed, cancelled]: [u64; 3], of: Option<u64>) -> Self {
        Self { ended, failed, cancelled, of }
    }
}

#[derive(Default)]
struct Stop {
    is_due: Mutex<bool>,
    told: Condvar,
}

/// What is shown is drawn so often.
const EVERY: Duration = Duration::from_millis(100);

/// From one line to the next at first, and at most.
const LINES_FIRST: Duration = Duration::from_secs(1);
const LINES_MAX: Duration = Duration::from_secs(60);

impl ProgressBar {
    /// Shows what `look` finds, which is called a few times a second by one thread, and
    /// once when the bar is dropped. It must not wait for long.
    pub(crate) fn show(style: ProgressStyle, look: impl FnMut() -> HowFar + Send + 'static) -> Self {
        let is_terminal = io::stderr().is_terminal();
        let stop = Arc::new(Stop::default());
        let told = Arc::clone(&stop);
        let thread = match style {
            ProgressStyle::Off => None,
            ProgressStyle::Bar => Some(start(move || told.bar(look, is_terminal))),
            ProgressStyle::Auto if is_terminal => Some(start(move || told.bar(look, true))),
            ProgressStyle::Auto | ProgressStyle::Lines => Some(start(move || told.lines(look, fault::say))),
        };
        let started = thread.and_then(|started| {
            let told = |error: &io::Error| fault::say(&format!("no progress is shown, no thread starts: {error}"));
            started.inspect_err(told).ok()
        });
        Self { stop, thread: started }
    }
}

fn start(shows: impl FnOnce() + Send + 'static) -> io::Result<JoinHandle<()>> {
    Builder::new().name("distwq-progress".to_owned()).spawn(shows)
}

impl Drop for ProgressBar {
    fn drop(&mut self) {
        *self.stop.is_due.lock() = true;
        self.stop.told.notify_all();
        if let Some(thread) = self.thread.take() {
            // It ends as it was told to; what it says last comes before the rest.
            let _ = thread.join();
        }
    }
}

impl fmt::Debug for ProgressBar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.thread.is_some() { "ProgressBar" } else { "ProgressBar(off)" })
    }
}

impl Stop {
    /// Whether the end has come, after so long at the latest.
    fn comes_within(&self, time: Duration) -> bool {
        let mut is_due = self.is_due.lock();
        let deadline = Instant::now() + time;
        while !*is_due && !self.told.wait_until(&mut is_due, deadline).timed_out() {}
        *is_due
    }

    fn bar(&self, mut look: impl FnMut() -> HowFar, is_terminal: bool) {
        let target = match is_terminal {
            true => ProgressDrawTarget::stderr_with_hz(10),
            // A launcher may pass it on to one.
            false => ProgressDrawTarget::term_like_with_hz(Box::new(Elsewhere), 10),
        };
        let bar = indicatif::ProgressBar::with_draw_target(None, target);
        loop {
            let ends = self.comes_within(EVERY);
            let HowFar { ended, failed, cancelled, of } = look();
            let known = "{bar:32} {pos} of {len}{msg}, {elapsed} so far, {eta} left";
            let template = if of.is_some() { known } else { "{spinner} {pos}{msg}, {elapsed} so far, {per_sec}" };
            if let Ok(template) = Template::with_template(template) {
                bar.set_style(template);
            }
            of.into_iter().for_each(|of| bar.set_length(of));
            bar.set_message(without_value(failed, cancelled));
            bar.set_position(ended);
            if ends {
                return bar.abandon();
            }
        }
    }

    fn lines(&self, mut look: impl FnMut() -> HowFar, say: impl Fn(&str)) {
        let begun = Instant::now();
        let mut interval = LINES_FIRST;
        loop {
            let ends = self.comes_within(interval);
            say(&line(look(), begun.elapsed()));
            if ends {
                return;
            }
            interval = (2 * interval).min(LINES_MAX);
        }
    }
}

/// How many have ended without values, in words.
pub(crate) fn without_value(failed: u64, cancelled: u64) -> String {
    let counts = [(failed, "failed"), (cancelled, "cancelled")].into_iter().filter(|(count, _)| *count > 0);
    counts.map(|(count, how)| format!(", {count} {how}")).collect()
}

/// How far tasks are after this time, in words.
fn line(HowFar { ended, failed, cancelled, of }: HowFar, elapsed: Duration) -> String {
    let seconds = elapsed.as_secs_f64();
    let rate = if seconds > 0.0 { ended as f64 / seconds } else { 0.0 };
    let of_all = of.map_or_else(String::new, |all| format!(" of {all}"));
    let left = of.filter(|all| ended > 0 && *all > ended).map_or_else(String::new, |all| {
        let left = seconds * (all - ended) as f64 / ended as f64;
        format!(", {left:.0} s left")
    });
    let without_value = without_value(failed, cancelled);
    format!("{ended}{of_all} tasks have ended{without_value}, {seconds:.1} s so far, {rate:.1}/s{left}")
}

/// Standard error where it is no terminal: what it is passed on to may be one.
#[derive(Debug)]
struct Elsewhere;

/// Columns of that, as is usual.
const COLUMNS: u16 = 80;

impl Elsewhere {
    fn write(text: fmt::Arguments<'_>) -> io::Result<()> {
        io::stderr().lock().write_fmt(text)
    }
}

impl TermLike for Elsewhere {
    fn width(&self) -> u16 {
        COLUMNS
    }

    fn move_cursor_up(&self, rows: usize) -> io::Result<()> {
        if rows > 0 { Self::write(format_args!("\x1b[{rows}A")) } else { Ok(()) }
    }

    fn move_cursor_down(&self, rows: usize) -> io::Result<()> {
        if rows > 0 { Self::write(format_args!("\x1b[{rows}B")) } else { Ok(()) }
    }

    fn move_cursor_right(&self, columns: usize) -> io::Result<()> {
        if columns > 0 { Self::write(format_args!("\x1b[{columns}C")) } else { Ok(()) }
    }

    fn move_cursor_left(&self, columns: usize) -> io::Result<()> {
        if columns > 0 { Self::write(format_args!("\x1b[{columns}D")) } else { Ok(()) }
    }

    fn write_line(&self, text: &str) -> io::Result<()> {
        Self::write(format_args!("{text}\n"))
    }

    fn write_str(&self, text: &str) -> io::Result<()> {
        Self::write(format_args!("{text}"))
    }

    fn clear_line(&self) -> io::Result<()> {
        Self::write(format_args!("\r\x1b[2K"))
    }

    fn flush(&self) -> io::Result<()> {
        io::stderr().flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_how_many_of_all_how_fast_and_how_much_longer() {
        let of = |ended, failed, of| line(HowFar::of([ended, failed, 0], of), Duration::from_millis(4_000));
        assert_eq!(of(100, 3, Some(300)), "100 of 300 tasks have ended, 3 failed, 4.0 s so far, 25.0/s, 8 s left");
        assert_eq!(of(7, 0, None), "7 tasks have ended, 4.0 s so far, 1.8/s");
        assert_eq!(of(0, 0, Some(9)), "0 of 9 tasks have ended, 4.0 s so far, 0.0/s");
        assert_eq!(of(9, 0, Some(9)), "9 of 9 tasks have ended, 4.0 s so far, 2.2/s");
        assert!(!line(HowFar::default(), Duration::ZERO).contains("NaN"));
        assert_eq!(
            [(0, 0), (2, 0), (0, 3), (2, 3)].map(|(failed, cancelled)| without_value(failed, cancelled)),
            ["", ", 2 failed", ", 3 cancelled", ", 2 failed, 3 cancelled"]
        );
    }

    #[test]
    fn the_last_line_is_said_at_once_when_the_bar_goes() {
        let stop = Arc::new(Stop::default());
        let (told, said) = (Arc::clone(&stop), Arc::new(Mutex::new(Vec::new())));
        let lines = Arc::clone(&said);
        let begun = Instant::now();
        let look = || HowFar::of([5, 1, 0], Some(5));
        let thread = start(move || told.lines(look, |text| lines.lock().push(text.to_owned()))).expect("it starts");
        drop(ProgressBar { stop, thread: Some(thread) });
        assert!(begun.elapsed() < Duration::from_secs(1) || !said.lock().is_empty());
        let said = said.lock();
        assert!(said.last().is_some_and(|line| line.starts_with("5 of 5 tasks have ended, 1 failed")), "{said:?}");
    }
}
