//! The remote functions of simulated programs. None is ever called: the simulation writes
//! what they would give.

use super::random::Random;
use crate::function::registry::{Body, Registry, Remote};
use std::sync::OnceLock;

const fn single(path: &'static str, shared: u64) -> Remote {
    Remote { path, file: "simulation.rs", line: 1, column: 1, body: Body::Single(|_| Ok(())), shared }
}

const fn collective(path: &'static str, shared: u64) -> Remote {
    Remote { path, file: "simulation.rs", line: 1, column: 1, body: Body::Collective(|_, _| Ok(())), shared }
}

/// Functions that differ in what parameters they share.
static SINGLE: [Remote; 4] =
    [single("plain", 0), single("first_shared", 0b1), single("second_shared", 0b10), single("all_shared", !0)];

static COLLECTIVE: [Remote; 3] =
    [collective("group", 0), collective("group_first_shared", 0b1), collective("group_all_shared", !0)];

/// The table of these functions.
pub(super) fn registry() -> &'static Registry {
    static TABLE: OnceLock<Registry> = OnceLock::new();
    TABLE.get_or_init(|| Registry::sorted(SINGLE.iter().chain(&COLLECTIVE).collect()).expect("their paths differ"))
}

/// Any of them of this kind.
pub(super) fn any(random: &mut Random, is_collective: bool) -> &'static Remote {
    let functions: &[Remote] = if is_collective { &COLLECTIVE } else { &SINGLE };
    &functions[random.below(functions.len() as u64) as usize]
}

/// One that runs alone.
pub(super) fn alone() -> &'static Remote {
    &SINGLE[0]
}

/// One that members run together.
pub(super) fn together() -> &'static Remote {
    &COLLECTIVE[0]
}
