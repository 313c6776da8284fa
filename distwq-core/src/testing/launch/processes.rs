//! The processes of one launch, found in `/proc`: by a variable that all of them inherit, and by parentage.
//!
//! Both ways are needed. Ranks have process groups of their own, and one that lost its parent has a new one, so
//! parentage alone misses orphans; a process that cleared its environment is found by its parent only.

use std::{
    collections::BTreeMap,
    fs, thread,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};

/// The variable that marks every process of a launch; its value is the launch's own.
pub(super) const MARKER: &str = "DISTWQ_LAUNCH_ID";

/// The processes of one launch, as far as they have been seen.
#[derive(Debug)]
pub(super) struct Processes {
    /// What stands in the environment of each of them.
    marker: Vec<u8>,
    /// Process numbers with their start times: a number that was given out anew has another start time.
    seen: BTreeMap<u32, u64>,
}

impl Processes {
    /// The processes of the launch with this identity, of which `root` is the first.
    pub(super) fn new(identity: &str, root: u32) -> Self {
        let seen = Status::of(root).map(|status| (root, status.started)).into_iter().collect();
        Self { marker: format!("{MARKER}={identity}").into_bytes(), seen }
    }

    /// Looks who is there now, and remembers them; returns those that are alive.
    pub(super) fn look(&mut self) -> Vec<u32> {
        let all: BTreeMap<u32, Status> =
            numbers("/proc").filter_map(|process| Some((process, Status::of(process)?))).collect();
        self.seen.retain(|process, started| all.get(process).is_some_and(|status| status.started == *started));
        for (&process, status) in &all {
            if self.has_marker(process) {
                self.seen.insert(process, status.started);
            }
        }
        // Children may have lower numbers than their parents once the numbers have wrapped around, so one pass
        // in order is not enough.
        loop {
            let known = self.seen.len();
            for (&process, status) in &all {
                if self.seen.contains_key(&status.parent) {
                    self.seen.insert(process, status.started);
                }
            }
            if self.seen.len() == known {
                break;
            }
        }
        self.seen.keys().copied().filter(|process| all.get(process).is_some_and(Status::is_alive)).collect()
    }

    /// Waits until all have ended, at most `limit`; returns those that have not.
    pub(super) fn wait(&mut self, limit: Duration) -> Vec<u32> {
        let started = Instant::now();
        loop {
            let alive = self.look();
            if alive.is_empty() || started.elapsed() >= limit {
                return alive;
            }
            thread::sleep(Duration::from_millis(10));
        }
    }

    /// Kills all that are alive, and what they start meanwhile, for at most `limit`.
    pub(super) fn kill(&mut self, limit: Duration) {
        let started = Instant::now();
        loop {
            let alive = self.look();
            if alive.is_empty() || started.elapsed() >= limit {
                return;
            }
            for process in alive {
                send(process, Signal::KILL);
            }
            thread::sleep(Duration::from_millis(5));
        }
    }

    fn has_marker(&self, process: u32) -> bool {
        // Nobody may read the environment of another user's process, and none of those is ours.
        fs::read(format!("/proc/{process}/environ"))
            .is_ok_and(|environment| environment.split(|&byte| byte == 0).any(|variable| variable == self.marker))
    }
}

/// Sends a signal; that the process has ended meanwhile is no error.
pub(super) fn send(process: u32, signal: Signal) {
    if let Some(pid) = i32::try_from(process).ok().and_then(Pid::from_raw) {
        let _ = kill_process(pid, signal);
    }
}

/// What each thread of a process is doing, one line a thread: its name, its state, and where in the kernel it
/// waits if that may be read.
pub(super) fn threads(process: u32) -> Vec<String> {
    let tasks = format!("/proc/{process}/task");
    numbers(&tasks)
        .filter_map(|thread| {
            let folder = format!("{tasks}/{thread}");
            let name = fs::read_to_string(format!("{folder}/comm")).ok()?;
            let state = match Status::read(&format!("{folder}/stat"))?.state {
                'R' => "running",
                'S' => "sleeping",
                'D' => "waiting for a device",
                'T' | 't' => "stopped",
                'Z' | 'X' => "ended",
                _ => "idle",
            };
            let place = fs::read_to_string(format!("{folder}/wchan")).unwrap_or_default();
            let place = if place.is_empty() || place == "0" { String::new() } else { format!(" in {place}") };
            Some(format!("{}: {state}{place}", name.trim()))
        })
        .collect()
}

/// Whether a process with this number is there and has not ended.
pub(super) fn is_alive(process: u32) -> bool {
    Status::of(process).is_some_and(|status| status.is_alive())
}

/// The part of `/proc/<pid>/stat` that is needed here (proc(5)).
#[derive(Debug, Clone, Copy)]
struct Status {
    state: char,
    parent: u32,
    /// In clock ticks since the machine started.
    started: u64,
}

impl Status {
    fn of(process: u32) -> Option<Self> {
        Self::read(&format!("/proc/{process}/stat"))
    }

    fn read(path: &str) -> Option<Self> {
        let line = fs::read_to_string(path).ok()?;
        // The name in brackets may itself hold brackets and blanks, so the fields are counted from the last one.
        let (_, fields) = line.rsplit_once(')')?;
        let mut fields = fields.split_whitespace();
        let state = fields.next()?.chars().next()?;
        let parent = fields.next()?.parse().ok()?;
        let started = fields.nth(17)?.parse().ok()?;
        Some(Self { state, parent, started })
    }

    /// A zombie has ended; its parent just has not asked for its code.
    fn is_alive(&self) -> bool {
        !matches!(self.state, 'Z' | 'X')
    }
}

/// The entries of a folder whose names are numbers.
fn numbers(folder: &str) -> impl Iterator<Item = u32> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn an_orphan_is_found_by_its_marker_and_a_child_without_one_by_its_parent() {
        let identity = format!("test-{}", std::process::id());
        // The shell's first child outlives it as an orphan, the second has an empty environment.
        let script = "sleep 60 & env -i sleep 60 & read line";
        let mut shell = Command::new("sh")
            .args(["-c", script])
            .env(MARKER, &identity)
            .stdin(std::process::Stdio::piped())
            .spawn()
            .expect("sh starts");
        let mut processes = Processes::new(&identity, shell.id());
        let deadline = Instant::now() + Duration::from_secs(10);
        while processes.look().len() < 3 {
            assert!(Instant::now() < deadline, "the two sleepers never appeared");
        }
        drop(shell.stdin.take());
        shell.wait().expect("the shell ends once its input does");
        assert_eq!(processes.look().len(), 2, "both sleepers outlive the shell");
        processes.kill(Duration::from_secs(10));
        assert_eq!(processes.look(), [] as [u32; 0]);
    }

    #[test]
    fn the_threads_of_a_process_are_named_with_their_states() {
        let lines = threads(std::process::id());
        assert!(lines.iter().any(|line| line.contains("running")), "{lines:?}");
    }
}
