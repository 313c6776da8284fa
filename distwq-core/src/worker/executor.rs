//! The life of a worker rank: its executors, its watcher, the end.

use super::attempt::{Attempt, Next};
use super::engine::{Awaited, WorkerEngine};
use crate::clock::now_ns;
use crate::codec::Payload;
#[cfg(feature = "mpi")]
use crate::contain;
use crate::current::{self, Description};
use crate::drive::{Attention, Drive, Engine as _};
use crate::fault;
use crate::group::{Group, GroupError, Link};
use crate::id::GroupKey;
use crate::message::Settings;
#[cfg(feature = "mpi")]
use crate::transport::RawCommunicator;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Runs the tasks that come until the run is over.
///
/// A rank that is a process of its own ends the run if the others do not join in the end.
pub(crate) fn serve(drive: &Arc<Drive<WorkerEngine>>, settings: &Settings, is_process: bool) {
    let name = drive.with(|engine| format!("distwq-{}", engine.transport.rank()));
    let stack = settings.stack_bytes as usize;
    let thread = |kind: &str| std::thread::Builder::new().name(format!("{name}-{kind}"));
    std::thread::scope(|scope| {
        let watcher = thread("watcher").spawn_scoped(scope, || drive.watch(Attention::Sparing, stack));
        let executors: Vec<_> = (0..settings.slots)
            .map(|slot| {
                thread(&format!("slot-{slot}")).stack_size(stack).spawn_scoped(scope, move || execute(drive, slot))
            })
            .collect();
        for executor in executors {
            match executor.map(std::thread::ScopedJoinHandle::join) {
                Ok(Ok(())) => {}
                Ok(Err(_)) => give_up(drive, "an executor panicked outside a task"),
                Err(error) => give_up(drive, &fault::no_thread("of an executor", &error)),
            }
        }
        drive.end_watch();
        if let Err(error) = watcher {
            give_up(drive, &fault::no_thread("that watches the rank", &error));
        }
    });
    std::thread::scope(|scope| {
        // What users have left here goes on a stack as large as that of tasks.
        let end = thread("end").stack_size(stack).spawn_scoped(scope, || drive.end(WorkerEngine::at_end));
        if let Err(error) = end {
            give_up(drive, &fault::no_thread("that drops the last values", &error));
        }
    });
    let closed = close(drive, Duration::from_millis(settings.shutdown_grace_ms));
    if !closed && is_process {
        give_up(drive, "the other ranks did not end within the shutdown grace");
    }
}

fn give_up(drive: &Drive<WorkerEngine>, text: &str) -> ! {
    drive.with(|engine| fault::end_run(&mut *engine.transport, text))
}

/// The controller knows who is busy, and is to be the first to say so.
const CONTROLLER_FIRST: Duration = Duration::from_millis(500);

/// Joins the other ranks in the end of the run, serving them meanwhile. False if some did not come within the grace.
fn close(drive: &Drive<WorkerEngine>, grace: Duration) -> bool {
    let deadline = Instant::now() + grace + CONTROLLER_FIRST;
    let closed = drive.wait_until(Awaited::Closed, Some(deadline), |engine| {
        engine.turn();
        engine.transport.close().then_some(())
    });
    closed.is_some()
}

/// One executor: takes tasks and runs them on this thread, until the run is over.
fn execute(drive: &Arc<Drive<WorkerEngine>>, slot: u32) {
    let mut attempt = Attempt::NONE;
    let (rank, slots) = drive.with(|engine| (engine.transport.rank(), Arc::clone(&engine.slots)));
    current::set_rank(rank);
    // Whether it has ended and the engine does not know yet.
    let mut has_ended = false;
    loop {
        let now = if has_ended { attempt.ended_ns() } else { now_ns() };
        let mut first_look = true;
        // Straight after another task the clock need not be read: this one begins when that has ended, or when the turn
        // was taken that came in between.
        let mut straight_ns = None;
        let mut description = None;
        let next = drive.wait(Awaited::Task, |engine| {
            if std::mem::take(&mut has_ended) {
                engine.ended(&mut attempt);
            }
            // Only the first look may put off a turn, by the time at which the last task ended; after it the
            // driver takes them.
            let first = std::mem::take(&mut first_look);
            let next = engine.next_ready(if first { now } else { 0 }, &mut attempt.ready);
            straight_ns = first.then(|| now.max(engine.turned_ns()));
            if next == Some(Next::Run) {
                description = engine.descriptions.take(attempt.ready.task.id);
            }
            next
        });
        if next == Next::Stop {
            return;
        }
        attempt.started_ns = straight_ns.unwrap_or_else(now_ns);
        let Attempt { ready, output, started_ns, .. } = &mut attempt;
        slots.begin(slot, ready.task.id, *started_ns);
        if let Some(description) = &description {
            current::describe(**description);
        }
        attempt.failure = match ready.epoch {
            None => ready.task.run(None, output),
            Some(epoch) => ready.task.run(Some(&group_of(drive, epoch)), output),
        };
        slots.end(slot);
        if description.is_some() {
            current::describe(Description::NONE);
        }
        attempt.ran_ns = now_ns().saturating_sub(attempt.started_ns);
        has_ended = true;
    }
}

/// The group of a task, as its function sees it.
fn group_of(drive: &Arc<Drive<WorkerEngine>>, epoch: u64) -> Group {
    drive.with(|engine| {
        let membership = engine.membership(epoch);
        let link = Member { drive: Arc::clone(drive), epoch };
        Group::new(Box::new(link), membership.index, membership.members.len())
    })
}

/// A member that waits for this long says so, so that a circle of waits is found.
const WAIT_TOLD_FIRST: Duration = Duration::from_millis(200);
/// It says so again from time to time, as others may have left meanwhile.
const WAIT_TOLD_AGAIN: Duration = Duration::from_secs(1);

/// How a group reaches the other members: through the engine of this rank, which goes on serving meanwhile.
struct Member {
    drive: Arc<Drive<WorkerEngine>>,
    epoch: u64,
}

impl Link for Member {
    fn send(&self, to: usize, key: GroupKey, bytes: Payload) -> Result<(), GroupError> {
        self.drive.with(|engine| engine.send_in_group(self.epoch, to, key, &bytes))
    }

    /// Ends with the message, or with an error once the member has left, any member has failed, all members wait for
    /// each other, or the run ends.
    fn receive(&self, from: usize, key: GroupKey) -> Result<Payload, GroupError> {
        let mut patience = WAIT_TOLD_FIRST;
        loop {
            let deadline = Instant::now() + patience;
            let awaited = Awaited::Group(self.epoch);
            let taken =
                self.drive.wait_until(awaited, Some(deadline), |engine| engine.take_in_group(self.epoch, from, key));
            if let Some(taken) = taken {
                return taken;
            }
            self.drive.with(|engine| engine.waits_in_group(self.epoch, from, key));
            patience = WAIT_TOLD_AGAIN;
        }
    }

    #[cfg(feature = "mpi")]
    fn has_raw(&self) -> bool {
        self.drive.with(|engine| engine.transport.main_thread().is_some())
    }

    /// The lock is held on the thread that started MPI; this one waits for it and holds nothing.
    #[cfg(feature = "mpi")]
    fn raw(&self, action: &mut (dyn FnMut(&RawCommunicator) + Send)) -> Result<(), GroupError> {
        let main = self.drive.with(|engine| engine.transport.main_thread()).ok_or(GroupError::NotMpi)?;
        let (task, description) = (current::task(), current::description());
        let mut result = Ok(Ok(()));
        let ran = main.run(&mut || {
            current::describe(description);
            current::set(task);
            result = contain::panics(|| self.drive.with(|engine| in_raw_mpi(engine, self.epoch, action)));
            current::set(None);
            current::describe(Description::NONE);
        });
        match result {
            Ok(_) if !ran => Err(GroupError::Closed("with_mpi")),
            Ok(result) => result,
            Err(panic) => std::panic::resume_unwind(Box::new(panic)),
        }
    }
}

/// Runs `action` with the raw communicator of a group. All its members are about to do the same, unless one of them has
/// failed meanwhile.
#[cfg(feature = "mpi")]
fn in_raw_mpi(
    engine: &mut WorkerEngine,
    epoch: u64,
    action: &mut (dyn FnMut(&RawCommunicator) + Send),
) -> Result<(), GroupError> {
    let membership = engine.membership(epoch);
    if let Some(error) = membership.failure() {
        return Err(error.clone());
    }
    membership.raw = true;
    let members = membership.members.clone();
    let communicator = engine.transport.raw_group(&members).ok_or(GroupError::NotMpi)?;
    action(&communicator);
    Ok(())
}
