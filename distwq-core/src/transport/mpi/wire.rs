//! How messages of the private communicator are told apart and measured.

use std::ffi::c_int;

/// Tags, one for each kind of [`Message`](crate::transport::departures::Message).
pub(super) mod tag {
    use std::ffi::c_int;

    pub(in super::super) const FRAME: c_int = 1;
    pub(in super::super) const HEAD: c_int = 2;
    pub(in super::super) const PIECE: c_int = 3;
}

/// A length as MPI counts it. Pieces are below the limit of a C int (checked in
/// `Config`).
pub(super) fn count(bytes: usize) -> c_int {
    c_int::try_from(bytes).expect("a piece is smaller than the limit of a C int")
}
