//! The house, held by a test: which module of the core may import which, where MPI and
//! other crates may be named, how long a file may be. ARCHITECTURE.md says why; whoever
//! changes a row here changes it there. The list of tests in tests/README.md is held here
//! too.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs;
use std::path::{Path, PathBuf};
use syn::visit::Visit;

/// The floors of the core from the bottom to the top: folders and files right below
/// `src`. What stands on a floor imports from that and from lower ones.
const FLOORS: &[&str] = &[
    "id",
    "panics",
    "memory",
    "codec",
    "outcome",
    "config",
    "peers",
    "transport",
    "task",
    "function",
    "wire",
    "machine",
    "runtime",
    "api",
    "launch",
    "testing",
];

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

    /// The module that it is, by the names from the top of the crate.
    fn module(&self) -> Vec<String> {
        let path = self.path.strip_suffix(".rs").unwrap_or(&self.path);
        path.split('/').filter(|name| !["mod", "lib"].contains(name)).map(str::to_owned).collect()
    }

    fn floor(&self) -> &str {
        let first = self.path.split('/').next().unwrap_or(&self.path);
        first.strip_suffix(".rs").unwrap_or(first)
    }
}

fn slashed(root: &Path, path: &Path) -> String {
    let parts: PathBuf = path.strip_prefix(root).expect("it was found below").into();
    parts.components().map(|part| part.as_os_str().to_string_lossy()).collect::<Vec<_>>().join("/")
}

fn without_tests_and_comments(text: &str) -> String {
    let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or(text);
    let lines = code.lines().filter(|line| !line.trim_start().starts_with("//"));
    lines.collect::<Vec<_>>().join("\n")
}

/// A path by its names; the first one may be `crate`, `self` or `super`.
type Names = Vec<String>;

/// The paths that a file names which may lead to other files of its crate, and those that
/// it hands on.
#[derive(Default)]
struct Named {
    used: Vec<Names>,
    /// What `pub use` makes of it: the name, and what it stands for.
    handed_on: Vec<(String, Names)>,
}

impl Named {
    fn in_file(source: &Source) -> Self {
        let mut named = Self::default();
        let file = syn::parse_file(&source.text).unwrap_or_else(|error| panic!("{}: {error}", source.path));
        named.visit_file(&file);
        named
    }

    fn add_tree(&mut self, tree: &syn::UseTree, before: &[String], hands_on: bool) {
        let with = |name: &syn::Ident| before.iter().cloned().chain([name.to_string()]).collect::<Names>();
        match tree {
            syn::UseTree::Path(path) => self.add_tree(&path.tree, &with(&path.ident), hands_on),
            syn::UseTree::Group(group) => group.items.iter().for_each(|tree| self.add_tree(tree, before, hands_on)),
            syn::UseTree::Glob(_) => self.used.push(before.to_vec()),
            syn::UseTree::Name(syn::UseName { ident }) => self.add_name(ident, with(ident), hands_on),
            syn::UseTree::Rename(syn::UseRename { ident, rename, .. }) => {
                self.add_name(rename, with(ident), hands_on);
            }
        }
    }

    fn add_name(&mut self, name: &syn::Ident, names: Names, hands_on: bool) {
        if hands_on {
            self.handed_on.push((name.to_string(), names));
        } else {
            self.used.push(names);
        }
    }
}

impl<'ast> Visit<'ast> for Named {
    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        self.add_tree(&item.tree, &[], !matches!(item.vis, syn::Visibility::Inherited));
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        self.used.push(path.segments.iter().map(|segment| segment.ident.to_string()).collect());
        syn::visit::visit_path(self, path);
    }

    /// Who may see something is no import.
    fn visit_visibility(&mut self, _: &'ast syn::Visibility) {}

    /// A module within a file names that file by `super`.
    fn visit_item_mod(&mut self, module: &'ast syn::ItemMod) {
        let mut inner = Self::default();
        syn::visit::visit_item_mod(&mut inner, module);
        self.used.extend(inner.used.into_iter().filter(|names| names[0] == "crate"));
    }
}

/// The files of the core, with what each imports.
struct Imports {
    sources: Vec<Source>,
    files: HashMap<Vec<String>, usize>,
    named: Vec<Named>,
}

impl Imports {
    fn of_the_core() -> Self {
        let sources = Source::of_the_core();
        let files = sources.iter().enumerate().map(|(number, source)| (source.module(), number)).collect();
        let named = sources.iter().map(Named::in_file).collect();
        Self { sources, files, named }
    }

    /// The file in which stands what a file names so, if it is one of the core.
    fn find(&self, from: usize, names: &[String]) -> Option<usize> {
        let mut module = self.sources[from].module();
        let mut rest = names;
        match names.first()?.as_str() {
            "crate" => {
                module.clear();
                rest = &names[1..];
            }
            "self" => rest = &names[1..],
            "super" => {
                while rest.first().is_some_and(|name| name == "super") {
                    module.pop();
                    rest = &rest[1..];
                }
            }
            // A child of this module, or something of another crate.
            first => {
                module.push(first.to_owned());
                let is_child = self.files.contains_key(&module);
                module.pop();
                if !is_child {
                    return None;
                }
            }
        }
        while let Some(name) = rest.first() {
            module.push(name.clone());
            if !self.files.contains_key(&module) {
                module.pop();
                break;
            }
            rest = &rest[1..];
        }
        let file = *self.files.get(&module)?;
        let handed_on =
            rest.first().and_then(|name| self.named[file].handed_on.iter().find(|(known, _)| known == name));
        match handed_on {
            Some((_, names)) => self.find(file, names),
            None => Some(file),
        }
    }

    /// Whether a file is that of a module to which another one belongs.
    fn is_above(&self, file: usize, other: usize) -> bool {
        let (module, below) = (self.sources[file].module(), self.sources[other].module());
        below.starts_with(&module)
    }

    /// The other files that a file imports from.
    fn of(&self, file: usize) -> BTreeSet<usize> {
        let found = self.named[file].used.iter().filter_map(|names| self.find(file, names));
        found.filter(|other| *other != file).collect()
    }
}

#[test]
fn each_floor_imports_from_lower_ones_only() {
    let height = |floor: &str| FLOORS.iter().position(|other| *other == floor);
    let imports = Imports::of_the_core();
    let mut upwards = Vec::new();
    for (file, source) in imports.sources.iter().enumerate().filter(|(_, source)| source.floor() != "lib") {
        let own = height(source.floor());
        assert!(own.is_some(), "{} stands on no floor", source.path);
        for other in imports.of(file).into_iter().map(|other| &imports.sources[other]) {
            // What the top of the crate has is taken from there in documentation only.
            if other.floor() == "lib" || height(other.floor()) > own {
                upwards.push(format!("{} imports {}", source.path, other.path));
            }
        }
    }
    assert!(upwards.is_empty(), "{upwards:#?}");
}

/// A file may name what is defined in the file of the module that it belongs to, which
/// may use it in turn.
#[test]
fn no_files_import_each_other_in_a_circle() {
    let imports = Imports::of_the_core();
    let beside = |file: usize| {
        let others = imports.of(file).into_iter();
        others.filter(|other| !imports.is_above(*other, file)).collect::<BTreeSet<_>>()
    };
    let mut left: BTreeMap<usize, BTreeSet<usize>> =
        (0..imports.sources.len()).map(|file| (file, beside(file))).collect();
    // Files that import nothing that is left go, until none does.
    while let Some(lowest) = left.iter().find(|(_, others)| others.is_empty()).map(|(file, _)| *file) {
        left.remove(&lowest);
        left.values_mut().for_each(|others| {
            others.remove(&lowest);
        });
    }
    let name = |file: &usize| imports.sources[*file].path.clone();
    let circle: Vec<_> =
        left.iter().map(|(file, others)| (name(file), others.iter().map(name).collect::<Vec<_>>())).collect();
    assert!(circle.is_empty(), "files that import each other in a circle, or from such: {circle:#?}");
}

#[test]
fn the_check_finds_what_is_handed_on_where_it_stands() {
    let imports = Imports::of_the_core();
    let number = |path: &str| imports.sources.iter().position(|source| source.path == path).expect("it is there");
    let names = ["crate", "machine", "worker", "Outbox"].map(str::to_owned);
    assert_eq!(imports.find(number("launch.rs"), &names), Some(number("machine/worker/outbox.rs")));
    assert!(imports.of(number("runtime/worker.rs")).contains(&number("machine/worker/outbox.rs")));
}

/// The files of the core in which one of these texts occurs, none of them below
/// `allowed`.
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
        .any(|(index, _)| !code[..index].ends_with(|before: char| before.is_alphanumeric() || before == '_'))
}

#[test]
fn each_foreign_crate_is_named_in_its_own_files() {
    // `mpi::` alone is also how the transport names its own module.
    expect_only_in(&["::mpi::", "use mpi::traits", "mpi::ffi", "ffi::MPI_"], &["transport/mpi/"]);
    expect_only_in(&["petgraph"], &["api/graph/"]);
    expect_only_in(&["bincode"], &["codec.rs"]);
    expect_only_in(&["rmp_serde"], &["codec/described.rs"]);
    expect_only_in(&["distwq_launch"], &["testing/"]);
    expect_only_in(&["tracing"], &["runtime/observer.rs", "runtime/observer/"]);
    expect_only_in(&["indicatif"], &["api/progress.rs"]);
    expect_only_in(&["signal_hook"], &["runtime/interrupts.rs"]);
    expect_only_in(&["libc::"], &["runtime/fault.rs", "runtime/fault/", "transport/mpi/"]);
}

#[test]
fn unsafe_code_stands_where_foreign_functions_are_called() {
    expect_only_in(&["unsafe ", "unsafe{"], &["transport/mpi/", "runtime/fault.rs", "runtime/fault/", "memory/"]);
}

#[test]
fn machines_see_no_clocks_threads_or_transports() {
    for source in Source::of_the_core().iter().filter(|source| source.floor() == "machine") {
        let mut foreign = vec![
            "Instant",
            "SystemTime",
            "std::thread",
            "std::io",
            "std::env",
            "std::fs",
            "Mutex",
            "println",
            "crate::transport",
        ];
        if source.path.starts_with("machine/scheduler") {
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

/// The folders with sources of this project.
const FOLDERS: [&str; 8] = [
    "src",
    "distwq-core/src",
    "distwq-launch/src",
    "distwq-macros/src",
    "xtask/src",
    "benches/src",
    "examples",
    "tests",
];

/// Prose is read with ease up to this width. Tables, examples and drawings are as wide as
/// they are.
const PROSE_COLUMNS_MAX: usize = 90;

#[test]
fn comments_are_no_wider_than_is_read_with_ease() {
    let (mut wide, mut tables) = (Vec::new(), Vec::new());
    for folder in FOLDERS {
        // What the compiler is to say of the files in `ui` names their lines.
        for source in Source::below(folder).iter().filter(|source| !source.path.starts_with("ui/")) {
            let mut is_example = false;
            for (number, line) in (1..).zip(source.text.lines()) {
                let Some(comment) = line.trim_start().strip_prefix("//") else { continue };
                let prose = comment.trim_start_matches(['/', '!']).trim();
                is_example ^= prose.starts_with("```");
                let is_prose = !is_example && !prose.starts_with('|');
                if is_prose && line.chars().count() > PROSE_COLUMNS_MAX {
                    wide.push(format!("{folder}/{}:{number}", source.path));
                }
                if is_prose && prose.contains("---|") {
                    tables.push(format!("{folder}/{}:{number}", source.path));
                }
            }
        }
    }
    assert!(wide.is_empty(), "comments of more than {PROSE_COLUMNS_MAX} columns: {wide:?}");
    assert!(tables.is_empty(), "tables without a `|` at the start of each row: {tables:?}");
}

#[test]
fn the_first_page_of_the_guide_lists_all_its_sections() {
    let guide = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/guide");
    let (mut listed, mut sections) = (Vec::new(), Vec::new());
    for page in ["calls", "running", "within", "errors", "launching"] {
        let text = fs::read_to_string(guide.join(page).with_extension("md")).expect("it is there");
        let mut is_example = false;
        for line in text.lines() {
            is_example ^= line.starts_with("```");
            if let Some(title) = line.strip_prefix("# ").filter(|_| !is_example) {
                sections.push(title.to_owned());
            } else if let Some((_, entry)) = line.split_once(". [").filter(|(number, _)| number.parse::<u32>().is_ok())
            {
                listed.push(entry.split(']').next().unwrap_or_default().to_owned());
            }
        }
    }
    assert!(!sections.is_empty());
    assert_eq!(listed, sections);
}

/// At 200 words a minute.
#[test]
fn the_architecture_is_read_in_ten_minutes() {
    let page = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("ARCHITECTURE.md"));
    let words = page.expect("it is there").split_whitespace().count();
    assert!(words <= 2_000, "ARCHITECTURE.md has {words} words");
}

#[test]
fn no_file_has_more_lines_than_a_noun_needs() {
    let mut long = Vec::new();
    for folder in FOLDERS {
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
