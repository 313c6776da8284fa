//! One line for each run of a body, so that whoever started the tests can count runs per
//! backend.
//!
//! A test of one body counts once for `cargo test`, but runs several times. Where
//! `DISTWQ_TEST_TALLY` names a file, each run adds a line of five fields, parted by tabs:
//! the backend (`local` or the name and version of the MPI), the number of ranks
//! (workers, if local), the test, `passed` or `failed`, and the seconds that it took.

use std::{env, fs::OpenOptions, io::Write, time::Duration};

/// Adds a line for one run, if a tally is kept.
///
/// # Panics
///
/// If the file cannot be written: a count that is wrong in silence is worse than none.
pub(super) fn add(backend: &str, ranks: usize, test: &str, passed: bool, wall: Duration) {
    let Some(path) = env::var_os("DISTWQ_TEST_TALLY").filter(|path| !path.is_empty()) else {
        return;
    };
    let word = if passed { "passed" } else { "failed" };
    let line = format!("{backend}\t{ranks}\t{test}\t{word}\t{:.3}\n", wall.as_secs_f64());
    let file = OpenOptions::new().create(true).append(true).open(&path);
    // One write for the whole line: several tests write at once, and appended lines do
    // not mix.
    let written = file.and_then(|mut file| file.write_all(line.as_bytes()));
    if let Err(error) = written {
        panic!("writing the tally {} (DISTWQ_TEST_TALLY) failed: {error}", path.display());
    }
}
