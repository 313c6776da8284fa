//! A launch that runs: its ranks can be watched, waited for and killed.

use std::{
    os::unix::process::ExitStatusExt,
    process::{Child, ExitStatus},
    thread,
    time::{Duration, Instant},
};

use rustix::process::Signal;

use crate::{
    Ending, LaunchError, Output, RankOutput, launcher::OutputFolder, process, processes::Processes, turn::Turn,
};

/// How long the launcher has to end its ranks itself, before everything is killed.
const GRACE: Duration = Duration::from_secs(3);

/// How long what the launcher started may outlive it: ranks are still being reaped when
/// it has ended.
const AFTERLIFE: Duration = Duration::from_secs(1);

/// How long the killing may take: a killed process ends at once unless the machine has no
/// time for it.
const KILLING: Duration = Duration::from_secs(10);

/// What was launched, as its end will be reported.
#[derive(Debug)]
pub(crate) struct Launch {
    /// For people.
    pub(crate) what: String,
    /// Name and version of the MPI, if it is under one.
    pub(crate) mpi: Option<String>,
    pub(crate) ranks: usize,
    pub(crate) time_limit: Duration,
}

/// A program that was started by [`Launcher::start`](crate::Launcher::start).
///
/// Dropping it ends the launcher and every process that came from it.
#[derive(Debug)]
pub struct Launched {
    launch: Launch,
    child: Child,
    processes: Processes,
    folder: OutputFolder,
    started: Instant,
    /// Nothing of this launch lives any more.
    over: bool,
    /// The last field, so that the turn passes on when all else is gone.
    _turn: Turn,
}

impl Launched {
    pub(crate) fn new(launch: Launch, child: Child, identity: &str, folder: OutputFolder, turn: Turn) -> Self {
        let processes = Processes::new(identity, child.id());
        Self { launch, child, processes, folder, started: Instant::now(), over: false, _turn: turn }
    }

    /// Waits until a rank has started, and returns its process number.
    ///
    /// # Errors
    ///
    /// [`LaunchError::RankSilent`] if it has not within the time limit, or everything has
    /// ended before.
    pub fn process(&mut self, rank: usize) -> Result<u32, LaunchError> {
        self.wait_until(rank, "start", |folder| folder.process(rank))
    }

    /// Waits until a rank has said this, on its standard output or its standard error.
    ///
    /// # Errors
    ///
    /// [`LaunchError::RankSilent`] if it has not within the time limit, or everything has
    /// ended before.
    pub fn wait_for(&mut self, rank: usize, text: &str) -> Result<(), LaunchError> {
        let awaited = format!("say {text:?}");
        self.wait_until(rank, &awaited, |folder| folder.output(rank).contains(text).then_some(()))
    }

    /// Kills a rank (SIGKILL), once it has started.
    ///
    /// # Errors
    ///
    /// [`LaunchError::RankSilent`] if it has not started within the time limit.
    pub fn kill(&mut self, rank: usize) -> Result<(), LaunchError> {
        let process = self.process(rank)?;
        self.processes.look();
        self.processes.send(process, Signal::KILL);
        Ok(())
    }

    /// What a rank has said so far.
    pub fn output(&self, rank: usize) -> String {
        self.folder.output(rank)
    }

    /// Waits for the end; once the time limit has passed, everything is ended by force.
    ///
    /// # Errors
    ///
    /// If the system cannot tell how the launcher ended.
    pub fn wait(mut self) -> Result<Output, LaunchError> {
        let deadline = self.started + self.launch.time_limit;
        let mut nap = Duration::from_millis(1);
        let status = loop {
            let ended =
                self.child.try_wait().map_err(LaunchError::system(format!("waiting for {}", self.launch.what)))?;
            if ended.is_some() || Instant::now() >= deadline {
                break ended;
            }
            thread::sleep(nap);
            nap = (nap * 2).min(Duration::from_millis(20));
        };
        let wall = self.started.elapsed();
        let (ending, living, left_behind) = match status {
            Some(status) => (ending_of(status), Vec::new(), self.sweep()),
            None => {
                let living = self.living_ranks();
                self.end();
                (Ending::TimeLimit(self.launch.time_limit), living, Vec::new())
            }
        };
        self.over = true;
        let mut ranks: Vec<_> = (0..self.launch.ranks).map(|rank| self.rank(rank)).collect();
        for (rank, threads) in living {
            ranks[rank].threads = Some(threads);
        }
        Ok(Output {
            what: self.launch.what.clone(),
            mpi: self.launch.mpi.clone(),
            ending,
            ranks,
            launcher: self.folder.launcher(),
            wall,
            left_behind,
        })
    }

    fn rank(&self, rank: usize) -> RankOutput {
        RankOutput { process: self.folder.process(rank), text: self.folder.output(rank), threads: None }
    }

    fn wait_until<T>(
        &mut self,
        rank: usize,
        awaited: &str,
        look: impl Fn(&OutputFolder) -> Option<T>,
    ) -> Result<T, LaunchError> {
        let deadline = self.started + self.launch.time_limit;
        loop {
            // Whether it has ended is asked first: its last words are complete only then.
            let ended = matches!(self.child.try_wait(), Ok(Some(_)));
            if let Some(found) = look(&self.folder) {
                return Ok(found);
            }
            if ended || Instant::now() >= deadline {
                let said =
                    (0..self.launch.ranks).map(|rank| format!("[{rank}] {}\n", self.folder.output(rank).trim_end()));
                let said = said.chain([format!("[-] {}", self.folder.launcher().trim_end())]).collect();
                return Err(LaunchError::RankSilent { rank, awaited: awaited.into(), said });
            }
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// The ranks that live, each with what its threads are doing.
    fn living_ranks(&self) -> Vec<(usize, Vec<String>)> {
        let processes = (0..self.launch.ranks).filter_map(|rank| Some((rank, self.folder.process(rank)?)));
        let living = processes.filter(|&(_, process)| process::is_alive(process));
        living.map(|(rank, process)| (rank, process::threads(process))).collect()
    }

    /// After the launcher has ended by itself: waits a little for the rest, kills it and
    /// returns who it was.
    fn sweep(&mut self) -> Vec<u32> {
        let left_behind = self.processes.wait(AFTERLIFE);
        self.processes.kill(KILLING);
        left_behind
    }

    /// Ends everything: the launcher is asked to, then whatever is left is killed.
    fn end(&mut self) {
        // Who belongs to the launcher by parentage is only known while it lives.
        self.processes.look();
        self.processes.send(self.child.id(), Signal::TERM);
        let asked = Instant::now();
        while matches!(self.child.try_wait(), Ok(None)) && asked.elapsed() < GRACE {
            thread::sleep(Duration::from_millis(5));
        }
        self.processes.kill(KILLING);
        // It has been killed by now, so this only takes its code.
        let _ = self.child.try_wait();
    }
}

impl Drop for Launched {
    fn drop(&mut self) {
        if !self.over {
            self.end();
        }
    }
}

fn ending_of(status: ExitStatus) -> Ending {
    match (status.code(), status.signal()) {
        (Some(code), _) => Ending::Exited(code),
        (None, signal) => Ending::Signalled(signal.unwrap_or_default()),
    }
}
