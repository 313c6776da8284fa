//! Typed graphs of tasks over MPI: annotate functions, describe a graph of calls, launch
//! one binary with `mpirun`, and get typed values back. This page is the guide; each
//! section ends where the documentation of an item goes on.
//!
//! ```
//! use distwq::prelude::*;
//!
//! #[remote]
//! fn square(x: i64) -> i64 {
//!     x * x
//! }
//!
//! #[remote]
//! fn sum(values: Vec<i64>) -> i64 {
//!     values.iter().sum()
//! }
//!
//! #[distwq::main]
//! fn main(cluster: &Cluster) -> Result<(), Box<dyn std::error::Error>> {
//!     let mut graph = Graph::new();
//!     let squares: Vec<_> = (1..=10).map(|x| graph.add(square::call(x))).collect();
//!     let total = graph.add(sum::call(&squares));
//!     cluster.run(&mut graph)?;
//!     assert_eq!(total.get()?, 385);
//!     Ok(())
//! }
//! ```
//!
//! The words: a *rank* is a process of an MPI program. One rank is the *controller*,
//! which runs the body of `main`; the others are *workers*, which run *tasks*. A *call*
//! describes one task, a *graph* many, and a *handle* is what you hold of a task: a
//! promise of its output. Without an MPI launcher all of this is threads of one process,
//! the *local backend*.
//!
//! 1. [Functions](#functions)
//! 2. [Arguments](#arguments)
//! 3. [Options of a task](#options-of-a-task)
//! 4. [Graphs](#graphs)
//! 5. [One task at a time](#one-task-at-a-time)
//! 6. [Handles](#handles)
//! 7. [Values](#values)
//! 8. [Collective tasks](#collective-tasks)
//! 9. [Errors](#errors)
//! 10. [Launching](#launching)
//! 11. [Configuration](#configuration)
//! 12. [Testing](#testing)
//! 13. [Limits of type inference](#limits-of-type-inference)
//!
//! # Functions
//!
//! [`#[remote]`](macro@remote) makes a free function one that workers can run. It stays
//! an ordinary function, and gets a companion of its name, `call`, which describes a
//! task.
//!
//! ```
//! use distwq::prelude::*;
//! use serde::{Deserialize, Serialize};
//!
//! #[derive(Serialize, Deserialize)]
//! struct Window {
//!     weights: Vec<f64>,
//! }
//!
//! /// By value: every task has a copy of its own. By reference: the tasks of a worker share one.
//! #[remote]
//! fn weighted(samples: Vec<f64>, window: &Window) -> Result<f64, String> {
//!     if samples.len() != window.weights.len() {
//!         return Err(format!("{} samples for {} weights", samples.len(), window.weights.len()));
//!     }
//!     Ok(samples.iter().zip(&window.weights).map(|(sample, weight)| sample * weight).sum())
//! }
//!
//! let window = Window { weights: vec![0.5, 0.5] };
//! assert_eq!(weighted(vec![1.0, 3.0], &window), Ok(2.0)); // the function
//! let call: Call<f64> = weighted::call(&[1.0, 3.0], &window); // a description of a task
//! # let _ = call;
//! ```
//!
//! What goes in and out implements serde's `Serialize` and `Deserialize` and is `Send`;
//! what is taken by reference (`&T`, `&[T]`, `&str`) also `Sync`. Large byte strings are
//! best wrapped in the type of the crate `serde_bytes`, which encodes them as one piece.
//!
//! Values travel without the names of their fields and without marks of what they are.
//! Types that need them are refused when they are encoded, with the type, the field and
//! the way out: those with serde's `skip_serializing_if`, with `skip_serializing` or
//! `skip_deserializing` alone, with `untagged`, `flatten` or `tag`, and such as
//! `serde_json::Value`. An argument or shared value is then
//! [`Refused`](TaskError::Refused), an output fails its task with [`TaskError::Codec`].
//! The way out is [`Described`], a wrapper that keeps the names: `fn load(config:
//! Described<Config>) -> Described<Value>`, called as `load::call(Described(config))`.
//! Therefore the first value of each type is decoded once, on the rank that encodes it.
//!
//! A function that returns `Result<T, E>` has a `Handle<T>`: its error fails the task,
//! and is told as text with its sources. `E` only has to be `Display`.
//!
//! Functions without type parameters, lifetimes, `self`, `async` and `&mut` can be
//! remote; the compiler says for each what to do instead. They may stand in any module,
//! in a library, and in the body of another function. Every rank runs the same
//! executable, so every rank knows them all.
//!
//! Where `#[remote]` is forgotten, `square::call(3)` is the compiler's error E0433,
//! "function `square` is not a crate or module": it knows of nothing by that name in
//! which there could be a `call`.
//!
//! # Arguments
//!
//! | Where the function takes a | the call takes |
//! |---|---|
//! | `T` or `&T` | `T`, `&T` (encoded, not cloned), `Handle<T>`, `&Handle<T>` |
//! | `Vec<T>` or `&[T]` | also `&[T]`, `&[T; N]`, and several outputs: `Vec<Handle<T>>`, `&Vec<Handle<T>>`, `&[Handle<T>]` |
//! | `String` or `&str` | also `&str` |
//!
//! Anything else is an error of the compiler at the call. A handle as an argument makes
//! the task wait for that output; its bytes go from the worker that has it to the one
//! that needs it. A plain value travels with the call, each time: what many tasks need is
//! better given once, see [Values](#values).
//!
//! # Options of a task
//!
//! | method of [`Call`] | effect |
//! |---|---|
//! | [`label`](Call::label) | a name for people, in errors and drawings |
//! | [`after`](Call::after), [`after_all`](Call::after_all) | waits for other tasks without taking their outputs |
//! | [`follow`](Call::follow) | runs on the worker that ran another task, after it |
//! | [`priority`](Call::priority) | among ready tasks the higher goes first |
//! | [`retries`](Call::retries) | how many more attempts after a failure, on other workers first |
//! | [`ranks`](Call::ranks) | how many ranks a [collective task](#collective-tasks) runs on |
//!
//! Among tasks of equal priority those go first that the longest path of a graph hangs
//! on. A task runs where it can begin soonest, the time to move its inputs included.
//!
//! # Graphs
//!
//! A [`Graph`] is a description: it is built without any rank, and can be drawn
//! ([`to_dot`](Graph::to_dot)) and measured ([`width`](Graph::width),
//! [`critical_path`](Graph::critical_path)) before it runs. [`Cluster::run`] runs it to
//! its end; [`Cluster::start`] starts it and goes on, and its handles are waited for one
//! by one. A graph runs once.
//!
//! ```
//! use distwq::prelude::*;
//!
//! #[remote]
//! fn load(part: u32) -> Vec<u32> {
//!     (0..part).collect()
//! }
//!
//! #[remote]
//! fn count(values: &[u32]) -> usize {
//!     values.len()
//! }
//!
//! #[remote]
//! fn report(counts: Vec<usize>) -> String {
//!     format!("{counts:?}")
//! }
//!
//! #[distwq::main]
//! fn main(cluster: &Cluster) -> Result<(), Box<dyn std::error::Error>> {
//!     let mut graph = Graph::new();
//!     let mut counts = Vec::new();
//!     for part in 1..=3 {
//!         let values = graph.add(load::call(part).label(format!("load {part}")));
//!         counts.push(graph.add(count::call(&values)));
//!     }
//!     let text = graph.add(report::call(&counts)); // fan-in: handles of usize where a Vec<usize> is taken
//!     assert_eq!((graph.len(), graph.width()), (7, 3));
//!     cluster.run(&mut graph)?;
//!     assert_eq!(text.get()?, "[1, 2, 3]");
//!     Ok(())
//! }
//! ```
//!
//! Outputs can only be given to tasks that are added later, so a graph has no cycles.
//! [`Graph::order`] puts an edge between tasks that both exist already; one that would
//! close a cycle is refused, with the cycle named.
//!
//! # One task at a time
//!
//! [`Cluster::submit`] takes one call and gives its handle; the task starts as soon as a
//! worker is free, while the body goes on. Handles are arguments here too, so a graph can
//! grow from what its results say. A [`Cluster`] can be cloned and used from any thread
//! of the body. Tasks cannot use it; one that tries is told so at once.
//!
//! ```
//! use distwq::prelude::*;
//!
//! #[remote]
//! fn step(x: u64) -> u64 {
//!     if x.is_multiple_of(2) { x / 2 } else { 3 * x + 1 }
//! }
//!
//! #[distwq::main]
//! fn main(cluster: &Cluster) -> Result<(), TaskError> {
//!     let mut x = cluster.submit(step::call(7));
//!     for _ in 1..16 {
//!         x = cluster.submit(step::call(&x)); // does not wait
//!     }
//!     assert_eq!(x.get()?, 1);
//!     Ok(())
//! }
//! ```
//!
//! # Handles
//!
//! [`Handle::get`] waits for the task, fetches its output and decodes it, anew at each
//! call. [`get_timeout`](Handle::get_timeout) waits for so long at most,
//! [`try_get`](Handle::try_get) not at all, [`is_done`](Handle::is_done) only asks, and
//! [`info`](Handle::info) says when and where the task ran, how long, and at which
//! attempt. Clones are the same task.
//!
//! `add` and `submit` never return an error: what cannot run is a handle that has ended
//! already, and its error says why. A handle of a graph that has not started says
//! [`TaskError::NotStarted`] at once.
//!
//! A task runs whether or not somebody holds its handle. When the last handle and the
//! last task that takes the output are gone, the *value* goes; so keep the handles of
//! what you will ask for, and drop those of large intermediate values.
//!
//! To stop early, [`Handle::cancel`] cancels one task, [`Cluster::cancel_all`] all of
//! them, and [`Cluster::shutdown_now`] also ends the cluster. What waits ends at once as
//! [`TaskError::Cancelled`]. What runs goes on: if it gives a value, that counts, and if
//! not, it is not tried again.
//!
//! # Results as they come
//!
//! A [`Batch`] takes the results of many tasks in the order in which they end, each once,
//! and may grow meanwhile. [`Cluster::submit_all`] makes one of many calls,
//! [`Cluster::batch`] an empty one, and [`Batch::of`] one of handles, such as those of a
//! graph.
//!
//! ```
//! use distwq::prelude::*;
//!
//! #[remote]
//! fn simulate(pressure: f64) -> Result<f64, String> {
//!     if pressure < 0.0 { Err("no pressure is negative".to_owned()) } else { Ok(pressure * 2.0) }
//! }
//!
//! #[distwq::main]
//! fn main(cluster: &Cluster) {
//!     let grid = [1.0, -1.0, 3.0];
//!     let batch = cluster.submit_all(grid.map(simulate::call));
//!     let mut best = 0.0_f64;
//!     for (index, result) in &batch {
//!         match result {
//!             Ok(found) => best = best.max(found),
//!             Err(error) => eprintln!("{} has failed: {error}", grid[index]),
//!         }
//!     }
//!     assert_eq!((best, batch.progress().to_string()), (6.0, "3 of 3, 1 failed".to_owned()));
//! }
//! ```
//!
//! A single handle can be awaited, with any executor, and [`Handle::on_end`] calls back
//! when its task has ended.
//!
//! # Values
//!
//! Outputs of up to 4 KiB travel back to the controller with the news that their task is
//! done. Larger ones stay in the memory of the worker that made them, and go from there
//! to each worker that needs them, once. `get` fetches a copy. [`Cluster::stats`] says
//! how many bytes live on which rank.
//!
//! [`Graph::value`] and [`Cluster::value`] make a handle of a value of yours. It is sent
//! to a worker once, for as many tasks as take it there; those that take it by reference
//! share what was decoded once.
//!
//! ```
//! use distwq::prelude::*;
//!
//! #[remote]
//! fn look_up(table: &[f64], index: usize) -> Option<f64> {
//!     table.get(index).copied()
//! }
//!
//! #[distwq::main]
//! fn main(cluster: &Cluster) -> Result<(), TaskError> {
//!     let table: Vec<f64> = (0..100_000).map(f64::from).collect();
//!     let table = cluster.value(&table);
//!     let found: Vec<_> = [3, 7, 200_000].map(|index| cluster.submit(look_up::call(&table, index))).into();
//!     let found: Vec<_> = found.iter().map(Handle::get).collect::<Result<_, _>>()?;
//!     assert_eq!(found, [Some(3.0), Some(7.0), None]);
//!     Ok(())
//! }
//! ```
//!
//! # Collective tasks
//!
//! `#[remote(collective)]` makes a function that runs on several ranks at once. Its first
//! parameter is the [`Group`] of these ranks, through which they talk; the call does not
//! name it. All members get the same arguments, and the value of the task is what member
//! 0 returns. [`Call::ranks`] says how many ranks, from 1 to the number of workers;
//! without it, all.
//!
//! ```
//! use distwq::prelude::*;
//!
//! #[remote(collective)]
//! fn variance(group: &Group, samples: &[f64]) -> Result<f64, GroupError> {
//!     let own: Vec<f64> = samples.iter().copied().skip(group.rank()).step_by(group.size()).collect();
//!     let count = samples.len() as f64;
//!     let mean = group.all_reduce(own.iter().sum::<f64>(), |a, b| a + b)? / count;
//!     let squares = own.iter().map(|sample| (sample - mean).powi(2)).sum::<f64>();
//!     Ok(group.all_reduce(squares, |a, b| a + b)? / count)
//! }
//!
//! #[distwq::main]
//! fn main(cluster: &Cluster) -> Result<(), TaskError> {
//!     let ranks = cluster.workers().min(4);
//!     let variance = cluster.submit(variance::call(&[1.0, 2.0, 3.0, 4.0]).ranks(ranks));
//!     assert_eq!(variance.get()?, 1.25);
//!     Ok(())
//! }
//! ```
//!
//! All members call the same operations in the same order, as in MPI. Unlike there,
//! nobody is left waiting: when a member returns an error, panics, or returns early, the
//! operations of the others end with a [`GroupError`]; hand it on with `?`, and the task
//! fails with the error where it began. The members begin only when all of them have all
//! inputs.
//!
//! Locally the members are threads. With the feature `mpi` and over MPI,
#![cfg_attr(feature = "mpi", doc = "[`Group::with_mpi`] lends the raw communicator")]
#![cfg_attr(not(feature = "mpi"), doc = "`Group::with_mpi` lends the raw communicator")]
//! of the group: as a handle for C libraries, and as that of rsmpi, which is
//! `distwq::mpi` then. MPI is called by one thread of a rank at a time, and distwq does
//! so too. So the communicator of rsmpi, from which safe code can make others that
//! outlive the call, needs either `unsafe` or an MPI that any thread may call
//! ([`Config::mpi_thread_multiple`]), which makes every message of the run slower.
//!
//! rsmpi also gives everybody `SimpleCommunicator::world()`, and nothing here can refuse
//! that. A program that calls MPI outside of `with_mpi`, or on threads of its own, needs
//! the setting: without it two threads are in MPI at once, and what follows is crashes
//! and hangs.
//!
//! # The context of a task
//!
//! A function whose first parameter is `ctx: &`[`Context`], before a `&Group`, is told
//! which task it is, at which attempt, and on which worker, rank, host and slot it runs;
//! whether it was cancelled; and a [seed](Context::seed) for random numbers that is the
//! same on any number of workers. The call does not name it, and
//! [`testing::context`](testing::context()) makes one where the function is called as any
//! other.
//!
//! # The state of a slot
//!
//! What is dear to make and used by many tasks is made once for each slot, by
//! [`Config::init`], or by [`try_init`](Config::try_init) if that can fail. A task borrows
//! it by [`Context::state`]. It lives on the thread of its slot, so it need not be `Send`,
//! and it is ended there: [`Config::finish`] makes something of it, and
//! [`Cluster::finish`] gives that of all slots.
//!
//! ```
//! use distwq::prelude::*;
//!
//! #[remote]
//! fn add(ctx: &Context, x: u64) {
//!     *ctx.state::<u64>() += x;
//! }
//!
//! #[distwq::main(config = Config::new().workers(2).init(|_| 0_u64).finish(|total| total))]
//! fn main(cluster: &Cluster) -> Result<(), Box<dyn std::error::Error>> {
//!     (1..=10).for_each(|x| drop(cluster.submit(add::call(x))));
//!     let totals: Vec<u64> = cluster.finish()?; // one for each worker
//!     assert_eq!(totals.iter().sum::<u64>(), 55);
//!     Ok(())
//! }
//! ```
//!
//! The body begins when all states are made. If one cannot be, no task runs: each ends as
//! [`Init`](TaskError::Init), and the run ends with an exit code that is not 0. What
//! grows with use is made anew after [so many tasks](Config::state_lifespan), and what a
//! task has damaged after [`Context::reset_state`].
//!
//! # Errors
//!
//! [`TaskError`] says why a task gave no value, for which task, on which rank and host,
//! and at which attempt.
//!
//! | error | when |
//! |---|---|
//! | [`Failed`](TaskError::Failed) | the function returned an `Err` |
//! | [`Panicked`](TaskError::Panicked) | the function panicked; the worker goes on |
//! | [`Upstream`](TaskError::Upstream) | an input or a task before it failed: names the one where it began, and the path |
//! | [`Group`](TaskError::Group) | a group did not begin, or broke without a member that says why |
//! | [`Codec`](TaskError::Codec) | an argument or output could not be encoded or decoded |
//! | [`ValueLost`](TaskError::ValueLost), [`WorkerLost`](TaskError::WorkerLost) | an input or its worker is gone |
//! | [`Cancelled`](TaskError::Cancelled) | it was cancelled before it had given a value |
//! | [`Init`](TaskError::Init) | a state for it could not be made |
//! | [`Refused`](TaskError::Refused) | it can never run; [`Refusal`] says why |
//! | [`Stalled`](TaskError::Stalled) | nothing can move any more; says who waits for what |
//! | [`NotStarted`](TaskError::NotStarted), [`Timeout`](TaskError::Timeout), [`InsideTask`](TaskError::InsideTask) | about the asking, not about the task |
//! | [`Closed`](TaskError::Closed) | the cluster had shut down |
//!
//! [`Cluster::run`] is an `Err` when a task failed; all that did not hang on it have run
//! even so, and their handles give values.
//!
//! ```
//! use distwq::prelude::*;
//!
//! #[remote]
//! fn half(x: u32) -> Result<u32, String> {
//!     if x % 2 == 0 { Ok(x / 2) } else { Err(format!("{x} is odd")) }
//! }
//!
//! #[distwq::main]
//! fn main(cluster: &Cluster) {
//!     let mut graph = Graph::new();
//!     let three = graph.add(half::call(6));
//!     let wrong = graph.add(half::call(&three));
//!     let never = graph.add(half::call(&wrong).label("the end"));
//!     assert!(cluster.run(&mut graph).is_err());
//!     assert_eq!(three.get(), Ok(3));
//!     assert_eq!(wrong.get().unwrap_err().message(), Some("3 is odd"));
//!     let error = never.get().unwrap_err();
//!     assert!(matches!(error, TaskError::Upstream { .. }));
//!     assert_eq!(error.root(), &wrong.get().unwrap_err());
//! }
//! ```
//!
//! A panic in a task is told by its error, with where it was raised, and not on
//! standard error. With `RUST_BACKTRACE=1` the panic hook runs as well, on the rank where
//! it happens; a hook of your own has to be set before the launch, else the error does
//! not know where. What cannot be contained (a task that calls `process::exit`,
//! aborts, overflows its stack or accesses memory that is not its own, a killed rank, and
//! any panic under `panic = "abort"`) ends the whole run with an exit code that is not 0,
//! and with a message that names the task, its label, its attempt, its rank and its host.
//! A rank that is killed cannot say anything. If it is on the controller's host, the
//! controller says that it is gone and what it had to do, and a worker there says so of
//! the controller, if the launcher leaves them the time, as Open MPI does.
//!
//! # Launching
//!
//! [`#[distwq::main]`](macro@main) makes `main` the body of the controller. Started by
//! `mpirun -n 4`, a program built with the feature `mpi` has a controller and three
//! workers; started without a launcher or with `-n 1`, it has a worker thread for each
//! core. A program that was built without the feature and is started with several ranks
//! says so and ends.
//!
//! Read the arguments of the command line in the body: it runs once. What a parser says
//! before the launch (in a `main` of your own that calls [`launch()`]) is printed by
//! every rank.
//!
//! ```
//! use distwq::prelude::*;
//!
//! #[remote]
//! fn greet(name: &str) -> String {
//!     format!("hello, {name}")
//! }
//!
//! #[distwq::main(config = Config::new().slots(2))]
//! fn main(cluster: &Cluster) -> Result<(), TaskError> {
//!     let name = std::env::args().nth(1).unwrap_or_else(|| "world".to_owned());
//!     println!("{}", cluster.submit(greet::call(name)).get()?);
//!     Ok(())
//! }
//! ```
//!
//! When the body returns, the tasks that were taken are finished and all ranks end with
//! exit code 0. An `Err` or a panic of the body drops what has not begun, and every rank
//! ends with a code that is not 0. `process::exit` in the body, which is what clap's
//! `parse` does after `--help` or a bad option, ends all ranks at once and quietly with
//! its code, whatever runs on them.
//!
//! While a task that never returns keeps the run from ending, standard error says which
//! one and where it runs: after [`shutdown_grace`](Config::shutdown_grace), and each
//! minute from then on. [`Cluster::shutdown_now`] does not wait any longer than that
//! grace.
//!
//! To build with MPI, have `mpicc` on `PATH` (or name it in `MPICC`) and libclang
//! installed (or its folder named in `LIBCLANG_PATH`), and enable the feature: `cargo
//! build --features mpi`, with `mpi = ["distwq/mpi"]` among the features of your crate.
//! If the MPI library is in no folder that the loader knows, name it in `LD_LIBRARY_PATH`
//! when the program starts. Ranks that run different executables are refused at the
//! start.
//!
//! # Configuration
//!
//! [`Config`] has the settings of a run, each with its default and its variable, in one
//! table. Variables win over the code: `DISTWQ_WORKERS=8 cargo run`. They only need to be
//! set for the controller's rank; the others are told. What has to be known before that,
//! `DISTWQ_CONTROLLER` and `DISTWQ_PIECE_BYTES`, is set for rank 0. A variable that
//! begins with `DISTWQ_` and means nothing is named on standard error.
//!
//! # Watching a run
//!
//! A run tells what it does to subscribers of the crate
//! [`tracing`](https://docs.rs/tracing), which your own crate depends on, with a
//! subscriber such as [`tracing-subscriber`](https://docs.rs/tracing-subscriber). Each
//! process has its own, so set it before the launch, where all ranks pass:
//!
//! ```
//! use distwq::prelude::*;
//! use std::process::ExitCode;
//! # mod tracing_subscriber { pub mod fmt { pub fn init() {} } }
//!
//! #[remote]
//! fn halve(x: u64) -> u64 {
//!     tracing::info!(x, "halving");
//!     x / 2
//! }
//!
//! fn main() -> ExitCode {
//!     tracing_subscriber::fmt::init();
//!     distwq::launch(Config::new(), |cluster| -> Result<(), TaskError> {
//!         assert_eq!(cluster.submit(halve::call(42).label("first")).get()?, 21);
//!         Ok(())
//!     })
//! }
//! ```
//!
//! With `RUST_LOG=info,distwq=debug` all ranks write to where the launcher collects their
//! output. The line of the task says whose it is:
//!
//! ```text
//! INFO distwq_task{task=1 function="halving::halve" label="first" attempt=1 rank=2}: halving: halving x=42
//! ```
//!
//! - The span `distwq_task` is around each attempt on its worker, with the number of the
//!   task, its function, its label (the first 116 bytes), the attempt and the rank, and
//!   around what it does in `with_mpi`. Threads that a task starts itself are not in it.
//! - Events of the level `INFO` come a few times a run, where the body runs: its start,
//!   the handshake, closing, reports on what keeps it from ending, stalls and deadlocks,
//!   its end and why.
//! - Events of the level `DEBUG` come for each retry, each step of a collective task,
//!   each refusal, and when a worker is asked for tasks that it has not begun. Workers
//!   say when they start and end.
//!
//! All of these have the target `distwq`. A run that is ended by force says so on
//! standard error alone. Without a subscriber all of this costs a task a few
//! instructions.
//!
//! # Testing
//!
//! [`#[distwq::test]`](macro@test) makes an ordinary test of `cargo test` whose body gets
//! a cluster: on the local backend, and with the feature `mpi` again under `mpirun`, for
//! each number of ranks.
//!
//! ```
//! use distwq::prelude::*;
//!
//! #[remote]
//! fn square(x: i64) -> i64 {
//!     x * x
//! }
//!
//! #[distwq::test(ranks = [2, 4])]
//! fn squares_are_computed(cluster: &Cluster) -> Result<(), TaskError> {
//!     assert_eq!(cluster.submit(square::call(3)).get()?, 9);
//!     Ok(())
//! }
//! ```
//!
//! [`testing`] tells where tests run and how that is narrowed down, and has a
#![doc = "[`Launcher`](testing::Launcher) to test whole programs: their exit codes, what they print, killed ranks."]
//!
//! # Limits of type inference
//!
//! Since an argument can be a value or a handle, the compiler has to see which type it
//! is. Where the type of an expression would come from its context, say it:
//!
//! | instead of | write |
//! |---|---|
//! | `mean::call(values.collect())` | `mean::call(values.collect::<Vec<_>>())` |
//! | `mean::call(vec![])` | `mean::call(Vec::<f64>::new())` |
//! | `greet::call(name.into())` | `greet::call(String::from(name))`, or `greet::call(name)` for a `&str` |
//! | `mean::call(text.parse()?)` | `mean::call(text.parse::<f64>()?)` |
//!
//! Numbers without a suffix take the type of the parameter. `call` is itself a function:
//! `(0..9).map(square::call)`.

pub use distwq_core::codec::{Described, Portable};
pub use distwq_core::{
    Batch, BodyResult, ByWorkerError, Call, CancelState, Cluster, Config, ConfigError, Context, CycleError,
    FinishError, Graph, Group, GroupError, Handle, HandleFuture, InOrder, IntoArg, IsCall, Iter, OrderError, Progress,
    Rank, RankStats, Refusal, RunError, State, StateError, Stats, TaskError, TaskInfo, TaskSite, TaskState,
    UpstreamPath, launch, testing,
};
#[cfg(feature = "mpi")]
pub use distwq_core::{OneThreadAtATime, RawCommunicator, mpi};
pub use distwq_macros::{main, remote, test};

/// What most programs use: `use distwq::prelude::*;`.
pub mod prelude {
    pub use crate::remote;
    pub use crate::{Batch, Call, Cluster, Config, Context, Graph, Group, GroupError, Handle, RunError, TaskError};
}

/// What the code that the macros generate names. Not for use by hand.
#[doc(hidden)]
pub mod __private {
    pub use distwq_core::call::{Call, IntoArg};
    pub use distwq_core::codec::{Portable, Shareable};
    pub use distwq_core::linkme;
    pub use distwq_core::registry::{Body, DISTWQ_REMOTES, Remote};
    pub use distwq_core::remote::{BoxedErrorText, DisplayText, ErrorText, Failure, Invocation, PlainErrorText};
    pub use distwq_core::returned::{IsNoResult, Returned, UntoldText, tellable};
    pub use distwq_core::travels::{Unencodable, UnencodableAsWritten, Written};
}

// The examples of the README are compiled and run like those here.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
