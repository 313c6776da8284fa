//! A pending operation of MPI, by its raw handle.

use crate::transport::lent::Operation;
use ::mpi::ffi;
use std::ffi::c_int;
use std::mem::MaybeUninit;

/// A pending operation. The buffer that it uses is kept beside it, by a
/// [`Lent`](crate::transport::lent::Lent).
#[derive(Debug)]
pub(super) struct Request {
    handle: ffi::MPI_Request,
    complete: bool,
}

impl Request {
    /// Starts to send `len` bytes.
    ///
    /// # Safety
    /// The bytes stay where they are, unchanged, until the request is complete.
    pub(super) unsafe fn send(comm: ffi::MPI_Comm, bytes: *const u8, len: usize, to: u32, tag: c_int) -> Self {
        let mut handle = MaybeUninit::uninit();
        // SAFETY: the buffer is valid by this function's contract; the handle is written
        // by the call.
        unsafe {
            ffi::MPI_Isend(
                bytes.cast(),
                super::wire::count(len),
                ffi::RSMPI_UINT8_T,
                to as c_int,
                tag,
                comm,
                handle.as_mut_ptr(),
            );
            Self { handle: handle.assume_init(), complete: false }
        }
    }

    /// Starts to receive a matched message of `len` bytes.
    ///
    /// # Safety
    /// There is room for the bytes, and nobody else uses it, until the request is
    /// complete.
    pub(super) unsafe fn receive(mut message: ffi::MPI_Message, into: *mut u8, len: usize) -> Self {
        let mut handle = MaybeUninit::uninit();
        // SAFETY: the buffer is valid by this function's contract; the handle is written
        // by the call.
        unsafe {
            ffi::MPI_Imrecv(
                into.cast(),
                super::wire::count(len),
                ffi::RSMPI_UINT8_T,
                &raw mut message,
                handle.as_mut_ptr(),
            );
            Self { handle: handle.assume_init(), complete: false }
        }
    }

    /// Enters a barrier.
    pub(super) fn barrier(comm: ffi::MPI_Comm) -> Self {
        let mut handle = MaybeUninit::uninit();
        // SAFETY: the communicator is valid while its transport lives; the handle is
        // written by the call.
        unsafe {
            ffi::MPI_Ibarrier(comm, handle.as_mut_ptr());
            Self { handle: handle.assume_init(), complete: false }
        }
    }
}

impl Operation for Request {
    fn is_complete(&mut self) -> bool {
        if !self.complete {
            let mut flag = 0;
            // SAFETY: the handle is that of an operation which has not been found
            // complete, so MPI knows it.
            unsafe {
                ffi::MPI_Test(&raw mut self.handle, &raw mut flag, ffi::RSMPI_STATUS_IGNORE);
            }
            self.complete = flag != 0;
        }
        self.complete
    }
}
