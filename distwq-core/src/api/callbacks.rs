//! What users want called when tasks end: on one thread, one after another, in the order
//! of the ends.

use crate::id::{CollectorId, TaskId};
use crate::machine::controller::{Awaited, Watch};
use crate::panics;
use crate::runtime::collectors::Ends;
use crate::runtime::driver::Driver;
use crate::runtime::{ControllerEngine, fault};
use parking_lot::Mutex;
use rustc_hash::FxHashMap;
use std::sync::{Arc, OnceLock};
use std::task::{Wake, Waker};
use std::thread::{self, Thread, ThreadId};
use std::time::{Duration, Instant};

/// What is called. It gets the result of its task by itself.
pub(crate) type Callback = Box<dyn FnOnce() + Send>;

/// Who has callbacks, and the engine that tells of the ends.
pub(crate) trait Owner: Send + Sync + 'static {
    fn callbacks(&self) -> &Callbacks;
    fn driver(&self) -> &Driver<ControllerEngine>;

    /// How long one who does not want to wait waits even so.
    fn grace(&self) -> Duration {
        Duration::from_nanos(self.driver().with(|engine| engine.machine().shutdown_grace_ns()))
    }

    /// After the run: waits for those that are left, for half of the grace. The other
    /// ranks wait for this one as long as all of it.
    fn await_callbacks(&self) {
        let limit = self.grace() / 2;
        let done = || self.callbacks().are_done().then_some(());
        if self.driver().wait_until(Awaited::Drained, Some(Instant::now() + limit), |_| done()).is_none() {
            self.leave_callbacks(limit);
        }
    }

    /// They have not returned in time: nobody waits for them any more.
    fn leave_callbacks(&self, limit: Duration) {
        if let Some(callback) = self.running_callback() {
            let limit_ms = limit.as_millis();
            fault::say(&format!("{callback} has not returned within {limit_ms} ms and is left behind"));
        }
        self.callbacks().state.lock().left_behind = true;
    }

    /// The one that runs, in words.
    fn running_callback(&self) -> Option<String> {
        let task = self.callbacks().state.lock().running?;
        let name = self.driver().with(|engine| engine.machine().name(task));
        Some(format!("the callback of {name}, given to `on_end`,"))
    }
}

/// All that is to be called. Its own lock is taken under that of the engine, never the
/// other way round.
#[derive(Default)]
pub(crate) struct Callbacks {
    ends: Arc<Ends<()>>,
    state: Mutex<State>,
    /// Where they are called, from the first one on.
    thread: OnceLock<(CollectorId, ThreadId)>,
}

#[derive(Default)]
struct State {
    /// By the index of the task among those with callbacks.
    waiting: FxHashMap<u32, (TaskId, Callback)>,
    /// The task whose callback runs.
    running: Option<TaskId>,
    /// How many have not returned.
    left: usize,
    /// Nobody waits for them any more.
    left_behind: bool,
}

impl Callbacks {
    /// Calls `callback` once when a task, which has a handle, has ended. Once the run is
    /// over it is called at once.
    pub(crate) fn add<O: Owner>(owner: &Arc<O>, task: TaskId, callback: Callback) {
        let this = owner.callbacks();
        let (collector, _) = *this.thread.get_or_init(|| {
            let collector = owner.driver().with(|engine| engine.collect(&this.ends));
            (collector, start(owner, collector))
        });
        let late = owner.driver().with(|engine| {
            if engine.machine().is_over() {
                return Some(callback);
            }
            let index = this.ends.add(());
            let mut state = this.state.lock();
            state.waiting.insert(index, (task, callback));
            state.left += 1;
            drop(state);
            engine.watch(task, Watch { collector, index });
            None
        });
        if let Some(callback) = late {
            panics::discarded(callback);
        }
    }

    /// Whether nobody need wait for them: all have returned, or were left behind, or this
    /// is the thread that calls them.
    pub(crate) fn are_done(&self) -> bool {
        let State { left, left_behind, .. } = *self.state.lock();
        left == 0 || left_behind || self.is_own_thread()
    }

    /// Whether this is the thread that calls them, which must not wait: what it waits for
    /// may wait for it.
    pub(crate) fn is_own_thread(&self) -> bool {
        self.thread.get().is_some_and(|(_, id)| *id == thread::current().id())
    }

    /// Calls one.
    fn call(&self, index: u32) {
        let mut state = self.state.lock();
        let Some((task, callback)) = state.waiting.remove(&index) else { return };
        state.running = Some(task);
        drop(state);
        panics::discarded(callback);
        let mut state = self.state.lock();
        state.running = None;
        state.left -= 1;
    }
}

/// Starts the thread that calls. It never drives: it sleeps until a task has ended.
fn start<O: Owner>(owner: &Arc<O>, collector: CollectorId) -> ThreadId {
    let own = Arc::clone(owner);
    let thread = thread::Builder::new().name("distwq-callbacks".to_owned()).spawn(move || serve(&*own, collector));
    match thread {
        Ok(handle) => handle.thread().id(),
        Err(error) => {
            let text = fault::no_thread("that calls back", &error);
            owner.driver().with(|engine| fault::end_run(&mut *engine.transport, &text))
        }
    }
}

/// Calls until the run is over.
fn serve(owner: &impl Owner, collector: CollectorId) {
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let (callbacks, driver) = (owner.callbacks(), owner.driver());
    let ends = &callbacks.ends;
    loop {
        let found = driver.poll(Awaited::Collected(collector), &waker, |engine| match ends.take_next(false) {
            Some(taken) => Some(Some(taken.index)),
            // Tasks that have not ended by then give an error.
            None => engine.machine().is_over().then(|| ends.take_first()),
        });
        match found {
            Some(Some(index)) => {
                callbacks.call(index);
                driver.with(|engine| engine.called());
            }
            Some(None) => return,
            None => thread::park(),
        }
    }
}

/// Wakes a thread that is parked.
struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}
