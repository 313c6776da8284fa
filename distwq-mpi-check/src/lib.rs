//! Nothing: the build script of this package is what it is for. It looks for what the
//! build of rsmpi will need, and says what is missing and how to get it.
//!
//! `distwq-core` has it as a build-dependency, with the feature `mpi` alone. Cargo begins
//! with what most others wait for: as a package of its own, on which the build script of
//! the core waits, the check is among the first; within that script it would come behind
//! bindgen, after the build of rsmpi has failed.
