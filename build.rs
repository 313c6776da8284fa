//! Only here to wait for the check of MPI, where it is wanted: see the feature `mpi`.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
}
