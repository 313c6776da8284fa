//! Raw MPI inside a collective task: the communicator of the group as rsmpi has it, for
//! code that wants MPI itself. Where there is no MPI the group's own operations do the
//! same.
//!
//! Safe code gets that communicator if any thread may call MPI, which the setting in the
//! last lines asks for.

use distwq::prelude::*;

/// The sum of the squares of the members' numbers, counted from 1.
#[remote(collective)]
fn squares(group: &Group) -> Result<u64, GroupError> {
    let own = (group.rank() as u64 + 1).pow(2);
    match sum_by_mpi(group, own) {
        // On the local backend the members are threads of one process.
        Err(GroupError::NotMpi) => group.all_reduce(own, |left, right| left + right),
        sum => sum,
    }
}

#[cfg(feature = "mpi")]
fn sum_by_mpi(group: &Group, own: u64) -> Result<u64, GroupError> {
    // Here and not above: rsmpi has a trait of the name `Group`.
    use distwq::mpi::{collective::SystemOperation, traits::*};

    let member = (group.rank(), group.size());
    group.with_mpi(|raw| {
        let communicator = raw.communicator()?;
        assert_eq!((communicator.rank() as usize, communicator.size() as usize), member);
        let mut sum = 0;
        communicator.all_reduce_into(&own, &mut sum, SystemOperation::sum());
        Ok(sum)
    })?
}

#[cfg(not(feature = "mpi"))]
fn sum_by_mpi(_: &Group, _: u64) -> Result<u64, GroupError> {
    Err(GroupError::NotMpi)
}

#[distwq::main(config = Config::new().mpi_thread_multiple(true))]
fn main(cluster: &Cluster) -> Result<(), TaskError> {
    if cfg!(not(feature = "mpi")) {
        println!("built without the feature `mpi`, so there is no raw communicator");
    }
    for ranks in 1..=cluster.workers() as u64 {
        let sum = cluster.submit(squares::call().ranks(ranks as usize)).get()?;
        assert_eq!(sum, ranks * (ranks + 1) * (2 * ranks + 1) / 6);
        println!("ranks {ranks}: {sum}");
    }
    Ok(())
}
