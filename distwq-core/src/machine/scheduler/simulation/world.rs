//! The world around the scheduler: what happens when, messages on their way, and the
//! controller's part.

use super::super::actions::Whole;
use super::super::{Action, Actions, Event, GroupFailure, Made, Retry, Scheduler, Settings};
use super::model::{Book, Seen, Tally};
use super::workers::{Party, SimulatedWorker};
use super::{Profile, Random};
use crate::id::{TaskId, TaskSlot, WorkerId};
use std::collections::BTreeMap;

/// Something that will happen at its time.
#[derive(Clone, Debug)]
pub(super) enum Happening {
    Add,
    Drop(TaskId),
    Join(WorkerId),
    /// A worker dies; the controller learns of it later.
    Die(WorkerId),
    Tick,
    /// A message arrives at a worker.
    At(WorkerId, ToWorker),
    /// A worker has run a task to its end.
    Ran(WorkerId, TaskId, u64),
    /// The members leave a collective task, unless its epoch has passed.
    GroupOver(TaskId, u64),
    /// A task has reached its run limit on a worker.
    Overran(WorkerId, TaskId),
    /// The same of a group, unless its epoch has passed.
    GroupOverran(TaskId, u64),
    /// A member leaves a group that was given up.
    Leaves(WorkerId, TaskId),
    /// A message arrives at the controller.
    Told(Report),
}

#[derive(Clone, Debug)]
pub(super) enum ToWorker {
    Start(TaskId),
    TakeBack(Vec<TaskId>),
    Cancel(TaskId),
    SetAside(TaskId),
    Join(TaskId),
    Leave(TaskId),
}

#[derive(Clone, Debug)]
pub(super) enum Report {
    Finished(WorkerId, TaskId, u64),
    Failed(WorkerId, TaskId, u64, Retry),
    /// With the epoch in which the group began.
    GroupFinished(TaskId, u64, Result<Made, GroupFailure>),
    Overran(WorkerId, TaskId),
    GroupOverran(TaskId, u64),
    Left(WorkerId, TaskId),
    Returned(WorkerId, Vec<TaskId>),
    NotBegun(WorkerId, TaskId),
    Copied(TaskId, WorkerId),
    Lost(WorkerId),
}

/// How long tasks wait for workers that are set aside.
const STUCK_GRACE_NS: u64 = 12_000_000;

/// One simulated run.
pub(super) struct World {
    pub(super) random: Random,
    pub(super) profile: Profile,
    /// The state is checked after every event, not after some.
    pub(super) thorough: bool,
    pub(super) now_ns: u64,
    pub(super) sequence: u64,
    pub(super) agenda: BTreeMap<(u64, u64), Happening>,
    pub(super) scheduler: Scheduler,
    pub(super) book: Book,
    pub(super) workers: Vec<SimulatedWorker>,
    pub(super) parties: BTreeMap<TaskId, Party>,
    pub(super) actions: Actions,
    pub(super) free_slots: Vec<TaskSlot>,
    pub(super) slots_used: u32,
    pub(super) to_add: u64,
}

impl World {
    pub(super) fn new(mut random: Random, profile: Profile, thorough: bool) -> Self {
        let workers = random.up_to(profile.workers_max);
        let to_add = random.up_to(profile.tasks_max);
        let mut world = Self {
            random,
            profile,
            thorough,
            now_ns: 0,
            sequence: 0,
            agenda: BTreeMap::new(),
            scheduler: Scheduler::new(Settings { stuck_grace_ns: STUCK_GRACE_NS, ..Settings::default() }),
            book: Book::default(),
            workers: Vec::new(),
            parties: BTreeMap::new(),
            actions: Actions::default(),
            free_slots: Vec::new(),
            slots_used: 0,
            to_add,
        };
        (world.book.stuck_grace_ns, world.book.has_limits) = (STUCK_GRACE_NS, profile.limit_percent > 0);
        if !profile.priorities && !profile.losses {
            world.book.wide_wait_ns_max = 2 * profile.run_ns_max + 8 * profile.delay_ns_max;
        }
        world.people(workers);
        world
    }

    fn people(&mut self, workers: u64) {
        for worker in 0..workers {
            let worker = WorkerId::new(worker as u32);
            let slots = self.random.up_to(self.profile.slots_max);
            self.workers.push(SimulatedWorker { slots: slots as usize, ..SimulatedWorker::default() });
            self.book.workers.push(Seen {
                living: false,
                slots: slots as u32,
                in_flight: vec![],
                group: None,
                asked: false,
            });
            // Where the wait for a group is bounded, nobody waits for a worker to join.
            let late = self.profile.priorities && self.random.percent(10);
            let at_ns = if late { self.random.below(3_000_000) } else { 0 };
            self.after(at_ns, Happening::Join(worker));
            if self.profile.losses && self.random.percent(40) {
                let dies_ns = at_ns + 1 + self.random.up_to(20_000_000);
                self.after(dies_ns, Happening::Die(worker));
            }
        }
        self.after(1, Happening::Add);
        self.after(2, Happening::Tick);
    }

    /// Lets everything happen, in time.
    pub(super) fn run(mut self) -> Tally {
        let mut count = 0_u64;
        loop {
            self.run_on(&mut count);
            self.scheduler.validate();
            let stalled = self.scheduler.stalled().is_some();
            assert_eq!(self.scheduler.pending() > 0, stalled, "either done or stalled");
            if !stalled {
                break;
            }
            // What takes the end of what cannot run goes on.
            self.tell(Event::GiveUp);
        }
        self.wind_up();
        self.book.tally
    }

    /// Lets everything happen that is on its way, in time.
    fn run_on(&mut self, count: &mut u64) {
        while let Some(((at_ns, _), happening)) = self.agenda.pop_first() {
            self.now_ns = at_ns;
            *count += match happening {
                Happening::Told(report) if self.random.percent(30) => self.told_several(report),
                happening => {
                    self.happen(happening);
                    1
                }
            };
            // Drawn in any case: a seed that is run alone is to go the same way.
            let is_checked = self.random.percent(3);
            if self.thorough || is_checked {
                self.scheduler.validate();
            }
            assert!(*count < 1_000_000, "the run ends");
        }
    }

    /// Nothing is on its way any more, and all is settled.
    fn wind_up(&mut self) {
        for at in 0..self.book.tasks.len() {
            self.drop_handle(self.book.tasks[at].id);
        }
        self.scheduler.validate();
        self.book.at_the_end();
    }

    pub(super) fn after(&mut self, delay_ns: u64, happening: Happening) {
        self.sequence += 1;
        self.agenda.insert((self.now_ns + delay_ns, self.sequence), happening);
    }

    pub(super) fn delay_ns(&mut self) -> u64 {
        self.random.up_to(self.profile.delay_ns_max)
    }

    fn happen(&mut self, happening: Happening) {
        match happening {
            Happening::Add => self.add_some(),
            Happening::Drop(task) => self.drop_handle(task),
            Happening::Join(worker) => {
                let state = &mut self.workers[worker.index()];
                state.alive = true;
                let slots = state.slots as u32;
                self.book.workers[worker.index()].living = true;
                self.tell(Event::Joined { worker, slots });
            }
            Happening::Die(worker) => self.die(worker),
            Happening::Tick => {
                if self.scheduler.next_deadline().is_some_and(|deadline| deadline <= self.now_ns) {
                    self.tell(Event::Tick);
                } else {
                    let fits = self.scheduler.handle(self.now_ns, Event::Tick, &mut self.actions);
                    assert!(fits && self.actions.is_empty(), "a tick before the deadline does nothing");
                }
                if !self.agenda.is_empty() || self.scheduler.has_due() {
                    let next_ns = self.random.up_to(2_000_000);
                    self.after(next_ns, Happening::Tick);
                }
            }
            Happening::At(worker, message) => self.arrive(worker, message),
            Happening::Ran(worker, task, ran_ns) => self.ran(worker, task, ran_ns),
            Happening::GroupOver(task, epoch) => self.group_over(task, epoch),
            Happening::Overran(worker, task) => self.overran(worker, task),
            Happening::GroupOverran(task, epoch) => self.group_overran(task, epoch),
            Happening::Leaves(worker, task) => self.leaves(worker, task),
            Happening::Told(report) => self.told(report),
        }
    }

    /// Hands an event to the scheduler and carries out what it answers.
    pub(super) fn tell(&mut self, event: Event<'_>) {
        let mut actions = std::mem::take(&mut self.actions);
        assert!(self.scheduler.handle(self.now_ns, event, &mut actions), "the event fits: {event:?}");
        for action in actions.by_ref() {
            self.book.take(self.now_ns, &action);
            self.carry_out(&action);
        }
        self.actions = actions;
    }

    fn carry_out(&mut self, action: &Whole) {
        match action {
            Action::Start { task, worker, .. } => self.send(*worker, ToWorker::Start(*task)),
            Action::TakeBack { worker, tasks } => self.send(*worker, ToWorker::TakeBack(tasks.clone())),
            Action::StartGroup { task, workers, .. } => {
                self.sequence += 1;
                let members = workers.clone();
                self.book.task_mut(*task).limits.epoch = self.sequence;
                let party = Party::new(members, self.sequence);
                self.parties.insert(*task, party);
                for &worker in workers {
                    self.send(worker, ToWorker::Join(*task));
                }
                // A member that is dead already, unknown to the scheduler.
                if workers.iter().any(|worker| !self.workers[worker.index()].alive) {
                    self.break_party(*task);
                }
            }
            Action::Cancel { task, workers } => {
                for &worker in workers {
                    self.send(worker, ToWorker::Cancel(*task));
                }
            }
            Action::SetAside { task, worker } => self.send(*worker, ToWorker::SetAside(*task)),
            Action::Ended { .. } => {}
            Action::Release { task, holders } => {
                for holder in holders {
                    self.workers[holder.index()].copies.remove(task);
                }
                self.free_slots.extend(task.slot());
            }
        }
    }

    pub(super) fn send(&mut self, worker: WorkerId, message: ToWorker) {
        let at_ns = self.now_ns + self.delay_ns();
        let state = &mut self.workers[worker.index()];
        state.last_in_ns = state.last_in_ns.max(at_ns);
        let delay_ns = state.last_in_ns - self.now_ns;
        self.after(delay_ns, Happening::At(worker, message));
    }

    pub(super) fn report(&mut self, worker: WorkerId, report: Report) {
        let at_ns = self.now_ns + self.delay_ns();
        let state = &mut self.workers[worker.index()];
        state.last_out_ns = state.last_out_ns.max(at_ns);
        let delay_ns = state.last_out_ns - self.now_ns;
        self.after(delay_ns, Happening::Told(report));
    }

    /// A report comes in one message with those that would come soon after it. Says how
    /// many they were.
    fn told_several(&mut self, first: Report) -> u64 {
        self.tell(Event::Hold);
        self.told(first);
        let until_ns = self.now_ns + self.profile.delay_ns_max / 4;
        let mut count = 1;
        while let Some(next) = self.agenda.first_entry()
            && next.key().0 <= until_ns
            && let Happening::Told(report) = next.get().clone()
        {
            next.remove();
            self.told(report);
            count += 1;
        }
        self.tell(Event::Resume);
        count
    }

    fn told(&mut self, report: Report) {
        match report {
            Report::Finished(worker, task, _) | Report::Failed(worker, task, ..) | Report::NotBegun(worker, task)
                if self.came_back(worker, task) => {}
            Report::Finished(worker, task, ran_ns) => {
                self.left(worker, task);
                let model = self.book.task_mut(task);
                let (bytes, resident) = (model.bytes, model.resident);
                model.ran_on = Some(worker);
                model.holders.extend(resident.then_some(worker));
                self.tell(Event::Finished { worker, task, made: Made { bytes, resident }, ran_ns });
            }
            Report::Failed(worker, task, ran_ns, retry) => {
                self.left(worker, task);
                let model = self.book.task_mut(task);
                model.limits.was_tried = true;
                match retry {
                    Retry::Again | Retry::Never => {
                        model.failures += 1;
                        model.tried.push(worker);
                        self.book.note_pause(self.now_ns, task);
                    }
                    other => self.note_wish(task, other),
                }
                self.tell(Event::Failed { worker, task, ran_ns, retry });
            }
            Report::GroupFinished(task, epoch, result) => {
                if self.book.task(task).limits.epoch == epoch && !self.book.task(task).on.is_empty() {
                    self.told_of_group(task, result);
                }
            }
            Report::Overran(worker, task) => self.told_of_overrun(worker, task),
            Report::GroupOverran(task, epoch) => self.told_of_group_overrun(task, epoch),
            Report::Left(worker, task) => self.told_of_leaving(worker, task),
            Report::Returned(worker, mut tasks) => {
                tasks.retain(|&task| !self.came_back(worker, task));
                self.book.workers[worker.index()].asked = false;
                self.book.tally.returned += tasks.len() as u64;
                for &task in &tasks {
                    self.left(worker, task);
                    self.book.tally.came_back_cancelled += u64::from(self.book.task(task).is_cancelled);
                }
                self.tell(Event::Returned { worker, tasks: &tasks });
            }
            Report::NotBegun(worker, task) => {
                self.book.tally.not_begun += 1;
                self.left(worker, task);
                self.tell(Event::NotBegun { worker, tasks: &[task] });
            }
            Report::Copied(task, worker) if self.book.task(task).released => {
                // It was for an attempt that was given up.
                self.workers[worker.index()].copies.remove(&task);
            }
            Report::Copied(task, worker) => {
                self.book.task_mut(task).holders.insert(worker);
                self.tell(Event::Copied { task, worker });
            }
            Report::Lost(worker) => self.told_of_loss(worker),
        }
    }

    fn note_wish(&mut self, task: TaskId, wish: Retry) {
        self.book.tally.wishes += 1;
        let now_ns = self.now_ns;
        let limits = &mut self.book.task_mut(task).limits;
        match wish {
            Retry::Elsewhere { not_on } if !limits.refused.contains(&not_on) => limits.refused.push(not_on),
            Retry::Later { pause_ns } => limits.not_before_ns = now_ns + pause_ns,
            _ => {}
        }
    }

    pub(super) fn left(&mut self, worker: WorkerId, task: TaskId) {
        self.book.workers[worker.index()].in_flight.retain(|&serial| serial != task.serial());
        self.book.waits_again(task);
    }

    fn told_of_group(&mut self, task: TaskId, result: Result<Made, GroupFailure>) {
        let members = std::mem::take(&mut self.book.task_mut(task).on);
        let (living, lost): (Vec<WorkerId>, Vec<WorkerId>) =
            members.iter().copied().partition(|member| self.book.workers[member.index()].living);
        if living.is_empty() {
            return;
        }
        for member in living {
            self.book.workers[member.index()].group = None;
        }
        let result = result.map_err(|failure| GroupFailure { lost: lost.first().copied(), ..failure });
        let root_lives = self.book.workers[members[0].index()].living;
        let model = self.book.task_mut(task);
        match result {
            Ok(value) if !value.resident || root_lives => {
                model.ran_on = Some(members[0]);
                model.holders.extend(value.resident.then_some(members[0]));
            }
            Err(GroupFailure { retry: retry @ (Retry::Elsewhere { .. } | Retry::Later { .. }), .. }) => {
                self.note_wish(task, retry);
            }
            _ => {
                model.failures += 1;
                self.book.note_pause(self.now_ns, task);
            }
        }
        self.book.task_mut(task).limits.was_tried = true;
        self.tell(Event::GroupFinished { task, result });
    }

    fn told_of_loss(&mut self, worker: WorkerId) {
        let slots = self.book.slots_left(worker) as usize;
        self.book.given_up.retain(|given_up| given_up.worker != worker);
        let seen = &mut self.book.workers[worker.index()];
        (seen.living, seen.asked) = (false, false);
        for (index, serial) in std::mem::take(&mut seen.in_flight).into_iter().enumerate() {
            let task = self.book.tasks[serial as usize - 1].id;
            self.book.waits_again(task);
            if index < slots {
                let model = self.book.task_mut(task);
                model.failures += 1;
                model.limits.was_tried = true;
                self.book.note_pause(self.now_ns, task);
            }
        }
        if let Some(serial) = self.book.workers[worker.index()].group.take() {
            let on = &self.book.tasks[serial as usize - 1].on;
            if on.iter().all(|member| !self.book.workers[member.index()].living) {
                let model = &mut self.book.tasks[serial as usize - 1];
                model.failures += 1;
                model.limits.was_tried = true;
                model.on.clear();
                let task = model.id;
                self.book.note_pause(self.now_ns, task);
                self.parties.remove(&task);
                self.tell(Event::Lost { worker });
                // Nobody else is left who could report it.
                let result = Err(GroupFailure { retry: Retry::Again, lost: Some(worker) });
                return self.tell(Event::GroupFinished { task, result });
            }
        }
        self.tell(Event::Lost { worker });
    }

    pub(super) fn drop_handle(&mut self, task: TaskId) {
        if std::mem::take(&mut self.book.task_mut(task).handle) {
            self.tell(Event::Dropped { tasks: &[task] });
        }
    }
}
