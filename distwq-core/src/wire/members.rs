//! The ranks of the members of a group, as runs of consecutive ranks: few bytes for each
//! member to be told, however many members there are; and a bit for each rank in between
//! where they are scattered.

use crate::codec::CodecError;
use crate::id::Rank;

/// The ranks of the members, in their order. From the second on they ascend; the first
/// may be any.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Members {
    runs: Box<[Run]>,
    count: u32,
}

/// Members of consecutive ranks, up to where the next run begins.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Run {
    /// The first of these members, and its rank.
    member: u32,
    rank: u32,
}

impl Members {
    /// Those with these ranks.
    ///
    /// # Panics
    /// If they do not ascend from the second on.
    pub(crate) fn of(ranks: impl IntoIterator<Item = Rank>) -> Self {
        let members = Self::gather(ranks);
        assert!(members.ascend(), "the members of a group are in the order of their ranks but for the first");
        members
    }

    fn gather(ranks: impl IntoIterator<Item = Rank>) -> Self {
        let mut runs: Vec<Run> = Vec::new();
        let mut count = 0;
        for Rank(rank) in ranks {
            // The first member is a run of its own unless the others follow it.
            let goes_on = runs.last().is_some_and(|run| run.rank + (count - run.member) == rank);
            if !goes_on {
                runs.push(Run { member: count, rank });
            }
            count += 1;
        }
        Self { runs: runs.into(), count }
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.count as usize
    }

    /// The rank of a member.
    pub(crate) fn rank(&self, member: usize) -> Rank {
        let after = self.runs.partition_point(|run| run.member as usize <= member);
        let run = self.runs[after - 1];
        Rank(run.rank + (member as u32 - run.member))
    }

    /// The member of this rank, if it is one.
    pub(crate) fn index_of(&self, rank: Rank) -> Option<usize> {
        let Rank(rank) = rank;
        let within = |index: usize| {
            let run = self.runs.get(index)?;
            let offset = rank.checked_sub(run.rank)?;
            (offset < self.run_len(index)).then_some((run.member + offset) as usize)
        };
        within(0).or_else(|| {
            let after = self.runs.get(1..)?.partition_point(|run| run.rank <= rank);
            within(after).filter(|_| after > 0)
        })
    }

    /// The ranks of all members, in their order.
    pub(crate) fn ranks(&self) -> impl Iterator<Item = Rank> + '_ {
        let run = |(index, run): (usize, &Run)| run.rank..run.rank + self.run_len(index);
        self.runs.iter().enumerate().flat_map(run).map(Rank)
    }

    fn run_len(&self, index: usize) -> u32 {
        self.runs.get(index + 1).map_or(self.count, |next| next.member) - self.runs[index].member
    }

    /// Whether each run but the first begins behind the one before it.
    fn ascend(&self) -> bool {
        (2..self.runs.len()).all(|index| self.runs[index].rank > self.runs[index - 1].rank + self.run_len(index - 1))
    }

    /// As it travels, in the shorter of two ways.
    pub(crate) fn encoded(&self) -> Vec<u8> {
        let runs = self.encoded_runs();
        match self.bitmap_bounds() {
            Some((base, bytes)) if bytes + BITMAP_HEAD_BYTES < runs.len() => self.encoded_bitmap(base, bytes),
            _ => runs,
        }
    }

    /// For each run the ranks that are left out before it, and how many it has. The first
    /// two are counted from rank 0.
    fn encoded_runs(&self) -> Vec<u8> {
        let mut bytes = vec![RUNS];
        let mut from = 0;
        for (index, run) in self.runs.iter().enumerate() {
            if index < 2 {
                from = 0;
            }
            push_number(&mut bytes, run.rank - from);
            push_number(&mut bytes, self.run_len(index));
            from = run.rank + self.run_len(index);
        }
        bytes
    }

    /// The lowest rank of all members but the first, and the bytes of a bitmap of these.
    fn bitmap_bounds(&self) -> Option<(u32, usize)> {
        let Rank(lowest) = (self.len() > 1).then(|| self.rank(1))?;
        let Rank(highest) = self.rank(self.len() - 1);
        // The second run may lie below what the first has more than one of.
        (highest >= lowest && self.is_sorted_from_second()).then(|| (lowest, (highest - lowest) as usize / 8 + 1))
    }

    /// Whether all ranks from the second member on ascend, also where the first run goes
    /// on.
    fn is_sorted_from_second(&self) -> bool {
        self.runs.len() < 2 || self.run_len(0) == 1 || self.runs[1].rank > self.runs[0].rank
    }

    /// The first rank, the lowest of the others, and a bit for each rank from there on:
    /// that of a member is set.
    fn encoded_bitmap(&self, base: u32, bitmap_bytes: usize) -> Vec<u8> {
        let mut bytes = vec![BITMAP];
        let Rank(first) = self.rank(0);
        push_number(&mut bytes, first);
        push_number(&mut bytes, base);
        let begin = bytes.len();
        bytes.resize(begin + bitmap_bytes, 0);
        for Rank(rank) in self.ranks().skip(1) {
            let bit = (rank - base) as usize;
            bytes[begin + bit / 8] |= 1 << (bit % 8);
        }
        bytes
    }

    /// What [`encoded`](Self::encoded) gave.
    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, CodecError> {
        let members = match bytes.split_first() {
            Some((&RUNS, runs)) => Self::decode_runs(runs),
            Some((&BITMAP, bitmap)) => Self::decode_bitmap(bitmap),
            _ => None,
        };
        members
            .filter(|members| members.count > 0 && members.ascend())
            .ok_or_else(|| CodecError("the members of a group are torn".to_owned()))
    }

    fn decode_runs(mut bytes: &[u8]) -> Option<Self> {
        let bytes = &mut bytes;
        let mut runs: Vec<Run> = Vec::new();
        let (mut count, mut from) = (0_u32, 0_u32);
        while !bytes.is_empty() {
            if runs.len() < 2 {
                from = 0;
            }
            let gap = take_number(bytes)?;
            let len = take_number(bytes).filter(|len| *len > 0)?;
            let rank = from.checked_add(gap)?;
            runs.push(Run { member: count, rank });
            from = rank.checked_add(len)?;
            count = count.checked_add(len)?;
        }
        Some(Self { runs: runs.into(), count })
    }

    fn decode_bitmap(mut bytes: &[u8]) -> Option<Self> {
        let (first, base) = (take_number(&mut bytes)?, take_number(&mut bytes)?);
        first.checked_add(1)?;
        base.checked_add(u32::try_from(bytes.len()).ok()?.checked_mul(8)?)?;
        let byte_ranks = |(index, byte): (usize, &u8)| {
            let (first, byte) = (base + 8 * index as u32, *byte);
            (0..8).filter(move |bit| byte >> bit & 1 == 1).map(move |bit| Rank(first + bit))
        };
        let others = bytes.iter().enumerate().flat_map(byte_ranks);
        Some(Self::gather([Rank(first)].into_iter().chain(others)))
    }
}

/// The first byte of what travels.
const RUNS: u8 = 0;
const BITMAP: u8 = 1;

/// Bytes of a bitmap before the bits, at most.
const BITMAP_HEAD_BYTES: usize = 1 + 5 + 5;

/// Appends a number, seven bits a byte, the lowest first (LEB128).
fn push_number(bytes: &mut Vec<u8>, mut number: u32) {
    while number >= 0x80 {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
}

fn take_number(bytes: &mut &[u8]) -> Option<u32> {
    let mut number = 0_u32;
    for shift in (0..u32::BITS).step_by(7) {
        let (&byte, rest) = bytes.split_first()?;
        *bytes = rest;
        let bits = u32::from(byte & 0x7f);
        number |= bits << shift;
        if byte & 0x80 == 0 {
            return (bits << shift >> shift == bits).then_some(number);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(ranks: &[u32]) -> Members {
        let members = Members::of(ranks.iter().copied().map(Rank));
        assert_eq!(Members::decode(&members.encoded()).as_ref(), Ok(&members), "{ranks:?}");
        assert!(members.ranks().eq(ranks.iter().copied().map(Rank)), "{ranks:?}");
        assert_eq!(members.len(), ranks.len());
        for (index, rank) in ranks.iter().enumerate() {
            assert_eq!(members.rank(index), Rank(*rank), "{ranks:?}");
        }
        for rank in (0..40_000).step_by(if ranks.len() > 100 { 97 } else { 1 }) {
            let index = ranks.iter().position(|other| *other == rank);
            assert_eq!(members.index_of(Rank(rank)), index, "rank {rank} of {ranks:?}");
        }
        members
    }

    #[test]
    fn members_are_found_by_their_ranks_and_ranks_by_their_members() {
        check(&[7]);
        check(&[1, 2, 3, 4]);
        check(&[3, 1, 2, 4]);
        check(&[3, 4, 5, 1, 2, 6, 7]);
        check(&[30_000, 1, 3, 5, 6, 7, 200, 201, 20_000]);
        check(&[0, 1, 2, 9, 10]);
    }

    #[test]
    fn ten_thousand_neighbours_are_a_few_bytes_and_every_second_one_two_bits_each() {
        let all = Members::of((1..=10_000).map(Rank));
        assert!(all.encoded().len() <= 5);
        let every_second = Members::of((0..5_000).map(|member| Rank(1 + 2 * member)));
        assert!(every_second.encoded().len() <= 1_260);
        check(&[5_001].into_iter().chain((0..5_000).filter(|rank| rank % 3 > 0)).collect::<Vec<_>>());
        check(&(0..5_000).map(|member| 2 * member).collect::<Vec<_>>());
        assert_eq!(every_second.index_of(Rank(9_999)), Some(4_999));
        assert_eq!(every_second.index_of(Rank(9_998)), None);
    }

    #[test]
    fn what_is_torn_or_out_of_order_is_an_error() {
        let bytes = Members::of([5, 300, 301, 400_000].map(Rank)).encoded();
        assert!(Members::decode(&bytes[..bytes.len() - 1]).is_err());
        assert!(Members::decode(&[RUNS, 1, 0]).is_err(), "a run has a member");
        assert!(Members::decode(&[RUNS, 1, 1, 9, 1, 0, 1]).is_err(), "a run that goes on is one run");
        assert!(Members::decode(&[RUNS]).is_err(), "a group has a member");
        assert!(
            Members::decode(&[BITMAP, 0xff, 0xff, 0xff, 0xff, 0xf, 0, 1]).is_err(),
            "there is no rank behind the last"
        );
        assert!(Members::decode(&[]).is_err() && Members::decode(&[2, 1, 1]).is_err(), "there are two ways");
        assert!(Members::decode(&[BITMAP, 1]).is_err());
        assert!(Members::decode(&[RUNS, 0xff, 0xff, 0xff, 0xff, 0x7f, 1]).is_err(), "no rank is so high");
    }
}
