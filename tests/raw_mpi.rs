//! Raw MPI within collective tasks: who gets the communicator, on which thread, and what
//! happens to those who call alone.

#![cfg(feature = "mpi")]
#![allow(unsafe_code, reason = "raw MPI is a C library, and one way to it is unsafe")]

use distwq::mpi::ffi;
use distwq::prelude::*;
use distwq::{OneThreadAtATime, RawCommunicator};
use serde_bytes::ByteBuf;
use std::ffi::c_int;

type Outcome = Result<(), Box<dyn std::error::Error>>;

fn over_mpi() -> bool {
    std::env::var_os("OMPI_COMM_WORLD_SIZE").is_some() || std::env::var_os("PMI_SIZE").is_some()
}

/// The sum over all members, by the handle as a C library would do it.
fn sum_by_handle(raw: &RawCommunicator, own: u64) -> u64 {
    let mut sum = 0_u64;
    // SAFETY: the buffers are a number of this type each, and live until the call has
    // returned.
    unsafe {
        let (from, to) = (&raw const own, &raw mut sum);
        ffi::MPI_Allreduce(from.cast(), to.cast(), 1, ffi::RSMPI_UINT64_T, ffi::RSMPI_SUM, raw.handle());
    }
    sum
}

/// The same by rsmpi.
fn sum_by_rsmpi(communicator: &impl distwq::mpi::traits::Communicator, own: u64) -> u64 {
    use distwq::mpi::{collective::SystemOperation, traits::CommunicatorCollectives};
    let mut sum = 0_u64;
    communicator.all_reduce_into(&own, &mut sum, SystemOperation::sum());
    sum
}

fn is_on_main_thread() -> bool {
    let mut is_main: c_int = 0;
    // SAFETY: MPI runs, and writes one number.
    unsafe { ffi::MPI_Is_thread_main(&raw mut is_main) };
    is_main != 0
}

/// Gives whether safe code has got the communicator.
#[remote(collective)]
fn every_way(group: &Group) -> Result<bool, GroupError> {
    let (own, all) = (group.rank() as u64, (0..group.size() as u64).sum());
    let (sums, given, on_main) = group.with_mpi(|raw| {
        // SAFETY: nothing is made from it, and no thread is started.
        let unchecked = unsafe { raw.communicator_unchecked() };
        let given = raw.communicator().map(|communicator| sum_by_rsmpi(communicator, own));
        ([sum_by_handle(raw, own), sum_by_rsmpi(unchecked, own)], given, is_on_main_thread())
    })?;
    assert_eq!(sums, [all, all]);
    assert!(on_main, "derived datatypes of rsmpi are made on the thread that has initialised MPI only");
    group.barrier()?;
    match given {
        Ok(sum) => assert_eq!(sum, all),
        Err(OneThreadAtATime) => return Ok(false),
    }
    Ok(true)
}

fn on_groups_of_all_sizes(cluster: &Cluster, safe: bool) -> Outcome {
    for size in [1, cluster.workers(), 2, cluster.workers()] {
        let given = cluster.submit(every_way::call().ranks(size)).get();
        if over_mpi() {
            assert_eq!(given?, safe);
        } else {
            let error = given.expect_err("there is no MPI");
            assert!(error.to_string().contains("has no MPI communicator"), "{error}");
        }
    }
    Ok(())
}

#[distwq::test(ranks = [3, 4, 7])]
fn the_communicator_is_not_lent_to_safe_code_if_one_thread_at_a_time_may_call_mpi(cluster: &Cluster) -> Outcome {
    on_groups_of_all_sizes(cluster, false)
}

#[distwq::test(ranks = [3, 4], config = Config::new().mpi_thread_multiple(true))]
fn the_communicator_is_lent_to_safe_code_if_any_thread_may_call_mpi(cluster: &Cluster) -> Outcome {
    on_groups_of_all_sizes(cluster, true)
}

/// Duplicates the communicator and uses the duplicate afterwards, while other threads of
/// this rank drive.
#[remote(collective)]
fn keeps_a_duplicate(group: &Group, rounds: u64) -> Result<u64, GroupError> {
    use distwq::mpi::traits::Communicator;

    // A duplicate need not be `Send`, so it is taken along in its thread, as a safe
    // program might do by accident.
    thread_local! {
        static KEPT: std::cell::RefCell<Option<distwq::mpi::topology::SimpleCommunicator>> =
            const { std::cell::RefCell::new(None) };
    }
    group.with_mpi(|raw| {
        let duplicate = raw.communicator()?.duplicate();
        KEPT.set(Some(duplicate));
        Ok::<_, OneThreadAtATime>(())
    })??;
    let own = group.rank() as u64;
    let sum = group.with_mpi(|_| {
        let kept = KEPT.take().expect("it is the same thread");
        (0..rounds).map(|_| sum_by_rsmpi(&kept, own)).sum()
    })?;
    // The world is in reach of everybody.
    let world = distwq::mpi::topology::SimpleCommunicator::world();
    (0..rounds).for_each(|_| assert!((world.rank() as usize) < world.size() as usize));
    Ok(sum)
}

#[distwq::test(ranks = [3, 4], config = Config::new().mpi_thread_multiple(true).slots(2))]
fn what_is_made_from_the_communicator_may_be_kept_if_any_thread_may_call_mpi(cluster: &Cluster) -> Outcome {
    if over_mpi() {
        let size = cluster.workers() as u64;
        let all: u64 = (0..size).sum();
        assert_eq!(cluster.submit(keeps_a_duplicate::call(100)).get()?, 100 * all);
    }
    Ok(())
}

/// Member 0 alone asks for the raw communicator, while the others are elsewhere.
#[remote(collective)]
fn alone(group: &Group, others: String) -> Result<(), String> {
    let result = match (group.rank(), &*others) {
        (0, _) => group.with_mpi(|_| ()),
        (_, "return") => Ok(()),
        (_, "barrier") => group.barrier(),
        (_, "recv") => group.recv::<()>(0),
        _ => return Err(format!("no {others}")),
    };
    result.map_err(|error| error.to_string())
}

/// All members agree to enter raw MPI, by messages of the group, before anybody does.
#[distwq::test(ranks = [3, 4])]
fn a_member_that_asks_for_raw_mpi_alone_gets_an_error(cluster: &Cluster) -> Outcome {
    for (others, expected) in [
        ("return", "has returned, but this one still waits for it in with_mpi"),
        ("barrier", "all members call the same operations in the same order"),
        ("recv", "member 1 waits for member 0 in recv"),
        ("fail", "no fail"),
    ] {
        let error = cluster.submit(alone::call(others)).get().expect_err("it is alone");
        // Without MPI there are two failures in the last case, and either may be the one
        // that is told.
        let expected = if over_mpi() { [expected; 2] } else { [expected, "has no MPI communicator"] };
        assert!(expected.iter().any(|text| error.to_string().contains(text)), "{others}: {error}");
    }
    if over_mpi() {
        cluster.submit(every_way::call()).get()?;
    }
    Ok(())
}

/// Member 0 sends more than MPI may hold for one rank before raw MPI, and nobody takes it
/// before the end of that.
#[remote(collective)]
fn sends_much_before(group: &Group, messages: u64, bytes: usize) -> Result<u64, GroupError> {
    let own = group.rank() as u64;
    for number in 0..messages {
        for to in (0..group.size()).filter(|to| *to != group.rank()) {
            group.send(to, &(number, ByteBuf::from(vec![7; bytes])))?;
        }
    }
    let sum = group.with_mpi(|raw| sum_by_handle(raw, own))?;
    for number in 0..messages {
        for from in (0..group.size()).filter(|from| *from != group.rank()) {
            let (received, payload) = group.recv::<(u64, ByteBuf)>(from)?;
            assert_eq!((received, payload.len()), (number, bytes));
        }
    }
    Ok(sum)
}

#[distwq::test(ranks = [3, 4])]
fn members_meet_in_raw_mpi_whatever_they_have_sent_before(cluster: &Cluster) -> Outcome {
    if !over_mpi() {
        return Ok(());
    }
    let all: u64 = (0..cluster.workers() as u64).sum();
    for (messages, bytes) in [(1000, 100), (200, 20_000), (40, 1 << 20)] {
        let sum = cluster.submit(sends_much_before::call(messages, bytes)).get()?;
        assert_eq!(sum, all, "{messages} messages of {bytes} bytes");
    }
    Ok(())
}

#[remote(collective)]
fn panics_in_raw_mpi(group: &Group) -> Result<(), GroupError> {
    group.with_mpi(|_| panic!("boom"))
}

/// Nobody waits in raw MPI for those who have panicked, so the run goes on.
#[distwq::test(ranks = [3, 4])]
fn a_panic_in_raw_mpi_fails_the_task_with_its_text_and_location(cluster: &Cluster) -> Outcome {
    let error = cluster.submit(panics_in_raw_mpi::call()).get().expect_err("it panics");
    if over_mpi() {
        let TaskError::Panicked { message, .. } = &error else { panic!("{error}") };
        assert!(message.contains("boom") && message.contains("raw_mpi.rs"), "{message}");
        cluster.submit(every_way::call()).get()?;
    }
    Ok(())
}
