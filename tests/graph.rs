//! Graphs: order, errors of their making, what hangs on what fails, size.

use distwq::prelude::*;
use distwq::{OrderError, Refusal};
use std::thread;
use std::time::{Duration, Instant};

type Outcome = Result<(), Box<dyn std::error::Error>>;

#[remote]
fn one_more(x: u64) -> u64 {
    x + 1
}

#[remote]
fn seven() -> u64 {
    7
}

#[remote]
fn total(values: Vec<u64>) -> u64 {
    values.iter().sum()
}

#[remote]
fn pause(milliseconds: u64) {
    thread::sleep(Duration::from_millis(milliseconds));
}

#[remote]
fn fails_if(fails: bool) -> Result<(), String> {
    if fails { Err("as it was told".to_owned()) } else { Ok(()) }
}

/// `after` a task of 0.5 s: the child starts when its parent has ended.
#[distwq::test(ranks = [2, 3, 4, 7])]
fn a_child_starts_after_the_end_of_its_parent(cluster: &Cluster) -> Outcome {
    let parent = cluster.submit(pause::call(500));
    let child = cluster.submit(pause::call(0).after(&parent));
    child.get()?;
    assert!(child.info().started_ns >= parent.info().finished_ns, "{:?} {:?}", parent.info(), child.info());
    Ok(())
}

/// Five followers of each task run on its worker.
#[distwq::test(ranks = [2, 3, 4, 7], every)]
fn followers_run_on_the_worker_of_the_task_they_follow(cluster: &Cluster) -> Outcome {
    let mut graph = Graph::new();
    let leaders: Vec<_> = (0..6).map(|_| graph.add(pause::call(5))).collect();
    let followers: Vec<Vec<_>> =
        leaders.iter().map(|leader| (0..5).map(|_| graph.add(pause::call(5).follow(leader))).collect()).collect();
    cluster.run(&mut graph)?;
    for (leader, followers) in leaders.iter().zip(&followers) {
        for follower in followers {
            assert_eq!(follower.info().ranks, leader.info().ranks);
            assert!(follower.info().started_ns >= leader.info().finished_ns);
        }
    }
    Ok(())
}

/// Which of the five tasks of the sample graph end in a value, if `failing` fails, and
/// how all others end.
///
/// ```text
///     0
///    / \
///   1   2
///   | \ |
///   4  \3
/// ```
fn sample_graph(cluster: &Cluster, failing: usize) -> (RunError, [Result<(), TaskError>; 5]) {
    let mut graph = Graph::new();
    let call = |node: usize| fails_if::call(node == failing).label(format!("node {node}"));
    let zero = graph.add(call(0));
    let one = graph.add(call(1).after(&zero));
    let two = graph.add(call(2).after(&zero));
    let three = graph.add(call(3).after_all([&one, &two]));
    let four = graph.add(call(4).after(&one));
    let error = cluster.run(&mut graph).expect_err("one of them fails");
    (error, [zero, one, two, three, four].map(|handle| handle.get()))
}

/// What depends on the task that failed does not run, all else does. Node 4 depends on 1
/// alone, so the failure of 2 leaves it alone.
#[distwq::test(ranks = [2, 3, 4, 7], every)]
fn what_hangs_on_a_failed_task_does_not_run(cluster: &Cluster) {
    let expected = [(0, vec![]), (1, vec![0, 2]), (2, vec![0, 1, 4])];
    for (failing, done) in expected {
        let (error, ends) = sample_graph(cluster, failing);
        for (node, end) in ends.iter().enumerate() {
            match end {
                Ok(()) => assert!(done.contains(&node), "{node} ran although {failing} failed"),
                Err(TaskError::Failed { site, message }) => {
                    assert_eq!((node, &**message), (failing, "as it was told"));
                    assert_eq!(site.label.as_deref(), Some(&*format!("node {failing}")));
                }
                Err(TaskError::Upstream { root, path, .. }) => {
                    assert!(!done.contains(&node), "{node} did not run although only {failing} failed");
                    assert_eq!(Err(&**root), ends[failing].as_ref());
                    let name = |node: usize| format!("node {node} #");
                    assert!(path.steps.first().is_some_and(|step| step.starts_with(&name(failing))), "{path}");
                    assert!(path.steps.last().is_some_and(|step| step.starts_with(&name(node))), "{path}");
                }
                Err(other) => panic!("node {node} ended with {other}"),
            }
        }
        let RunError::Failed { failed, upstream } = error else { panic!("{error}") };
        assert_eq!((failed.len(), upstream), (1, 4 - done.len()));
    }
}

/// A generator of random numbers (splitmix64, Steele et al. 2014): the same graph for the
/// same seed.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % bound
    }
}

/// A random graph of 32 nodes and 128 edges: every start after every parent's end.
#[distwq::test(ranks = [2, 3, 4, 7], every)]
fn every_task_of_a_random_graph_starts_after_all_its_parents(cluster: &Cluster) -> Outcome {
    let rounds = if distwq::testing::full() { 30 } else { 3 };
    for seed in 0..rounds {
        let mut random = Random(seed);
        let mut edges = Vec::new();
        while edges.len() < 128 {
            let later = 1 + random.below(31);
            let edge = (random.below(later) as usize, later as usize);
            if !edges.contains(&edge) {
                edges.push(edge);
            }
        }
        let mut graph = Graph::new();
        let mut handles = Vec::new();
        for node in 0..32 {
            let parents = edges.iter().filter(|(_, later)| *later == node).map(|(earlier, _)| &handles[*earlier]);
            let call = pause::call(random.below(4)).after_all(parents);
            let handle = graph.add(call);
            handles.push(handle);
        }
        cluster.run(&mut graph)?;
        for (earlier, later) in &edges {
            let (parent, child) = (handles[*earlier].info(), handles[*later].info());
            assert!(child.started_ns >= parent.finished_ns, "seed {seed}: {later} started before {earlier} ended");
        }
    }
    Ok(())
}

/// The error names the cycle; the graph is as it was.
#[distwq::test(ranks = [2, 3, 4, 7])]
fn an_edge_that_closes_a_cycle_is_refused_and_the_graph_runs_without_it(cluster: &Cluster) -> Outcome {
    let mut graph = Graph::new();
    let a = graph.add(seven::call().label("a"));
    let b = graph.add(one_more::call(&a).label("b"));
    let c = graph.add(one_more::call(1).label("c"));
    graph.order(&b, &c)?;
    let before = graph.to_dot();
    let error = graph.order(&c, &a).expect_err("it closes a cycle");
    let OrderError::Cycle(cycle) = &error else { panic!("{error}") };
    assert_eq!(cycle.path.first(), cycle.path.last());
    for name in ["a [", "b [", "c ["] {
        assert!(cycle.path.iter().any(|step| step.starts_with(name)), "{error}");
    }
    assert!(graph.order(&a, &a).is_err(), "a task cannot come before itself");
    assert_eq!(graph.to_dot(), before);
    cluster.run(&mut graph)?;
    assert_eq!((a.get()?, b.get()?, c.get()?), (7, 8, 2));
    assert!(c.info().started_ns >= b.info().finished_ns, "the edge that was taken holds");
    Ok(())
}

#[distwq::test(ranks = [2, 3, 4, 7])]
fn a_graph_runs_once(cluster: &Cluster) -> Outcome {
    let mut graph = Graph::new();
    let first = graph.add(seven::call());
    cluster.run(&mut graph)?;
    let error = cluster.run(&mut graph).expect_err("it has run");
    let twice = |error: &TaskError| matches!(error, TaskError::Refused { reason: Refusal::StartedTwice, .. });
    assert!(matches!(&error, RunError::Refused(reason) if twice(reason)), "{error}");
    assert!(cluster.start(&mut graph).is_err());
    let late = graph.add(seven::call());
    assert!(late.get().is_err_and(|error| twice(&error)));
    assert!(graph.value(&3_u8).get().is_err());
    assert_eq!(first.get()?, 7, "what it gave stays");
    Ok(())
}

#[distwq::test(ranks = [2, 3, 4, 7])]
fn handles_of_a_graph_are_arguments_elsewhere_once_it_has_started(cluster: &Cluster) -> Outcome {
    let mut graph = Graph::new();
    let x = graph.add(seven::call());
    let early = cluster.submit(one_more::call(&x));
    let refused = |error: TaskError| matches!(error, TaskError::Refused { reason: Refusal::NotStartedDependency, .. });
    assert!(early.get().is_err_and(refused));
    let mut other = Graph::new();
    assert!(other.add(one_more::call(&x)).get().is_err_and(refused));
    assert!(cluster.run(&mut other).is_err(), "a graph with a refused task does not start");
    assert!(matches!(x.get(), Err(TaskError::NotStarted)));

    cluster.start(&mut graph)?;
    let y = cluster.submit(one_more::call(&x));
    let mut third = Graph::new();
    let z = third.add(total::call(vec![x.clone(), y.clone()]));
    cluster.run(&mut third)?;
    assert_eq!((x.get()?, y.get()?, z.get()?), (7, 8, 15));
    Ok(())
}

#[distwq::test(ranks = [2, 3, 4, 7])]
fn a_graph_with_a_task_that_cannot_run_does_not_start(cluster: &Cluster) {
    let mut graph = Graph::new();
    let fine = graph.add(seven::call());
    let wide = graph.add(seven::call().ranks(2).label("wide"));
    let after = graph.add(one_more::call(&wide));
    let error = cluster.run(&mut graph).expect_err("a function that is not collective on two ranks");
    assert!(error.to_string().contains("wide"), "{error}");
    for handle in [fine, wide, after] {
        assert!(matches!(handle.get(), Err(TaskError::Refused { .. })), "{handle:?}");
    }
    assert_eq!(cluster.stats().submitted, 0);
}

#[distwq::test(ranks = [2, 3, 4, 7])]
fn a_failed_run_lists_the_root_failures_only(cluster: &Cluster) -> Outcome {
    let mut graph = Graph::new();
    let bad: Vec<_> = (0..3).map(|n| graph.add(fails_if::call(true).label(format!("bad {n}")))).collect();
    let good = graph.add(seven::call());
    let below: Vec<_> = bad.iter().map(|bad| graph.add(seven::call().after(bad))).collect();
    let error = cluster.run(&mut graph).expect_err("three fail");
    let text = error.to_string();
    let RunError::Failed { failed, upstream } = error else { panic!("{text}") };
    assert_eq!((failed.len(), upstream), (3, 3));
    assert!(text.starts_with("3 tasks failed, and 3 tasks after them did not run\n"), "{text}");
    for n in 0..3 {
        assert!(text.contains(&format!("bad {n}")), "{text}");
    }
    assert_eq!(good.get()?, 7);
    assert!(below.iter().all(|handle| handle.get().is_err()));
    Ok(())
}

#[distwq::test(ranks = [2, 3, 4, 7])]
fn an_empty_graph_runs(cluster: &Cluster) -> Outcome {
    cluster.run(&mut Graph::new())?;
    Ok(())
}

#[test]
fn a_graph_is_measured_and_drawn_without_a_cluster() {
    let mut graph = Graph::new();
    let shared = graph.value(&5_u64);
    let wide: Vec<_> = (0..4).map(|n| graph.add(one_more::call(&shared).label(format!("wide {n}")))).collect();
    let sum = graph.add(total::call(&wide).label("sum"));
    let last = graph.add(one_more::call(&sum).label("last"));
    assert_eq!((graph.width(), graph.len()), (4, 7));
    let path = graph.critical_path();
    assert_eq!(path.len(), 3, "{path:?}");
    assert!(path[1].starts_with("sum") && path[2].starts_with("last"), "{path:?}");
    let dot = graph.to_dot();
    assert!(dot.starts_with("digraph"), "{dot}");
    for name in ["wide 0", "wide 3", "sum", "last"] {
        assert!(dot.contains(name), "{dot}");
    }
    assert!(matches!(last.get(), Err(TaskError::NotStarted)));
}

/// How long a graph of 200,000 tasks may take: linear in its size, on a slow machine in a
/// debug build.
const LARGE_LIMIT: Duration = Duration::from_secs(90);
const LARGE: u64 = 200_000;

#[distwq::test(ranks = [3], workers = 2, time_limit = 120)]
fn a_chain_of_two_hundred_thousand_tasks_ends_in_bounded_time(cluster: &Cluster) -> Outcome {
    let begun = Instant::now();
    let mut graph = Graph::new();
    let mut last = graph.add(seven::call());
    for _ in 1..LARGE {
        last = graph.add(one_more::call(&last));
    }
    cluster.run(&mut graph)?;
    assert_eq!(last.get()?, 7 + LARGE - 1);
    assert!(begun.elapsed() < LARGE_LIMIT, "it took {:?}", begun.elapsed());
    Ok(())
}

#[distwq::test(ranks = [3], workers = 2, time_limit = 120)]
fn a_failed_chain_of_two_hundred_thousand_tasks_ends_in_bounded_time(cluster: &Cluster) {
    let begun = Instant::now();
    let mut graph = Graph::new();
    let root = graph.add(fails_if::call(true).label("root"));
    let mut last = graph.add(seven::call().after(&root));
    for _ in 2..LARGE {
        last = graph.add(one_more::call(&last));
    }
    let error = cluster.run(&mut graph).expect_err("the first fails");
    assert!(matches!(error, RunError::Failed { upstream, .. } if upstream as u64 == LARGE - 1), "{error}");
    let Err(TaskError::Upstream { path, .. }) = last.get() else { panic!("it has no value") };
    assert_eq!((path.steps.len(), path.omitted as u64), (20, LARGE - 20));
    assert!(begun.elapsed() < LARGE_LIMIT, "it took {:?}", begun.elapsed());
}

#[distwq::test(ranks = [3], workers = 2, time_limit = 120)]
fn a_fan_of_two_hundred_thousand_tasks_ends_in_bounded_time(cluster: &Cluster) -> Outcome {
    let begun = Instant::now();
    let mut graph = Graph::new();
    let root = graph.add(seven::call());
    let leaves: Vec<_> = (0..LARGE).map(|_| graph.add(one_more::call(&root))).collect();
    let sum = graph.add(total::call(&leaves));
    cluster.run(&mut graph)?;
    assert_eq!(sum.get()?, 8 * LARGE);
    assert!(begun.elapsed() < LARGE_LIMIT, "it took {:?}", begun.elapsed());
    Ok(())
}

/// Numbers one behind another, with what makes each part longer than a few bytes.
#[remote]
fn joined(front: String, first: Vec<u64>, none: Vec<u64>, second: Vec<u64>, single: u64, back: String) -> String {
    assert!(none.is_empty());
    let numbers = |numbers: &[u64]| numbers.iter().map(u64::to_string).collect::<Vec<_>>().join(",");
    format!("{}|{}|{}|{single}|{}", front.len(), numbers(&first), numbers(&second), back.len())
}

#[distwq::test(ranks = [2, 3, 7])]
fn inputs_keep_their_order_wherever_they_come_from(cluster: &Cluster) -> Outcome {
    let outside: Vec<Handle<u64>> = (0..5).map(|number| cluster.submit(one_more::call(99 + number))).collect();
    let mut graph = Graph::new();
    // More nodes than share a block, so that inputs come from several.
    let own: Vec<Handle<u64>> = (0..150).map(|number| graph.add(one_more::call(number))).collect();
    let value = graph.value(&1_000_u64);
    let first = [&own[140], &outside[0], &own[3], &value, &own[3], &outside[4]].map(Clone::clone);
    let second = [&outside[1], &outside[2], &own[149]].map(Clone::clone);
    let expected = "141,100,4,1000,4,104|101,102,150|104|";
    let mut found = Vec::new();
    // Around the sizes up to which bytes are kept in place, and in the memory of the
    // graph.
    for len in [0, 30, 31, 255, 256, 257, 70_000] {
        let (front, back) = ("f".repeat(len), "b".repeat(len / 2));
        let call = joined::call(front, &first[..], Vec::<u64>::new(), &second[..], &outside[4], back);
        found.push((format!("{len}|{expected}{}", len / 2), graph.add(call)));
    }
    // All from outside, and the first of them at the end of a list of its own.
    let call = joined::call("", &outside, Vec::<u64>::new(), vec![own[0].clone(), outside[0].clone()], &own[1], "");
    found.push(("0|100,101,102,103,104|1,100|2|0".to_owned(), graph.add(call)));
    let sizes: Vec<(usize, Handle<String>)> =
        [30, 31, 256, 257, 70_000].map(|len| (len, graph.value(&"v".repeat(len)))).into();
    // An explicit edge that makes the graph start in another order than its own.
    let before = found[7].1.clone();
    graph.order(&before, &own[77])?;
    cluster.run(&mut graph)?;
    for (expected, handle) in found {
        assert_eq!(handle.get()?, expected);
    }
    for (len, handle) in sizes {
        assert_eq!(handle.get()?.len(), len);
    }
    assert!(own[77].info().started_ns > before.info().started_ns);
    Ok(())
}

/// Many bytes, so that the value stays where it was made.
#[remote]
fn block(number: u8) -> Vec<u8> {
    vec![number; 100_000]
}

#[remote]
fn first_of(blocks: Vec<Vec<u8>>) -> u8 {
    blocks[0][0]
}

#[distwq::test(ranks = [2, 3, 7])]
fn handles_come_and_go_in_other_threads_while_their_graph_starts(cluster: &Cluster) -> Outcome {
    for _ in 0..5 {
        let mut graph = Graph::new();
        let blocks: Vec<_> = (0..100).map(|number| graph.add(block::call(number))).collect();
        let firsts: Vec<_> = (0..100)
            .map(|number| graph.add(first_of::call(vec![blocks[number].clone()]).after(&blocks[99 - number])))
            .collect();
        thread::scope(|scope| {
            for part in blocks.chunks(25) {
                let handles = part.to_vec();
                scope.spawn(move || {
                    let clones: Vec<_> = handles.iter().flat_map(|handle| [handle.clone(), handle.clone()]).collect();
                    drop(handles);
                    clones.iter().for_each(|clone| _ = clone.is_done());
                });
            }
            drop(blocks);
            cluster.start(&mut graph)
        })?;
        for (number, first) in firsts.iter().enumerate() {
            assert_eq!(usize::from(first.get()?), number);
        }
    }
    // The values have gone with the last of handles and consumers.
    let begun = Instant::now();
    while cluster.stats().ranks.iter().any(|rank| rank.resident_values > 0) {
        assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", cluster.stats());
    }
    Ok(())
}
