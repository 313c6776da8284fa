//! The communicator of one collective task: collectives and messages for values of any
//! serialisable type, the same on every backend. They are built on messages between
//! members, polled in turn with the engine, so that a rank that waits here still answers
//! its peers and leaves with an error when a member has failed.

mod error;
mod link;
mod operation;
#[cfg(feature = "mpi")]
mod raw;

pub use error::GroupError;
pub(crate) use link::Link;
pub(crate) use operation::Operation;

use crate::codec::{self, Payload, Portable};
use operation::Running;
use rustc_hash::FxHashMap;
use std::cell::RefCell;
use std::fmt;

/// The ranks that run one collective task together, as one of them sees it. Members are
/// counted from 0; all of them call the same operations in the same order. Every
/// operation gives an error instead of hanging when a member has failed or has returned
/// early: hand it on with `?`.
///
/// On the local backend the members are threads, so collective code can be tested without
/// MPI. Values are encoded on their way, on both backends. A group is only there within
/// its task.
///
/// A group belongs to the thread that runs the task, and is not `Sync`: it is the order
/// of the operations that members agree on, and two threads have none. Threads that a
/// task starts hand what they have to that thread, by a channel for example. So a member
/// that waits is known to do nothing else with the group, and members that all wait for
/// each other are told so ([`GroupError::Deadlock`]) instead of waiting for ever.
///
/// # Examples
/// ```
/// use distwq::prelude::*;
///
/// /// The sum of the squares of the members' numbers.
/// #[remote(collective)]
/// fn squares(group: &Group) -> Result<usize, GroupError> {
///     let own = group.rank() * group.rank();
///     let sum = group.all_reduce(own, |left, right| left + right)?; // the same for every member
///     assert_eq!(group.all_gather(&own)?.iter().sum::<usize>(), sum);
///     Ok(sum) // the value of the task is that of member 0
/// }
///
/// #[distwq::main(config = Config::new().workers(3))]
/// fn main(cluster: &Cluster) -> Result<(), TaskError> {
///     assert_eq!(cluster.submit(squares::call().ranks(3)).get()?, 0 + 1 + 4);
///     Ok(())
/// }
/// ```
pub struct Group {
    link: Box<dyn Link>,
    rank: usize,
    size: usize,
    // In a cell: the thread of the task alone counts.
    counts: RefCell<Counts>,
}

/// Numbers that come next: that of the next operation, and by member that of the next
/// message. Only members with which there was one are there.
#[derive(Default)]
struct Counts {
    operation: u64,
    sent: FxHashMap<usize, u64>,
    received: FxHashMap<usize, u64>,
}

impl Group {
    pub(crate) fn new(link: Box<dyn Link>, rank: usize, size: usize) -> Self {
        Self { link, rank, size, counts: RefCell::default() }
    }

    /// The number of this member, from 0 to `size() - 1`.
    #[must_use]
    pub fn rank(&self) -> usize {
        self.rank
    }

    /// How many members the group has.
    #[must_use]
    pub fn size(&self) -> usize {
        self.size
    }

    fn begin(&self, operation: Operation) -> Running<'_> {
        let sequence = next(&mut self.counts.borrow_mut().operation);
        Running { link: &*self.link, operation, sequence }
    }

    fn member(&self, member: usize) -> Result<usize, GroupError> {
        let size = self.size;
        if member < size { Ok(member) } else { Err(GroupError::NoSuchMember { member, size }) }
    }

    /// Returns when all members have called it.
    ///
    /// # Errors
    /// [`GroupError`] if a member failed or left.
    pub fn barrier(&self) -> Result<(), GroupError> {
        self.meet(Operation::Barrier)
    }

    /// Returns when all members are in this operation.
    fn meet(&self, operation: Operation) -> Result<(), GroupError> {
        // Dissemination (Hensgen, Finkel and Manber 1988): after round k each has heard
        // of 2^(k+1) members.
        let running = self.begin(operation);
        let mut distance = 1;
        let mut round = 0;
        while distance < self.size {
            running.send((self.rank + distance) % self.size, round, Payload::EMPTY)?;
            running.receive((self.rank + self.size - distance) % self.size, round)?;
            distance *= 2;
            round += 1;
        }
        Ok(())
    }

    /// Gives every member the value of `root`, who calls it with `Some`, the others with
    /// `None`.
    ///
    /// # Errors
    /// [`GroupError`] if a member failed or left, or if the value is missing at the root.
    ///
    /// # Examples
    /// ```
    /// # use distwq::prelude::*;
    /// #[remote(collective)]
    /// fn tell(group: &Group) -> Result<(), GroupError> {
    ///     let seed = group.broadcast(0, (group.rank() == 0).then_some(42))?;
    ///     assert_eq!(seed, 42);
    ///     Ok(())
    /// }
    /// # #[distwq::main(config = Config::new().workers(3))]
    /// # fn main(cluster: &Cluster) -> Result<(), TaskError> {
    /// #     cluster.submit(tell::call().ranks(3)).get()
    /// # }
    /// ```
    pub fn broadcast<T: Portable>(&self, root: usize, value: Option<T>) -> Result<T, GroupError> {
        let root = self.member(root)?;
        let running = self.begin(Operation::Broadcast);
        if self.rank == root {
            let value = value.ok_or_else(|| missing("broadcast", root))?;
            if self.size > 1 {
                let bytes = running.encode(&value)?;
                self.hand_down(&running, root, &bytes)?;
            }
            return Ok(value);
        }
        let bytes = self.receive_from_above(&running, root)?;
        self.hand_down(&running, root, &bytes)?;
        running.decode(&bytes)
    }

    /// The binomial tree below `root`: the children of the member at distance d are at
    /// d + 2^k for each 2^k below the lowest set bit of d.
    fn hand_down(&self, running: &Running<'_>, root: usize, bytes: &Payload) -> Result<(), GroupError> {
        let distance = (self.rank + self.size - root) % self.size;
        let reach = if distance == 0 { self.size.next_power_of_two() } else { 1 << distance.trailing_zeros() };
        let mut step = reach / 2;
        while step > 0 {
            if distance + step < self.size {
                running.send((self.rank + step) % self.size, 0, bytes.clone())?;
            }
            step /= 2;
        }
        Ok(())
    }

    fn receive_from_above(&self, running: &Running<'_>, root: usize) -> Result<Payload, GroupError> {
        let distance = (self.rank + self.size - root) % self.size;
        let step = 1 << distance.trailing_zeros();
        running.receive((self.rank + self.size - step) % self.size, 0)
    }

    /// Gives member `i` the value `values[i]` of `root`, who calls it with one value for
    /// each member, the others with `None`.
    ///
    /// # Errors
    /// [`GroupError`] if a member failed or left, or if the values are missing at the
    /// root or not one for each.
    ///
    /// # Examples
    /// ```
    /// # use distwq::prelude::*;
    /// #[remote(collective)]
    /// fn deal(group: &Group) -> Result<(), GroupError> {
    ///     let parts = (group.rank() == 0).then(|| vec!["a".to_owned(), "b".to_owned(), "c".to_owned()]);
    ///     let part = group.scatter(0, parts.as_deref())?;
    ///     assert_eq!(part, ["a", "b", "c"][group.rank()]);
    ///     Ok(())
    /// }
    /// # #[distwq::main(config = Config::new().workers(3))]
    /// # fn main(cluster: &Cluster) -> Result<(), TaskError> {
    /// #     cluster.submit(deal::call().ranks(3)).get()
    /// # }
    /// ```
    pub fn scatter<T: Portable>(&self, root: usize, values: Option<&[T]>) -> Result<T, GroupError> {
        let root = self.member(root)?;
        let running = self.begin(Operation::Scatter);
        if self.rank != root {
            return running.decode(&running.receive(root, 0)?);
        }
        let values = values.ok_or_else(|| missing("scatter", root))?;
        self.one_for_each("scatter", values.len())?;
        for (member, value) in values.iter().enumerate() {
            if member != root {
                running.send(member, 0, running.encode(value)?)?;
            }
        }
        running.decode(&running.encode(&values[root])?)
    }

    /// Gives `root` the values of all members, in their order; the others get `None`.
    ///
    /// # Errors
    /// [`GroupError`] if a member failed or left.
    ///
    /// # Examples
    /// ```
    /// # use distwq::prelude::*;
    /// #[remote(collective)]
    /// fn collect(group: &Group) -> Result<(), GroupError> {
    ///     let ranks = group.gather(0, &group.rank())?;
    ///     assert_eq!(ranks, (group.rank() == 0).then(|| vec![0, 1, 2]));
    ///     Ok(())
    /// }
    /// # #[distwq::main(config = Config::new().workers(3))]
    /// # fn main(cluster: &Cluster) -> Result<(), TaskError> {
    /// #     cluster.submit(collect::call().ranks(3)).get()
    /// # }
    /// ```
    pub fn gather<T: Portable>(&self, root: usize, value: &T) -> Result<Option<Vec<T>>, GroupError> {
        let root = self.member(root)?;
        let running = self.begin(Operation::Gather);
        let own = running.encode(value)?;
        if self.rank != root {
            running.send(root, 0, own)?;
            return Ok(None);
        }
        let mut values = Vec::with_capacity(self.size);
        for member in 0..self.size {
            values.push(if member == root {
                running.decode(&own)?
            } else {
                running.decode(&running.receive(member, 0)?)?
            });
        }
        Ok(Some(values))
    }

    /// Gives every member the values of all, in their order.
    ///
    /// # Errors
    /// [`GroupError`] if a member failed or left.
    ///
    /// # Examples
    /// ```
    /// # use distwq::prelude::*;
    /// #[remote(collective)]
    /// fn hosts(group: &Group) -> Result<(), GroupError> {
    ///     let ranks = group.all_gather(&group.rank())?;
    ///     assert_eq!(ranks, [0, 1, 2]);
    ///     Ok(())
    /// }
    /// # #[distwq::main(config = Config::new().workers(3))]
    /// # fn main(cluster: &Cluster) -> Result<(), TaskError> {
    /// #     cluster.submit(hosts::call().ranks(3)).get()
    /// # }
    /// ```
    pub fn all_gather<T: Portable>(&self, value: &T) -> Result<Vec<T>, GroupError> {
        // Bruck et al. 1997: each round doubles the blocks that a member holds, its own
        // first.
        let running = self.begin(Operation::AllGather);
        let mut blocks = Vec::with_capacity(self.size);
        blocks.push(running.encode(value)?);
        let mut round = 0;
        while blocks.len() < self.size {
            let held = blocks.len();
            let wanted = held.min(self.size - held);
            let below = (self.rank + self.size - held) % self.size;
            let above = (self.rank + held) % self.size;
            // One block travels as it is, several as a sequence of byte strings.
            if wanted == 1 {
                running.send(below, round, blocks[0].clone())?;
                blocks.push(running.receive(above, round)?);
            } else {
                let several = codec::encode_plain(&blocks[..wanted]).map_err(|e| running.codec(e))?;
                running.send(below, round, several)?;
                let received: Vec<Payload> = running.decode(&running.receive(above, round)?)?;
                blocks.extend(received);
            }
            round += 1;
        }
        blocks.rotate_right(self.rank);
        blocks.iter().map(|block| running.decode(block)).collect()
    }

    /// Combines the values of all members, in their order, for `root`; the others get
    /// `None`. The operation has to be associative; it need not be commutative.
    ///
    /// # Errors
    /// [`GroupError`] if a member failed or left.
    ///
    /// # Examples
    /// ```
    /// # use distwq::prelude::*;
    /// #[remote(collective)]
    /// fn spell(group: &Group) -> Result<(), GroupError> {
    ///     let letter = ["a", "b", "c"][group.rank()].to_owned();
    ///     let word = group.reduce(2, letter, |left, right| left + &right)?;
    ///     assert_eq!(word, (group.rank() == 2).then(|| "abc".to_owned()));
    ///     Ok(())
    /// }
    /// # #[distwq::main(config = Config::new().workers(3))]
    /// # fn main(cluster: &Cluster) -> Result<(), TaskError> {
    /// #     cluster.submit(spell::call().ranks(3)).get()
    /// # }
    /// ```
    pub fn reduce<T: Portable>(
        &self,
        root: usize,
        value: T,
        combine: impl FnMut(T, T) -> T,
    ) -> Result<Option<T>, GroupError> {
        let root = self.member(root)?;
        let running = self.begin(Operation::Reduce);
        let total = self.reduce_to_first(&running, value, combine)?;
        if root == 0 {
            return Ok(total);
        }
        // The tree keeps the order of the members only when it ends at the first.
        const LAST: u32 = u32::MAX;
        match total {
            Some(total) => {
                running.send(root, LAST, running.encode(&total)?)?;
                Ok(None)
            }
            None if self.rank == root => Ok(Some(running.decode(&running.receive(0, LAST)?)?)),
            None => Ok(None),
        }
    }

    fn reduce_to_first<T: Portable>(
        &self,
        running: &Running<'_>,
        value: T,
        mut combine: impl FnMut(T, T) -> T,
    ) -> Result<Option<T>, GroupError> {
        let mut total = value;
        let mut step = 1;
        while step < self.size {
            if self.rank & step != 0 {
                running.send(self.rank - step, 0, running.encode(&total)?)?;
                return Ok(None);
            }
            if self.rank + step < self.size {
                let theirs = running.decode(&running.receive(self.rank + step, 0)?)?;
                total = combine(total, theirs);
            }
            step *= 2;
        }
        Ok(Some(total))
    }

    /// Combines the values of all members, in their order, for all of them; each gets the
    /// same bits. The operation has to be associative; it need not be commutative.
    ///
    /// # Errors
    /// [`GroupError`] if a member failed or left.
    ///
    /// # Examples
    /// ```
    /// # use distwq::prelude::*;
    /// #[remote(collective)]
    /// fn largest(group: &Group) -> Result<(), GroupError> {
    ///     let largest = group.all_reduce(group.rank() as f64, f64::max)?;
    ///     assert_eq!(largest, 2.0);
    ///     // Several figures at once: one exchange instead of two.
    ///     let (sum, count) = group.all_reduce((group.rank(), 1), |a, b| (a.0 + b.0, a.1 + b.1))?;
    ///     assert_eq!((sum, count), (3, 3));
    ///     Ok(())
    /// }
    /// # #[distwq::main(config = Config::new().workers(3))]
    /// # fn main(cluster: &Cluster) -> Result<(), TaskError> {
    /// #     cluster.submit(largest::call().ranks(3)).get()
    /// # }
    /// ```
    pub fn all_reduce<T: Portable>(&self, value: T, mut combine: impl FnMut(T, T) -> T) -> Result<T, GroupError> {
        let running = self.begin(Operation::AllReduce);
        if !self.size.is_power_of_two() {
            return self.all_reduce_by_root(&running, value, combine);
        }
        // Recursive doubling: the lower half stands left on both sides, so that both
        // compute the same.
        let mut total = value;
        let mut step = 1;
        let mut round = 0;
        while step < self.size {
            let partner = self.rank ^ step;
            running.send(partner, round, running.encode(&total)?)?;
            let theirs = running.decode(&running.receive(partner, round)?)?;
            total = if self.rank & step == 0 { combine(total, theirs) } else { combine(theirs, total) };
            step *= 2;
            round += 1;
        }
        Ok(total)
    }

    fn all_reduce_by_root<T: Portable>(
        &self,
        running: &Running<'_>,
        value: T,
        combine: impl FnMut(T, T) -> T,
    ) -> Result<T, GroupError> {
        // The way down uses a round of its own in the keys, because two members may meet
        // in both directions.
        const DOWN: u32 = 1;
        let down = |bytes: &Payload| -> Result<(), GroupError> {
            let reach = if self.rank == 0 { self.size.next_power_of_two() } else { 1 << self.rank.trailing_zeros() };
            let mut step = reach / 2;
            while step > 0 {
                if self.rank + step < self.size {
                    running.send(self.rank + step, DOWN, bytes.clone())?;
                }
                step /= 2;
            }
            Ok(())
        };
        match self.reduce_to_first(running, value, combine)? {
            Some(total) => {
                down(&running.encode(&total)?)?;
                Ok(total)
            }
            None => {
                let above = self.rank - (1 << self.rank.trailing_zeros());
                let bytes = running.receive(above, DOWN)?;
                down(&bytes)?;
                running.decode(&bytes)
            }
        }
    }

    /// Gives member `i` the value `values[i]` of each member, in their order.
    ///
    /// # Errors
    /// [`GroupError`] if a member failed or left, or if the values are not one for each
    /// member.
    ///
    /// # Examples
    /// ```
    /// # use distwq::prelude::*;
    /// #[remote(collective)]
    /// fn transpose(group: &Group) -> Result<(), GroupError> {
    ///     let row: Vec<_> = (0..3).map(|column| (group.rank(), column)).collect();
    ///     let column = group.all_to_all(&row)?;
    ///     assert_eq!(column, [(0, group.rank()), (1, group.rank()), (2, group.rank())]);
    ///     Ok(())
    /// }
    /// # #[distwq::main(config = Config::new().workers(3))]
    /// # fn main(cluster: &Cluster) -> Result<(), TaskError> {
    /// #     cluster.submit(transpose::call().ranks(3)).get()
    /// # }
    /// ```
    pub fn all_to_all<T: Portable>(&self, values: &[T]) -> Result<Vec<T>, GroupError> {
        self.one_for_each("all_to_all", values.len())?;
        let running = self.begin(Operation::AllToAll);
        for distance in 1..self.size {
            let to = (self.rank + distance) % self.size;
            running.send(to, 0, running.encode(&values[to])?)?;
        }
        let mut received = Vec::with_capacity(self.size);
        for (from, own) in values.iter().enumerate() {
            let bytes = if from == self.rank { running.encode(own)? } else { running.receive(from, 0)? };
            received.push(running.decode(&bytes)?);
        }
        Ok(received)
    }

    /// Sends a value to one member, who takes it with [`recv`](Self::recv). Does not wait
    /// for it. Messages between two members arrive in order.
    ///
    /// # Errors
    /// [`GroupError`] if a member failed, or if there is no such member.
    ///
    /// # Examples
    /// ```
    /// # use distwq::prelude::*;
    /// #[remote(collective)]
    /// fn around(group: &Group) -> Result<(), GroupError> {
    ///     let (left, right) = ((group.rank() + 2) % 3, (group.rank() + 1) % 3);
    ///     group.send(right, &group.rank())?;
    ///     assert_eq!(group.recv::<usize>(left)?, left);
    ///     Ok(())
    /// }
    /// # #[distwq::main(config = Config::new().workers(3))]
    /// # fn main(cluster: &Cluster) -> Result<(), TaskError> {
    /// #     cluster.submit(around::call().ranks(3)).get()
    /// # }
    /// ```
    pub fn send<T: Portable>(&self, to: usize, value: &T) -> Result<(), GroupError> {
        let to = self.member(to)?;
        let running = self.message(next(self.counts.borrow_mut().sent.entry(to).or_default()));
        running.send(to, 0, running.encode(value)?)
    }

    /// Takes the next value that member `from` has sent to this one, waiting for it. The
    /// type is that of what was sent.
    ///
    /// # Errors
    /// [`GroupError`] if a member failed or left, if there is no such member, or if the
    /// value is not a `T`; [`GroupError::Deadlock`] at once if `from` is this member and
    /// it has sent itself nothing that it has not taken.
    pub fn recv<T: Portable>(&self, from: usize) -> Result<T, GroupError> {
        let from = self.member(from)?;
        let running = self.message(next(self.counts.borrow_mut().received.entry(from).or_default()));
        running.decode(&running.receive(from, 0)?)
    }

    /// The message to or from a member that has this number.
    fn message(&self, sequence: u64) -> Running<'_> {
        Running { link: &*self.link, operation: Operation::Message, sequence }
    }

    fn one_for_each(&self, operation: &str, count: usize) -> Result<(), GroupError> {
        if count == self.size {
            return Ok(());
        }
        Err(GroupError::Argument(format!("{operation} was given {count} values for a group of {}", self.size)))
    }
}

/// The number that comes next, and one more after it.
fn next(number: &mut u64) -> u64 {
    *number += 1;
    *number - 1
}

fn missing(operation: &str, root: usize) -> GroupError {
    GroupError::Argument(format!("{operation} was given no value at its root, member {root}"))
}

impl fmt::Debug for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Group(member {} of {})", self.rank, self.size)
    }
}
