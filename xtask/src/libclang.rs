//! libclang, which the build of rsmpi reads C headers with.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

use crate::{Result, project, wheel::Wheel};

const LIBCLANG: Wheel = Wheel {
    name: "libclang",
    version: "18.1.1",
    hashes: &[
        ("x86_64", "c533091d8a3bbf7460a00cb6c1a71da93bffe148f172c7d03b1c31fbf8aa2a0b"),
        ("aarch64", "54dda940a4a0491a9d1532bf071ea3ef26e6dbaf03b5000ed94dd7174e8f9592"),
    ],
};

/// Sees to a libclang; returns the folder to name in `LIBCLANG_PATH`, nothing if the
/// build finds it by itself.
pub(crate) fn set_up() -> Result<Option<PathBuf>> {
    let named = env::var_os("LIBCLANG_PATH").is_some_and(|path| !path.is_empty());
    if named || is_on_machine() {
        return Ok(None);
    }
    let folder = project::target().join("mpi").join(LIBCLANG.name);
    let prefix = LIBCLANG.install(&folder, "lib")?;
    let found = find_below(&prefix, 6);
    let found = found.ok_or_else(|| LIBCLANG.is_incomplete(&folder, "libclang.so"))?;
    Ok(found.parent().map(Path::to_owned))
}

/// Whether the build would find one: it asks llvm-config, then looks where systems put
/// libraries.
fn is_on_machine() -> bool {
    let mut folders: Vec<PathBuf> = ["LD_LIBRARY_PATH", "LIBRARY_PATH"]
        .iter()
        .flat_map(|variable| env::split_paths(&env::var_os(variable).unwrap_or_default()).collect::<Vec<_>>())
        .collect();
    if let Ok(answer) = Command::new("llvm-config").arg("--libdir").output() {
        folders.push(String::from_utf8_lossy(&answer.stdout).trim().into());
    }
    let systems = ["/usr/lib", "/usr/lib64", "/usr/local/lib", "/usr/local/lib64", "/usr/local/llvm"];
    folders.iter().any(|folder| find_below(folder, 0).is_some())
        || systems.iter().any(|folder| find_below(Path::new(folder), 2).is_some())
}

/// A libclang in this folder or so many levels below it.
fn find_below(folder: &Path, levels: usize) -> Option<PathBuf> {
    let mut below = Vec::new();
    for entry in fs::read_dir(folder).ok()?.flatten() {
        let path = entry.path();
        if is_libclang(&entry.file_name().to_string_lossy()) && path.is_file() {
            return Some(path);
        }
        if levels > 0 && entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            below.push(path);
        }
    }
    below.iter().find_map(|folder| find_below(folder, levels - 1))
}

/// Whether a file of this name is libclang; libclang-cpp is something else.
fn is_libclang(name: &str) -> bool {
    let versioned = name.strip_prefix("libclang-").is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()));
    name.starts_with("libclang.so") || (versioned && name.contains(".so"))
}

#[cfg(test)]
mod tests {
    use super::is_libclang;

    #[test]
    fn the_cpp_library_is_no_libclang() {
        assert!(["libclang.so", "libclang.so.1", "libclang-14.so.1", "libclang-14.so"].into_iter().all(is_libclang));
        assert!(!["libclang-cpp.so.14", "libclang-cpp.so", "libclang-14.a", "libc.so"].into_iter().any(is_libclang));
    }
}
