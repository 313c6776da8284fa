//! The states of slots in a simulated run: how executors make, use and end them, and what
//! the user asks of them. It stands for `task/keeper.rs`, and for what `launch.rs` and
//! `Cluster::finish` do with states.

use super::agenda::Happening;
use super::content::Content;
use super::random::Random;
use super::user::Wait;
use super::worker::Doing;
use super::world::{BEGIN_NS, Phase, World};
use crate::codec::Payload;
use crate::function::remote::Failure;
use crate::id::{Rank, Slot};
use crate::machine::Ns;
use crate::machine::controller;
use crate::machine::worker::Input;
use crate::outcome::finish::FinishError;
use crate::task::recipe::{Final, Renewal};

/// How a run has to do with states, drawn from its seed.
#[derive(Clone, Debug)]
pub(super) struct StatesShape {
    /// How long `init` and `finish` take, as a rule.
    init_ns_max: Ns,
    finish_ns_max: Ns,
    /// First states in a hundred that cannot be made, and later ones.
    failing_percent: u64,
    failing_again_percent: u64,
    /// A state is made anew after so many tasks.
    lifespan: Option<u64>,
    /// So many tasks in a hundred ask for a new state.
    reset_percent: u64,
    /// How long that may take.
    pub(super) renewal_limit_ns: Option<Ns>,
    /// When the user gives up on `init`.
    init_limit_ns: Option<Ns>,
    /// The body begins when all states are made. Without this, tasks come earlier than
    /// they can in a program.
    body_waits: bool,
    /// The user asks what the states are made to.
    wants_finals: bool,
    /// A worker is lost then, if any are lost in this run.
    loses_finals: bool,
    /// After how long he gives up on that.
    finish_limit_ns: Option<Ns>,
    /// States in a hundred that cannot be finished.
    unfinished_percent: u64,
    /// A state is made to so many bytes at most.
    final_bytes_max: u64,
}

impl StatesShape {
    pub(super) fn draw(random: &mut Random, run_ns_max: Ns) -> Self {
        let mut ns = || *random.pick(&[5_000, 500_000, 20_000_000, 10 * run_ns_max]).expect("there are some");
        let (init_ns_max, finish_ns_max) = (ns(), ns());
        Self {
            init_ns_max,
            finish_ns_max,
            failing_percent: *random.pick(&[0, 0, 0, 0, 2, 40]).expect("there are some"),
            failing_again_percent: *random.pick(&[0, 5, 15]).expect("there are some"),
            lifespan: random.percent(50).then(|| random.up_to(6)),
            reset_percent: *random.pick(&[0, 5, 40]).expect("there are some"),
            renewal_limit_ns: random.percent(25).then(|| random.up_to(2 * init_ns_max)),
            init_limit_ns: random.percent(25).then(|| random.up_to(4 * init_ns_max)),
            body_waits: random.percent(60),
            wants_finals: random.percent(80),
            loses_finals: random.percent(50),
            finish_limit_ns: random.percent(30).then(|| random.up_to(4 * finish_ns_max)),
            unfinished_percent: *random.pick(&[0, 0, 0, 10]).expect("there are some"),
            final_bytes_max: *random.pick(&[8, 100, 30_000]).expect("there are some"),
        }
    }
}

/// How often what was met that has to do with states, over one run or many.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct StatesTally {
    /// States that were made in place of others.
    pub made_anew: u64,
    /// First states that could not be made, and later ones.
    pub not_made: u64,
    /// See above.
    pub not_made_anew: u64,
    /// Runs in which `init` took too long.
    pub overdue: u64,
    /// States that were not made anew in time.
    pub overdue_anew: u64,
    /// Tasks that ended because a state could not be made.
    pub ended_tasks: u64,
    /// Those of them that were added when the controller knew that.
    pub ended_late_tasks: u64,
    /// Runs whose user got what all states were made to.
    pub finals: u64,
    /// Runs in which a state could not be finished.
    pub not_finished: u64,
    /// States that could not be finished when the run was over.
    pub not_finished_unasked: u64,
    /// Runs whose user did not wait for all of them.
    pub finals_overdue: u64,
    /// Workers that were lost when they were to end their states.
    pub finals_lost: u64,
}

impl std::ops::AddAssign for StatesTally {
    fn add_assign(&mut self, other: Self) {
        self.made_anew += other.made_anew;
        self.not_made += other.not_made;
        self.not_made_anew += other.not_made_anew;
        self.overdue += other.overdue;
        self.overdue_anew += other.overdue_anew;
        self.ended_tasks += other.ended_tasks;
        self.ended_late_tasks += other.ended_late_tasks;
        self.finals += other.finals;
        self.not_finished += other.not_finished;
        self.not_finished_unasked += other.not_finished_unasked;
        self.finals_overdue += other.finals_overdue;
        self.finals_lost += other.finals_lost;
    }
}

/// How far the user is with what the states are made to.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
enum Finishing {
    /// He does not want it, or has got it.
    #[default]
    Over,
    /// He will ask for it.
    Left,
    /// He has asked for it.
    Asked,
}

/// The states of a run, as its user sees them.
#[derive(Default, Debug)]
pub(super) struct States {
    has_begun: bool,
    finishing: Finishing,
    /// Why one could not be made, as the controller has said.
    failure: Option<String>,
}

impl States {
    pub(super) fn new(shape: Option<&StatesShape>) -> Self {
        let wants_finals = shape.is_some_and(|shape| shape.wants_finals);
        Self { finishing: if wants_finals { Finishing::Left } else { Finishing::Over }, ..Self::default() }
    }

    /// Whether the user has asked for all that he asks.
    pub(super) fn is_over(&self) -> bool {
        self.finishing == Finishing::Over
    }
}

/// The state of a slot.
#[derive(Default, Debug)]
pub(super) struct Keeper {
    /// There is one.
    is_made: bool,
    /// How often one was to be made.
    inits: u64,
    /// How many tasks it was given to.
    used: u64,
    /// Why there is none.
    failure: Option<String>,
    /// What those so far were made to.
    finals: Vec<Final>,
    /// They were told, as the controller has asked.
    are_told: bool,
    /// Until when one has to be made anew, by the clock of its worker.
    renews_until: Option<Ns>,
}

impl Keeper {
    /// Some state could not be finished, and the controller has not asked for it.
    pub(super) fn is_not_finished(&self) -> bool {
        !self.are_told && self.finals.iter().any(Result::is_err)
    }
}

impl World<'_> {
    /// The executors begin, each with the state of its slot.
    pub(super) fn make_states(&mut self) {
        let Some(shape) = self.shape.states.clone() else { return };
        let now = self.agenda.now();
        if let Some(limit_ns) = shape.init_limit_ns {
            self.agenda.at(now + limit_ns, Happening::StatesOverdue);
        }
        for worker in 0..self.workers.len() {
            for slot in 0..self.workers[worker].executors.len() {
                self.workers[worker].executors[slot].doing = Doing::MakesState;
                self.attends(worker, slot, shape.init_ns_max);
            }
        }
    }

    /// An executor makes or ends a state, which takes a time.
    fn attends(&mut self, worker: usize, slot: usize, ns_max: Ns) {
        let ns_max = if self.random.percent(2) { 200_000_000 } else { ns_max };
        let at = self.agenda.now() + self.random.up_to(ns_max);
        self.agenda.at(at, Happening::Attended { worker, slot });
    }

    /// An executor is done with what it does for its state.
    pub(super) fn attended(&mut self, worker: usize, slot: usize) {
        if self.workers[worker].is_dead {
            return;
        }
        match self.workers[worker].executors[slot].doing {
            Doing::MakesState => self.first_state(worker, slot),
            Doing::Alone { .. } | Doing::Member { .. } => self.new_state(worker, slot),
            Doing::EndsState => self.last_state(worker, slot),
            Doing::Stops => {
                self.end_state(worker, slot);
                self.tell_not_finished(worker, slot);
                self.returns(worker, slot);
            }
            Doing::Nothing | Doing::Stopped => unreachable!("it attends to nothing"),
        }
    }

    /// The first `init` of a slot is over.
    fn first_state(&mut self, worker: usize, slot: usize) {
        let percent = self.states_shape().failing_percent;
        let failure = self.init(worker, slot, percent);
        self.history.tally.states.not_made += u64::from(failure.is_some());
        self.workers[worker].executors[slot].doing = Doing::Nothing;
        let took_ns = self.agenda.now() - BEGIN_NS;
        self.tell_worker(worker, Input::StateMade { failure, took_ns });
        self.looks_for_task(worker, slot, None);
        self.after_worker(worker);
    }

    /// What an executor has begun goes on when its state was made anew, or ends if that
    /// could not be.
    fn new_state(&mut self, worker: usize, slot: usize) {
        if self.workers[worker].executors[slot].keeper.failure.is_some() {
            return self.ends_without_state(worker, slot);
        }
        let percent = self.states_shape().failing_again_percent;
        self.workers[worker].executors[slot].keeper.renews_until = None;
        self.tell_worker(worker, Input::Renews { slot: Slot(slot as u32), by: None });
        match self.init(worker, slot, percent) {
            None => {
                self.history.tally.states.made_anew += 1;
                self.workers[worker].executors[slot].keeper.used = 1;
                self.runs(worker, slot);
            }
            Some(failure) => {
                self.history.tally.states.not_made_anew += 1;
                self.tell_worker(worker, Input::StateLost { failure });
                let after = if self.random.percent(60) { 0 } else { self.random.up_to(2_000_000) };
                self.agenda.at(self.agenda.now() + after, Happening::Attended { worker, slot });
                self.after_worker(worker);
            }
        }
    }

    fn states_shape(&self) -> &StatesShape {
        self.shape.states.as_ref().expect("the run has states")
    }

    fn tell_worker(&mut self, worker: usize, input: Input<'_>) {
        let now = self.agenda.now();
        let this = &mut self.workers[worker];
        this.machine.handle(this.clock.shows(now), input, &mut this.out);
        self.deliver_of_worker(worker);
    }

    /// Makes the state of a slot. Gives why that failed, if so.
    fn init(&mut self, worker: usize, slot: usize, failing_percent: u64) -> Option<String> {
        let keeper = &mut self.workers[worker].executors[slot].keeper;
        keeper.inits += 1;
        keeper.is_made = !self.random.percent(failing_percent);
        if keeper.is_made {
            return None;
        }
        let failure = format!("no state {} of slot {slot} of rank {}", keeper.inits, worker + 1);
        self.history.note(self.agenda.now(), || failure.clone());
        keeper.failure = Some(failure.clone());
        self.book.state_not_made(failure.clone());
        Some(failure)
    }

    /// Ends the state of a slot, if there is one.
    fn end_state(&mut self, worker: usize, slot: usize) {
        let StatesShape { unfinished_percent, final_bytes_max, .. } = *self.states_shape();
        let keeper = &mut self.workers[worker].executors[slot].keeper;
        if !std::mem::take(&mut keeper.is_made) {
            return;
        }
        let number = (worker as u64) << 40 | (slot as u64) << 32 | keeper.inits;
        keeper.finals.push(if self.random.percent(unfinished_percent) {
            Err(format!("no end of state {} of slot {slot}", keeper.inits))
        } else {
            Ok(Content::new(number, self.random.up_to(final_bytes_max)).encoded())
        });
    }

    /// Before what an executor has begun runs: whether its state is there. If not, one is
    /// made first, or it ends.
    pub(super) fn prepares(&mut self, worker: usize, slot: usize) -> bool {
        let Some(shape) = self.shape.states.clone() else { return true };
        let keeper = &mut self.workers[worker].executors[slot].keeper;
        if keeper.failure.is_some() {
            self.attends(worker, slot, 1_000);
        } else {
            assert!(keeper.is_made, "slot {slot} of rank {} begins a task before it has a state", worker + 1);
            let is_reset = keeper.used > 0 && self.random.percent(shape.reset_percent);
            if !is_reset && shape.lifespan.is_none_or(|tasks| keeper.used < tasks) {
                keeper.used += 1;
                return true;
            }
            self.end_state(worker, slot);
            let limit_ns = shape.renewal_limit_ns.unwrap_or(u64::MAX);
            let now = self.workers[worker].clock.shows(self.agenda.now());
            self.workers[worker].executors[slot].keeper.renews_until = Some(now.saturating_add(limit_ns));
            self.tell_worker(worker, Input::Renews { slot: Slot(slot as u32), by: Some(Renewal::Init) });
            self.attends(worker, slot, shape.init_ns_max);
        }
        self.after_worker(worker);
        false
    }

    /// A worker has told that what this executor does has gone on for too long. Notes it
    /// if that may be its state.
    pub(super) fn note_renewal(&mut self, worker: usize, slot: usize) {
        let this = &mut self.workers[worker];
        let shown = this.clock.shows(self.agenda.now());
        if this.executors[slot].keeper.renews_until.take_if(|until| *until <= shown).is_some() {
            self.history.tally.states.overdue_anew += 1;
            self.book.cancels_for_states = true;
            self.book.state_not_made("init has not returned within the init limit of ".to_owned());
        }
    }

    /// What an executor has begun ends, as there is no state for it.
    fn ends_without_state(&mut self, worker: usize, slot: usize) {
        let ended = self.ended_at(worker, slot);
        let executor = &self.workers[worker].executors[slot];
        let failure = Failure::Init(executor.keeper.failure.clone().expect("there is no state"));
        let (task, failure) = match executor.doing {
            Doing::Alone { task, attempt, .. } => {
                let is_late = self.is_late((worker, slot), (task, attempt), ended);
                (task, self.book.ends_without_state(task, (attempt, is_late), failure))
            }
            Doing::Member { epoch, member, .. } => {
                (self.leaves((worker, slot), (epoch, member), ended, Err(())), Some(failure))
            }
            ref other => unreachable!("it has begun something: {other:?}"),
        };
        self.end(worker, slot, task, (failure, ended));
    }

    /// An executor is asked for the end of its state.
    pub(super) fn ends_state(&mut self, worker: usize, slot: usize) {
        let executor = &mut self.workers[worker].executors[slot];
        assert!(!executor.keeper.are_told, "a state ends once");
        executor.doing = Doing::EndsState;
        let finish_ns_max = self.states_shape().finish_ns_max;
        self.attends(worker, slot, finish_ns_max);
    }

    /// The end of a state, as the controller has asked.
    fn last_state(&mut self, worker: usize, slot: usize) {
        self.end_state(worker, slot);
        let executor = &mut self.workers[worker].executors[slot];
        executor.doing = Doing::Nothing;
        executor.keeper.are_told = true;
        let finals = executor.keeper.finals.clone();
        self.tell_worker(worker, Input::StateEnded { slot: Slot(slot as u32), finals });
        self.looks_for_task(worker, slot, None);
        self.after_worker(worker);
    }

    /// An executor is told that the run is over: it returns, after the end of its state.
    pub(super) fn stops(&mut self, worker: usize, slot: usize) {
        self.workers[worker].executors[slot].doing = Doing::Stops;
        let keeper = &self.workers[worker].executors[slot].keeper;
        if keeper.are_told || !(keeper.is_made || keeper.is_not_finished()) {
            return self.returns(worker, slot);
        }
        let finish_ns_max = self.states_shape().finish_ns_max;
        self.attends(worker, slot, finish_ns_max);
    }

    /// An executor returns, and tells why states could not be finished.
    fn tell_not_finished(&mut self, worker: usize, slot: usize) {
        let finals = self.workers[worker].executors[slot].keeper.finals.clone();
        for failure in finals.into_iter().filter_map(Result::err) {
            self.history.tally.states.not_finished_unasked += 1;
            self.tell_worker(worker, Input::StateNotFinished { failure });
        }
    }

    /// All ranks have joined in the end: the controller knows of a state that could not
    /// be finished, and nobody has asked for.
    pub(super) fn check_states_at_end(&self) {
        let machine = &self.controller.machine;
        assert!(!machine.has_unended_states(), "all workers say that their states have ended");
        let untold =
            |worker: &usize| self.workers[*worker].executors.iter().any(|executor| executor.keeper.is_not_finished());
        let mut all = (0..self.workers.len()).filter(untold);
        match machine.finish_failure() {
            Some(failure) => assert!(all.any(|worker| failure.contains(&site(worker))), "{failure}, but it could be"),
            None => assert!(all.all(|worker| self.workers[worker].is_dead), "nobody tells of states without an end"),
        }
    }

    /// The user waits until all states are made before his body begins, if he does.
    pub(super) fn waits_for_states(&mut self) -> bool {
        let body_waits = self.shape.states.as_ref().is_some_and(|shape| shape.body_waits);
        let waits = body_waits && !std::mem::replace(&mut self.states.has_begun, true);
        if waits {
            self.wait(Wait::States);
        }
        waits
    }

    /// The user gives up on `init`.
    pub(super) fn states_overdue(&mut self) {
        if self.phase != Phase::Open || self.controller.machine.are_states_made() {
            return;
        }
        let limit_ms = u128::from(self.states_shape().init_limit_ns.unwrap_or(0) / 1_000_000);
        self.tell(controller::Input::StatesOverdue { limit_ms });
        let failure = self.controller.machine.init_failure().expect("it is overdue").to_owned();
        self.history.note(self.agenda.now(), || failure.clone());
        self.history.tally.states.overdue += 1;
        let makes_states = |worker: &usize| self.workers[*worker].makes_states() && !self.book.lost.contains(worker);
        for worker in (0..self.workers.len()).filter(makes_states) {
            assert!(failure.contains(&site(worker)), "{failure}, and on {}", site(worker));
        }
        self.book.state_not_made(failure);
        self.after_controller();
    }

    /// Compares what the controller says of the states with what has happened.
    pub(super) fn check_states(&mut self) {
        if self.shape.states.is_none() {
            return;
        }
        let machine = &self.controller.machine;
        match (machine.init_failure(), &self.states.failure) {
            (None, None) => {
                let living = (0..self.workers.len()).filter(|worker| !self.book.lost.contains(worker));
                let mut are_unmade = living.map(|worker| self.workers[worker].makes_states());
                assert!(!machine.are_states_made() || !are_unmade.any(|is_unmade| is_unmade), "all states are made");
            }
            (Some(failure), None) => {
                assert!(self.book.is_why_not_made(failure), "{failure}, but that has not happened");
                self.states.failure = Some(failure.to_owned());
                self.book.barred_from = Some(self.book.tasks.len());
            }
            (now, before) => assert_eq!(now, before.as_deref(), "the first failure stays"),
        }
    }

    /// All is quiet: all know that a state could not be made.
    pub(super) fn check_states_at_rest(&self) {
        let is_known = self.controller.machine.init_failure().is_some();
        for worker in self.workers.iter().filter(|worker| !worker.is_dead) {
            let failed = worker.executors.iter().find_map(|executor| executor.keeper.failure.as_ref());
            assert!(is_known || failed.is_none(), "the controller does not know that there is {failed:?}");
            assert_eq!(is_known, worker.is_barred, "{} knows that a state could not be made", worker.rank);
        }
    }

    /// What a worker says of its states is so, and nothing waits there that never begins.
    pub(super) fn check_states_of(&self, worker: usize) {
        let this = &self.workers[worker];
        let is_untold = this.is_asked && this.executors.iter().any(|executor| !executor.keeper.are_told);
        let attends = this.makes_states() || is_untold;
        assert_eq!(this.machine.attends_to_states(), attends, "{} attends to states", this.rank);
        assert!(!this.is_barred || this.machine.ready() == 0, "{} keeps what never begins", this.rank);
    }

    /// All tasks have ended; the user will ask what the states are made to, if he wants
    /// to know.
    pub(super) fn finishes_some_time(&mut self) {
        if self.states.finishing == Finishing::Left {
            let after = if self.random.percent(50) { 0 } else { self.random.up_to(20_000_000) };
            self.agenda.at(self.agenda.now() + after, Happening::Finishes);
        }
    }

    /// The user asks what the states are made to.
    pub(super) fn user_finishes(&mut self) {
        if self.phase != Phase::Open {
            return;
        }
        self.states.finishing = Finishing::Asked;
        let StatesShape { loses_finals, finish_ns_max, .. } = *self.states_shape();
        if loses_finals && !self.shape.losses.is_empty() {
            let worker = self.random.below(self.workers.len() as u64) as usize;
            self.agenda.at(self.agenda.now() + self.random.up_to(finish_ns_max), Happening::Dies(worker));
        }
        if let Some(limit_ns) = self.states_shape().finish_limit_ns {
            self.agenda.at(self.agenda.now() + limit_ns, Happening::FinishOverdue);
        }
        self.tell(controller::Input::FinalsWanted);
        self.after_controller();
        self.wait(Wait::Finals);
    }

    /// The user does not wait any longer for what the states are made to.
    pub(super) fn finish_overdue(&mut self) {
        if self.phase != Phase::Open || self.states.finishing != Finishing::Asked {
            return;
        }
        let unfinished = self.controller.machine.unfinished();
        self.history.note(self.agenda.now(), || format!("the user waits no longer for {unfinished}"));
        self.history.tally.states.finals_overdue += 1;
        for worker in (0..self.workers.len()).filter(|worker| !self.book.lost.contains(worker)) {
            let is_untold = self.workers[worker].executors.iter().any(|executor| !executor.keeper.are_told);
            assert!(!is_untold || unfinished.contains(&site(worker)), "{} ends its states", site(worker));
        }
        self.states.finishing = Finishing::Over;
        self.user.waits_no_longer(Wait::Finals);
    }

    /// Whether what the states are made to is here, as it must be.
    pub(super) fn has_finals(&mut self) -> bool {
        let Some(finals) = self.controller.machine.finals() else { return false };
        self.history.note(self.agenda.now(), || format!("the user gets the ends of states: {}", finals.is_ok()));
        self.check_finals(&finals);
        if self.phase == Phase::Open && self.random.percent(20) {
            self.tell(controller::Input::FinalsWanted);
            assert_eq!(self.controller.machine.finals(), Some(finals), "it gives the same when it is asked again");
        }
        self.states.finishing = Finishing::Over;
        true
    }

    fn check_finals(&mut self, finals: &Result<Vec<Payload>, FinishError>) {
        let machine = &self.controller.machine;
        match finals {
            Err(FinishError::Closed) => assert!(machine.is_over(), "the run goes on"),
            Err(FinishError::Init { message }) => assert_eq!(machine.init_failure(), Some(&**message)),
            finals => {
                assert!(machine.init_failure().is_none(), "there are no states");
                assert_eq!(finals, &self.expected_finals(), "what the states are made to");
                let tally = &mut self.history.tally.states;
                tally.finals += u64::from(finals.is_ok());
                tally.not_finished += u64::from(finals.is_err());
            }
        }
    }

    /// What the states of the workers that are not lost are made to, in order.
    fn expected_finals(&self) -> Result<Vec<Payload>, FinishError> {
        let mut all = Vec::new();
        for worker in (0..self.workers.len()).filter(|worker| !self.book.lost.contains(worker)) {
            for executor in &self.workers[worker].executors {
                assert!(executor.keeper.are_told, "{} has ended its states", site(worker));
                for value in &executor.keeper.finals {
                    let failed =
                        |message: &String| FinishError::Failed { site: site(worker), message: message.clone() };
                    all.push(value.as_ref().map_err(failed)?.clone());
                }
            }
        }
        Ok(all)
    }

    /// A worker dies, which may be asked for the ends of its states.
    pub(super) fn dies_with_states(&mut self, worker: usize) {
        let is_untold = self.workers[worker].executors.iter().any(|executor| !executor.keeper.are_told);
        if self.states.finishing == Finishing::Asked && is_untold {
            self.history.tally.states.finals_lost += 1;
        }
    }
}

/// A worker, as the controller names it.
fn site(worker: usize) -> String {
    format!("{} (host host{})", Rank(worker as u32 + 1), (worker + 1) % 2)
}
