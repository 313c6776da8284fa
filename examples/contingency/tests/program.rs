//! The program as its user meets it: figures, report, exit codes and messages, on the
//! local backend.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

fn data(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../data/powergrid").join(file)
}

/// An empty folder for one test.
fn folder(test: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(test);
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).unwrap();
    folder
}

fn screen(workers: usize, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_contingency"))
        .env("DISTWQ_WORKERS", workers.to_string())
        .args(arguments)
        .output()
        .unwrap()
}

fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Runs the program, which must fail, and returns what it says.
fn fails(arguments: &[&str]) -> String {
    let output = screen(2, arguments);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success(), "it did not fail: {said}{}", stdout(&output));
    said
}

/// Two buses, three lines between them, and one behind a bridge: a third of the power
/// goes over each line.
const TINY: &str = "function mpc = tiny
mpc.version = '2';
mpc.baseMVA = 100;
mpc.bus = [
1 3 0 0 0 0 1 1 0 380 1 1.1 0.9;
2 1 60 0 0 0 1 1 0 380 1 1.1 0.9;
3 1 30 0 0 0 1 1 0 380 1 1.1 0.9;
];
mpc.gen = [ 1 90 0 0 0 1 100 1 99 0; ];
mpc.branch = [
1 2 0 0.1 0 40 0 0 0 0 1;
2 1 0 0.1 0 40 0 0 0 0 1;
1 2 0 0.1 0 50 0 0 0 0 1;
2 3 0 0.2 0 31 0 0 0 0 1;
];
";

fn tiny(folder: &Path, change: impl Fn(&str) -> String) -> String {
    let file = folder.join("tiny.m");
    fs::write(&file, change(TINY)).unwrap();
    file.display().to_string()
}

#[test]
fn the_small_case_is_as_expected_on_any_number_of_workers() {
    let folder = folder("small_case");
    for workers in [1, 3] {
        let report = folder.join(format!("report{workers}.html")).display().to_string();
        let case = data("case1354pegase.m").display().to_string();
        let output = screen(workers, &[&case, "--report", &report]);
        let said = stdout(&output) + &String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{said}");
        for line in [
            "outages: 1430 solved, 561 split the grid, 1430 cause 13038 overloads",
            "  1. loading 2.806333  outage of row    75 on row   433  from scratch 2.806333",
            "all 39 figures are as expected",
            "all 20 solutions from scratch confirm the screening",
        ] {
            assert!(said.contains(line), "{line:?} is not in:\n{said}");
        }
        let page = fs::read_to_string(report).unwrap();
        assert!(page.contains("39 of 39") && page.contains("64 × screen outages"));
    }
}

#[test]
fn a_grid_of_three_buses_is_screened_by_hand() {
    let folder = folder("tiny");
    let case = tiny(&folder, str::to_owned);
    let output = screen(2, &[&case, "--no-report", "--batches", "1"]);
    let said = stdout(&output);
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    // With one line out, 45 MW go over each of the other two: above 40, below 50.
    assert!(said.contains("3 solved, 1 split the grid, 3 cause 4 overloads"), "{said}");
    assert!(said.contains("  1. loading 1.125000  outage of row     0 on row     1"), "{said}");
    assert!(said.contains("no expected figures to compare with"), "{said}");
}

#[test]
fn a_grid_with_generous_limits_has_nothing_to_confirm() {
    let folder = folder("generous");
    let case = tiny(&folder, |text| text.replace(" 40 0", " 400 0").replace(" 50 0", " 500 0"));
    let output = screen(2, &[&case, "--no-report"]);
    let said = stdout(&output);
    assert!(said.contains("3 solved, 1 split the grid, 0 cause 0 overloads"), "{said}");
    assert!(said.contains("no outage overloads a branch, so there is nothing to confirm"), "{said}");
    assert!(output.status.success(), "{said}");
}

#[test]
fn a_grid_without_rings_has_nothing_to_screen() {
    let folder = folder("radial");
    let line = "2 1 0 0.1 0 40 0 0 0 0 1;\n1 2 0 0.1 0 50 0 0 0 0 1;\n";
    let case = tiny(&folder, |text| text.replace(line, ""));
    let output = screen(2, &[&case, "--report", &folder.join("r.html").display().to_string()]);
    assert!(stdout(&output).contains("0 solved, 2 split the grid, 0 cause 0 overloads"));
    assert!(stdout(&output).contains("no outage overloads a branch, so there is nothing to confirm"));
    assert!(output.status.success());
}

#[test]
fn figures_that_are_off_are_named_and_fail_the_program() {
    let folder = folder("off");
    let expected = fs::read_to_string(data("expected/case1354pegase.json")).unwrap();
    let file = folder.join("off.json").display().to_string();
    fs::write(&file, expected.replace("\"violation_pairs\": 13038", "\"violation_pairs\": 13037")).unwrap();
    let case = data("case1354pegase.m").display().to_string();
    let said = fails(&[&case, "--no-report", "--expected", &file]);
    assert!(
        said.contains("not as it should be (1 in all)") && said.contains("violations: expected 13037, found 13038"),
        "{said}"
    );
}

#[test]
fn what_is_wrong_with_a_case_is_said_with_file_and_line() {
    let folder = folder("wrong");
    let wrong = |from: &str, to: &str| fails(&[&tiny(&folder, |text| text.replacen(from, to, 1)), "--no-report"]);
    assert!(fails(&["no/such/grid.m"]).contains("cannot read the case file no/such/grid.m"));
    assert!(wrong("1 2 0 0.1 0 40", "1 2 0 x 0 40").contains("tiny.m: line 11: `x` in `branch` is not a number"));
    assert!(wrong("1 2 0 0.1 0 40", "1 9 0 0.1 0 40").contains("tiny.m: line 11: a branch names bus 9"));
    assert!(
        wrong("2 3 0 0.2 0 31 0 0 0 0 1", "2 3 0 0.2 0 31 0 0 0 0 0")
            .contains("is not connected: 1 of 3 buses, bus 3 among them")
    );
    assert!(wrong("2 1 60", "2 1 1e160").contains("tiny.m: line 6: the demand Pd is 1e160, at most 1e10 MW"));
    assert!(
        wrong("baseMVA = 100", "baseMVA = 1e-310")
            .contains("line 3: baseMVA is 1e-310, it must be a positive number from 1e-9 to 1e10")
    );
    assert!(wrong("1 2 0 0.1", "1 2 0 1e300").contains("tiny.m: line 11: the reactance x is 1e300, a size from 1e-9"));
    let said = wrong("1 2 0 0.1", "1 2 0 \u{1b}c\u{7}");
    assert!(said.contains(r"tiny.m: line 11: `\u{1b}c\u{7}` in `branch` is not a number"), "{said}");
    assert!(!said.contains(|c: char| c.is_control() && c != '\n'), "{said:?}");
    assert!(wrong("2 3 0 0.2", "2 3 0 -0.2").contains("is not positive definite"));
    // The diagonal is positive here, and only the solver meets the direction that is not.
    let ring = "2 3 0 -0.2 0 31 0 0 0 0 1;\n3 1 0 0.18 0 0 0 0 0 0 1;";
    assert!(wrong("2 3 0 0.2 0 31 0 0 0 0 1;", ring).contains("not positive definite"));
}

#[test]
fn files_that_cannot_be_read_or_written_and_options_that_are_unknown_fail_the_program() {
    let folder = folder("files");
    let case = tiny(&folder, str::to_owned);
    let output = screen(2, &[&case, "--report", "no/such/folder/report.html"]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && said.contains("cannot write the report no/such/folder/report.html"), "{said}");
    assert_eq!(stdout(&output), "", "it is said before the screening");
    assert!(fails(&[&case, "--report", &folder.display().to_string()]).contains("it is a folder"));
    assert!(fails(&[&case, "--expected", "no/such/figures.json"]).contains("cannot read the expected figures"));
    assert!(fails(&[&case, "--expected", &case]).contains("are malformed"));
    assert!(fails(&["--fast"]).contains("--fast"));
    assert!(stdout(&screen(1, &["--help"])).contains("usage: contingency"));
}
