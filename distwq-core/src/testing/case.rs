//! One test: what it is called, and on how many ranks and how long its body may run.

use std::{env, time::Duration};

use crate::Config;

/// A configuration without the types of its states, as a [`Case`] takes it.
#[doc(hidden)]
pub fn untyped<S, F>(config: Config<S, F>) -> Config {
    config.untyped()
}

/// One test, as [`run`](super::run) needs to know it; `#[distwq::test(…)]` writes it.
#[derive(Debug, Clone, Copy)]
pub struct Case {
    /// The test's full path, crate first: `concat!(module_path!(), "::", "name")`.
    pub name: &'static str,
    /// The numbers of ranks, the controller included, on which the body runs under MPI. 1
    /// means the local backend within a launched process, as for any program that is
    /// started as a single rank.
    pub ranks: &'static [usize],
    /// The number of workers on the local backend; otherwise one less than the largest
    /// number of ranks.
    pub workers: Option<usize>,
    /// How long one run of the body may take, the start of its ranks included; 60 s
    /// unless given.
    pub time_limit: Option<Duration>,
    /// Whether the body runs on every number of ranks even where `DISTWQ_TEST_RANKS=one`
    /// asks for a single one.
    pub every: bool,
    /// How often the body runs where tests run in [full](super::full): locally, and
    /// under MPI in one launch on one number of ranks, always on the same cluster until
    /// the body has shut it down. Locally the rest is on new clusters then.
    pub repeat: usize,
    /// The configuration for all runs, otherwise the default one; the number of workers
    /// is set on top of it.
    pub config: Option<fn() -> Config>,
}

/// By how much the time limit of a run grows whose body is repeated.
const REPEATED_LONGER: u32 = 10;

impl Case {
    /// A test of this name that runs on the local backend and on 2 and 4 ranks.
    pub const fn new(name: &'static str) -> Self {
        Self { name, ranks: &[2, 4], workers: None, time_limit: None, every: false, repeat: 1, config: None }
    }

    /// The name by which the test's own executable knows it: the path without the crate.
    pub(super) fn path(&self) -> &'static str {
        self.name.split_once("::").map_or(self.name, |(_, path)| path)
    }

    /// The number of workers on the local backend: at least one.
    pub(super) fn local_workers(&self) -> usize {
        let largest = self.ranks.iter().copied().max().unwrap_or(1);
        self.workers.unwrap_or(largest.saturating_sub(1)).max(1)
    }

    /// The configuration of every run.
    pub(super) fn config(&self) -> Config {
        let config = self.config.map_or_else(Config::new, |config| config());
        config.workers(self.local_workers())
    }

    /// How long one run may take: `DISTWQ_TEST_TIME_LIMIT` can only lengthen what the
    /// test says.
    pub(super) fn time_limit(&self) -> Duration {
        let own = self.time_limit.unwrap_or(Duration::from_secs(60));
        let wished = env::var("DISTWQ_TEST_TIME_LIMIT").ok().and_then(|seconds| seconds.parse().ok());
        let longer = if self.repeats() > 1 { REPEATED_LONGER } else { 1 };
        (own * longer).max(Duration::from_secs(wished.unwrap_or(0)))
    }

    /// How often the body runs locally.
    pub(super) fn repeats(&self) -> usize {
        if super::full() { self.repeat.max(1) } else { 1 }
    }

    /// How often the body runs under MPI on so many ranks.
    pub(super) fn repeats_on(&self, ranks: usize) -> usize {
        if self.ranks_for(Some("one")).contains(&ranks) { self.repeats() } else { 1 }
    }

    /// The numbers of ranks to run on now.
    pub(super) fn ranks_now(&self) -> Vec<usize> {
        if super::full() {
            return self.ranks.to_vec();
        }
        self.ranks_for(env::var("DISTWQ_TEST_RANKS").ok().as_deref())
    }

    /// The numbers of ranks that the value of `DISTWQ_TEST_RANKS` leaves.
    fn ranks_for(&self, wish: Option<&str>) -> Vec<usize> {
        match wish.map(str::trim) {
            None | Some("" | "all") => self.ranks.to_vec(),
            Some("one") if self.every => self.ranks.to_vec(),
            // Three ranks are the least on which workers talk to each other.
            Some("one") => {
                let enough = self.ranks.iter().filter(|&&ranks| ranks >= 3).min();
                enough.or_else(|| self.ranks.iter().max()).copied().into_iter().collect()
            }
            Some(list) => {
                let wished: Vec<usize> = list.split(',').map(|ranks| parse(ranks, list)).collect();
                self.ranks.iter().copied().filter(|ranks| wished.contains(ranks)).collect()
            }
        }
    }
}

fn parse(ranks: &str, list: &str) -> usize {
    let Ok(ranks) = ranks.trim().parse() else {
        panic!("DISTWQ_TEST_RANKS is {list:?}, but must be `all`, `one`, or numbers such as `2,4`");
    };
    ranks
}

#[cfg(test)]
mod tests {
    use super::*;

    const CASE: Case = Case { ranks: &[1, 2, 4, 7], ..Case::new("crate_name::module::test_name") };

    #[test]
    fn the_executable_knows_a_test_by_its_path_without_the_crate() {
        assert_eq!(CASE.path(), "module::test_name");
        assert_eq!(Case::new("plain").path(), "plain");
    }

    #[test]
    fn one_rank_is_the_controller_and_there_is_always_a_worker() {
        assert_eq!(CASE.local_workers(), 6);
        assert_eq!(Case { ranks: &[1], ..CASE }.local_workers(), 1);
        assert_eq!(Case { workers: Some(3), ..CASE }.local_workers(), 3);
    }

    #[test]
    fn the_numbers_of_ranks_can_be_narrowed() {
        assert_eq!(CASE.ranks_for(None), [1, 2, 4, 7]);
        assert_eq!(CASE.ranks_for(Some("all")), [1, 2, 4, 7]);
        assert_eq!(CASE.ranks_for(Some("one")), [4]);
        assert_eq!(Case { ranks: &[1, 2], ..CASE }.ranks_for(Some("one")), [2]);
        assert_eq!(Case { every: true, ..CASE }.ranks_for(Some("one")), [1, 2, 4, 7]);
        assert_eq!(CASE.ranks_for(Some("2, 3,7")), [2, 7]);
    }
}
