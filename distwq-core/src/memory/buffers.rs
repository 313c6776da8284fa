//! Large buffers. Touching fresh memory costs several times what copying into touched
//! memory does, so what stays with the library is used again, and what is fresh is asked
//! for in huge pages.

#![allow(unsafe_code, reason = "advice to the system about memory goes by address; the block says what makes it sound")]

use parking_lot::Mutex;

/// Smaller buffers are left to the allocator, which reuses them itself.
pub(crate) const LARGE_BYTES_MIN: usize = 128 << 10;

/// What is kept for later at most, in bytes; the rest goes back to the system.
const KEPT_BYTES_MAX: usize = 512 << 20;

#[derive(Default)]
struct Kept {
    buffers: Vec<Vec<u8>>,
    bytes: usize,
}

static KEPT: Mutex<Kept> = Mutex::new(Kept { buffers: Vec::new(), bytes: 0 });

/// An empty buffer with room for `bytes`: one that was used before if one fits without
/// wasting much.
pub(crate) fn take(bytes: usize) -> Vec<u8> {
    if bytes < LARGE_BYTES_MIN {
        return Vec::with_capacity(bytes);
    }
    let mut kept = KEPT.lock();
    let fits = |buffer: &Vec<u8>| buffer.capacity() >= bytes && buffer.capacity() / 4 <= bytes;
    let found = kept.buffers.iter().position(fits);
    match found {
        Some(index) => {
            let buffer = kept.buffers.swap_remove(index);
            kept.bytes -= buffer.capacity();
            buffer
        }
        None => {
            drop(kept);
            fresh(bytes)
        }
    }
}

/// An empty buffer of its own with room for `bytes`: for what leaves the library and
/// never comes back.
pub(crate) fn fresh(bytes: usize) -> Vec<u8> {
    let mut buffer = Vec::with_capacity(bytes);
    if bytes >= HUGE_BYTES_MIN {
        ask_for_huge_pages(&mut buffer);
    }
    buffer
}

/// Makes room in a vector, of which much is asked for in huge pages: for tables that grow
/// to any size.
#[inline]
pub(crate) fn reserve<T>(vec: &mut Vec<T>, additional: usize) {
    if vec.capacity() - vec.len() < additional {
        grow(vec, additional);
    }
}

#[cold]
fn grow<T>(vec: &mut Vec<T>, additional: usize) {
    let wanted = (vec.len() + additional).max(2 * vec.capacity());
    if wanted * size_of::<T>() < HUGE_BYTES_MIN {
        return vec.reserve(additional);
    }
    // Advised before it is touched; memory that is advised in part could not be moved by
    // its pages anyway.
    let mut grown = Vec::with_capacity(wanted);
    ask_for_huge_pages(&mut grown);
    grown.append(vec);
    *vec = grown;
}

/// A copy of `bytes` with memory of its own.
pub(crate) fn copy_of(bytes: &[u8]) -> Vec<u8> {
    let mut buffer = fresh(bytes.len());
    buffer.extend_from_slice(bytes);
    buffer
}

/// From here on memory is asked for in huge pages: wherever such a buffer begins, a whole
/// one lies within.
const HUGE_BYTES_MIN: usize = 2 * HUGE_PAGE_BYTES;

/// The usual size. Where huge pages are larger, the advice is for nothing; it is never
/// wrong.
const HUGE_PAGE_BYTES: usize = 2 << 20;

/// Lets the system back the room of `buffer` with huge pages where it is not touched yet:
/// one page fault instead of 512.
#[cfg(target_os = "linux")]
pub(crate) fn ask_for_huge_pages<T>(buffer: &mut Vec<T>) {
    use rustix::mm::{Advice, madvise};

    let room = buffer.spare_capacity_mut();
    let (begin, len) = (room.as_mut_ptr().cast::<u8>(), size_of_val(room));
    let before = begin.align_offset(HUGE_PAGE_BYTES);
    let Some(len) = len.checked_sub(before).map(|len| len / HUGE_PAGE_BYTES * HUGE_PAGE_BYTES) else {
        return;
    };
    // SAFETY: the range lies within memory that `buffer` alone uses, `before` bytes
    // behind its begin, and this advice changes how the system backs it, not what it
    // holds.
    let advised = unsafe { madvise(begin.add(before).cast(), len, Advice::LinuxHugepage) };
    // A system without huge pages says so, and gives small ones as always.
    let _ = advised;
}

#[cfg(not(target_os = "linux"))]
pub(crate) fn ask_for_huge_pages<T>(_buffer: &mut Vec<T>) {}

/// Bytes that this process keeps for later.
pub(crate) fn kept_bytes() -> usize {
    KEPT.lock().bytes
}

/// Takes a buffer back. What was kept longest goes if there is too much.
pub(crate) fn give_back(mut buffer: Vec<u8>) {
    if buffer.capacity() < LARGE_BYTES_MIN || buffer.capacity() > KEPT_BYTES_MAX {
        return;
    }
    buffer.clear();
    let mut surplus = Vec::new();
    let mut kept = KEPT.lock();
    kept.bytes += buffer.capacity();
    kept.buffers.push(buffer);
    while kept.bytes > KEPT_BYTES_MAX {
        let oldest = kept.buffers.remove(0);
        kept.bytes -= oldest.capacity();
        surplus.push(oldest);
    }
    // Freeing takes a system call: not under the lock.
    drop(kept);
}

/// Bytes whose buffer is used again when the last who shares them lets go.
pub(crate) struct Reused(pub(crate) Vec<u8>);

impl AsRef<[u8]> for Reused {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl Drop for Reused {
    fn drop(&mut self) {
        give_back(std::mem::take(&mut self.0));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    /// A size that no other test of this crate asks for.
    const BYTES: usize = KEPT_BYTES_MAX / 3;

    #[test]
    fn a_large_buffer_is_used_again_once_nobody_shares_it() {
        let mut buffer = take(BYTES);
        buffer.resize(20, 1);
        let address = buffer.as_ptr();
        let bytes = Bytes::from_owner(Reused(buffer));
        let clone = bytes.slice(10..);
        drop(bytes);
        assert_eq!(clone.len(), 10);
        drop(clone);
        let again = take(BYTES);
        assert!(again.is_empty());
        assert_eq!(again.as_ptr(), address);
    }

    #[test]
    fn a_copy_has_the_bytes_and_no_more_room() {
        for len in [0, 1, LARGE_BYTES_MIN, HUGE_BYTES_MIN, HUGE_BYTES_MIN + 12_345] {
            let bytes: Vec<u8> = (0..len).map(|index| (index % 251) as u8).collect();
            let copy = copy_of(&bytes);
            assert!(copy == bytes);
            assert_eq!(copy.capacity(), len);
        }
    }

    #[test]
    fn a_table_keeps_what_it_has_while_it_grows() {
        let mut table = Vec::new();
        for number in 0..2 * HUGE_BYTES_MIN as u32 / 4 {
            reserve(&mut table, 1);
            table.push(number);
        }
        reserve(&mut table, HUGE_BYTES_MIN);
        let room = table.capacity();
        assert!(room >= table.len() + HUGE_BYTES_MIN);
        assert!(table.iter().zip(0..).all(|(found, expected)| *found == expected));
        reserve(&mut table, HUGE_BYTES_MIN);
        assert_eq!(table.capacity(), room);
    }

    #[test]
    fn small_ones_are_left_to_the_allocator() {
        assert_eq!(take(100).capacity(), 100);
        give_back(vec![0; 100]);
    }
}
