//! What the attributes refuse, and in which words.
//!
//! In `ui/refused` the words are the attributes' own. In `ui/compiler` they are the
//! compiler's, about what the attributes ask of types; they change with its version. In
//! `ui/accepted` are whole programs that run. After a change that is meant,
//! `TRYBUILD=overwrite cargo test --test refusals` writes the files anew: read the
//! difference.

// The words are the same over MPI, and would only be compiled once more.
#![cfg(not(feature = "mpi"))]

#[test]
fn what_is_wrong_is_said_where_it_stands_with_the_way_out() {
    let cases = trybuild::TestCases::new();
    cases.compile_fail("tests/ui/refused/*.rs");
    cases.compile_fail("tests/ui/compiler/*.rs");
    cases.pass("tests/ui/accepted/*.rs");
}
