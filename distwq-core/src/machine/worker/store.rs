//! The values that live on a rank.

use crate::function::remote::Resident;
use crate::id::TaskId;
use rustc_hash::FxHashMap;

/// Values by the task that made them.
#[derive(Default, Debug)]
pub(crate) struct Store {
    values: FxHashMap<TaskId, Resident>,
    bytes: u64,
}

impl Store {
    pub(crate) fn get(&self, value: TaskId) -> Option<&Resident> {
        self.values.get(&value)
    }

    /// Keeps a value; the one that is here already stays, with what was decoded of it.
    pub(crate) fn insert(&mut self, value: TaskId, resident: Resident) -> &Resident {
        let bytes = &mut self.bytes;
        self.values.entry(value).or_insert_with(|| {
            *bytes += resident.payload().len() as u64;
            resident
        })
    }

    /// Lets a value go. The caller drops it, outside the lock.
    pub(crate) fn remove(&mut self, value: TaskId) -> Option<Resident> {
        let resident = self.values.remove(&value)?;
        self.bytes -= resident.payload().len() as u64;
        Some(resident)
    }

    /// The encoded size of all values.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// How many values there are.
    pub(crate) fn len(&self) -> usize {
        self.values.len()
    }
}
