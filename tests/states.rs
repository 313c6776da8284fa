//! The states of slots: made once, lent to tasks, ended on their threads, and what they
//! are made to in the end.

use distwq::prelude::*;
use distwq::{FinishError, StateError, TaskState};
use std::cell::Cell;
use std::rc::Rc;
use std::thread::{self, ThreadId};
use std::time::Duration;

type Outcome = Result<(), Box<dyn std::error::Error>>;

#[remote]
fn plus_state(ctx: &Context, x: i64) -> i64 {
    *ctx.state::<i64>() + x
}

#[remote]
fn count_even(ctx: &Context, x: u64) {
    *ctx.state::<u64>() += u64::from(x.is_multiple_of(2));
}

#[distwq::test(ranks = [2, 4], config = Config::new().init(|_| 42_i64).finish(|state| state))]
fn init_runs_once_for_each_worker_and_tasks_borrow_what_it_made(cluster: &Cluster) -> Outcome {
    let handles: Vec<_> = (0..10).map(|x| cluster.submit(plus_state::call(x))).collect();
    let values = handles.iter().map(Handle::get).collect::<Result<Vec<_>, _>>()?;
    assert_eq!(values, (42..52).collect::<Vec<i64>>());
    assert_eq!(cluster.finish::<i64>()?, vec![42; cluster.workers()]);
    assert_eq!(cluster.finish::<i64>()?.len(), cluster.workers(), "it can be asked again");
    // Values stay readable.
    assert_eq!(handles[3].get()?, 45);
    Ok(())
}

#[distwq::test(ranks = [2, 4])]
fn without_init_a_task_reports_that_there_is_no_state(cluster: &Cluster) -> Outcome {
    #[remote]
    fn tries(ctx: &Context) -> bool {
        matches!(ctx.try_state::<i64>().err(), Some(StateError::Missing { wanted: "i64" }))
    }
    let error = cluster.submit(plus_state::call(1)).get().expect_err("there is no state");
    assert!(matches!(error, TaskError::Panicked { .. }), "{error}");
    let message = error.message().expect("it says why");
    assert!(message.starts_with("this slot has no state, and one of type `i64` is asked for: make it by"), "{message}");
    assert!(message.contains("tests/states.rs:"), "{message}");
    assert!(cluster.submit(tries::call()).get()?);
    assert_eq!(cluster.finish::<i64>(), Err(FinishError::NoFinish));
    Ok(())
}

#[distwq::test(ranks = [2, 4], config = Config::new().init(|_| 0_u64).finish(|count| count))]
fn what_the_states_are_made_to_comes_in_the_order_of_the_workers(cluster: &Cluster) -> Outcome {
    let handles: Vec<_> = (0..99).map(|x| cluster.submit(count_even::call(x))).collect();
    drop(handles);
    assert_eq!(cluster.finish::<u8>(), Err(FinishError::OtherType { wanted: "u8", made: "u64" }));
    let counts: Vec<u64> = cluster.finish()?;
    assert_eq!((counts.len(), counts.iter().sum::<u64>()), (cluster.workers(), 50));
    Ok(())
}

#[distwq::test(ranks = [4], config = Config::new().init(Context::worker).finish(|worker| (worker, "x".repeat(9_000))))]
fn large_and_small_values_of_states_come_in_order(cluster: &Cluster) -> Outcome {
    let all: Vec<(usize, String)> = cluster.finish()?;
    assert_eq!(all.iter().map(|(worker, _)| *worker).collect::<Vec<_>>(), (0..cluster.workers()).collect::<Vec<_>>());
    assert!(all.iter().all(|(_, text)| text.len() == 9_000));
    Ok(())
}

#[distwq::test(ranks = [2, 4], config = Config::new().init(|_| 0_u64).finish(|count| count).state_lifespan(1))]
fn a_state_is_made_anew_after_its_lifespan(cluster: &Cluster) -> Outcome {
    let handles: Vec<_> = (0..10).map(|_| cluster.submit(count_even::call(0))).collect();
    handles.iter().try_for_each(Handle::get)?;
    // Each state that a task has used has counted one; workers without a task have a
    // state that nobody has used.
    let counts: Vec<u64> = cluster.finish()?;
    assert!((10..=10 + cluster.workers()).contains(&counts.len()), "{counts:?}");
    assert_eq!(counts.iter().sum::<u64>(), 10);
    assert!(counts.iter().all(|count| *count <= 1), "{counts:?}");
    Ok(())
}

const MANY: usize = 10 << 20;

#[distwq::test(ranks = [2, 3], config = Config::new().init(|_| "x".repeat(MANY)).finish(|state| state).state_lifespan(2))]
fn large_states_and_large_results_with_a_short_lifespan_end(cluster: &Cluster) -> Outcome {
    #[remote]
    fn copy(ctx: &Context) -> String {
        ctx.state::<String>().clone()
    }
    let handles: Vec<_> = (0..5).map(|_| cluster.submit(copy::call())).collect();
    for handle in handles {
        assert_eq!(handle.get()?.len(), MANY);
    }
    let all: Vec<String> = cluster.finish()?;
    assert!((3..=3 + cluster.workers()).contains(&all.len()), "{}", all.len());
    assert!(all.iter().all(|state| state.len() == MANY));
    Ok(())
}

/// Neither `Send` nor portable, and only to be used where it was made.
struct Local {
    made_on: ThreadId,
    uses: Rc<Cell<u32>>,
}

impl Drop for Local {
    fn drop(&mut self) {
        assert_eq!(self.made_on, thread::current().id(), "it is dropped elsewhere");
    }
}

fn local(_: &Context) -> Local {
    Local { made_on: thread::current().id(), uses: Rc::default() }
}

fn uses(state: Local) -> (bool, u32) {
    (state.made_on == thread::current().id(), state.uses.get())
}

#[distwq::test(ranks = [2, 3], config = Config::new().slots(2).init(local).finish(uses))]
fn a_state_is_made_and_used_and_ended_on_the_thread_of_its_slot(cluster: &Cluster) -> Outcome {
    #[remote]
    fn uses_it(ctx: &Context) -> bool {
        let state = ctx.state::<Local>();
        state.uses.set(state.uses.get() + 1);
        thread::sleep(Duration::from_millis(1));
        state.made_on == thread::current().id()
    }
    let handles: Vec<_> = (0..20).map(|_| cluster.submit(uses_it::call())).collect();
    for handle in handles {
        assert!(handle.get()?);
    }
    let all: Vec<(bool, u32)> = cluster.finish()?;
    assert!(all.iter().all(|(is_there, _)| *is_there), "{all:?}");
    assert_eq!(all.iter().map(|(_, uses)| uses).sum::<u32>(), 20);
    Ok(())
}

/// A worker of the local backend has one slot always.
#[distwq::test(ranks = [2, 4], config = Config::new().slots(3).init(Context::slot))]
fn members_of_a_collective_task_use_the_state_of_slot_0(cluster: &Cluster) -> Outcome {
    #[remote(collective)]
    fn slots(ctx: &Context, group: &Group) -> Result<Vec<(usize, usize)>, GroupError> {
        group.all_gather(&(ctx.slot(), *ctx.state::<usize>()))
    }
    #[remote]
    fn slot(ctx: &Context) -> bool {
        thread::sleep(Duration::from_millis(1));
        ctx.slot() == *ctx.state::<usize>()
    }
    for _ in 0..10 {
        let single: Vec<_> = (0..9).map(|_| cluster.submit(slot::call())).collect();
        let wide = cluster.submit(slots::call());
        assert_eq!(wide.get()?, vec![(0, 0); cluster.workers()]);
        for handle in single {
            assert!(handle.get()?);
        }
        thread::sleep(Duration::from_millis(3));
        assert_eq!(cluster.submit(slots::call()).get()?, vec![(0, 0); cluster.workers()]);
    }
    Ok(())
}

#[distwq::test(ranks = [2], config = Config::new().init(|_| 1_u64).finish(|state| state))]
fn a_state_is_lent_once_at_a_time_and_a_panic_gives_it_back(cluster: &Cluster) -> Outcome {
    #[remote]
    fn asks_twice(ctx: &Context) {
        let first = ctx.state::<u64>();
        let second = ctx.state::<u64>();
        drop((first, second));
    }
    #[remote]
    fn asks_for_another_type(ctx: &Context) -> Result<(), StateError> {
        ctx.try_state::<String>().map(drop)
    }
    #[remote]
    fn doubles(ctx: &Context) -> u64 {
        let mut state = ctx.state::<u64>();
        *state *= 2;
        *state
    }
    let error = cluster.submit(asks_twice::call()).get().expect_err("it is borrowed already");
    assert!(error.message().is_some_and(|text| text.contains("is borrowed already")), "{error}");
    let error = cluster.submit(asks_for_another_type::call()).get().expect_err("it is a number");
    let message = "the state of this slot is of type `u64`, and one of type `alloc::string::String` is asked for";
    assert_eq!(error.message(), Some(message));
    assert_eq!(cluster.submit(doubles::call()).get()?, 2);
    assert_eq!(cluster.finish::<u64>()?, [2]);
    Ok(())
}

#[distwq::test(ranks = [2], config = Config::new().init(|_| 0_u64).finish(|state| state))]
fn a_state_that_a_task_resets_is_made_anew_for_the_next_one(cluster: &Cluster) -> Outcome {
    #[remote]
    fn counts(ctx: &Context, resets: bool) -> u64 {
        let mut state = ctx.state::<u64>();
        *state += 1;
        if resets {
            ctx.reset_state();
        }
        *state
    }
    let mut values = Vec::new();
    for resets in [false, true, false, false] {
        values.push(cluster.submit(counts::call(resets)).get()?);
    }
    assert_eq!(values, [1, 2, 1, 2]);
    assert_eq!(cluster.finish::<u64>()?, [2, 2]);
    Ok(())
}

#[distwq::test(ranks = [3], config = Config::new().init(Context::worker).finish(|worker| assert_eq!(worker, 0, "the second")))]
fn a_finish_that_panics_is_told_with_its_rank(cluster: &Cluster) -> Outcome {
    let error = cluster.finish::<()>().expect_err("one panics");
    let FinishError::Failed { site, message } = error else { panic!("{error}") };
    assert!(site.starts_with("rank 2 (host "), "{site}");
    assert!(message.starts_with("finish panicked:") && message.contains("the second"), "{message}");
    Ok(())
}

#[distwq::test(ranks = [3], config = Config::new().init(|_| ()).finish(slow).finish_limit(Duration::from_millis(200)))]
fn a_finish_that_takes_too_long_is_told_with_its_ranks(cluster: &Cluster) -> Outcome {
    let handle = cluster.submit(plus_one::call(1));
    let error = cluster.finish::<()>().expect_err("it takes too long");
    assert!(matches!(&error, FinishError::Limit { sites, limit_ms: 200 } if sites.contains("rank 2")), "{error}");
    assert_eq!((handle.get()?, handle.info().state), (2, TaskState::Done));
    Ok(())
}

fn slow((): ()) {
    thread::sleep(Duration::from_secs(1));
}

#[remote]
fn plus_one(x: i64) -> i64 {
    x + 1
}
