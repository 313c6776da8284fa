//! Only here because `links` needs a build script: two copies of this crate in one
//! program would have two registries, and `links` makes cargo refuse them.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
}
