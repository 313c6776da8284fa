//! The states of the slots, as far as the machine of a worker knows them: whether all
//! have been made, and what they were made to in the end. The executors make and end
//! them.

use super::limits::tell_overran;
use super::outbox::Outbox;
use super::queue::ReadyTask;
use super::{Phase, Worker};
use crate::config::Settings;
use crate::function::remote::Failure;
use crate::id::Slot;
use crate::machine::Ns;
use crate::task::recipe::{Final, Renewal};
use crate::wire::message::ToController;
use std::mem::take;

/// What the executors have said of their states.
#[derive(Debug)]
pub(super) struct States {
    /// Slots whose first state is to be made.
    unmade: u32,
    /// Why no task begins any more: some state of this run could not be made.
    failure: Option<String>,
    /// Which slots are still to end their states, and what the others have made of
    /// theirs; nothing before the controller has asked for it.
    finals: Option<Vec<Option<Vec<Final>>>>,
    /// How many of them are still to do so.
    unended: usize,
    /// Why one could not be ended that nobody has asked for.
    not_finished: Option<String>,
    /// Those that are made anew at this moment, in time so far.
    renewed: Vec<Renewed>,
    init_limit_ns: Ns,
    finish_limit_ns: Ns,
}

/// A state that is made anew.
#[derive(Debug)]
struct Renewed {
    slot: Slot,
    by: Renewal,
    /// When that has to have returned.
    until: Ns,
}

impl States {
    /// None made yet; without any state there is nothing to make.
    pub(super) fn new(settings: &Settings) -> Self {
        Self {
            unmade: if settings.has_states { settings.slots } else { 0 },
            failure: None,
            finals: None,
            unended: 0,
            not_finished: None,
            renewed: Vec::new(),
            init_limit_ns: settings.init_limit_ns,
            finish_limit_ns: settings.finish_limit_ns,
        }
    }

    fn limit_ns(&self, by: Renewal) -> Ns {
        match by {
            Renewal::Finish => self.finish_limit_ns,
            Renewal::Init => self.init_limit_ns,
        }
    }

    /// An executor makes the state of its slot anew, by this next, or has done so.
    pub(super) fn renews(&mut self, slot: Slot, by: Option<Renewal>, now: Ns) {
        self.renewed.retain(|renewed| renewed.slot != slot);
        let until = |by| now.checked_add(self.limit_ns(by));
        self.renewed.extend(by.and_then(|by| Some(Renewed { slot, by, until: until(by)? })));
    }

    /// When the first of those that are made anew has to be.
    pub(super) fn next_ns(&self) -> Option<Ns> {
        self.renewed.iter().map(|renewed| renewed.until).min()
    }

    /// A state could not be ended that nobody has asked for.
    pub(super) fn cannot_finish(&mut self, failure: String) {
        self.not_finished.get_or_insert(failure);
    }

    /// Why, if so.
    pub(super) fn not_finished(&self) -> Option<&str> {
        self.not_finished.as_deref()
    }
}

impl Worker {
    /// Whether executors make states, or end them, beside their tasks.
    pub(crate) fn attends_to_states(&self) -> bool {
        self.states.unmade > 0 || self.states.unended > 0
    }

    /// An executor has made the first state of its slot, or could not.
    pub(super) fn state_made(&mut self, failure: Option<&str>, out: &mut Outbox) {
        self.states.unmade -= 1;
        if failure.is_some() || self.states.unmade == 0 {
            tell_states(failure, out);
        }
    }

    /// A state could not be made, here or elsewhere: no task begins any more.
    pub(super) fn bar(&mut self, failure: &str) {
        self.states.failure.get_or_insert_with(|| failure.to_owned());
    }

    /// Whether no task begins any more.
    pub(super) fn is_barred(&self) -> bool {
        self.states.failure.is_some()
    }

    /// Ends all that is ready and has not begun, of the state that could not be made.
    pub(super) fn end_unbegun(&mut self, out: &mut Outbox) {
        let Some(failure) = self.states.failure.clone() else { return };
        for ReadyTask { task, epoch } in take(&mut self.ready).into_tasks() {
            if let Some(epoch) = epoch {
                self.groups.depart(epoch);
            }
            self.gave_up(task, Failure::Init(failure.clone()), out);
        }
    }

    /// States that are not made anew in time never are: no task begins any more, and
    /// those that wait for them end.
    pub(super) fn tell_overdue_states(&mut self, out: &mut Outbox) {
        let now = self.now;
        if self.phase != Phase::Open {
            return;
        }
        while let Some(at) = self.states.renewed.iter().position(|renewed| renewed.until <= now) {
            let Renewed { slot, by, .. } = self.states.renewed.swap_remove(at);
            let limit_ms = self.states.limit_ns(by) / 1_000_000;
            let (name, slot_number) = (if by == Renewal::Init { "init" } else { "finish" }, slot.0);
            let failure = format!(
                "{name} has not returned within the {name} limit of {limit_ms} ms, where the state of slot \
                 {slot_number} was to be made anew"
            );
            tell_states(Some(&failure), out);
            if let Some(attempt) = self.running.at(slot) {
                tell_overran(slot, attempt, Some(&failure), out);
            }
        }
    }

    /// The controller asks what becomes of all states: the slots end them.
    pub(super) fn finals_wanted(&mut self, out: &mut Outbox) {
        if self.states.finals.is_none() {
            self.states.unended = self.running.slots();
            self.states.finals = Some(vec![None; self.states.unended]);
        }
        out.happened.note_all();
    }

    /// Whether an executor that has nothing else to do is to end the state of its slot.
    pub(crate) fn wants_final(&self, slot: Slot) -> bool {
        self.states.finals.as_ref().is_some_and(|finals| finals[slot.index()].is_none())
    }

    /// An executor has ended the state of its slot.
    pub(super) fn state_ended(&mut self, slot: Slot, ended: Vec<Final>, out: &mut Outbox) {
        let States { finals, unended, .. } = &mut self.states;
        let finals = finals.as_mut().expect("an executor ends its state when it was asked to");
        finals[slot.index()] = Some(ended);
        *unended -= 1;
        if *unended == 0 {
            let all = finals.iter_mut().filter_map(|of_slot| of_slot.as_mut().map(take));
            out.tell_finals(&all.flatten().collect::<Vec<Final>>());
            out.flush();
        }
    }
}

/// Tells the controller that all states are made, or that one could not be.
pub(super) fn tell_states(failure: Option<&str>, out: &mut Outbox) {
    out.tell(&ToController::StatesMade { failure });
    out.flush();
}
