//! The launcher against a stand-in for mpirun, so that these tests need no MPI.

use std::{
    fs,
    path::PathBuf,
    process::Command,
    time::{Duration, Instant},
};

use crate::{Ending, LaunchError, Launcher, Mpirun, process};

/// Starts the ranks, waits for them, ends with the last code that was not 0, and ends
/// nobody when it is ended: the worst launcher that there can be.
const STAND_IN: &str = r#"#!/bin/sh
[ "$1" = --version ] && echo "VERSION" && exit
while [ "$1" != -n ]; do shift; done
count=$2; shift 2; rank=0; ranks=; code=0
while [ $rank -lt $count ]; do PMI_RANK=$rank PMI_SIZE=$count "$@" & ranks="$ranks $!"; rank=$((rank + 1)); done
for rank in $ranks; do wait $rank || code=$?; done
exit $code
"#;

/// A stand-in in a folder of its own, both of which go when dropped.
struct StandIn(PathBuf);

impl StandIn {
    fn new(test: &str) -> Self {
        Self::that_says("HYDRA build details:\n    Version: 0.0", test)
    }

    /// One that says this when it is asked for its version.
    fn that_says(version: &str, test: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("distwq-stand-in-{test}-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        // A shell writes the file. Had this process it open, a process started by another
        // test meanwhile could have it open too, and no system runs a program that
        // somebody may still write ("text file busy").
        let script = r#"printf %s "$1" >"$0" && chmod +x "$0""#;
        let mut written = Command::new("sh");
        written.args(["-c", script]).arg(folder.join("mpirun"));
        let written = written.arg(STAND_IN.replace("VERSION", version)).status();
        assert!(written.unwrap().success(), "no stand-in for mpirun could be written");
        Self(folder)
    }

    /// So many ranks of this shell script.
    fn shell(&self, ranks: usize, script: &str) -> Launcher {
        let mpirun = Mpirun::at(&self.0.join("mpirun")).unwrap();
        Launcher::new("sh", ranks).mpirun(mpirun).args(["-c", script]).time_limit(Duration::from_secs(20))
    }
}

impl Drop for StandIn {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[test]
fn each_rank_has_an_output_of_its_own() {
    let stand_in = StandIn::new("outputs");
    let output = stand_in.shell(3, "echo out $PMI_RANK; echo error $PMI_RANK $1 >&2").args(["sh", "argument"]).run();
    let output = output.unwrap().expect_success();
    for rank in 0..3 {
        assert_eq!(output.rank(rank), format!("out {rank}\nerror {rank} argument\n"));
    }
    assert_eq!(output.mpi.as_deref(), Some("MPICH 0.0"));
}

#[test]
fn the_exit_code_of_a_rank_is_the_launchs() {
    let stand_in = StandIn::new("code");
    let output = stand_in.shell(3, "exit $((PMI_RANK == 1 ? 7 : 0))").run().unwrap().expect_failure();
    assert_eq!(output.code(), Some(7));
}

#[test]
fn variables_reach_the_ranks_or_are_taken_from_them() {
    let stand_in = StandIn::new("variables");
    let launcher = stand_in.shell(1, "echo $GIVEN ${PATH:+path}").env("GIVEN", "given");
    assert_eq!(launcher.run().unwrap().rank(0), "given path\n");
    let launcher = Launcher::alone("/bin/sh").args(["-c", "echo ${CARGO_MANIFEST_DIR:-none}"]);
    assert_eq!(launcher.env_remove("CARGO_MANIFEST_DIR").run().unwrap().rank(0), "none\n");
}

#[test]
fn a_launch_past_its_time_limit_is_ended_and_says_who_still_lived() {
    let stand_in = StandIn::new("limit");
    // Rank 1 ends; the others ignore a polite signal and have children, one of them
    // without an environment.
    let script = "[ $PMI_RANK = 1 ] && exit; trap '' TERM; echo stuck; sleep 100 & env -i sleep 100";
    let limit = Duration::from_secs(1);
    let output = stand_in.shell(3, script).time_limit(limit).run().unwrap();
    assert_eq!(output.ending, Ending::TimeLimit(limit));
    let lived: Vec<_> = output.ranks.iter().map(|rank| rank.threads.is_some()).collect();
    assert_eq!(lived, [true, false, true], "{output}");
    assert!(output.to_string().contains("[2] stuck"), "{output}");
    let alive = output.ranks.iter().filter_map(|rank| rank.process).filter(|&process| process::is_alive(process));
    assert_eq!(alive.count(), 0);
}

#[test]
fn the_files_of_a_killed_launcher_go_with_its_launch() {
    let folders = [("4.1.6", "OMPI_MCA_orte_tmpdir_base"), ("5.0.11", "PRTE_MCA_prte_tmpdir_base")];
    for (version, variable) in folders {
        let stand_in = StandIn::that_says(&format!("mpirun (Open MPI) {version}"), &format!("files-{version}"));
        let script = format!("mkdir ${variable}/ompi.1 && echo ${variable}/ompi.1; sleep 100");
        let mut launched = stand_in.shell(1, &script).time_limit(Duration::from_secs(5)).start().unwrap();
        launched.wait_for(0, "ompi.1\n").unwrap();
        let kept = PathBuf::from(launched.output(0).trim_end());
        assert!(kept.is_dir(), "{} is no folder", kept.display());
        drop(launched);
        assert!(!kept.exists(), "{} has stayed behind", kept.display());
    }
}

#[test]
fn a_rank_can_be_awaited_and_killed() {
    let stand_in = StandIn::new("kill");
    let mut launched = stand_in.shell(2, "echo ready; exec sleep $((PMI_RANK * 100))").start().unwrap();
    launched.wait_for(1, "ready").unwrap();
    launched.kill(1).unwrap();
    assert_eq!(launched.wait().unwrap().expect_failure().code(), Some(128 + 9));
}

#[test]
fn what_is_never_said_is_an_error_with_what_was_said() {
    let mut launched = Launcher::alone("sh").args(["-c", "echo something else"]).start().unwrap();
    let error = launched.wait_for(0, "the word").expect_err("it was not said");
    assert!(matches!(error, LaunchError::RankSilent { rank: 0, .. }), "{error}");
    assert!(error.to_string().contains("something else"), "{error}");
}

#[test]
fn dropping_a_launch_ends_all_of_it() {
    let stand_in = StandIn::new("drop");
    let mut launched = stand_in.shell(2, "trap '' TERM; echo ready; sleep 100 & wait").start().unwrap();
    let ranks: Vec<_> = (0..2)
        .map(|rank| {
            launched.wait_for(rank, "ready").unwrap();
            launched.process(rank).unwrap()
        })
        .collect();
    let started = Instant::now();
    drop(launched);
    assert!(ranks.into_iter().all(|process| !process::is_alive(process)));
    assert!(started.elapsed() < Duration::from_secs(15));
}

#[test]
fn what_outlives_the_launcher_is_found_and_killed() {
    let output = Launcher::alone("sh").args(["-c", "setsid sleep 100 & exit 0"]).run().unwrap();
    assert_eq!(output.left_behind.len(), 1, "{output}");
    assert!(!output.success());
    assert!(!process::is_alive(output.left_behind[0]));
}

#[test]
fn a_program_that_is_not_there_is_a_failure_that_names_it() {
    let output = Launcher::alone("/nowhere/program").run().unwrap().expect_failure();
    assert!(output.rank(0).contains("/nowhere/program"), "{output}");
}
