//! One task or value of a simulated program: what it is, what must become of it, and how
//! far it is.

use super::content::{Content, Together};
use super::limits::Limits;
use super::script::{Outcome, Script, failure_text};
use crate::codec::Payload;
use crate::function::argument::{Input, Role};
use crate::function::registry::Remote;
use crate::function::remote::Failure;
use crate::id::{GraphRunId, TaskId};
use crate::outcome::error::TaskError;
use crate::task::items::Items;

/// What a task does when it runs.
#[derive(Debug)]
pub(super) enum Behaviour {
    /// A value: nothing.
    Given,
    /// So many first attempts fail with this.
    Single { failing: u32, failure: Failure },
    /// By attempt, what its group does.
    Group(Vec<Script>),
}

/// How a task must end.
#[derive(Clone, PartialEq, Debug)]
pub(super) enum Expected {
    /// With its output, at this attempt.
    Value { attempts: u32 },
    /// With an error that says this, after so many attempts.
    Failed { attempts: u32, text: String },
    /// It must not run.
    Upstream,
    /// It can never run: it, or what comes before it, needs more workers than there are.
    Stuck,
}

/// How a task has ended, as the controller said then.
#[derive(Clone, PartialEq, Debug)]
pub(super) enum Seen {
    /// With a value.
    Value,
    /// With an error.
    Error(TaskError),
    /// It was gone at once, as nobody needed it; `gave` says whether it has given a
    /// value, where that is certain.
    Gone { gave: Option<bool> },
}

/// A task as the simulation knows it.
#[derive(Debug)]
pub(super) struct Task {
    pub(super) id: TaskId,
    /// The function; a value has none.
    pub(super) remote: Option<&'static Remote>,
    /// The arguments that came as values.
    pub(super) plain: Vec<u8>,
    pub(super) inputs: Vec<Input<TaskId>>,
    /// All whose values it needs, by their numbers.
    pub(super) dependencies: Vec<usize>,
    /// Those whose ends it takes, whichever.
    pub(super) ends: Vec<usize>,
    pub(super) follow: Option<usize>,
    pub(super) ranks: u32,
    pub(super) retries: u32,
    pub(super) label: Option<String>,
    pub(super) graph_run: Option<GraphRunId>,
    /// The items of a map that it is made of.
    pub(super) items: Option<Items>,
    pub(super) behaviour: Behaviour,
    pub(super) expected: Expected,
    pub(super) content: Content,
    /// The content as it travels.
    pub(super) output: Payload,

    /// It was cancelled before it had ended, and after it was sent to be run so often.
    pub(super) cancelled: Option<u32>,
    /// Attempts that have begun on a worker.
    pub(super) begun: u32,
    /// The number of the last of them, as its worker was told.
    pub(super) told: u32,
    /// An attempt has given the output.
    pub(super) has_given: bool,
    /// The number of the last attempt that has failed by itself.
    pub(super) failed_at: u32,
    /// The lost workers that had it when the controller heard of their loss, each with
    /// the attempt.
    pub(super) lost_with: Vec<(usize, u32)>,
    /// Executors that run it at this moment.
    pub(super) running: u32,
    /// The workers of the last attempt, the first of a group first.
    pub(super) ran_on: Option<usize>,
    /// How it has ended, as the controller said then.
    pub(super) seen: Option<Seen>,
    pub(super) limits: Limits,
    /// The task where its error began.
    pub(super) root: Option<usize>,
    /// Its items have failed for want of a state, and it has told that as its value.
    pub(super) items_lack_state: bool,
    /// The controller does not know it any more.
    pub(super) released: bool,
    /// Handles that the user has.
    pub(super) handles: u32,
    /// The same as far as the controller was told.
    pub(super) counted: u32,
    /// Threads of the user that wait for it.
    pub(super) waits: u32,
}

impl Task {
    /// As how many tasks it counts.
    pub(super) fn weight(&self) -> u64 {
        self.items.map_or(1, |items| items.count.into())
    }

    /// Whether it tells what became of each of several items.
    pub(super) fn gives_outcomes(&self) -> bool {
        self.items.is_some_and(|items| items.give_outcomes())
    }

    /// Whether it has ended, as far as the controller has said.
    pub(super) fn has_ended(&self) -> bool {
        self.seen.is_some()
    }

    /// Whether it has ended with a value, as far as that is certain.
    pub(super) fn has_value(&self) -> Option<bool> {
        match self.seen {
            None | Some(Seen::Error(_)) => Some(false),
            Some(Seen::Value) => Some(true),
            Some(Seen::Gone { gave }) => gave,
        }
    }

    /// Whether it may have ended with a value where it should have failed, or the other
    /// way round.
    pub(super) fn deviates(&self) -> bool {
        self.has_ended() && self.has_value() != Some(matches!(self.expected, Expected::Value { .. }))
    }

    /// What a group does in an attempt. Without losses there is one for each; more of
    /// them go like the last.
    pub(super) fn script(&self, attempt: u32) -> &Script {
        let Behaviour::Group(scripts) = &self.behaviour else { panic!("{} is no group", self.id) };
        let last = scripts.len() - 1;
        &scripts[last.min(attempt as usize - 1)]
    }

    /// The failure of an attempt of a single-rank task, if it has one.
    pub(super) fn failure(&self, attempt: u32) -> Option<&Failure> {
        let Behaviour::Single { failing, failure } = &self.behaviour else { panic!("{} needs a group", self.id) };
        (attempt <= *failing).then_some(failure)
    }

    /// How a task must end that comes after these, if they have ended or will end so, and
    /// nothing if it depends on what it does itself.
    pub(super) fn expected_after<'a>(before: impl Iterator<Item = &'a Self>) -> Option<Expected> {
        let mut expected = None;
        for task in before {
            match (&task.seen, &task.expected) {
                (Some(Seen::Value), _) | (None, Expected::Value { .. }) => {}
                (None, Expected::Stuck) => expected = expected.or(Some(Expected::Stuck)),
                (Some(Seen::Error(_)), _) | (None, Expected::Failed { .. } | Expected::Upstream) => {
                    expected = Some(Expected::Upstream);
                }
                (Some(Seen::Gone { .. }), _) => panic!("{} is gone, and named", task.id),
            }
        }
        expected
    }

    /// How it must end, if what comes first gives values.
    pub(super) fn expected_alone(behaviour: &Behaviour, retries: u32) -> Expected {
        match behaviour {
            Behaviour::Given => Expected::Value { attempts: 0 },
            Behaviour::Single { failing, .. } if *failing == 0 => Expected::Value { attempts: 1 },
            Behaviour::Single { failure, .. } if matches!(failure, Failure::Decode { .. }) => {
                Expected::Failed { attempts: 1, text: failure_text(failure).to_owned() }
            }
            Behaviour::Single { failing, .. } if *failing <= retries => Expected::Value { attempts: failing + 1 },
            Behaviour::Single { failure, .. } => {
                Expected::Failed { attempts: retries + 1, text: failure_text(failure).to_owned() }
            }
            Behaviour::Group(scripts) => {
                for (attempt, script) in (1..).zip(scripts) {
                    if script.outcome == Outcome::Good {
                        return Expected::Value { attempts: attempt };
                    }
                    if script.outcome.is_final() || attempt > retries {
                        return Expected::Failed { attempts: attempt, text: script.outcome.text() };
                    }
                }
                unreachable!("the last script is good or no attempt follows it")
            }
        }
    }

    /// The arguments in one piece, with the outputs that `output` gives; it is told where
    /// they go.
    pub(super) fn arguments_together(&self, mut output: impl FnMut(&Input<TaskId>, usize) -> Vec<u8>) -> Vec<u8> {
        let mut together = Together::new(&self.plain);
        let same = |one: &Input<TaskId>, next: &Input<TaskId>| one.position.parameter == next.position.parameter;
        for inputs in self.inputs.chunk_by(same) {
            for (index, input) in inputs.iter().enumerate() {
                together.up_to(input.position.offset as usize);
                if index == 0 && input.position.role == Role::Element {
                    together.gathered(inputs.len());
                }
                let bytes = output(input, together.bytes.len());
                together.bytes.extend(bytes);
            }
        }
        together.up_to(self.plain.len());
        together.bytes
    }
}
