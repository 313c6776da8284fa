//! One task or value of a simulated program: what it is, what must become of it, and how far it is.

use super::content::{Content, Together};
use super::script::{Outcome, Script, failure_text};
use crate::codec::Payload;
use crate::function::argument::Input;
use crate::function::registry::Remote;
use crate::function::remote::Failure;
use crate::id::{RunId, TaskId};

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
    /// All that come first, by their numbers.
    pub(super) dependencies: Vec<usize>,
    pub(super) follow: Option<usize>,
    pub(super) ranks: u32,
    pub(super) label: Option<String>,
    pub(super) run: Option<RunId>,
    pub(super) behaviour: Behaviour,
    pub(super) expected: Expected,
    pub(super) content: Content,
    /// The content as it travels.
    pub(super) output: Payload,

    /// Attempts that have begun on a worker.
    pub(super) begun: u32,
    /// Executors that run it at this moment.
    pub(super) running: u32,
    /// The workers of the last attempt, the first of a group first.
    pub(super) ran_on: Option<usize>,
    /// The controller says that it has ended.
    pub(super) ended: bool,
    /// The task where the error began, if it was seen.
    pub(super) root: Option<usize>,
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
    /// Whether it has ended with a value.
    pub(super) fn has_value(&self) -> bool {
        self.ended && matches!(self.expected, Expected::Value { .. })
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

    /// The arguments in one piece, with the values that `value` gives.
    pub(super) fn arguments_together<'a>(&self, mut value: impl FnMut(TaskId) -> &'a Payload) -> Vec<u8> {
        let mut together = Together::new(&self.plain);
        let same = |one: &Input<TaskId>, next: &Input<TaskId>| one.place.parameter == next.place.parameter;
        for inputs in self.inputs.chunk_by(same) {
            let place = inputs[0].place;
            together.up_to(place.offset as usize);
            if place.gathered {
                together.gathered(inputs.len());
            }
            for input in inputs {
                together.bytes.extend_from_slice(value(input.source).as_slice());
            }
        }
        together.up_to(self.plain.len());
        together.bytes
    }
}
