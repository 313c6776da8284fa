//! Memory that is about to be used is asked for ahead, so that several waits become one.

#![allow(unsafe_code, reason = "the instruction goes by address; the block says what makes it sound")]

/// Asks the processor for the cache line in which an element begins. No harm is done if
/// there is no such element.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
pub(crate) fn element<T>(slice: &[T], index: usize) {
    use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};

    // The first instead, and no branch: whether there is one is as a rule not to be
    // foreseen.
    let index = if index < slice.len() { index } else { 0 };
    // SAFETY: the address is that of an element, or of the begin of an empty slice; the
    // instruction changes nothing that a program can see, and no address makes it fail.
    unsafe { _mm_prefetch::<_MM_HINT_T0>(slice.as_ptr().add(index).cast()) };
}

/// Where no such instruction is known, memory is waited for.
#[cfg(not(target_arch = "x86_64"))]
#[inline(always)]
pub(crate) fn element<T>(_slice: &[T], _index: usize) {}
