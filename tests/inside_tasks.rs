//! A task that uses the cluster which runs it, as it can on the local backend, where both
//! are in one process: it is told at once instead of waiting for a worker that it keeps
//! busy itself.

use distwq::prelude::*;
use distwq::{Refusal, TaskState};
use std::sync::Mutex;
use std::time::Duration;

/// The cluster of the body and a task of it, for tasks in the same process.
static CAPTURED: Mutex<Option<(Cluster, Handle<u64>)>> = Mutex::new(None);

fn captured() -> Option<(Cluster, Handle<u64>)> {
    CAPTURED.lock().expect("nobody panics with it").clone()
}

#[remote]
fn one_more(x: u64) -> u64 {
    x + 1
}

#[remote]
fn process() -> u32 {
    std::process::id()
}

/// What a use of the cluster within a task gives; nothing where there is none.
#[remote]
fn uses(what: String) -> Option<String> {
    let (cluster, other) = captured()?;
    let mut graph = Graph::new();
    let node = graph.add(one_more::call(1));
    let text = match &*what {
        "submit" => told(cluster.submit(one_more::call(1)).get()),
        "submit a dependent" => told(cluster.submit(one_more::call(cluster.submit(one_more::call(1)))).get()),
        "value" => told(cluster.value(&1_u64).get()),
        "run" => told(cluster.run(&mut graph)),
        "start" => told(cluster.start(&mut graph)),
        "a node of a refused graph" => {
            assert!(cluster.run(&mut graph).is_err());
            told(node.get())
        }
        "get" => told(other.get()),
        "get_timeout" => told(other.get_timeout(Duration::from_secs(3600))),
        "try_get" => other.try_get().map_or_else(|| "nothing".to_owned(), told),
        "is_done" => other.is_done().to_string(),
        "stats" => cluster.stats().to_string(),
        "shutdown" => {
            cluster.shutdown();
            "shut down".to_owned()
        }
        "info" => format!("{:?}", other.info().state),
        "workers" => cluster.workers().to_string(),
        other => panic!("{other}"),
    };
    Some(text)
}

fn told<T: std::fmt::Debug, E: std::fmt::Display>(result: Result<T, E>) -> String {
    result.map_or_else(|error| error.to_string(), |value| format!("{value:?}"))
}

#[distwq::test(ranks = [2, 3])]
fn a_task_that_uses_its_cluster_is_told_so_at_once(cluster: &Cluster) {
    let is_local = cluster.submit(process::call()).get() == Ok(std::process::id());
    let refused = [
        "submit",
        "submit a dependent",
        "value",
        "run",
        "start",
        "a node of a refused graph",
        "get",
        "get_timeout",
        "try_get",
    ];
    let panics = ["is_done", "stats", "shutdown"];
    for what in refused.into_iter().chain(panics).chain(["info", "workers"]) {
        let other = cluster.submit(one_more::call(1));
        *CAPTURED.lock().expect("nobody panics with it") = Some((cluster.clone(), other));
        // All workers at the same time, and more: nobody is left to run what they would
        // wait for.
        let using: Vec<_> = (0..3 * cluster.workers()).map(|_| cluster.submit(uses::call(what.to_owned()))).collect();
        for handle in using {
            let given = handle.get();
            let me = handle.info();
            let name = format!("task {} #{}", me.function, me.id);
            match given {
                Ok(None) => assert!(!is_local, "the cluster is in this process"),
                Ok(Some(text)) if what == "info" => {
                    assert!(
                        [TaskState::Waiting, TaskState::Sent, TaskState::Done]
                            .iter()
                            .any(|state| text == format!("{state:?}"))
                    );
                }
                Ok(Some(text)) if what == "workers" => assert_eq!(text, cluster.workers().to_string()),
                Ok(Some(text)) => {
                    assert!(refused.contains(&what) && text.contains(&format!("within {name}")), "{what}: {text}");
                }
                Err(TaskError::Panicked { message, .. }) => {
                    assert!(panics.contains(&what) && message.contains(&format!("within {name}")), "{what}: {message}");
                    assert!(message.contains("(at tests/inside_tasks.rs:"), "it says where in the code: {message}");
                }
                Err(error) => panic!("{what}: {error}"),
            }
        }
    }
    let (_, other) = CAPTURED.lock().expect("nobody panics with it").take().expect("it was put there");
    assert_eq!(other.get(), Ok(2));
    let refused = cluster.submit(one_more::call(1).ranks(0)).get();
    assert!(matches!(refused, Err(TaskError::Refused { reason: Refusal::NoRanks, .. })), "the body is no task");
    assert_eq!(cluster.submit(one_more::call(41)).get(), Ok(42));
}

static OUTER: Mutex<Option<Cluster>> = Mutex::new(None);

/// Runs a cluster of its own, on threads of its process.
#[remote]
fn launches(x: u64) -> Result<u64, String> {
    let mut sum = 0;
    distwq_core::launch::run_local(Config::new().workers(2), |cluster: &Cluster| {
        let handles: Vec<_> = (0..x).map(|x| cluster.submit(one_more::call(x))).collect();
        sum = handles.iter().map(Handle::get).sum::<Result<u64, _>>()?;
        Ok::<(), TaskError>(())
    })?;
    // Outside of that one's body this is a task again.
    if let Some(outer) = &*OUTER.lock().map_err(|error| error.to_string())? {
        assert!(matches!(outer.value(&1).get(), Err(TaskError::Refused { reason: Refusal::InsideTask { .. }, .. })));
    }
    Ok(sum)
}

/// A cluster that a task starts by itself waits for nothing of the one that runs the
/// task.
#[distwq::test(ranks = [2])]
fn a_task_may_run_a_cluster_of_its_own(cluster: &Cluster) {
    *OUTER.lock().expect("nobody panics with it") = Some(cluster.clone());
    let handles: Vec<_> = (0..3).map(|x| cluster.submit(launches::call(10 + x))).collect();
    for (x, handle) in (10..).zip(handles) {
        assert_eq!(handle.get(), Ok((1..=x).sum()));
    }
}
