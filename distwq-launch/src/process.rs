//! One process, told from all others that had its number before or will have it: numbers
//! are used again.

use std::{fs, os::fd::OwnedFd};

use rustix::process::{Pid, Signal, kill_process};

/// A process that can be sent signals, and no later one with its number.
#[derive(Debug)]
pub(crate) struct Process {
    number: u32,
    started: u64,
    /// Stands for this very process, also when it has ended (pidfd_open(2)). Nothing
    /// where the system has no such thing.
    handle: Option<OwnedFd>,
}

impl Process {
    /// The process that has this number and started at this time. Nothing if it is gone.
    pub(crate) fn hold(number: u32, started: u64) -> Option<Self> {
        let process = Self { number, started, handle: pid(number).and_then(open) };
        // The handle is of whoever had the number as it was opened: the right one, if
        // that has it still.
        process.has_its_number().then_some(process)
    }

    /// When it started, as [`Status::started`].
    pub(crate) fn started(&self) -> u64 {
        self.started
    }

    /// Sends a signal; that the process has ended is no error.
    pub(crate) fn send(&self, signal: Signal) {
        let _ = match (&self.handle, pid(self.number)) {
            (Some(handle), _) => send_by(handle, signal),
            // The next best thing: nobody else can have the number unless this process
            // ends right here.
            (None, Some(pid)) if self.has_its_number() => kill_process(pid, signal),
            _ => Ok(()),
        };
    }

    fn has_its_number(&self) -> bool {
        Status::of(self.number).is_some_and(|status| status.started == self.started)
    }
}

fn pid(number: u32) -> Option<Pid> {
    i32::try_from(number).ok().and_then(Pid::from_raw)
}

#[cfg(target_os = "linux")]
fn open(pid: Pid) -> Option<OwnedFd> {
    rustix::process::pidfd_open(pid, rustix::process::PidfdFlags::empty()).ok()
}

#[cfg(target_os = "linux")]
fn send_by(handle: &OwnedFd, signal: Signal) -> rustix::io::Result<()> {
    rustix::process::pidfd_send_signal(handle, signal)
}

#[cfg(not(target_os = "linux"))]
fn open(_: Pid) -> Option<OwnedFd> {
    None
}

#[cfg(not(target_os = "linux"))]
fn send_by(_: &OwnedFd, _: Signal) -> rustix::io::Result<()> {
    unreachable!("only Linux has such handles")
}

/// What each thread of a process is doing, one line a thread: its name, its state, and
/// where in the kernel it waits if that may be read.
pub(crate) fn threads(process: u32) -> Vec<String> {
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
            let call = fs::read_to_string(format!("{folder}/wchan")).unwrap_or_default();
            let call = if call.is_empty() || call == "0" { String::new() } else { format!(" in {call}") };
            Some(format!("{}: {state}{call}", name.trim()))
        })
        .collect()
}

/// Whether a process with this number is there and has not ended.
pub(crate) fn is_alive(process: u32) -> bool {
    Status::of(process).is_some_and(|status| status.is_alive())
}

/// The part of `/proc/<pid>/stat` that is needed here (proc(5)).
#[derive(Debug, Clone, Copy)]
pub(crate) struct Status {
    state: char,
    pub(crate) parent: u32,
    /// In clock ticks since the machine started.
    pub(crate) started: u64,
}

impl Status {
    pub(crate) fn of(process: u32) -> Option<Self> {
        Self::read(&format!("/proc/{process}/stat"))
    }

    fn read(path: &str) -> Option<Self> {
        let line = fs::read_to_string(path).ok()?;
        // The name in brackets may itself hold brackets and blanks, so the fields are
        // counted from the last one.
        let (_, fields) = line.rsplit_once(')')?;
        let mut fields = fields.split_whitespace();
        let state = fields.next()?.chars().next()?;
        let parent = fields.next()?.parse().ok()?;
        let started = fields.nth(17)?.parse().ok()?;
        Some(Self { state, parent, started })
    }

    /// A zombie has ended; its parent just has not asked for its code.
    pub(crate) fn is_alive(&self) -> bool {
        !matches!(self.state, 'Z' | 'X')
    }
}

/// The entries of a folder whose names are numbers.
pub(crate) fn numbers(folder: &str) -> impl Iterator<Item = u32> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

#[cfg(test)]
mod tests {
    use std::{
        io::{BufRead, BufReader, Write},
        process::{Child, Command, Stdio},
    };

    use super::*;

    /// A process that answers as long as it lives.
    struct Stranger(Child);

    impl Stranger {
        fn new() -> Self {
            let cat = Command::new("cat").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
            Self(cat.expect("cat starts"))
        }

        fn status(&self) -> Status {
            Status::of(self.0.id()).expect("it is there until its code is taken")
        }

        /// Whatever was sent to it before, it is killed by that before it could answer.
        #[track_caller]
        fn expect_alive(&mut self) {
            let written = self.0.stdin.as_mut().expect("a pipe").write_all(b"there?\n");
            written.expect("it reads");
            let mut line = String::new();
            BufReader::new(self.0.stdout.as_mut().expect("a pipe")).read_line(&mut line).expect("it can be read");
            assert_eq!(line, "there?\n", "it has been killed");
        }
    }

    impl Drop for Stranger {
        fn drop(&mut self) {
            let _ = self.0.kill();
            let _ = self.0.wait();
        }
    }

    #[test]
    fn whoever_has_the_number_of_an_ended_process_gets_no_signal() {
        let mut stranger = Stranger::new();
        let (number, started) = (stranger.0.id(), stranger.status().started);
        assert!(Process::hold(number, started + 1).is_none());
        Process { number, started: started + 1, handle: None }.send(Signal::KILL);
        stranger.expect_alive();
        let ended = Stranger::new();
        let held = Process::hold(ended.0.id(), ended.status().started).expect("it lives");
        drop(ended);
        // As if its number had been given to the stranger.
        if held.handle.is_some() {
            Process { number, started, handle: held.handle }.send(Signal::KILL);
            stranger.expect_alive();
        }
    }

    #[test]
    fn a_process_that_is_held_gets_its_signals_with_a_handle_and_without() {
        for has_handle in [true, false] {
            let mut child = Stranger::new();
            let mut held = Process::hold(child.0.id(), child.status().started).expect("it lives");
            held.handle = held.handle.filter(|_| has_handle);
            held.send(Signal::KILL);
            let status = child.0.wait().expect("it has ended");
            assert_eq!(std::os::unix::process::ExitStatusExt::signal(&status), Some(Signal::KILL.as_raw()));
        }
    }

    #[test]
    fn the_threads_of_a_process_are_named_with_their_states() {
        let lines = threads(std::process::id());
        assert!(lines.iter().any(|line| line.contains("running")), "{lines:?}");
    }
}
