//! A rank that is gone, in the words of one that remains: its process was killed, or has
//! ended in its last words.

use crate::api::cluster::Inner;
use crate::id::Rank;
use crate::peers::{Process, Watch};
use crate::runtime::ControllerEngine;
use crate::runtime::driver::Driver;
use crate::runtime::fault;
use std::sync::Weak;
use std::thread;
use std::time::{Duration, Instant};

/// The drive gives the engine to others between turns, so this is long.
const ENGINE_LIMIT: Duration = Duration::from_millis(100);

/// On the controller: says which workers have gone and what they had to do, before the
/// launcher ends this rank too.
pub(super) fn watch_workers(processes: Vec<(Rank, Process)>, inner: Weak<Inner>) -> Option<Watch> {
    let tell = move |lost: &[(Rank, u32)]| {
        let Some(inner) = inner.upgrade() else { return };
        let tasks = what_was_at(&inner.driver, lost);
        let words = lost.iter().zip(tasks).map(|((rank, process), tasks)| gone(*rank, "", *process) + &tasks);
        say(&words.collect::<Vec<_>>().join("; "));
    };
    Watch::begin(processes, tell, end_run)
}

/// On a worker: says that the controller has gone.
pub(super) fn watch_controller(controller: Rank, process: Process) -> Option<Watch> {
    let tell = move |lost: &[(Rank, u32)]| {
        let words = lost.iter().map(|(_, process)| gone(controller, ", the controller,", *process));
        words.for_each(|words| say(&words));
    };
    Watch::begin([(controller, process)], tell, end_run)
}

/// Only ranks of this host are watched.
fn gone(rank: Rank, role: &str, process: u32) -> String {
    let host = fault::host();
    format!("{rank} (host {host}){role} is gone: its process {process} has ended while the run goes on")
}

fn what_was_at(driver: &Driver<ControllerEngine>, lost: &[(Rank, u32)]) -> Vec<String> {
    let mut tasks = None;
    let deadline = Instant::now() + ENGINE_LIMIT;
    while tasks.is_none() && Instant::now() < deadline {
        driver.try_with(|engine| {
            tasks = Some(lost.iter().map(|(rank, _)| engine.machine().what_was_at(*rank)).collect())
        });
        thread::yield_now();
    }
    tasks.unwrap_or_else(|| vec![String::new(); lost.len()])
}

fn say(text: &str) {
    // A run that ends by itself loses nobody.
    if fault::is_armed() {
        fault::say(text);
    }
}

/// Not all launchers end a run that has lost a rank.
fn end_run() {
    if fault::is_armed() {
        fault::end_process("a rank is gone, and the launcher has not ended the others");
    }
}
