//! The ready tasks that wait for an executor, in order.

use super::task::Task;
use crate::id::TaskId;
use rustc_hash::FxHashSet;

/// A task that an executor can run.
#[derive(Debug)]
pub(super) struct ReadyTask {
    pub(super) task: Task,
    /// The group of which it is the part of this member.
    pub(super) epoch: Option<u64>,
}

impl ReadyTask {
    /// One that holds nothing.
    pub(super) const NONE: Self = Self { task: Task::NONE, epoch: None };

    /// Moves the task to `target`, field by field: a few of them have just been written,
    /// and the processor would have to wait for that before it could read larger pieces.
    #[inline]
    fn move_to(&mut self, target: &mut Self) {
        debug_assert!(target.task.inputs.is_empty(), "what was here has run");
        let Self { task: Task { id, remote, plain, inputs }, epoch } = self;
        (target.task.id, target.task.remote, target.epoch) = (*id, *remote, *epoch);
        target.task.plain.take_from(plain);
        if !inputs.is_empty() {
            target.task.inputs = std::mem::take(inputs);
        }
    }
}

/// Ready tasks in order. Those that have been taken leave empty entries in front, which
/// are removed together.
#[derive(Default, Debug)]
pub(super) struct Queue {
    tasks: Vec<ReadyTask>,
    /// How many entries in front are empty.
    taken: usize,
}

/// So many empty entries are worth moving the ready tasks behind them, if there are no
/// more of these.
const EMPTY_MAX: usize = 64;

impl Queue {
    /// An entry behind all others, to be filled.
    #[inline]
    pub(super) fn push_back(&mut self) -> &mut ReadyTask {
        let at = self.tasks.len();
        self.tasks.push(ReadyTask::NONE);
        &mut self.tasks[at]
    }

    /// Puts a ready task before all others.
    pub(super) fn push_front(&mut self, ready: ReadyTask) {
        match self.taken.checked_sub(1) {
            Some(taken) => {
                self.taken = taken;
                self.tasks[taken] = ready;
            }
            None => self.tasks.insert(0, ready),
        }
    }

    /// Whether the first ready task is the part of a member of a group.
    #[inline]
    pub(super) fn begins_with_member(&self) -> bool {
        self.tasks.get(self.taken).is_some_and(|first| first.epoch.is_some())
    }

    /// Moves the first ready task to `target`, where nothing is left of the one before.
    /// False if there is none.
    #[inline]
    pub(super) fn take_first(&mut self, target: &mut ReadyTask) -> bool {
        let Some(first) = self.tasks.get_mut(self.taken) else { return false };
        first.move_to(target);
        self.taken += 1;
        if self.taken == self.tasks.len() {
            self.tasks.clear();
            self.taken = 0;
        } else if self.taken >= EMPTY_MAX && self.taken * 2 >= self.tasks.len() {
            self.tasks.drain(..self.taken);
            self.taken = 0;
        }
        true
    }

    /// Those that are left, in order.
    pub(super) fn into_tasks(self) -> impl Iterator<Item = ReadyTask> {
        self.tasks.into_iter().skip(self.taken)
    }

    /// How many ready tasks there are.
    pub(super) fn len(&self) -> usize {
        self.tasks.len() - self.taken
    }

    /// Takes out those of these single-rank tasks that are here, in one pass however many
    /// are asked for.
    pub(super) fn remove_all(&mut self, asked: &FxHashSet<TaskId>) -> Vec<Task> {
        let is_asked = |ready: &mut ReadyTask| ready.epoch.is_none() && asked.contains(&ready.task.id);
        self.tasks.extract_if(self.taken.., is_asked).map(|ready| ready.task).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::Payload;
    use crate::function::argument::Shape;
    use crate::function::remote::InputArgument;
    use smallvec::SmallVec;

    fn ready(number: u32) -> ReadyTask {
        let task = Task { id: id(number), plain: plain(number), inputs: inputs(number), ..Task::NONE };
        ReadyTask { task, epoch: None }
    }

    /// Few bytes or many.
    fn plain(number: u32) -> Payload {
        Payload::copy_of(&vec![number as u8; number as usize % 3 * 20])
    }

    /// None or some.
    fn inputs(number: u32) -> Vec<InputArgument> {
        let input = |parameter| InputArgument { parameter, shape: Shape::Whole, values: SmallVec::new() };
        (0..number as u16 % 4).map(input).collect()
    }

    fn id(number: u32) -> TaskId {
        TaskId::new(number, number)
    }

    /// Takes the first into one that was used before, and gives its number.
    fn take(queue: &mut Queue) -> Option<u32> {
        let mut target = ReadyTask::NONE;
        target.task.plain = plain(11);
        queue.take_first(&mut target).then(|| {
            let number = target.task.id.serial();
            assert_eq!(target.task.plain, plain(number));
            assert_eq!(target.task.inputs.len(), inputs(number).len());
            number
        })
    }

    fn remove(queue: &mut Queue, asked: &[u32]) -> Vec<u32> {
        let asked = asked.iter().copied().map(id).collect();
        queue.remove_all(&asked).iter().map(|task| task.id.serial()).collect()
    }

    #[test]
    fn tasks_come_in_order_however_many_wait() {
        for waiting in [1, 2, 63, 64, 65, 500] {
            let mut queue = Queue::default();
            let mut next = 0;
            for number in 0..2_000 {
                *queue.push_back() = ready(number);
                if number >= waiting {
                    assert_eq!(take(&mut queue), Some(next));
                    next += 1;
                }
            }
            while let Some(number) = take(&mut queue) {
                assert_eq!(number, next);
                next += 1;
            }
            assert_eq!(next, 2_000);
            assert!(queue.tasks.is_empty());
        }
    }

    #[test]
    fn one_comes_before_all_and_one_is_taken_out() {
        let mut queue = Queue::default();
        queue.push_front(ready(3));
        *queue.push_back() = ready(4);
        *queue.push_back() = ready(5);
        assert_eq!(take(&mut queue), Some(3));
        queue.push_front(ready(2));
        assert!(remove(&mut queue, &[3]).is_empty());
        assert_eq!(remove(&mut queue, &[4]), [4]);
        assert_eq!([take(&mut queue), take(&mut queue), take(&mut queue)], [Some(2), Some(5), None]);
    }

    #[test]
    fn the_part_of_a_member_is_not_taken_out() {
        let mut queue = Queue::default();
        queue.push_front(ReadyTask { epoch: Some(1), ..ready(1) });
        assert!(remove(&mut queue, &[1]).is_empty());
    }

    #[test]
    fn many_are_taken_out_and_the_others_keep_their_order() {
        let mut queue = Queue::default();
        (0..100).for_each(|number| *queue.push_back() = ready(number));
        (0..10).for_each(|number| assert_eq!(take(&mut queue), Some(number)));
        let odd: Vec<u32> = (0..100).filter(|number| number % 2 == 1).collect();
        assert_eq!(remove(&mut queue, &odd), odd[5..]);
        let left: Vec<u32> = std::iter::from_fn(|| take(&mut queue)).collect();
        assert_eq!(left, (10..100).filter(|number| number % 2 == 0).collect::<Vec<_>>());
    }

    /// Of so many tasks so many are taken; how many entries are left.
    #[test]
    fn empty_entries_go_when_they_are_many_and_half_of_all() {
        for (tasks, taken, left) in
            [(1_000, 64, 1_000), (1_000, 499, 1_000), (1_000, 500, 500), (100, 63, 100), (100, 64, 36), (100, 100, 0)]
        {
            let mut queue = Queue::default();
            (0..tasks).for_each(|number| *queue.push_back() = ready(number));
            (0..taken).for_each(|number| assert_eq!(take(&mut queue), Some(number)));
            assert_eq!((queue.tasks.len(), queue.len()), (left, (tasks - taken) as usize), "{taken} of {tasks}");
        }
    }
}
