//! The workers of a simulated run: what they do with messages, tasks and groups.

use super::super::{GroupFailure, Made, Retry};
use super::world::{Happening, Report, ToWorker, World};
use crate::id::{TaskId, WorkerId};
use std::collections::{BTreeSet, VecDeque};

/// A worker as it is.
#[derive(Debug, Default)]
pub(super) struct SimulatedWorker {
    pub(super) alive: bool,
    pub(super) slots: usize,
    pub(super) queue: VecDeque<TaskId>,
    pub(super) running: Vec<TaskId>,
    /// Those of them that have reached their limit.
    pub(super) overrun: BTreeSet<TaskId>,
    pub(super) group: Option<TaskId>,
    pub(super) copies: BTreeSet<TaskId>,
    /// Messages to and from it keep their order.
    pub(super) last_in_ns: u64,
    pub(super) last_out_ns: u64,
}

/// A collective task on its workers.
#[derive(Debug)]
pub(super) struct Party {
    pub(super) members: Vec<WorkerId>,
    pub(super) arrived: BTreeSet<WorkerId>,
    /// Changes whenever an end that was planned is not to be; never that of another
    /// party.
    pub(super) epoch: u64,
    /// The same when it began.
    pub(super) begun: u64,
    pub(super) broken: bool,
}

impl Party {
    pub(super) fn new(members: Vec<WorkerId>, epoch: u64) -> Self {
        Self { members, arrived: BTreeSet::new(), epoch, begun: epoch, broken: false }
    }
}

impl World {
    pub(super) fn arrive(&mut self, worker: WorkerId, message: ToWorker) {
        let state = &mut self.workers[worker.index()];
        if !state.alive {
            return;
        }
        match message {
            ToWorker::Start(task) => {
                assert!(state.group.is_none(), "{worker} is in a group");
                state.queue.push_back(task);
                self.begin(worker);
            }
            ToWorker::TakeBack(asked) => {
                let (back, queue): (Vec<_>, Vec<_>) = state.queue.iter().partition(|task| asked.contains(task));
                state.queue = queue.into();
                self.report(worker, Report::Returned(worker, back));
            }
            ToWorker::Cancel(task) => {
                if let Some(at) = state.queue.iter().position(|&queued| queued == task) {
                    state.queue.remove(at);
                    self.report(worker, Report::NotBegun(worker, task));
                }
            }
            ToWorker::SetAside(task) => self.told_of_deadline(worker, task),
            ToWorker::Leave(task) => self.told_to_leave(worker, task),
            ToWorker::Join(task) => {
                assert!(
                    state.queue.is_empty() && state.running.is_empty() && state.group.is_none(),
                    "{worker} is free"
                );
                state.group = Some(task);
                self.join_party(task, worker);
            }
        }
    }

    fn begin(&mut self, worker: WorkerId) {
        loop {
            let state = &mut self.workers[worker.index()];
            if state.running.len() >= state.slots {
                return;
            }
            let Some(task) = state.queue.pop_front() else { return };
            state.running.push(task);
            let ran_ns = self.random.up_to(self.profile.run_ns_max);
            let mut returns = Some(ran_ns);
            if let Some((limit_ns, late)) = self.draw_overrun(task, ran_ns) {
                self.after(limit_ns, Happening::Overran(worker, task));
                returns = late;
            }
            if let Some(ran_ns) = returns {
                self.after(ran_ns, Happening::Ran(worker, task, ran_ns));
            }
        }
    }

    pub(super) fn ran(&mut self, worker: WorkerId, task: TaskId, ran_ns: u64) {
        let state = &mut self.workers[worker.index()];
        if !state.alive {
            return;
        }
        state.running.retain(|&other| other != task);
        if state.overrun.remove(&task) {
            self.report(worker, Report::Finished(worker, task, ran_ns));
            return self.begin(worker);
        }
        let reachable = self.fetch(worker, task);
        let model = self.book.task(task);
        if !reachable {
            self.report(worker, Report::Failed(worker, task, ran_ns, Retry::Again));
        } else if model.limits.wishes > 0 {
            self.book.task_mut(task).limits.wishes -= 1;
            let later = Retry::Later { pause_ns: self.random.up_to(self.profile.run_ns_max) };
            let retry = if self.random.percent(50) { Retry::Elsewhere { not_on: worker } } else { later };
            self.report(worker, Report::Failed(worker, task, ran_ns, retry));
        } else if model.failures < model.failing {
            let retry = if model.fatal { Retry::Never } else { Retry::Again };
            self.report(worker, Report::Failed(worker, task, ran_ns, retry));
        } else {
            if model.resident {
                self.workers[worker.index()].copies.insert(task);
            }
            self.report(worker, Report::Finished(worker, task, ran_ns));
        }
        self.begin(worker);
    }

    /// Gets the inputs of a task to a worker; false if one cannot be had.
    fn fetch(&mut self, worker: WorkerId, task: TaskId) -> bool {
        let inputs: BTreeSet<TaskId> = self.book.task(task).inputs.iter().copied().collect();
        for input in inputs {
            if self.workers[worker.index()].copies.contains(&input) {
                continue;
            }
            let somewhere = self.workers.iter().any(|state| state.alive && state.copies.contains(&input));
            if !somewhere && self.book.task(input).resident {
                return false;
            }
            if self.random.percent(70) {
                self.workers[worker.index()].copies.insert(input);
                self.report(worker, Report::Copied(input, worker));
            }
        }
        true
    }

    fn join_party(&mut self, task: TaskId, worker: WorkerId) {
        let run_ns = self.random.up_to(self.profile.run_ns_max);
        let Some(party) = self.parties.get_mut(&task) else { return };
        party.arrived.insert(worker);
        if !party.broken && party.arrived.len() == party.members.len() {
            let epoch = party.epoch;
            if self.book.task(task).limits.run_limit_ns.is_some_and(|limit_ns| limit_ns <= run_ns) {
                return self.after(run_ns, Happening::GroupOverran(task, epoch));
            }
            self.after(run_ns, Happening::GroupOver(task, epoch));
        }
    }

    /// A member has died: the others find out and leave.
    pub(super) fn break_party(&mut self, task: TaskId) {
        let leave_ns = 4 * self.profile.delay_ns_max;
        self.sequence += 1;
        let Some(party) = self.parties.get_mut(&task) else { return };
        party.broken = true;
        party.epoch = self.sequence;
        let epoch = party.epoch;
        self.after(leave_ns, Happening::GroupOver(task, epoch));
    }

    pub(super) fn group_over(&mut self, task: TaskId, epoch: u64) {
        if self.parties.get(&task).is_none_or(|party| party.epoch != epoch) {
            return;
        }
        let party = self.parties.remove(&task).expect("just seen");
        let reachable = !party.broken && self.fetch(party.members[0], task);
        let model = self.book.task(task);
        let value = Made { bytes: model.bytes, resident: model.resident };
        let result = if !reachable {
            Err(GroupFailure { retry: Retry::Again, lost: None })
        } else if model.limits.wishes > 0 {
            self.book.task_mut(task).limits.wishes -= 1;
            let later = Retry::Later { pause_ns: self.random.up_to(self.profile.run_ns_max) };
            let not_on = *self.random.pick(&party.members).expect("a group has members");
            Err(GroupFailure {
                retry: if self.random.percent(50) { Retry::Elsewhere { not_on } } else { later },
                lost: None,
            })
        } else if model.failures < model.failing {
            Err(GroupFailure { retry: if model.fatal { Retry::Never } else { Retry::Again }, lost: None })
        } else {
            if value.resident {
                self.workers[party.members[0].index()].copies.insert(task);
            }
            Ok(value)
        };
        // Told by the last of the living, after all that the members said before.
        let Some(&last) = party
            .members
            .iter()
            .filter(|member| self.workers[member.index()].alive)
            .max_by_key(|member| self.workers[member.index()].last_out_ns)
        else {
            return;
        };
        for member in &party.members {
            self.workers[member.index()].group = None;
        }
        self.report(last, Report::GroupFinished(task, party.begun, result));
    }

    pub(super) fn die(&mut self, worker: WorkerId) {
        let state = &mut self.workers[worker.index()];
        state.alive = false;
        state.copies.clear();
        let joining: Vec<TaskId> =
            self.parties.iter().filter(|(_, party)| party.members.contains(&worker)).map(|(&task, _)| task).collect();
        for task in joining {
            self.break_party(task);
        }
        self.book.losses = true;
        self.report(worker, Report::Lost(worker));
    }
}
