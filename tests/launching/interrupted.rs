//! What a body finds that goes on after a signal, whatever it does.

use super::*;
use std::sync::atomic::{AtomicUsize, Ordering};

fn is_interruption<T>(end: &Result<T, TaskError>) -> bool {
    matches!(end, Err(TaskError::Cancelled { interrupted: true, .. }))
}

/// After a signal: everything that is begun now ends at once.
pub(super) fn goes_on(cluster: &Cluster) {
    assert!(cluster.is_interrupted());
    let handle = cluster.submit(square::call(3));
    assert!(handle.is_done(), "it has ended as it was submitted");
    assert!(is_interruption(&handle.get()));
    let error = handle.get().expect_err("it was cancelled");
    assert!(error.to_string().contains("a signal has come"), "{error}");

    let mut graph = Graph::new();
    let first = graph.add(square::call(1));
    let second = graph.add(square::call(&first));
    let wide = graph.add(members::call());
    let Err(RunError::Failed { failed, .. }) = cluster.run(&mut graph) else { panic!("nothing of it runs") };
    assert!(failed.iter().all(|error| matches!(error, TaskError::Cancelled { interrupted: true, .. })), "{failed:?}");
    assert!(second.get().is_err() && is_interruption(&wide.get()));

    // A batch whose body submits again whatever fails.
    let batch = cluster.submit_all((0..5).map(square::call));
    let mut given = 0;
    for (_, result) in &batch {
        assert!(is_interruption(&result));
        given += 1;
        batch.submit(square::call(given));
    }
    assert_eq!((given, batch.len(), batch.next()), (5, 10, None));
    let late = batch.handle(9).expect("its handle stays");
    assert!(is_interruption(&late.get()));

    let pulled = AtomicUsize::new(0);
    let endless = || (0..).inspect(|_: &i64| _ = pulled.fetch_add(1, Ordering::Relaxed));
    let results: Vec<_> = cluster.map(square::call, endless()).collect();
    assert!(results.len() == 1 && is_interruption(&results[0]), "{results:?}");
    let reduced = cluster.map(square::call, endless()).tree_reduce(add::call);
    assert!(is_interruption(&reduced));
    assert_eq!(pulled.load(Ordering::Relaxed), 0, "nothing is pulled");
    assert_eq!(cluster.map(square::call, 0..0_i64).count(), 0);
    println!("it has gone on");
}

#[remote]
fn add(a: i64, b: i64) -> i64 {
    a + b
}

/// Gives the item, but waits for a cancel with this one.
#[remote]
fn stops_at(ctx: &Context, x: i64, at: i64) -> Result<i64, String> {
    if x != at {
        return Ok(x);
    }
    while !ctx.cancelled() {
        thread::sleep(Duration::from_millis(1));
    }
    Err("it was cancelled".to_owned())
}

/// A signal comes while maps run: each gives what there is, one error, and ends.
pub(super) fn map(cluster: &Cluster, signal: &str) {
    const AT: i64 = 20;
    let mut ordered = cluster.map(|x| stops_at::call(x, AT), 0..).window(50);
    let mut unordered = cluster.map(|x| stops_at::call(x, AT), 0..).window(50).unordered().chunk(5);
    for x in 0..5 {
        assert_eq!(ordered.next(), Some(Ok(x)));
    }
    assert!(unordered.next().is_some_and(|result| result.is_ok()));
    let (pulled_by_sum, mut reduced) = (AtomicUsize::new(0), None);
    thread::scope(|scope| {
        scope.spawn(|| {
            let items = (0..).inspect(|_: &i64| _ = pulled_by_sum.fetch_add(1, Ordering::Relaxed));
            let sum = cluster.map(|x| stops_at::call(x, -1), items).tree_reduce(add::call);
            reduced = Some(sum);
        });
        while pulled_by_sum.load(Ordering::Relaxed) < 100 {
            thread::sleep(Duration::from_millis(1));
        }
        send_to_itself(signal);
        let rest: Vec<_> = ordered.by_ref().collect();
        let (last, values) = rest.split_last().expect("there is an error");
        assert!(is_interruption(last), "{last:?}");
        // In their order, though some before them had not ended.
        let given: Vec<i64> = values.iter().map(|value| value.clone().expect("a value")).collect();
        assert!(given.is_sorted() && !given.contains(&AT) && given.len() < 50, "{given:?}");
        assert_eq!(ordered.next(), None);
        let rest: Vec<_> = unordered.by_ref().take(1_000).collect();
        let (last, values) = rest.split_last().expect("there is an error");
        assert!(is_interruption(last) && values.iter().all(Result::is_ok) && unordered.next().is_none(), "{rest:?}");
    });
    assert!(reduced.is_some_and(|end| is_interruption(&end)));
    goes_on(cluster);
}
