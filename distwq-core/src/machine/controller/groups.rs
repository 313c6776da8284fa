//! Collective tasks under way: all members get ready, then all enter, and the task ends when all have left.

use super::waits::{Verdict, Waits};
use crate::codec::Payload;
use crate::function::remote::Failure;
use crate::id::{TaskId, WorkerId};
use crate::machine::Ns;
use crate::wire::attempt::Given;
use crate::wire::message::WaitReport;
use rustc_hash::FxHashMap;

/// Raw communicators that are kept at the same time.
const COMMUNICATORS_MAX: usize = 256;

/// One attempt of a collective task.
#[derive(Debug)]
struct Attempt {
    epoch: u64,
    members: Box<[WorkerId]>,
    ready: usize,
    /// Which members have left.
    left: Vec<bool>,
    output: Option<Given<Payload>>,
    failure: Option<(Failure, WorkerId)>,
    /// Since when the members that have not left were told to, and which of them have heard.
    leaving: Option<(Ns, Vec<bool>)>,
    /// Whether a member asked for the raw communicator.
    raw: bool,
    /// What members say that wait for long.
    waits: Waits,
    started_ns: Ns,
    ended_ns: Ns,
}

/// The collective tasks under way.
#[derive(Default, Debug)]
pub(super) struct Groups {
    attempts: FxHashMap<TaskId, Attempt>,
    tasks: FxHashMap<u64, TaskId>,
    epoch: u64,
    /// Groups that have a raw communicator, the last used one at the end.
    communicators: Vec<Box<[WorkerId]>>,
    /// How many of them have a failed member.
    leaving: usize,
}

/// How the last member to leave has left a group.
#[derive(Debug)]
pub(super) struct Left {
    pub(super) epoch: u64,
    pub(super) members: Box<[WorkerId]>,
    /// When the first one began and the last one ended.
    pub(super) started_ns: Ns,
    pub(super) ended_ns: Ns,
    /// What the first member gave.
    pub(super) output: Option<Given<Payload>>,
    /// Why the group has failed, and where.
    pub(super) failure: Option<(Failure, WorkerId)>,
    /// Whether a member asked for the raw communicator.
    raw: bool,
}

/// What one member has reported of its part.
#[derive(Debug)]
pub(super) struct Part {
    /// When it began and ended.
    pub(super) times: (Ns, Ns),
    pub(super) raw: bool,
    pub(super) outcome: Result<Given<Payload>, Failure>,
}

/// A member that does not answer, because it sits in raw MPI and waits for one that will not come.
#[derive(Debug)]
pub(super) struct Stuck<'a> {
    pub(super) task: TaskId,
    pub(super) member: WorkerId,
    /// What made the others leave, and where.
    pub(super) failure: Option<&'a (Failure, WorkerId)>,
}

impl Groups {
    pub(super) fn contains(&self, task: TaskId) -> bool {
        !self.attempts.is_empty() && self.attempts.contains_key(&task)
    }

    /// How many are under way.
    #[cfg(any(test, feature = "simulation"))]
    pub(super) fn len(&self) -> usize {
        self.attempts.len().max(self.tasks.len())
    }

    /// The collective tasks that a worker is a member of and has not left.
    pub(super) fn of_member(&self, worker: WorkerId) -> impl Iterator<Item = TaskId> + '_ {
        let inside = move |attempt: &Attempt| attempt.member(worker).is_some_and(|member| !attempt.left[member]);
        self.attempts.iter().filter(move |(_, attempt)| inside(attempt)).map(|(task, _)| *task)
    }

    /// An attempt begins with these members; gives its epoch.
    pub(super) fn begin(&mut self, task: TaskId, members: Box<[WorkerId]>) -> u64 {
        self.epoch += 1;
        self.tasks.insert(self.epoch, task);
        let attempt = Attempt {
            epoch: self.epoch,
            ready: 0,
            left: vec![false; members.len()],
            waits: Waits::new(members.len()),
            members,
            output: None,
            failure: None,
            leaving: None,
            raw: false,
            started_ns: Ns::MAX,
            ended_ns: 0,
        };
        self.attempts.insert(task, attempt);
        self.epoch
    }

    fn of_epoch(&mut self, epoch: u64) -> Option<&mut Attempt> {
        let task = self.tasks.get(&epoch)?;
        self.attempts.get_mut(task)
    }

    /// A member has its inputs. Gives all members when all have theirs: they enter then.
    pub(super) fn ready(&mut self, epoch: u64) -> Option<&[WorkerId]> {
        let attempt = self.of_epoch(epoch)?;
        attempt.ready += 1;
        (attempt.ready == attempt.members.len() && attempt.failure.is_none()).then_some(&attempt.members)
    }

    /// A member has answered `Leave`: it is not stuck.
    pub(super) fn heard(&mut self, epoch: u64, worker: WorkerId) {
        if let Some(attempt) = self.of_epoch(epoch)
            && let Some(member) = attempt.member(worker)
            && let Some((_, heard)) = &mut attempt.leaving
        {
            heard[member] = true;
        }
    }

    /// A member waits for long. Gives what follows, and the members that have not left.
    pub(super) fn waits(&mut self, worker: WorkerId, report: WaitReport) -> Option<(Verdict, Vec<WorkerId>)> {
        let attempt = self.of_epoch(report.epoch)?;
        let member = attempt.member(worker)?;
        let verdict = attempt.waits.report(member, report, &attempt.left);
        (verdict != Verdict::Wait).then(|| (verdict, attempt.inside()))
    }

    /// A member's part has ended. If that is the first one to fail, gives the epoch and the members that have to leave.
    pub(super) fn left(&mut self, now: Ns, task: TaskId, worker: WorkerId, part: Part) -> Option<(u64, Vec<WorkerId>)> {
        let attempt = self.attempts.get_mut(&task)?;
        let member = attempt.member(worker)?;
        attempt.left[member] = true;
        attempt.raw |= part.raw;
        attempt.started_ns = attempt.started_ns.min(part.times.0);
        attempt.ended_ns = attempt.ended_ns.max(part.times.1);
        match part.outcome {
            Ok(output) => {
                if member == 0 {
                    attempt.output = Some(output);
                }
                None
            }
            Err(failure) => {
                attempt.failed(worker, failure);
                if attempt.leaving.is_some() {
                    return None;
                }
                attempt.leaving = Some((now, attempt.left.clone()));
                self.leaving += 1;
                Some((attempt.epoch, attempt.inside()))
            }
        }
    }

    /// Why an attempt has failed, and where.
    pub(super) fn failure(&self, task: TaskId) -> Option<&(Failure, WorkerId)> {
        self.attempts.get(&task)?.failure.as_ref()
    }

    /// Takes the attempt of a task out if all members have left.
    pub(super) fn take_left(&mut self, task: TaskId) -> Option<Left> {
        self.attempts.get(&task)?.left.iter().all(|left| *left).then_some(())?;
        let attempt = self.attempts.remove(&task)?;
        self.tasks.remove(&attempt.epoch);
        self.leaving -= usize::from(attempt.leaving.is_some());
        let Attempt { epoch, members, started_ns, ended_ns, output, failure, raw, .. } = attempt;
        Some(Left { epoch, members, started_ns, ended_ns, output, failure, raw })
    }

    /// Communicators are few and dear: those used last are kept. One that a failed task has used may have operations
    /// pending on it, and goes. Freeing is collective, so it is decided here: nobody uses it now, and all members
    /// hear of it before they hear of a next group. Gives the members of the one that goes.
    pub(super) fn used_communicator(&mut self, left: &Left) -> Option<Box<[WorkerId]>> {
        if !left.raw {
            return None;
        }
        self.communicators.retain(|known| *known != left.members);
        if left.failure.is_some() {
            return Some(left.members.clone());
        }
        self.communicators.push(left.members.clone());
        // Not one that a task uses at this moment: its members would not all notice at the same place.
        let in_use = |known: &[WorkerId]| self.attempts.values().any(|other| *other.members == *known);
        let full = self.communicators.len() > COMMUNICATORS_MAX;
        let oldest = self.communicators.iter().position(|known| !in_use(known));
        oldest.filter(|_| full).map(|index| self.communicators.remove(index))
    }

    /// When a member is stuck that has not answered by then.
    pub(super) fn next_deadline(&self, grace_ns: Ns) -> Option<Ns> {
        if self.leaving == 0 {
            return None;
        }
        let silent = self.attempts.values().filter(|attempt| attempt.silent().is_some());
        silent.filter_map(|attempt| Some(attempt.leaving.as_ref()?.0 + grace_ns)).min()
    }

    /// A member of a group that has failed which has not answered for as long as the grace.
    pub(super) fn stuck(&self, now: Ns, grace_ns: Ns) -> Option<Stuck<'_>> {
        self.attempts.iter().find_map(|(task, attempt)| {
            let (since_ns, _) = attempt.leaving.as_ref()?;
            let member = attempt.members[attempt.silent()?];
            let is_over = now.saturating_sub(*since_ns) >= grace_ns;
            is_over.then_some(Stuck { task: *task, member, failure: attempt.failure.as_ref() })
        })
    }
}

impl Attempt {
    /// The members that have not left.
    fn inside(&self) -> Vec<WorkerId> {
        let members = self.members.iter().zip(&self.left);
        members.filter(|(_, left)| !**left).map(|(member, _)| *member).collect()
    }

    fn member(&self, worker: WorkerId) -> Option<usize> {
        self.members.iter().position(|member| *member == worker)
    }

    /// Keeps the failure that explains most: one of a member itself rather than that it lost another one.
    fn failed(&mut self, worker: WorkerId, failure: Failure) {
        let explains = |failure: &Failure| !matches!(failure, Failure::Group(_));
        let better = match &self.failure {
            None => true,
            Some((known, _)) => !explains(known) && explains(&failure),
        };
        if better {
            self.failure = Some((failure, worker));
        }
    }

    /// The first member that was told to leave, has not left and has not answered.
    fn silent(&self) -> Option<usize> {
        let (_, heard) = self.leaving.as_ref()?;
        heard.iter().zip(&self.left).position(|(heard, left)| !heard && !left)
    }
}
