//! What `cargo xtask test` counts, and what it says at its end.

use std::{
    collections::BTreeMap,
    fs,
    io::{BufRead, BufReader},
    path::PathBuf,
    process::{Command, ExitCode, Stdio},
    time::{Duration, Instant},
};

use distwq_launch::Output;

use crate::{Failure, Result, project};

/// The steps so far, and what passed and failed in them.
#[derive(Debug)]
pub(crate) struct Report {
    steps: Vec<(String, Duration)>,
    count: Count,
    failures: Vec<String>,
    /// Runs of test bodies and of examples, by backend.
    backends: BTreeMap<String, Count>,
    /// Where the tests write a line for each run of a body.
    tally: PathBuf,
}

#[derive(Debug, Clone, Copy, Default)]
struct Count {
    passed: usize,
    failed: usize,
}

impl Count {
    fn add(&mut self, passed: bool) {
        *(if passed { &mut self.passed } else { &mut self.failed }) += 1;
    }
}

impl Report {
    /// Nothing yet.
    pub(crate) fn new() -> Result<Self> {
        let tally = project::target().join("test-tally.tsv");
        let begin = || {
            fs::create_dir_all(project::target())?;
            fs::write(&tally, "")
        };
        begin().map_err(|error: std::io::Error| Failure::new(format!("{}: {error}", tally.display())))?;
        let (count, backends) = (Count::default(), BTreeMap::new());
        Ok(Self { steps: Vec::new(), count, failures: Vec::new(), backends, tally })
    }

    /// A check that is one command: it counts as one.
    pub(crate) fn check(&mut self, name: &str, command: &mut Command) {
        let started = begin(name);
        let outcome = project::succeed(command);
        self.end(name, started);
        self.count(name, outcome.err().map(|failure| failure.to_string()));
    }

    /// A build, without which what follows makes no sense.
    ///
    /// # Errors
    ///
    /// If it fails.
    pub(crate) fn build(&mut self, name: &str, command: &mut Command) -> Result<()> {
        let started = begin(name);
        let outcome = project::succeed(command);
        self.end(name, started);
        outcome
    }

    /// A call of `cargo test`: each test of it counts, and each run of a test's body for
    /// its backend.
    pub(crate) fn tests(&mut self, name: &str, command: &mut Command) -> Result<()> {
        let started = begin(name);
        let failed_before = self.count.failed;
        command.env("DISTWQ_TEST_TALLY", &self.tally).stdout(Stdio::piped());
        let shown = project::shown(command);
        let failed = |error: std::io::Error| Failure::new(format!("{shown}: {error}"));
        let mut child = command.spawn().map_err(failed)?;
        let output = child.stdout.take().expect("the output was asked for, and is taken once");
        for line in BufReader::new(output).split(b'\n') {
            let line = line.map_err(failed)?;
            let line = String::from_utf8_lossy(&line);
            println!("{line}");
            self.read(name, &line);
        }
        let status = child.wait().map_err(failed)?;
        self.end(name, started);
        if !status.success() && self.count.failed == failed_before {
            // Nothing failed by name: a test program did not come to its end.
            self.count(name, Some(format!("{shown} ended with {status}")));
        }
        Ok(())
    }

    /// Takes what libtest says about its tests.
    fn read(&mut self, step: &str, line: &str) {
        if let Some(test) = line.strip_prefix("test ").and_then(|line| line.strip_suffix(" ... FAILED")) {
            self.failures.push(format!("{step}: {test}"));
        }
        if let Some((passed, failed)) = line.strip_prefix("test result: ").and_then(counts) {
            self.count.passed += passed;
            self.count.failed += failed;
        }
    }

    /// Several runs of programs, each counted by [`Report::run`].
    pub(crate) fn runs(&mut self, name: &str, run: impl FnOnce(&mut Self) -> Result<()>) -> Result<()> {
        let started = begin(name);
        let outcome = run(self);
        self.end(name, started);
        outcome
    }

    /// One run of a program, which counts as one and for its backend.
    pub(crate) fn run(&mut self, output: &Output) {
        let passed = output.success();
        self.backends.entry(output.mpi.clone().unwrap_or_else(|| "local".into())).or_default().add(passed);
        println!("{} ... {}", output.what, if passed { "ok" } else { "FAILED" });
        self.count(&output.what, (!passed).then(|| output.to_string()));
    }

    /// Counts one thing, and shows why it failed if it did.
    pub(crate) fn count(&mut self, name: &str, failure: Option<String>) {
        self.count.add(failure.is_none());
        if let Some(words) = failure {
            eprintln!("{words}");
            self.failures.push(name.into());
        }
    }

    fn end(&mut self, name: &str, started: Instant) {
        self.steps.push((name.into(), started.elapsed()));
    }

    /// Says what there is to say, `N passed, N failed` last.
    pub(crate) fn close(mut self) -> Result<ExitCode> {
        self.read_tally()?;
        println!("\n── time");
        for (name, wall) in &self.steps {
            println!("{:>7.1} s  {name}", wall.as_secs_f64());
        }
        let total: Duration = self.steps.iter().map(|(_, wall)| *wall).sum();
        println!("{:>7.1} s  together", total.as_secs_f64());
        println!("\n── runs of test bodies and examples");
        for (backend, Count { passed, failed }) in &self.backends {
            println!("{backend}: {passed} passed, {failed} failed");
        }
        if !self.failures.is_empty() {
            println!("\n── failed");
            self.failures.iter().for_each(|failure| println!("{failure}"));
        }
        let Count { passed, failed } = self.count;
        println!("\n{passed} passed, {failed} failed");
        Ok(if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }

    fn read_tally(&mut self) -> Result<()> {
        let lines = fs::read_to_string(&self.tally);
        let lines = lines.map_err(|error| Failure::new(format!("{}: {error}", self.tally.display())))?;
        for line in lines.lines() {
            let mut fields = line.split('\t');
            if let (Some(backend), Some(outcome)) = (fields.next(), fields.nth(2)) {
                self.backends.entry(backend.into()).or_default().add(outcome == "passed");
            }
        }
        Ok(())
    }
}

fn begin(name: &str) -> Instant {
    println!("\n── {name}");
    Instant::now()
}

/// Reads `ok. 12 passed; 0 failed; …`.
fn counts(summary: &str) -> Option<(usize, usize)> {
    let (_, counts) = summary.split_once(". ")?;
    let number = |word: &str| {
        let part = counts.split(';').find(|part| part.trim().ends_with(word))?;
        part.trim().strip_suffix(word)?.trim().parse().ok()
    };
    Some((number("passed")?, number("failed")?))
}

#[cfg(test)]
mod tests {
    use super::counts;

    #[test]
    fn the_summary_of_libtest_is_read() {
        let line = "FAILED. 12 passed; 3 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.02s";
        assert_eq!(counts(line), Some((12, 3)));
        assert_eq!(counts("something else"), None);
    }
}
