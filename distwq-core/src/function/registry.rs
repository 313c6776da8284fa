//! Every `#[remote]` function of the program, collected at link time, so that every rank
//! knows each of them by its index in one sorted table.

use crate::function::remote::{Failure, Invocation};
use crate::task::group::Group;
use rustc_hash::FxHashMap;
use std::fmt;
use std::sync::OnceLock;

/// The entries of the program, in the linker's order. Filled by `#[remote]`, read through
/// [`Registry`].
#[linkme::distributed_slice]
pub static DISTWQ_REMOTES: [Remote];

/// What `#[remote]` registers of one function.
pub struct Remote {
    /// The path of the function, `crate::module::name`.
    pub path: &'static str,
    /// The file it stands in.
    pub file: &'static str,
    /// The line of its name.
    pub line: u32,
    /// The column of its name.
    pub column: u32,
    /// How to run it from encoded arguments.
    pub body: Body,
    /// Bit `i` is set when parameter `i` is a reference (`&T`): its value is decoded once
    /// per worker and shared.
    pub shared: u64,
}

/// How a function is run from its encoded arguments.
#[derive(Clone, Copy, Debug)]
pub enum Body {
    /// On one rank.
    Single(fn(&mut Invocation<'_>) -> Result<(), Failure>),
    /// On every rank of a group.
    Collective(fn(&Group, &mut Invocation<'_>) -> Result<(), Failure>),
}

impl Remote {
    /// Whether the function needs a group.
    #[must_use]
    pub const fn is_collective(&self) -> bool {
        matches!(self.body, Body::Collective(_))
    }

    /// Whether a parameter is a reference, whose value the tasks of a worker share.
    #[inline]
    pub(crate) fn shares(&self, parameter: u16) -> bool {
        self.shared & 1_u64.checked_shl(parameter.into()).unwrap_or(0) != 0
    }

    fn key(&self) -> (&'static str, &'static str, u32, u32) {
        (self.path, self.file, self.line, self.column)
    }
}

impl fmt::Debug for Remote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({}:{}:{})", self.path, self.file, self.line, self.column)
    }
}

/// The index of a function in the sorted table: the same on every rank of one program.
#[derive(Clone, Copy, PartialEq, Eq, Debug, serde::Serialize, serde::Deserialize)]
pub struct FunctionId(pub u32);

/// The sorted table.
#[derive(Debug)]
pub struct Registry {
    sorted: Vec<&'static Remote>,
    /// The index of each entry by its address, which is cheaper to look up than its path.
    by_address: FxHashMap<usize, FunctionId>,
}

/// Two functions have the same key, so that ranks could not tell them apart.
#[derive(Clone, Debug, thiserror::Error)]
#[error(
    "two remote functions have the same path and position: {0}; expand a macro that makes them once only, or give them names of their own"
)]
pub struct AmbiguousRemote(pub String);

impl Registry {
    /// The table of this program.
    ///
    /// # Errors
    /// [`AmbiguousRemote`] if two functions cannot be told apart.
    pub fn get() -> Result<&'static Self, AmbiguousRemote> {
        static TABLE: OnceLock<Result<Registry, AmbiguousRemote>> = OnceLock::new();
        TABLE.get_or_init(|| Self::sorted(DISTWQ_REMOTES.iter().collect())).as_ref().map_err(Clone::clone)
    }

    /// The table of these functions.
    pub(crate) fn sorted(mut remotes: Vec<&'static Remote>) -> Result<Self, AmbiguousRemote> {
        remotes.sort_by_key(|remote| remote.key());
        match remotes.windows(2).find(|pair| pair[0].key() == pair[1].key()) {
            Some(pair) => Err(AmbiguousRemote(format!("{:?}", pair[0]))),
            None => {
                let ids = (0..).map(FunctionId);
                let by_address = remotes.iter().map(|remote| address(remote)).zip(ids).collect();
                Ok(Self { sorted: remotes, by_address })
            }
        }
    }

    /// The index of `remote`, which must be an entry of this program.
    #[must_use]
    pub fn id_of(&self, remote: &'static Remote) -> Option<FunctionId> {
        self.by_address.get(&address(remote)).copied()
    }

    /// The function with an index.
    #[must_use]
    pub fn function(&self, id: FunctionId) -> Option<&'static Remote> {
        self.sorted.get(id.0 as usize).copied()
    }

    /// All functions, in order.
    #[must_use]
    pub fn functions(&self) -> &[&'static Remote] {
        &self.sorted
    }
}

/// What tells an entry from all others of this process.
fn address(remote: &'static Remote) -> usize {
    std::ptr::from_ref(remote).addr()
}

#[cfg(test)]
mod tests {
    use super::*;

    static ENTRIES: [Remote; 2] = [entry("b"), entry("a")];
    static TWINS: [Remote; 2] = [entry("a"), entry("a")];

    const fn entry(path: &'static str) -> Remote {
        Remote { path, file: "f.rs", line: 1, column: 1, body: Body::Single(|_| Ok(())), shared: 0 }
    }

    #[test]
    fn functions_are_known_by_their_index_in_sorted_order() {
        let registry = Registry::sorted(ENTRIES.iter().collect()).expect("the keys differ");
        assert_eq!(registry.id_of(&ENTRIES[0]), Some(FunctionId(1)));
        assert_eq!(registry.function(FunctionId(0)).map(|f| f.path), Some("a"));
        assert!(registry.function(FunctionId(2)).is_none());
    }

    #[test]
    fn two_functions_with_one_key_are_refused() {
        let error = Registry::sorted(TWINS.iter().collect()).expect_err("the keys are equal");
        assert!(error.to_string().contains("a (f.rs:1:1)"), "{error}");
    }
}
