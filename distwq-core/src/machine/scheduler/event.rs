//! What the scheduler is told and what it answers: the whole interface in one file.

use super::arena::{TaskList, WorkerList};
use crate::id::{Origin, TaskId, WorkerId};
use crate::outcome::error::Limit;

/// How far ahead and how eagerly work is handed out. The defaults suit any run.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Settings {
    /// Most tasks that a worker is given beyond those that run, for each of its slots.
    pub prefetch_tasks_max: u32,
    /// Work that is kept ahead at each worker, in nanoseconds: the longest time for which
    /// the controller may take no turn while its body computes.
    pub prefetch_ns: u64,
    /// Queued work below which a take-back is not worth its messages, in nanoseconds.
    pub take_back_ns: u64,
    /// After this long without a report the measured durations are no longer believed, in
    /// nanoseconds.
    pub silent_ns: u64,
    /// Speed at which values are taken to move between workers, in bytes per microsecond.
    pub move_bytes_per_us: u64,
    /// Duration assumed of tasks while none has been measured, in nanoseconds.
    pub unknown_ns: u64,
    /// Tasks wait for so long for workers that are set aside, in nanoseconds.
    pub stuck_grace_ns: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            prefetch_tasks_max: 128,
            prefetch_ns: 2_000_000,
            take_back_ns: 200_000,
            silent_ns: 1_000_000,
            move_bytes_per_us: 1_000,
            unknown_ns: 1_000_000,
            stuck_grace_ns: 60_000_000_000,
        }
    }
}

/// What is asked for with a task. Borrowed: adding a task allocates nothing.
#[derive(Clone, Copy, Debug)]
pub struct Spec<'a> {
    /// Tasks whose outputs are arguments, in any order and with repetitions; they come
    /// first.
    pub inputs: &'a [TaskId],
    /// Tasks whose ends are arguments, whichever: they come first, and this one runs also
    /// if they have no value. One that is also among the others has to give one.
    pub ends: &'a [TaskId],
    /// Tasks that only come first.
    pub after: &'a [TaskId],
    /// A task that comes first and whose worker this one runs on, in all its attempts:
    /// the one that the last attempt of that task ran on, of a collective task the first
    /// of its group. A collective task has that worker as the first of its own group. No
    /// constraint if the target is a value that was given.
    pub follow: Option<TaskId>,
    /// Workers that it needs at once.
    pub ranks: u32,
    /// It runs in a group, also if that is of one worker.
    pub collective: bool,
    /// The greater goes first.
    pub priority: i32,
    /// Further attempts after the first.
    pub retries: u32,
    /// Longest path of tasks that hangs on it; 0 if unknown.
    pub level: u32,
    /// With whose tasks it takes turns.
    pub origin: Origin,
    /// It has failed before, as another task that was the same; not more often than
    /// `retries`.
    pub failed: Option<&'a FailedBefore>,
    /// What few tasks ask for that has to do with time.
    pub patience: Option<&'a Patience>,
}

/// Attempts that count although the task is new.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FailedBefore {
    /// How many.
    pub times: u32,
    /// Where the last one was.
    pub on: WorkerId,
    /// What is to follow it.
    pub retry: Retry,
}

impl Spec<'_> {
    /// A single-rank task without wishes.
    pub const PLAIN: Self = Self {
        inputs: &[],
        ends: &[],
        after: &[],
        follow: None,
        ranks: 1,
        collective: false,
        priority: 0,
        retries: 0,
        level: 0,
        origin: Origin::Alone,
        failed: None,
        patience: None,
    };
}

/// What a task asks for that has to do with time, or with the loss of its worker.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Patience {
    /// It ends if its first attempt has not begun after so many nanoseconds.
    pub wait_limit_ns: Option<u64>,
    /// It pauses before its second attempt for so many nanoseconds, twice as long before
    /// the third, and so on.
    pub backoff_ns: u64,
    /// An attempt that is lost with its worker is followed by another one.
    pub retry_lost: bool,
}

impl Patience {
    /// That of a task that asks for nothing.
    pub const DEFAULT: Self = Self { wait_limit_ns: None, backoff_ns: 0, retry_lost: true };
}

/// What is to follow an attempt that has failed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Retry {
    /// Nothing: another attempt could not do better, or is not wanted.
    Never,
    /// Another attempt, if there are some left.
    Again,
    /// The same attempt, but never on this worker.
    Elsewhere {
        /// Which one.
        not_on: WorkerId,
    },
    /// The same attempt after some time.
    Later {
        /// How many nanoseconds.
        pause_ns: u64,
    },
}

/// What has happened.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Event<'a> {
    /// A worker may be given work.
    Joined {
        /// Its index, never used before.
        worker: WorkerId,
        /// Tasks that it runs at the same time.
        slots: u32,
    },
    /// A worker is gone, with all it had in flight and all values that it alone held.
    Lost {
        /// Who.
        worker: WorkerId,
    },
    /// There is a new task, and somebody holds a handle of it.
    Added {
        /// Its id, with a free slot.
        task: TaskId,
        /// What is asked for.
        spec: &'a Spec<'a>,
    },
    /// There is a value that no task made. It lies at the controller, and somebody holds
    /// a handle of it.
    Value {
        /// Its id, with a free slot.
        task: TaskId,
        /// Its size.
        bytes: u64,
    },
    /// A single-rank task has succeeded.
    Finished {
        /// Where.
        worker: WorkerId,
        /// Which.
        task: TaskId,
        /// Its value.
        made: Made,
        /// How long it ran.
        ran_ns: u64,
    },
    /// A single-rank task has failed.
    Failed {
        /// Where.
        worker: WorkerId,
        /// Which.
        task: TaskId,
        /// How long it ran.
        ran_ns: u64,
        /// What is to follow.
        retry: Retry,
    },
    /// All members have left a collective task or are lost.
    GroupFinished {
        /// Which.
        task: TaskId,
        /// How it went. A value was made by the first member of the group.
        result: Result<Made, GroupFailure>,
    },
    /// The answer to [`Action::TakeBack`].
    Returned {
        /// Who answers.
        worker: WorkerId,
        /// Those of the tasks asked for that it had not begun, and now never will. The
        /// others go on.
        tasks: &'a [TaskId],
    },
    /// Users do not want these tasks any more. Those that wait end as [`End::Cancelled`];
    /// those that are with workers are [asked for](Action::Cancel), and have no further
    /// attempt.
    Cancel {
        /// Which. Some may have ended.
        tasks: &'a [TaskId],
    },
    /// An answer to [`Action::Cancel`].
    NotBegun {
        /// Who answers.
        worker: WorkerId,
        /// Those of the tasks that it had not begun, and now never will. The others go
        /// on.
        tasks: &'a [TaskId],
    },
    /// An attempt of a single-rank task has reached its run limit and goes on. The task
    /// goes on without it, and the worker is set aside until it is [`Back`](Self::Back).
    Overdue {
        /// Where.
        worker: WorkerId,
        /// Which.
        task: TaskId,
        /// What is to follow.
        retry: Retry,
        /// The worker has not said so: the attempt may be on its way to it, and its
        /// inputs stay until the worker has answered.
        is_silent: bool,
    },
    /// The same of a collective task, or its deadline has come.
    GroupOverdue {
        /// Which.
        task: TaskId,
        /// The living members that have not left the group.
        inside: &'a [WorkerId],
        /// Which limit.
        limit: Limit,
        /// What is to follow.
        retry: Retry,
    },
    /// The deadline of these tasks has come: they end, but for those that run in groups.
    /// Those that are with workers are [set aside](Action::SetAside).
    Expire {
        /// Which. Some may have ended.
        tasks: &'a [TaskId],
    },
    /// What a worker was set aside for has returned, or has not begun and never will.
    Back {
        /// Who.
        worker: WorkerId,
        /// The task whose attempt it was. It may have ended and gone.
        task: TaskId,
    },
    /// A further copy of a value lies on a worker.
    Copied {
        /// The task that made the value.
        task: TaskId,
        /// Who has the copy.
        worker: WorkerId,
    },
    /// A worker has no copy of a value after all: what was to bring it there is lost. It
    /// may still come, so the worker is among the holders that the release of the value
    /// names, but nobody counts on it.
    Missing {
        /// The task that made the value.
        task: TaskId,
        /// Who lacks it.
        worker: WorkerId,
    },
    /// The controller has the value of a task as well that stayed on a worker.
    Fetched {
        /// The task that made the value.
        task: TaskId,
    },
    /// The last handles of tasks are gone: nobody outside will ask for their values.
    /// Never cancels a task.
    Dropped {
        /// Which.
        tasks: &'a [TaskId],
    },
    /// Several events come together: nothing starts before `Resume`, so that the most
    /// urgent of what is there then is first, and finding it takes its time once.
    Hold,
    /// All of them have come.
    Resume,
    /// Time has passed.
    Tick,
    /// Whatever is pending ends as [`End::Stalled`], but for what waits for the end of
    /// one of these, whichever.
    GiveUp,
}

/// The value that a task has made.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Made {
    /// Its size.
    pub bytes: u64,
    /// It stayed on the worker that made it; else it came along and is at the controller.
    pub resident: bool,
}

/// A collective task has failed on one of its members at least.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct GroupFailure {
    /// What is to follow.
    pub retry: Retry,
    /// The lost member of which it has failed, if it has not failed by itself.
    pub lost: Option<WorkerId>,
}

/// What the caller has to do. The lists of an action lie in the
/// [`Actions`](super::Actions) that it came from, which give them: so it is a few
/// numbers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Action<Workers = WorkerList, Tasks = TaskList> {
    /// Hand a task to a worker, behind what it has.
    Start {
        /// Which.
        task: TaskId,
        /// To whom.
        worker: WorkerId,
        /// Counted from 1.
        attempt: u32,
    },
    /// Run a collective task on these workers, none of which has anything else in flight.
    StartGroup {
        /// Which.
        task: TaskId,
        /// In the order of the ranks of the group.
        workers: Workers,
        /// Counted from 1.
        attempt: u32,
    },
    /// Ask a worker to give back those of these tasks that it has not begun.
    TakeBack {
        /// Whom.
        worker: WorkerId,
        /// Which, in the order in which they were started.
        tasks: Tasks,
    },
    /// Tell these workers that a task is not wanted any more: it is not to begin, or to
    /// end soon.
    Cancel {
        /// Which.
        task: TaskId,
        /// Those that it is with.
        workers: Workers,
    },
    /// A task that has reached its deadline is with this worker: it is not wanted there
    /// any more, and what comes of it is dropped. The answer is an [`Event::Back`].
    SetAside {
        /// Which.
        task: TaskId,
        /// Who.
        worker: WorkerId,
    },
    /// A task has ended.
    Ended {
        /// Which.
        task: TaskId,
        /// How.
        end: End,
    },
    /// Nobody needs a task any more: its value goes, and its slot may be used again.
    Release {
        /// Which.
        task: TaskId,
        /// The living workers that hold the value or may hold it; the controller may hold
        /// it besides.
        holders: Workers,
    },
}

/// How a task ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum End {
    /// With a value.
    Done,
    /// Its last attempt failed, as its worker or group has reported.
    Failed,
    /// It never started: a task that had to come first has no value.
    Upstream {
        /// The direct parent, which has ended before and is released later.
        via: TaskId,
    },
    /// The worker was lost, on its last attempt or as the only one it could run on.
    WorkerLost {
        /// Who.
        worker: WorkerId,
    },
    /// It never started: an argument was lost with the workers that held it.
    ValueLost {
        /// The task that made the argument.
        value: TaskId,
    },
    /// It never started: it needs more workers than are left.
    Infeasible,
    /// It never started, or was given up: nothing could move any more.
    Stalled,
    /// It was cancelled before it had a value.
    Cancelled,
    /// It had no value by then.
    LimitReached {
        /// Which limit.
        limit: Limit,
    },
    /// All workers that it could run on have been set aside for longer than the grace.
    Stuck {
        /// One of them.
        worker: WorkerId,
    },
    /// All workers that it could run on have said that it is to run elsewhere.
    Nowhere,
}
