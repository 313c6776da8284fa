//! What somebody who watches a run is told while it goes on, as plain data. The machine
//! notes it in its outbox, as a rule only if somebody listens; what drives it passes it
//! on.

use crate::id::Rank;
use crate::task::lines::Line;
use rustc_hash::FxHashMap;

/// Something that happened, and is rare next to tasks.
#[derive(PartialEq, Eq, Debug)]
pub(crate) enum Notice {
    /// No tasks are taken any more; so many are still to end.
    Closing { pending: usize },
    /// These tasks are left to end, in words: for people, also if nobody listens.
    Left { tasks: String },
    /// Nothing could move any more, and all that waited has ended.
    Stalled { waits: String },
    /// An attempt has failed, and there will be another one.
    Retried { task: NamedTask, attempt: u32, rank: Rank, error: String },
    /// A rank was asked to give back tasks that it has not begun.
    AskedBack { rank: Rank, count: usize },
    /// It has given back so many of them.
    Returned { rank: Rank, count: usize },
    /// The members of a collective task were told to get their inputs.
    GroupBegan { epoch: u64, task: NamedTask, attempt: u32, members: Vec<Rank> },
    /// All members have theirs, and were told to begin.
    GroupEntered { epoch: u64 },
    /// A member has reported a failure, its own or that it lost another one, and the
    /// others were told to leave.
    GroupFailed { epoch: u64, rank: Rank, error: String },
    /// A worker is gone, with so many tasks that it had.
    WorkerLost { rank: Rank, host: String, tasks: u32 },
    /// All members have left; the error is that of the member that failed by itself.
    GroupLeft { epoch: u64, error: Option<String> },
    /// The members wait for each other, and were told so.
    Deadlocked { epoch: u64, waits: String },
    /// A task there has logged a line: for people, also if nobody listens.
    Line { rank: Rank, host: String, line: Line },
    /// Tasks there have logged so many lines that were too many: the same.
    LinesDropped { rank: Rank, count: u64 },
}

/// A task as people look for it in a program.
#[derive(PartialEq, Eq, Debug)]
pub(crate) struct NamedTask {
    pub(crate) number: u32,
    pub(crate) function: &'static str,
    pub(crate) label: Option<Box<str>>,
}

/// Notices in the order in which it happened, until the driver takes them.
#[derive(Default, Debug)]
pub(crate) struct Notices {
    wanted: bool,
    list: Vec<Notice>,
    /// Lines that would have been too many, by rank.
    dropped: FxHashMap<Rank, u64>,
}

/// Lines are noted only while there are fewer notices: whoever is told them may be slow.
const NOTICES_MAX: usize = 10_000;

impl Notices {
    /// Whether somebody listens, from here on.
    pub(crate) fn want(&mut self, wanted: bool) {
        self.wanted = wanted;
    }

    /// Notes what `notice` makes, if somebody listens.
    #[inline]
    pub(super) fn note(&mut self, notice: impl FnOnce() -> Notice) {
        if self.wanted {
            self.list.push(notice());
        }
    }

    /// Notes what is for people, also if nobody listens.
    pub(super) fn tell(&mut self, notice: Notice) {
        self.list.push(notice);
    }

    /// Notes a line of a task.
    pub(super) fn tell_line(&mut self, rank: Rank, host: &str, line: Line) {
        if self.list.len() < NOTICES_MAX {
            self.list.push(Notice::Line { rank, host: host.to_owned(), line });
        } else {
            self.lines_dropped(rank, 1);
        }
    }

    /// Notes that there were more lines.
    pub(super) fn lines_dropped(&mut self, rank: Rank, count: u64) {
        if count > 0 {
            *self.dropped.entry(rank).or_default() += count;
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.list.is_empty() && self.dropped.is_empty()
    }

    pub(crate) fn take(&mut self) -> Vec<Notice> {
        let dropped = self.dropped.drain().map(|(rank, count)| Notice::LinesDropped { rank, count });
        self.list.extend(dropped);
        std::mem::take(&mut self.list)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::LogLevel;

    #[test]
    fn lines_are_told_in_order_and_those_that_are_too_many_are_counted() {
        let line = |number| Line {
            task: number,
            function: "f".to_owned(),
            label: None,
            attempt: 1,
            level: LogLevel::Info,
            target: "t".to_owned(),
            text: "x".to_owned(),
        };
        let mut notices = Notices::default();
        notices.lines_dropped(Rank(1), 0);
        assert!(notices.is_empty());
        (0..NOTICES_MAX as u32 + 5).for_each(|number| notices.tell_line(Rank(1), "a", line(number)));
        notices.lines_dropped(Rank(1), 2);
        let mut told = notices.take();
        assert_eq!(told.pop(), Some(Notice::LinesDropped { rank: Rank(1), count: 7 }));
        let number = |notice: &Notice| if let Notice::Line { line, .. } = notice { Some(line.task) } else { None };
        assert!(told.iter().map(number).eq((0..NOTICES_MAX as u32).map(Some)));
        assert!(notices.is_empty());
    }

    #[test]
    fn nothing_is_made_where_nobody_listens() {
        let mut notices = Notices::default();
        notices.note(|| unreachable!("nobody listens"));
        assert!(notices.is_empty());
        notices.want(true);
        notices.note(|| Notice::GroupEntered { epoch: 1 });
        assert_eq!(notices.take(), [Notice::GroupEntered { epoch: 1 }]);
        assert!(notices.is_empty());
    }
}
