//! What is about several ranks.

use super::*;
use std::time::Instant;

#[test]
fn the_controller_can_be_any_rank() {
    for (wish, ranks, controller) in [("-1", 2, 1), ("-1", 4, 3), ("1", 3, 1), ("-1", 1, 0)] {
        for backend in backends(&[ranks]).into_iter().flatten() {
            let launcher = launcher("works", Some(backend)).env("DISTWQ_CONTROLLER", wish);
            let output = launch(&launcher).expect_success();
            assert!(output.rank(controller).contains("total 385"), "{output}");
        }
    }
}

/// A launcher gives the code that differs from 0, and may hang if several do.
#[test]
fn the_controller_alone_ends_with_the_code_of_the_run() {
    let executable = env::current_exe().expect("the system knows it");
    let with_codes = r#""$0" "$@"; code=$?; echo "ended with $code"; exit $code"#;
    for backend in backends(&[3]).into_iter().flatten() {
        for (program, code) in [("fails", 1), ("panics", 1), ("body exits", 3), ("no controller", 2), ("works", 0)] {
            let mut launcher = Launcher::new("sh", backend).args(["-c", with_codes]).arg(&executable);
            if program == "no controller" {
                launcher = launcher.env("DISTWQ_CONTROLLER", "5");
            }
            let output = launch(&as_program(launcher, program).env("DISTWQ_TEST_ARGUMENT", "3"));
            assert_eq!(output.code(), Some(code), "{output}");
            assert!(output.rank(0).contains(&format!("ended with {code}\n")), "{output}");
            // The launcher may end the shell of a rank that has ended before it says so.
            for others in [1, 2].map(|rank| output.rank(rank).replace("ended with 0\n", "")) {
                assert!(!others.contains("ended with"), "{output}");
            }
        }
    }
}

/// SIGKILL for a worker that works, for one that does not, for the controller. Open MPI
/// leaves the others a moment in which they can say who has gone; MPICH kills them.
#[test]
fn a_killed_rank_ends_the_run_and_is_named_with_what_it_did() {
    for backend in backends(&[4]).into_iter().flatten() {
        for victim in 0..3 {
            let running = TemporaryFile::new("endless");
            let launcher = launcher("endless", Some(backend)).env("DISTWQ_TEST_ARGUMENT", &running.0);
            let mut launched = launcher.start().expect("it can be launched");
            launched.wait_for(0, "the others have ended").expect("it gets there");
            let deadline = Instant::now() + Duration::from_secs(20);
            while fs::read_to_string(&running.0).unwrap_or_default().is_empty() {
                assert!(Instant::now() < deadline, "the task does not begin");
                thread::sleep(Duration::from_millis(5));
            }
            let process = launched.process(victim).expect("it lives");
            let worked = fs::read_to_string(&running.0).is_ok_and(|text| text == process.to_string());
            launched.kill(victim).expect("it lives");
            let killed = Instant::now();
            let output = launched.wait().expect("the system tells how it ended").expect_failure();
            assert!(killed.elapsed() < END_LIMIT, "rank {victim} was killed: {output}");
            if output.mpi.as_deref().is_some_and(|mpi| mpi.starts_with("Open MPI")) {
                let ended = format!("is gone: its process {process} has ended while the run goes on");
                let (witness, gone) = match victim {
                    0 => (1, format!("), the controller, {ended}")),
                    _ => (0, format!(") {ended}; it had ")),
                };
                assert!(output.rank(witness).contains(&format!("rank {victim} (host ")), "{output}");
                assert!(output.rank(witness).contains(&gone), "{gone:?} is missing: {output}");
                assert_eq!(output.rank(witness).contains("launching::endless #1 \"the long one\""), worked, "{output}");
            }
        }
    }
}

#[test]
fn a_member_that_sits_in_raw_mpi_when_another_fails_ends_the_run_within_the_grace() {
    for backend in backends(&[3]).into_iter().flatten() {
        let output = expect_end(launch(&launcher("stuck", Some(backend))), "ends the run");
        assert!(output.contains("stuck_in_raw_mpi"), "the task is named: {output}");
        assert!(output.contains("with_mpi") || output.contains("raw MPI"), "the reason is named: {output}");
    }
}

/// The setting reaches rank 0 only, so the others have asked MPI for less.
#[test]
fn ranks_whose_mpi_not_all_threads_may_call_all_refuse_to_start_if_they_are_to() {
    for backend in backends(&[3]).into_iter().flatten() {
        let script = "if [ ${OMPI_COMM_WORLD_RANK:-${PMI_RANK:-0}} = 0 ]; then \
                      export DISTWQ_MPI_THREAD_MULTIPLE=1; fi; exec \"$0\" \"$@\"";
        let launcher = Launcher::new("sh", backend)
            .arg("-c")
            .arg(script)
            .arg(env::current_exe().expect("the system knows it"))
            .args(["program", "--exact", "--nocapture", "--include-ignored", "--test-threads=1"])
            .env(PROGRAM, "works")
            .time_limit(Duration::from_secs(60));
        let output = expect_end(launch(&launcher), "mpi_thread_multiple (DISTWQ_MPI_THREAD_MULTIPLE) is set");
        assert!(output.contains("gives 2 of the ranks a lower thread level"), "{output}");
        assert_eq!(output.code(), Some(2), "{output}");
    }
}

/// Two executables that differ in one byte.
#[test]
fn ranks_of_different_programs_are_refused_with_the_difference() {
    for backend in backends(&[2]).into_iter().flatten() {
        let executable = env::current_exe().expect("the system knows it");
        let other = TemporaryFile::new("other-program");
        // The shell makes the copy: a process that this one starts meanwhile must not
        // have it open for writing, for then it could not be executed.
        let script = "if [ ${OMPI_COMM_WORLD_RANK:-${PMI_RANK:-0}} = 0 ]; then exec \"$0\" \"$@\"; fi\n\
                      cp \"$0\" \"$OTHER\" && echo >>\"$OTHER\" && exec \"$OTHER\" \"$@\"";
        let launcher = Launcher::new("sh", backend)
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
