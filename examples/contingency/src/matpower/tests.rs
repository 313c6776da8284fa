use super::*;

/// A grid of two buses in the usual writing; `{}` marks where tests change it.
fn small(bus: &str, branch: &str) -> String {
    format!(
        "function mpc = small\n%SMALL  two buses\nmpc.version = '2';\nmpc.baseMVA = 100;\nmpc.bus = [\n{bus}\n];\n\
         mpc.gen = [\n1 10 0 0 0 1 100 1 99 0;\n];\nmpc.branch = [\n{branch}\n];\n"
    )
}

const BUS: &str = "1 3 0 0 0 0 1 1 0 380 1 1.1 0.9;\n2 1 10 0 0 0 1 1 0 380 1 1.1 0.9;";
const BRANCH: &str = "1 2 0 0.1 0 0 0 0 0 0 1 -360 360;";

fn fails(text: &str) -> String {
    Tables::read(text).expect_err("this text is malformed").to_string()
}

#[test]
fn tables_are_read_with_the_line_of_each_row() {
    let tables = Tables::read(&small(BUS, BRANCH)).unwrap();
    assert_eq!(tables.base_mva, (4, 100.0));
    assert_eq!(tables.bus.iter().map(|r| r.line).collect::<Vec<_>>(), [6, 7]);
    assert_eq!(tables.generators[0].line, 10);
    assert_eq!(tables.branch[0].line, 13);
    assert_eq!(tables.branch[0].values[3], 0.1);
}

#[test]
fn rows_may_be_split_by_semicolons_lines_commas_and_continued() {
    let rows = "[1, 2, 0, .1, 0,0,0,0,0,0, 1; 1 2 0 1e-1 0 0 0 0 ... more follows\n 0 0 1 % a comment; 3 4\n 1 2 0 +0.1 0 Inf 0 0 0 0 1]";
    let text = small(BUS, BRANCH).replace(&format!("[\n{BRANCH}\n]"), rows);
    let tables = Tables::read(&text).unwrap();
    assert_eq!(tables.branch.iter().map(|r| r.line).collect::<Vec<_>>(), [12, 12, 14]);
    assert!(tables.branch.iter().all(|r| r.values[3] == 0.1 && r.values.len() == 11));
    assert!(tables.branch[2].values[5].is_infinite());
}

#[test]
fn comments_texts_other_fields_and_other_variable_names_do_not_matter() {
    let text = small(BUS, BRANCH)
        .replace("mpc", "s")
        .replace("s.baseMVA", "%{\ns.baseMVA = 1;\n%}\ns.bus_name = {'a % b'; 'it[s'; \"x;y\"};\ns.gencost = [2 0 0 3 1 1 0];\nif s.baseMVA == 100, end\ns.baseMVA")
        .replace('\n', "\r\n");
    let tables = Tables::read(&text).unwrap();
    assert_eq!((tables.base_mva.1, tables.bus.len()), (100.0, 2));
}

#[test]
fn what_is_missing_is_named() {
    let text = small(BUS, BRANCH);
    assert!(fails(&text.replace("mpc.baseMVA", "mpc.base")).starts_with("`mpc.baseMVA` is missing"));
    assert!(fails(&text.replace("mpc.branch", "mpc.lines")).starts_with("`mpc.branch` is missing"));
    assert!(fails("").starts_with("`mpc.baseMVA` is missing"));
}

#[test]
fn malformed_rows_are_named_by_line() {
    let wrong = BRANCH.replace("0.1", "0.1x");
    assert_eq!(fails(&small(BUS, &wrong)), "line 13: `0.1x` in `branch` is not a number");
    let short = format!("{BRANCH}\n1 2 0 0.1 0 0 0 0 0 0 1 -360;");
    assert_eq!(fails(&small(BUS, &short)), "line 14: a row of `branch` has 12 columns, the rows above it have 13");
    assert_eq!(fails(&small("1 3 0;", BRANCH)), "line 6: a row of `bus` has 3 columns, at least 13 are needed");
    assert_eq!(
        fails(&small(BUS, BRANCH).replace("= 100", "= hundred")),
        "line 4: `hundred` in `baseMVA` is not a number"
    );
    assert_eq!(fails(&small(BUS, BRANCH).replace("= 100", "= ")), "line 4: `` in `baseMVA` is not a number");
    assert_eq!(
        fails(&small(BUS, BRANCH).replace("mpc.gen = [", "mpc.gen = zeros(1); [")),
        "line 9: `gen` is not a table in square brackets"
    );
}

#[test]
fn what_is_quoted_from_a_file_is_short_and_has_no_control_characters() {
    let wrong = BRANCH.replace("0.1", "\u{1b}c0.1\u{7}\u{202e}µ");
    assert_eq!(fails(&small(BUS, &wrong)), r"line 13: `\u{1b}c0.1\u{7}\u{202e}µ` in `branch` is not a number");
    assert!(fails(&small(BUS, BRANCH).replace("= 100", "= \u{0}")).contains(r"`\0` in `baseMVA`"));
    assert!(fails(&small(BUS, BRANCH).replace("'2'", "'\u{9b}'")).contains(r"of format version \u{9b}, version 2"));
    let named = "function \u{1b}c = small\n";
    assert!(fails(named).starts_with(r"`\u{1b}c.baseMVA` is missing"), "{}", fails(named));
    let long = BRANCH.replace("0.1", &"x".repeat(1_000_000));
    assert!(fails(&small(BUS, &long)).len() < 200);
}

#[test]
fn a_table_that_is_cut_off_is_named_by_its_first_line() {
    let text = small(BUS, BRANCH);
    let cut = &text[..text.len() - 12];
    assert!(fails(cut).starts_with("line 12: the bracket opened here is never closed"));
    let open = text.replacen("\n];", "\n", 1);
    assert!(fails(&open).starts_with("line 5: the bracket opened here is never closed"));
}

#[test]
fn tables_changed_by_code_or_assigned_twice_are_refused() {
    let text = small(BUS, BRANCH);
    assert!(
        fails(&format!("{text}mpc.branch(:, 4) = mpc.branch(:, 4) / 2;\n"))
            .starts_with("line 15: the file changes `branch`")
    );
    assert!(fails(&format!("{text}mpc.bus = [];\n")).starts_with("line 15: `bus` is assigned again, first on line 5"));
    assert!(Tables::read(&format!("{text}n = mpc.bus(1, 1); mpc.bus(1, 1) == 1;\n")).is_ok());
}

#[test]
fn other_format_versions_are_refused() {
    let text = small(BUS, BRANCH);
    assert!(fails(&text.replace("'2'", "'1'")).starts_with("line 3: this is a case of format version 1"));
    assert!(
        fails(&text.replace("function mpc", "function [baseMVA, bus, gen, branch]"))
            .starts_with("line 1: this is a case of format version 1")
    );
}
