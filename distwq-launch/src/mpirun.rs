//! The launcher program of an MPI: where it is, whose it is, and how it wants to be
//! spoken to.

use std::{
    env,
    ffi::OsString,
    fmt,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use crate::LaunchError;

/// The MPI family a launcher belongs to: each wants different arguments.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Family {
    /// Open MPI, of the given major version: it refuses root and more ranks than cores
    /// until it is told.
    OpenMpi(u32),
    /// MPICH and what descends from it (Hydra launchers): it takes any number of ranks
    /// from anybody.
    Mpich,
    /// Some other launcher, which is only told the number of ranks.
    Other,
}

/// A launcher that was found and asked for its version.
#[derive(Debug, Clone)]
pub struct Mpirun {
    path: PathBuf,
    family: Family,
    name: String,
}

impl Mpirun {
    /// Finds the launcher: the one that `DISTWQ_MPIRUN` names, else the first `mpirun` on
    /// `PATH`.
    ///
    /// # Errors
    ///
    /// [`LaunchError::NoLauncher`] if there is none, [`LaunchError::BrokenLauncher`] if
    /// it does not work.
    pub fn find() -> Result<Self, LaunchError> {
        if let Some(named) = env::var_os("DISTWQ_MPIRUN").filter(|named| !named.is_empty()) {
            let path = PathBuf::from(named);
            if !path.is_file() {
                let looked = format!("DISTWQ_MPIRUN names {}, which is no file", path.display());
                return Err(LaunchError::NoLauncher { looked });
            }
            return Self::at(&path);
        }
        let directories = env::var_os("PATH").unwrap_or_default();
        let found =
            env::split_paths(&directories).map(|directory| directory.join("mpirun")).find(|path| path.is_file());
        match found {
            Some(path) => Self::at(&path),
            None => Err(LaunchError::NoLauncher { looked: "no mpirun on PATH, DISTWQ_MPIRUN is not set".into() }),
        }
    }

    /// Takes the launcher at `path` and asks it for its version.
    ///
    /// # Errors
    ///
    /// [`LaunchError::BrokenLauncher`] if it cannot be started, says nothing or does not
    /// end within 20 seconds.
    pub fn at(path: &Path) -> Result<Self, LaunchError> {
        let broken = |said: String| LaunchError::BrokenLauncher { path: path.into(), said };
        let mut command = Command::new(path);
        for (variable, value) in PERMISSIONS {
            command.env(variable, value);
        }
        let said = answer(command.arg("--version"), Duration::from_secs(20)).map_err(broken)?;
        let (family, name) = recognise(&said).ok_or_else(|| broken("nothing".into()))?;
        Ok(Self { path: path.into(), family, name })
    }

    /// The path of the launcher.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The family of the launcher.
    pub fn family(&self) -> Family {
        self.family
    }

    /// Name and version for people, such as `Open MPI 5.0.11`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// A command that starts `ranks` ranks on this host, free of whatever launcher this
    /// process came from; the caller adds the program and its arguments.
    ///
    /// Root and more ranks than cores are allowed for this command only, and ranks are
    /// not bound to cores: bound ranks with several threads each would all sit on a few
    /// of them.
    pub fn command(&self, ranks: usize) -> Command {
        let mut command = Command::new(&self.path);
        if launched_by_mpi() {
            for (variable, _) in env::vars_os().filter(|(variable, _)| is_launchers_own(variable)) {
                command.env_remove(variable);
            }
        }
        // A launcher inside a batch job would spread the ranks over the hosts of the job.
        for (variable, _) in env::vars_os().filter(|(variable, _)| is_batch_systems(variable)) {
            command.env_remove(variable);
        }
        match self.family {
            Family::OpenMpi(major) => {
                command.envs(PERMISSIONS);
                let oversubscribe: &[&str] =
                    if major >= 5 { &["--map-by", ":OVERSUBSCRIBE"] } else { &["--oversubscribe"] };
                command.args(oversubscribe).args(["--bind-to", "none"]);
            }
            Family::Mpich | Family::Other => {}
        }
        command.arg("-n").arg(ranks.to_string());
        command
    }

    /// Lets ranks on one host start a second sooner: Open MPI 5 spends it in looking for
    /// fabrics through libfabric, which between processes of one host carry nothing. A
    /// choice of the user's own stands.
    pub(crate) fn quicken(&self, command: &mut Command) {
        if matches!(self.family, Family::OpenMpi(_)) && (launched_by_mpi() || env::var_os("OMPI_MCA_btl").is_none()) {
            command.env("OMPI_MCA_btl", "^ofi");
        }
    }

    /// Lets the launcher keep its files in this folder. Open MPI's are named for its
    /// process number and stay behind when it is killed; a launcher that is given the
    /// same number later finds them and ends at once, with code 213. A choice of the
    /// user's own stands.
    pub(crate) fn keep_files_in(&self, folder: &Path, command: &mut Command) {
        let variable = match self.family {
            Family::OpenMpi(major) if major >= 5 => "PRTE_MCA_prte_tmpdir_base",
            Family::OpenMpi(_) => "OMPI_MCA_orte_tmpdir_base",
            Family::Mpich | Family::Other => return,
        };
        if launched_by_mpi() || env::var_os(variable).is_none() {
            command.env(variable, folder);
        }
    }
}

impl fmt::Display for Mpirun {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.name, self.path.display())
    }
}

/// What lets Open MPI start ranks as root, as in a container; the `PRTE_` twins are of
/// version 5.
const PERMISSIONS: [(&str, &str); 4] = [
    ("OMPI_ALLOW_RUN_AS_ROOT", "1"),
    ("OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", "1"),
    ("PRTE_ALLOW_RUN_AS_ROOT", "1"),
    ("PRTE_ALLOW_RUN_AS_ROOT_CONFIRM", "1"),
];

/// Whether this process is itself a rank: only then are the variables below a launcher's
/// and not the user's own settings, which must live.
fn launched_by_mpi() -> bool {
    ["OMPI_COMM_WORLD_SIZE", "PMIX_RANK", "PMI_RANK", "PMI_SIZE"].iter().any(|variable| env::var_os(variable).is_some())
}

/// Whether a launcher sets this variable for its ranks, so that a second launcher would
/// take it for its own.
fn is_launchers_own(variable: &OsString) -> bool {
    let variable = variable.to_string_lossy();
    ["OMPI_", "ORTE_", "PRTE_", "PMI_", "PMIX_", "HYDRA_", "HYDI_", "MPI_LOCAL", "MPIEXEC_"]
        .iter()
        .any(|prefix| variable.starts_with(prefix))
}

/// Whether a launcher would learn from this variable that it runs inside a batch job.
fn is_batch_systems(variable: &OsString) -> bool {
    let variable = variable.to_string_lossy();
    ["SLURM_", "PBS_", "LSB_"].iter().any(|prefix| variable.starts_with(prefix)) || variable == "PE_HOSTFILE"
}

/// Reads family and name out of what `mpirun --version` says; nothing if it says nothing.
fn recognise(said: &str) -> Option<(Family, String)> {
    let first = said.lines().map(str::trim).find(|line| !line.is_empty())?;
    if let Some((_, version)) = first.split_once("(Open MPI)") {
        let version = version.trim();
        let major = version.split('.').next().and_then(|major| major.parse().ok()).unwrap_or(4);
        return Some((Family::OpenMpi(major), format!("Open MPI {version}")));
    }
    if said.contains("HYDRA") {
        let version = said.lines().find_map(|line| line.trim().strip_prefix("Version:")).unwrap_or("").trim();
        return Some((Family::Mpich, format!("MPICH {version}").trim_end().into()));
    }
    if said.contains("Intel(R) MPI") {
        return Some((Family::Mpich, first.into()));
    }
    Some((Family::Other, first.into()))
}

/// Runs a command that says little and returns what it said, or why it did not.
fn answer(command: &mut Command, limit: Duration) -> Result<String, String> {
    let started = Instant::now();
    let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let mut child = child.map_err(|error| error.to_string())?;
    loop {
        match child.try_wait() {
            Ok(Some(_)) => break,
            Ok(None) if started.elapsed() < limit => thread::sleep(Duration::from_millis(2)),
            Ok(None) => {
                // Whether it could be killed does not matter: nothing waits for it.
                let _ = child.kill();
                return Err(format!("nothing within {} s", limit.as_secs()));
            }
            Err(error) => return Err(error.to_string()),
        }
    }
    let output = child.wait_with_output().map_err(|error| error.to_string())?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    if output.status.success() {
        Ok(said)
    } else {
        Err(format!("{said}{} ({})", String::from_utf8_lossy(&output.stderr).trim(), output.status))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_family_is_known_by_its_own_words() {
        let open = recognise("mpirun (Open MPI) 5.0.11\n\nReport bugs to …\n");
        assert_eq!(open, Some((Family::OpenMpi(5), "Open MPI 5.0.11".into())));
        let hydra = recognise("HYDRA build details:\n    Version:                                 5.0.2\n");
        assert_eq!(hydra, Some((Family::Mpich, "MPICH 5.0.2".into())));
        let intel = recognise("Intel(R) MPI Library for Linux* OS, Version 2021.9\n");
        assert!(matches!(intel, Some((Family::Mpich, _))));
        assert_eq!(recognise("\n"), None);
    }

    #[test]
    fn a_launcher_that_does_not_work_is_named_with_what_it_said() {
        let error = Mpirun::at(Path::new("/bin/false")).expect_err("false is no launcher");
        assert!(error.to_string().contains("/bin/false"), "{error}");
        let error = Mpirun::at(Path::new("/nowhere/mpirun")).expect_err("there is no such file");
        assert!(matches!(error, LaunchError::BrokenLauncher { .. }), "{error}");
    }
}
