//! The state of a slot: where it is kept, and how a task borrows it.
//! [`keeper`](super::keeper) makes it and lets it go.

use std::any::{Any, type_name};
use std::cell::{Cell, RefCell, RefMut};
use std::fmt;
use std::ops::{Deref, DerefMut};

/// Why a task cannot borrow the state of its slot.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StateError {
    /// There is none.
    #[error("this slot has no state, and one of type `{wanted}` is asked for: make it by `Config::init`")]
    Missing {
        /// The type that was asked for.
        wanted: &'static str,
    },
    /// It is of another type.
    #[error("the state of this slot is of type `{found}`, and one of type `{wanted}` is asked for")]
    OtherType {
        /// The type that was asked for.
        wanted: &'static str,
        /// What it is.
        found: &'static str,
    },
    /// The task has borrowed it already.
    #[error(
        "the state of this slot, of type `{wanted}`, is borrowed already: drop what `state` gave before you ask again"
    )]
    Borrowed {
        /// The type that was asked for.
        wanted: &'static str,
    },
    /// A task before it has borrowed it for ever.
    #[error(
        "the state of this slot, of type `{wanted}`, cannot be borrowed any more: an earlier task has leaked what `state` \
         gave it, as `std::mem::forget` does"
    )]
    Leaked {
        /// The type that was asked for.
        wanted: &'static str,
    },
}

/// The state of a slot, lent to the task that runs there until this is dropped.
pub struct State<'a, S>(RefMut<'a, S>);

impl<S> Deref for State<'_, S> {
    type Target = S;

    fn deref(&self) -> &S {
        &self.0
    }
}

impl<S> DerefMut for State<'_, S> {
    fn deref_mut(&mut self) -> &mut S {
        &mut self.0
    }
}

impl<S: fmt::Debug> fmt::Debug for State<'_, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What is told of a state that no task runs with, and that is lent even so.
const LEAKED: &str = "a task has leaked the guard that `Context::state` gave it, so the state can neither be finished \
    nor made anew";

/// Where the state of a slot is kept.
#[derive(Default)]
pub(crate) struct StateCell {
    kept: RefCell<Option<Kept>>,
    /// It is lent to a task that has ended.
    is_leaked: Cell<bool>,
}

struct Kept {
    state: Box<dyn Any>,
    type_name: &'static str,
}

impl StateCell {
    /// A task begins.
    #[inline]
    pub(super) fn task_begins(&self) {
        if self.kept.try_borrow_mut().is_err() {
            self.is_leaked.set(true);
        }
    }

    /// Borrows the state.
    pub(super) fn lend<S: 'static>(&self) -> Result<State<'_, S>, StateError> {
        let wanted = type_name::<S>();
        let is_lent = |_| match self.is_leaked.get() {
            true => StateError::Leaked { wanted },
            false => StateError::Borrowed { wanted },
        };
        let kept = self.kept.try_borrow_mut().map_err(is_lent)?;
        match &*kept {
            None => Err(StateError::Missing { wanted }),
            Some(kept) if !kept.state.is::<S>() => Err(StateError::OtherType { wanted, found: kept.type_name }),
            Some(_) => Ok(State(RefMut::map(kept, |kept| {
                let state = kept.as_mut().and_then(|kept| kept.state.downcast_mut());
                state.expect("its type was looked at")
            }))),
        }
    }

    /// Keeps a state.
    ///
    /// # Errors
    /// If the one before is lent: to a task that has leaked what it was lent.
    pub(crate) fn put(&self, state: Box<dyn Any>, type_name: &'static str) -> Result<(), String> {
        let mut kept = self.kept.try_borrow_mut().map_err(|_| LEAKED.to_owned())?;
        *kept = Some(Kept { state, type_name });
        Ok(())
    }

    /// Takes the state, if there is one.
    ///
    /// # Errors
    /// If it is lent, as for [`put`](Self::put).
    pub(super) fn take(&self) -> Result<Option<Box<dyn Any>>, String> {
        let mut kept = self.kept.try_borrow_mut().map_err(|_| LEAKED.to_owned())?;
        Ok(kept.take().map(|kept| kept.state))
    }
}
