//! Stopping early: one task, all tasks, or the whole cluster.

use distwq::prelude::*;
use distwq::{CancelState, Refusal, TaskState};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// A task waits for so long at most until it is let go.
const LIMIT: Duration = Duration::from_secs(30);

/// Where tasks say that they have begun, and are told to go on.
struct Signals {
    folder: PathBuf,
}

impl Signals {
    fn new() -> Self {
        static MADE: AtomicUsize = AtomicUsize::new(0);
        let number = MADE.fetch_add(1, Ordering::SeqCst);
        let folder = std::env::temp_dir().join(format!("distwq-cancel-{}-{number}", std::process::id()));
        fs::create_dir_all(&folder).expect("the temporary folder can be written");
        Self { folder }
    }

    fn path(&self) -> String {
        self.folder.to_string_lossy().into_owned()
    }

    /// A task that runs until it is let go, and gives its number, or fails if it is to.
    fn held(&self, number: u64, fails: bool) -> Call<u64> {
        held::call(self.path(), number, fails)
    }

    fn await_begin(&self, number: u64) {
        assert!(await_file(&self.folder.join(number.to_string())), "task {number} begins");
    }

    /// Keeps all workers busy, each with a task of these numbers, and says so when all of
    /// them have begun.
    fn occupy(&self, cluster: &Cluster) -> Vec<Handle<u64>> {
        let numbers = 0..cluster.workers() as u64;
        let busy = numbers.clone().map(|number| cluster.submit(self.held(number, false))).collect();
        numbers.for_each(|number| self.await_begin(number));
        busy
    }

    fn let_go(&self) {
        fs::write(self.folder.join("go"), "").expect("the folder is there");
    }
}

impl Drop for Signals {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}

fn await_file(path: &Path) -> bool {
    let until = Instant::now() + LIMIT;
    while !path.exists() {
        if Instant::now() >= until {
            return false;
        }
        thread::sleep(Duration::from_millis(1));
    }
    true
}

#[remote]
fn held(folder: String, number: u64, fails: bool) -> Result<u64, String> {
    let folder = Path::new(&folder);
    fs::write(folder.join(number.to_string()), "").map_err(|error| error.to_string())?;
    match await_file(&folder.join("go")) {
        true if fails => Err("it fails".to_owned()),
        true => Ok(number),
        false => Err("nobody has let it go".to_owned()),
    }
}

#[remote(collective)]
fn held_together(group: &Group, folder: String) -> Result<u64, GroupError> {
    let folder = Path::new(&folder);
    if group.rank() == 0 {
        fs::write(folder.join("0"), "").expect("the folder is there");
        assert!(await_file(&folder.join("go")), "nobody has let it go");
    }
    group.all_reduce(1, |a, b| a + b)
}

#[remote]
fn next(value: u64) -> u64 {
    value + 1
}

#[remote]
fn length(bytes: Vec<u64>) -> u64 {
    bytes.len() as u64
}

#[track_caller]
fn expect_cancelled<T: std::fmt::Debug>(result: Result<T, TaskError>) -> TaskError {
    match result {
        Err(error @ TaskError::Cancelled { .. }) => error,
        other => panic!("it is not cancelled: {other:?}"),
    }
}

#[distwq::test(ranks = [2, 3, 4], repeat = 200)]
fn a_task_that_waits_is_cancelled_at_once_and_whoever_waits_for_it_is_told(cluster: &Cluster) {
    let signals = Signals::new();
    let busy = signals.occupy(cluster);
    let queued = cluster.submit(next::call(1).label("the queued one"));
    thread::scope(|scope| {
        let waiter = scope.spawn(|| queued.get());
        assert_eq!(queued.cancel(), CancelState::Waiting);
        let error = expect_cancelled(waiter.join().expect("it does not panic"));
        let site = error.site().expect("it names the task");
        assert_eq!((site.label.as_deref(), site.rank, site.attempts), (Some("the queued one"), None, 0), "{error}");
    });
    assert_eq!(queued.cancel(), CancelState::Ended);
    assert!(!busy.iter().any(Handle::is_done), "all others go on");
    signals.let_go();
    for (number, handle) in (0..).zip(busy) {
        assert_eq!(handle.get(), Ok(number));
    }
}

#[distwq::test(ranks = [2, 3, 4], repeat = 200)]
fn a_task_that_runs_and_is_cancelled_gives_its_value_all_the_same(cluster: &Cluster) {
    let signals = Signals::new();
    let busy = signals.occupy(cluster);
    for handle in &busy {
        assert_eq!(handle.cancel(), CancelState::Running);
        assert_eq!(handle.cancel(), CancelState::Running, "as often as one likes");
    }
    let after = cluster.submit(next::call(&busy[0]));
    signals.let_go();
    for (number, handle) in (0..).zip(&busy) {
        assert_eq!(handle.get(), Ok(number));
    }
    assert_eq!(after.get(), Ok(1), "a value is a value");
}

#[distwq::test(ranks = [2, 3, 4], repeat = 200)]
fn a_task_that_has_ended_stays_as_it_is_when_it_is_cancelled(cluster: &Cluster) {
    let handle = cluster.submit(next::call(1));
    assert_eq!(handle.get(), Ok(2));
    assert_eq!(handle.cancel(), CancelState::Ended);
    assert_eq!(handle.get(), Ok(2));
    let failed = cluster.submit(held::call("/nowhere/at/all", 0_u64, true));
    let error = failed.get().expect_err("there is no such folder");
    assert_eq!((failed.cancel(), failed.get()), (CancelState::Ended, Err(error)));
}

#[distwq::test(ranks = [2, 3, 4], repeat = 200)]
fn a_task_that_fails_after_its_cancel_is_cancelled_and_not_tried_again(cluster: &Cluster) {
    let before = cluster.stats();
    let signals = Signals::new();
    let handle = cluster.submit(signals.held(0, true).retries(5));
    signals.await_begin(0);
    assert_eq!(handle.cancel(), CancelState::Running);
    signals.let_go();
    let error = expect_cancelled(handle.get());
    let site = error.site().expect("it names the task");
    assert_eq!((site.attempts, site.rank.is_some()), (1, true), "{error}");
    let stats = cluster.stats();
    assert_eq!((stats.cancelled, stats.failed), (before.cancelled + 1, before.failed));
    assert_eq!(handle.info().state, TaskState::Cancelled);
}

/// a → b → c, and d beside them
#[distwq::test(ranks = [2, 3, 4], repeat = 200)]
fn what_hangs_on_a_cancelled_task_names_it(cluster: &Cluster) {
    let signals = Signals::new();
    let busy = signals.occupy(cluster);
    let a = cluster.submit(next::call(&busy[0]).label("a"));
    let b = cluster.submit(next::call(&a).label("b"));
    let c = cluster.submit(next::call(&b).label("c"));
    let d = cluster.submit(next::call(&busy[0]));
    assert_eq!(a.cancel(), CancelState::Waiting);
    let root = expect_cancelled(a.get());
    let late = cluster.submit(next::call(&a));
    for dependent in [&b, &c, &late] {
        let error = dependent.get().expect_err("it cannot run");
        assert!(matches!(error, TaskError::Upstream { .. }), "{error}");
        assert_eq!(error.root(), &root);
    }
    signals.let_go();
    assert_eq!(d.get(), Ok(1));
    assert!(busy.iter().all(|handle| handle.get().is_ok()));
}

#[distwq::test(ranks = [2, 3, 4], repeat = 200)]
fn a_run_of_a_graph_lists_its_cancelled_tasks_as_roots(cluster: &Cluster) {
    let signals = Signals::new();
    let busy = signals.occupy(cluster);
    let mut graph = Graph::new();
    let first = graph.add(next::call(1).label("first"));
    let after = graph.add(next::call(&first));
    let second = graph.add(next::call(2).label("second"));
    assert_eq!(first.cancel(), CancelState::NotStarted);
    cluster.start(&mut graph).expect("it starts");
    let mut graph = Graph::new();
    let in_run = graph.add(next::call(&second).label("in the run"));
    graph.add(next::call(&in_run));
    thread::scope(|scope| {
        let run = scope.spawn(|| cluster.run(&mut graph));
        while in_run.cancel() == CancelState::NotStarted {
            thread::yield_now();
        }
        let result = run.join().expect("it does not panic");
        let Err(RunError::Failed { failed, upstream: 1 }) = result else { panic!("{result:?}") };
        assert_eq!(failed, [expect_cancelled(in_run.get())]);
    });
    cluster.cancel_all();
    [first, after, second].iter().for_each(|handle| drop(expect_cancelled(handle.get())));
    signals.let_go();
    assert!(busy.iter().all(|handle| handle.get().is_ok()));
}

#[distwq::test(ranks = [2, 3, 4], repeat = 200)]
fn all_tasks_are_cancelled_and_the_cluster_goes_on(cluster: &Cluster) {
    for _ in 0..3 {
        let signals = Signals::new();
        let busy = signals.occupy(cluster);
        let queued: Vec<_> = (0..100).map(|number| cluster.submit(next::call(number))).collect();
        let chain = queued.iter().map(|handle| cluster.submit(next::call(handle))).collect::<Vec<_>>();
        let wide = cluster.submit(held_together::call(signals.path()));
        cluster.cancel_all();
        for handle in queued.iter().chain(&chain).chain([&wide]) {
            expect_cancelled(handle.get());
        }
        let after = cluster.submit(next::call(7));
        signals.let_go();
        assert_eq!(after.get(), Ok(8));
        assert!((0..).zip(busy).all(|(number, handle)| handle.get() == Ok(number)));
        drop((queued, chain, wide, after));
    }
    cluster.cancel_all();
    let stats = cluster.stats();
    assert_eq!((stats.outstanding, stats.resident_bytes()), (0, 0), "{stats}");
}

/// Case 43: one runs, a hundred are queued.
#[distwq::test(ranks = [2, 3, 4], repeat = 200)]
fn shutdown_now_ends_what_waits_and_waits_for_what_runs(cluster: &Cluster) {
    let signals = Signals::new();
    let busy = signals.occupy(cluster);
    let queued: Vec<_> = (0..100).map(|number| cluster.submit(next::call(number))).collect();
    thread::scope(|scope| {
        let waiters: Vec<_> = queued.iter().take(3).map(|handle| scope.spawn(|| handle.get())).collect();
        let end = scope.spawn(|| cluster.shutdown_now());
        for waiter in waiters {
            expect_cancelled(waiter.join().expect("it does not panic"));
        }
        assert!(!end.is_finished(), "it waits for what runs");
        signals.let_go();
        end.join().expect("it ends when that has ended");
    });
    for (number, handle) in (0..).zip(&busy) {
        assert_eq!(handle.get(), Ok(number));
    }
    queued.iter().for_each(|handle| drop(expect_cancelled(handle.get())));
    let refused = cluster.submit(next::call(1)).get();
    assert!(matches!(refused, Err(TaskError::Refused { reason: Refusal::Closed, .. })), "{refused:?}");
    cluster.shutdown_now();
    cluster.shutdown();
    cluster.cancel_all();
    assert_eq!(busy[0].cancel(), CancelState::Ended);
}

#[distwq::test(ranks = [2, 3, 4], repeat = 200)]
fn a_collective_task_that_runs_and_is_cancelled_gives_its_value_all_the_same(cluster: &Cluster) {
    let signals = Signals::new();
    let together = cluster.submit(held_together::call(signals.path()));
    signals.await_begin(0);
    let behind = cluster.submit(held_together::call(signals.path()));
    assert_eq!(behind.cancel(), CancelState::Waiting);
    expect_cancelled(behind.get());
    assert_eq!(together.cancel(), CancelState::Running);
    signals.let_go();
    assert_eq!(together.get(), Ok(cluster.workers() as u64));
}

/// The cancel may overtake the arguments, or come when the task has ended.
#[distwq::test(ranks = [2, 3, 4], repeat = 200)]
fn a_cancel_at_any_moment_ends_a_task_once(cluster: &Cluster) {
    let large = vec![1_u64; 30_000];
    for round in 0..20_u64 {
        let small = cluster.submit(next::call(round));
        let sent = cluster.submit(length::call(&large));
        let after = cluster.submit(next::call(&sent));
        let together = cluster.submit(held_together::call("/nowhere/at/all").after(&after));
        for _ in 0..round * 60 {
            std::hint::spin_loop();
        }
        let (found, found_small) = (sent.cancel(), small.cancel());
        together.cancel();
        match sent.get() {
            Ok(length) => assert_eq!((length, after.get()), (30_000, Ok(30_001))),
            Err(error) => {
                assert!(found != CancelState::Ended, "{error}");
                assert_eq!(after.get().expect_err("it cannot run").root(), &expect_cancelled(Err::<(), _>(error)));
            }
        }
        match small.get() {
            Ok(value) => assert_eq!(value, round + 1),
            Err(error) => {
                expect_cancelled(Err::<(), _>(error));
                assert_ne!(found_small, CancelState::Ended);
            }
        }
        assert!(together.get().is_err());
    }
    assert_eq!(cluster.stats().outstanding, 0);
}

#[distwq::test(ranks = [2, 3, 4], repeat = 200)]
fn a_refused_task_has_ended_before_it_can_be_cancelled(cluster: &Cluster) {
    let refused = cluster.submit(next::call(1).ranks(0));
    assert_eq!(refused.cancel(), CancelState::Ended);
    assert!(matches!(refused.get(), Err(TaskError::Refused { .. })));
}

/// A task that got hold of a handle may cancel it: that waits for nobody.
#[test]
fn a_task_may_cancel_another_one() {
    static OTHER: Mutex<Option<Handle<u64>>> = Mutex::new(None);

    #[remote]
    fn cancels_the_other() -> String {
        let other = OTHER.lock().expect("no panic").take().expect("it is there");
        format!("{:?}", other.cancel())
    }

    let body = |cluster: &Cluster| {
        let signals = Signals::new();
        let running = cluster.submit(signals.held(0, true));
        signals.await_begin(0);
        *OTHER.lock().expect("no panic") = Some(running.clone());
        assert_eq!(cluster.submit(cancels_the_other::call()).get(), Ok("Running".to_owned()));
        signals.let_go();
        expect_cancelled(running.get());
    };
    distwq_core::launch::run_local(Config::new().workers(2), body).expect("it runs");
}

/// What else goes on in the process goes on.
#[test]
fn shutdown_now_leaves_behind_what_does_not_end_within_the_grace() {
    let signals = Signals::new();
    let config = Config::new().workers(2).shutdown_grace(Duration::from_millis(200));
    let begun = Instant::now();
    let body = |cluster: &Cluster| {
        let endless = cluster.submit(signals.held(0, false).label("the endless one"));
        signals.await_begin(0);
        let quick = cluster.submit(next::call(1));
        assert_eq!(quick.get(), Ok(2));
        thread::scope(|scope| {
            let waiter = scope.spawn(|| endless.get());
            let batch = Batch::of([&endless]);
            assert_eq!(batch.is_ok(), None);
            cluster.shutdown_now();
            assert_eq!(
                (batch.is_ok(), batch.progress().failed, batch.wait_all(Duration::MAX)),
                (Some(false), 1, vec![0])
            );
            assert!(matches!(batch.next(), Some((0, Err(TaskError::Closed { .. })))) && batch.next().is_none());
            let result = waiter.join().expect("it does not panic");
            assert!(matches!(result, Err(TaskError::Closed { .. })), "{result:?}");
        });
        assert_eq!(quick.get(), Ok(2), "what is here stays");
        cluster.shutdown();
        assert!(matches!(endless.get(), Err(TaskError::Closed { .. })));
        assert_eq!(endless.cancel(), CancelState::Ended);
    };
    let error = distwq_core::launch::run_local(config, body).expect_err("a task runs on");
    let took = begun.elapsed();
    signals.let_go();
    assert!(took < Duration::from_secs(5), "{took:?}");
    assert!(error.contains("left behind: cancel::held #1 \"the endless one\" on rank "), "{error}");
}

/// Gives its item if that is 0; others run until they are cancelled, and fail then.
#[remote]
fn stops(ctx: &Context, x: u64) -> Result<u64, String> {
    let until = Instant::now() + Duration::from_secs(30);
    while x > 0 && !ctx.cancelled() && Instant::now() < until {
        thread::sleep(Duration::from_millis(1));
    }
    if x == 0 { Ok(0) } else { Err("it was stopped".to_owned()) }
}

/// Also the last of those that travel together, and however often it might be tried.
#[distwq::test(ranks = [2, 3, 4], repeat = 200)]
fn an_item_that_fails_once_it_is_cancelled_is_cancelled_and_not_tried_again(cluster: &Cluster) {
    thread::scope(|scope| {
        scope.spawn(|| {
            thread::sleep(Duration::from_millis(100));
            cluster.cancel_all();
        });
        let results = cluster.map(|x| stops::call(x).retries(3), 0..2).chunk(2);
        for (x, result) in (0..).zip(results) {
            let is_cancelled = matches!(result, Err(TaskError::Cancelled { .. }));
            assert!(is_cancelled || x == 0 && result == Ok(0), "{x}: {result:?}");
        }
    });
}
