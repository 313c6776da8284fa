//! The task that a thread runs: for the last words of a process that ends within one, and
//! so that a task which uses the cluster that runs it is told so instead of waiting for a
//! worker that it keeps busy itself.
//!
//! It is read in signal handlers too: plain values in thread-local memory that needs no
//! initialisation, nothing that allocates or locks.

use crate::id::{Rank, TaskId};
use crate::outcome::error::INSTEAD;
use crate::task::cancel::CancelFlag;
use crate::task::items::{Item, Items};
use crate::task::mark::Mark;
use std::cell::{Cell, RefCell};
use std::fmt;

thread_local! {
    static CURRENT: Cell<Option<(TaskId, &'static str)>> = const { Cell::new(None) };
    static RANK: Cell<Option<Rank>> = const { Cell::new(None) };
    /// Not for signal handlers.
    static CANCEL_FLAG: RefCell<CancelFlag> = RefCell::default();
    /// Nor this.
    static MARK: RefCell<Mark> = RefCell::default();
    static DESCRIPTION: Cell<Description> = const { Cell::new(Description::NONE) };
    static ITEM: Cell<Option<Item>> = const { Cell::new(None) };
}

/// What few tasks have that people want to know: a label, an attempt after the first. It
/// has a fixed size, so that a signal handler can read it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Description {
    label: [u8; LABEL_BYTES_MAX],
    label_bytes: u8,
    attempt: u32,
}

/// Longer labels are cut: their whole text is told to the function alone, by its context.
const LABEL_BYTES_MAX: usize = 116;

impl Description {
    /// That of a task without a label at its first attempt.
    pub(crate) const NONE: Self = Self { label: [0; LABEL_BYTES_MAX], label_bytes: 0, attempt: 1 };

    pub(crate) fn new(label: Option<&str>, attempt: u32) -> Self {
        let label = label.unwrap_or_default();
        let cut = (0..=label.len().min(LABEL_BYTES_MAX)).rev().find(|end| label.is_char_boundary(*end));
        let label = &label[..cut.unwrap_or(0)];
        let mut description = Self { label_bytes: label.len() as u8, attempt, ..Self::NONE };
        description.label[..label.len()].copy_from_slice(label.as_bytes());
        description
    }

    pub(crate) fn label(&self) -> Option<&str> {
        let label = std::str::from_utf8(&self.label[..usize::from(self.label_bytes)]).unwrap_or_default();
        (!label.is_empty()).then_some(label)
    }

    pub(crate) fn attempt(&self) -> u32 {
        self.attempt
    }
}

/// A description, as a worker keeps it until the task has ended.
#[derive(Debug)]
pub(crate) struct Described {
    pub(crate) short: Description,
    /// The label, if it was cut.
    pub(crate) whole_label: Option<Box<str>>,
    /// For how many nanoseconds the attempt may run.
    pub(crate) limit_ns: Option<u64>,
    /// The items of a map that it is made of, if it is.
    pub(crate) items: Option<Items>,
}

impl Described {
    pub(crate) fn new(label: Option<&str>, attempt: u32, items: Option<Items>) -> Self {
        let cut = label.filter(|label| label.len() > LABEL_BYTES_MAX);
        let whole_label = cut.map(Box::from);
        Self { short: Description::new(label, attempt), whole_label, limit_ns: None, items }
    }

    /// The label, all of it.
    pub(crate) fn label(&self) -> Option<&str> {
        self.whole_label.as_deref().or_else(|| self.short.label())
    }
}

/// The task that the calling thread runs, with the path of its function.
#[inline]
pub(crate) fn task() -> Option<(TaskId, &'static str)> {
    CURRENT.try_with(Cell::get).ok().flatten()
}

/// The same with the number by which people know the task: of an item of a map, that of
/// the item.
pub(crate) fn numbered() -> Option<(u32, &'static str)> {
    let (task, path) = task()?;
    Some((item().map_or(task.serial(), Item::number), path))
}

/// The same in words. An error if the thread runs none. Without an allocation or a lock
/// of its own.
pub(crate) fn write_name(into: &mut dyn fmt::Write) -> fmt::Result {
    let (number, path) = numbered().ok_or(fmt::Error)?;
    let description = description();
    match item() {
        None => write!(into, "task {path} #{number}")?,
        Some(item) => write!(into, "task {path} #{number} of map {}", item.parts().0)?,
    }
    if let Some(label) = description.label() {
        write!(into, " {label:?}")?;
    }
    match description.attempt() {
        1 => Ok(()),
        attempt => write!(into, " (attempt {attempt})"),
    }
}

/// The same as a text; none if the thread runs no task.
#[inline]
pub(crate) fn name() -> Option<String> {
    task()?;
    let mut name = String::new();
    write_name(&mut name).ok()?;
    Some(name)
}

/// The rank whose tasks the calling thread runs.
pub(crate) fn rank() -> Option<Rank> {
    RANK.try_with(Cell::get).ok().flatten()
}

/// The description of the task that the calling thread runs.
pub(crate) fn description() -> Description {
    DESCRIPTION.try_with(Cell::get).unwrap_or(Description::NONE)
}

/// The calling thread runs this task from here on; none, if it runs none.
pub(crate) fn set(task: Option<(TaskId, &'static str)>) {
    CURRENT.set(task);
}

/// The calling thread runs tasks of this rank.
pub(crate) fn set_rank(rank: Rank) {
    RANK.set(Some(rank));
}

/// The calling thread learns here whether the task that it runs was cancelled.
pub(crate) fn set_cancel_flag(flag: CancelFlag) {
    CANCEL_FLAG.set(flag);
}

/// The calling thread says here how far the task is that it runs.
pub(crate) fn set_mark(mark: Mark) {
    MARK.set(mark);
}

/// The task that the calling thread runs, if it runs one, has done so many hundredths of
/// its work.
pub(crate) fn tell_percent(percent: u8) {
    if let Some((task, _)) = task() {
        // A thread that ends tells nobody.
        let _ = MARK.try_with(|mark| mark.borrow().set(task, percent));
    }
}

/// Whether the task that the calling thread runs was cancelled.
pub(crate) fn is_cancelled() -> bool {
    let Some((task, _)) = task() else { return false };
    CANCEL_FLAG.try_with(|flag| flag.borrow().is_raised(task)).unwrap_or(false)
}

/// Tells whether the task that the calling thread runs was cancelled: for who asks again
/// and again.
pub(crate) fn cancellation() -> Cancellation {
    let flag = CANCEL_FLAG.try_with(|flag| flag.borrow().clone()).unwrap_or_default();
    Cancellation { task: task().map(|(task, _)| task), flag }
}

/// Whether one task was cancelled.
#[derive(Debug)]
pub(crate) struct Cancellation {
    task: Option<TaskId>,
    flag: CancelFlag,
}

impl Cancellation {
    #[inline]
    pub(crate) fn is_raised(&self) -> bool {
        self.task.is_some_and(|task| self.flag.is_raised(task))
    }
}

/// The next task of the calling thread has this description.
pub(crate) fn describe(description: Description) {
    DESCRIPTION.set(description);
}

/// The item of a map that the calling thread runs.
pub(crate) fn item() -> Option<Item> {
    ITEM.try_with(Cell::get).ok().flatten()
}

/// The calling thread runs this item of a map from here on; none, if it runs none.
#[inline]
pub(crate) fn set_item(item: Option<Item>) {
    ITEM.set(item);
}

/// For what has no other way to fail: ends the task that uses its cluster by `what`.
///
/// # Panics
/// If the calling thread runs a task.
#[inline]
#[track_caller]
pub(crate) fn assert_outside(what: &str) {
    if let Some(task) = name() {
        panic!("`{what}` was called within {task}; {INSTEAD}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_that_is_too_long_is_cut_between_characters() {
        let description = Description::new(Some(&"é".repeat(100)), 3);
        assert_eq!(description.label(), Some(&*"é".repeat(LABEL_BYTES_MAX / 2)));
        assert_eq!(description.attempt(), 3);
        let odd = Description::new(Some(&format!("x{}", "é".repeat(100))), 1);
        assert_eq!(odd.label().map(str::len), Some(LABEL_BYTES_MAX - 1));
        assert_eq!(Description::new(None, 1), Description::NONE);
        assert_eq!(Description::NONE.label(), None);
    }
}
