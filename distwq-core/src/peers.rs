//! The processes of other ranks on this host. Launchers end a run when a rank is killed,
//! but they do not know what it did; a rank that sees it go can say so in the moment
//! before.
//!
//! A thread waits for the process descriptors of the others (`pidfd_open`), so it costs
//! nothing until one of them ends. There are none but on Linux; elsewhere, and for ranks
//! on other hosts, the launcher's word has to do.

use crate::id::Rank;
use serde::{Deserialize, Serialize};

/// A process, as it introduces itself to the other ranks.
#[derive(Serialize, Deserialize, Clone, PartialEq, Eq, Debug)]
pub(crate) struct Process {
    pub(crate) number: u32,
    /// Processes of the same host and container have the same; their numbers mean the
    /// same then. Empty if not known.
    space: String,
}

impl Process {
    /// This process.
    pub(crate) fn own() -> Self {
        let host = std::fs::read_to_string("/proc/sys/kernel/random/boot_id");
        let container = std::fs::read_link("/proc/self/ns/pid");
        let space = host.ok().zip(container.ok());
        let space = space.map(|(host, container)| format!("{} {}", host.trim(), container.display()));
        Self { number: std::process::id(), space: space.unwrap_or_default() }
    }

    /// Whether it is another process, by a number that means the same to this one.
    pub(crate) fn is_beside(&self, own: &Self) -> bool {
        !self.space.is_empty() && self.space == own.space && self.number != own.number
    }
}

pub(crate) use watch::Watch;

#[cfg(target_os = "linux")]
mod watch {
    use super::{Process, Rank};
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    use rustix::io::retry_on_intr;
    use rustix::process::{Pid, PidfdFlags, pidfd_open};
    use std::io::{PipeReader, PipeWriter};
    use std::os::fd::{AsFd, OwnedFd};
    use std::thread;
    use std::time::{Duration, Instant};

    /// Watches processes of other ranks, until it is dropped.
    #[derive(Debug)]
    pub(crate) struct Watch {
        /// Closed by being dropped, which the thread sees.
        _running: PipeWriter,
    }

    /// A launcher that was told to end the run kills all ranks within this time. If this
    /// process still lives after it, the peer died by itself. (Open MPI then leaves the
    /// others 250 ms.)
    const SETTLED: Duration = Duration::from_millis(30);

    /// How long a launcher may take to end the run before the watch does.
    const LAUNCHER_LIMIT: Duration = Duration::from_secs(5);

    impl Watch {
        /// Watches those of these processes that are beside this one. When some of them
        /// have ended, `gone` is called with their ranks, and, if the run still goes on
        /// some seconds later, `overdue`. Nothing if there is nobody to watch.
        pub(crate) fn begin(
            peers: impl IntoIterator<Item = (Rank, Process)>,
            gone: impl FnOnce(&[(Rank, u32)]) + Send + 'static,
            overdue: impl FnOnce() + Send + 'static,
        ) -> Option<Self> {
            let own = Process::own();
            let beside = peers.into_iter().filter(|(_, process)| process.is_beside(&own));
            let watched: Vec<Peer> = beside.filter_map(|(rank, process)| Peer::open(rank, process.number)).collect();
            if watched.is_empty() {
                return None;
            }
            let (end, running) = std::io::pipe().ok()?;
            let watcher = thread::Builder::new().name("distwq-peers".to_owned());
            let watch = move || {
                if let Some(lost) = first_gone(&watched, &end) {
                    gone(&lost);
                    if !ends_within(&end, LAUNCHER_LIMIT) {
                        overdue();
                    }
                }
            };
            // A run without this thread goes on, and knows a little less at its end.
            watcher.spawn(watch).ok()?;
            Some(Self { _running: running })
        }
    }

    #[derive(Debug)]
    struct Peer {
        rank: Rank,
        number: u32,
        descriptor: OwnedFd,
    }

    impl Peer {
        fn open(rank: Rank, number: u32) -> Option<Self> {
            let process = Pid::from_raw(number.try_into().ok()?)?;
            // There is none on an old system, or where descriptors have run out.
            let descriptor = pidfd_open(process, PidfdFlags::empty()).ok()?;
            Some(Self { rank, number, descriptor })
        }
    }

    /// Waits until processes have ended, or the watch has. Gives those that have gone
    /// while the watch goes on.
    fn first_gone(peers: &[Peer], end: &PipeReader) -> Option<Vec<(Rank, u32)>> {
        let mut awaited: Vec<_> = peers.iter().map(|peer| PollFd::new(&peer.descriptor, PollFlags::IN)).collect();
        awaited.push(PollFd::new(end, PollFlags::IN));
        retry_on_intr(|| poll(&mut awaited, None)).ok()?;
        if ends_within(end, SETTLED) {
            return None;
        }
        let now = Timespec { tv_sec: 0, tv_nsec: 0 };
        retry_on_intr(|| poll(&mut awaited, Some(&now))).ok()?;
        let gone = peers.iter().zip(&awaited).filter(|(_, awaited)| !awaited.revents().is_empty());
        let gone: Vec<_> = gone.map(|(peer, _)| (peer.rank, peer.number)).collect();
        (!gone.is_empty()).then_some(gone)
    }

    /// Waits for the end of the watch for so long, and says whether it has come.
    fn ends_within(end: &PipeReader, limit: Duration) -> bool {
        let deadline = Instant::now() + limit;
        let mut awaited = [PollFd::from_borrowed_fd(end.as_fd(), PollFlags::IN)];
        // A signal of the user ends a poll early: it goes on with what is left of the
        // time.
        retry_on_intr(|| {
            let left = Timespec::try_from(deadline.saturating_duration_since(Instant::now())).ok();
            poll(&mut awaited, left.as_ref())
        })
        .is_ok_and(|ready| ready > 0)
    }
}

#[cfg(not(target_os = "linux"))]
mod watch {
    use super::{Process, Rank};

    /// There is no such watch here.
    #[derive(Debug)]
    pub(crate) enum Watch {}

    impl Watch {
        pub(crate) fn begin(
            _peers: impl IntoIterator<Item = (Rank, Process)>,
            _gone: impl FnOnce(&[(Rank, u32)]) + Send + 'static,
            _overdue: impl FnOnce() + Send + 'static,
        ) -> Option<Self> {
            None
        }
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;
    use std::process::{Command, Stdio};
    use std::sync::mpsc;
    use std::time::Duration;

    /// A process that waits until it is killed.
    fn sleeper() -> (std::process::Child, Process) {
        let child = Command::new("cat").stdin(Stdio::piped()).spawn().expect("there is a cat");
        let process = Process { number: child.id(), ..Process::own() };
        (child, process)
    }

    #[test]
    fn a_process_that_is_killed_is_named_while_the_others_live() {
        let ((mut killed, first), (mut living, second)) = (sleeper(), sleeper());
        let (told, gone) = mpsc::channel();
        let number = first.number;
        let peers = [(Rank(4), second), (Rank(5), first), (Rank(6), Process::own())];
        let watch = Watch::begin(peers, move |gone| told.send(gone.to_vec()).expect("it is awaited"), || {});
        let watch = watch.expect("they are beside this process");
        killed.kill().expect("it lives");
        let gone = gone.recv_timeout(Duration::from_secs(20)).expect("it is seen");
        assert_eq!(gone, [(Rank(5), number)]);
        drop(watch);
        living.kill().expect("it lives");
        for mut child in [killed, living] {
            child.wait().expect("it was killed");
        }
    }

    #[test]
    fn a_watch_that_ends_tells_nothing() {
        let (mut child, process) = sleeper();
        let (told, gone) = mpsc::channel::<()>();
        let watch = Watch::begin([(Rank(1), process)], move |_| told.send(()).expect("it is awaited"), || {});
        drop(watch.expect("it is beside this process"));
        child.kill().expect("it lives");
        child.wait().expect("it was killed");
        // The thread has ended, and its end of the channel with it, without a word.
        assert_eq!(gone.recv_timeout(Duration::from_secs(20)), Err(mpsc::RecvTimeoutError::Disconnected));
    }

    #[test]
    fn nobody_is_watched_whose_number_means_something_else() {
        let elsewhere = Process { number: 1, space: "another host".to_owned() };
        assert!(Watch::begin([(Rank(1), elsewhere), (Rank(2), Process::own())], |_| {}, || {}).is_none());
    }
}
