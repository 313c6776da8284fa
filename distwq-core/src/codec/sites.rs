//! Which sites have been compared: a set that only grows, read without a
//! lock.
//!
//! A site is a type that was encoded, or one variant of it. The set is asked for each
//! value that is encoded, so it is a table of fixed size, and where a site lies in it is
//! known when the program is compiled: asking is a load and a comparison. What does not
//! fit is compared again each time.

use std::any::TypeId;
use std::hash::{Hash, Hasher};
use std::marker::PhantomData;
use std::sync::atomic::{AtomicU64, Ordering};

/// A type, or one variant of it. Never 0.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) struct Site(u64);

impl Site {
    /// All that `T` writes which does not depend on its value.
    #[inline(always)]
    pub(super) fn of<T: ?Sized>() -> Self {
        Self(number(typeid::of::<T>()) | 1)
    }

    /// What `T` writes as one of its variants.
    #[inline(always)]
    pub(super) fn variant<T: ?Sized>(index: u32) -> Self {
        // An odd multiple of the golden ratio spreads the variants of a type over the
        // table.
        Self((number(typeid::of::<T>()) ^ (u64::from(index) + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15)) | 1)
    }

    /// A whole value that is written as a `W` and read as an `R`.
    #[inline(always)]
    pub(super) fn whole<R, W: ?Sized>() -> Self {
        Self::of::<(PhantomData<R>, PhantomData<W>)>()
    }

    /// Whether it has been compared.
    #[inline(always)]
    pub(super) fn is_known(self) -> bool {
        // Relaxed: an entry tells nothing of other memory, and one that is seen late is
        // compared once more.
        SLOTS[self.home()].load(Ordering::Relaxed) == self.0 || self.is_known_elsewhere()
    }

    #[cold]
    #[inline(never)]
    fn is_known_elsewhere(self) -> bool {
        self.slots().any(|slot| slot.load(Ordering::Relaxed) == self.0)
    }

    /// Notes that it has been compared.
    pub(super) fn add(self) {
        for slot in self.slots() {
            match slot.compare_exchange(0, self.0, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => return,
                Err(taken) if taken == self.0 => return,
                Err(_) => {}
            }
        }
    }

    /// Where it begins to be looked for.
    #[inline(always)]
    fn home(self) -> usize {
        (self.0 >> 1) as usize % SLOT_COUNT
    }

    /// Where it may be.
    fn slots(self) -> impl Iterator<Item = &'static AtomicU64> {
        (0..PROBES).map(move |step| &SLOTS[(self.home() + step) % SLOT_COUNT])
    }
}

/// 32 KiB; a program has some dozens of types that travel.
const SLOT_COUNT: usize = 4096;
const PROBES: usize = 16;

static SLOTS: [AtomicU64; SLOT_COUNT] = [const { AtomicU64::new(0) }; SLOT_COUNT];

#[inline(always)]
fn number(id: TypeId) -> u64 {
    let mut number = Number(0);
    id.hash(&mut number);
    number.0
}

/// Takes the 64 bits that the hash of a [`TypeId`] consists of: they are a hash already.
struct Number(u64);

impl Hasher for Number {
    #[inline(always)]
    fn write_u64(&mut self, number: u64) {
        self.0 ^= number;
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0.rotate_left(5) ^ u64::from(*byte)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        }
    }

    #[inline(always)]
    fn finish(&self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_site_is_known_once_it_was_added_and_no_other_is() {
        struct One;
        struct Other;
        assert!(!Site::of::<One>().is_known());
        Site::of::<One>().add();
        Site::of::<One>().add();
        assert!(Site::of::<One>().is_known());
        assert!(!Site::of::<Other>().is_known());
        assert!((0..100).all(|index| !Site::variant::<One>(index).is_known()));
        Site::variant::<One>(7).add();
        assert!((0..100).all(|index| Site::variant::<One>(index).is_known() == (index == 7)));
        assert!(!Site::whole::<One, Other>().is_known());
    }

    #[test]
    fn a_site_whose_slot_is_taken_is_found_behind_it() {
        struct Crowded;
        let first = Site::of::<Crowded>();
        let same = |step: u64| Site(first.0.wrapping_add(step * 2 * SLOT_COUNT as u64));
        for step in 0..4 {
            assert_eq!(same(step).home(), first.home());
            same(step).add();
        }
        assert!((0..4).all(|step| same(step).is_known()));
        assert!(!same(4).is_known());
    }
}
