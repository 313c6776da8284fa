//! Shows how far the job is: a bar on a terminal, plain lines elsewhere. Both go to
//! standard error, the figures to standard output.

use std::io::IsTerminal;
use std::time::Instant;

use indicatif::{ProgressBar, ProgressStyle};

/// Plain lines tell of every so many percent.
const STEP_PERCENT: u64 = 20;

/// How far the job is.
#[derive(Debug)]
pub struct Progress {
    start: Instant,
    bar: Option<ProgressBar>,
    all: u64,
    /// The part that was told last, in steps.
    told: u64,
}

impl Progress {
    /// Nothing is done yet of `all` tasks.
    ///
    /// # Panics
    /// Never: the template of the bar is a constant.
    #[must_use]
    pub fn new(all: usize) -> Self {
        let all = all as u64;
        let bar = std::io::stderr().is_terminal().then(|| {
            let style = ProgressStyle::with_template("{elapsed:>4} {wide_bar:.cyan} {pos}/{len} tasks  {msg}");
            ProgressBar::new(all).with_style(style.expect("the template is a constant"))
        });
        Self { start: Instant::now(), bar, all, told: 0 }
    }

    /// Seconds since the start.
    #[must_use]
    pub fn seconds(&self) -> f64 {
        self.start.elapsed().as_secs_f64()
    }

    /// There are `more` tasks than known so far.
    pub fn add(&mut self, more: usize) {
        self.all += more as u64;
        self.told = 0;
        if let Some(bar) = &self.bar {
            bar.set_length(self.all);
        }
    }

    /// `done` tasks are done.
    pub fn advance(&mut self, done: usize) {
        let done = done as u64;
        if let Some(bar) = &self.bar {
            bar.set_position(done);
            return;
        }
        let step = (done * 100 / self.all.max(1)) / STEP_PERCENT;
        if step > self.told {
            self.told = step;
            self.line(&format!("{done} of {} tasks done", self.all));
        }
    }

    /// Tells of something that is done.
    pub fn tell(&self, what: &str) {
        match &self.bar {
            Some(bar) => bar.set_message(what.to_owned()),
            None => self.line(what),
        }
    }

    /// Takes the bar away, so that other output can follow.
    pub fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }

    #[expect(clippy::print_stderr, reason = "this is what the job tells its user")]
    fn line(&self, what: &str) {
        eprintln!("[{:7.3} s] {what}", self.seconds());
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        // Also on the way out of an error, whose message would else be written into the
        // bar.
        self.finish();
    }
}
