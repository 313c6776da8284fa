//! Inputs that are not here yet: who waits for which value, and what has been asked for.

use super::store::Store;
use super::task::Task;
use crate::function::remote::Resident;
use crate::id::{Rank, TaskId};
use rustc_hash::FxHashMap;
use std::mem::take;

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

/// A value that was asked for, until the answer comes.
#[derive(Debug)]
struct Fetch {
    /// Who was asked.
    holder: Rank,
    waiting: Vec<Gap>,
    /// It was to be forgotten before the answer came: whoever waits gets it, nobody keeps
    /// it.
    forgotten: bool,
}

/// Where a value is missing.
#[derive(Clone, Copy, Debug)]
struct Gap {
    task: TaskId,
    argument: u32,
    value: u32,
}

/// Tasks that wait for values, and values that are on their way.
///
/// A value may come twice: a frame in pieces that brings it along with a task can be
/// overtaken by a task that is told to ask for it. So where a value is (in the store, on
/// its way, or both) is changed here alone, and these hold in any order of arrival:
///
/// - nobody waits for a value that is in the store;
/// - a value that was to be forgotten is not in the store, and does not come back with an
///   answer that is late.
///
/// The controller says `Forget` once, after all tasks that take the value have ended, and
/// an id is used once. So nothing has to be remembered of a value that is neither here
/// nor on its way.
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

/// What follows where a value cannot come.
#[derive(Debug)]
pub(crate) struct Failed {
    /// The controller takes it to be here, and it is not.
    pub(crate) is_missing: bool,
    /// The tasks that waited for it.
    pub(crate) tasks: Vec<Gathered>,
}

impl Inputs {
    /// Takes a task some of whose inputs are missing. `ask` is called for each value that
    /// nobody has asked for yet, and says whom it asks.
    pub(crate) fn add(&mut self, task: Task, purpose: Purpose, mut ask: impl FnMut(TaskId) -> Rank) {
        let id = task.id;
        let mut missing = 0;
        for (argument, input) in (0..).zip(&task.inputs) {
            for (slot, (value, resident)) in (0..).zip(&input.values) {
                if resident.is_none() {
                    missing += 1;
                    let new = || Fetch { holder: ask(*value), waiting: Vec::new(), forgotten: false };
                    let fetch = self.fetches.entry(*value).or_insert_with(new);
                    fetch.waiting.push(Gap { task: id, argument, value: slot });
                }
            }
        }
        self.waiting.insert(id, Waiting { task, missing, purpose });
    }

    /// A value has come along with a task. Gives it as that task is to hold it, and the
    /// tasks that waited for it and now have all their inputs. If it was asked for, the
    /// answer is still to come and will find nobody who waits.
    pub(crate) fn brought(
        &mut self,
        value: TaskId,
        resident: Resident,
        store: &mut Store,
    ) -> (Resident, Vec<Gathered>) {
        let Some(fetch) = self.fetches.get_mut(&value) else {
            return (store.insert(value, resident).clone(), Vec::new());
        };
        let resident = fetch.keep(value, resident, store);
        let gaps = take(&mut fetch.waiting);
        let ready = self.fill(&gaps, value, &resident);
        (resident, ready)
    }

    /// A value that was asked for has come. Gives the tasks that now have all their
    /// inputs; keeps the value unless it was to be forgotten.
    pub(crate) fn arrived(&mut self, value: TaskId, resident: Resident, store: &mut Store) -> Vec<Gathered> {
        let Some(fetch) = self.fetches.remove(&value) else {
            return Vec::new();
        };
        let resident = fetch.keep(value, resident, store);
        self.fill(&fetch.waiting, value, &resident)
    }

    /// A value that was asked for cannot come from `holder`. Nothing if it was asked of
    /// another one meanwhile.
    pub(crate) fn failed(&mut self, value: TaskId, holder: Rank, reason: &str, store: &Store) -> Option<Failed> {
        let asked = self.fetches.get(&value).is_some_and(|fetch| fetch.holder == holder);
        if !asked {
            return None;
        }
        let fetch = self.fetches.remove(&value)?;
        let tasks = fetch.waiting.iter().filter_map(|gap| self.waiting.remove(&gap.task));
        let tasks = tasks.map(|waiting| Gathered::Failed(waiting.task, waiting.purpose, reason.to_owned())).collect();
        Some(Failed { is_missing: !fetch.forgotten && store.get(value).is_none(), tasks })
    }

    /// Whether a value was asked for and has not come.
    pub(crate) fn is_asked(&self, value: TaskId) -> bool {
        self.fetches.contains_key(&value)
    }

    /// The values that were asked of a rank and have not come, in the order of their ids.
    pub(crate) fn asked_of(&self, holder: Rank) -> Vec<TaskId> {
        let asked = self.fetches.iter().filter(|(_, fetch)| fetch.holder == holder);
        let mut values: Vec<TaskId> = asked.map(|(value, _)| *value).collect();
        values.sort_unstable();
        values
    }

    /// Nobody needs the value any more. Gives it if it is here: the caller drops it,
    /// outside the lock.
    pub(crate) fn forget(&mut self, value: TaskId, store: &mut Store) -> Option<Resident> {
        if let Some(fetch) = self.fetches.get_mut(&value) {
            fetch.forgotten = true;
        }
        store.remove(value)
    }

    /// Takes a waiting task away. What it has asked for still comes.
    pub(crate) fn remove(&mut self, task: TaskId) -> Option<Task> {
        self.waiting.remove(&task).map(|waiting| waiting.task)
    }

    /// Whether tasks wait.
    #[inline]
    pub(super) fn has_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// How many tasks wait, and how many values are on their way.
    #[cfg(any(test, feature = "simulation"))]
    pub(super) fn expected(&self) -> (usize, usize) {
        (self.waiting.len(), self.fetches.len())
    }

    /// Puts a value where it is missing. Gives the tasks that now have all their inputs.
    fn fill(&mut self, gaps: &[Gap], value: TaskId, resident: &Resident) -> Vec<Gathered> {
        let mut ready = Vec::new();
        for gap in gaps {
            // It may have been taken away meanwhile.
            let Some(waiting) = self.waiting.get_mut(&gap.task) else {
                continue;
            };
            waiting.fill(*gap, value, resident);
            if waiting.missing == 0
                && let Some(waiting) = self.waiting.remove(&gap.task)
            {
                ready.push(Gathered::Complete(waiting.task, waiting.purpose));
            }
        }
        ready
    }
}

impl Fetch {
    fn keep(&self, value: TaskId, resident: Resident, store: &mut Store) -> Resident {
        if self.forgotten { resident } else { store.insert(value, resident).clone() }
    }
}

impl Waiting {
    /// A task that was taken away and has come again may name a gap twice.
    fn fill(&mut self, gap: Gap, value: TaskId, resident: &Resident) {
        let input = self.task.inputs.get_mut(gap.argument as usize);
        let slot = input.and_then(|input| input.values.get_mut(gap.value as usize));
        if let Some((id, slot)) = slot
            && *id == value
            && slot.is_none()
        {
            *slot = Some(resident.clone());
            self.missing -= 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::Payload;
    use crate::function::argument::Shape;
    use crate::function::registry::{Body, Remote};
    use crate::function::remote::InputArgument;

    static REMOTE: Remote =
        Remote { path: "f", file: "f.rs", line: 1, column: 1, body: Body::Single(|_| Ok(())), shared: 0 };

    /// Who is asked for values.
    const HOLDER: Rank = Rank(3);

    fn id(number: u32) -> TaskId {
        TaskId::new(number, number)
    }

    fn task(number: u32, values: &[u32]) -> Task {
        let values = values.iter().map(|value| (id(*value), None)).collect();
        let inputs = vec![InputArgument { parameter: 0, shape: Shape::Gathered, values }];
        Task { id: id(number), remote: Some(&REMOTE), plain: Payload::EMPTY, inputs }
    }

    #[test]
    fn a_value_named_twice_is_asked_for_once_and_fills_both_arguments() {
        let mut inputs = Inputs::default();
        let mut asked = Vec::new();
        inputs.add(task(9, &[1, 2, 1]), Purpose::Single, |value| {
            asked.push(value);
            HOLDER
        });
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
        let (mut inputs, mut store) = (Inputs::default(), Store::default());
        inputs.add(task(9, &[1]), Purpose::Single, |_| HOLDER);
        assert!(inputs.forget(id(1), &mut store).is_none());
        let ready = inputs.arrived(id(1), Resident::new(Payload::EMPTY), &mut store);
        assert_eq!((ready.len(), store.len(), inputs.fetches.len()), (1, 0, 0));
    }

    #[test]
    fn a_value_that_is_here_and_on_its_way_is_forgotten_in_store_and_fetches() {
        let (mut inputs, mut store) = (Inputs::default(), Store::default());
        inputs.add(task(9, &[1]), Purpose::Single, |_| HOLDER);
        assert!(inputs.remove(id(9)).is_some());
        assert!(inputs.brought(id(1), Resident::new(Payload::EMPTY), &mut store).1.is_empty());
        assert!(inputs.forget(id(1), &mut store).is_some(), "the caller drops what was here");
        assert_eq!(store.len(), 0);
        assert!(inputs.arrived(id(1), Resident::new(Payload::EMPTY), &mut store).is_empty());
        assert_eq!((store.len(), store.bytes(), inputs.fetches.len()), (0, 0, 0));
    }

    #[test]
    fn a_value_that_another_task_brings_along_is_waited_for_no_longer() {
        let (mut inputs, mut store) = (Inputs::default(), Store::default());
        inputs.add(task(9, &[1, 1]), Purpose::Single, |_| HOLDER);
        let (_, ready) = inputs.brought(id(1), Resident::new(Payload::EMPTY), &mut store);
        assert!(matches!(&ready[..], [Gathered::Complete(task, Purpose::Single)] if task.id == id(9)), "{ready:?}");
        // Who was asked may have let it go meanwhile.
        let failed = inputs.failed(id(1), HOLDER, "gone", &store).expect("it was asked for");
        assert!(failed.tasks.is_empty() && !failed.is_missing, "{failed:?}");
        assert_eq!((store.len(), inputs.fetches.len()), (1, 0));
    }

    #[test]
    fn a_task_that_comes_again_waits_for_what_it_has_asked_for_before() {
        let (mut inputs, mut store) = (Inputs::default(), Store::default());
        let mut asked = Vec::new();
        inputs.add(task(9, &[1, 2]), Purpose::Single, |value| {
            asked.push(value);
            HOLDER
        });
        assert!(inputs.remove(id(9)).is_some());
        inputs.add(task(9, &[1, 2]), Purpose::Single, |value| {
            asked.push(value);
            HOLDER
        });
        assert_eq!(asked, [id(1), id(2)]);
        assert!(inputs.arrived(id(1), Resident::new(Payload::EMPTY), &mut store).is_empty());
        assert_eq!(inputs.arrived(id(2), Resident::new(Payload::EMPTY), &mut store).len(), 1);
    }

    /// What happens to a value on a worker, from the two tasks that take it.
    #[derive(Clone, Copy, PartialEq, Eq, Debug)]
    enum Step {
        /// Task 8 comes and brings the value along.
        Brought,
        /// Task 9 comes, which is told to ask for it.
        Asked,
        /// Task 9 is given back, if it still waits.
        GivenBack,
        /// The answer.
        Answer,
        /// The answer of who does not have it any more.
        NoAnswer,
        /// Both tasks have ended, or are elsewhere.
        Forget,
    }

    /// All orders in which the steps can come, those included in which some do not.
    fn orders(before: &[Step], all: &mut Vec<Vec<Step>>) {
        let has = |step| before.contains(&step);
        let answered = has(Step::Answer) || has(Step::NoAnswer);
        all.push(before.to_vec());
        for step in [Step::Brought, Step::Asked, Step::GivenBack, Step::Answer, Step::NoAnswer, Step::Forget] {
            let can_be = match step {
                // A value is not let go before the tasks that take it have come and
                // ended.
                Step::Brought | Step::Asked => !has(Step::Forget),
                Step::GivenBack => has(Step::Asked),
                Step::Answer | Step::NoAnswer => has(Step::Asked) && !answered,
                // Task 9 has to have ended: with the value, without it, or by being given
                // back.
                Step::Forget => !has(Step::Asked) || has(Step::Brought) || has(Step::GivenBack) || answered,
            };
            if can_be && !has(step) {
                orders(&[before, &[step]].concat(), all);
            }
        }
    }

    #[test]
    fn in_any_order_a_value_goes_when_it_is_forgotten_and_whoever_waits_gets_it() {
        let mut all = Vec::new();
        orders(&[], &mut all);
        assert!(all.len() > 100, "{} orders", all.len());
        for order in all {
            let (mut inputs, mut store) = (Inputs::default(), Store::default());
            let (mut waits, mut forgotten) = (false, false);
            let value = || Resident::new(Payload::copy_of(&[7; 10]));
            let mut is_asked = false;
            for step in &order {
                let ready = match step {
                    Step::Brought => inputs.brought(id(1), value(), &mut store).1,
                    // As the engine does: only what is not here is asked for.
                    Step::Asked if store.get(id(1)).is_some() => Vec::new(),
                    Step::Asked => {
                        waits = true;
                        inputs.add(task(9, &[1]), Purpose::Single, |_| {
                            is_asked = true;
                            HOLDER
                        });
                        Vec::new()
                    }
                    Step::GivenBack => {
                        assert_eq!(inputs.remove(id(9)).is_some(), waits, "{order:?}");
                        waits = false;
                        Vec::new()
                    }
                    Step::Answer | Step::NoAnswer if !is_asked => Vec::new(),
                    Step::Answer => inputs.arrived(id(1), value(), &mut store),
                    Step::NoAnswer => {
                        let is_there = store.get(id(1)).is_some();
                        let failed = inputs.failed(id(1), HOLDER, "gone", &store).expect("it was asked for");
                        assert_eq!(failed.is_missing, !is_there && !forgotten, "{order:?}");
                        failed.tasks
                    }
                    Step::Forget => {
                        inputs.forget(id(1), &mut store);
                        assert_eq!(store.len(), 0, "{order:?}");
                        Vec::new()
                    }
                };
                let ends = waits && matches!(step, Step::Brought | Step::Answer | Step::NoAnswer);
                assert_eq!(ready.len(), usize::from(ends), "{order:?}");
                waits &= !ends;
                assert_eq!(inputs.waiting.len(), usize::from(waits), "{order:?}");
                forgotten |= *step == Step::Forget;
                assert!(store.len() == 0 || !forgotten, "{order:?}");
                assert_eq!(store.bytes(), 10 * store.len() as u64, "{order:?}");
            }
            let answered = order.contains(&Step::Answer) || order.contains(&Step::NoAnswer);
            let came = order.contains(&Step::Brought) || (is_asked && order.contains(&Step::Answer));
            assert_eq!(store.len(), usize::from(came && !forgotten), "{order:?}");
            assert_eq!(inputs.fetches.len(), usize::from(is_asked && !answered), "{order:?}");
        }
    }

    #[test]
    fn all_who_wait_for_a_lost_value_fail_once() {
        let mut inputs = Inputs::default();
        inputs.add(task(8, &[1]), Purpose::Single, |_| HOLDER);
        inputs.add(task(9, &[1, 1]), Purpose::Member(3), |_| HOLDER);
        assert_eq!(inputs.asked_of(HOLDER), [id(1)]);
        let failed = inputs.failed(id(1), HOLDER, "gone", &Store::default()).expect("it was asked for");
        assert_eq!((failed.tasks.len(), failed.is_missing), (2, true));
        assert!(inputs.fetches.is_empty() && inputs.waiting.is_empty());
    }

    #[test]
    fn only_who_was_asked_for_a_value_can_say_that_it_cannot_come() {
        let mut inputs = Inputs::default();
        inputs.add(task(9, &[1]), Purpose::Single, |_| HOLDER);
        assert!(inputs.failed(id(1), Rank(7), "late", &Store::default()).is_none());
        assert!(inputs.asked_of(Rank(7)).is_empty());
        assert_eq!((inputs.fetches.len(), inputs.waiting.len()), (1, 1));
    }
}
