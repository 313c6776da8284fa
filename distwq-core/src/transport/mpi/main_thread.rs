//! The thread that initialised MPI, lent to raw MPI. rsmpi commits derived datatypes
//! there only, and many C libraries ask to be called there, but tasks run on executors.
//! So on a worker this thread has nothing else to do than to run what executors ask for,
//! one at a time, while they wait.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;

/// What is run: it lives as long as the caller waits.
type Action = &'static mut (dyn FnMut() + Send);

enum Message {
    /// Runs the action and tells the caller that waits.
    Run(Action, Sender<()>),
    /// Nobody asks any more.
    End,
}

/// The thread as others reach it.
#[derive(Clone, Debug)]
pub(crate) struct MainThread(Sender<Message>);

impl MainThread {
    /// Runs `action`, which contains its panics, there and waits for its end. False if
    /// that thread serves nobody any more; then it has not run.
    pub(crate) fn run(&self, action: &mut (dyn FnMut() + Send)) -> bool {
        // SAFETY: only the lifetime changes. The reference is used by nobody once this
        // function returns: either it was not sent, or `recv` returns. It does so when
        // the sender is used, which is after the last use of `action`, or dropped, which
        // is after that or together with a message that nobody has read.
        let action: Action = unsafe { std::mem::transmute(action) };
        let (done, ended) = channel();
        self.0.send(Message::Run(action, done)).is_ok() && ended.recv().is_ok()
    }
}

/// What the thread itself holds.
#[derive(Debug)]
pub(super) struct Calls {
    messages: Receiver<Message>,
    main: MainThread,
}

impl Calls {
    pub(super) fn new() -> Self {
        let (sender, messages) = channel();
        Self { messages, main: MainThread(sender) }
    }

    /// How others reach this thread.
    pub(super) fn main_thread(&self) -> MainThread {
        self.main.clone()
    }

    /// Does `work` on a thread of its own, and runs on this one what is asked for
    /// meanwhile.
    pub(super) fn serve_while<R: Send>(self, work: impl FnOnce() -> R + Send) -> io::Result<R> {
        let Self { messages, main } = self;
        thread::scope(|scope| {
            let worker = thread::Builder::new().name("distwq-worker".to_owned()).spawn_scoped(scope, move || {
                let result = catch_unwind(AssertUnwindSafe(work));
                // The receiver lives until the message has been read.
                let _ = main.0.send(Message::End);
                result
            })?;
            while let Ok(Message::Run(action, done)) = messages.recv() {
                action();
                // The caller waits for it.
                let _ = done.send(());
            }
            Ok(worker.join().flatten().unwrap_or_else(|panic| resume_unwind(panic)))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_for_runs_on_the_thread_that_serves_and_may_borrow() {
        let calls = Calls::new();
        let main = calls.main_thread();
        let here = thread::current().id();
        let ran = calls.serve_while(move || {
            let mut threads = Vec::new();
            for _ in 0..3 {
                assert!(main.run(&mut || threads.push(thread::current().id())));
            }
            threads
        });
        assert_eq!(ran.expect("a thread can be started"), [here; 3]);
    }

    #[test]
    fn nothing_runs_once_nobody_serves() {
        let calls = Calls::new();
        let main = calls.main_thread();
        calls.serve_while(|| ()).expect("a thread can be started");
        let mut ran = false;
        assert!(!main.run(&mut || ran = true));
        assert!(!ran);
    }
}
