//! The attributes of distwq, which re-exports them: `#[remote]`, `#[distwq::main]` and
//! `#[distwq::test]`.
//!
//! This file parses and dispatches. What an attribute accepts is in `args`, what the
//! function under it has to look like in `signature`, `portable` and `body`, and what it
//! becomes in `expand`, `checked`, `entry` and `test`.

mod args;
mod body;
mod checked;
mod entry;
mod expand;
mod function;
mod library;
mod portable;
mod refusals;
mod signature;
mod test;

use args::{MainArgs, RemoteArgs, TestArgs};
use function::Function;
use proc_macro2::TokenStream;
use quote::quote;
use refusals::Refusals;
use signature::Remote;

/// Makes a function one that workers can run.
///
/// The function stays what it was. Beside it, under the same name, comes `call`, which
/// describes a task: it takes the function's arguments and gives a `Call` of what the
/// function returns, to hand to `Graph::add` or `Cluster::submit`. Every rank knows the
/// function from the start, because all remote functions of a program are collected when
/// it is linked.
///
/// ```
/// use distwq::prelude::*;
///
/// #[remote]
/// fn power(base: i64, exponent: u32) -> i64 {
///     base.pow(exponent)
/// }
///
/// assert_eq!(power(3, 2), 9); // an ordinary function
///
/// let mut graph = Graph::new();
/// let nine = graph.add(power::call(3, 2)); // a task: `Handle<i64>`
/// let squared = graph.add(power::call(&nine, 2).label("squared"));
/// # let _ = squared;
/// ```
///
/// # Arguments of `call`
///
/// Where the function takes a `T`, `call` takes a `T`, a `&T` (encoded, not cloned), or
/// the output of another task as `&Handle<T>` or `Handle<T>`. For a `Vec<T>` it also
/// takes a slice or array by reference, and several outputs as `Vec<Handle<T>>`,
/// `&Vec<Handle<T>>` or `&[Handle<T>]`; for a `String` also a `&str`. Handles may stand
/// within `Some`, arrays and tuples of up to four, beside values. A wrong type or number
/// of arguments is an error of the compiler at the call.
///
/// A task runs when all its arguments have values. A parameter `Result<T, TaskError>`
/// takes the end of a task instead, whichever it is, from a `Handle<T>` or `&Handle<T>`,
/// and a `Vec<Result<T, TaskError>>` those of several: such a task runs also if these
/// have failed or were cancelled.
///
/// Since an argument can be several things, the compiler has to see which type it is.
/// Where the type of an expression would come from its context, say it:
///
/// | instead of | write |
/// |---|---|
/// | `mean::call(values.collect())` | `mean::call(values.collect::<Vec<_>>())` |
/// | `mean::call(vec![])` | `mean::call(Vec::<f64>::new())` |
/// | `name::call("x".into())` | `name::call("x")` or `name::call(String::from("x"))` |
/// | `mean::call(Default::default())` | `mean::call(Vec::<f64>::default())` |
/// | `shifted::call(None)` | `shifted::call(None::<f64>)` |
///
/// A number without a suffix takes the type of the parameter. `call` is itself a
/// function, so that `(0..100).map(square::call)` works, and `|x| power::call(x, 2)`
/// where arguments are to be fixed.
///
/// # Parameters
///
/// The type of a parameter implements serde's `Serialize` and `DeserializeOwned` and is
/// `Send`. A parameter can also be taken by reference: `&T`, `&[T]` (a `Vec<T>` travels)
/// or `&str` (a `String` travels). What comes out of another task, or from `Graph::value`
/// or `Cluster::value`, is then decoded once on each worker and shared by all tasks there
/// that name it; the type has to be `Sync` for that. There are at most 64 parameters.
/// `mut` and patterns are the function's own affair: `fn f(mut x: Vec<f64>, (a, b): (i64,
/// i64), _: u8)`.
///
/// # What the function returns
///
/// A value that implements `Serialize` and `DeserializeOwned` and is `Send`, or a
/// `Result` of one. An `Err` fails the task and travels as text, with the chain of its
/// sources if it has one; so the error has to implement `Display`, and neither serde's
/// traits nor `Send`. A `Result` is known by the last part of the written type, and its
/// first argument is the value: `Result<f64, String>`, `std::io::Result<Vec<u8>>`. An
/// alias of another name is refused, because its errors would otherwise be values.
///
/// # Collective functions
///
/// `#[remote(collective)]` makes a function that runs on several ranks at once, as many
/// as `Call::ranks` says. Its first parameter, or the one behind a context, is the group
/// of these ranks, `&Group`, which is no argument of `call`. All ranks get the same
/// arguments; the value of the task is what the first rank of the group returns.
///
/// ```
/// use distwq::prelude::*;
///
/// #[remote(collective)]
/// fn norm(group: &Group, values: &[f64]) -> Result<f64, GroupError> {
///     let mine = values.iter().skip(group.rank()).step_by(group.size());
///     let sum = group.all_reduce(mine.map(|x| x * x).sum::<f64>(), |a, b| a + b)?;
///     Ok(sum.sqrt())
/// }
///
/// let mut graph = Graph::new();
/// let length = graph.add(norm::call(&[3.0, 4.0]).ranks(2));
/// # let _ = length;
/// ```
///
/// # The context of a task
///
/// A function whose first parameter is `ctx: &Context` is told which task it is and where
/// it runs. The context is no argument of `call`, and of a collective function it comes
/// before the group.
///
/// ```
/// use distwq::{prelude::*, testing};
///
/// #[remote]
/// fn greet(ctx: &Context, name: &str) -> String {
///     format!("worker {} greets {name}", ctx.worker())
/// }
///
/// let greeting = greet::call("Ada"); // a task
/// # let _ = greeting;
/// assert_eq!(greet(&testing::context(), "Ada"), "worker 0 greets Ada"); // an ordinary function
/// ```
///
/// # What is refused
///
/// The error stands on what is refused and says what to write instead.
///
/// - *Generics and `where` clauses*: every rank has to know each function before the run.
///   Write one remote function for each type, which calls the generic one.
/// - *Lifetimes, `&'static T`, types that borrow*: what a task borrows lives on its
///   worker. Write `&T`, or take the value.
/// - *`&mut T`*: the change would stay on the worker. Take the value and return it.
/// - *References as return types*: return the value.
/// - *Methods*: remote functions are free functions. Write one that takes the value and
///   call it from the method. They may stand in the body of another function.
/// - *`impl Trait`, trait objects, function pointers, pointers*: nothing that another
///   rank could decode.
/// - *`Rc`, and `Arc` without serde's feature `rc`*: take the `T` within, or `&T`, which
///   the tasks of a worker share.
/// - *`&Cluster`*: only the body submits tasks. Return what is to be done next.
/// - *`async fn`*: a task runs to its end on a thread of its worker. Block on the future
///   inside.
/// - *`unsafe fn`, `extern fn`, `#[target_feature]`, a variable number of parameters,
///   `#[cfg]` on a parameter.*
///
/// # Names
///
/// `call` is an associated function of an empty struct that bears the function's name and
/// serves for nothing else. So one `use` imports both, also under another name, but no
/// type and no module of that name can stand beside the function:
///
/// ```
/// mod solve {
///     use distwq::prelude::*;
///
///     #[remote]
///     pub fn solve(x: f64) -> f64 {
///         x
///     }
/// }
///
/// use solve::solve as cg; // `use solve::solve;` would clash with the module
///
/// let call = cg::call(1.0);
/// # let _ = call;
/// ```
///
/// A macro of yours that contains `#[remote]` can be used any number of times. Only if
/// one use of it makes two functions of one name in one module, in two blocks, can they
/// not be told apart; the program then ends at its start and says so.
///
/// # Arguments of the attribute
///
/// `collective`, and `crate = path` where this library is none of the package's
/// dependencies but comes from one, such as `#[remote(crate = my_crate::distwq)]`. A
/// dependency of another name, `dq = { package = "distwq", … }`, is found.
///
/// # Lints
///
/// What the attribute adds raises none of the lints of rustc and none of clippy's
/// default, pedantic and nursery groups, and works in crates that say
/// `#![forbid(unsafe_code)]`. What is allowed on the function (`#[allow(…)]`) is allowed
/// on `call` too.
#[proc_macro_attribute]
pub fn remote(arguments: proc_macro::TokenStream, item: proc_macro::TokenStream) -> proc_macro::TokenStream {
    let item = TokenStream::from(item);
    let mut refusals = Refusals::default();
    let args = RemoteArgs::read(arguments.into(), &mut refusals);
    let function = refusals.keep(Function::parse(item.clone(), "remote"));
    let read = function.map(|function| {
        let remote = Remote::read(&function, &args, &mut refusals);
        (function, remote)
    });
    let beside = match refusals.finish(read) {
        Ok((function, remote)) => expand::expand(&function, &remote, &args),
        Err(error) => error.into_compile_error(),
    };
    quote!(#item #beside).into()
}

/// Makes `main` the entry of a distributed program: every rank enters, one gets the body,
/// the others serve it.
///
/// ```
/// use distwq::prelude::*;
///
/// #[remote]
/// fn square(x: i64) -> i64 {
///     x * x
/// }
///
/// #[distwq::main]
/// fn main(cluster: &Cluster) -> Result<(), TaskError> {
///     let nine = cluster.submit(square::call(3));
///     assert_eq!(nine.get()?, 9);
///     Ok(())
/// }
/// ```
///
/// It stands for
///
/// ```text
/// fn main() -> std::process::ExitCode {
///     fn main(cluster: &Cluster) -> Result<(), TaskError> { … }
///     distwq::launch(distwq::Config::new(), main)
/// }
/// ```
///
/// The function takes `&Cluster` and nothing else, and returns `()` or a `Result<(), E>`
/// whose error implements `Display`. An `Err` or a panic ends all ranks with a message
/// and an exit code that is not 0.
///
/// # Arguments of the attribute
///
/// - `config = expression`: the settings, a `Config`. It is evaluated on every rank
///   before the launch. Variables `DISTWQ_*` win over it.
/// - `crate = path`, where `distwq` is none of the package's dependencies but comes from
///   one.
///
/// For code that has to run on every rank before the launch, write `main` yourself and
/// call `distwq::launch`. Arguments of the command line are best read in the body, which
/// runs once.
///
/// # What is refused
///
/// Another name than `main`, other parameters, generics, `async`, `unsafe` and `extern`.
#[proc_macro_attribute]
pub fn main(arguments: proc_macro::TokenStream, item: proc_macro::TokenStream) -> proc_macro::TokenStream {
    let item = TokenStream::from(item);
    let mut refusals = Refusals::default();
    let args = MainArgs::read(arguments.into(), &mut refusals);
    let function = refusals.keep(Function::parse(item.clone(), "distwq::main"));
    let checked = function.inspect(|function| entry::check(function, &mut refusals));
    let expanded = match refusals.finish(checked) {
        Ok(function) => entry::expand(&function, &args),
        Err(error) => {
            let errors = error.into_compile_error();
            // With a `main` of some form nothing but the refusal is reported.
            quote!(#errors fn main() { #[allow(dead_code)] #item })
        }
    };
    expanded.into()
}

/// Makes a test that runs its body on the local backend and, with the feature `mpi`,
/// again under the MPI launcher.
///
/// ```
/// use distwq::prelude::*;
///
/// #[remote]
/// fn square(x: i64) -> i64 {
///     x * x
/// }
///
/// #[distwq::test(ranks = [1, 2, 4])]
/// fn squares_are_computed(cluster: &Cluster) -> Result<(), TaskError> {
///     assert_eq!(cluster.submit(square::call(3)).get()?, 9);
///     Ok(())
/// }
/// ```
///
/// It is an ordinary test of `cargo test`, so `#[ignore]`, filters and doc comments work.
/// Under the launcher the test starts its own executable once for each number of ranks
/// and shows what each rank printed if one of them fails. See `distwq::testing` for the
/// variables that narrow down where tests run.
///
/// # Arguments of the attribute
///
/// All are optional.
///
/// - `ranks = [1, 2, 4]`: the numbers of ranks, the controller included. The default is
///   `[2, 4]`.
/// - `workers = 3`: how many workers the local backend has. The default is the largest
///   number of ranks less one.
/// - `time_limit = 60`: how many seconds one run of the body may take. The default is 60.
/// - `every`: run on every number of ranks even where `DISTWQ_TEST_RANKS=one` asks for a
///   single one.
/// - `repeat = 100`: with `DISTWQ_TEST_FULL=1` the body runs so often, locally and in one
///   launch on one number of ranks, until it has shut the cluster down, and in ten times
///   the time limit.
/// - `config = expression`: the settings, a `Config`, for all runs; its number of workers
///   is replaced.
/// - `crate = path`, where `distwq` is none of the package's dependencies but comes from
///   one.
///
/// # What is refused
///
/// Other parameters than `&Cluster`, generics, `async`, `unsafe`, `extern`; `#[test]`
/// beside it; and `#[should_panic]`, because a panic of the body ends the run on all
/// ranks: let a task fail, and check the error that its handle gives.
#[proc_macro_attribute]
pub fn test(arguments: proc_macro::TokenStream, item: proc_macro::TokenStream) -> proc_macro::TokenStream {
    let item = TokenStream::from(item);
    let mut refusals = Refusals::default();
    let args = TestArgs::read(arguments.into(), &mut refusals);
    let function = refusals.keep(Function::parse(item.clone(), "distwq::test"));
    let checked = function.inspect(|function| test::check(function, &mut refusals));
    let expanded = match refusals.finish(checked) {
        Ok(function) => test::expand(&function, &args),
        Err(error) => {
            let errors = error.into_compile_error();
            quote!(#errors #[allow(dead_code)] #item)
        }
    };
    expanded.into()
}
