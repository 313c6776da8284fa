//! What a run does at this moment: who runs what, and what the others wait for.

use crate::id::Rank;
use crate::outcome::error::plural;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::time::Duration;

/// What a cluster does at this moment: what each worker runs and for how long, how many
/// tasks wait, and for what. Prints as a few lines, however many tasks there are.
///
/// # Examples
/// ```
/// use distwq::prelude::*;
/// use std::time::Duration;
///
/// #[remote]
/// fn pause(milliseconds: u64) {
///     std::thread::sleep(Duration::from_millis(milliseconds));
/// }
///
/// #[distwq::main(config = Config::new().workers(1))]
/// fn main(cluster: &Cluster) -> Result<(), TaskError> {
///     let first = cluster.submit(pause::call(200).label("first"));
///     let second = cluster.submit(pause::call(0).after(&first));
///     let status = cluster.status();
///     assert_eq!((status.pending, status.workers.len()), (2, 1));
///     // 2 tasks have not ended
///     // rank 1 (host a) runs pause #1 "first" for 0 s
///     // 1 task waits for other tasks: pause #2 waits for pause #1 "first"
///     println!("{status}");
///     second.get()
/// }
/// ```
#[derive(Serialize, Deserialize, Clone, PartialEq, Debug)]
#[non_exhaustive]
pub struct Status {
    /// Tasks that have not ended.
    pub pending: u64,
    /// Those of them that a worker was given, or the ranks of a group.
    pub given: u64,
    /// One entry for each worker, in their order.
    pub workers: Vec<WorkerStatus>,
    /// All others, by what they wait for.
    pub waiting: Vec<Waiting>,
}

/// What a worker does at this moment.
#[derive(Serialize, Deserialize, Clone, PartialEq, Debug)]
#[non_exhaustive]
pub struct WorkerStatus {
    /// Its rank.
    pub rank: Rank,
    /// Its host.
    pub host: String,
    /// Whether it answers.
    pub phase: WorkerPhase,
    /// What it runs.
    pub running: Vec<RunningTask>,
    /// The tasks of attempts that have reached a limit and go on, in words. Each keeps a
    /// slot.
    pub past_limit: Vec<String>,
    /// How many tasks it was given ahead, and has not begun.
    pub ahead: u64,
}

/// Whether a worker answers.
#[derive(Serialize, Deserialize, Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum WorkerPhase {
    /// It has said what it runs.
    Serving,
    /// It makes the states of its slots.
    InInit,
    /// It has not said what it runs in time: it sits in raw MPI, or its process stands
    /// still.
    Silent,
    /// Its process has ended.
    Lost,
}

/// A task that runs.
#[derive(Serialize, Deserialize, Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct RunningTask {
    /// Which.
    pub task: TaskName,
    /// For how long.
    pub time: Duration,
    /// How much of its work is done, in hundredths, if it has
    /// [said so](crate::Context::progress).
    pub percent: Option<u8>,
}

/// Tasks that wait for the same kind of thing.
#[derive(Serialize, Deserialize, Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Waiting {
    /// For what.
    pub what: WaitsFor,
    /// How many there are.
    pub count: u64,
    /// The first few of them.
    pub first: Vec<TaskStatus>,
}

/// What tasks may wait for.
#[derive(Serialize, Deserialize, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
#[non_exhaustive]
pub enum WaitsFor {
    /// Several ranks at once.
    Ranks,
    /// The one worker that it may run on.
    OneWorker,
    /// After a failure, a worker that has not tried it.
    AnotherWorker,
    /// A worker with room.
    Room,
    /// A time, before which no further attempt is made.
    Time,
    /// Other tasks, which have to end first.
    Tasks,
}

/// A task as one looks for it in a program. Prints as function, number and label.
#[derive(Serialize, Deserialize, Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct TaskName {
    /// Its number, counted from 1; 0 before it has one. Of items of a map that travelled
    /// together, that of the first.
    pub number: u32,
    /// The path of its function.
    pub function: String,
    /// The label of its call.
    pub label: Option<String>,
}

/// How far a task is, and why no further.
#[derive(Serialize, Deserialize, Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct TaskStatus {
    /// Which task.
    pub task: TaskName,
    /// What keeps it, or how it has ended.
    pub reason: Reason,
}

/// What keeps a task from ending, or how it has ended.
#[derive(Serialize, Deserialize, Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Reason {
    /// Its graph has not been started.
    NotStarted,
    /// Other tasks have to end first.
    Tasks {
        /// One of them.
        first: TaskName,
        /// How many there are.
        count: u64,
    },
    /// No worker has room for it.
    Room {
        /// How many workers there are.
        workers: u64,
        /// Those of them without a slot that is not kept past a limit.
        aside: u64,
    },
    /// The only worker that it may run on has others to run.
    OneWorker {
        /// Its rank.
        rank: Rank,
        /// Its host.
        host: String,
    },
    /// The only worker that it may run on has not returned from what has reached a limit
    /// there.
    Aside {
        /// Its rank.
        rank: Rank,
        /// Its host.
        host: String,
    },
    /// It pauses before its next attempt.
    Pause {
        /// For how long from now on.
        left: Duration,
    },
    /// It has failed, and waits for a worker that has not tried it.
    AnotherWorker {
        /// How many attempts have failed.
        failures: u64,
    },
    /// It needs several ranks at once.
    Ranks {
        /// How many.
        wanted: u64,
        /// How many have nothing to run.
        free: u64,
        /// How many there are.
        workers: u64,
    },
    /// A worker was given it and has not begun.
    Given {
        /// Its rank.
        rank: Rank,
        /// Its host.
        host: String,
        /// How many tasks it was given before and has not ended.
        before: u64,
    },
    /// A worker was given it and does not say what it runs.
    Silent {
        /// Its rank.
        rank: Rank,
        /// Its host.
        host: String,
    },
    /// The members of its group get their inputs before all begin.
    GroupGathers {
        /// How many members there are.
        ranks: u64,
        /// How many have theirs.
        ready: u64,
    },
    /// It runs.
    Runs {
        /// The rank that runs it, of a group the first that says so.
        rank: Rank,
        /// Its host.
        host: String,
        /// How many ranks run it.
        ranks: u64,
        /// For how long.
        time: Duration,
        /// How much of its work is done there, in hundredths, if it has
        /// [said so](crate::Context::progress).
        percent: Option<u8>,
    },
    /// It has given a value.
    Done,
    /// It has ended without one.
    Failed {
        /// Why.
        error: String,
    },
}

/// Why a task has not ended: what it waits for, what that waits for, and so on to what
/// runs or can run. Prints as a sentence for each.
#[derive(Serialize, Deserialize, Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Explanation {
    /// The task itself, then a task that it waits for, and so on; ten at most.
    pub steps: Vec<TaskStatus>,
}

/// Steps of an explanation at most.
pub(crate) const STEPS_MAX: usize = 10;

/// Lines on workers that run something at most.
const WORKERS_SHOWN_MAX: usize = 50;

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { pending, given: _, workers, waiting } = self;
        let have = if *pending == 1 { "has" } else { "have" };
        write!(f, "{} {have} not ended", plural(*pending, "task"))?;
        let is_shown = |worker: &&WorkerStatus| {
            let has_some = !worker.running.is_empty() || !worker.past_limit.is_empty() || worker.ahead > 0;
            has_some || worker.phase != WorkerPhase::Serving
        };
        let mut shown = workers.iter().filter(is_shown);
        for worker in shown.by_ref().take(WORKERS_SHOWN_MAX) {
            write!(f, "\n{worker}")?;
        }
        let more = shown.count();
        if more > 0 {
            write!(f, "\n{} {} something too", plural(more, "more worker"), if more == 1 { "runs" } else { "run" })?;
        }
        let idle = workers.iter().filter(|worker| !is_shown(worker)).count();
        if idle > 0 {
            write!(f, "\n{} {} nothing", plural(idle, "worker"), if idle == 1 { "runs" } else { "run" })?;
        }
        waiting.iter().try_for_each(|waiting| write!(f, "\n{waiting}"))
    }
}

impl fmt::Display for WorkerStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { rank, host, phase, running, past_limit, ahead } = self;
        write!(f, "{rank} (host {host}) ")?;
        let runs_nothing = *phase == WorkerPhase::Serving && running.is_empty();
        match phase {
            WorkerPhase::Serving if runs_nothing && !past_limit.is_empty() => {}
            WorkerPhase::Serving if runs_nothing => f.write_str("runs nothing")?,
            WorkerPhase::Serving => {
                for (index, RunningTask { task, time, percent }) in running.iter().enumerate() {
                    let before = if index == 0 { "runs " } else { ", " };
                    write!(f, "{before}{task} for {}{}", seconds(*time), done(*percent))?;
                }
            }
            WorkerPhase::InInit => f.write_str("makes the states of its slots")?,
            WorkerPhase::Silent => f.write_str("does not say what it runs")?,
            WorkerPhase::Lost => return f.write_str("is gone"),
        }
        if let [first, more @ ..] = &past_limit[..] {
            write!(f, "{}has not returned from {first}", if runs_nothing { "" } else { "; " })?;
            more.iter().try_for_each(|name| write!(f, ", {name}"))?;
            f.write_str(", past its limit")?;
        }
        match ahead {
            0 => Ok(()),
            ahead => write!(f, "; {} ahead of time", plural(*ahead, "task")),
        }
    }
}

impl fmt::Display for Waiting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { what, count, first } = self;
        let waits = if *count == 1 { "waits" } else { "wait" };
        write!(f, "{} {waits} for {what}: ", plural(*count, "task"))?;
        for (index, status) in first.iter().enumerate() {
            write!(f, "{}{status}", if index == 0 { "" } else { "; " })?;
        }
        match count.saturating_sub(first.len() as u64) {
            0 => Ok(()),
            more => write!(f, "; {more} more like that"),
        }
    }
}

impl fmt::Display for WaitsFor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ranks => "several ranks at once",
            Self::OneWorker => "one certain worker",
            Self::AnotherWorker => "another worker after a failure",
            Self::Room => "a worker with room",
            Self::Time => "a time",
            Self::Tasks => "other tasks",
        })
    }
}

impl fmt::Display for TaskName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { number, function, label } = self;
        match (number, label) {
            (0, _) if function.is_empty() => f.write_str("the task"),
            (0, _) => f.write_str(function),
            (number, None) => write!(f, "{function} #{number}"),
            (number, Some(label)) => write!(f, "{function} #{number} {label:?}"),
        }
    }
}

impl fmt::Display for TaskStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.task, self.reason)
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotStarted => f.write_str("is in a graph that has not been started"),
            Self::Tasks { first, count: 1 } => write!(f, "waits for {first}"),
            Self::Tasks { first, count } => {
                write!(f, "waits for {first} and {}", plural(count.saturating_sub(1), "more task"))
            }
            Self::Room { workers, aside } if *aside > 0 && aside >= workers => {
                f.write_str("waits until a worker returns from what has reached a limit")
            }
            Self::Room { workers, aside: aside @ 1.. } => {
                write!(f, "waits for room on one of {}, {aside} of which are set aside", plural(*workers, "worker"))
            }
            Self::Room { workers, aside: 0 } => write!(f, "waits for room on one of {}", plural(*workers, "worker")),
            Self::OneWorker { rank, host } => {
                write!(f, "may run on {rank} (host {host}) alone, which has others to run")
            }
            Self::Aside { rank, host } => {
                write!(f, "may run on {rank} (host {host}) alone, which has not returned from what has reached a limit")
            }
            Self::Pause { left } => write!(f, "pauses for {} before its next attempt", seconds(*left)),
            Self::AnotherWorker { failures } => {
                write!(f, "has failed {} and waits for a worker that has not tried it", plural(*failures, "time"))
            }
            Self::Ranks { wanted, free: _, workers } if wanted > workers => {
                write!(f, "waits for {} at once, the cluster has {workers}", plural(*wanted, "rank"))
            }
            Self::Ranks { wanted, free, workers } => {
                write!(f, "waits for {} at once, {free} of {workers} are free", plural(*wanted, "rank"))
            }
            Self::Given { rank, host, before: 0 } => {
                write!(f, "was given to {rank} (host {host}), which begins it when it has its inputs")
            }
            Self::Given { rank, host, before } => {
                write!(f, "was given to {rank} (host {host}), which has {} before it", plural(*before, "task"))
            }
            Self::Silent { rank, host } => {
                write!(f, "was given to {rank} (host {host}), which does not say what it runs")
            }
            Self::GroupGathers { ranks, ready } => {
                write!(f, "was given to {}, {ready} of which have its inputs", plural(*ranks, "rank"))
            }
            Self::Runs { rank, host, ranks, time, percent } => {
                match ranks {
                    0 | 1 => write!(f, "has run on {rank} (host {host})")?,
                    ranks => write!(f, "has run on {ranks} ranks, {rank} (host {host}) among them,")?,
                }
                write!(f, " for {}{}", seconds(*time), done(*percent))
            }
            Self::Done => f.write_str("has given its value"),
            Self::Failed { error } => write!(f, "has ended without a value: {error}"),
        }
    }
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, step) in self.steps.iter().enumerate() {
            write!(f, "{}{step}", if index == 0 { "" } else { "; " })?;
        }
        let is_cut = self.steps.len() == STEPS_MAX
            && self.steps.last().is_some_and(|step| matches!(step.reason, Reason::Tasks { .. }));
        f.write_str(if is_cut { "; and so on" } else { "" })
    }
}

/// How much of its work a task has done, if it has said so.
fn done(percent: Option<u8>) -> String {
    percent.map_or_else(String::new, |percent| format!(" ({percent} % done)"))
}

/// A time as people tell how long something goes on.
fn seconds(time: Duration) -> String {
    match time.as_secs_f64() {
        few if few < 9.95 => format!("{few:.1} s"),
        some if some < 3_600.0 => format!("{some:.0} s"),
        many => format!("{:.1} h", many / 3_600.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(number: u32, label: Option<&str>) -> TaskName {
        TaskName { number, function: "model::step".to_owned(), label: label.map(str::to_owned) }
    }

    fn status(number: u32, reason: Reason) -> TaskStatus {
        TaskStatus { task: name(number, None), reason }
    }

    #[test]
    fn an_explanation_says_who_waits_for_whom_down_to_what_runs() {
        let waits = Reason::Tasks { first: name(3, Some("north")), count: 2 };
        let runs = Reason::Runs {
            rank: Rank(3),
            host: "a".to_owned(),
            ranks: 1,
            time: Duration::from_millis(2_040),
            percent: None,
        };
        let north = TaskStatus { task: name(3, Some("north")), reason: runs };
        let explanation = Explanation { steps: vec![status(7, waits), north] };
        let expected = "model::step #7 waits for model::step #3 \"north\" and 1 more task; model::step #3 \"north\" has \
                        run on rank 3 (host a) for 2.0 s";
        assert_eq!(explanation.to_string(), expected);
        let long = (1..=10).map(|number| status(number, Reason::Tasks { first: name(number + 1, None), count: 1 }));
        assert!(Explanation { steps: long.collect() }.to_string().ends_with("waits for model::step #11; and so on"));
    }

    #[test]
    fn a_status_has_few_lines_however_many_tasks_and_workers_there_are() {
        let worker = |rank, running: &[u64], phase, ahead| WorkerStatus {
            rank: Rank(rank),
            host: "a".to_owned(),
            phase,
            running: running
                .iter()
                .map(|seconds| RunningTask { task: name(5, None), time: Duration::from_secs(*seconds), percent: None })
                .collect(),
            past_limit: Vec::new(),
            ahead,
        };
        let room = status(9, Reason::Room { workers: 1_000, aside: 0 });
        let first = vec![room.clone(), room];
        let mut workers = vec![worker(1, &[12, 0], WorkerPhase::Serving, 3), worker(2, &[], WorkerPhase::Silent, 0)];
        workers.extend((3..=1_000).map(|rank| worker(rank, &[], WorkerPhase::Serving, 0)));
        let waiting = vec![Waiting { what: WaitsFor::Room, count: 1_000_000, first }];
        let expected = "1000005 tasks have not ended
rank 1 (host a) runs model::step #5 for 12 s, model::step #5 for 0.0 s; 3 tasks ahead of time
rank 2 (host a) does not say what it runs
998 workers run nothing
1000000 tasks wait for a worker with room: model::step #9 waits for room on one of 1000 workers; model::step #9 waits \
                        for room on one of 1000 workers; 999998 more like that";
        let status = Status { pending: 1_000_005, given: 5, workers, waiting };
        assert_eq!(status.to_string(), expected);
    }
}
