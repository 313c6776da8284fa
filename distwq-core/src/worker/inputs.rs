//! Inputs that are not here yet: who waits for which value, and what has been asked for.

use super::store::Store;
use super::task::Task;
use crate::id::TaskId;
use crate::remote::Resident;
use rustc_hash::FxHashMap;

/// What a task is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Purpose {
    /// This rank alone runs it.
    Single,
    /// This rank is a member of the group with this epoch.
    Member(u64),
}

/// A task that waits for values.
#[derive(Debug)]
struct Waiting {
    task: Task,
    missing: usize,
    purpose: Purpose,
}

/// A value that was asked for.
#[derive(Debug, Default)]
struct Fetch {
    waiting: Vec<TaskId>,
    /// It was to be forgotten before it came: whoever waits gets it, nobody keeps it.
    forgotten: bool,
}

/// Tasks that wait for values, and values that are on their way.
#[derive(Default, Debug)]
pub(crate) struct Inputs {
    waiting: FxHashMap<TaskId, Waiting>,
    fetches: FxHashMap<TaskId, Fetch>,
}

/// What became of a task that waited.
#[derive(Debug)]
pub(crate) enum Gathered {
    /// All its inputs are here.
    Complete(Task, Purpose),
    /// An input cannot come.
    Failed(Task, Purpose, String),
}

impl Inputs {
    /// Takes a task some of whose inputs are missing. `ask` is called for each value that nobody has asked for yet.
    pub(crate) fn add(&mut self, task: Task, purpose: Purpose, mut ask: impl FnMut(TaskId)) {
        let id = task.id;
        let mut missing = 0;
        for (value, resident) in task.inputs.iter().flat_map(|argument| &argument.values) {
            if resident.is_none() {
                missing += 1;
                let fetch = self.fetches.entry(*value).or_insert_with(|| {
                    ask(*value);
                    Fetch::default()
                });
                fetch.waiting.push(id);
            }
        }
        self.waiting.insert(id, Waiting { task, missing, purpose });
    }

    /// A value has come. Gives the tasks that now have all their inputs; keeps the value unless it was to be
    /// forgotten.
    pub(crate) fn arrived(&mut self, value: TaskId, resident: Resident, store: &mut Store) -> Vec<Gathered> {
        let Some(fetch) = self.fetches.remove(&value) else {
            return Vec::new();
        };
        let resident = if fetch.forgotten { resident } else { store.insert(value, resident).clone() };
        let mut ready = Vec::new();
        for id in fetch.waiting {
            let Some(waiting) = self.waiting.get_mut(&id) else {
                continue;
            };
            waiting.fill(value, &resident);
            if waiting.missing == 0
                && let Some(waiting) = self.waiting.remove(&id)
            {
                ready.push(Gathered::Complete(waiting.task, waiting.purpose));
            }
        }
        ready
    }

    /// A value cannot come. Gives the tasks that waited for it.
    pub(crate) fn failed(&mut self, value: TaskId, reason: &str) -> Vec<Gathered> {
        let fetch = self.fetches.remove(&value).unwrap_or_default();
        let mut waiting = fetch.waiting;
        waiting.dedup();
        let tasks = waiting.iter().filter_map(|id| self.waiting.remove(id));
        tasks.map(|waiting| Gathered::Failed(waiting.task, waiting.purpose, reason.to_owned())).collect()
    }

    /// Nobody needs the value any more. Gives true if it is on its way.
    pub(crate) fn forget(&mut self, value: TaskId) -> bool {
        let fetch = self.fetches.get_mut(&value);
        fetch.map(|fetch| fetch.forgotten = true).is_some()
    }

    /// Takes a waiting task away.
    pub(crate) fn remove(&mut self, task: TaskId) -> Option<Task> {
        self.waiting.remove(&task).map(|waiting| waiting.task)
    }
}

impl Waiting {
    fn fill(&mut self, value: TaskId, resident: &Resident) {
        for (id, place) in self.task.inputs.iter_mut().flat_map(|input| &mut input.values) {
            if *id == value && place.is_none() {
                *place = Some(resident.clone());
                self.missing -= 1;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::Payload;
    use crate::registry::{Body, Remote};
    use crate::remote::InputArgument;

    static REMOTE: Remote =
        Remote { path: "f", file: "f.rs", line: 1, column: 1, body: Body::Single(|_| Ok(())), shared: 0 };

    fn id(number: u32) -> TaskId {
        TaskId::new(number, number)
    }

    fn task(number: u32, values: &[u32]) -> Task {
        let values = values.iter().map(|value| (id(*value), None)).collect();
        let inputs = vec![InputArgument { parameter: 0, gathered: true, values }];
        Task { id: id(number), remote: Some(&REMOTE), plain: Payload::EMPTY, inputs }
    }

    #[test]
    fn a_value_named_twice_is_asked_for_once_and_fills_both_places() {
        let mut inputs = Inputs::default();
        let mut asked = Vec::new();
        inputs.add(task(9, &[1, 2, 1]), Purpose::Single, |value| asked.push(value));
        assert_eq!(asked, [id(1), id(2)]);
        let mut store = Store::default();
        let value = || Resident::new(Payload::copy_of(&[5; 100]));
        assert!(inputs.arrived(id(1), value(), &mut store).is_empty());
        let ready = inputs.arrived(id(2), value(), &mut store);
        let [Gathered::Complete(task, Purpose::Single)] = &ready[..] else {
            panic!("the task is complete, not {ready:?}");
        };
        assert_eq!(task.inputs[0].values.len(), 3);
        assert_eq!((store.len(), store.bytes()), (2, 200));
    }

    #[test]
    fn a_value_forgotten_on_its_way_is_not_kept() {
        let mut inputs = Inputs::default();
        inputs.add(task(9, &[1]), Purpose::Single, |_| {});
        assert!(inputs.forget(id(1)));
        let mut store = Store::default();
        let ready = inputs.arrived(id(1), Resident::new(Payload::EMPTY), &mut store);
        assert_eq!((ready.len(), store.len()), (1, 0));
        assert!(!inputs.forget(id(1)));
    }

    #[test]
    fn all_who_wait_for_a_lost_value_fail_once() {
        let mut inputs = Inputs::default();
        inputs.add(task(8, &[1]), Purpose::Single, |_| {});
        inputs.add(task(9, &[1, 1]), Purpose::Member(3), |_| {});
        assert_eq!(inputs.failed(id(1), "gone").len(), 2);
        assert!(!inputs.forget(id(1)));
    }
}
