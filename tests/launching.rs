//! Whole programs, started alone and under `mpirun`: what they exit with, what they say,
//! and that they end, whatever happens to one of their ranks.
//!
//! The programs stand here too: the executable of these tests starts itself again with
//! [`PROGRAM`] set, and the test `program`, which is ignored otherwise, then is the
//! program of this name.

use distwq::BodyResult;
use distwq::prelude::*;
use distwq::testing::{self, Case, Launcher, Output};
use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;
use std::{env, fmt, fs, process, thread};

#[path = "launching/interrupted.rs"]
mod interrupted;
#[path = "launching/programs.rs"]
mod programs;
#[path = "launching/stopping.rs"]
mod stopping;
#[cfg(feature = "mpi")]
#[path = "launching/under_mpirun.rs"]
mod under_mpirun;

/// Names the program that a process is to be.
const PROGRAM: &str = "DISTWQ_TEST_PROGRAM";

/// How long a run may go on after something happened that cannot be contained.
const END_LIMIT: Duration = Duration::from_secs(10);

#[remote]
fn square(x: i64) -> i64 {
    x * x
}

#[remote]
fn sum(values: Vec<i64>) -> i64 {
    values.iter().sum()
}

#[remote(collective)]
fn members(group: &Group) -> Result<usize, GroupError> {
    group.all_reduce(1, |a, b| a + b)
}

#[remote]
fn sleeps(seconds: f64) {
    thread::sleep(Duration::from_secs_f64(seconds));
}

/// Says that it runs, and goes on for longer than any test waits.
#[remote]
fn endless(name: String) {
    fs::write(&name, process::id().to_string()).expect("the temporary folder can be written");
    thread::sleep(Duration::from_secs(120));
}

/// Gives 1 when it is cancelled.
#[remote]
fn until_cancelled(ctx: &Context) -> i64 {
    let begun = std::time::Instant::now();
    while !ctx.cancelled() && begun.elapsed() < Duration::from_secs(60) {
        thread::sleep(Duration::from_millis(1));
    }
    i64::from(ctx.cancelled())
}

/// Sends this process a signal, given by its name.
fn send_to_itself(signal: &str) {
    let sent = process::Command::new("kill").args(["-s", signal, &process::id().to_string()]).status();
    assert!(sent.is_ok_and(|status| status.success()), "there is a command kill");
}

#[remote]
fn exits(code: i32) {
    process::exit(code)
}

/// Makes a child of this process by `fork`, which exits with this code. Gives the code
/// that it has ended with.
#[allow(unsafe_code, reason = "only C makes a child that goes on in the same program")]
fn exit_of_a_child(code: i32) -> i32 {
    unsafe extern "C" {
        fn fork() -> i32;
        fn exit(code: i32) -> !;
        fn waitpid(process: i32, status: *mut i32, options: i32) -> i32;
    }
    let mut status = 0;
    // SAFETY: the child does nothing but exit, and the status lives until the call has
    // returned.
    unsafe {
        match fork() {
            0 => exit(code),
            child => assert_eq!(waitpid(child, &raw mut status, 0), child),
        }
    }
    let status: process::ExitStatus = std::os::unix::process::ExitStatusExt::from_raw(status);
    status.code().expect("it exits")
}

#[remote]
fn forks(code: i32) -> i32 {
    exit_of_a_child(code)
}

#[remote]
fn aborts() {
    process::abort()
}

/// Fails at the first attempt.
#[remote]
fn aborts_later(name: String) -> Result<(), String> {
    if Path::new(&name).exists() {
        process::abort();
    }
    fs::write(&name, "").map_err(|error| error.to_string())?;
    Err("the first attempt".to_owned())
}

#[remote]
fn reads_where_nothing_is() -> u8 {
    // SAFETY: it is unsound, and meant to be: the task has to fault. Nothing is at the
    // address, which is not null.
    #[allow(unsafe_code, reason = "safe code does not fault")]
    unsafe {
        std::ptr::without_provenance::<u8>(64).read_volatile()
    }
}

#[remote]
fn overflows_its_stack() {
    fn deeper(depth: u64) -> u64 {
        let frame = std::hint::black_box([depth; 64]);
        if depth == u64::MAX { 0 } else { 1 + deeper(depth + 1) + frame[3] }
    }
    std::hint::black_box(deeper(0));
}

#[remote]
fn panics() {
    panic!("a task that panics")
}

#[remote]
fn panics_while_unwinding() {
    struct Bomb;
    impl Drop for Bomb {
        fn drop(&mut self) {
            panic!("a panic while unwinding");
        }
    }
    let _bomb = Bomb;
    panic!("a panic");
}

/// One member never leaves raw MPI while the other fails.
#[cfg(feature = "mpi")]
#[remote(collective)]
fn stuck_in_raw_mpi(group: &Group) -> Result<(), String> {
    let stuck = group.rank() == 0;
    let forever = || thread::sleep(Duration::from_secs(120));
    group
        .with_mpi(|_| {
            if stuck {
                forever()
            }
        })
        .map_err(|error| error.to_string())?;
    Err("the other member failed".to_owned())
}

type BodyOutcome = Result<(), Box<dyn Error>>;

/// An error whose text leaves its source out.
#[derive(Debug)]
struct Outer(Inner);

#[derive(Debug)]
struct Inner;

impl fmt::Display for Outer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if f.alternate() { "the outer error in full" } else { "the outer error" })
    }
}

impl fmt::Display for Inner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the inner error")
    }
}

impl Error for Inner {}

impl Error for Outer {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.0)
    }
}

fn works(cluster: &Cluster) -> BodyOutcome {
    let mut graph = Graph::new();
    let squares: Vec<_> = (1..=10).map(|x| graph.add(square::call(x))).collect();
    let total = graph.add(sum::call(&squares));
    let wide = graph.add(members::call());
    cluster.run(&mut graph)?;
    println!("total {} of {} workers, wide {}", total.get()?, cluster.workers(), wide.get()?);
    Ok(())
}

#[test]
#[ignore = "it is the program that the other tests launch"]
fn program() {
    let Ok(name) = env::var(PROGRAM) else {
        return;
    };
    let code = programs::run(&name);
    // Only comparing tells what is in an exit code.
    let number = (0..=u8::MAX).find(|number| ExitCode::from(*number) == code).expect("it is one of them");
    process::exit(number.into())
}

/// A file of this test, which goes when dropped.
struct TemporaryFile(PathBuf);

impl TemporaryFile {
    fn new(name: &str) -> Self {
        let file = Self(env::temp_dir().join(format!("distwq-{name}-{}", process::id())));
        // One of the same name may have been left by a process that was killed.
        let _ = fs::remove_file(&file.0);
        file
    }
}

impl Drop for TemporaryFile {
    fn drop(&mut self) {
        // It need not be there.
        let _ = fs::remove_file(&self.0);
    }
}

/// Launches one of the programs above: under `mpirun` as so many ranks, or alone.
fn launcher(program: &str, ranks: Option<usize>) -> Launcher {
    let executable = env::current_exe().expect("the system knows it");
    launcher_of(&executable, program, ranks)
}

fn launcher_of(executable: &Path, program: &str, ranks: Option<usize>) -> Launcher {
    let launcher = match ranks {
        Some(ranks) => Launcher::new(executable, ranks),
        None => Launcher::alone(executable),
    };
    as_program(launcher, program)
}

fn as_program(launcher: Launcher, program: &str) -> Launcher {
    launcher
        .args(["program", "--exact", "--nocapture", "--include-ignored", "--test-threads=1"])
        .env(PROGRAM, program)
        .env("RUST_BACKTRACE", "0")
        .time_limit(Duration::from_secs(60))
}

/// Alone, and under `mpirun` as each of these numbers of ranks where there is MPI.
fn backends(ranks: &[usize]) -> Vec<Option<usize>> {
    let wish = env::var("DISTWQ_TEST_BACKEND").unwrap_or_default();
    let mut backends = Vec::new();
    if wish != "mpi" {
        backends.push(None);
    }
    if cfg!(feature = "mpi") && wish != "local" {
        backends.extend(ranks.iter().copied().map(Some));
    }
    backends
}

#[track_caller]
fn launch(launcher: &Launcher) -> Output {
    launcher.run().expect("it can be launched")
}

/// The run ends by itself and says this; it takes no longer than it may after what
/// happened at its start.
#[track_caller]
fn expect_end(output: Output, text: &str) -> Output {
    let output = output.expect_failure();
    assert!(output.contains(text), "{text:?} is missing: {output}");
    // The launcher and the handshake come on top.
    assert!(output.wall < END_LIMIT + Duration::from_secs(5), "{output}");
    output
}

#[test]
fn a_program_that_works_exits_with_zero_on_any_number_of_ranks() {
    for backend in backends(&[1, 2, 7]) {
        let output = launch(&launcher("works", backend)).expect_success();
        let workers = backend.map_or(2, |ranks| if ranks == 1 { 2 } else { ranks - 1 });
        let text = format!("total 385 of {workers} workers, wide {workers}");
        assert!(output.rank(0).contains(&text), "{output}");
    }
}

#[test]
fn a_program_tells_the_sources_of_a_boxed_error() {
    for backend in backends(&[2]) {
        let output = launch(&launcher("fails of something", backend)).expect_failure();
        assert!(output.rank(0).contains("the outer error: the inner error"), "{output}");
        assert_eq!(output.code(), Some(1), "{output}");
    }
}

#[test]
fn the_error_of_a_body_is_told_in_full_whatever_its_type() {
    fn told<E>(error: E) -> String
    where
        Result<(), E>: BodyResult,
    {
        Err(error).into_result().expect_err("it is an error")
    }
    assert_eq!(told::<Box<dyn Error>>(Outer(Inner).into()), "the outer error: the inner error");
    assert_eq!(told::<Box<dyn Error + Send>>(Box::new(Outer(Inner))), "the outer error: the inner error");
    assert_eq!(told::<Box<dyn Error + Send + Sync>>(Outer(Inner).into()), "the outer error: the inner error");
    assert_eq!(told(Outer(Inner)), "the outer error in full");
    assert_eq!(told("text"), "text");
    assert_eq!(().into_result(), Ok(()));
}

#[test]
fn settings_that_cannot_be_are_told_and_exit_with_two() {
    for backend in backends(&[2]) {
        let output = launch(&launcher("misconfigured", backend)).expect_failure();
        assert!(output.contains("piece_bytes (DISTWQ_PIECE_BYTES) is 1"), "{output}");
        let output = launch(&launcher("works", backend).env("DISTWQ_SLOTS", "several")).expect_failure();
        assert!(output.contains("DISTWQ_SLOTS=\"several\""), "{output}");
        assert_eq!(output.code(), Some(2), "{output}");
    }
    for backend in backends(&[2]).into_iter().flatten() {
        let output = launch(&launcher("works", Some(backend)).env("DISTWQ_CONTROLLER", "5")).expect_failure();
        assert!(output.contains("controller (DISTWQ_CONTROLLER) is 5"), "{output}");
    }
}

#[test]
fn a_panic_is_told_by_its_error_and_with_backtraces_also_where_it_happens() {
    for backend in backends(&[2]) {
        for (wish, printed) in [("0", false), ("1", true)] {
            let launcher = launcher("a task panics", backend).env("RUST_BACKTRACE", wish);
            let output = launch(&launcher).expect_success();
            assert!(output.rank(0).contains("panicked: a task that panics (at tests/launching.rs:"), "{output}");
            assert_eq!(output.contains("stack backtrace:"), printed, "{output}");
        }
    }
}

/// Nothing can end a function that never returns, but the end of the process.
#[test]
fn a_body_that_fails_while_a_task_runs_on_ends_the_run_within_the_grace() {
    for backend in backends(&[3]) {
        let output = expect_end(launch(&launcher("fails while a task runs", backend)), "has not ended within");
        assert!(output.contains("within the shutdown grace of 1000 ms; busy: rank"), "{output}");
        let (_, busy) = output.rank(0).split_once("busy: ").expect("it says who");
        let busy = busy.lines().next().expect("a line");
        assert_eq!(busy.matches("rank").count(), 1, "one is busy: {output}");
        assert!(busy.contains("the first of them launching::sleeps #1"), "{output}");
        if backend.is_none() {
            assert_eq!(output.code(), Some(70), "{output}");
        }
    }
}

#[test]
fn a_misspelt_variable_is_named_once_and_changes_nothing() {
    for backend in backends(&[3]) {
        let output = launch(&launcher("works", backend).env("DISTWQ_SLOT", "3")).expect_success();
        assert_eq!(output.to_string().matches("the variable DISTWQ_SLOT means nothing").count(), 1, "{output}");
    }
}

#[test]
fn a_body_that_fails_or_panics_ends_the_run_with_one_and_a_message() {
    for backend in backends(&[2, 3]) {
        for (program, text) in
            [("fails", "the body fails"), ("panics", "the body panics"), ("panics while tasks wait", "the body panics")]
        {
            let output = expect_end(launch(&launcher(program, backend)), text);
            assert_eq!(output.code(), Some(1), "{output}");
        }
    }
}

#[test]
fn an_init_that_fails_on_one_worker_ends_all_tasks_leaves_no_worker_and_the_run_ends_with_one() {
    for backend in backends(&[3, 4]) {
        let output = expect_end(launch(&launcher("init fails", backend)), "init failed on rank 2 (host ");
        assert!(output.rank(0).contains("did not run, because a state for it could not be made"), "{output}");
        assert!(output.rank(0).contains("): no model") && output.rank(0).contains("the body goes on"), "{output}");
        assert_eq!(output.code(), Some(1), "{output}");
    }
}

#[test]
fn an_init_that_never_returns_fails_at_its_limit_and_the_run_ends_within_the_grace() {
    for backend in backends(&[3]) {
        let text = "init has not returned within the init limit of 300 ms on rank 2 (host ";
        let output = expect_end(launch(&launcher("init never returns", backend)), text);
        assert!(output.rank(0).contains("the body goes on"), "{output}");
        assert!(output.contains(", where `init` has not returned"), "{output}");
    }
}

#[test]
fn a_finish_that_panics_and_that_nobody_asked_for_ends_the_run_with_one() {
    for backend in backends(&[3]) {
        let output = expect_end(launch(&launcher("finish panics", backend)), "rank 2 (host ");
        assert!(output.contains(", slot 0: finish panicked: no sum"), "{output}");
        assert!(output.rank(0).contains("the body returns"), "{output}");
        assert_eq!(output.code(), Some(1), "{output}");
    }
}

#[test]
fn an_init_that_fails_for_a_later_state_ends_the_tasks_that_are_left() {
    for backend in backends(&[3]) {
        let output = expect_end(launch(&launcher("init fails again", backend)), "): the third");
        assert!(output.rank(0).contains("the body goes on"), "{output}");
        assert_eq!(output.code(), Some(1), "{output}");
    }
}

#[test]
fn a_task_that_exits_its_process_ends_the_run_with_a_message() {
    for backend in backends(&[3]) {
        for code in ["0", "3"] {
            let output = launch(&launcher("exits", backend).env("DISTWQ_TEST_ARGUMENT", code));
            let output = expect_end(output, "launching::exits #21 \"the exit\" must return instead of calling");
            expect_said_once(&output, "must return instead of");
            assert_eq!(output.code(), Some(70), "{output}");
            assert!(!output.contains("the task has ended"), "{output}");
        }
    }
}

/// It is what parsers of arguments do after `--help`, and after an option that is none.
#[test]
fn a_body_that_exits_its_process_ends_the_run_quietly_with_its_code() {
    for backend in backends(&[2, 4]) {
        for code in [0, 3] {
            let output = launch(&launcher("body exits", backend).env("DISTWQ_TEST_ARGUMENT", code.to_string()));
            assert_eq!(output.code(), Some(code), "{output}");
            assert!(!output.contains("distwq:") && !output.contains("MPI_ABORT"), "{output}");
            assert!(output.left_behind.is_empty() && output.wall < END_LIMIT + Duration::from_secs(5), "{output}");
        }
    }
}

/// The exit handlers of a process are those of its children by `fork` too.
#[test]
fn a_child_by_fork_that_exits_leaves_the_run_alone() {
    for backend in backends(&[2]) {
        let output = launch(&launcher("forks", backend)).expect_success();
        assert!(!output.contains("distwq:"), "{output}");
    }
}

#[test]
fn last_words_are_said_though_a_thread_that_waits_has_locked_standard_error() {
    for backend in backends(&[2]) {
        expect_end(launch(&launcher("exits while standard error is locked", backend)), "must return instead of");
    }
}

/// A test that hangs past its time limit, if another test has started it.
#[test]
#[ignore = "another test starts it"]
fn hangs() {
    if env::var(PROGRAM).is_ok_and(|program| program == "hangs") {
        let case = Case { time_limit: Some(Duration::from_secs(1)), ..Case::new("launching::hangs") };
        testing::run(&case, |cluster| cluster.submit(sleeps::call(120.0)).get());
    }
}

#[test]
fn a_test_past_its_time_limit_ends_with_its_summary_alone() {
    let launcher = Launcher::alone(env::current_exe().expect("the system knows it"))
        .args(["hangs", "--exact", "--include-ignored", "--test-threads=1"])
        .env(PROGRAM, "hangs")
        .env("DISTWQ_TEST_BACKEND", "local")
        .env_remove("DISTWQ_TEST_TIME_LIMIT")
        .env_remove("DISTWQ_TEST_TALLY");
    let output = launch(&launcher).expect_failure();
    assert!(output.contains("not ended after 1 s") && output.contains("test result: FAILED"), "{output}");
    assert!(!output.contains("while the run goes on"), "{output}");
    assert_eq!(output.code(), Some(101), "{output}");
}

/// Nothing waits for tasks that run when another thread of the controller exits.
#[test]
fn an_exit_beside_the_body_ends_all_ranks_at_once_though_tasks_run() {
    for backend in backends(&[2, 3]) {
        let running = TemporaryFile::new("exit");
        let launcher = launcher("body exits while tasks run", backend).env("DISTWQ_TEST_ARGUMENT", &running.0);
        let output = launch(&launcher);
        assert_eq!(output.code(), Some(4), "{output}");
        assert!(!output.contains("distwq:") && !output.contains("MPI_ABORT"), "{output}");
        assert!(output.left_behind.is_empty() && output.wall < END_LIMIT + Duration::from_secs(5), "{output}");
    }
}

/// The line that says this also says which rank says it, and on which host.
#[track_caller]
fn expect_said_once(output: &Output, text: &str) {
    let texts = output.ranks.iter().map(|rank| &*rank.text);
    let line = texts.flat_map(str::lines).find(|line| line.contains(text));
    let line = line.unwrap_or_else(|| panic!("{text:?} is missing: {output}"));
    assert!(line.contains("distwq: rank ") && line.contains(" (host "), "{output}");
    assert_eq!(output.to_string().matches(text).count(), 1, "it is said once: {output}");
}

#[test]
fn a_signal_that_ends_a_process_is_told_with_the_task_its_label_and_its_rank() {
    for backend in backends(&[3]) {
        let abort =
            expect_end(launch(&launcher("aborts", backend)), "launching::aborts #21 \"the abort\" ends its process");
        expect_said_once(&abort, "it aborts (SIGABRT)");
        let tried = TemporaryFile::new("attempt");
        let later = launcher("aborts later", backend).env("DISTWQ_TEST_ARGUMENT", &tried.0);
        expect_end(launch(&later), "launching::aborts_later #21 (attempt 2) ends its process");
        let fault = expect_end(
            launch(&launcher("faults", backend)),
            "launching::reads_where_nothing_is #1 \"the fault\" ends its process",
        );
        expect_said_once(&fault, "an invalid access to memory");
        let overflow = expect_end(
            launch(&launcher("overflows", backend)),
            "launching::overflows_its_stack #21 \"deep\" ends its process",
        );
        expect_said_once(&overflow, "a stack overflow");
        // The handler of Rust comes after.
        assert!(overflow.contains("has overflowed its stack"), "{overflow}");
        let twice = expect_end(launch(&launcher("panics twice", backend)), "a panic while unwinding");
        expect_said_once(&twice, "it aborts (SIGABRT)");
    }
}

#[test]
fn a_run_that_waits_for_a_task_that_never_ends_says_for_which_one_after_the_grace() {
    for backend in backends(&[3]) {
        let running = TemporaryFile::new("drain");
        let launcher = launcher("never drains", backend).env("DISTWQ_TEST_ARGUMENT", &running.0);
        let mut launched = launcher.start().expect("it can be launched");
        launched.wait_for(0, "the run cannot end yet").expect("it says so");
        launched.wait_for(0, "cannot be cancelled").expect("the line ends");
        launched.kill(0).expect("it goes on waiting");
        let output = launched.wait().expect("the system tells how it ended").expect_failure();
        let line = output.rank(0).lines().find(|line| line.contains("cannot end yet")).expect("it is there");
        assert!(line.contains("for 21 tasks; launching::endless #1 \"the long one\" has run on rank "), "{output}");
        assert!(line.contains(" (host ") && line.contains(") for "), "{output}");
        let waits = "launching::square #2 waits for launching::endless #1 \"the long one\"";
        assert!(line.contains(waits) && line.contains("15 more like that"), "{output}");
    }
}

#[test]
fn a_run_that_waits_for_a_callback_that_never_returns_says_so_after_the_grace() {
    for backend in backends(&[3]) {
        let mut launched = launcher("a callback never returns", backend).start().expect("it can be launched");
        launched.wait_for(0, "given to `on_end`, has not returned").expect("it says so");
        launched.kill(0).expect("it goes on waiting");
        let output = launched.wait().expect("the system tells how it ended").expect_failure();
        let text = "the run cannot end yet: the callback of launching::square #1 \"the callback's\", given to";
        assert!(output.contains(text), "{output}");
    }
}

/// A program without MPI that an MPI launcher starts several times would do all its work
/// several times.
#[cfg(not(feature = "mpi"))]
#[test]
fn a_program_without_mpi_refuses_to_be_one_of_several_ranks() {
    for variables in [&[("OMPI_COMM_WORLD_SIZE", "2")][..], &[("PMI_SIZE", "4"), ("PMI_RANK", "0")]] {
        let launcher =
            variables.iter().fold(launcher("works", None), |launcher, (name, value)| launcher.env(*name, *value));
        let output = expect_end(launch(&launcher), "built without MPI");
        assert_eq!(output.code(), Some(2), "{output}");
        assert!(output.contains("--features mpi") && !output.contains("total"), "{output}");
    }
    let alone = launcher("works", None).env("OMPI_COMM_WORLD_SIZE", "1").env("SLURM_NTASKS", "16");
    assert!(launch(&alone).expect_success().contains("total 385"));
}
