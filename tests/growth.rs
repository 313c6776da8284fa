//! What a user does with many tasks takes time in proportion to their number, and no
//! stack: errors of long chains and the order of large graphs. The limits on time are far
//! above what the work takes; work that grows with the square of these numbers takes
//! minutes.

use distwq::Refusal;
use distwq::prelude::*;
use std::thread;
use std::time::{Duration, Instant};

#[remote]
fn one_more(x: u64) -> u64 {
    x + 1
}

#[remote]
fn fails() -> Result<u64, String> {
    Err("as it was told".to_owned())
}

const LIMIT: Duration = Duration::from_secs(60);

/// Runs `body` with so little stack that a recursion over a long chain overflows it.
fn with_little_stack(body: impl FnOnce() + Send) {
    thread::scope(|scope| {
        let thread = thread::Builder::new().stack_size(512 << 10).spawn_scoped(scope, body);
        thread.expect("a thread can be started").join().expect("it does not panic");
    });
}

/// The steps of a path, without the numbers of the tasks.
fn names(steps: &[String]) -> Vec<&str> {
    steps.iter().map(|step| step.split(" #").next().unwrap_or(step)).collect()
}

/// The names of the first and the last ten of a chain.
fn both_ends(length: usize) -> Vec<String> {
    (0..10).chain(length - 10..length).map(|step| format!("step {step}")).collect()
}

/// step 0 (refused) ─▶ step 1 ─▶ … ─▶ step 299,999
#[distwq::test(ranks = [2], workers = 1, time_limit = 120)]
fn a_chain_on_a_refused_task_costs_a_link_each(cluster: &Cluster) {
    const LENGTH: usize = 300_000;
    with_little_stack(|| {
        let begun = Instant::now();
        let mut handles = vec![cluster.submit(one_more::call(0).ranks(0).label("step 0"))];
        for step in 1..LENGTH {
            let last = &handles[step - 1];
            handles.push(cluster.submit(one_more::call(last).label(format!("step {step}"))));
        }
        let error = handles[LENGTH - 1].get().expect_err("what it needs was refused");
        let TaskError::Refused { task, reason: Refusal::RefusedDependency { root, path } } = &error.clone() else {
            panic!("{error:?}")
        };
        assert_eq!(**task, format!("step {}", LENGTH - 1));
        assert!(matches!(&**root, TaskError::Refused { reason: Refusal::NoRanks, .. }), "{root}");
        assert_eq!(error.root(), &**root);
        assert_eq!(names(&path.steps), both_ends(LENGTH));
        assert_eq!(path.omitted, LENGTH - 20);
        assert!(error.to_string().len() < 2_000 && format!("{error:?}").len() < 10_000, "{error}");
        for handle in &handles {
            assert!(handle.get().is_err());
        }
        drop(handles);
        assert!(begun.elapsed() < LIMIT, "it took {:?}", begun.elapsed());
    });
}

/// A graph whose nodes hang on a task that was refused outside of it, and tasks on these:
/// each link leads on.
#[distwq::test(ranks = [2], workers = 1)]
fn a_refusal_is_named_across_graphs(cluster: &Cluster) {
    let wide = cluster.submit(one_more::call(0).ranks(0).label("wide"));
    let mut graph = Graph::new();
    let node = graph.add(one_more::call(&wide).label("node"));
    let bystander = graph.add(one_more::call(0).label("bystander"));
    let leaf = graph.add(one_more::call(&node).label("leaf"));
    let error = cluster.run(&mut graph).expect_err("it has a task that can never run");
    let RunError::Refused(error) = error else { panic!("{error}") };
    assert_eq!(error, node.get().expect_err("it was refused"));
    let below = cluster.submit(one_more::call(&leaf).label("below"));
    let beside = cluster.submit(one_more::call(&bystander).label("beside"));
    let expected =
        [(&node, "wide -> node"), (&leaf, "wide -> node -> leaf"), (&below, "wide -> node -> leaf -> below")];
    for (handle, expected) in expected {
        let error = handle.get().expect_err("it was refused");
        let TaskError::Refused { reason: Refusal::RefusedDependency { path, .. }, .. } = &error else {
            panic!("{error}")
        };
        assert_eq!(path.to_string(), expected);
        assert!(error.to_string().contains("it wants 0 ranks"), "{error}");
    }
    // What could have run was refused with the first one of its graph that could not.
    assert_eq!(bystander.get(), Err(error));
    let error = beside.get().expect_err("it was refused").to_string();
    assert!(error.contains("it wants 0 ranks") && error.contains("(path: wide -> node -> beside)"), "{error}");
}

/// step 0 (fails) ─▶ step 1 ─▶ … ─▶ step 199,999
#[distwq::test(ranks = [2], workers = 1, time_limit = 120)]
fn every_error_of_a_failed_chain_is_read_in_linear_time(cluster: &Cluster) {
    const LENGTH: usize = 200_000;
    with_little_stack(|| {
        let begun = Instant::now();
        let mut graph = Graph::new();
        let mut handles = vec![graph.add(fails::call().label("step 0"))];
        for step in 1..LENGTH {
            let last = &handles[step - 1];
            handles.push(graph.add(one_more::call(last).label(format!("step {step}"))));
        }
        assert!(cluster.run(&mut graph).is_err());
        for (step, handle) in handles.iter().enumerate().skip(1) {
            let Err(TaskError::Upstream { root, path, .. }) = handle.get() else {
                panic!("it hangs on one that failed")
            };
            assert_eq!(root.message(), Some("as it was told"));
            assert_eq!(path.omitted, (step + 1).saturating_sub(20));
            if (8..32).contains(&step) || step == LENGTH - 1 {
                let whole = (0..=step).map(|step| format!("step {step}")).collect::<Vec<_>>();
                let expected = if step < 20 { whole } else { both_ends(step + 1) };
                assert_eq!(names(&path.steps), expected);
            }
        }
        assert!(begun.elapsed() < LIMIT, "it took {:?}", begun.elapsed());
    });
}
