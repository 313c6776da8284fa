//! The house, held by a test: which module of the core may import which, where MPI and other crates may be named,
//! how long a file may be. ARCHITECTURE.md says why; whoever changes a row here changes it there. The list of tests in
//! tests/README.md is held here too.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// The modules of the core from the bottom to the top, each with those that it imports. A module stands below all
/// that import it, so no circle is possible.
const HOUSE: &[(&str, &[&str])] = &[
    ("buffers", &[]),
    ("contain", &[]),
    ("id", &[]),
    ("prefetch", &[]),
    ("machine", &[]),
    ("machine/happened", &[]),
    ("machine/scheduler", &["buffers", "id", "prefetch"]),
    ("current", &["id"]),
    ("error", &["current", "id"]),
    ("info", &["id"]),
    ("stats", &["error", "id"]),
    ("codec", &["buffers", "contain"]),
    ("frame", &["codec"]),
    ("config", &[]),
    ("peers", &["id"]),
    ("transport", &["buffers", "codec", "config", "frame", "id"]),
    ("fault", &["codec", "current", "id", "transport"]),
    ("remote", &["buffers", "codec", "error", "id"]),
    ("returned", &["remote"]),
    ("travels", &["remote"]),
    ("group", &["codec", "id", "remote", "transport"]),
    ("registry", &["group", "remote"]),
    ("fingerprint", &["registry"]),
    ("message", &["codec", "fingerprint", "frame", "id", "peers", "registry", "remote"]),
    ("reference", &["codec", "error", "id", "info"]),
    ("handle", &["codec", "contain", "current", "error", "info", "reference"]),
    ("call", &["codec", "contain", "error", "handle", "reference", "registry", "remote"]),
    ("graph", &["call", "codec", "contain", "error", "handle", "id", "reference", "registry", "remote"]),
    ("machine/worker", &["codec", "current", "frame", "group", "id", "machine", "message", "registry", "remote"]),
    ("runtime", &[]),
    ("runtime/clock", &[]),
    ("runtime/drive", &["contain", "machine", "transport"]),
    (
        "runtime/worker",
        &["codec", "fault", "group", "id", "machine", "machine/worker", "message", "registry", "transport"],
    ),
    (
        "runtime/executor",
        &[
            "codec",
            "contain",
            "current",
            "fault",
            "group",
            "id",
            "machine/worker",
            "message",
            "registry",
            "remote",
            "transport",
        ],
    ),
    (
        "controller",
        &[
            "buffers",
            "call",
            "codec",
            "error",
            "fault",
            "frame",
            "graph",
            "group",
            "id",
            "info",
            "machine",
            "machine/scheduler",
            "message",
            "reference",
            "registry",
            "remote",
            "runtime/clock",
            "runtime/drive",
            "stats",
            "transport",
        ],
    ),
    (
        "cluster",
        &[
            "call",
            "codec",
            "contain",
            "controller",
            "current",
            "error",
            "fault",
            "graph",
            "handle",
            "id",
            "info",
            "reference",
            "remote",
            "runtime/drive",
            "stats",
        ],
    ),
    ("handshake", &["codec", "fault", "fingerprint", "frame", "id", "message", "peers", "transport"]),
    (
        "launch",
        &[
            "cluster",
            "config",
            "contain",
            "controller",
            "current",
            "error",
            "fault",
            "fingerprint",
            "handshake",
            "id",
            "message",
            "peers",
            "registry",
            "runtime",
            "runtime/drive",
            "transport",
        ],
    ),
    ("testing", &["cluster", "config", "contain", "error", "launch"]),
];

/// Folders whose modules have rows of their own.
const FLOORS: &[&str] = &["machine", "runtime"];

/// Past so many lines there is a second noun in a file.
const LINES_MAX: usize = 600;

/// A source file of this project.
struct Source {
    /// From the folder that was asked for, with `/` between folders.
    path: String,
    text: String,
}

impl Source {
    /// All files below a folder of this project.
    fn below(folder: &str) -> Vec<Self> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
        let mut folders = vec![root.clone()];
        let mut sources = Vec::new();
        while let Some(folder) = folders.pop() {
            let entries = fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
            for path in entries.map(|entry| entry.expect("it can be read").path()) {
                if path.is_dir() {
                    folders.push(path);
                } else if path.extension().is_some_and(|extension| extension == "rs") {
                    sources.push(Self {
                        path: slashed(&root, &path),
                        text: fs::read_to_string(&path).expect("it is text"),
                    });
                }
            }
        }
        assert!(!sources.is_empty(), "there is nothing in {folder}");
        sources.sort_by(|a, b| a.path.cmp(&b.path));
        sources
    }

    /// The files of the core without its tests, which may look at everything.
    fn of_the_core() -> Vec<Self> {
        let mut sources = Self::below("distwq-core/src");
        sources
            .retain(|source| !source.path.split('/').any(|part| ["tests", "tests.rs", "simulation"].contains(&part)));
        for source in &mut sources {
            source.text = without_tests_and_comments(&source.text);
        }
        sources
    }

    /// The module at the top of the core that it belongs to, or of one of the floors.
    fn module(&self) -> String {
        let path = self.path.strip_suffix(".rs").unwrap_or(&self.path);
        let mut parts = path.split('/').filter(|part| *part != "mod");
        let first = parts.next().unwrap_or(path);
        match parts.next() {
            Some(second) if FLOORS.contains(&first) => format!("{first}/{second}"),
            _ => first.to_owned(),
        }
    }
}

fn slashed(root: &Path, path: &Path) -> String {
    let parts: PathBuf = path.strip_prefix(root).expect("it was found below").into();
    parts.components().map(|part| part.as_os_str().to_string_lossy()).collect::<Vec<_>>().join("/")
}

fn without_tests_and_comments(text: &str) -> String {
    let code = text.split("#[cfg(test)]\nmod tests").next().unwrap_or(text);
    let lines = code.lines().filter(|line| !line.trim_start().starts_with("//"));
    lines.collect::<Vec<_>>().join("\n")
}

/// The modules that a text names after `crate::`; what the top of the crate has is counted to its module.
fn imports(text: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for rest in text.split("crate::").skip(1) {
        let names = match rest.strip_prefix('{') {
            Some(list) => list.split('}').next().unwrap_or(list).split(',').collect(),
            None => vec![rest],
        };
        for name in names {
            let name = name.trim_start();
            found.insert(match word(name) {
                "Cluster" => "cluster".to_owned(),
                "Config" => "config".to_owned(),
                "BodyResult" => "launch".to_owned(),
                floor if FLOORS.contains(&floor) => match word(name[floor.len()..].trim_start_matches("::")) {
                    module if module.starts_with(char::is_lowercase) => format!("{floor}/{module}"),
                    _ => floor.to_owned(),
                },
                other => other.to_owned(),
            });
        }
    }
    found.remove("");
    found
}

/// The word that a text begins with.
fn word(text: &str) -> &str {
    let end = text.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(text.len());
    &text[..end]
}

#[test]
fn each_module_imports_what_its_row_says_and_nothing_else() {
    let mut actual: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let sources = Source::of_the_core();
    for source in sources.iter().filter(|source| source.module() != "lib") {
        let own = source.module();
        let others = imports(&source.text).into_iter().filter(|import| *import != own);
        actual.entry(own.clone()).or_default().extend(others);
    }
    let table: BTreeMap<String, BTreeSet<String>> = HOUSE
        .iter()
        .map(|(module, imports)| ((*module).to_owned(), imports.iter().map(|import| (*import).to_owned()).collect()))
        .collect();
    for (module, imports) in &actual {
        let row = table.get(module).unwrap_or_else(|| panic!("{module} has no row in the table"));
        assert_eq!(imports, row, "what {module} imports (left) is not what the table says (right)");
    }
    assert_eq!(actual.keys().collect::<Vec<_>>(), table.keys().collect::<Vec<_>>(), "a row has no module");
}

#[test]
fn a_module_imports_only_those_that_stand_before_it() {
    let mut before = BTreeSet::new();
    for (module, imports) in HOUSE {
        for import in *imports {
            assert!(before.contains(import), "{module} imports {import}, which does not stand before it");
        }
        before.insert(*module);
    }
}

/// The files of the core in which one of these texts occurs, none of them below `allowed`.
#[track_caller]
fn expect_only_in(texts: &[&str], allowed: &[&str]) {
    let elsewhere: Vec<_> = Source::of_the_core()
        .into_iter()
        .filter(|source| texts.iter().any(|text| names(&source.text, text)))
        .map(|source| source.path)
        .filter(|path| !allowed.iter().any(|allowed| path.starts_with(allowed)))
        .collect();
    assert!(elsewhere.is_empty(), "{texts:?} belongs to {allowed:?}, but stands in {elsewhere:?}");
}

/// Whether `text` occurs in `code` other than at the end of a longer word.
fn names(code: &str, text: &str) -> bool {
    code.match_indices(text)
        .any(|(place, _)| !code[..place].ends_with(|before: char| before.is_alphanumeric() || before == '_'))
}

#[test]
fn each_foreign_crate_is_named_in_its_own_place() {
    // `mpi::` alone is also how the transport names its own module.
    expect_only_in(&["::mpi::", "use mpi::traits", "mpi::ffi", "ffi::MPI_"], &["transport/mpi/"]);
    expect_only_in(&["petgraph"], &["graph/"]);
    expect_only_in(&["bincode"], &["codec.rs"]);
    expect_only_in(&["rmp_serde"], &["codec/described.rs"]);
    expect_only_in(&["distwq_launch"], &["testing/"]);
    expect_only_in(&["libc::"], &["fault.rs", "fault/", "transport/mpi/"]);
}

#[test]
fn unsafe_code_stands_where_foreign_functions_are_called() {
    expect_only_in(&["unsafe ", "unsafe{"], &["transport/mpi/", "fault.rs", "fault/", "buffers.rs", "prefetch.rs"]);
}

#[test]
fn machines_see_no_clocks_threads_or_transports() {
    for source in Source::of_the_core().iter().filter(|source| source.module().starts_with("machine")) {
        let mut foreign = vec!["Instant", "SystemTime", "std::thread", "std::io", "std::env", "Mutex", "println"];
        if source.module() == "machine/scheduler" {
            foreign.extend(["std::sync", "Payload"]);
        }
        for text in foreign {
            assert!(!names(&source.text, text), "{} names {text}", source.path);
        }
    }
}

#[test]
fn no_module_is_a_drawer() {
    let sources = ["distwq-core/src", "distwq-launch/src"].into_iter().flat_map(Source::below);
    for source in sources {
        let drawer = ["common", "utils", "util", "types", "misc", "helpers"]
            .iter()
            .find(|drawer| source.path.split('/').any(|part| part.strip_suffix(".rs").unwrap_or(part) == **drawer));
        assert!(drawer.is_none(), "{} is a drawer for what fits nowhere", source.path);
    }
}

#[test]
fn no_file_has_more_lines_than_a_noun_needs() {
    let mut long = Vec::new();
    let members = ["src", "distwq-core/src", "distwq-launch/src", "distwq-macros/src", "xtask/src", "benches/src"];
    for folder in members.into_iter().chain(["examples", "tests"]) {
        for source in Source::below(folder) {
            let lines = source.text.lines().count();
            if lines > LINES_MAX {
                long.push(format!("{folder}/{}: {lines}", source.path));
            }
        }
    }
    assert!(long.is_empty(), "files of more than {LINES_MAX} lines: {long:?}");
}

/// The tests that tests/README.md lists, each in a code span of its own as `file: test`.
fn listed(list: &str) -> Vec<(&str, &str)> {
    // What stands between backticks is every other part of a line.
    let spans = list.lines().flat_map(|line| line.split('`').skip(1).step_by(2));
    spans.filter_map(|span| span.split_once(": ")).filter(|(file, _)| file.ends_with(".rs")).collect()
}

#[test]
fn the_list_of_tests_names_tests_that_exist() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let list = fs::read_to_string(root.join("tests/README.md")).expect("the list is there");
    let listed = listed(&list);
    assert!(!listed.is_empty(), "the list names no tests");
    let missing: Vec<_> = listed
        .into_iter()
        .filter(|(file, test)| {
            let source = fs::read_to_string(root.join(file)).unwrap_or_default();
            !source.contains(&format!("fn {test}("))
        })
        .collect();
    assert!(missing.is_empty(), "tests/README.md lists tests that are not there: {missing:?}");
}
