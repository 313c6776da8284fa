//! Runs that are stopped from outside, by signals, or at once, by `abort`.

use super::*;

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
fn the_first_signal_cancels_all_tasks_and_the_body_goes_on() {
    for backend in backends(&[2, 4]) {
        for signal in ["INT", "TERM"] {
            let output = launch(&launcher("interrupted", backend).env("DISTWQ_TEST_ARGUMENT", signal));
            assert_eq!(output.code(), Some(0), "{output}");
            assert!(output.contains(&format!("SIG{signal} has come: all tasks are cancelled")), "{output}");
            assert!(output.contains("20 waited") && output.left_behind.is_empty(), "{output}");
        }
    }
}

#[test]
fn the_second_signal_ends_all_ranks_at_once() {
    for backend in backends(&[2, 4]) {
        for (signal, code) in [("INT", 130), ("TERM", 143)] {
            let output = launch(&launcher("interrupted twice", backend).env("DISTWQ_TEST_ARGUMENT", signal));
            assert_eq!(output.code(), Some(code), "{output}");
            assert!(output.contains("and not for the first time"), "{output}");
            assert!(output.left_behind.is_empty() && output.wall < END_LIMIT, "{output}");
        }
    }
}

#[test]
fn a_program_may_leave_signals_to_the_system() {
    let output = launch(&launcher("does not handle signals", None).env("DISTWQ_TEST_ARGUMENT", "TERM"));
    assert!(output.code() != Some(0) && !output.contains("has come"), "{output}");
    assert!(output.wall < END_LIMIT, "{output}");
}
