//! The processes of one launch, found in `/proc`: by a variable that all of them inherit,
//! and by parentage.
//!
//! Both ways are needed. Ranks have process groups of their own, and one that lost its
//! parent has a new one, so parentage alone misses orphans; a process that cleared its
//! environment is found by its parent only.

use std::{
    collections::BTreeMap,
    fs, thread,
    time::{Duration, Instant},
};

use rustix::process::Signal;

use crate::process::{Process, Status, numbers};

/// The variable that marks every process of a launch; its value is the launch's own.
pub(crate) const MARKER: &str = "DISTWQ_LAUNCH_ID";

/// The processes of one launch, as far as they have been seen.
#[derive(Debug)]
pub(crate) struct Processes {
    /// What stands in the environment of each of them.
    marker: Vec<u8>,
    /// By their numbers.
    seen: BTreeMap<u32, Process>,
}

impl Processes {
    /// The processes of the launch with this identity, of which `root` is the first.
    pub(crate) fn new(identity: &str, root: u32) -> Self {
        let mut processes = Self { marker: format!("{MARKER}={identity}").into_bytes(), seen: BTreeMap::new() };
        if let Some(status) = Status::of(root) {
            processes.remember(root, status.started);
        }
        processes
    }

    /// Looks who is there now, and remembers them; returns those that are alive.
    pub(crate) fn look(&mut self) -> Vec<u32> {
        let all: BTreeMap<u32, Status> =
            numbers("/proc").filter_map(|process| Some((process, Status::of(process)?))).collect();
        self.seen.retain(|process, held| all.get(process).is_some_and(|status| status.started == held.started()));
        for (&process, status) in &all {
            if !self.seen.contains_key(&process) && self.has_marker(process) {
                self.remember(process, status.started);
            }
        }
        // Children may have lower numbers than their parents once the numbers have
        // wrapped around, so one pass in order is not enough.
        loop {
            let known = self.seen.len();
            for (&process, status) in &all {
                if self.seen.contains_key(&status.parent) && !self.seen.contains_key(&process) {
                    self.remember(process, status.started);
                }
            }
            if self.seen.len() == known {
                break;
            }
        }
        self.seen.keys().copied().filter(|process| all.get(process).is_some_and(Status::is_alive)).collect()
    }

    /// Waits until all have ended, at most `limit`; returns those that have not.
    pub(crate) fn wait(&mut self, limit: Duration) -> Vec<u32> {
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
    pub(crate) fn kill(&mut self, limit: Duration) {
        let started = Instant::now();
        loop {
            let alive = self.look();
            if alive.is_empty() || started.elapsed() >= limit {
                return;
            }
            for process in alive {
                self.send(process, Signal::KILL);
            }
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// Sends a signal to a process of this launch, as it was when it was last looked for;
    /// to nobody else, should the number have been used again.
    pub(crate) fn send(&self, process: u32, signal: Signal) {
        if let Some(held) = self.seen.get(&process) {
            held.send(signal);
        }
    }

    /// Holds a process, unless it has ended meanwhile.
    fn remember(&mut self, process: u32, started: u64) {
        if let Some(held) = Process::hold(process, started) {
            self.seen.insert(process, held);
        }
    }

    fn has_marker(&self, process: u32) -> bool {
        // Nobody may read the environment of another user's process, and none of those is
        // ours.
        fs::read(format!("/proc/{process}/environ"))
            .is_ok_and(|environment| environment.split(|&byte| byte == 0).any(|variable| variable == self.marker))
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn an_orphan_is_found_by_its_marker_and_a_child_without_one_by_its_parent() {
        let identity = format!("test-{}", std::process::id());
        // The shell's first child outlives it as an orphan, the second has an empty
        // environment.
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
}
