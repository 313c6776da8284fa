//! The life of a worker rank: its executors, its watcher, the end.

mod items;

use super::clock::now_ns;
use super::driver::{Attention, Driver, Engine as _};
use super::observer;
use super::worker::WorkerEngine;
use crate::codec::{Payload, PayloadWriter};
use crate::config::Settings;
use crate::function::registry::Body;
use crate::function::remote::{Failure, Invocation};
use crate::id::{GroupKey, Rank, Slot};
use crate::machine::worker::{Attempt, Awaited, Next, Task};
use crate::panics;
use crate::runtime::fault;
use crate::task::context::{self, SlotSite};
use crate::task::current;
#[cfg(feature = "mpi")]
use crate::task::current::Description;
use crate::task::group::{Group, GroupError, Link};
use crate::task::keeper::Keeper;
use crate::task::recipe::Recipe;
#[cfg(feature = "mpi")]
use crate::transport::RawCommunicator;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Runs the tasks that come until the run is over.
///
/// A rank that is a process of its own ends the run if the others do not join in the end.
pub(crate) fn serve(
    driver: &Arc<Driver<WorkerEngine>>,
    controller: Rank,
    settings: &Settings,
    recipe: Option<&Recipe>,
    is_process: bool,
) {
    let rank = driver.with(|engine| engine.transport.rank());
    // The controller counts the other ranks in their order.
    let worker = rank.index() - usize::from(rank > controller);
    let host = fault::host();
    let site = |slot| SlotSite::new((worker, rank, host.clone()), slot, settings.seed);
    let states = settings.has_states.then_some(recipe);
    let name = format!("distwq-{rank}");
    let stack = settings.stack_bytes;
    let thread = |kind: &str| std::thread::Builder::new().name(format!("{name}-{kind}"));
    std::thread::scope(|scope| {
        let watcher = thread("watcher").spawn_scoped(scope, || driver.watch(Attention::Sparing, stack));
        let executors: Vec<_> = (0..settings.slots)
            .map(Slot)
            .map(|slot| {
                let name = format!("slot-{}", slot.0);
                thread(&name)
                    .stack_size(stack)
                    .spawn_scoped(scope, move || execute(driver, site(slot), states, is_process))
            })
            .collect();
        for executor in executors {
            match executor.map(std::thread::ScopedJoinHandle::join) {
                Ok(Ok(())) => {}
                Ok(Err(_)) => give_up(driver, "an executor panicked outside a task"),
                Err(error) => give_up(driver, &fault::no_thread("of an executor", &error)),
            }
        }
        driver.end_watch();
        if let Err(error) = watcher {
            give_up(driver, &fault::no_thread("that watches the rank", &error));
        }
    });
    std::thread::scope(|scope| {
        // What users have left here goes on a stack as large as that of tasks.
        let end = thread("end").stack_size(stack).spawn_scoped(scope, || driver.end(WorkerEngine::finish));
        if let Err(error) = end {
            give_up(driver, &fault::no_thread("that drops the last values", &error));
        }
    });
    let closed = close(driver, Duration::from_nanos(settings.shutdown_grace_ns));
    if !closed && is_process {
        give_up(driver, "the other ranks did not end within the shutdown grace");
    }
}

fn give_up(driver: &Driver<WorkerEngine>, text: &str) -> ! {
    driver.with(|engine| fault::end_run(&mut *engine.transport, text))
}

/// The controller knows who is busy, and is to be the first to say so.
const CONTROLLER_FIRST: Duration = Duration::from_millis(500);

/// Joins the other ranks in the end of the run, serving them meanwhile. False if some did
/// not come within the grace.
fn close(driver: &Driver<WorkerEngine>, grace: Duration) -> bool {
    let deadline = Instant::now() + grace + CONTROLLER_FIRST;
    let closed = driver.wait_until(Awaited::Closed, Some(deadline), |engine| {
        engine.turn(now_ns());
        engine.transport.close().then_some(())
    });
    closed.is_some()
}

/// One executor: takes tasks and runs them on this thread, until the run is over.
///
/// If the slots have states, it makes that of its own first, by the recipe that this rank
/// has; in the end it lets it go.
fn execute(driver: &Arc<Driver<WorkerEngine>>, site: SlotSite, states: Option<Option<&Recipe>>, is_process: bool) {
    let mut attempt = Attempt::NONE;
    let slot = site.slot;
    let ((cancel_flag, mark), lines) = driver.with(|engine| (engine.signals(slot), engine.lines()));
    current::set_cancel_flag(cancel_flag);
    current::set_mark(mark);
    // In the controller's process its subscriber hears them here.
    let travels = is_process || !observer::has_subscriber();
    let _forwarded = lines.filter(|_| travels).map(|(lines, level)| observer::forward(lines, level));
    let site = context::enter(site);
    let mut keeper = states.and_then(|recipe| keeper_of(driver, &site, recipe));
    // Whether it has ended and the engine does not know yet.
    let mut has_ended = false;
    loop {
        let now = if has_ended { attempt.ended_ns() } else { now_ns() };
        // Only the first look may put off a turn, by the time at which the last task
        // ended; after it the driver takes them.
        let mut first_look = Some(now);
        let next = driver.wait(Awaited::Task, |engine| {
            if std::mem::take(&mut has_ended) {
                engine.ended(slot, &mut attempt);
            }
            engine.next(slot, first_look.take(), &mut attempt)
        });
        match next {
            Next::Begin => {}
            Next::Finish => {
                // No task comes any more.
                let finals = keeper.take().as_mut().map_or_else(Vec::new, Keeper::finish);
                driver.with(|engine| engine.state_ended(slot, finals));
                continue;
            }
            Next::Stop => break,
        }
        let items = attempt.description.as_ref().and_then(|described| described.items);
        attempt.gives_outcomes = items.is_some_and(|items| items.give_outcomes());
        let described = attempt.description.as_deref().map(|described| site.describe(described));
        let (task, epoch, output) = attempt.parts();
        let group = epoch.map(|epoch| group_of(driver, epoch));
        attempt.failure = match items {
            Some(items) if items.count > 1 => {
                let ran = items::run(task, items, &site, output, keeper.as_mut());
                attempt.items = Some(ran.items);
                ran.failure
            }
            _ => {
                if let Some(items) = items {
                    current::set_item(Some(items.item(0)));
                }
                run(task, group.as_ref(), output, keeper.as_mut())
            }
        };
        if described.is_some() {
            current::set_item(None);
            site.undescribe();
        }
        attempt.ran_ns = now_ns().saturating_sub(attempt.started_ns);
        has_ended = true;
        if let Some(keeper) = &mut keeper {
            attempt.init_ns = keeper.take_renewed_ns();
            if let Some(failure) = keeper.take_news() {
                driver.with(|engine| engine.state_lost(failure));
            }
        }
    }
    // What nobody has asked for.
    let finals = keeper.as_mut().map_or_else(Vec::new, Keeper::finish);
    for error in finals.into_iter().filter_map(Result::err) {
        fault::say(&format!("{} (host {}), slot {}: {error}", site.rank, site.host, slot.0));
        driver.with(|engine| engine.state_not_finished(error));
    }
}

/// Makes the state of a slot, and tells the engine. None if this rank knows of no states,
/// unlike the controller.
fn keeper_of(driver: &Arc<Driver<WorkerEngine>>, site: &Rc<SlotSite>, recipe: Option<&Recipe>) -> Option<Keeper> {
    let mut keeper = recipe.map(|recipe| {
        let (driver, slot) = (Arc::clone(driver), site.slot);
        Keeper::new(recipe.clone(), Rc::clone(site), move |by| driver.with(|engine| engine.renews(slot, by)))
    });
    let begun = now_ns();
    let failure = match &mut keeper {
        Some(keeper) => keeper.init().err(),
        None => Some("the config of this rank has no `init`, but that of the controller has".to_owned()),
    };
    let took_ns = now_ns() - begun;
    driver.with(|engine| engine.state_made(failure, took_ns));
    keeper
}

/// Runs the function of a task: on the calling thread, with its panics contained. Writes
/// the encoded output, or gives why there is none. The arguments are dropped here too.
fn run(
    task: &mut Task,
    group: Option<&Group>,
    output: &mut PayloadWriter,
    keeper: Option<&mut Keeper>,
) -> Option<Box<Failure>> {
    let remote = task.remote.expect("a task that runs has a function");
    output.clear();
    current::set(Some((task.id, remote.path)));
    let result = panics::caught(|| {
        if let Some(keeper) = keeper {
            keeper.prepare().map_err(Failure::Init)?;
        }
        let mut invocation = Invocation::new(task.plain.as_slice(), &task.inputs, output);
        observer::in_attempt(|| match (remote.body, group) {
            (Body::Single(run), _) => run(&mut invocation),
            (Body::Collective(run), Some(group)) => run(group, &mut invocation),
            (Body::Collective(_), None) => unreachable!("a collective task has a group"),
        })
    });
    task.plain.unshare();
    if !task.inputs.is_empty() {
        // What the task held may be the last of a shared value, whose Drop is the user's.
        let inputs = std::mem::take(&mut task.inputs);
        panics::discarded(move || drop(inputs));
    }
    current::set(None);
    let failure = match result {
        Ok(Ok(())) => return None,
        Ok(Err(failure)) => failure,
        Err(message) => Failure::Panicked(message),
    };
    // It may have been written in part.
    output.clear();
    Some(Box::new(failure))
}

/// The group of a task, as its function sees it.
fn group_of(driver: &Arc<Driver<WorkerEngine>>, epoch: u64) -> Group {
    let (member, members) = driver.with(|engine| engine.index_in_group(epoch));
    let link = Member { driver: Arc::clone(driver), epoch };
    Group::new(Box::new(link), member, members)
}

/// How a group reaches the other members: through the engine of this rank, which goes on
/// serving meanwhile.
struct Member {
    driver: Arc<Driver<WorkerEngine>>,
    epoch: u64,
}

impl Link for Member {
    fn send(&self, to: usize, key: GroupKey, bytes: Payload) -> Result<(), GroupError> {
        self.driver.with(|engine| engine.send_in_group(self.epoch, to, key, &bytes))
    }

    /// Ends with the message, or with an error once the member has left, any member has
    /// failed, all members wait for each other, or the run ends.
    fn receive(&self, from: usize, key: GroupKey) -> Result<Payload, GroupError> {
        self.driver.wait(Awaited::Group(self.epoch), |engine| engine.take_in_group(self.epoch, from, key))
    }

    #[cfg(feature = "mpi")]
    fn has_raw(&self) -> bool {
        self.driver.with(|engine| engine.transport.main_thread().is_some())
    }

    /// The lock is held on the thread that started MPI; this one waits for it and holds
    /// nothing.
    #[cfg(feature = "mpi")]
    fn raw(&self, action: &mut (dyn FnMut(&RawCommunicator) + Send)) -> Result<(), GroupError> {
        let main = self.driver.with(|engine| engine.transport.main_thread()).ok_or(GroupError::NotMpi)?;
        let (task, description) = (current::task(), current::description());
        let subscribed = observer::Subscribed::of_this_thread();
        let mut result = Ok(Ok(()));
        let ran = main.run(&mut || {
            current::describe(description);
            current::set(task);
            result =
                panics::caught(|| subscribed.run(|| self.driver.with(|engine| in_raw_mpi(engine, self.epoch, action))));
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

/// Runs `action` with the raw communicator of a group. All its members are about to do
/// the same, unless one of them has failed meanwhile.
#[cfg(feature = "mpi")]
fn in_raw_mpi(
    engine: &mut WorkerEngine,
    epoch: u64,
    action: &mut (dyn FnMut(&RawCommunicator) + Send),
) -> Result<(), GroupError> {
    let members = engine.enter_raw(epoch)?;
    let communicator = engine.transport.raw_group(&members).ok_or(GroupError::NotMpi)?;
    action(&communicator);
    Ok(())
}
