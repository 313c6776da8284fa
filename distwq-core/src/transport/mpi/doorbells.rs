//! The bells of the ranks of this host, in memory that they share.
//!
//! The memory is a file without a name. The first rank of the host makes it, the others
//! open it among the files of that process, and nothing has to be cleaned up, however the
//! run ends. Where that cannot be (another system than Linux, ranks that do not see each
//! other's processes), all ranks of the host agree to do without.
//!
//! `MPI_Win_allocate_shared` would give such memory too. But a rank of Open MPI that
//! fails to make the window returns with an error while the others wait for it without
//! end, and the window has to be freed by all together.

use super::super::by_peer::ByPeer;
use super::super::doorbell::Words;
use super::super::{Doorbell, NAP_MAX_RUNG, NAP_MAX_UNHEARD};
use crate::id::Rank;
use ::mpi::collective::SystemOperation;
use ::mpi::topology::SimpleCommunicator;
use ::mpi::traits::*;
use std::sync::Arc;
use std::time::Duration;

/// The bell of this rank, and those that it can ring.
#[derive(Debug)]
pub(super) struct Doorbells {
    own: Arc<Doorbell>,
    peers: ByPeer<Doorbell>,
    nap_max: Duration,
}

impl Doorbells {
    /// Makes the bells of a host; all its ranks call this together. `host` has them in
    /// the order of the world.
    pub(super) fn share(world: &SimpleCommunicator, host: &SimpleCommunicator) -> Self {
        let mut own = Doorbell::default();
        let mut peers = ByPeer::new(world.size() as u32);
        if let Some(words) = agree(host) {
            let mut ranks = vec![0; host.size() as usize];
            host.all_gather_into(&world.rank(), &mut ranks[..]);
            for (rank, words) in ranks.into_iter().zip(words) {
                let bell = Doorbell::shared(words);
                if rank == world.rank() {
                    own = bell;
                } else {
                    peers.insert(Rank(rank as u32), bell);
                }
            }
        }
        let heard = peers.len() + 1 == world.size() as usize;
        Self { own: Arc::new(own), peers, nap_max: if heard { NAP_MAX_RUNG } else { NAP_MAX_UNHEARD } }
    }

    pub(super) fn own(&self) -> Arc<Doorbell> {
        Arc::clone(&self.own)
    }

    /// Rings the bell of a rank to which something was sent, if it is on this host.
    pub(super) fn ring(&self, to: Rank) {
        if let Some(bell) = self.peers.get(to) {
            bell.ring();
        }
    }

    pub(super) fn nap_max(&self) -> Duration {
        self.nap_max
    }
}

/// Words for each rank of the host, in its order, if all of them could map the same
/// memory.
fn agree(host: &SimpleCommunicator) -> Option<&'static [Words]> {
    let count = host.size() as usize;
    if count < 2 {
        return None;
    }
    let file = if host.rank() == 0 { memory::File::create(count) } else { None };
    let mut address = file.as_ref().map_or([0; 3], memory::File::address);
    host.process_at_rank(0).broadcast_into(&mut address[..]);
    let file = file.or_else(|| memory::File::open(address));
    let words = file.as_ref().and_then(|file| file.map(count));
    let mut all = false;
    host.all_reduce_into(&words.is_some(), &mut all, SystemOperation::logical_and());
    // Here all have opened the file, or never will: it may be closed.
    drop(file);
    words.filter(|_| all)
}

#[cfg(target_os = "linux")]
mod memory {
    use super::Words;
    use rustix::fs::{MemfdFlags, SealFlags};
    use rustix::mm::{MapFlags, ProtFlags};
    use std::collections::hash_map::RandomState;
    use std::fs;
    use std::hash::BuildHasher;
    use std::os::fd::AsRawFd;

    /// A file in memory, without a name.
    #[derive(Debug)]
    pub(super) struct File {
        file: fs::File,
        nonce: u64,
    }

    impl File {
        pub(super) fn create(count: usize) -> Option<Self> {
            // Seen by nobody but those who look for it: a process of the same number
            // elsewhere has no such file.
            let nonce = RandomState::new().hash_one(std::process::id());
            let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
            let file = fs::File::from(rustix::fs::memfd_create(label(nonce), flags).ok()?);
            file.set_len(size_of::<Words>() as u64 * count as u64).ok()?;
            rustix::fs::fcntl_add_seals(&file, SealFlags::SHRINK | SealFlags::SEAL).ok()?;
            Some(Self { file, nonce })
        }

        /// What another process needs to open it.
        pub(super) fn address(&self) -> [u64; 3] {
            [std::process::id().into(), self.file.as_raw_fd() as u64, self.nonce]
        }

        pub(super) fn open([process, number, nonce]: [u64; 3]) -> Option<Self> {
            let path = format!("/proc/{process}/fd/{number}");
            let target = fs::read_link(&path).ok()?;
            if target.to_str()? != format!("/memfd:{} (deleted)", label(nonce)) {
                return None;
            }
            let file = fs::File::options().read(true).write(true).open(path).ok()?;
            Some(Self { file, nonce })
        }

        /// Maps it, until the process ends: a thread may ring at any time.
        pub(super) fn map(&self, count: usize) -> Option<&'static [Words]> {
            let bytes = size_of::<Words>() * count;
            if self.file.metadata().ok()?.len() < bytes as u64 {
                return None;
            }
            // SAFETY: the system chooses a free range, which is never unmapped. It is of
            // zeros or of what other processes have written to the same atomics, aligned
            // to a page, and the file cannot shrink below it.
            unsafe {
                let (access, shared) = (ProtFlags::READ | ProtFlags::WRITE, MapFlags::SHARED);
                let start = rustix::mm::mmap(std::ptr::null_mut(), bytes, access, shared, &self.file, 0).ok()?;
                Some(std::slice::from_raw_parts(start.cast::<Words>(), count))
            }
        }
    }

    fn label(nonce: u64) -> String {
        format!("distwq-bells-{nonce:016x}")
    }
}

#[cfg(not(target_os = "linux"))]
mod memory {
    use super::Words;

    /// There is none.
    #[derive(Debug)]
    pub(super) enum File {}

    impl File {
        pub(super) fn create(_count: usize) -> Option<Self> {
            None
        }

        pub(super) fn address(&self) -> [u64; 3] {
            match *self {}
        }

        pub(super) fn open(_address: [u64; 3]) -> Option<Self> {
            None
        }

        pub(super) fn map(&self, _count: usize) -> Option<&'static [Words]> {
            match *self {}
        }
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::memory::File;
    use super::*;

    #[test]
    fn who_sleeps_on_one_mapping_is_woken_through_another() {
        let made = File::create(3).expect("this system has memory files");
        let opened = File::open(made.address()).expect("it is a file of this process");
        let own = Doorbell::shared(&made.map(3).expect("it can be mapped")[2]);
        let other = Doorbell::shared(&opened.map(3).expect("it can be mapped twice")[2]);
        drop((made, opened));
        let mut listener = own.listen();
        let ringer = std::thread::spawn(move || other.ring());
        assert!(listener.sleep(Duration::from_secs(60)));
        ringer.join().expect("ringing does not panic");
    }

    #[test]
    fn another_file_of_that_number_is_not_taken_for_it() {
        let made = File::create(1).expect("this system has memory files");
        let [process, number, nonce] = made.address();
        assert!(File::open([process, number, nonce ^ 1]).is_none());
        assert!(File::open([0, 0, 0]).is_none());
        assert!(made.map(2).is_none(), "it has room for one");
    }
}
