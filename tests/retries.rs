//! Retries: how often, where, with what, and what is told in the end.

use distwq::prelude::*;
use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

type Outcome = Result<(), Box<dyn std::error::Error>>;

/// A folder in which attempts leave a file each, named for where they ran: attempts run
/// in several processes.
struct Attempts {
    folder: PathBuf,
}

impl Attempts {
    fn new() -> Self {
        static FOLDERS: AtomicUsize = AtomicUsize::new(0);
        let number = FOLDERS.fetch_add(1, Ordering::Relaxed);
        let folder = std::env::temp_dir().join(format!("distwq-attempts-{}-{number}", std::process::id()));
        fs::create_dir_all(&folder).expect("the temporary folder can be written");
        Self { folder }
    }

    fn path(&self) -> String {
        self.folder.to_string_lossy().into_owned()
    }

    /// Where each attempt ran: a worker is a process, or a thread of one.
    fn places(&self) -> Vec<String> {
        let files = fs::read_dir(&self.folder).expect("it is there");
        let names = files.map(|file| file.expect("it can be read").file_name().to_string_lossy().into_owned());
        names.map(|name| name.split('.').next().unwrap_or_default().to_owned()).collect()
    }
}

impl Drop for Attempts {
    fn drop(&mut self) {
        // What stays behind in the temporary folder harms nobody.
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// Leaves the file of one attempt. Gives how many there were before.
fn leave_file(folder: &str) -> Result<usize, String> {
    static FILES: AtomicUsize = AtomicUsize::new(0);
    let before = fs::read_dir(folder).map_err(|error| error.to_string())?.count();
    let number = FILES.fetch_add(1, Ordering::Relaxed);
    let thread: String = format!("{:?}", thread::current().id()).chars().filter(char::is_ascii_digit).collect();
    let name = format!("{}-{thread}.{number}", std::process::id());
    fs::write(Path::new(folder).join(name), "").map_err(|error| error.to_string())?;
    Ok(before)
}

#[remote]
fn always_fails(folder: String) -> Result<(), String> {
    leave_file(&folder)?;
    Err("the original error".to_owned())
}

/// Fails until it has been tried `failures` times.
#[remote]
fn fails_at_first(folder: String, failures: usize, input: Vec<u8>) -> Result<usize, String> {
    let before = leave_file(&folder)?;
    if before < failures { Err(format!("attempt {} fails", before + 1)) } else { Ok(input.len()) }
}

#[remote]
fn panics_at_first(folder: &str, failures: usize) -> usize {
    let before = leave_file(folder).expect("the folder is there");
    assert!(before >= failures, "attempt {} panics", before + 1);
    before
}

#[remote]
fn bytes(count: usize) -> Vec<u8> {
    vec![1; count]
}

/// Up to one retry less than there are workers: one attempt more than retries, each on
/// another worker, then the error of the task itself.
#[distwq::test(ranks = [2, 3, 4, 7], every)]
fn a_task_that_always_fails_is_tried_on_distinct_workers_and_gives_its_own_error(cluster: &Cluster) {
    for retries in 0..cluster.workers() as u32 {
        let attempts = Attempts::new();
        let handle = cluster.submit(always_fails::call(attempts.path()).retries(retries));
        let error = handle.get().expect_err("it always fails");
        let TaskError::Failed { site, message } = &error else { panic!("{error}") };
        assert_eq!((&**message, site.attempts), ("the original error", retries + 1));
        assert!(error.to_string().contains(&format!("attempt {}", retries + 1)), "{error}");
        assert_eq!(handle.info().attempts, retries + 1);
        let places = attempts.places();
        assert_eq!(places.len() as u32, retries + 1);
        assert_eq!(places.iter().collect::<HashSet<_>>().len(), places.len(), "{places:?}");
    }
}

#[distwq::test(ranks = [2, 3, 4, 7])]
fn with_more_retries_than_workers_a_task_is_tried_again_where_it_failed(cluster: &Cluster) {
    let attempts = Attempts::new();
    let retries = 3 * cluster.workers() as u32;
    let error = cluster.submit(always_fails::call(attempts.path()).retries(retries)).get().expect_err("it fails");
    assert_eq!(error.site().map(|site| site.attempts), Some(retries + 1));
    let places = attempts.places();
    assert_eq!(places.len() as u32, retries + 1);
    assert_eq!(places.iter().collect::<HashSet<_>>().len(), cluster.workers());
}

#[distwq::test(ranks = [2, 3, 4, 7])]
fn a_task_that_works_at_last_gives_its_value_and_its_inputs_are_still_there(cluster: &Cluster) -> Outcome {
    for count in [10, 50_000] {
        let attempts = Attempts::new();
        let input = cluster.submit(bytes::call(count));
        let handle = cluster.submit(fails_at_first::call(attempts.path(), 2, &input).retries(5));
        drop(input);
        let below = cluster.submit(bytes::call(&handle));
        assert_eq!((handle.get()?, below.get()?.len()), (count, count));
        assert_eq!((handle.info().attempts, attempts.places().len()), (3, 3));
        let attempts = Attempts::new();
        let handle = cluster.submit(panics_at_first::call(attempts.path(), 1).retries(1));
        assert_eq!(handle.get()?, 1);
    }
    assert_eq!(cluster.stats().failed, 0);
    Ok(())
}

#[distwq::test(ranks = [2, 3, 4, 7])]
fn a_follower_is_tried_again_on_the_worker_that_it_follows(cluster: &Cluster) -> Outcome {
    for _ in 0..5 {
        let attempts = Attempts::new();
        let leader = cluster.submit(bytes::call(10));
        let call = fails_at_first::call(attempts.path(), 2, &leader).follow(&leader).retries(2);
        let handle = cluster.submit(call);
        assert_eq!(handle.get()?, 10);
        assert_eq!(attempts.places().iter().collect::<HashSet<_>>().len(), 1);
        assert_eq!(handle.info().ranks, leader.info().ranks);
    }
    Ok(())
}

#[remote(collective)]
fn fails_together_at_first(group: &Group, folder: String, failures: usize) -> Result<usize, String> {
    let before = if group.rank() == 0 { Some(leave_file(&folder)?) } else { None };
    let before = group.broadcast(0, before).map_err(|error| error.to_string())?;
    if before < failures && group.rank() + 1 == group.size() {
        return Err(format!("attempt {} fails", before + 1));
    }
    group.all_reduce(1, |a, b| a + b).map_err(|error| error.to_string())
}

#[distwq::test(ranks = [2, 3, 4, 7])]
fn a_collective_task_is_tried_again_as_a_whole(cluster: &Cluster) -> Outcome {
    let attempts = Attempts::new();
    let handle = cluster.submit(fails_together_at_first::call(attempts.path(), 2).retries(2));
    assert_eq!(handle.get()?, cluster.workers());
    assert_eq!((handle.info().attempts, attempts.places().len()), (3, 3));
    let attempts = Attempts::new();
    let error = cluster.submit(fails_together_at_first::call(attempts.path(), 9).retries(1)).get();
    let Err(TaskError::Failed { site, message }) = &error else { panic!("{error:?}") };
    assert_eq!((&**message, site.attempts), ("attempt 2 fails", 2));
    Ok(())
}

/// Dependents wait for the last attempt, and many tasks can be tried again at the same
/// time.
#[distwq::test(ranks = [2, 3, 4, 7])]
fn many_tasks_are_tried_again_side_by_side(cluster: &Cluster) -> Outcome {
    let mut graph = Graph::new();
    let folders: Vec<_> = (0..30).map(|_| Attempts::new()).collect();
    let empty = graph.value(&Vec::<u8>::new());
    let call = |attempts: &Attempts| fails_at_first::call(attempts.path(), 3, &empty).retries(3);
    let handles: Vec<_> = folders.iter().map(|attempts| graph.add(call(attempts))).collect();
    let last = graph.add(bytes::call(1).after_all(&handles));
    cluster.run(&mut graph)?;
    last.get()?;
    assert!(handles.iter().all(|handle| handle.info().attempts == 4));
    Ok(())
}
