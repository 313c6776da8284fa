//! What users want called when tasks end: on one thread, one after another, in the order
//! of the ends.

use crate::id::TaskId;
use crate::machine::controller::{Awaited, CollectorId, Watch};
use crate::panics;
use crate::runtime::collectors::Ends;
use crate::runtime::driver::Driver;
use crate::runtime::{ControllerEngine, fault};
use parking_lot::Mutex;
use rustc_hash::FxHashMap;
use std::sync::{Arc, OnceLock};
use std::task::{Wake, Waker};
use std::thread::{self, Thread, ThreadId};

/// What is called. It gets the result of its task by itself.
pub(crate) type Callback = Box<dyn FnOnce() + Send>;

/// Who has callbacks, and the engine that tells of the ends.
pub(crate) trait Owner: Send + Sync + 'static {
    fn callbacks(&self) -> &Callbacks;
    fn driver(&self) -> &Driver<ControllerEngine>;
}

/// All that is to be called. Its own lock is taken under that of the engine, never the
/// other way round.
#[derive(Default)]
pub(crate) struct Callbacks {
    ends: Arc<Ends>,
    state: Mutex<State>,
    /// Where they are called, from the first one on.
    thread: OnceLock<(CollectorId, ThreadId)>,
}

#[derive(Default)]
struct State {
    /// By the index of the task among those with callbacks.
    waiting: FxHashMap<u32, Callback>,
    /// How many have not returned.
    left: usize,
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
            let index = this.ends.add();
            let mut state = this.state.lock();
            state.waiting.insert(index, callback);
            state.left += 1;
            drop(state);
            engine.watch(task, Watch { collector, index });
            None
        });
        if let Some(callback) = late {
            panics::discarded(callback);
        }
    }

    /// Whether all have returned, or this is the thread that calls them.
    pub(crate) fn are_done(&self) -> bool {
        let is_own = || self.thread.get().is_some_and(|(_, id)| *id == thread::current().id());
        self.state.lock().left == 0 || is_own()
    }

    /// Calls one.
    fn call(&self, index: u32) {
        let callback = self.state.lock().waiting.remove(&index);
        if let Some(callback) = callback {
            panics::discarded(callback);
            self.state.lock().left -= 1;
        }
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
        let found = driver.poll(Awaited::Collected(collector), &waker, |engine| match ends.take_next() {
            Some(index) => Some(Some(index)),
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
