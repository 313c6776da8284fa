//! How frames get from rank to rank: one trait, a file for each fabric.

#[cfg(any(feature = "mpi", test))]
mod arrivals;
#[cfg(any(feature = "mpi", test))]
mod by_peer;
#[cfg(any(feature = "mpi", test))]
mod departures;
mod doorbell;
#[cfg(any(feature = "mpi", test))]
mod lent;
mod local;
#[cfg(feature = "mpi")]
mod mpi;

pub(crate) use doorbell::{Doorbell, Listener};
pub(crate) use local::Network;
#[cfg(feature = "mpi")]
pub(crate) use mpi::{Environment, MainThread, StartError};
#[cfg(feature = "mpi")]
pub use mpi::{OneThreadAtATime, RawCommunicator};

use crate::codec::frame::Frame;
use crate::id::Rank;
use std::sync::Arc;
use std::time::Duration;

/// One rank's end of the fabric. Nothing here waits: sends are taken and go out as they
/// can, in order and without loss; `receive` gives what has come.
pub(crate) trait Transport: Send {
    /// This rank.
    fn rank(&self) -> Rank;

    /// How many ranks there are.
    fn ranks(&self) -> u32;

    /// Takes a frame to send. Frames to one rank arrive in this order, except that one
    /// with attachments may be overtaken.
    fn send(&mut self, to: Rank, frame: Frame);

    /// The next frame that has arrived whole, and who sent it.
    fn receive(&mut self) -> Option<(Rank, Frame)>;

    /// Moves on what is on its way in either direction.
    fn progress(&mut self) -> Flow;

    /// Whether something that was taken to be sent has not gone out, and needs further
    /// calls to do so.
    fn is_sending(&self) -> bool;

    /// An empty buffer, used before if possible.
    fn buffer(&mut self) -> Vec<u8>;

    /// Takes a buffer back to be used again.
    fn recycle(&mut self, buffer: Vec<u8>);

    /// Bytes of the buffers that are kept to be used again.
    fn kept_bytes(&self) -> usize;

    /// What wakes the thread of this rank that sleeps until something arrives.
    fn bell(&self) -> Arc<Doorbell>;

    /// After how long at most somebody has to look although the bell has not been rung.
    fn nap_max(&self) -> Duration;

    /// Called once all is said: joins the others in the end of the run. Gives true when
    /// all have joined; until then it is called again and frames still arrive.
    fn close(&mut self) -> bool;

    /// Ends all ranks at once.
    fn abort(&mut self, code: i32) -> !;

    /// The raw communicator of a group, made by all its members together. Called on the
    /// main thread with the engine's lock held. What was sent before arrives although
    /// nobody drives this rank from here on.
    #[cfg(feature = "mpi")]
    fn raw_group(&mut self, members: &[Rank]) -> Option<RawCommunicator>;

    /// The thread that raw MPI is to be called on, if there is raw MPI.
    #[cfg(feature = "mpi")]
    fn main_thread(&self) -> Option<MainThread>;

    /// Frees the raw communicator of a group, if there is one: all its members do so, in
    /// the order in which the controller says it.
    fn free_group(&mut self, members: &[Rank]);
}

/// The room of a fresh buffer: a batch of small messages fits.
const FRAME_BYTES: usize = 2 << 10;

/// Whether something is on its way.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Flow {
    /// All sends are complete and nothing is half received.
    Still,
    /// Something needs further calls to get on.
    #[cfg_attr(not(feature = "mpi"), allow(dead_code, reason = "only MPI does"))]
    Moving,
}

/// For a rank to which something may come without a ring.
#[cfg_attr(not(feature = "mpi"), allow(dead_code, reason = "only MPI brings things silently"))]
const NAP_MAX_UNHEARD: Duration = Duration::from_millis(1);

/// For a rank for which all others ring. Nothing should ever wait for this; it bounds
/// what a ring that came too early could cost, and how late what depends on time alone is
/// noticed.
const NAP_MAX_RUNG: Duration = Duration::from_millis(100);
