//! A process that exits while a run goes on. A task that calls `process::exit` would
//! leave the others waiting, so it ends the run with a message. The body may exit: then
//! all ranks end, and nothing is said. The code of the run is that of its controller's
//! process; the others end with 0, see [`exit_with_others`].

use super::{ARMED, EXIT_CODE, exit_at_once, is_forked, rank_and_host, say};
use crate::task::current;
use crate::transport::Transport;
use parking_lot::Mutex;
use std::ffi::c_int;
use std::sync::atomic::Ordering;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

/// Ends the other ranks, by this code if they have to be aborted. What it returns to is
/// the end of this process.
type EndOthers = Box<dyn FnOnce(c_int) + Send>;

/// Who ends the run of this process.
enum End {
    /// This process is not that of a controller, or the run is over: nobody may exit.
    Nobody,
    /// The body goes on; whoever exits, ends the other ranks by this.
    Open(EndOthers),
    /// A thread exits and is at it.
    Exiting,
}

static END: Mutex<End> = Mutex::new(End::Nobody);

/// From here on a thread of this process that runs no task may exit; `end_others` makes
/// the other ranks follow.
pub(crate) fn allow_exits(end_others: impl FnOnce(c_int) + Send + 'static) {
    *END.lock() = End::Open(Box::new(end_others));
}

/// The run ends in order from here on. If a thread is exiting, that is the end, and this
/// does not return.
pub(crate) fn forbid_exits() {
    let before = {
        let mut end = END.lock();
        let after = if matches!(*end, End::Exiting) { End::Exiting } else { End::Nobody };
        std::mem::replace(&mut *end, after)
    };
    if let End::Exiting = before {
        await_exit();
    }
}

/// What a thread learns of a run may come from another one that exits: then this does not
/// return.
pub(crate) fn yield_to_exit() {
    let exiting = matches!(*END.lock(), End::Exiting);
    if exiting {
        await_exit();
    }
}

/// The exit of another thread is within bounds of its own, and ends this one.
fn await_exit() -> ! {
    loop {
        thread::park();
    }
}

/// Has [`at_exit`] called when the process exits.
#[allow(unsafe_code, reason = "registering for the exit is a C call")]
pub(super) fn register() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    {
        use std::ffi::c_void;

        unsafe extern "C" {
            /// Like `atexit`, and tells the code. An extension of glibc that the crate
            /// libc lacks.
            fn on_exit(function: extern "C" fn(c_int, *mut c_void), argument: *mut c_void) -> c_int;
        }
        extern "C" fn with_code(code: c_int, _argument: *mut c_void) {
            at_exit(code);
        }
        // SAFETY: the function lives as long as the program and ignores its argument;
        // what it does is sound on any thread while the process exits.
        unsafe {
            on_exit(with_code, std::ptr::null_mut());
        }
    }
    #[cfg(not(all(target_os = "linux", target_env = "gnu")))]
    {
        extern "C" fn without_code() {
            // Nobody tells the code here. It is needed in words only, and where the other
            // ranks have to be aborted.
            at_exit(0);
        }
        // SAFETY: as above.
        unsafe {
            libc::atexit(without_code);
        }
    }
}

fn at_exit(code: c_int) {
    if is_forked() || ARMED.swap(0, Ordering::SeqCst) == 0 {
        return;
    }
    if let Some(name) = current::name() {
        end_process(&format!(
            "{name} must return instead of calling `process::exit` (with {code}): an `Err` if it fails"
        ))
    }
    let open = std::mem::replace(&mut *END.lock(), End::Exiting);
    match open {
        End::Open(end_others) => end_others(code),
        End::Nobody | End::Exiting if is_one_of_several() => {
            end_process(&format!("process {} exits with {code} while the run goes on", std::process::id()))
        }
        // All ranks are threads of this process.
        End::Nobody | End::Exiting => {}
    }
}

/// Ends all ranks, without the engine of this one, and says why.
pub(crate) fn end_process(text: &str) -> ! {
    abort(EXIT_CODE, text)
}

/// The same with another exit code.
pub(crate) fn abort(code: c_int, text: &str) -> ! {
    ARMED.store(0, Ordering::SeqCst);
    let mut name = String::new();
    let _ = rank_and_host(&mut name);
    say(&format!("{name} ends the run: {text}"));
    #[cfg(feature = "mpi")]
    crate::transport::Environment::abort_if_running(code);
    exit_at_once(code)
}

/// The controller's process exits, and this one with it: it joins the others in leaving,
/// so that launchers have nothing to say, and then ends, whatever still runs on other
/// threads.
///
/// It ends with 0 whatever the code of the controller: launchers give that of the one
/// that differs, and the launcher of Open MPI 5 may hang if several ranks end with
/// another code than 0 at once.
pub(crate) fn exit_with_others(transport: &mut dyn Transport) -> ! {
    ARMED.store(0, Ordering::SeqCst);
    let deadline = Instant::now() + OTHERS_LIMIT + CONTROLLER_FIRST;
    loop {
        // What still comes is for tasks that end here; taken, so that its senders can
        // leave too.
        while transport.receive().is_some() {}
        transport.progress();
        if transport.close() {
            let _bound = finalize(0);
            // MPICH says goodbye to its launcher in an exit handler.
            std::process::exit(0)
        }
        if Instant::now() >= deadline {
            break;
        }
        thread::sleep(LOOK);
    }
    exit_at_once(EXIT_CODE)
}

/// How long a rank that exits waits for the others to follow.
pub(crate) const OTHERS_LIMIT: Duration = Duration::from_secs(5);

/// After its own wait the controller ends all others.
const CONTROLLER_FIRST: Duration = Duration::from_secs(1);

pub(crate) const LOOK: Duration = Duration::from_micros(200);

/// Finalizes MPI once the ranks have left each other. If that does not return, the
/// process ends with `code` even so, and also if what comes after it goes on for too long
/// while the result lives.
pub(crate) fn finalize(code: c_int) -> Bound {
    let (over, waiting) = mpsc::channel();
    // Without such a thread there is no bound, and still an end as a rule.
    let _ = thread::Builder::new().name("distwq-exit".to_owned()).spawn(move || {
        if let Err(mpsc::RecvTimeoutError::Timeout) = waiting.recv_timeout(EXIT_LIMIT) {
            exit_at_once(code);
        }
    });
    #[cfg(feature = "mpi")]
    crate::transport::Environment::finalize_if_running();
    Bound { _over: over }
}

/// Ends the process after [`EXIT_LIMIT`], unless it is dropped before.
#[derive(Debug)]
pub(crate) struct Bound {
    _over: mpsc::Sender<()>,
}

/// How long a process may take to end once the ranks have left each other; there is
/// nothing left to do then.
const EXIT_LIMIT: Duration = Duration::from_secs(5);

/// The others do not follow an exit in time: ends them, with its code.
pub(crate) fn end_others(code: c_int) {
    #[cfg(feature = "mpi")]
    crate::transport::Environment::abort_if_running(code);
    #[cfg(not(feature = "mpi"))]
    let _ = code;
}

/// Whether this process is one rank of several; else all ranks are threads of it.
pub(crate) fn is_one_of_several() -> bool {
    #[cfg(feature = "mpi")]
    return crate::transport::Environment::is_running();
    #[cfg(not(feature = "mpi"))]
    false
}
