//! N-1 contingency screening of a transmission grid: which lines are overloaded when any
//! one branch fails?
//!
//! A DC power flow gives the flows of the grid as it is; then one branch after the other
//! is taken out, and all flows are computed anew. The numerics are plain Rust and know
//! nothing of tasks; [`tasks`] makes remote functions of them, and the binary
//! `contingency` describes the graph. `by_hand` is the same job split by hand over raw
//! MPI calls, to measure what the graph costs.
//!
//! | module | what it is |
//! |---|---|
//! | [`matpower`], [`case`] | the case file: its tables, and the grid they describe |
//! | [`grid`] | the susceptance matrix and the right-hand side |
//! | [`bridges`] | branches whose loss splits the grid |
//! | [`collective`], [`block`] | conjugate gradients over the ranks of a group, and for many right-hand sides at once |
//! | [`base`], [`screening`], [`summary`], [`recheck`] | the base case, the outages, what is kept of them, the worst of them again |
//! | [`figures`], [`expected`], [`report`] | all figures, their comparison with figures computed elsewhere, the page |
//! | [`tasks`], [`job`] | the remote functions, and the graph of their calls |
//! | [`options`], [`progress`], [`verdict`] | what the user says and sees |

pub mod base;
pub mod block;
pub mod bridges;
pub mod case;
pub mod collective;
pub mod expected;
pub mod figures;
pub mod grid;
pub mod job;
pub mod matpower;
pub mod options;
pub mod progress;
pub mod recheck;
pub mod report;
pub mod screening;
pub mod solver;
pub mod summary;
pub mod tasks;
pub mod verdict;

mod adjacency;
mod scaled;
#[cfg(test)]
mod testing;
