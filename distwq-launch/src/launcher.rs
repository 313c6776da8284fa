//! What to launch, described step by step.

use std::{
    env,
    ffi::{OsStr, OsString},
    fs,
    path::{Path, PathBuf},
    process::{self, Command, Stdio},
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use crate::{LaunchError, Launched, Mpirun, Output, launched::Launch, processes::MARKER, turn::Turn};

/// Runs as each rank until it becomes the rank's program: it says which process is which
/// rank, and gives each rank an output of its own. No launcher is asked to label outputs,
/// because each does it in another way and some lose the last lines of a rank that was
/// killed.
const RANK_SCRIPT: &str = r#"rank=${OMPI_COMM_WORLD_RANK:-${PMIX_RANK:-${PMI_RANK:-0}}}
folder=$1; shift
echo $$ >"$folder/$rank.process"
exec "$@" >"$folder/$rank.output" 2>&1"#;

/// A program to be started under the MPI launcher, or alone, on this host.
///
/// Launches take turns by a lock file, so tests that run side by side do not slow each
/// other down past their limits. The launcher is the one that `DISTWQ_MPIRUN` names, else
/// the first `mpirun` on `PATH`.
///
/// ```no_run
/// use std::time::Duration;
/// # use distwq_launch::Launcher;
///
/// let output = Launcher::new("target/debug/examples/pipeline", 4)
///     .arg("--small")
///     .time_limit(Duration::from_secs(30))
///     .run()?
///     .expect_success();
/// assert!(output.rank(0).contains("ready"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct Launcher {
    program: PathBuf,
    args: Vec<OsString>,
    /// Nothing: without an MPI launcher.
    ranks: Option<usize>,
    /// Nothing: the one that is found.
    mpirun: Option<Mpirun>,
    variables: Vec<(OsString, Option<OsString>)>,
    folder: Option<PathBuf>,
    time_limit: Duration,
}

impl Launcher {
    /// The program is to be started by the MPI launcher, as this many ranks.
    pub fn new(program: impl Into<PathBuf>, ranks: usize) -> Self {
        Self { ranks: Some(ranks), ..Self::alone(program) }
    }

    /// The program is to be started without an MPI launcher; in what it leaves it is rank
    /// 0.
    pub fn alone(program: impl Into<PathBuf>) -> Self {
        Self {
            program: program.into(),
            args: Vec::new(),
            ranks: None,
            mpirun: None,
            variables: Vec::new(),
            folder: None,
            time_limit: Duration::from_secs(60),
        }
    }

    /// Takes this MPI launcher instead of the one that [`Mpirun::find`] finds.
    pub fn mpirun(mut self, mpirun: Mpirun) -> Self {
        self.mpirun = Some(mpirun);
        self
    }

    /// Adds an argument for the program.
    pub fn arg(mut self, arg: impl Into<OsString>) -> Self {
        self.args.push(arg.into());
        self
    }

    /// Adds arguments for the program.
    pub fn args<A: Into<OsString>>(mut self, args: impl IntoIterator<Item = A>) -> Self {
        self.args.extend(args.into_iter().map(Into::into));
        self
    }

    /// Sets a variable for all ranks.
    pub fn env(mut self, variable: impl Into<OsString>, value: impl Into<OsString>) -> Self {
        self.variables.push((variable.into(), Some(value.into())));
        self
    }

    /// Takes a variable of this process away from all ranks.
    pub fn env_remove(mut self, variable: impl Into<OsString>) -> Self {
        self.variables.push((variable.into(), None));
        self
    }

    /// Sets the folder in which the ranks start, instead of the one of this process.
    pub fn current_dir(mut self, folder: impl Into<PathBuf>) -> Self {
        self.folder = Some(folder.into());
        self
    }

    /// Sets how long it may take until everything is ended by force; 60 s unless set. The
    /// wait for a turn does not count.
    pub fn time_limit(mut self, limit: Duration) -> Self {
        self.time_limit = limit;
        self
    }

    /// Launches the program and waits for its end.
    ///
    /// # Errors
    ///
    /// If there is no working launcher, or the system refuses to start it. A program that
    /// fails is no error here.
    pub fn run(&self) -> Result<Output, LaunchError> {
        self.start()?.wait()
    }

    /// Launches the program and returns while it runs.
    ///
    /// # Errors
    ///
    /// If there is no working launcher, or the system refuses to start it.
    pub fn start(&self) -> Result<Launched, LaunchError> {
        let mpirun = self.find_mpirun()?;
        let turn = Turn::take()?;
        let identity = new_identity();
        let folder = OutputFolder::create(&identity)?;
        let mut command = self.command_of_ranks(mpirun.as_ref(), &folder);
        command.args(["sh".as_ref(), "-c".as_ref(), OsStr::new(RANK_SCRIPT), "sh".as_ref(), folder.path().as_os_str()]);
        command.arg(&self.program).args(&self.args);
        let said = folder.path().join("launcher.output");
        let said = fs::File::create(&said).map_err(LaunchError::system(format!("creating {}", said.display())))?;
        let twin = said.try_clone().map_err(LaunchError::system("sharing the launcher's output"))?;
        command.stdin(Stdio::null()).stdout(said).stderr(twin).env(MARKER, &identity);
        self.finish(&mut command);
        let launch = Launch {
            what: self.name(mpirun.as_ref()),
            mpi: mpirun.map(|mpirun| mpirun.name().into()),
            ranks: self.ranks.unwrap_or(1),
            time_limit: self.time_limit,
        };
        let child = command.spawn().map_err(LaunchError::system(format!("starting {}", launch.what)))?;
        Ok(Launched::new(launch, child, &identity, folder, turn))
    }

    /// The command that a person would have typed, with this process's own input and
    /// output, without a time limit and without waiting for a turn.
    ///
    /// # Errors
    ///
    /// If there is no working launcher.
    pub fn command(&self) -> Result<Command, LaunchError> {
        let mpirun = self.find_mpirun()?;
        let mut command = match (&mpirun, self.ranks) {
            (Some(mpirun), Some(ranks)) => {
                let mut command = mpirun.command(ranks);
                command.arg(&self.program);
                command
            }
            _ => Command::new(&self.program),
        };
        command.args(&self.args);
        self.finish(&mut command);
        Ok(command)
    }

    /// The MPI launcher, if there is to be one.
    fn find_mpirun(&self) -> Result<Option<Mpirun>, LaunchError> {
        match (self.ranks, &self.mpirun) {
            (None, _) => Ok(None),
            (Some(_), Some(given)) => Ok(Some(given.clone())),
            (Some(_), None) => Mpirun::find().map(Some),
        }
    }

    /// What starts the ranks; their own command line is still to be added.
    fn command_of_ranks(&self, mpirun: Option<&Mpirun>, folder: &OutputFolder) -> Command {
        match (mpirun, self.ranks) {
            (Some(mpirun), Some(ranks)) => {
                let mut command = mpirun.command(ranks);
                mpirun.quicken(&mut command);
                mpirun.keep_files_in(folder.path(), &mut command);
                command
            }
            // `env` stands in for the launcher: it starts what follows it.
            _ => Command::new("env"),
        }
    }

    fn finish(&self, command: &mut Command) {
        for (variable, value) in &self.variables {
            match value {
                Some(value) => command.env(variable, value),
                None => command.env_remove(variable),
            };
        }
        if let Some(folder) = &self.folder {
            command.current_dir(folder);
        }
    }

    fn name(&self, mpirun: Option<&Mpirun>) -> String {
        let program = self.program.file_name().unwrap_or(self.program.as_os_str()).to_string_lossy();
        match (mpirun, self.ranks) {
            (Some(mpirun), Some(ranks)) => format!("mpirun -n {ranks} {program} ({})", mpirun.name()),
            _ => format!("{program} without an MPI launcher"),
        }
    }
}

/// The folder of one launch, in which each rank leaves its process number and its output,
/// and the launcher its own files; it goes when dropped.
#[derive(Debug)]
pub(crate) struct OutputFolder {
    path: PathBuf,
}

impl OutputFolder {
    fn create(identity: &str) -> Result<Self, LaunchError> {
        let path = env::temp_dir().join(format!("distwq-launch-{identity}"));
        fs::create_dir(&path).map_err(LaunchError::system(format!("creating the folder {}", path.display())))?;
        Ok(Self { path })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The process of a rank, once it has started.
    pub(crate) fn process(&self, rank: usize) -> Option<u32> {
        let text = fs::read_to_string(self.path.join(format!("{rank}.process"))).ok()?;
        // Without the end of the line the number may be half written.
        text.strip_suffix('\n')?.parse().ok()
    }

    /// What a rank has said so far.
    pub(crate) fn output(&self, rank: usize) -> String {
        self.text(&format!("{rank}.output"))
    }

    /// What the launcher has said so far.
    pub(crate) fn launcher(&self) -> String {
        self.text("launcher.output")
    }

    fn text(&self, name: &str) -> String {
        fs::read(self.path.join(name)).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
    }
}

impl Drop for OutputFolder {
    fn drop(&mut self) {
        // A folder that stays behind in the temporary folder harms nobody.
        let _ = fs::remove_dir_all(&self.path);
    }
}

/// A name that no other launch on this machine has had.
fn new_identity() -> String {
    static LAUNCHES: AtomicU64 = AtomicU64::new(0);
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
    format!("{}-{}-{since:x}", process::id(), LAUNCHES.fetch_add(1, Ordering::Relaxed))
}
