//! Collective tasks under way: all members get ready, then all enter, and the task ends
//! when all have left.

use super::outbox::Outbox;
use super::roll::{Member, Roll};
use super::waits::{Verdict, Waits};
use crate::codec::Payload;
use crate::function::remote::Failure;
use crate::id::{TaskId, WorkerId};
use crate::machine::{Notice, Ns};
use crate::wire::attempt::Given;
use crate::wire::message::{ToWorker, WaitReport};
use rustc_hash::FxHashMap;
use std::collections::VecDeque;

/// Raw communicators that are kept at the same time.
const COMMUNICATORS_MAX: usize = 256;

/// Why a group does not begin whose task was cancelled.
const CANCELLED: &str = "the task was cancelled";

/// One attempt of a collective task.
#[derive(Debug)]
struct Attempt {
    epoch: u64,
    members: Box<[WorkerId]>,
    ready: usize,
    roll: Roll,
    output: Option<Given<Payload>>,
    /// With the first one, all who are inside are told to leave.
    failure: Option<(Failure, WorkerId)>,
    /// Whether a member asked for the raw communicator.
    raw: bool,
    /// What members say that wait for long, from the first one on.
    waits: Option<Box<Waits>>,
    started_ns: Ns,
    ended_ns: Ns,
}

/// Where a worker is a member, or was last.
#[derive(Clone, Copy, Debug)]
struct MemberOf {
    task: TaskId,
    epoch: u64,
    member: Member,
}

/// The collective tasks under way. What a member says costs O(1), however many members
/// there are.
#[derive(Debug)]
pub(super) struct Groups {
    attempts: FxHashMap<TaskId, Attempt>,
    /// Those that were given up, by their epochs, until all members have left.
    given_up: FxHashMap<u64, Attempt>,
    /// By worker: it is in one group at a time. An old message is known by its epoch.
    member_of: Box<[Option<MemberOf>]>,
    epoch: u64,
    /// Groups that have a raw communicator, the last used one at the end.
    communicators: Vec<Box<[WorkerId]>>,
    /// Groups that have a failed member, and since when, the first one in front. That one
    /// has silent members.
    leaving: VecDeque<(Ns, TaskId, u64)>,
}

/// What members of a group are told because of what one of them has said.
#[derive(Debug)]
pub(super) struct Replies<'a> {
    pub(super) epoch: u64,
    /// All members.
    members: &'a [WorkerId],
    roll: &'a Roll,
    /// The first failure, and its member: all who are inside have to leave.
    pub(super) failed: Option<(Member, &'a Failure)>,
    /// A member that has left, and those that wait for it.
    has_left: Option<(Member, Vec<Member>)>,
    verdict: Verdict,
}

impl Replies<'_> {
    /// Tells it to them.
    pub(super) fn tell(&self, out: &mut Outbox) {
        let epoch = self.epoch;
        if let Some((member, failure)) = self.failed {
            let failure = failure.to_string();
            let message = ToWorker::Leave { epoch, member: member.number(), failure: &failure };
            self.inside().for_each(|worker| out.post(worker, &message));
        }
        if let Some((member, waiting)) = &self.has_left {
            let to = waiting.iter().map(|member| member.number()).collect();
            out.post(self.members[member.index()], &ToWorker::SayLeft { epoch, to });
        }
        match &self.verdict {
            Verdict::Wait => {}
            Verdict::Ask { round } => {
                let message = ToWorker::AskWait { epoch, round: *round };
                self.members.iter().for_each(|worker| out.post(*worker, &message));
            }
            Verdict::Deadlock(waits) => {
                out.notices.note(|| Notice::Deadlocked { epoch, waits: waits.clone() });
                let message = ToWorker::Deadlock { epoch, waits };
                self.inside().for_each(|worker| out.post(worker, &message));
            }
        }
    }

    /// The members that have not left.
    fn inside(&self) -> impl Iterator<Item = WorkerId> + '_ {
        self.roll.iter_inside().map(|member| self.members[member.index()])
    }
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

/// A member that does not answer, because it sits in raw MPI and waits for one that will
/// not come.
#[derive(Debug)]
pub(super) struct Stuck<'a> {
    pub(super) task: TaskId,
    pub(super) member: WorkerId,
    /// What made the others leave, and where.
    pub(super) failure: Option<&'a (Failure, WorkerId)>,
}

impl Groups {
    /// None yet, of so many workers.
    pub(super) fn new(workers: usize) -> Self {
        Self {
            attempts: FxHashMap::default(),
            given_up: FxHashMap::default(),
            member_of: vec![None; workers].into(),
            epoch: 0,
            communicators: Vec::new(),
            leaving: VecDeque::new(),
        }
    }

    pub(super) fn contains(&self, task: TaskId) -> bool {
        !self.attempts.is_empty() && self.attempts.contains_key(&task)
    }

    /// How many are under way.
    #[cfg(any(test, feature = "simulation"))]
    pub(super) fn len(&self) -> usize {
        self.attempts.len().max(self.leaving.len()).max(self.given_up.len())
    }

    /// How many members of a collective task under way have their inputs.
    pub(super) fn ready_members(&self, task: TaskId) -> usize {
        self.attempts.get(&task).map_or(0, |attempt| attempt.ready)
    }

    /// The collective task that a worker is a member of and has not left.
    pub(super) fn of_member(&self, worker: WorkerId) -> Option<TaskId> {
        let of = self.member_of[worker.index()]?;
        let attempt = self.attempts.get(&of.task)?;
        (attempt.epoch == of.epoch && !attempt.roll.has_left(of.member)).then_some(of.task)
    }

    /// The collective task under way that a worker is a member of, also if it has left.
    pub(super) fn with_member(&self, worker: WorkerId) -> Option<TaskId> {
        let of = self.member_of[worker.index()]?;
        let attempt = self.attempts.get(&of.task)?;
        (attempt.epoch == of.epoch).then_some(of.task)
    }

    /// An attempt begins with these members; gives its epoch.
    pub(super) fn begin(&mut self, task: TaskId, members: Box<[WorkerId]>) -> u64 {
        self.epoch += 1;
        let epoch = self.epoch;
        for (worker, member) in members.iter().zip((0..).map(Member::new)) {
            self.member_of[worker.index()] = Some(MemberOf { task, epoch, member });
        }
        let attempt = Attempt {
            epoch,
            ready: 0,
            roll: Roll::new(members.len()),
            waits: None,
            members,
            output: None,
            failure: None,
            raw: false,
            started_ns: Ns::MAX,
            ended_ns: 0,
        };
        self.attempts.insert(task, attempt);
        epoch
    }

    /// The attempt with this epoch, and which member of it a worker is. What comes late
    /// finds none.
    fn of_epoch(&mut self, epoch: u64, worker: WorkerId) -> Option<(&mut Attempt, Member)> {
        let of = self.member_of[worker.index()]?;
        let attempt = self.attempts.get_mut(&of.task)?;
        (of.epoch == epoch && attempt.epoch == epoch).then_some((attempt, of.member))
    }

    /// A member has its inputs. Gives all members when all have theirs: they enter then.
    pub(super) fn ready(&mut self, epoch: u64, worker: WorkerId) -> Option<&[WorkerId]> {
        let (attempt, _) = self.of_epoch(epoch, worker)?;
        attempt.ready += 1;
        (attempt.ready == attempt.members.len() && attempt.failure.is_none()).then_some(&attempt.members)
    }

    /// The task is cancelled: if not all members are ready, the group never begins. Gives
    /// what the members are told then.
    pub(super) fn cancel(&mut self, now: Ns, task: TaskId) -> Option<Replies<'_>> {
        let attempt = self.attempts.get_mut(&task)?;
        if attempt.failure.is_some() || attempt.ready == attempt.members.len() {
            return None;
        }
        let first = attempt.members[Member::FIRST.index()];
        let Attempt { epoch, members, roll, failure, .. } = attempt;
        self.leaving.push_back((now, task, *epoch));
        let (failure, _) = failure.insert((Failure::Group(CANCELLED.to_owned()), first));
        let failed = Some((Member::FIRST, &*failure));
        Some(Replies { epoch: *epoch, members, roll, failed, has_left: None, verdict: Verdict::Wait })
    }

    /// Whether the members of the group of a task were told to enter.
    pub(super) fn has_entered(&self, task: TaskId) -> bool {
        self.attempts.get(&task).is_some_and(|attempt| attempt.ready == attempt.members.len())
    }

    /// The first member of the group of a task.
    pub(super) fn first_member(&self, task: TaskId) -> Option<WorkerId> {
        Some(self.attempts.get(&task)?.members[Member::FIRST.index()])
    }

    /// A task goes on without its group, because of what has happened at this member. The
    /// members that are inside are told to leave, and named.
    pub(super) fn give_up(
        &mut self,
        task: TaskId,
        by: WorkerId,
        failure: &Failure,
        out: &mut Outbox,
    ) -> Option<Vec<WorkerId>> {
        let mut attempt = self.attempts.remove(&task)?;
        let had_failed = attempt.failure.is_some();
        attempt.failed(by, failure.clone());
        let &Attempt { epoch, ref members, ref roll, .. } = &attempt;
        let inside = roll.iter_inside().map(|member| members[member.index()]).collect();
        if !had_failed {
            let at = self.member_of[by.index()].filter(|of| of.epoch == epoch);
            let failed = Some((at.map_or(Member::FIRST, |of| of.member), failure));
            let replies = Replies { epoch, members, roll, failed, has_left: None, verdict: Verdict::Wait };
            replies.tell(out);
        }
        if let Some(Given::Resident { .. }) = attempt.output {
            forget_output(attempt.members[Member::FIRST.index()], task, out);
        }
        self.given_up.insert(epoch, attempt);
        self.forget_heard();
        Some(inside)
    }

    /// A member of a group that was given up has left. Gives the group if it was the
    /// last.
    pub(super) fn came_back(&mut self, worker: WorkerId, raw: bool) -> Option<Left> {
        let MemberOf { epoch, member, .. } = self.member_of[worker.index()]?;
        let attempt = self.given_up.get_mut(&epoch)?;
        attempt.roll.leaves(member);
        attempt.raw |= raw;
        if attempt.roll.inside() > 0 {
            return None;
        }
        self.given_up.remove(&epoch).map(Attempt::into_left)
    }

    /// A member has answered `Leave`: it is not stuck.
    pub(super) fn heard(&mut self, epoch: u64, worker: WorkerId) {
        if let Some((attempt, member)) = self.of_epoch(epoch, worker)
            && attempt.failure.is_some()
        {
            attempt.roll.heard(member);
            self.forget_heard();
        }
    }

    /// A member waits for long, or answers that it does not. Gives what replies.
    pub(super) fn waits(&mut self, worker: WorkerId, report: &WaitReport) -> Option<Replies<'_>> {
        let (attempt, member) = self.of_epoch(report.epoch, worker)?;
        if attempt.failure.is_some() {
            // All waits end by that.
            return None;
        }
        let Attempt { epoch, members, roll, waits, .. } = attempt;
        let waits = waits.get_or_insert_with(|| Box::new(Waits::new(roll)));
        let (has_left, verdict) = waits.report(roll, member, report);
        let has_left = has_left.map(|other| (other, vec![member]));
        Some(Replies { epoch: *epoch, members, roll, failed: None, has_left, verdict })
    }

    /// A member's part has ended. Gives what the others are told.
    pub(super) fn left(&mut self, now: Ns, task: TaskId, worker: WorkerId, part: Part) -> Option<Replies<'_>> {
        let of = self.member_of[worker.index()].filter(|of| of.task == task)?;
        let attempt = self.attempts.get_mut(&task).filter(|attempt| attempt.epoch == of.epoch)?;
        let member = of.member;
        // One that has left can still be lost, and with it what it has sent.
        if !attempt.roll.leaves(member) && !matches!(part.outcome, Err(Failure::Lost(_))) {
            return None;
        }
        attempt.raw |= part.raw;
        attempt.started_ns = attempt.started_ns.min(part.times.0);
        attempt.ended_ns = attempt.ended_ns.max(part.times.1);
        let had_failed = attempt.failure.is_some();
        match part.outcome {
            Ok(output) if member == Member::FIRST => attempt.output = Some(output),
            Ok(_) => {}
            Err(failure) => attempt.failed(worker, failure),
        }
        if attempt.failure.is_some() && !had_failed {
            self.leaving.push_back((now, task, of.epoch));
        }
        self.forget_heard();
        let Attempt { epoch, members, roll, failure, waits, .. } = self.attempts.get_mut(&task)?;
        let (mut has_left, mut verdict) = (None, Verdict::Wait);
        if let Some(waits) = waits
            && failure.is_none()
        {
            let waiting;
            (waiting, verdict) = waits.leaves(roll, member);
            has_left = (!waiting.is_empty()).then_some((member, waiting));
        }
        let failed = failure.as_ref().filter(|_| !had_failed).map(|(failure, _)| (member, failure));
        Some(Replies { epoch: *epoch, members, roll, failed, has_left, verdict })
    }

    /// Takes the attempt of a task out if all members have left.
    pub(super) fn take_left(&mut self, task: TaskId) -> Option<Left> {
        if self.attempts.get(&task)?.roll.inside() > 0 {
            return None;
        }
        let attempt = self.attempts.remove(&task)?;
        self.forget_heard();
        Some(attempt.into_left())
    }

    /// Removes groups without silent members from the front of those that leave.
    fn forget_heard(&mut self) {
        while let Some((_, task, epoch)) = self.leaving.front() {
            let attempt = self.attempts.get(task).filter(|attempt| attempt.epoch == *epoch);
            if attempt.is_some_and(|attempt| attempt.roll.has_silent()) {
                return;
            }
            self.leaving.pop_front();
        }
    }

    /// Communicators are few and dear: those used last are kept. One that a failed task
    /// has used may have operations pending on it, and goes. Freeing is collective, so it
    /// is decided here: nobody uses it now, and all members hear of it before they hear
    /// of a next group. Gives the members of the one that goes.
    pub(super) fn used_communicator(&mut self, left: &Left) -> Option<Box<[WorkerId]>> {
        if !left.raw {
            return None;
        }
        self.communicators.retain(|known| *known != left.members);
        if left.failure.is_some() {
            return Some(left.members.clone());
        }
        self.communicators.push(left.members.clone());
        if self.communicators.len() <= COMMUNICATORS_MAX {
            return None;
        }
        // Not one that a task uses at this moment: its members would not all learn of
        // that between the same two tasks.
        let in_use = |known: &[WorkerId]| self.attempts.values().any(|other| *other.members == *known);
        let oldest = self.communicators.iter().position(|known| !in_use(known));
        oldest.map(|index| self.communicators.remove(index))
    }

    /// When a member is stuck that has not answered by then.
    pub(super) fn next_deadline(&self, grace_ns: Ns) -> Option<Ns> {
        self.leaving.front().map(|(since_ns, ..)| since_ns + grace_ns)
    }

    /// A member of a group that has failed which has not answered for as long as the
    /// grace.
    pub(super) fn stuck(&self, now: Ns, grace_ns: Ns) -> Option<Stuck<'_>> {
        let (since_ns, task, _) = self.leaving.front()?;
        if now.saturating_sub(*since_ns) < grace_ns {
            return None;
        }
        let attempt = self.attempts.get(task)?;
        let silent = attempt.roll.first_silent()?;
        Some(Stuck { task: *task, member: attempt.members[silent.index()], failure: attempt.failure.as_ref() })
    }
}

impl Attempt {
    /// All members have left.
    fn into_left(self) -> Left {
        let Self { epoch, members, started_ns, ended_ns, output, failure, raw, .. } = self;
        Left { epoch, members, started_ns, ended_ns, output, failure, raw }
    }

    /// Keeps the failure that explains most: one of a member itself rather than that it
    /// lost another one.
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
}

/// The first member of a group kept its output before another one failed.
pub(super) fn forget_output(first: WorkerId, task: TaskId, out: &mut Outbox) {
    out.post(first, &ToWorker::Forget { values: vec![task] });
    // Not in one frame with a large payload: overtaken, it would reach the value of the
    // next attempt.
    out.flush_to(first);
}
