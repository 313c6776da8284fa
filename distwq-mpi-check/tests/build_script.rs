//! What the build script says of a machine without MPI or libclang, and what it takes for
//! one with them. It is compiled here once more and run on machines that are folders.
#![cfg(target_os = "linux")]

use std::env;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The build script as a program.
fn build_script() -> PathBuf {
    let program = Path::new(env!("CARGO_TARGET_TMPDIR")).join("build-script");
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("build.rs");
    let rustc = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let compiled = Command::new(rustc).args(["--edition", "2024", "-o"]).arg(&program).arg(source).status();
    assert!(compiled.expect("rustc can be started").success());
    program
}

/// An empty folder.
fn folder(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).expect("the folder of tests can be written");
    folder
}

fn program(folder: &Path, name: &str, script: &str) {
    let file = folder.join(name);
    fs::write(&file, format!("#!/bin/sh\n{script}\n")).expect("programs can be written");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).expect("programs can be made executable");
}

#[test]
fn what_the_feature_mpi_needs_and_is_not_there_is_said_with_the_ways_to_get_it() {
    let script = build_script();
    let [nothing, wrapper, packages, unknown, libraries] =
        ["nothing", "wrapper", "packages", "unknown", "libraries"].map(folder);
    program(&wrapper, "mpicc", "exit 0");
    program(&packages, "pkg-config", r#"test "$2" = ompi"#);
    program(&unknown, "pkg-config", "exit 1");
    fs::write(libraries.join("libclang-14.so.1"), "").expect("libraries can be written");
    // The errors of a build on a machine with this `PATH`, this folder for libclang, and
    // one variable more.
    let errors = |path: &Path, libclang: &Path, variable: (&str, &str)| {
        let output = Command::new(&script)
            .env_clear()
            .env("CARGO_FEATURE_MPI", "1")
            .env("CARGO_CFG_TARGET_OS", "linux")
            .env("PATH", path)
            .env("LIBCLANG_PATH", libclang)
            .env(variable.0, variable.1)
            .output()
            .expect("the build script can be started");
        assert!(output.status.success() && output.stderr.is_empty(), "it speaks through cargo alone");
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        said.lines().filter_map(|line| line.strip_prefix("cargo::error=")).map(str::to_owned).collect::<Vec<_>>()
    };
    let none = ("NONE", "");

    let both = errors(&nothing, &nothing, none);
    assert!(both[0].starts_with("the feature `mpi` needs an MPI"), "{both:?}");
    assert!(both[1].starts_with("the feature `mpi` needs libclang"), "{both:?}");
    for way in ["libopenmpi-dev", "module of an MPI", "LIBCLANG_PATH", "cargo xtask setup --print"] {
        assert!(both[2..].iter().any(|line| line.contains(way)), "{way} is not in {both:?}");
    }
    let no_libclang = errors(&wrapper, &nothing, none);
    assert!(no_libclang[0].starts_with("the feature `mpi` needs libclang"), "{no_libclang:?}");
    let no_mpi = errors(&unknown, &libraries, none);
    assert!(no_mpi[0].starts_with("the feature `mpi` needs an MPI") && !no_mpi[1].contains("needs"), "{no_mpi:?}");

    let there = [
        (&wrapper, none),
        (&packages, none),
        (&nothing, ("MPICC", wrapper.join("mpicc").to_str().expect("the path of a test is text"))),
        (&nothing, ("MPI_PKG_CONFIG", "mpich.pc")),
        (&nothing, ("CRAY_MPICH_DIR", "/opt/cray")),
        (&unknown, ("HOST_PKG_CONFIG_PATH", "/somewhere")),
    ]
    .map(|(path, variable)| errors(path, &libraries, variable));
    assert!(there.iter().all(Vec::is_empty), "{there:?}");
}
