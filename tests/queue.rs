//! Bounds on what is queued: who submits waits, and each wait has an end.

use distwq::Refusal;
use distwq::prelude::*;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

type Outcome = Result<(), Box<dyn std::error::Error>>;

#[remote]
fn square(x: u64) -> u64 {
    x * x
}

#[remote]
fn length(bytes: &[u8]) -> usize {
    bytes.len()
}

#[remote]
fn pause(milliseconds: u64) -> u64 {
    thread::sleep(Duration::from_millis(milliseconds));
    milliseconds
}

/// How many tasks have not ended.
fn outstanding(cluster: &Cluster) -> u64 {
    cluster.stats().outstanding
}

#[distwq::test(ranks = [2, 3, 4, 7], repeat = 200, config = Config::new().queue_max(10))]
fn no_more_tasks_are_queued_than_the_config_allows(cluster: &Cluster) -> Outcome {
    let mut handles = Vec::new();
    for x in 0..500 {
        handles.push(cluster.submit(square::call(x)));
        assert!(x % 50 > 0 || outstanding(cluster) <= 10, "{x}");
    }
    let batch = cluster.submit_all((0..500).map(square::call));
    assert!(outstanding(cluster) <= 10);
    for (x, handle) in (0..).zip(&handles) {
        assert_eq!(handle.get()?, x * x);
    }
    assert_eq!(batch.iter().map(|(_, result)| result).sum::<Result<u64, _>>()?, (0..500).map(|x| x * x).sum::<u64>());
    Ok(())
}

#[distwq::test(ranks = [2, 3, 4, 7], repeat = 200, config = Config::new().queue_bytes_max(100_000))]
fn no_more_bytes_of_arguments_are_queued_than_the_config_allows(cluster: &Cluster) -> Outcome {
    let bytes = vec![1_u8; 40_000];
    let first: Vec<_> = (0..3).map(|_| cluster.submit(pause::call(20))).collect();
    let mut handles = Vec::new();
    for count in 0..30 {
        handles.push(cluster.submit(length::call(&bytes).after_all(&first)));
        let small = cluster.submit(square::call(2).after_all(&first));
        assert!(count % 10 > 0 || outstanding(cluster) <= 3 + 2 * 3 + count, "{count}");
        drop(small);
    }
    let larger = vec![1_u8; 300_000];
    handles.push(cluster.submit(length::call(&larger)));
    assert_eq!(handles.pop().map(|last| last.get()), Some(Ok(300_000)), "a call of any size is taken");
    assert!(handles.iter().all(|handle| handle.get() == Ok(40_000)));
    Ok(())
}

/// Of its window of 100 a map pulls as many as may be queued.
#[distwq::test(ranks = [2, 3, 4, 7], repeat = 200, config = Config::new().queue_max(10))]
fn the_source_of_a_map_pauses_while_as_much_is_queued_as_may_be(cluster: &Cluster) -> Outcome {
    let slow: Vec<_> = (0..5).map(|_| cluster.submit(pause::call(30))).collect();
    let source = (0..300).inspect(|x| assert!(x % 30 > 0 || outstanding(cluster) < 10, "{x} was pulled"));
    let squares = cluster.map(square::call, source).window(100).chunk(1);
    assert_eq!(squares.sum::<Result<u64, _>>()?, (0..300).map(|x| x * x).sum::<u64>());
    // Others have filled the queue before the map begins.
    let waits: Vec<_> = (0..10).map(|_| cluster.submit(square::call(1).after_all(&slow))).collect();
    assert_eq!(cluster.map(square::call, 0..10).sum::<Result<u64, _>>()?, 285);
    assert!(waits.iter().all(|handle| handle.get() == Ok(1)));
    Ok(())
}

#[distwq::test(ranks = [2, 3, 4, 7], repeat = 200, config = Config::new().queue_max(2))]
fn try_submit_gives_the_call_back_instead_of_waiting(cluster: &Cluster) -> Outcome {
    let slow = cluster.submit(pause::call(100));
    let waits = cluster.submit(square::call(2).after(&slow));
    let call = cluster.try_submit(square::call(3).label("nine")).expect_err("two are queued");
    assert_eq!(waits.get()?, 4);
    let nine = cluster.try_submit(call).expect("there is room");
    assert_eq!((nine.get()?, nine.info().label.as_deref()), (9, Some("nine")));
    Ok(())
}

#[distwq::test(ranks = [2, 3, 4, 7], repeat = 200, config = Config::new().queue_max(3))]
fn graphs_are_taken_whole(cluster: &Cluster) -> Outcome {
    let mut graph = Graph::new();
    let squares: Vec<_> = (0..100).map(|x| graph.add(square::call(x))).collect();
    cluster.start(&mut graph)?;
    assert_eq!(cluster.submit(square::call(5)).get()?, 25);
    assert_eq!(squares[99].get()?, 99 * 99);
    Ok(())
}

#[distwq::test(ranks = [2, 3, 4, 7], repeat = 200, config = Config::new().queue_max(1))]
fn what_a_callback_submits_never_waits(cluster: &Cluster) -> Outcome {
    let (told, results) = mpsc::channel();
    let own = cluster.clone();
    let first = cluster.submit(square::call(1));
    first.on_end(move |_| {
        let handles: Vec<_> = (0..20).map(|_| own.submit(pause::call(1))).collect();
        told.send(handles).expect("somebody waits");
    });
    drop(first);
    let handles = loop {
        // The body may be the only one who drives.
        match results.try_recv() {
            Ok(handles) => break handles,
            Err(_) => drop(cluster.submit(square::call(2)).get()),
        }
    };
    assert!(handles.iter().all(|handle| handle.get() == Ok(1)));
    Ok(())
}

#[distwq::test(ranks = [2, 3, 4, 7], repeat = 200, config = Config::new().queue_max(1))]
fn whoever_waits_for_room_goes_on_when_the_cluster_shuts_down(cluster: &Cluster) -> Outcome {
    let slow = cluster.submit(pause::call(50));
    thread::scope(|scope| {
        let others: Vec<_> = (0..3).map(|_| scope.spawn(|| cluster.submit(square::call(2)).get())).collect();
        cluster.shutdown();
        for other in others {
            let result = other.join().expect("it does not panic");
            let refused = matches!(&result, Err(TaskError::Refused { reason: Refusal::Closed, .. }));
            assert!(refused || result == Ok(4), "{result:?}");
        }
    });
    assert_eq!(slow.get()?, 50);
    Ok(())
}

#[distwq::test(ranks = [2, 3, 4, 7], repeat = 200, config = Config::new().queue_max(1))]
fn cancelling_makes_room(cluster: &Cluster) -> Outcome {
    let mut graph = Graph::new();
    let slow = graph.add(pause::call(100));
    let waits: Vec<_> = (0..50).map(|x| graph.add(square::call(x).after(&slow))).collect();
    let run = cluster.start(&mut graph)?;
    thread::scope(|scope| {
        let other = scope.spawn(|| cluster.submit(square::call(2)).get());
        run.cancel();
        assert_eq!(other.join().expect("it does not panic"), Ok(4));
    });
    assert!(waits.iter().all(|handle| matches!(handle.get(), Err(TaskError::Cancelled { .. }))));
    Ok(())
}

#[remote(collective)]
fn together(_group: &Group) -> usize {
    1
}

/// All threads submit at once, with hardly any room.
#[distwq::test(ranks = [2, 3, 4, 7], repeat = 200, config = Config::new().queue_max(2))]
fn many_threads_share_the_room(cluster: &Cluster) {
    thread::scope(|scope| {
        for thread in 0..5_u64 {
            scope.spawn(move || {
                let handles: Vec<_> = (0..100).map(|x| cluster.submit(square::call(thread * 100 + x))).collect();
                let group = cluster.submit(together::call());
                assert!((0..).zip(&handles).all(|(x, handle)| handle.get() == Ok((thread * 100 + x).pow(2))));
                assert_eq!(group.get(), Ok(1));
            });
        }
    });
}
