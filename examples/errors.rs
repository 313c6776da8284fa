//! How tasks fail, and what their handles say: an error, a panic, a failure upstream, a
//! refusal. None of them takes the worker or the other tasks down.

use distwq::Refusal;
use distwq::prelude::*;
use std::num::ParseIntError;

#[derive(Debug)]
struct BadLine(usize, ParseIntError);

impl std::fmt::Display for BadLine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "line {} is no number", self.0)
    }
}

impl std::error::Error for BadLine {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.1)
    }
}

/// Errors travel as text, with their sources; nothing is asked of them but `Display`.
#[remote]
fn parse(text: &str) -> Result<Vec<i64>, BadLine> {
    let numbers = text.lines().enumerate();
    numbers.map(|(index, line)| line.parse().map_err(|error| BadLine(index + 1, error))).collect()
}

#[remote]
fn largest(numbers: Vec<i64>) -> i64 {
    *numbers.iter().max().expect("there are numbers")
}

#[remote]
fn difference(a: i64, b: i64) -> i64 {
    a - b
}

#[distwq::main]
fn main(cluster: &Cluster) {
    let mut graph = Graph::new();
    let good = graph.add(parse::call("3\n9\n4"));
    let wrong = graph.add(parse::call("3\nnine\n4").label("the broken file"));
    let empty = graph.add(parse::call(""));
    let [a, b, c] = [&good, &wrong, &empty].map(|numbers| graph.add(largest::call(numbers)));
    let last = graph.add(difference::call(&a, &b).label("the end"));

    // The run is an error, but all that could be computed has been.
    let error = cluster.run(&mut graph).expect_err("two tasks fail");
    let RunError::Failed { failed, upstream } = &error else { panic!("the graph was taken: {error}") };
    assert_eq!((failed.len(), *upstream), (2, 2));
    assert_eq!(a.get(), Ok(9));
    println!("{error}\n");

    let error = wrong.get().expect_err("nine is no number");
    assert_eq!(error.message(), Some("line 2 is no number: invalid digit found in string"));
    let site = error.site().expect("a task that ran has a site");
    assert_eq!((site.label.as_deref(), site.attempts), (Some("the broken file"), 1));
    assert!(site.rank.is_some() && site.host.is_some());

    // A panic is an error of its task too. What the panic hook prints goes to standard
    // error, as always.
    let error = c.get().expect_err("the list is empty");
    assert!(matches!(&error, TaskError::Panicked { message, .. } if message.contains("there are numbers")));

    // What hangs on a failed task names the one where it began, and the way from there.
    let error = last.get().expect_err("an input failed");
    let TaskError::Upstream { root, path, .. } = &error else { panic!("not upstream: {error}") };
    assert_eq!(root.site().and_then(|site| site.label.as_deref()), Some("the broken file"));
    assert_eq!(path.steps.len(), 3);
    println!("{error}\n");

    // What can never run is refused at once.
    let refused = cluster.submit(largest::call([1, 2].as_slice()).ranks(0));
    assert!(refused.is_done());
    assert!(matches!(refused.get(), Err(TaskError::Refused { reason: Refusal::NoRanks, .. })));

    // And everything goes on.
    assert_eq!(cluster.submit(difference::call(&a, 4)).get(), Ok(5));
}
