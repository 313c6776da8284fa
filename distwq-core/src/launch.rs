//! From a program's `main` to a cluster and back: finds out how the process was started,
//! brings the ranks together, runs the body on one of them, and ends them all in order.

mod body;
mod exit;
mod launcher;
mod loss;

use crate::api::callbacks::Owner as _;
use crate::api::cluster::{Cluster, Finish};
use crate::config::{self, Config};
use crate::function::fingerprint::Fingerprint;
use crate::function::registry::Registry;
use crate::id::Rank;
use crate::machine::Ns;
use crate::machine::controller::{Awaited, WorkerState};
use crate::panics;
use crate::runtime::clock::now_ns;
use crate::runtime::driver::{Attention, Driver, Engine as _, Patience};
use crate::runtime::fault;
use crate::runtime::handshake::{self, HandshakeError};
use crate::runtime::interrupts::Interrupts;
use crate::runtime::observer;
use crate::runtime::{self, ControllerEngine, WorkerEngine};
use crate::task::current;
use crate::task::recipe::Recipe;
use crate::transport::{Network, Transport};
use crate::wire::message::Welcome;
use body::Body;
pub use body::BodyResult;
use exit::exit_all;
use launcher::Launcher;
use loss::{watch_controller, watch_workers};
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Once};
use std::thread;
use std::time::{Duration, Instant};

/// The exit code of a program whose settings cannot be.
const MISUSED: u8 = 2;

/// Runs a program: every rank calls it, one becomes the controller and runs `body`, the
/// others serve until the body has returned and all tasks have ended. `#[distwq::main]`
/// is sugar for it.
///
/// Without an MPI launcher, or with a single rank, the local backend runs the tasks on
/// threads of this process. Settings of the environment win over `config`.
///
/// # Exit codes
/// 0 if all went well; 1 if the body returned an error or panicked, or if a state could
/// not be [made](Config::init), or could not be [finished](Config::finish) and nobody
/// has [asked](Cluster::finish) for that; 2 if the settings cannot be; 70 if the run
/// had to be ended. If the body calls `process::exit`, its code: at once, without a
/// word, and whatever runs. This is what the process of the controller ends with, and
/// so the launcher; the other ranks end with 0 if they have heard of the end.
///
/// # Examples
/// ```
/// use distwq::prelude::*;
/// use std::process::ExitCode;
///
/// #[remote]
/// fn double(x: i64) -> i64 {
///     2 * x
/// }
///
/// fn main() -> ExitCode {
///     // Runs on every rank.
///     let config = Config::new().slots(2);
///     distwq::launch(config, |cluster| -> Result<(), Box<dyn std::error::Error>> {
///         // Runs on the controller alone, so a wrong argument is told once.
///         let x = std::env::args().nth(1).map_or(Ok(21), |text| text.parse::<i64>())?;
///         assert_eq!(cluster.submit(double::call(x)).get()?, 2 * x);
///         Ok(())
///     })
/// }
/// ```
pub fn launch<R: BodyResult>(config: Config<impl Sized, impl Sized>, body: impl FnOnce(&Cluster) -> R) -> ExitCode {
    let launched_ns = now_ns();
    let config = match config.untyped().with_environment() {
        Ok(config) => config,
        Err(error) => return misused(&error.to_string()),
    };
    match Launcher::of_this_process() {
        Launcher::None => local(&config, launched_ns, Overdue::EndTheRun, body)
            .map_or_else(|text| misused(&text), |end| end.body.code()),
        #[cfg(feature = "mpi")]
        Launcher::Ranks => over_mpi(&config, launched_ns, body),
        #[cfg(not(feature = "mpi"))]
        Launcher::Ranks => misused(
            "this program was started by an MPI launcher with several ranks, but built without MPI, so each rank would \
             run all of it; build it with `--features mpi`, or start it without the launcher",
        ),
    }
}

fn misused(text: &str) -> ExitCode {
    fault::say(text);
    ExitCode::from(MISUSED)
}

/// Runs a body on the local backend and gives its result; a panic of the body goes on
/// after the workers have ended.
///
/// # Errors
/// What the body returned, or why it could not run, or which workers did not end within
/// the shutdown grace: these are left to themselves, with what they run.
pub fn run_local<R: BodyResult>(config: Config, body: impl FnOnce(&Cluster) -> R) -> Result<(), String> {
    let config = config.with_environment().map_err(|error| error.to_string())?;
    let End { body, left } = local(&config, now_ns(), Overdue::TellOfThem, body)?;
    match (body, left) {
        (Body::Panicked(payload), left) => {
            left.iter().for_each(|text| fault::say(text));
            std::panic::resume_unwind(payload)
        }
        (Body::Returned(Err(error)), Some(left)) => Err(format!("{error}; {left}")),
        (Body::Returned(result), left) => result.and(left.map_or(Ok(()), Err)),
    }
}

/// How the ranks of this process were started.
#[derive(Clone, Copy)]
struct Launch {
    /// When `launch` was called.
    launched_ns: Ns,
    /// How long the ranks wait for each other.
    limit: Duration,
    threads_on_host: usize,
    /// Whether the rank is a process of its own.
    is_process: bool,
}

/// How a run ended.
struct End {
    body: Body,
    /// Words on workers that did not end with it, where the run went on without them.
    left: Option<String>,
}

/// What to do when workers do not end within the shutdown grace.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Overdue {
    /// It is the run of a whole program: ends all of its ranks.
    EndTheRun,
    /// Other things go on in this process.
    TellOfThem,
}

fn local<R: BodyResult>(
    config: &Config,
    launched_ns: Ns,
    overdue: Overdue,
    body: impl FnOnce(&Cluster) -> R,
) -> Result<End, String> {
    let workers = config.workers.unwrap_or_else(|| thread::available_parallelism().map_or(1, usize::from));
    let registry = Registry::get().map_err(|error| error.to_string())?;
    let mut ends = Network::ends(workers as u32 + 1);
    let mut own: Box<dyn Transport> = Box::new(ends.remove(0));
    let config = Config { slots: 1, ..config.clone() };
    observer::run_starts("local", own.ranks(), config.slots);
    fault::arm(None);
    panics::install_hook();
    let limit = config.handshake_limit;
    let launch = Launch { launched_ns, limit, threads_on_host: workers + 1, is_process: false };
    let started = ends.into_iter().map(|end| {
        let recipe = Recipe::of(&config).cloned();
        let work = move || work(Box::new(end), Rank(0), registry, recipe, launch);
        thread::Builder::new().name("distwq-worker".to_owned()).spawn(work)
    });
    let ranks = match started.collect::<Result<Vec<_>, _>>() {
        Ok(ranks) => ranks,
        // The workers that are there would wait for the handshake.
        Err(error) => fault::end_run(&mut *own, &fault::no_thread("of a worker", &error)),
    };
    let end = control(own, &config, registry, launch, overdue, body);
    fault::disarm();
    if let Ok(End { left: None, .. }) = end {
        // All have joined in the end, and do nothing but return.
        for rank in ranks {
            if let Err(payload) = rank.join() {
                std::panic::resume_unwind(payload);
            }
        }
    }
    end
}

/// One rank of several: the exit code of the controller's process is that of the run, and
/// the others end with 0 when they have ended with it.
///
/// Where all ended with another code than 0 at once, the launcher of Open MPI 5 would
/// hang now and then: see docs/decisions/0025-exit-codes.md.
#[cfg(feature = "mpi")]
fn over_mpi<R: BodyResult>(config: &Config, launched_ns: Ns, body: impl FnOnce(&Cluster) -> R) -> ExitCode {
    use crate::transport::{Environment, StartError};

    let waits = "waits for the other ranks: does each of them reach distwq::launch? The handshake limit";
    let registry = match Registry::get() {
        Ok(registry) => registry,
        Err(error) => return misused(&error.to_string()),
    };
    let started = within(config.handshake_limit, waits, || Environment::start(config));
    let mut environment = match started {
        Ok(environment) => environment,
        Err(StartError { is_told_elsewhere: true, .. }) => return ExitCode::SUCCESS,
        Err(StartError { error, .. }) => return misused(&error.to_string()),
    };
    let threads_on_host = environment.ranks_on_host() * (config.slots as usize);
    let launch = Launch { launched_ns, limit: config.handshake_limit, threads_on_host, is_process: true };
    let controller = environment.controller();
    let transport = environment.transport();
    fault::arm(Some(transport.rank()));
    panics::install_hook();
    let end = if transport.rank() == controller {
        observer::run_starts("mpi", transport.ranks(), config.slots);
        control(Box::new(transport), config, registry, launch, Overdue::EndTheRun, body).map(|end| end.body.code())
    } else {
        // That a run has failed is told by the controller, by its exit code too.
        let recipe = Recipe::of(config).cloned();
        // The controller, which is told as a rule as well, decides what follows.
        let _interrupts = config.handle_signals.then(|| Interrupts::handle(|_| ()));
        let work = move || work(Box::new(transport), controller, registry, recipe, launch);
        let end = environment
            .serve_while(work)
            .unwrap_or_else(|error| fault::end_process(&fault::no_thread("of the worker", &error)));
        end.map(|()| ExitCode::SUCCESS)
    };
    fault::disarm();
    let waits = "waits for the other ranks in the end of MPI: the shutdown grace";
    within(config.shutdown_grace, waits, || drop(environment));
    end.unwrap_or_else(|text| misused(&text))
}

/// Starts or ends MPI, which waits for all ranks in calls that have no end of their own:
/// past the limit this process ends, and with it the run.
#[cfg(feature = "mpi")]
fn within<R>(limit: Duration, waits: &str, call: impl FnOnce() -> R) -> R {
    let (done, waiting) = std::sync::mpsc::channel::<()>();
    thread::scope(|scope| {
        scope.spawn(move || {
            if let Err(std::sync::mpsc::RecvTimeoutError::Timeout) = waiting.recv_timeout(limit) {
                let (process, host, limit_ms) = (std::process::id(), fault::host(), limit.as_millis());
                fault::say(&format!("process {process} (host {host}) {waits} of {limit_ms} ms ends the run"));
                fault::exit_at_once(fault::EXIT_CODE);
            }
        });
        let result = call();
        drop(done);
        result
    })
}

/// The controller's rank, from the handshake to the end of all ranks.
fn control<R: BodyResult>(
    mut transport: Box<dyn Transport>,
    config: &Config,
    registry: &'static Registry,
    launch: Launch,
    overdue: Overdue,
    body: impl FnOnce(&Cluster) -> R,
) -> Result<End, String> {
    static SESSIONS: AtomicU64 = AtomicU64::new(1);
    static VARIABLES_READ: Once = Once::new();
    VARIABLES_READ.call_once(|| config::unknown_variables().for_each(|text| fault::say(&text)));
    let session = SESSIONS.fetch_add(1, Ordering::Relaxed);
    let settings = config.settings();
    let own = Fingerprint::of(registry);
    let hellos = handshake::gather(&mut *transport, &own, settings, launch.limit).map_err(|error| {
        if let HandshakeError::Silent { .. } = error {
            // Who has not reported would never end by itself.
            fault::end_run(&mut *transport, &error.to_string());
        }
        observer::handshake_failed(transport.rank(), &error);
        error.to_string()
    })?;
    observer::handshake_done(hellos.len());
    let processes: Vec<_> = hellos.iter().map(|(rank, hello)| (*rank, hello.process.clone())).collect();
    let workers = hellos.into_iter().map(|(rank, hello)| WorkerState::new(rank, hello.host)).collect();
    let bell = transport.bell();
    let engine = ControllerEngine::new(transport, registry, workers, settings, launch.launched_ns);
    let driver = Driver::new(engine, bell, Patience::among(launch.threads_on_host));
    let final_type = Recipe::of(config).and_then(|recipe| recipe.final_type);
    let states_end = Finish { limit: config.finish_limit, final_type };
    let cluster = Cluster::new(driver, session, config, states_end);
    let inner = Arc::clone(cluster.inner());
    let is_process = overdue == Overdue::EndTheRun && fault::is_one_of_several();
    let watch = is_process.then(|| {
        let exits = Arc::clone(&inner);
        fault::allow_exits(move |code| exit_all(&exits.driver, code));
        watch_workers(processes, Arc::downgrade(&inner))
    });
    let is_program = overdue == Overdue::EndTheRun;
    let interrupts = (is_program && config.handle_signals).then(|| {
        let inner = Arc::downgrade(&inner);
        Interrupts::handle(move |signal| {
            fault::say(&format!(
                "{signal} has come: all tasks are cancelled, also those that come later; a second signal ends the run \
                 at once"
            ));
            if let Some(inner) = inner.upgrade() {
                inner.driver.with(ControllerEngine::interrupt);
            }
        })
    });
    // A task may run a cluster of its own: within that one's body it is no task.
    let outer = current::task();
    current::set(None);
    let end = thread::scope(|scope| {
        let watcher = thread::Builder::new().name("distwq-controller-watcher".to_owned());
        if let Err(error) = watcher.spawn_scoped(scope, || inner.driver.watch(Attention::Prompt, config.stack_bytes)) {
            let text = fault::no_thread("that watches the controller", &error);
            inner.driver.with(|engine| fault::end_run(&mut *engine.transport, &text));
        }
        if config.recipe.is_some() {
            wait_for_states(&inner.driver, config.init_limit);
        }
        if let Some(limit) = config.time_limit {
            inner.driver.with(|engine| engine.limit_time(limit));
        }
        let mut body = Body::run(|| body(&cluster));
        if is_process {
            fault::yield_to_exit();
        }
        match &body {
            Body::Returned(Ok(())) => cluster.shutdown(),
            // Told before the other ranks hear of it: their end makes launchers end this
            // one.
            Body::Returned(Err(text)) => fault::say(text),
            Body::Panicked(_) => fault::say("the body panicked"),
        }
        let leaves_behind = inner.driver.with(|engine| engine.machine().leaves_behind());
        if let Some(text) = inner.driver.with(|engine| engine.machine().init_failure().map(str::to_owned)) {
            fault::say(&text);
            body.fail(text);
        }
        if is_process {
            if leaves_behind {
                inner.await_callbacks();
                // The exit ends the other ranks, whatever they run.
                observer::run_ends(body.why(), true, || inner.driver.with(|engine| engine.stats()));
                std::process::exit(i32::from(body.exit_code()));
            }
            fault::forbid_exits();
        }
        let left = if leaves_behind {
            Some(leave(&inner.driver, body.is_failure()))
        } else {
            finish(&inner.driver, body.is_failure(), config.shutdown_grace, overdue)
        };
        if let Some(text) = inner.driver.with(|engine| engine.machine().finish_failure().map(str::to_owned)) {
            // Its rank has told it.
            body.fail(text);
        }
        inner.await_callbacks();
        inner.driver.end_watch();
        drop((watch, interrupts));
        End { body, left }
    });
    let why = end.left.as_deref().unwrap_or_else(|| end.body.why());
    let has_failed = end.body.is_failure() || end.left.is_some();
    observer::run_ends(why, has_failed, || inner.driver.with(|engine| engine.stats()));
    current::set(outer);
    Ok(end)
}

/// Waits until the states of all slots are made, or one could not be. Past the limit that
/// counts as failed.
fn wait_for_states(driver: &Driver<ControllerEngine>, limit: Duration) {
    let deadline = Instant::now() + limit;
    let made =
        driver.wait_until(Awaited::States, Some(deadline), |engine| engine.machine().are_states_made().then_some(()));
    if made.is_none() {
        driver.with(|engine| engine.states_overdue(limit));
    }
}

/// Tells all workers to stop and waits until all ranks have joined in the end. Gives
/// words on those that have not within the grace, if the run is to go on without them.
fn finish(driver: &Driver<ControllerEngine>, failed: bool, grace: Duration, overdue: Overdue) -> Option<String> {
    driver.with(|engine| engine.stop(failed));
    driver.wake_all();
    let deadline = Instant::now() + grace;
    let closed = driver.wait_until(Awaited::Closed, Some(deadline), |engine| {
        engine.turn(now_ns());
        // How their states have ended may come after all have joined, if this rank does
        // before.
        let has_joined = !engine.machine().has_unended_states() && engine.transport.close();
        has_joined.then(|| engine.close())
    });
    if closed.is_some() {
        return None;
    }
    let grace_ms = grace.as_millis();
    driver.with(|engine| {
        let text = format!(
            "not all workers ended within the shutdown grace of {grace_ms} ms; {}",
            engine.machine().who_is_busy()
        );
        if overdue == Overdue::EndTheRun {
            fault::end_run(&mut *engine.transport, &text);
        }
        // Those that are late find all others there.
        engine.transport.close();
        engine.close();
        Some(text)
    })
}

/// Tells all workers to stop, and waits for none of them: some run tasks that were left
/// behind. Gives words on these.
fn leave(driver: &Driver<ControllerEngine>, failed: bool) -> String {
    let tasks = driver.with(|engine| {
        engine.stop(failed);
        engine.close();
        engine.machine().what_still_runs()
    });
    driver.wake_all();
    format!("cancelled tasks were left behind: {tasks}")
}

/// A worker's rank, from the handshake to the end.
fn work(
    mut transport: Box<dyn Transport>,
    controller: Rank,
    registry: &'static Registry,
    recipe: Option<Recipe>,
    launch: Launch,
) -> Result<(), String> {
    let Launch { launched_ns, limit, threads_on_host, is_process } = launch;
    let own = Fingerprint::of(registry);
    let Welcome { settings, controller_process } = match handshake::report(&mut *transport, controller, own, limit) {
        Ok(welcome) => welcome,
        // The controller ends the run.
        Err(error @ HandshakeError::Refused { .. }) => {
            fault::say(&error.to_string());
            observer::handshake_failed(transport.rank(), &error);
            return Ok(());
        }
        // A thread of the controller's process need not end that: it hears of the
        // controller's own error.
        Err(error @ HandshakeError::Silent { .. }) if is_process => fault::end_run(&mut *transport, &error.to_string()),
        Err(error) => return Err(error.to_string()),
    };
    let watch = controller_process.map(|process| watch_controller(controller, process));
    let (bell, rank) = (transport.bell(), transport.rank());
    observer::worker_starts(rank, settings.slots);
    let engine = WorkerEngine::new(transport, controller, registry, &settings, launched_ns);
    let driver = Arc::new(Driver::new(engine, bell, Patience::among(threads_on_host)));
    runtime::serve(&driver, controller, &settings, recipe.as_ref(), is_process);
    drop(watch);
    observer::worker_ends(rank);
    Ok(())
}
