//! What happens when a task ends: callbacks, and futures that are awaited.

use distwq::prelude::*;
use std::future::{Future, IntoFuture};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::channel;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

type Outcome = Result<(), Box<dyn std::error::Error>>;

/// So long that only a hang takes longer.
const LIMIT: Duration = Duration::from_secs(60);

#[remote]
fn square(x: i64) -> i64 {
    x * x
}

#[remote]
fn pause(milliseconds: u64) -> u64 {
    thread::sleep(Duration::from_millis(milliseconds));
    milliseconds
}

#[remote]
fn fails() -> Result<u64, String> {
    Err("it fails".to_owned())
}

#[remote]
fn bytes(count: usize) -> Vec<u8> {
    vec![1; count]
}

/// Wakes a thread, and counts how often.
struct Unpark(Thread, AtomicUsize);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.1.fetch_add(1, Ordering::Relaxed);
        self.0.unpark();
    }
}

/// The smallest executor: this thread sleeps until the future is woken.
fn block_on<F: Future>(future: F) -> F::Output {
    let waker = Waker::from(Arc::new(Unpark(thread::current(), AtomicUsize::new(0))));
    let mut future = pin!(future);
    let begun = Instant::now();
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
            return output;
        }
        assert!(begun.elapsed() < LIMIT, "it is never woken");
        thread::park_timeout(LIMIT);
    }
}

#[distwq::test(ranks = [2, 3, 4, 7], every)]
fn a_handle_is_awaited_by_value_and_by_reference(cluster: &Cluster) -> Outcome {
    let sum = block_on(async {
        let (three, slow) = (cluster.submit(square::call(3)), cluster.submit(pause::call(50)));
        Ok::<_, TaskError>((&three).await? + three.await? + slow.await? as i64)
    });
    assert_eq!(sum?, 9 + 9 + 50);
    assert!(matches!(block_on(cluster.submit(fails::call()).into_future()), Err(TaskError::Failed { .. })));
    let refused = cluster.submit(square::call(1).ranks(1_000));
    assert!(matches!(block_on(refused.into_future()), Err(TaskError::Refused { .. })));
    // One that lies on a worker is fetched.
    assert_eq!(block_on(cluster.submit(bytes::call(100_000)).into_future())?.len(), 100_000);
    let mut graph = Graph::new();
    let early = graph.add(square::call(4));
    assert_eq!(block_on((&early).into_future()), Err(TaskError::NotStarted));
    cluster.start(&mut graph)?;
    assert_eq!(block_on(early.into_future())?, 16);
    Ok(())
}

#[distwq::test(ranks = [2, 3])]
fn a_future_is_woken_by_the_end_of_its_task_and_may_be_dropped_before(cluster: &Cluster) -> Outcome {
    let slow = cluster.submit(pause::call(200));
    let unpark = Arc::new(Unpark(thread::current(), AtomicUsize::new(0)));
    let waker = Waker::from(Arc::clone(&unpark));
    let mut context = Context::from_waker(&waker);
    for _ in 0..3 {
        let mut dropped = pin!((&slow).into_future());
        assert!(dropped.as_mut().poll(&mut context).is_pending());
    }
    assert_eq!(unpark.1.load(Ordering::Relaxed), 0, "it runs");
    assert_eq!(slow.get()?, 200);
    let begun = Instant::now();
    while unpark.1.load(Ordering::Relaxed) == 0 {
        assert!(begun.elapsed() < LIMIT, "it was not woken");
        thread::yield_now();
    }
    assert_eq!(unpark.1.load(Ordering::Relaxed), 1, "the same waker is woken once");
    assert!(pin!((&slow).into_future()).poll(&mut context).is_ready());
    Ok(())
}

#[distwq::test(ranks = [2, 3, 4, 7])]
fn many_futures_are_awaited_side_by_side(cluster: &Cluster) -> Outcome {
    let futures: Vec<_> = (0..500).map(|x| cluster.submit(square::call(x)).into_future()).collect();
    thread::scope(|scope| {
        for (x, future) in futures.into_iter().enumerate() {
            if x % 50 == 0 {
                scope.spawn(move || assert_eq!(block_on(future), Ok((x * x) as i64)));
            } else {
                assert_eq!(block_on(future), Ok((x * x) as i64));
            }
        }
    });
    Ok(())
}

#[distwq::test(ranks = [2, 3, 4, 7], every)]
fn a_callback_is_called_once_with_the_value_or_the_error(cluster: &Cluster) -> Outcome {
    let (sender, receiver) = channel();
    let tell = |name: &'static str| {
        let sender = sender.clone();
        move |result: Result<u64, TaskError>| sender.send((name, result)).expect("the body receives")
    };
    let slow = cluster.submit(pause::call(50));
    slow.on_end(tell("slow"));
    slow.on_end(tell("slow again"));
    cluster.submit(fails::call()).on_end(tell("fails"));
    let mut told = Vec::new();
    for _ in 0..3 {
        let (name, result) = receiver.recv_timeout(LIMIT)?;
        let is_as_it_must =
            if name == "fails" { matches!(result, Err(TaskError::Failed { .. })) } else { result == Ok(50) };
        assert!(is_as_it_must, "{name}: {result:?}");
        told.push(name);
    }
    told.sort_unstable();
    assert_eq!(told, ["fails", "slow", "slow again"]);
    // Also for what has ended, and what never ran.
    slow.on_end(tell("ended"));
    assert_eq!(receiver.recv_timeout(LIMIT)?, ("ended", Ok(50)));
    cluster.submit(pause::call(1).ranks(1_000)).on_end(tell("refused"));
    assert!(matches!(receiver.try_recv()?, ("refused", Err(TaskError::Refused { .. }))));
    assert!(receiver.try_recv().is_err(), "each is called once");
    Ok(())
}

#[distwq::test(ranks = [2, 3])]
fn callbacks_run_on_one_thread_in_the_order_of_the_ends_before_shutdown_returns(cluster: &Cluster) -> Outcome {
    let (sender, receiver) = channel();
    let first = cluster.submit(pause::call(100));
    for x in 0..50 {
        let sender = sender.clone();
        cluster.submit(square::call(x).after(&first)).on_end(move |result| {
            let thread = (thread::current().id(), thread::current().name().map(str::to_owned));
            sender.send((result, thread)).expect("the test waits for it");
        });
    }
    cluster.submit(square::call(-1).after(&first)).on_end(|_| panic!("a callback panics"));
    let again = (cluster.clone(), sender);
    cluster.submit(square::call(-2).after(&first)).on_end(move |_| {
        // It may use the cluster.
        let (cluster, sender) = again;
        let result = cluster.submit(square::call(1_000)).get();
        sender.send((result, (thread::current().id(), None))).expect("the test waits for it");
    });
    let called = (0..51).map(|_| receiver.recv_timeout(LIMIT)).collect::<Result<Vec<_>, _>>()?;
    cluster.submit(pause::call(50)).on_end(|_| thread::sleep(Duration::from_millis(300)));
    let begun = Instant::now();
    cluster.shutdown();
    assert!(begun.elapsed() >= Duration::from_millis(300), "it waits for the callbacks");
    let (_, thread) = &called[0];
    assert_eq!(thread.1.as_deref(), Some("distwq-callbacks"));
    assert!(called.iter().all(|(_, (id, _))| *id == thread.0) && thread.0 != thread::current().id());
    if cluster.workers() == 1 {
        let first: Vec<_> = called[..50].iter().map(|(result, _)| result.clone()).collect();
        assert_eq!(first, (0..50).map(|x| Ok(x * x)).collect::<Vec<_>>(), "they run and end in this order");
    }
    let mut values: Vec<i64> = called.iter().map(|(result, _)| result.clone()).collect::<Result<_, _>>()?;
    assert_eq!(called.iter().filter(|(_, (_, name))| name.is_none()).count(), 1);
    values.sort_unstable();
    let mut expected: Vec<i64> = (0..50).map(|x| x * x).chain([1_000_000]).collect();
    expected.sort_unstable();
    assert_eq!(values, expected);
    // Once all is over it is called at once.
    let late = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&late);
    first.on_end(move |result| {
        assert_eq!(result, Ok(100));
        counted.fetch_add(1, Ordering::Relaxed);
    });
    let begun = Instant::now();
    while late.load(Ordering::Relaxed) == 0 {
        assert!(begun.elapsed() < LIMIT, "it is not called");
        thread::yield_now();
    }
    Ok(())
}

/// An executor may poll its task within the call that wakes it.
#[distwq::test(ranks = [2, 3])]
fn a_waker_may_use_a_batch_that_grows(cluster: &Cluster) {
    struct Looks(Arc<Batch<i64>>);

    impl Wake for Looks {
        fn wake(self: Arc<Self>) {
            assert!(self.0.handle(0).is_some());
        }
    }

    for _ in 0..20 {
        let batch = Arc::new(cluster.batch());
        let waker = Waker::from(Arc::new(Looks(Arc::clone(&batch))));
        for x in 0..100 {
            let mut future = pin!(cluster.submit(square::call(x)).into_future());
            batch.submit(square::call(x));
            let _ = future.as_mut().poll(&mut Context::from_waker(&waker));
        }
        assert_eq!(batch.iter().count(), 100);
    }
}

#[test]
fn callbacks_that_are_left_have_been_called_when_the_run_of_a_failed_body_is_over() {
    let called = Arc::new(AtomicUsize::new(0));
    let body = |cluster: &Cluster| {
        for x in 0..50 {
            let called = Arc::clone(&called);
            cluster.submit(pause::call(20).after(&cluster.submit(square::call(x)))).on_end(move |_| {
                thread::sleep(Duration::from_millis(2));
                called.fetch_add(1, Ordering::SeqCst);
            });
        }
        Err::<(), _>("it fails")
    };
    assert_eq!(distwq_core::launch::run_local(Config::new().workers(2), body), Err("it fails".to_owned()));
    assert_eq!(called.load(Ordering::SeqCst), 50);
}

#[test]
fn a_callback_that_does_not_return_is_left_behind_by_shutdown_now() {
    let (go_on, until) = channel::<()>();
    let config = Config::new().workers(1).shutdown_grace(Duration::from_millis(100));
    let begun = Instant::now();
    let body = |cluster: &Cluster| {
        let (begins, has_begun) = channel();
        cluster.submit(square::call(1)).on_end(move |_| {
            begins.send(()).expect("the body receives");
            let _ = until.recv();
        });
        has_begun.recv_timeout(LIMIT).expect("it is called");
        cluster.shutdown_now();
        cluster.shutdown();
    };
    assert_eq!(distwq_core::launch::run_local(config, body), Ok(()));
    assert!(begun.elapsed() < LIMIT / 2, "it was waited for");
    drop(go_on);
}
