//! How values come to the tasks of a worker, are lent to other ranks, and go.

use super::{Missing, WorkerEngine};
use crate::codec::{CodecError, Payload};
use crate::frame::Frame;
use crate::id::{Rank, TaskId};
use crate::message::{Run, Source, ToPeer};
use crate::remote::{InputArgument, Resident};
use crate::worker::inputs::{Gathered, Purpose};
use crate::worker::task::Task;
use rustc_hash::FxHashMap;
use smallvec::SmallVec;

impl WorkerEngine {
    /// Reads a task: the values that are here are taken from the store, and small ones that travel with the task
    /// are kept there if they are to be shared.
    pub(super) fn accept(&mut self, frame: &Frame, run: Run<'_>) -> Result<(Task, Missing), CodecError> {
        let remote = self.function(run.function)?;
        let mut inputs = Vec::with_capacity(run.inputs.len());
        let mut missing = Vec::new();
        for input in run.inputs {
            let mut values = SmallVec::with_capacity(input.values.len());
            for (value, source) in input.values {
                let resident = match source {
                    Source::Inline { bytes, keep: true } => {
                        let fresh = Resident::new(frame.payload(bytes)?);
                        let (resident, ready) = self.inputs.brought(value, fresh, &mut self.store);
                        ready.into_iter().for_each(|ready| self.begin(ready));
                        Some(resident)
                    }
                    Source::Inline { bytes, keep: false } => Some(Resident::of_one_task(frame.payload(bytes)?)),
                    Source::Held { by } => {
                        let resident = self.store.get(value).cloned();
                        if resident.is_none() {
                            missing.push((value, by));
                        }
                        resident
                    }
                };
                values.push((value, resident));
            }
            inputs.push(InputArgument { parameter: input.parameter, gathered: input.gathered, values });
        }
        self.descriptions.keep(run.task, run.described);
        let task = Task { id: run.task, remote: Some(remote), plain: frame.payload(run.plain)?, inputs };
        Ok((task, missing))
    }

    pub(super) fn await_inputs(&mut self, task: Task, purpose: Purpose, missing: Missing) {
        if missing.is_empty() {
            return self.begin(Gathered::Complete(task, purpose));
        }
        let here = self.transport.rank();
        let holders: FxHashMap<TaskId, Rank> = missing.into_iter().collect();
        let mut asked = Vec::new();
        self.inputs.add(task, purpose, |value| asked.push(value));
        for value in asked {
            let holder = holders[&value];
            if holder == here {
                // It should be here and nobody has asked for it: it never will be.
                self.arrived(here, value, None);
            } else {
                let frame = self.frame();
                self.send(holder, frame, ToPeer::Fetch { value });
            }
        }
    }

    /// Nobody needs the value any more, here or on its way.
    pub(super) fn forget(&mut self, value: TaskId) {
        if let Some(resident) = self.inputs.forget(value, &mut self.store) {
            self.garbage.push(Box::new(resident));
        }
    }

    pub(super) fn answer_fetch(&mut self, to: Rank, value: TaskId) {
        let payload = self.store.get(value).map(|found| found.payload().clone());
        let mut frame = self.frame();
        let bytes = payload.as_ref().map(|payload| frame.blob(payload));
        self.send(to, frame, ToPeer::Value { value, bytes });
    }

    pub(super) fn arrived(&mut self, from: Rank, value: TaskId, payload: Option<Payload>) {
        let ready = match payload {
            Some(payload) => {
                let resident = Resident::new(payload);
                self.inputs.arrived(value, resident, &mut self.store)
            }
            None => self.inputs.failed(value, &format!("the output of task {value} is not on {from} any more")),
        };
        ready.into_iter().for_each(|ready| self.begin(ready));
    }
}
