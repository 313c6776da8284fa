//! Runs that are stopped from outside, by signals, or at once, by `abort`; and those that
//! a task keeps which never returns.

use super::*;

/// A program that hears of signals, also if whoever runs the tests ignores them, as a
/// shell does for what it runs in the background.
fn hearing(program: &str, backend: Option<usize>) -> Launcher {
    through_env("--default-signal=INT,TERM", program, backend)
}

fn through_env(option: &str, program: &str, backend: Option<usize>) -> Launcher {
    let executable = env::current_exe().expect("the system knows it");
    let env = match backend {
        Some(ranks) => Launcher::new("env", ranks),
        None => Launcher::alone("env"),
    };
    as_program(env.arg(option).arg(&executable), program)
}

#[test]
fn an_aborted_run_ends_at_once_with_the_code_that_was_given() {
    for backend in backends(&[2, 4]) {
        let output = launch(&launcher("aborted", backend).env("DISTWQ_TEST_ARGUMENT", "9"));
        assert_eq!(output.code(), Some(9), "{output}");
        assert!(output.contains("ends the run: it was aborted with 9"), "{output}");
        assert!(output.left_behind.is_empty() && output.wall < END_LIMIT, "{output}");
    }
}

#[test]
fn the_first_signal_cancels_all_tasks_also_later_ones_and_the_body_goes_on() {
    for backend in backends(&[2, 4]) {
        for signal in ["INT", "TERM"] {
            let output = launch(&hearing("interrupted", backend).env("DISTWQ_TEST_ARGUMENT", signal));
            assert_eq!(output.code(), Some(0), "{output}");
            assert!(output.contains(&format!("SIG{signal} has come: all tasks are cancelled, also")), "{output}");
            assert!(output.contains("20 waited") && output.contains("it has gone on"), "{output}");
            assert!(output.left_behind.is_empty(), "{output}");
        }
    }
}

#[test]
fn a_signal_ends_maps_with_what_there_is_and_one_error() {
    // One item of each of two maps keeps its worker until then.
    for backend in backends(&[3, 4]) {
        let output = launch(&hearing("interrupted map", backend).env("DISTWQ_TEST_ARGUMENT", "INT"));
        assert_eq!(output.code(), Some(0), "{output}");
        assert!(output.contains("it has gone on") && output.left_behind.is_empty(), "{output}");
    }
}

/// As of a shell that runs it in the background.
#[test]
fn a_signal_that_is_ignored_from_the_start_stays_ignored() {
    for backend in backends(&[2]) {
        let ignoring = through_env("--ignore-signal=INT,TERM", "ignores signals", backend);
        let output = launch(&ignoring).expect_success();
        assert!(output.contains("total 385") && !output.contains("has come"), "{output}");
    }
}

#[test]
fn the_second_signal_ends_all_ranks_at_once() {
    for backend in backends(&[2, 4]) {
        for (signal, code) in [("INT", 130), ("TERM", 143)] {
            let output = launch(&hearing("interrupted twice", backend).env("DISTWQ_TEST_ARGUMENT", signal));
            assert_eq!(output.code(), Some(code), "{output}");
            assert!(output.contains("and not for the first time"), "{output}");
            assert!(output.left_behind.is_empty() && output.wall < END_LIMIT, "{output}");
        }
    }
}

#[test]
fn a_program_may_leave_signals_to_the_system() {
    let output = launch(&hearing("does not handle signals", None).env("DISTWQ_TEST_ARGUMENT", "TERM"));
    assert!(output.code() != Some(0) && !output.contains("has come"), "{output}");
    assert!(output.wall < END_LIMIT, "{output}");
}

/// The grace is half a second, and the task goes on for two minutes.
#[test]
fn shutdown_now_ends_with_the_code_of_the_body_and_names_what_it_leaves_behind() {
    for backend in backends(&[2, 4]) {
        for (program, code) in [("leaves behind", 0), ("leaves behind and fails", 1)] {
            let running = TemporaryFile::new("leave");
            let launcher = launcher(program, backend).env("DISTWQ_TEST_ARGUMENT", &running.0);
            let output = launch(&launcher);
            assert_eq!(output.code(), Some(code), "{output}");
            assert!(output.contains("left behind: launching::endless #1 \"the long one\" on rank "), "{output}");
            assert!(output.contains("the body goes on") && !output.contains("MPI_ABORT"), "{output}");
            assert!(output.left_behind.is_empty() && output.wall < END_LIMIT + Duration::from_secs(5), "{output}");
        }
    }
}

/// The grace is half a second, and the task goes on for two minutes.
#[test]
fn a_task_that_never_returns_does_not_keep_a_run_with_limits_from_ending() {
    for backend in backends(&[3]) {
        for how in ["limit", "deadline"] {
            for wishes in ["", "cancel", "shutdown", "cancel shutdown", "shutdown_now", "cancel shutdown_now"] {
                let running = TemporaryFile::new("never");
                let argument = format!("{how} {wishes} {}", running.0.display());
                let launcher = launcher("never returns", backend).env("DISTWQ_TEST_ARGUMENT", &argument);
                let output = launch(&launcher);
                let (code, says) = match wishes.contains("now") {
                    true => (0, "within the shutdown grace of 500 ms and are left behind: "),
                    false => (70, "within the shutdown grace of 500 ms; busy: rank"),
                };
                assert!(output.code() == Some(code) && output.contains(says), "{output}");
                assert!(output.wall < END_LIMIT + Duration::from_secs(5), "{output}");
                assert!(output.contains("launching::endless #1 \"the long one\" (past its limit)"), "{output}");
                let is_cancelled = wishes.contains("cancel") || wishes.contains("now");
                let end = if is_cancelled { "Cancelled" } else { "LimitReached" };
                assert!(output.contains(&format!("the task ends: Err({end}")), "{wishes}: {output}");
                assert!(output.left_behind.is_empty(), "{output}");
            }
        }
    }
}

#[test]
fn a_state_that_is_not_made_anew_in_time_ends_all_tasks_and_the_run_ends_within_the_grace() {
    for backend in backends(&[2]) {
        for (program, name) in [("init never returns again", "init"), ("finish never returns", "finish")] {
            let text = format!("{name} has not returned within the {name} limit of 300 ms, where the state of slot 0");
            let output = expect_end(launch(&launcher(program, backend)), &text);
            assert!(output.rank(0).contains("the body goes on"), "{output}");
        }
    }
}
