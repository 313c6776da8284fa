//! The user of a simulated run: what is added, and which handles are dropped when.

use super::super::{Event, FailedBefore, Spec};
use super::limits::Limits;
use super::model::Model;
use super::world::{Happening, World};
use crate::id::{CollectorId, Origin, TaskId, TaskSlot};
use std::collections::BTreeSet;

/// Where tasks come from.
const ORIGINS: [Origin; 4] = [
    Origin::Alone,
    Origin::Collected(CollectorId(1)),
    Origin::Collected(CollectorId(2)),
    Origin::Collected(CollectorId(3)),
];

impl World {
    /// The user adds a few tasks, and comes again later.
    pub(super) fn add_some(&mut self) {
        let batch = self.random.up_to(self.to_add.min(30)).min(self.to_add);
        for _ in 0..batch {
            self.add_one();
        }
        self.to_add -= batch;
        if self.random.percent(self.profile.cancel_percent) {
            self.cancel_some();
        }
        if self.random.percent(self.profile.limit_percent / 2) {
            self.expire_some();
        }
        if self.to_add > 0 {
            let next_ns = self.random.up_to(4 * self.profile.run_ns_max);
            self.after(next_ns, Happening::Add);
        }
    }

    /// Cancels one task, a few, or all; some of them may have ended.
    fn cancel_some(&mut self) {
        let known: Vec<TaskId> = self.book.tasks.iter().filter(|model| !model.released).map(|model| model.id).collect();
        let count = match self.random.below(30) {
            0 => known.len() as u64,
            1..10 => 1,
            _ => self.random.up_to(8),
        };
        let any = |_| *self.random.pick(&known).expect("one was added just now");
        let tasks: Vec<TaskId> =
            if count == known.len() as u64 { known.clone() } else { (0..count).map(any).collect() };
        let waiting: Vec<TaskId> = tasks.iter().copied().filter(|&task| self.book.task(task).on.is_empty()).collect();
        self.book.to_cancel.clone_from(&tasks);
        self.tell(Event::Cancel { tasks: &tasks });
        self.book.to_cancel.clear();
        for task in waiting {
            assert!(self.book.task(task).has_ended(), "{task} waited and goes on");
        }
    }

    fn add_one(&mut self) {
        let slot = self.free_slots.pop().unwrap_or_else(|| {
            self.slots_used += 1;
            TaskSlot::new(self.slots_used - 1)
        });
        let id = slot.task(self.book.tasks.len() as u32 + 1);
        let is_value = self.random.percent(5);
        let limits = if is_value { Limits::default() } else { self.draw_limits() };
        let mut failed = None;
        let mut model = Model { limits, ..self.draw(id, is_value) };
        if !is_value && !model.collective && model.retries > 0 && !self.workers.is_empty() && self.random.percent(10) {
            model.failures = self.random.up_to(model.retries.into()) as u32;
            if model.failing <= model.failures {
                model.failing = 0;
            }
            failed = Some(self.draw_failed(&mut model));
        }
        self.book.tasks.push(model);
        let model = self.book.task(id);
        if is_value {
            let bytes = model.bytes;
            self.tell(Event::Value { task: id, bytes });
        } else {
            let (inputs, ends, after) = (model.inputs.clone(), model.ends.clone(), model.after.clone());
            let &Model { follow, ranks, collective, priority, retries, level, origin, .. } = model;
            let patience = model.limits.patience;
            let wishes = Spec { follow, ranks, collective, priority, retries, level, origin, ..Spec::PLAIN };
            let spec = Spec {
                inputs: &inputs,
                ends: &ends,
                after: &after,
                failed: failed.as_ref(),
                patience: patience.as_ref(),
                ..wishes
            };
            self.begin_waiting(id);
            if let Some(FailedBefore { retry, .. }) = failed {
                self.begin_pause(id, retry);
            }
            self.tell(Event::Added { task: id, spec: &spec });
        }
        if self.random.percent(60) {
            let held_ns = self.random.up_to(10 * self.profile.run_ns_max);
            self.after(held_ns, Happening::Drop(id));
        }
    }

    fn draw(&mut self, id: TaskId, is_value: bool) -> Model {
        let profile = self.profile;
        let random = &mut self.random;
        let known: Vec<TaskId> = self.book.tasks.iter().filter(|model| model.handle).map(|model| model.id).collect();
        let recent = &known[known.len().saturating_sub(12)..];
        let mut some = |percent: u64, most: u64| -> Vec<TaskId> {
            let count = if !is_value && random.percent(percent) { random.up_to(most) } else { 0 };
            (0..count).filter_map(|_| random.pick(recent).copied()).collect()
        };
        let (inputs, after) = (some(60, 5), some(20, 3));
        let ends = some(profile.ends_percent, 4);
        let follow =
            if !is_value && random.percent(profile.following_percent) { random.pick(recent).copied() } else { None };
        let collective = !is_value && random.percent(profile.wide_percent);
        // Now and then more than there are.
        let most = self.workers.len() as u64 + u64::from(random.percent(3));
        let failing = if random.percent(profile.failing_percent) { random.up_to(4) as u32 } else { 0 };
        let large = if profile.large_values && random.percent(50) { 20_000_000 } else { 2_000 };
        Model {
            id,
            inputs,
            ends,
            after,
            follow,
            ranks: if collective { random.up_to(most) as u32 } else { 1 },
            collective,
            priority: if profile.priorities { random.below(3) as i32 - 1 } else { 0 },
            retries: random.below(5) as u32,
            level: if profile.priorities { random.below(3) as u32 } else { 0 },
            origin: *random.pick(&ORIGINS).expect("there are some"),
            failing,
            fatal: random.percent(10),
            bytes: random.below(large),
            resident: !is_value && random.percent(50),
            is_value,
            handle: true,
            is_cancelled: false,
            end: None,
            released: false,
            failures: 0,
            tried: Vec::new(),
            on: Vec::new(),
            ran_on: None,
            holders: BTreeSet::new(),
            ready_ns: self.now_ns,
            groups_before: self.book.tally.groups,
            starts_before: self.book.tally.starts,
            limits: Limits::default(),
        }
    }
}
