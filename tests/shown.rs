//! What a run shows on standard error while it goes on: how far tasks are.
//!
//! The programs stand here too: the executable of these tests starts itself again with
//! [`PROGRAM`] set, and the test `program`, which is ignored otherwise, then is the
//! program of this name.

use distwq::prelude::*;
use distwq::testing::{Launcher, Output};
use std::process::ExitCode;
use std::time::Duration;
use std::{env, process, thread};

/// Names the program that a process is to be.
const PROGRAM: &str = "DISTWQ_TEST_PROGRAM";

#[remote]
fn naps(milliseconds: u64) -> Result<u64, String> {
    thread::sleep(Duration::from_millis(milliseconds));
    if milliseconds == 7 { Err("seven is too many".to_owned()) } else { Ok(milliseconds) }
}

fn shows_progress(cluster: &Cluster) -> Result<(), TaskError> {
    let batch = cluster.submit_all([5, 6, 7, 8].map(naps::call));
    let bar = batch.progress_bar();
    assert_eq!(batch.iter().filter(|(_, result)| result.is_err()).count(), 1);
    drop(bar);
    println!("the bar is gone");
    Ok(())
}

fn run(program: &str) -> ExitCode {
    let config = Config::new().workers(2);
    match program {
        "shows progress" => distwq::launch(config, shows_progress),
        _ => panic!("there is no program {program:?}"),
    }
}

#[test]
#[ignore = "it is the program that the other tests launch"]
fn program() {
    let Ok(name) = env::var(PROGRAM) else { return };
    let code = run(&name);
    process::exit(i32::from(code != ExitCode::SUCCESS));
}

/// Runs a program alone, or under `mpirun` as so many ranks, with these variables.
#[track_caller]
fn launch(program: &str, ranks: Option<usize>, variables: &[(&str, &str)]) -> Output {
    let executable = env::current_exe().expect("the system knows it");
    let launcher = match ranks {
        Some(ranks) => Launcher::new(executable, ranks),
        None => Launcher::alone(executable),
    };
    let launcher = launcher
        .args(["program", "--exact", "--nocapture", "--include-ignored", "--test-threads=1"])
        .env(PROGRAM, program)
        .time_limit(Duration::from_secs(60));
    let launcher = variables.iter().fold(launcher, |launcher, (name, value)| launcher.env(*name, *value));
    launcher.run().expect("it can be launched").expect_success()
}

/// Alone, and under `mpirun` as three ranks where there is MPI.
fn backends() -> Vec<Option<usize>> {
    let wish = env::var("DISTWQ_TEST_BACKEND").unwrap_or_default();
    let alone = (wish != "mpi").then_some(None);
    let over_mpi = (cfg!(feature = "mpi") && wish != "local").then_some(Some(3));
    alone.into_iter().chain(over_mpi).collect()
}

#[test]
fn progress_is_told_in_lines_where_there_is_no_terminal() {
    for backend in backends() {
        for variables in [&[][..], &[("DISTWQ_PROGRESS", "lines")]] {
            let output = launch("shows progress", backend, variables);
            let last = "distwq: 4 of 4 tasks have ended, 1 failed, ";
            assert_eq!(output.to_string().matches(last).count(), 1, "{output}");
        }
    }
}

#[test]
fn progress_is_a_bar_where_that_is_wished_and_nothing_where_it_is_off() {
    let output = launch("shows progress", None, &[("DISTWQ_PROGRESS", "bar")]);
    assert!(output.contains("4 of 4, 1 failed") && !output.contains("tasks have ended"), "{output}");
    for backend in backends() {
        let output = launch("shows progress", backend, &[("DISTWQ_PROGRESS", "off")]);
        assert!(output.contains("the bar is gone"), "{output}");
        assert!(!output.contains("4 of 4") && !output.contains("tasks have ended"), "{output}");
    }
}
