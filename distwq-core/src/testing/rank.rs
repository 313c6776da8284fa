//! The test's executable, started once more as a rank: it runs the body over MPI and ends
//! the process.

use std::{
    env, fs, io,
    path::PathBuf,
    process,
    sync::atomic::{AtomicUsize, Ordering},
    thread,
    time::Duration,
};

use super::{Case, LaunchError, Launcher, Output};
use crate::{BodyResult, Cluster};

/// Set in a rank: the name of the test that it is a rank of.
const RANK_OF: &str = "DISTWQ_TEST_RANK_OF";

/// Set in a rank: a file that it makes when it has found the test.
const FOUND: &str = "DISTWQ_TEST_FOUND";

/// How much longer than its launcher a rank waits before it ends itself.
const OVERTIME: Duration = Duration::from_secs(20);

/// Runs the body of a case in `ranks` processes, each of them this executable with this
/// one test.
pub(super) fn launch(case: &Case, ranks: usize) -> Result<Output, LaunchError> {
    let doing = "finding the test's own executable";
    let system = |source| LaunchError::System { doing: doing.into(), source };
    let executable = env::current_exe().map_err(system)?;
    if !executable.exists() {
        // Its path ends in " (deleted)" then, and a launcher says no more than that there
        // is no such file.
        return Err(system(io::Error::other("a build has replaced it while the tests run; start them again")));
    }
    let found = FoundFile::new();
    let mut output = Launcher::new(executable, ranks)
        .args([case.path(), "--exact", "--nocapture", "--test-threads=1"])
        // A test that is ignored and was asked for must not be ignored by its ranks.
        .arg("--include-ignored")
        .env(RANK_OF, case.name)
        .env(FOUND, &found.path)
        // What the ranks say is read line by line; the colours of a terminal are not for
        // it.
        .env("NO_COLOR", "1")
        .time_limit(case.time_limit())
        .run()?;
    if output.success() && !found.path.exists() {
        output.ending = super::Ending::Exited(1);
        output.launcher.push_str(&format!(
            "\nno rank ran the test: the executable knows none of the name {:?}, so it was not made by libtest, or \
             the name that the test was given is not its path\n",
            case.path()
        ));
    }
    Ok(output)
}

/// In a process that is a rank of this case: runs the body over MPI and ends the process.
/// Otherwise nothing.
pub(super) fn serve_if_rank<R: BodyResult>(case: &Case, body: fn(&Cluster) -> R) {
    if env::var_os(RANK_OF).is_none_or(|name| name != case.name) {
        return;
    }
    if let Some(found) = env::var_os(FOUND) {
        fs::write(&found, "").expect("the temporary folder can be written, the launcher wrote there too");
    }
    limit_own_life(case);
    let code = crate::launch(case.config(), |cluster| {
        let repeats = case.repeats_on(cluster.workers() + 1);
        super::repeat::repeat(repeats, cluster, body).1
    });
    // Only comparing tells what is in an exit code.
    process::exit(if code == process::ExitCode::SUCCESS { 0 } else { 1 });
}

/// The launcher ends a rank that takes too long. If the launcher's own parent was killed
/// nobody would, and the ranks of a test that hangs would stay for ever.
fn limit_own_life(case: &Case) {
    let limit = case.time_limit() + OVERTIME;
    let name = case.name;
    let started = thread::Builder::new().name("distwq-test-limit".into()).spawn(move || {
        thread::sleep(limit);
        let words = format!("test {name}: a rank ends itself after {} s, nobody else has\n", limit.as_secs());
        // The process ends here; whether its last words are heard cannot matter any more.
        let _ = io::Write::write_all(&mut io::stderr(), words.as_bytes());
        process::abort();
    });
    started.expect("a rank can start a thread");
}

/// A file that only shows that a rank has found its test; it goes when dropped.
struct FoundFile {
    path: PathBuf,
}

impl FoundFile {
    fn new() -> Self {
        static LAUNCHES: AtomicUsize = AtomicUsize::new(0);
        let launch = LAUNCHES.fetch_add(1, Ordering::Relaxed);
        Self { path: env::temp_dir().join(format!("distwq-test-found-{}-{launch}", process::id())) }
    }
}

impl Drop for FoundFile {
    fn drop(&mut self) {
        // It is not there if no rank came so far.
        let _ = fs::remove_file(&self.path);
    }
}
