//! Users' `Drop`: where and when it runs, and whom it does not keep waiting.

use distwq::prelude::*;
use serde::{Deserialize, Serialize};
use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};
use std::{env, fs, process, thread};

type Outcome = Result<(), Box<dyn std::error::Error>>;

/// Nothing here should take as long; it ends a test that goes wrong.
const LIMIT: Duration = Duration::from_secs(8);

/// A folder by which the ranks of a test tell each other how far they are. It goes with
/// the test.
struct Signs(PathBuf);

impl Signs {
    fn new() -> Result<Self, std::io::Error> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let folder = env::temp_dir().join(format!("distwq-drops-{}-{number}", process::id()));
        fs::create_dir(&folder)?;
        Ok(Self(folder))
    }

    fn folder(&self) -> String {
        self.0.display().to_string()
    }
}

impl Drop for Signs {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn give(folder: impl AsRef<Path>, sign: &str) {
    fs::write(folder.as_ref().join(sign), "").expect("the folder is there until the test ends");
}

/// Waits for a sign. False if it does not come.
fn has_come(folder: impl AsRef<Path>, sign: &str) -> bool {
    let begun = Instant::now();
    while begun.elapsed() < LIMIT {
        if folder.as_ref().join(sign).exists() {
            return true;
        }
        thread::sleep(Duration::from_millis(1));
    }
    false
}

/// Whether this thread is one of a worker. The user's own value is dropped in the body,
/// and so is the first value of a type that is decoded there to see whether it arrives as
/// it was.
fn is_on_a_worker() -> bool {
    thread::current().name().is_some_and(|name| name.starts_with("distwq-"))
}

/// A value whose `Drop` on a worker gives a sign, and then waits for one.
#[derive(Serialize, Deserialize)]
struct Slow(String);

impl Drop for Slow {
    fn drop(&mut self) {
        if is_on_a_worker() {
            give(&self.0, "dropping");
            if !has_come(&self.0, "go on") {
                give(&self.0, "nobody came");
            }
            give(&self.0, "dropped");
        }
    }
}

/// More bytes than ride back with a report.
const LARGE: usize = 1_000;

/// A large value, which stays on the worker.
#[remote]
fn beside(_slow: &Slow) -> Vec<u8> {
    vec![7; LARGE]
}

#[remote]
fn length(bytes: Vec<u8>) -> usize {
    bytes.len()
}

#[distwq::test(ranks = [2, 3], workers = 2, config = Config::new().inline_bytes_max(100))]
fn a_slow_drop_on_a_worker_keeps_nobody_waiting_for_its_values(cluster: &Cluster) -> Outcome {
    let signs = Signs::new()?;
    let shared = cluster.value(&Slow(signs.folder()));
    let large = cluster.submit(beside::call(&shared));
    cluster.submit(length::call(&large).follow(&large)).get()?;
    drop(shared);
    // A turn, in which the worker is told.
    black_box(cluster.stats());
    assert!(has_come(signs.folder(), "dropping"), "the value goes with its last handle");
    assert_eq!(large.get()?.len(), LARGE);
    assert_eq!(cluster.stats().ranks.len(), cluster.workers() + 1);
    give(signs.folder(), "go on");
    assert!(has_come(signs.folder(), "dropped"));
    assert!(!Path::new(&signs.folder()).join("nobody came").exists(), "the value came while the other was dropped");
    Ok(())
}

/// A value whose `Drop` on a worker needs a stack of several MiB, and then gives a sign.
#[derive(Serialize, Deserialize)]
struct Deep(String);

impl Drop for Deep {
    fn drop(&mut self) {
        if is_on_a_worker() {
            deepen(DEPTH);
            give(&self.0, "dropped");
        }
    }
}

/// More than the 2 MiB that threads have by themselves, less than the 8 MiB that tasks
/// are promised.
const DEPTH: u32 = 1024;

#[inline(never)]
fn deepen(depth: u32) -> u8 {
    let room = black_box([depth as u8; 1_024]);
    let below = if depth == 0 { 0 } else { deepen(depth - 1) };
    black_box(room)[depth as usize % 1024].wrapping_add(below)
}

#[remote]
fn takes(_deep: &Deep) {}

#[remote]
fn holds_until(folder: String, sign: String) -> bool {
    give(&folder, "holds");
    has_come(&folder, &sign)
}

#[distwq::test(ranks = [2], workers = 1)]
fn a_deep_drop_has_the_stack_of_tasks_also_while_a_task_runs(cluster: &Cluster) -> Outcome {
    let signs = Signs::new()?;
    let shared = cluster.value(&Deep(signs.folder()));
    cluster.submit(takes::call(&shared)).get()?;
    let holds = cluster.submit(holds_until::call(signs.folder(), "go on"));
    assert!(has_come(signs.folder(), "holds"));
    drop(shared);
    black_box(cluster.stats());
    assert!(has_come(signs.folder(), "dropped"), "memory does not wait for the task to end");
    give(signs.folder(), "go on");
    assert!(holds.get()?, "the task ran until the value was gone");
    Ok(())
}

/// A value that goes while tasks are taken, and one that its handle outlives.
#[test]
fn a_run_that_a_drop_keeps_from_ending_asks_for_it() -> Outcome {
    for keeps in [false, true] {
        let signs = Signs::new()?;
        let slow = std::mem::ManuallyDrop::new(Slow(signs.folder()));
        let kept = Mutex::new(None);
        let config = Config::new().workers(1).shutdown_grace(Duration::from_millis(300));
        let body = |cluster: &Cluster| -> Result<(), TaskError> {
            let shared = cluster.value(&*slow);
            cluster.submit(beside::call(&shared)).get()?;
            *kept.lock().expect("no panic") = keeps.then_some(shared);
            Ok(())
        };
        let error = distwq_core::launch::run_local(config, body).expect_err("it is being dropped");
        give(signs.folder(), "go on");
        assert!(has_come(signs.folder(), "dropped"));
        assert!(error.contains("does the `Drop` of a value not return"), "keeps {keeps}: {error}");
        assert_eq!(error.contains("rank"), !keeps, "keeps {keeps}: {error}");
    }
    Ok(())
}
