//! The members of a group, and which of them have left it.

use crate::id::Index;

/// A member of a group by its index among them, counted from 0.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct Member(Index);

impl Member {
    /// The one whose output is that of the task.
    pub(super) const FIRST: Self = Self::new(0);

    pub(super) const fn new(index: u32) -> Self {
        Self(Index::new(index))
    }

    /// The index, to look into a table with.
    pub(super) const fn index(self) -> usize {
        self.0.get()
    }

    /// The index, as messages name it.
    pub(super) const fn number(self) -> u32 {
        self.index() as u32
    }
}

/// How far a member is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Standing {
    /// It has not left.
    Inside,
    /// The same, but it has answered that it was told to.
    Heard,
    Left,
}

/// Who has left a group and who has not: known here alone.
#[derive(Debug)]
pub(super) struct Roll {
    standing: Box<[Standing]>,
    /// How many have not left.
    inside: u32,
    /// How many of these have not answered either.
    silent: u32,
}

impl Roll {
    /// All of so many members are inside.
    pub(super) fn new(members: usize) -> Self {
        let count = members as u32;
        Self { standing: vec![Standing::Inside; members].into(), inside: count, silent: count }
    }

    /// How many members the group has.
    pub(super) fn members(&self) -> u32 {
        self.standing.len() as u32
    }

    /// How many have not left.
    pub(super) fn inside(&self) -> u32 {
        self.inside
    }

    /// Those that have not left.
    pub(super) fn iter_inside(&self) -> impl Iterator<Item = Member> + '_ {
        (0..self.members()).map(Member::new).filter(|member| !self.has_left(*member))
    }

    /// The member that a message names; nothing if there is no such member.
    pub(super) fn member(&self, number: u32) -> Option<Member> {
        (number < self.members()).then(|| Member::new(number))
    }

    pub(super) fn has_left(&self, member: Member) -> bool {
        self.standing[member.index()] == Standing::Left
    }

    /// A member leaves. False if it had left before.
    pub(super) fn leaves(&mut self, member: Member) -> bool {
        let before = self.becomes(member, Standing::Left);
        self.inside -= u32::from(before != Standing::Left);
        before != Standing::Left
    }

    /// A member answers that it was told to leave.
    pub(super) fn heard(&mut self, member: Member) {
        if !self.has_left(member) {
            self.becomes(member, Standing::Heard);
        }
    }

    fn becomes(&mut self, member: Member, standing: Standing) -> Standing {
        let before = std::mem::replace(&mut self.standing[member.index()], standing);
        self.silent -= u32::from(before == Standing::Inside);
        before
    }

    /// Whether a member has neither left nor answered.
    pub(super) fn has_silent(&self) -> bool {
        self.silent > 0
    }

    /// The first member that has neither left nor answered.
    pub(super) fn first_silent(&self) -> Option<Member> {
        let index = self.standing.iter().position(|standing| *standing == Standing::Inside)?;
        self.member(index as u32)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_answers_stays_inside_and_who_has_left_or_answered_is_not_silent() {
        let [one, two, three] = [0, 1, 2].map(Member::new);
        let mut roll = Roll::new(3);
        let state = |roll: &Roll| (roll.inside(), roll.has_silent(), roll.first_silent());
        assert_eq!(state(&roll), (3, true, Some(one)));
        assert!(roll.leaves(one));
        assert_eq!(state(&roll), (2, true, Some(two)));
        roll.heard(two);
        roll.heard(two);
        roll.heard(one);
        assert_eq!(state(&roll), (2, true, Some(three)));
        assert!(roll.leaves(three));
        assert_eq!(state(&roll), (1, false, None));
        assert_eq!(roll.iter_inside().collect::<Vec<_>>(), [two]);
        assert!(roll.leaves(two) && !roll.leaves(one) && !roll.leaves(two));
        assert_eq!((state(&roll), roll.iter_inside().count()), ((0, false, None), 0));
    }

    #[test]
    fn a_message_may_name_a_member_that_there_is_not() {
        let roll = Roll::new(2);
        let named = [0, 1, 2, u32::MAX].map(|number| roll.member(number).map(Member::number));
        assert_eq!(named, [Some(0), Some(1), None, None]);
    }
}
