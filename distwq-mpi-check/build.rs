//! Looks for what the build of rsmpi needs. That build would find out by itself, but only
//! when bindgen has been compiled, and would say it in a panic.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    if env::var_os("CARGO_FEATURE_MPI").is_none() || env::var("CARGO_CFG_TARGET_OS").as_deref() != Ok("linux") {
        return;
    }
    let mut missing = Vec::new();
    if !has_mpi() {
        missing.push("an MPI with its headers: there is no mpicc on PATH, none in MPICC, and pkg-config knows none");
    }
    if !has_libclang() {
        missing
            .push("libclang, which reads the headers of MPI: it is neither in LIBCLANG_PATH nor where libraries are");
    }
    if missing.is_empty() {
        return;
    }
    for what in missing {
        println!("cargo::error=the feature `mpi` needs {what}");
    }
    for way in WAYS {
        println!("cargo::error={way}");
    }
}

/// What to do, a line each.
const WAYS: [&str; 4] = [
    "on Debian and Ubuntu: apt install libopenmpi-dev openmpi-bin libclang-dev",
    "on Fedora: dnf install openmpi-devel clang-devel, then module load mpi",
    "on a cluster: load the module of an MPI, and name the folder of a libclang.so in LIBCLANG_PATH",
    "in a clone of distwq, without root: eval \"$(cargo xtask setup --print)\"",
];

/// Whether the build of rsmpi finds an MPI, by the ways that it tries (`build-probe-mpi`,
/// version 0.1). Where this cannot tell, it does: nothing that works must be refused.
fn has_mpi() -> bool {
    let named = ["MPI_PKG_CONFIG", "CRAY_MPICH_DIR"].into_iter().any(|variable| env::var_os(variable).is_some());
    named || starts(&env::var("MPICC").unwrap_or_else(|_| "mpicc".into()), "-show") || pkg_config_knows_mpi()
}

/// It asks `mpicc -show` and takes any answer.
fn starts(program: &str, argument: &str) -> bool {
    output(program, &[argument]).is_some()
}

fn pkg_config_knows_mpi() -> bool {
    // These are for one target or host, and the crate `pkg-config` has an order among
    // them.
    let is_targeted = |name: &str| {
        name.contains("PKG_CONFIG") && name != "PKG_CONFIG" && name != "PKG_CONFIG_PATH" && name != "PKG_CONFIG_LIBDIR"
    };
    if env::vars_os().any(|(name, _)| is_targeted(&name.to_string_lossy())) {
        return true;
    }
    let named = env::var("PKG_CONFIG").ok();
    let programs = named.as_deref().map_or(vec!["pkg-config", "pkgconf"], |named| vec![named]);
    programs.into_iter().any(|program| {
        ["mpich", "ompi"]
            .into_iter()
            .any(|package| output(program, &["--exists", package]).is_some_and(|answer| answer.status.success()))
    })
}

/// Whether bindgen finds a libclang, by where it looks (`clang-sys`, version
/// 1, on Linux).
fn has_libclang() -> bool {
    if let Some(named) = env::var_os("LIBCLANG_PATH") {
        let named = PathBuf::from(named);
        return is_libclang(&named) || has_libclang_within(&named, 0);
    }
    let mut folders = Vec::new();
    let llvm_config = env::var("LLVM_CONFIG_PATH").unwrap_or_else(|_| "llvm-config".into());
    if let Some(answer) = output(&llvm_config, &["--prefix"]) {
        let prefix = PathBuf::from(String::from_utf8_lossy(&answer.stdout).trim());
        folders.extend(["bin", "lib", "lib64"].map(|folder| prefix.join(folder)));
    }
    for variable in ["LD_LIBRARY_PATH", "LIBRARY_PATH"] {
        folders.extend(env::split_paths(&env::var_os(variable).unwrap_or_default()));
    }
    folders.iter().any(|folder| has_libclang_within(folder, 0))
        || [("/usr/local", "llvm", 1), ("/usr/local", "lib", 2), ("/usr", "lib", 2)].into_iter().any(
            |(parent, name, levels)| {
                let beginning_with = |path: &PathBuf| {
                    path.file_name().is_some_and(|file| file.to_string_lossy().to_lowercase().starts_with(name))
                };
                entries(Path::new(parent)).filter(beginning_with).any(|folder| has_libclang_within(&folder, levels))
            },
        )
}

/// Whether a libclang lies in this folder, or so many levels below it. Links to folders
/// are followed, as `clang-sys` does.
fn has_libclang_within(folder: &Path, levels: usize) -> bool {
    entries(folder).any(|path| is_libclang(&path))
        || levels > 0 && entries(folder).filter(|path| path.is_dir()).any(|path| has_libclang_within(&path, levels - 1))
}

fn entries(folder: &Path) -> impl Iterator<Item = PathBuf> {
    fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path())
}

/// `libclang.so`, `libclang-14.so`, `libclang.so.1` and the like; libclang-cpp is another
/// library.
fn is_libclang(path: &Path) -> bool {
    let Some(name) = path.file_name().map(|name| name.to_string_lossy()) else {
        return false;
    };
    let is_library = name.starts_with("libclang.so") || name.starts_with("libclang-") && name.contains(".so");
    is_library && !name.contains("-cpp.") && path.exists()
}

fn output(program: &str, arguments: &[&str]) -> Option<Output> {
    Command::new(program).args(arguments).stdin(Stdio::null()).output().ok()
}
