//! MPI itself: its start and its end, once in a process.

use super::doorbells::Doorbells;
use super::groups::Groups;
use super::main_thread::Calls;
use super::{Leftovers, MpiTransport, Shared};
use crate::config::{Config, ConfigError};
use crate::id::Rank;
use ::mpi::Threading;
use ::mpi::collective::SystemOperation;
use ::mpi::environment::Universe;
use ::mpi::ffi;
use ::mpi::topology::SimpleCommunicator;
use ::mpi::traits::*;
use std::io;
use std::mem::ManuallyDrop;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};

/// An initialised MPI. Dropped on the thread that made it, it finalizes MPI.
pub(crate) struct Environment {
    universe: Universe,
    /// Two duplicates of the world: for what the transport sends, and to make the
    /// communicators of groups from.
    private: Option<[ManuallyDrop<SimpleCommunicator>; 2]>,
    controller: u32,
    piece_bytes: usize,
    ranks_on_host: usize,
    bells: Option<Doorbells>,
    threads: Threading,
    /// Until this thread serves them.
    calls: Option<Calls>,
    leftovers: (Sender<Leftovers>, Receiver<Leftovers>),
}

/// Why MPI cannot be used.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub(crate) enum MpiError {
    /// Somebody has initialised it in this process, or has finalized it.
    #[error("MPI has been initialised in this process before; distwq::launch has to do it, and once only")]
    AlreadyInitialised,
    /// The library was built for fewer threads.
    #[error(
        "this MPI gives thread level {got:?}, but distwq needs Serialized: its threads call MPI one at a time; \
         use an MPI that was built with thread support"
    )]
    ThreadLevel { got: Threading },
    /// Calls from any thread were asked for, and not all ranks have them.
    #[error(
        "mpi_thread_multiple (DISTWQ_MPI_THREAD_MULTIPLE) is set, but MPI gives {ranks} of the ranks a lower thread level: \
         use an MPI that provides MPI_THREAD_MULTIPLE, see that the variable reaches all ranks, or do without the setting"
    )]
    NoThreadMultiple { ranks: i32 },
    /// The launcher speaks of several ranks, and MPI of one.
    #[error(
        "the launcher started several ranks, but MPI knows of {ranks} only: `mpirun` and the MPI library that this \
         program was built with are different; use the `mpirun` of that library"
    )]
    ForeignLauncher { ranks: u32 },
    /// A setting does not fit the number of ranks.
    #[error(transparent)]
    Config(#[from] ConfigError),
}

/// Why a rank does not start.
#[derive(Debug)]
pub(crate) struct StartError {
    pub(crate) error: MpiError,
    /// All ranks have the same error, and another one tells it.
    pub(crate) is_told_elsewhere: bool,
}

impl From<MpiError> for StartError {
    fn from(error: MpiError) -> Self {
        Self { error, is_told_elsewhere: false }
    }
}

static RUNNING: AtomicBool = AtomicBool::new(false);

impl Environment {
    /// Initialises MPI; all ranks do it together.
    pub(crate) fn start(config: &Config) -> Result<Self, StartError> {
        let wished = if config.mpi_thread_multiple { Threading::Multiple } else { Threading::Serialized };
        let (universe, got) = ::mpi::initialize_with_threading(wished).ok_or(MpiError::AlreadyInitialised)?;
        if got < Threading::Serialized {
            return Err(MpiError::ThreadLevel { got }.into());
        }
        let world = universe.world();
        let ranks = world.size() as u32;
        if ranks < 2 {
            return Err(MpiError::ForeignLauncher { ranks }.into());
        }
        // Launchers do not hand on variables to all hosts, so rank 0 says who is the
        // controller, how large the pieces are and who may call MPI. An error of it all
        // have, and rank 0 tells it.
        let of_all = |error| StartError { error, is_told_elsewhere: world.rank() != 0 };
        let multiple = i64::from(config.mpi_thread_multiple);
        let mut shared = [i64::from(config.controller), config.piece_bytes as i64, multiple];
        world.process_at_rank(0).broadcast_into(&mut shared[..]);
        let config = config.clone().controller(shared[0] as i32).piece_bytes(shared[1] as usize);
        let controller = config.controller_rank(ranks).map_err(|error| of_all(error.into()))?;
        let threads = if shared[2] == 1 { Threading::Multiple } else { Threading::Serialized };
        let mut lacking = 0;
        world.all_reduce_into(&i32::from(got < threads), &mut lacking, SystemOperation::sum());
        if lacking > 0 {
            return Err(of_all(MpiError::NoThreadMultiple { ranks: lacking }));
        }
        let host = world.split_shared(world.rank());
        let ranks_on_host = host.size() as usize;
        let bells = Some(Doorbells::share(&world, &host));
        RUNNING.store(true, Ordering::SeqCst);
        let private = Some([(); 2].map(|()| ManuallyDrop::new(world.duplicate())));
        let calls = Some(Calls::new());
        let piece_bytes = config.piece_bytes;
        Ok(Self {
            universe,
            private,
            controller,
            piece_bytes,
            ranks_on_host,
            bells,
            threads,
            calls,
            leftovers: channel(),
        })
    }

    pub(crate) fn controller(&self) -> Rank {
        Rank(self.controller)
    }

    pub(crate) fn ranks_on_host(&self) -> usize {
        self.ranks_on_host
    }

    /// This rank's end of the private communicators.
    ///
    /// # Panics
    /// If it is asked for twice.
    pub(crate) fn transport(&mut self) -> MpiTransport {
        // The transport frees the communicators when it closes.
        let [frames, groups] = self.private.take().expect("there is one end");
        let bells = self.bells.take().expect("they come with the communicators");
        let world = self.universe.world();
        let shared = Shared {
            groups: Groups::made_from(groups.as_raw()),
            leftovers: self.leftovers.0.clone(),
            bells,
            main_thread: self.calls.as_ref().expect("nobody is served before").main_thread(),
            threads: self.threads,
        };
        MpiTransport::new(frames.as_raw(), world.rank() as u32, world.size() as u32, self.piece_bytes, shared)
    }

    /// Does `work` on a thread of its own, while this one, which has initialised MPI,
    /// runs what raw MPI asks for.
    ///
    /// # Errors
    /// If no thread can be started.
    ///
    /// # Panics
    /// If it is called twice.
    pub(crate) fn serve_while<R: Send>(&mut self, work: impl FnOnce() -> R + Send) -> io::Result<R> {
        self.calls.take().expect("there is one worker").serve_while(work)
    }

    /// Whether MPI is running in this process.
    pub(crate) fn is_running() -> bool {
        RUNNING.load(Ordering::SeqCst)
    }

    /// Finalizes MPI if it is running in this process, which is about to exit: nobody
    /// will drop the environment.
    ///
    /// The thread need not be the one that initialised MPI, as the standard wants it to
    /// be: that one may run a task that never ends. Open MPI and MPICH do not mind, as
    /// long as no other thread calls MPI.
    pub(crate) fn finalize_if_running() {
        if RUNNING.swap(false, Ordering::SeqCst) {
            // SAFETY: MPI runs. The caller has closed the transport, after which no other
            // thread of this library calls MPI, and its engine does nothing more.
            unsafe {
                ffi::MPI_Finalize();
            }
        }
    }

    /// Ends all ranks if MPI is running in this process.
    pub(crate) fn abort_if_running(code: i32) {
        if RUNNING.load(Ordering::SeqCst) {
            abort(code);
        }
    }
}

impl Drop for Environment {
    fn drop(&mut self) {
        if RUNNING.swap(false, Ordering::SeqCst)
            && let Ok(leftovers) = self.leftovers.1.try_recv()
        {
            leftovers.free();
        }
    }
}

/// Ends all ranks.
pub(super) fn abort(code: i32) -> ! {
    RUNNING.store(false, Ordering::SeqCst);
    // SAFETY: MPI runs, and aborting is allowed at any time, also while another thread is
    // within MPI: nothing goes on after it.
    unsafe {
        ffi::MPI_Abort(ffi::RSMPI_COMM_WORLD, code);
    }
    std::process::abort()
}
