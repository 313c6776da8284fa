//! What a run shows on standard error while it goes on: how far tasks are, and what they
//! log elsewhere.
//!
//! The programs stand here too: the executable of these tests starts itself again with
//! [`PROGRAM`] set, and the test `program`, which is ignored otherwise, then is the
//! program of this name.

use distwq::LogLevel;
use distwq::prelude::*;
use distwq::testing::{Launcher, Output};
use std::process::ExitCode;
use std::time::Duration;
use std::{env, process, thread};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

/// Names the program that a process is to be.
const PROGRAM: &str = "DISTWQ_TEST_PROGRAM";

#[remote]
fn naps(milliseconds: u64) -> Result<u64, String> {
    thread::sleep(Duration::from_millis(milliseconds));
    if milliseconds == 7 { Err("seven is too many".to_owned()) } else { Ok(milliseconds) }
}

#[remote]
fn logs(number: u64) -> u64 {
    tracing::debug!("nobody wants to know this");
    tracing::warn!(number, kind = "odd", "a line of the task");
    number
}

#[remote]
fn logs_much(lines: u64) {
    for number in 0..lines {
        tracing::info!("line {number} of many");
    }
}

#[remote(collective)]
fn members_log(group: &Group) -> Result<usize, GroupError> {
    tracing::info!("member {} of {}", group.rank(), group.size());
    group.all_reduce(1, |a, b| a + b)
}

fn shows_progress(cluster: &Cluster) -> Result<(), TaskError> {
    let batch = cluster.submit_all([5, 6, 7, 8].map(naps::call));
    let bar = batch.progress_bar();
    assert_eq!(batch.iter().filter(|(_, result)| result.is_err()).count(), 1);
    drop(bar);
    println!("the bar is gone");
    Ok(())
}

fn shows_progress_of_a_map(cluster: &Cluster) -> Result<(), TaskError> {
    let results = cluster.map(naps::call, 5..9).chunk(2).progress_bar();
    assert_eq!(results.filter(Result::is_err).count(), 1);
    println!("the bar is gone");
    Ok(())
}

fn shows_progress_of_a_reduction(cluster: &Cluster) -> Result<(), TaskError> {
    let most = cluster.map(naps::call, [1, 2, 3, 4]).chunk(2).progress_bar().tree_reduce(larger::call)?;
    assert_eq!(most, Some(4));
    Ok(())
}

#[remote]
fn larger(a: u64, b: u64) -> u64 {
    a.max(b)
}

fn shows_progress_of_a_run(cluster: &Cluster) -> Result<(), Box<dyn std::error::Error>> {
    let mut graph = Graph::new();
    (5..9).for_each(|milliseconds| drop(graph.add(naps::call(milliseconds))));
    let run = cluster.start(&mut graph)?;
    let bar = run.progress_bar();
    assert!(run.wait().is_err());
    // Who has the bar need not keep the run.
    drop(run);
    drop(bar);
    println!("the bar is gone");
    Ok(())
}

fn forwards(cluster: &Cluster) -> Result<(), TaskError> {
    for number in 0..3 {
        cluster.submit(logs::call(number).label(format!("number {number}"))).get()?;
    }
    let ranks = cluster.workers();
    assert_eq!(cluster.submit(members_log::call().ranks(ranks)).get(), Ok(ranks));
    Ok(())
}

/// Prints the events that the process is told of, but for those of the library.
struct Prints;

struct Texts(String);

impl Visit for Texts {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        self.0.push_str(&format!(" {}={value:?}", field.name()));
    }
}

impl Subscriber for Prints {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.is_event() && metadata.target() != "distwq"
    }

    fn event(&self, event: &Event<'_>) {
        let mut texts = Texts(String::new());
        event.record(&mut texts);
        println!("{} {}:{}", event.metadata().level(), event.metadata().target(), texts.0);
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

fn run(program: &str) -> ExitCode {
    let config = Config::new().workers(2);
    match program {
        "shows progress" => distwq::launch(config, shows_progress),
        "shows progress of a map" => distwq::launch(config, shows_progress_of_a_map),
        "shows progress of a reduction" => distwq::launch(config, shows_progress_of_a_reduction),
        "shows progress of a run" => distwq::launch(config, shows_progress_of_a_run),
        "forwards" => distwq::launch(config.forward_logs(LogLevel::Info), forwards),
        "forwards by a variable" => distwq::launch(config, forwards),
        "forwards to a subscriber" => {
            tracing::subscriber::set_global_default(Prints).expect("there is none");
            distwq::launch(config.forward_logs(LogLevel::Info), forwards)
        }
        "forwards much" => distwq::launch(config.forward_logs(LogLevel::Info), |cluster| {
            cluster.submit(logs_much::call(100_000)).get()
        }),
        _ => panic!("there is no program {program:?}"),
    }
}

#[test]
#[ignore = "it is the program that the other tests launch"]
fn program() {
    let Ok(name) = env::var(PROGRAM) else { return };
    let code = run(&name);
    process::exit(i32::from(code != ExitCode::SUCCESS));
}

/// Runs a program alone, or under `mpirun` as so many ranks, with these variables.
#[track_caller]
fn launch(program: &str, ranks: Option<usize>, variables: &[(&str, &str)]) -> Output {
    let executable = env::current_exe().expect("the system knows it");
    let launcher = match ranks {
        Some(ranks) => Launcher::new(executable, ranks),
        None => Launcher::alone(executable),
    };
    let launcher = launcher
        .args(["program", "--exact", "--nocapture", "--include-ignored", "--test-threads=1"])
        .env(PROGRAM, program)
        .time_limit(Duration::from_secs(60));
    let launcher = variables.iter().fold(launcher, |launcher, (name, value)| launcher.env(*name, *value));
    launcher.run().expect("it can be launched").expect_success()
}

/// Alone, and under `mpirun` as three ranks where there is MPI.
fn backends() -> Vec<Option<usize>> {
    let wish = env::var("DISTWQ_TEST_BACKEND").unwrap_or_default();
    let alone = (wish != "mpi").then_some(None);
    let over_mpi = (cfg!(feature = "mpi") && wish != "local").then_some(Some(3));
    alone.into_iter().chain(over_mpi).collect()
}

#[test]
fn progress_is_told_in_lines_where_there_is_no_terminal() {
    for backend in backends() {
        let lines: &[_] = &[("DISTWQ_PROGRESS", "lines")];
        for (program, variables) in [
            ("shows progress", &[][..]),
            ("shows progress", lines),
            ("shows progress of a map", &[]),
            ("shows progress of a run", &[]),
        ] {
            let output = launch(program, backend, variables);
            let last = "distwq: 4 of 4 tasks have ended, 1 failed, ";
            assert_eq!(output.to_string().matches(last).count(), 1, "{output}");
        }
        let output = launch("shows progress of a reduction", backend, &[]);
        assert!(output.contains("distwq: 4 of 4 tasks have ended, "), "{output}");
    }
}

#[test]
fn progress_is_a_bar_where_that_is_wished_and_nothing_where_it_is_off() {
    let output = launch("shows progress", None, &[("DISTWQ_PROGRESS", "bar")]);
    assert!(output.contains("4 of 4, 1 failed") && !output.contains("tasks have ended"), "{output}");
    for backend in backends() {
        let output = launch("shows progress", backend, &[("DISTWQ_PROGRESS", "off")]);
        assert!(output.contains("the bar is gone"), "{output}");
        assert!(!output.contains("4 of 4") && !output.contains("tasks have ended"), "{output}");
    }
}

#[test]
fn lines_that_tasks_log_are_told_where_the_body_runs_each_with_its_task() {
    for backend in backends() {
        let by_variable: &[_] = &[("DISTWQ_FORWARD_LOGS", "info")];
        for (program, variables) in [("forwards", &[][..]), ("forwards by a variable", by_variable)] {
            let output = launch(program, backend, variables);
            let said = output.rank(0);
            for number in 0..3 {
                let words = format!("\"number {number}\": a line of the task number={number} kind=\"odd\"");
                let line = said.lines().find(|line| line.contains(&words));
                let line = line.unwrap_or_else(|| panic!("{words} is missing: {output}"));
                assert!(line.contains("distwq: WARN rank ") && line.contains("logs #"), "{line}");
            }
            for member in 0..2 {
                assert!(said.contains(&format!(": member {member} of 2")), "{output}");
            }
            assert!(!output.contains("nobody wants to know this"), "{output}");
        }
        let output = launch("forwards by a variable", backend, &[]);
        assert!(!output.contains("a line of the task"), "{output}");
    }
}

#[test]
fn a_subscriber_of_the_body_hears_of_lines_of_tasks_once() {
    for backend in backends() {
        let output = launch("forwards to a subscriber", backend, &[]);
        let heard = output.rank(0).lines().filter(|line| line.contains("a line of the task"));
        let heard: Vec<_> = heard.collect();
        assert_eq!(heard.len(), 3, "{output}");
        // On the local backend it hears them from the tasks themselves.
        let target = if backend.is_some() { "WARN distwq::task:" } else { "WARN shown:" };
        assert!(heard.iter().all(|line| line.contains(target)), "{output}");
        if backend.is_some() {
            let fields = ["from=\"shown\"", "label=\"number 0\"", "attempt=1", "rank="];
            assert!(fields.iter().all(|field| heard[0].contains(field)), "{output}");
        }
    }
}

#[test]
fn lines_beyond_what_a_rank_may_tell_in_a_second_are_counted() {
    for backend in backends() {
        let output = launch("forwards much", backend, &[]);
        let told = output.rank(0).matches(" of many").count();
        assert!((1_000..100_000).contains(&told), "{told} lines");
        assert!(output.contains("lines of tasks were too many in a second, and were dropped"), "{told} lines");
    }
}
