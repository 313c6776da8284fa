//! Whole programs, started alone and under `mpirun`: what they exit with, what they say, and that they end, whatever
//! happens to one of their ranks.
//!
//! The programs stand here too: the executable of these tests starts itself again with [`PROGRAM`] set, and the test
//! `program`, which is ignored otherwise, then is the program of this name.

use distwq::BodyResult;
use distwq::prelude::*;
use distwq::testing::{self, Case, Launcher, Output};
use std::error::Error;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;
use std::{env, fmt, fs, process, thread};

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

#[remote]
fn exits(code: i32) {
    process::exit(code)
}

#[remote]
fn aborts() {
    process::abort()
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
    if group.rank() == 0 {
        let stuck = || group.with_mpi(|_| thread::sleep(Duration::from_secs(120)));
        return stuck().map_err(|error| error.to_string());
    }
    group.with_mpi(|_| ()).map_err(|error| error.to_string())?;
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

/// Runs the program that this process is to be, and gives its exit code.
fn run(program: &str) -> ExitCode {
    let argument = env::var("DISTWQ_TEST_ARGUMENT").unwrap_or_default();
    let wait_for = |cluster: &Cluster, call: Call<()>| -> BodyOutcome {
        // Another task runs meanwhile, so that a rank that ends leaves somebody behind who is busy.
        let bystanders: Vec<_> = (0..20).map(|x| cluster.submit(square::call(x))).collect();
        println!("the task is submitted");
        let end = cluster.submit(call).get();
        bystanders.iter().try_for_each(|handle| handle.get().map(drop))?;
        println!("the task has ended: {end:?}");
        Ok(end?)
    };
    let config = Config::new().workers(2);
    match program {
        "works" => distwq::launch(config, works),
        "fails" => distwq::launch(config, |_| -> Result<(), String> { Err("the body fails".to_owned()) }),
        "fails of something" => distwq::launch(config, |_| -> BodyOutcome { Err(Outer(Inner).into()) }),
        "panics" => distwq::launch(config, |cluster| {
            let busy = cluster.submit(square::call(3));
            assert_eq!(busy.get(), Ok(8), "the body panics");
        }),
        "panics while tasks wait" => distwq::launch(config, |cluster| -> BodyOutcome {
            for x in 0..1000 {
                drop(cluster.submit(square::call(x)));
            }
            panic!("the body panics");
        }),
        "fails while a task runs" => {
            distwq::launch(config.shutdown_grace(Duration::from_secs(1)), |cluster| -> Result<(), TaskError> {
                // The other worker has some to do, and more in its queue.
                let long = cluster.submit(sleeps::call(120.0));
                (0..30).for_each(|_| drop(cluster.submit(sleeps::call(0.1))));
                long.get_timeout(Duration::from_millis(500)).map(drop)
            })
        }
        "exits" => {
            let code: i32 = argument.parse().expect("the argument is the code");
            distwq::launch(config, |cluster| wait_for(cluster, exits::call(code)))
        }
        "body exits" => {
            let code: i32 = argument.parse().expect("the argument is the code");
            distwq::launch(config, |cluster| -> BodyOutcome {
                cluster.submit(square::call(1)).get().expect("one");
                process::exit(code)
            })
        }
        "aborts" => distwq::launch(config, |cluster| wait_for(cluster, aborts::call())),
        "overflows" => distwq::launch(config, |cluster| wait_for(cluster, overflows_its_stack::call())),
        "a task panics" => distwq::launch(config, |cluster| {
            let error = cluster.submit(panics::call()).get().expect_err("it panics");
            println!("told: {error}");
        }),
        "panics twice" => distwq::launch(config, |cluster| wait_for(cluster, panics_while_unwinding::call())),
        "endless" => distwq::launch(config, |cluster| wait_for(cluster, endless::call(&*argument))),
        #[cfg(feature = "mpi")]
        "stuck" => distwq::launch(config.collective_grace(Duration::from_secs(1)), |cluster| {
            wait_for(cluster, stuck_in_raw_mpi::call().ranks(2))
        }),
        "misconfigured" => distwq::launch(config.piece_bytes(1), works),
        other => panic!("there is no program {other:?}"),
    }
}

#[test]
#[ignore = "it is the program that the other tests launch"]
fn program() {
    let Ok(name) = env::var(PROGRAM) else {
        return;
    };
    let code = run(&name);
    // Only comparing tells what is in an exit code.
    let number = (0..=u8::MAX).find(|number| ExitCode::from(*number) == code).expect("it is one of them");
    process::exit(number.into())
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
    launcher
        .args(["program", "--exact", "--nocapture", "--include-ignored", "--test-threads=1"])
        .env(PROGRAM, program)
        .env("RUST_BACKTRACE", "0")
        .time_limit(Duration::from_secs(60))
}

/// Alone, and under `mpirun` as each of these numbers of ranks where there is MPI.
fn places(ranks: &[usize]) -> Vec<Option<usize>> {
    let wish = env::var("DISTWQ_TEST_BACKEND").unwrap_or_default();
    let mut places = Vec::new();
    if wish != "mpi" {
        places.push(None);
    }
    if cfg!(feature = "mpi") && wish != "local" {
        places.extend(ranks.iter().copied().map(Some));
    }
    places
}

#[track_caller]
fn launch(launcher: &Launcher) -> Output {
    launcher.run().expect("it can be launched")
}

/// The run ends by itself and says this; it takes no longer than it may after what happened at its start.
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
    for place in places(&[1, 2, 7]) {
        let output = launch(&launcher("works", place)).expect_success();
        let workers = place.map_or(2, |ranks| if ranks == 1 { 2 } else { ranks - 1 });
        let text = format!("total 385 of {workers} workers, wide {workers}");
        assert!(output.rank(0).contains(&text), "{output}");
    }
}

#[test]
fn a_program_tells_the_sources_of_a_boxed_error() {
    for place in places(&[2]) {
        let output = launch(&launcher("fails of something", place)).expect_failure();
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
    for place in places(&[2]) {
        let output = launch(&launcher("misconfigured", place)).expect_failure();
        assert!(output.contains("piece_bytes (DISTWQ_PIECE_BYTES) is 1"), "{output}");
        let output = launch(&launcher("works", place).env("DISTWQ_SLOTS", "several")).expect_failure();
        assert!(output.contains("DISTWQ_SLOTS=\"several\""), "{output}");
        assert_eq!(output.code(), Some(2), "{output}");
    }
    for place in places(&[2]).into_iter().flatten() {
        let output = launch(&launcher("works", Some(place)).env("DISTWQ_CONTROLLER", "5")).expect_failure();
        assert!(output.contains("controller (DISTWQ_CONTROLLER) is 5"), "{output}");
    }
}

#[test]
fn a_panic_is_told_by_its_error_and_with_backtraces_also_where_it_happens() {
    for place in places(&[2]) {
        for (wish, printed) in [("0", false), ("1", true)] {
            let launcher = launcher("a task panics", place).env("RUST_BACKTRACE", wish);
            let output = launch(&launcher).expect_success();
            assert!(output.rank(0).contains("panicked: a task that panics (at tests/launching.rs:"), "{output}");
            assert_eq!(output.contains("stack backtrace:"), printed, "{output}");
        }
    }
}

/// Nothing can end a function that never returns, but the end of the process.
#[test]
fn a_body_that_fails_while_a_task_runs_on_ends_the_run_within_the_grace() {
    for place in places(&[3]) {
        let output = expect_end(launch(&launcher("fails while a task runs", place)), "has not ended within");
        assert!(output.contains("within the shutdown grace of 1000 ms; busy: rank"), "{output}");
        let (_, busy) = output.rank(0).split_once("busy: ").expect("it says who");
        let busy = busy.lines().next().expect("a line");
        assert_eq!(busy.matches("rank").count(), 1, "one is busy: {output}");
        assert!(busy.contains("the first of them launching::sleeps #1"), "{output}");
        if place.is_none() {
            assert_eq!(output.code(), Some(70), "{output}");
        }
    }
}

#[test]
fn a_misspelt_variable_is_named_once_and_changes_nothing() {
    for place in places(&[3]) {
        let output = launch(&launcher("works", place).env("DISTWQ_SLOT", "3")).expect_success();
        assert_eq!(output.to_string().matches("the variable DISTWQ_SLOT means nothing").count(), 1, "{output}");
    }
}

#[test]
fn a_body_that_fails_or_panics_ends_all_ranks_with_one_and_a_message() {
    for place in places(&[2, 3]) {
        for (program, text) in
            [("fails", "the body fails"), ("panics", "the body panics"), ("panics while tasks wait", "the body panics")]
        {
            let output = expect_end(launch(&launcher(program, place)), text);
            assert_eq!(output.code(), Some(1), "{output}");
        }
    }
}

#[test]
fn a_task_that_exits_its_process_ends_the_run_with_a_message() {
    for place in places(&[3]) {
        for code in ["0", "3"] {
            let output = launch(&launcher("exits", place).env("DISTWQ_TEST_ARGUMENT", code));
            let output = expect_end(output, "instead of calling `process::exit`");
            assert!(output.contains("::exits"), "the task is named: {output}");
            assert!(!output.contains("the task has ended"), "{output}");
        }
    }
}

#[test]
fn a_body_that_exits_its_process_ends_the_run_with_a_message() {
    for place in places(&[3]) {
        for code in ["0", "3"] {
            let output = launch(&launcher("body exits", place).env("DISTWQ_TEST_ARGUMENT", code));
            expect_end(output, "exits while the run goes on");
        }
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

#[test]
fn an_abort_a_stack_overflow_and_a_panic_while_unwinding_end_the_run() {
    for place in places(&[3]) {
        expect_end(launch(&launcher("aborts", place)), " launching::aborts");
        // Who handles the signal has the last word: Rust, or a library of MPI.
        let overflow = expect_end(launch(&launcher("overflows", place)), "the task is submitted");
        let told = ["has overflowed its stack", "Segmentation fault"].iter().any(|text| overflow.contains(text));
        assert!(told, "{overflow}");
        expect_end(launch(&launcher("panics twice", place)), "a panic while unwinding");
    }
}

/// A program without MPI that an MPI launcher starts several times would do all its work several times.
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

/// What is about several ranks.
#[cfg(feature = "mpi")]
mod under_mpirun {
    use super::*;
    use std::path::PathBuf;
    use std::time::Instant;

    /// A file of this test, which goes when dropped.
    struct TemporaryFile(PathBuf);

    impl TemporaryFile {
        fn new(name: &str) -> Self {
            Self(env::temp_dir().join(format!("distwq-{name}-{}", process::id())))
        }
    }

    impl Drop for TemporaryFile {
        fn drop(&mut self) {
            // It need not be there.
            let _ = fs::remove_file(&self.0);
        }
    }

    #[test]
    fn the_controller_can_be_any_rank() {
        for (wish, ranks, controller) in [("-1", 2, 1), ("-1", 4, 3), ("1", 3, 1), ("-1", 1, 0)] {
            for place in places(&[ranks]).into_iter().flatten() {
                let launcher = launcher("works", Some(place)).env("DISTWQ_CONTROLLER", wish);
                let output = launch(&launcher).expect_success();
                assert!(output.rank(controller).contains("total 385"), "{output}");
            }
        }
    }

    /// SIGKILL for a worker that works, for one that does not, for the controller.
    #[test]
    fn a_killed_rank_ends_the_run() {
        for place in places(&[4]).into_iter().flatten() {
            for victim in 0..3 {
                let running = TemporaryFile::new("endless");
                let launcher = launcher("endless", Some(place)).env("DISTWQ_TEST_ARGUMENT", &running.0);
                let mut launched = launcher.start().expect("it can be launched");
                launched.wait_for(0, "the task is submitted").expect("it gets there");
                let deadline = Instant::now() + Duration::from_secs(20);
                while !running.0.exists() {
                    assert!(Instant::now() < deadline, "the task does not begin");
                    thread::sleep(Duration::from_millis(5));
                }
                launched.kill(victim).expect("it lives");
                let killed = Instant::now();
                let output = launched.wait().expect("the system tells how it ended").expect_failure();
                assert!(killed.elapsed() < END_LIMIT, "rank {victim} was killed: {output}");
            }
        }
    }

    #[test]
    fn a_member_that_sits_in_raw_mpi_when_another_fails_ends_the_run_within_the_grace() {
        for place in places(&[3]).into_iter().flatten() {
            let output = expect_end(launch(&launcher("stuck", Some(place))), "ends the run");
            assert!(output.contains("stuck_in_raw_mpi"), "the task is named: {output}");
            assert!(output.contains("with_mpi") || output.contains("raw MPI"), "the reason is named: {output}");
        }
    }

    /// Two executables that differ in one byte.
    #[test]
    fn ranks_of_different_programs_are_refused_with_the_difference() {
        for place in places(&[2]).into_iter().flatten() {
            let executable = env::current_exe().expect("the system knows it");
            let other = TemporaryFile::new("other-program");
            // The shell makes the copy: a process that this one starts meanwhile must not have it open for writing,
            // for then it could not be executed.
            let script = "if [ ${OMPI_COMM_WORLD_RANK:-${PMI_RANK:-0}} = 0 ]; then exec \"$0\" \"$@\"; fi\n\
                          cp \"$0\" \"$OTHER\" && echo >>\"$OTHER\" && exec \"$OTHER\" \"$@\"";
            let launcher = Launcher::new("sh", place)
                .arg("-c")
                .arg(script)
                .arg(executable)
                .args(["program", "--exact", "--nocapture", "--include-ignored", "--test-threads=1"])
                .env(PROGRAM, "works")
                .env("OTHER", &other.0)
                .time_limit(Duration::from_secs(60));
            let output = expect_end(launch(&launcher), "different programs");
            assert!(output.contains("executables of different content"), "{output}");
            assert!(output.contains("rank 0") && output.contains("rank 1"), "{output}");
        }
    }
}
