//! Maps that end before their items do.

use super::results::{Given, Landed};
use super::{Cut, Map, Stage};
use crate::api::call::Call;
use crate::outcome::error::{Limit, TaskError, TaskSite};
use serde::de::DeserializeOwned;
use std::sync::Arc;
use std::time::Instant;

impl<I: Iterator, F: FnMut(I::Item) -> Call<T>, T: DeserializeOwned> Map<I, F, T> {
    pub(super) fn is_late(&self) -> bool {
        self.deadline.is_some_and(|deadline| Instant::now() >= deadline)
    }

    /// Whether items that have failed may be tried again.
    pub(super) fn may_go_again(&self) -> bool {
        self.stage == Stage::Open && !self.is_late()
    }

    /// Some of these items have failed. They are tried again if they are worth it, and
    /// there is time for that: otherwise they give their failures.
    pub(super) fn sort_out(&mut self, landed: Landed) {
        if self.may_go_again() || !landed.would_go_again(&self.flights) {
            return self.results.sort_out(landed, &mut self.flights);
        }
        self.cut_short(Cut::Late);
        self.current = Some(landed);
    }

    /// The deadline has passed: only what has ended is given.
    pub(super) fn pass_deadline(&mut self) {
        self.land();
        if !self.is_all_there() {
            self.cut_short(Cut::Late);
        }
    }

    /// Whether all items have ended, as far as was looked.
    pub(super) fn is_all_there(&self) -> bool {
        self.flights.len() == 0 && !self.source.has_lots() && self.source.size_hint().1 == Some(0)
    }

    /// Gives no more than what has ended, and an error as the last.
    pub(super) fn cut_short(&mut self, cut: Cut) {
        self.land();
        if self.stage == Stage::Open {
            self.stage = Stage::Cut(cut);
            self.stop_pulling();
            match cut {
                // So that workers are set aside which do not return.
                Cut::Late => self.flights.are_late(),
                Cut::Stopped => self.flights.cancel_from(0),
            }
            self.flights.forget_all();
            self.results.expect_no_more();
            self.deadline = None;
        }
    }

    /// The last result of a map that was cut short.
    pub(super) fn last_of(&self, cut: Cut) -> Given<T> {
        let site = TaskSite {
            task: 0,
            function: if self.source.function.is_empty() { "map" } else { self.source.function }.to_owned(),
            label: None,
            rank: None,
            host: None,
            attempts: 0,
            place: 0,
        };
        let (site, after) = (Arc::new(site), self.limit.unwrap_or_default());
        let error = match cut {
            Cut::Late => TaskError::LimitReached { site, limit: Limit::Deadline, after },
            Cut::Stopped => TaskError::Cancelled { site, interrupted: self.flights.cluster.is_interrupted() },
        };
        Given { index: self.source.pulled, result: Err(error) }
    }
}
