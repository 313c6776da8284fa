//! `cargo xtask setup`: an MPI, and how a shell can use it.

use std::{env, ffi::OsStr, process::ExitCode};

use crate::{
    Result,
    mpi::{Brand, Choice, Mpi},
};

/// Sets up, and says what there is.
pub(crate) fn command(mut arguments: lexopt::Parser) -> Result<ExitCode> {
    let mut choice = Choice::First;
    let mut print = false;
    while let Some(argument) = arguments.next()? {
        match argument {
            lexopt::Arg::Long("mpi") => choice = Choice::Named(Brand::parse(&arguments.value()?.to_string_lossy())?),
            lexopt::Arg::Long("print") => print = true,
            other => return Err(other.unexpected().into()),
        }
    }
    let mpi = Mpi::set_up(choice)?;
    // Standard output is for the shell alone.
    eprintln!("{}", mpi.described());
    if print {
        for (variable, value) in mpi.variables() {
            match *variable {
                "PATH" | "LD_LIBRARY_PATH" => print_added(variable, value),
                _ => println!("export {variable}={}", quoted(&value.to_string_lossy())),
            }
        }
    } else {
        eprintln!("for a shell: eval \"$(cargo xtask setup --print)\", then cargo build --features mpi and mpirun");
    }
    Ok(ExitCode::SUCCESS)
}

/// A list of folders, of which only those are for the shell that this process did not
/// start with: what cargo adds for its own children is not.
fn print_added(variable: &str, value: &OsStr) {
    let known: Vec<_> = env::var_os(variable).iter().flat_map(env::split_paths).collect();
    let added = env::split_paths(value).filter(|folder| !known.contains(folder));
    let added: Vec<_> = added.map(|folder| folder.display().to_string()).collect();
    if !added.is_empty() {
        println!("export {variable}={}\"${{{variable}:+:${variable}}}\"", quoted(&added.join(":")));
    }
}

/// A word that a shell takes as it is.
fn quoted(word: &str) -> String {
    format!("'{}'", word.replace('\'', r"'\''"))
}
