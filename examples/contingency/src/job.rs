//! The job as a graph of tasks: describe it, run it, add what its result asks for.
//!
//! ```text
//! parse ─┬─ build ─┬─ base case ─┬─ screen × batches ─ merge, 8 at a time ─ … ─ merge ─ resolve × 20
//!        │         └─ plan ──────┤
//!        └─ bridges ──┘          (base case and resolve are collective; resolve is added at run time)
//! ```

use std::path::Path;
use std::time::Duration;

use distwq::TaskInfo;
use distwq::prelude::*;

use crate::base::PowerFlow;
use crate::case::{self, CaseError};
use crate::figures::Figures;
use crate::grid::Grid;
use crate::options::Options;
use crate::progress::Progress;
use crate::recheck::Recheck;
use crate::report::{Stage, TaskRecord};
use crate::summary::Summary;
use crate::tasks;

/// Summaries that one task merges.
const FAN_IN: usize = 8;

/// How often the progress is looked at.
const LOOK: Duration = Duration::from_millis(100);

/// Why the job gave no figures.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum JobError {
    /// The case file cannot be read.
    #[error(transparent)]
    Case(#[from] CaseError),
    /// A task failed.
    #[error(transparent)]
    Task(#[from] TaskError),
    /// The graph was refused.
    #[error(transparent)]
    Run(#[from] RunError),
}

/// What the job found.
#[derive(Debug)]
pub struct Outcome {
    /// The grid.
    pub grid: Grid,
    /// The figures.
    pub figures: Figures,
    /// When and where each task ran.
    pub tasks: Vec<TaskRecord>,
    /// Wall time from reading the file to the last result, in seconds.
    pub seconds: f64,
}

/// Screens the case of `options` on the workers of `cluster`.
///
/// # Errors
/// [`JobError`]: what failed, and why.
pub fn run(cluster: &Cluster, options: &Options) -> Result<Outcome, JobError> {
    // Read here and not by a task: workers on other hosts may not see the file.
    let text = case::read_text(&options.case)?;
    let mut job = Job::describe(cluster, options, &text);
    let mut progress = Progress::new(job.log.entries.len());
    cluster.start(&mut job.graph)?;
    progress.tell(&format!("{} tasks, workers: {}", job.log.entries.len(), cluster.workers()));
    let outages = job.log.wait(&job.outages, &mut progress)?;
    let base = job.base.get()?;
    progress.tell(&format!(
        "screened {} outages from a base case of {} iterations: {} overloads",
        outages.solved, base.iterations, outages.violations
    ));
    let rechecks = job.resolve(cluster, options, &outages, &mut progress)?;
    let grid = job.grid.get()?;
    let figures = Figures::new(&grid, &base, &job.bridges.get()?, outages, rechecks);
    let seconds = progress.seconds();
    progress.finish();
    Ok(Outcome { grid, figures, tasks: job.log.records(), seconds })
}

/// The graph with the handles that are asked for.
struct Job {
    graph: Graph,
    grid: Handle<Grid>,
    bridges: Handle<Vec<u32>>,
    base: Handle<PowerFlow>,
    outages: Handle<Summary>,
    log: Log,
}

impl Job {
    fn describe(cluster: &Cluster, options: &Options, text: &str) -> Self {
        let tolerance = options.tolerance;
        let file = options.case.display().to_string();
        let name = options.case.file_name().map(Path::new).unwrap_or(&options.case);
        let mut graph = Graph::new();
        let mut log = Log::default();

        let case = graph.add(tasks::parse::call(&file, text).label(format!("parse {}", name.display())));
        let parsed = log.add(Stage::Parse, &case, vec![]);
        let grid = graph.add(tasks::build::call(&case).label("build matrix"));
        let built = log.add(Stage::Build, &grid, vec![parsed]);
        let bridges = graph.add(tasks::find_bridges::call(&case).label("find bridges"));
        let split = log.add(Stage::Bridges, &bridges, vec![parsed]);
        let base =
            graph.add(tasks::solve_base::call(&grid, tolerance).label("base case").ranks(group_size(cluster, options)));
        let solved = log.add(Stage::Base, &base, vec![built]);
        let plan = graph.add(tasks::plan::call(&grid, &bridges).label("plan outages"));
        let planned = log.add(Stage::Plan, &plan, vec![built, split]);

        let mut layer: Vec<(Handle<Summary>, usize)> = Vec::new();
        for batch in 0..options.batches {
            let call = tasks::screen::call(&grid, &base, &plan, batch, options.batches, tolerance);
            let label = format!("outages {} of {}", batch + 1, options.batches);
            let summary = graph.add(call.label(label));
            let number = log.add(Stage::Screen, &summary, vec![built, solved, planned]);
            layer.push((summary, number));
        }
        // One batch is merged too, so that there is one kind of task at the end.
        while layer.len() > 1 || log.last_stage() != Stage::Merge {
            let merge = |parts: &[(Handle<Summary>, usize)]| {
                let (handles, numbers): (Vec<_>, Vec<_>) = parts.iter().cloned().unzip();
                let label = format!("merge {} summaries", parts.len());
                let merged = graph.add(tasks::merge::call(handles).label(label));
                let number = log.add(Stage::Merge, &merged, numbers);
                (merged, number)
            };
            layer = layer.chunks(FAN_IN).map(merge).collect();
        }
        let (outages, _) = layer.pop().expect("a layer of merges has at least one");
        Self { graph, grid, bridges, base, outages, log }
    }

    /// Solves the worst overloads again from scratch: tasks that nobody knew of before
    /// the screening had ended.
    fn resolve(
        &mut self,
        cluster: &Cluster,
        options: &Options,
        outages: &Summary,
        progress: &mut Progress,
    ) -> Result<Vec<Recheck>, TaskError> {
        let merged = self.log.entries.len() - 1;
        let mut handles = Vec::new();
        for overload in &outages.top {
            let call = tasks::resolve::call(&self.grid, *overload, options.tolerance);
            let label = format!("outage {} on {}", overload.outage_row, overload.monitored_row);
            let handle = cluster.submit(call.label(label).ranks(group_size(cluster, options)));
            self.log.add(Stage::Resolve, &handle, vec![merged]);
            handles.push(handle);
        }
        progress.add(handles.len());
        handles.iter().map(|handle| self.log.wait(handle, progress)).collect()
    }
}

/// Ranks of a collective solve: what was asked for, as far as there are workers.
fn group_size(cluster: &Cluster, options: &Options) -> usize {
    options.ranks.min(cluster.workers()).max(1)
}

/// All tasks of the job, in the order they were added.
#[derive(Default)]
struct Log {
    entries: Vec<Entry>,
}

/// What the log keeps of a task.
struct Entry {
    stage: Stage,
    info: Box<dyn Fn() -> TaskInfo>,
    is_done: Box<dyn Fn() -> bool>,
    parents: Vec<usize>,
}

impl Log {
    fn add<T: 'static>(&mut self, stage: Stage, handle: &Handle<T>, parents: Vec<usize>) -> usize {
        let (one, other) = (handle.clone(), handle.clone());
        let (info, is_done) = (Box::new(move || one.info()), Box::new(move || other.is_done()));
        self.entries.push(Entry { stage, info, is_done, parents });
        self.entries.len() - 1
    }

    fn last_stage(&self) -> Stage {
        self.entries.last().map_or(Stage::Parse, |entry| entry.stage)
    }

    /// Waits for a value and shows the progress meanwhile.
    fn wait<T: serde::de::DeserializeOwned>(
        &self,
        handle: &Handle<T>,
        progress: &mut Progress,
    ) -> Result<T, TaskError> {
        loop {
            match handle.get_timeout(LOOK) {
                // It may have ended just now: the next look finds that.
                Err(TaskError::Timeout { .. }) => {}
                // What failed first is more telling than what a task lacks because of it.
                Err(error) => return Err(error.root().clone()),
                Ok(value) => {
                    progress.advance(self.done());
                    return Ok(value);
                }
            }
            progress.advance(self.done());
        }
    }

    fn done(&self) -> usize {
        self.entries.iter().filter(|entry| (entry.is_done)()).count()
    }

    fn records(&self) -> Vec<TaskRecord> {
        let records = self.entries.iter().map(|entry| {
            let info = (entry.info)();
            TaskRecord {
                stage: entry.stage,
                label: info.label.unwrap_or(info.function),
                ranks: info.ranks.iter().map(|rank| rank.0).collect(),
                hosts: info.hosts,
                attempts: info.attempts,
                started_ns: info.started_ns.unwrap_or_default(),
                finished_ns: info.finished_ns.unwrap_or_default(),
                parents: entry.parents.clone(),
            }
        });
        records.collect()
    }
}
