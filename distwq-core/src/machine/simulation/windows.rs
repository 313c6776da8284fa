//! Maps of the user of a simulated run: so many tasks of items are under way at a time,
//! and for each that ends the next one is added. It stands for `api/map`.

use super::agenda::Happening;
use super::program::Of;
use super::watches::Watched;
use super::world::{Phase, World};
use crate::id::{CollectorId, TaskId};
use crate::machine::controller::{Input, Watch};
use crate::task::items::Items;

/// One map.
#[derive(Debug)]
pub(super) struct Window {
    /// So many tasks are under way at most.
    size: usize,
    /// So many come later.
    left: u64,
    /// The index of the next item.
    next: u64,
    /// Those under way, as far as the user was told.
    under_way: Vec<usize>,
}

impl World<'_> {
    /// The user begins a map, as one does who asks for its first result.
    pub(super) fn begins_map(&mut self) {
        let (size, left) = (self.random.up_to(5) as usize, self.random.up_to(20));
        self.windows.push(Window { size, left, next: 0, under_way: Vec::new() });
        self.slides(self.windows.len() - 1);
    }

    /// Whether all maps have come to their ends.
    pub(super) fn are_maps_over(&self) -> bool {
        self.windows.iter().all(|window| window.left == 0 && window.under_way.is_empty())
    }

    /// The user takes results of a map: as many tasks of it are added as have room. Or he
    /// has enough of it.
    pub(super) fn slides(&mut self, map: usize) {
        let machine = &self.controller.machine;
        if self.phase != Phase::Open || machine.is_closing() || machine.is_over() {
            self.windows[map].left = 0;
            return;
        }
        self.history.tally.slides += 1;
        if self.random.percent(3) {
            return self.ends_map(map);
        }
        while self.windows[map].left > 0 && self.windows[map].under_way.len() < self.windows[map].size {
            // When as much is queued as may be, it goes on with the ends of its own.
            if !self.controller.machine.has_room() && !self.windows[map].under_way.is_empty() {
                break;
            }
            self.windows[map].left -= 1;
            self.windows[map].under_way.push(self.book.tasks.len());
            self.add_task(Of::Map(map));
            self.after_controller();
            if self.has_no_acts_left() {
                self.drop_some_time(self.book.tasks.len() - 1);
            }
        }
    }

    /// The next items of a map.
    pub(super) fn next_items(&mut self, map: usize) -> Items {
        let count = 1 + self.random.below(6) as u32;
        let window = &mut self.windows[map];
        window.next += u64::from(count);
        Items { map: 100 + map as u32, first: window.next - u64::from(count), count, fold: None }
    }

    /// The watch of a task of a map that is added next.
    pub(super) fn watch_of_map(&mut self, map: usize) -> Watch {
        let watch = self.watch_of(self.book.tasks.len(), CollectorId(100 + map as u64));
        self.watched.last_mut().expect("it was just added").map = Some(map);
        watch
    }

    /// The user is told that a task has ended.
    pub(super) fn told_of_map(&mut self, watched: usize) {
        let Watched { task, map: Some(map), .. } = self.watched[watched] else { return };
        let window = &mut self.windows[map];
        assert!(window.under_way.len() <= window.size, "more is under way than the window holds");
        let before = window.under_way.len();
        window.under_way.retain(|&index| index != task);
        assert_eq!(window.under_way.len() + 1, before, "it was under way");
        let now = self.agenda.now();
        self.agenda.at(now + self.random.up_to(1_000_000), Happening::Slides(map));
    }

    /// The user drops a map, or its deadline has come.
    fn ends_map(&mut self, map: usize) {
        let window = &mut self.windows[map];
        window.left = 0;
        let tasks = window.under_way.clone();
        if self.random.percent(50) {
            return self.sets_deadline(None, tasks, 0);
        }
        let ids: Vec<TaskId> = tasks.iter().map(|&index| self.book.tasks[index].id).collect();
        self.history.note(self.agenda.now(), || format!("the user drops a map with {ids:?}"));
        let waiting = self.note_cancelled(&tasks);
        self.tell(Input::Cancel { tasks: &ids });
        self.check_cancelled(&waiting);
    }
}
