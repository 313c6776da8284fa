//! Memory that a foreign library reads or writes while its operations are pending.

use smallvec::SmallVec;

/// Something that a library does with memory until it is complete.
pub(super) trait Operation {
    /// Whether it is complete. Moves it on.
    fn is_complete(&mut self) -> bool;
}

/// Memory together with the operations that use it. Nobody gets at it before all of them
/// have been found complete.
///
/// If it is dropped before, which happens when a run ends by its deadline, the memory is
/// leaked: the library may still write to it. To wait for the operations instead might
/// never end, because the other side may be gone. To cancel them is no way out either: a
/// cancelled operation has to be waited for as well, and sends cannot be relied on to be
/// cancelled (deprecated since MPI 4.0, section 3.8.4).
#[derive(Debug)]
pub(super) struct Lent<M, O> {
    /// There until it is taken.
    memory: Option<M>,
    pending: SmallVec<[O; 1]>,
}

impl<M, O: Operation> Lent<M, O> {
    /// Memory for which no operation is pending yet.
    pub(super) fn new(memory: M) -> Self {
        Self { memory: Some(memory), pending: SmallVec::new() }
    }

    /// Starts an operation on the memory.
    #[inline]
    pub(super) fn lend(&mut self, start: impl FnOnce(&mut M) -> O) {
        let memory = self.memory.as_mut().expect("it is taken by value");
        self.pending.push(start(memory));
    }

    /// Whether no operation is pending. Moves them on.
    #[inline]
    pub(super) fn is_free(&mut self) -> bool {
        // From the last on, which as a rule is complete last.
        while self.pending.last_mut().is_some_and(O::is_complete) {
            self.pending.pop();
        }
        self.pending.is_empty()
    }

    /// The memory.
    ///
    /// # Panics
    /// If an operation is pending.
    #[inline]
    pub(super) fn take(mut self) -> M {
        assert!(self.is_free(), "memory is not taken from an operation that is pending");
        self.memory.take().expect("it is taken by value")
    }
}

impl<M, O> Drop for Lent<M, O> {
    fn drop(&mut self) {
        // What the operations are at is not asked for: the library may have been shut
        // down.
        if !self.pending.is_empty() {
            std::mem::forget(self.memory.take());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::rc::Rc;

    /// Complete once told so.
    struct Told(Rc<Cell<bool>>);

    impl Operation for Told {
        fn is_complete(&mut self) -> bool {
            self.0.get()
        }
    }

    type Flags = [Rc<Cell<bool>>; 2];

    /// Memory of which another owner sees whether it is still there, with two operations
    /// on it.
    fn lent(memory: &Rc<()>) -> (Lent<Rc<()>, Told>, Flags) {
        let complete = [Rc::default(), Rc::default()];
        let mut lent = Lent::new(Rc::clone(memory));
        complete.iter().for_each(|flag| lent.lend(|_| Told(Rc::clone(flag))));
        (lent, complete)
    }

    #[test]
    fn memory_is_freed_when_no_operation_is_pending() {
        let memory = Rc::new(());
        drop(Lent::<_, Told>::new(Rc::clone(&memory)));
        assert_eq!(Rc::strong_count(&memory), 1);
        let (mut lent, complete) = lent(&memory);
        complete[1].set(true);
        assert!(!lent.is_free());
        complete[0].set(true);
        assert!(lent.is_free());
        drop(lent);
        assert_eq!(Rc::strong_count(&memory), 1);
    }

    #[test]
    fn memory_stays_when_it_is_dropped_while_an_operation_is_pending() {
        for done in 0..2 {
            let memory = Rc::new(());
            let (mut lent, complete) = lent(&memory);
            complete[done].set(true);
            assert!(!lent.is_free());
            drop(lent);
            assert_eq!(Rc::strong_count(&memory), 2, "it is leaked");
        }
    }

    #[test]
    fn memory_cannot_be_taken_while_an_operation_is_pending() {
        let memory = Rc::new(());
        let (lent, _) = lent(&memory);
        assert!(catch_unwind(AssertUnwindSafe(|| lent.take())).is_err());
        assert_eq!(Rc::strong_count(&memory), 2, "it is leaked");
    }
}
