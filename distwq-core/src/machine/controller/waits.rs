//! Members of a group that all wait for each other: found by what each says it waits for
//! and has exchanged in all.
//!
//! A member that waits for long says for whom, how many messages it has sent in the
//! group, and how many have come to it. When all who are inside wait for others who are,
//! and as many messages have come as were sent, all members are asked, also those who
//! have left: what is sent to them is late, but it is on its way too. If no answer
//! differs from what was known before, then at the moment at which they were asked all
//! waited and nothing was on its way: none can ever go on. One round would not be enough:
//! counts of different moments may match by chance (Mattern 1987, "Algorithms for
//! distributed termination detection", the four counters). Sums are enough because counts
//! only grow: those that did not change between two reports were the same at every moment
//! in between.
//!
//! A report costs O(1), however many members there are; a round costs a message to each
//! member and one back.

use super::roll::{Member, Roll};
use crate::id::GroupKey;
use crate::task::group::Operation;
use crate::wire::message::WaitReport;

/// So many members are named in the text of a deadlock.
const NAMED_MAX: usize = 8;

/// What the members of one group have said of their waits. Who has left is known by the
/// [`Roll`] of the group, which each call is given.
#[derive(Default, Debug)]
pub(super) struct Waits {
    members: Box<[Said]>,
    /// How many of those inside wait for one that is inside too.
    waiting: u32,
    /// How many have left and have not said since how much they have exchanged.
    unknown: u32,
    /// What all have said that they have sent and received.
    sent: u64,
    received: u64,
    /// The last round in which all were asked.
    round: u32,
    /// While not all have answered: who is missing, and whether anything has changed
    /// since they were asked.
    asking: Option<Asking>,
    /// They have been told that they wait for each other.
    is_over: bool,
}

#[derive(Debug)]
struct Asking {
    missing: u32,
    changed: bool,
}

/// What one member has said, and who waits for it: a list that leads through those who
/// do.
#[derive(Clone, Default, Debug)]
struct Said {
    /// Whether it has said anything; of one that has left: since then.
    is_known: bool,
    on: Option<(Member, GroupKey)>,
    sent: u64,
    received: u64,
    /// The last round in which it has answered.
    answered: u32,
    /// The first of the members that wait for it.
    awaited_by: Option<Member>,
    /// While it is inside and waits for a member that is inside too.
    links: Option<Links>,
}

/// The neighbours of a member in the list of those that wait for the same one.
#[derive(Clone, Debug)]
struct Links {
    prev: Option<Member>,
    next: Option<Member>,
}

/// What follows from a report.
#[derive(PartialEq, Eq, Debug)]
pub(super) enum Verdict {
    /// Nothing yet.
    Wait,
    /// All members have to be asked, also those that have left.
    Ask { round: u32 },
    /// They wait for each other, as the text says.
    Deadlock(String),
}

impl Waits {
    /// The waits of a group, none of whose members has said anything yet.
    pub(super) fn new(roll: &Roll) -> Self {
        let members = vec![Said::default(); roll.members() as usize].into();
        Self { members, unknown: roll.members() - roll.inside(), ..Self::default() }
    }

    /// Takes the report of a member. Gives the one that it waits for if that has left and
    /// this is news, and what follows.
    pub(super) fn report(&mut self, roll: &Roll, member: Member, report: &WaitReport) -> (Option<Member>, Verdict) {
        let has_left = roll.has_left(member);
        let on = report.on.filter(|_| !has_left);
        // Who waits for somebody who is not there goes on as little as it is waited for.
        let on = on.and_then(|(number, key)| Some((roll.member(number)?, key)));
        let state = &mut self.members[member.index()];
        let same_wait = state.on == on;
        let said = (report.sent, report.received);
        if !state.is_known || !same_wait || (state.sent, state.received) != said {
            self.unknown -= u32::from(has_left && !state.is_known);
            self.sent = self.sent - state.sent + report.sent;
            self.received = self.received - state.received + report.received;
            (state.is_known, state.sent, state.received) = (true, report.sent, report.received);
            if !same_wait {
                self.waits_for(roll, member, on);
            }
            if let Some(asking) = &mut self.asking {
                asking.changed = true;
            }
        }
        let state = &mut self.members[member.index()];
        if let Some(asking) = &mut self.asking
            && report.answers == Some(self.round)
            && state.answered != self.round
        {
            state.answered = self.round;
            asking.missing -= 1;
        }
        let other = on.map(|(other, _)| other).filter(|other| !same_wait && roll.has_left(*other));
        (other, self.next_step(roll))
    }

    /// A member has just left. Gives those that wait for it, and what follows.
    pub(super) fn leaves(&mut self, roll: &Roll, member: Member) -> (Vec<Member>, Verdict) {
        self.waits_for(roll, member, None);
        let state = &mut self.members[member.index()];
        state.is_known = false;
        self.sent -= std::mem::take(&mut state.sent);
        self.received -= std::mem::take(&mut state.received);
        self.unknown += 1;
        if let Some(asking) = &mut self.asking {
            asking.changed = true;
        }
        let mut waiting = Vec::new();
        while let Some(first) = self.members[member.index()].awaited_by {
            self.unlink(first);
            waiting.push(first);
        }
        (waiting, self.next_step(roll))
    }

    /// Notes what a member waits for.
    fn waits_for(&mut self, roll: &Roll, member: Member, on: Option<(Member, GroupKey)>) {
        self.unlink(member);
        self.members[member.index()].on = on;
        if let Some((other, _)) = on
            && !roll.has_left(other)
        {
            self.link(member, other);
        }
    }

    /// Puts a member in front of those that wait for another one.
    fn link(&mut self, member: Member, on: Member) {
        let next = self.members[on.index()].awaited_by.replace(member);
        if let Some(next) = next {
            self.links(next).prev = Some(member);
        }
        self.members[member.index()].links = Some(Links { prev: None, next });
        self.waiting += 1;
    }

    /// Takes a member out of the list that it is in, if it is in one.
    fn unlink(&mut self, member: Member) {
        let state = &mut self.members[member.index()];
        let (Some((on, _)), Some(Links { prev, next })) = (state.on, state.links.take()) else { return };
        match prev {
            Some(prev) => self.links(prev).next = next,
            None => self.members[on.index()].awaited_by = next,
        }
        if let Some(next) = next {
            self.links(next).prev = prev;
        }
        self.waiting -= 1;
    }

    /// The neighbours of a member that a list leads to.
    fn links(&mut self, member: Member) -> &mut Links {
        self.members[member.index()].links.as_mut().expect("a list leads to members that are in it")
    }

    /// What follows from what is known now.
    fn next_step(&mut self, roll: &Roll) -> Verdict {
        let mut unchanged = false;
        if let Some(asking) = &self.asking {
            if asking.missing > 0 {
                return Verdict::Wait;
            }
            unchanged = !asking.changed;
            self.asking = None;
        }
        // Who has left may have sent more than it has said, and what is on its way to it
        // counts as well.
        let is_quiet = self.unknown > 0 || self.sent == self.received;
        if self.is_over || roll.inside() == 0 || self.waiting < roll.inside() || !is_quiet {
            return Verdict::Wait;
        }
        if unchanged {
            self.is_over = true;
            return Verdict::Deadlock(self.describe(roll));
        }
        self.round += 1;
        self.asking = Some(Asking { missing: self.members.len() as u32, changed: false });
        Verdict::Ask { round: self.round }
    }

    fn describe(&self, roll: &Roll) -> String {
        let told = roll.iter_inside().filter_map(|member| {
            let (from, key) = self.members[member.index()].on?;
            let operation = Operation::name_of(key.operation);
            Some(format!("member {} waits for member {} in {operation}", member.index(), from.index()))
        });
        let text = told.take(NAMED_MAX).collect::<Vec<_>>().join(", ");
        match (roll.inside() as usize).saturating_sub(NAMED_MAX) {
            0 => text,
            more => format!("{text}, and {more} more"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a member says that waits for this one.
    fn waits(from: u32, sent: u64, received: u64, answers: Option<u32>) -> WaitReport {
        let on = Some((from, GroupKey { operation: Operation::Message as u8, sequence: 0, round: 0 }));
        WaitReport { epoch: 1, on, sent, received, answers }
    }

    fn has_left(sent: u64, received: u64, answers: Option<u32>) -> WaitReport {
        WaitReport { epoch: 1, on: None, sent, received, answers }
    }

    /// A group whose members are played.
    struct Group {
        roll: Roll,
        waits: Waits,
    }

    impl Group {
        /// One of which these members had left before anybody said anything.
        fn of(left: &[bool]) -> Self {
            let mut roll = Roll::new(left.len());
            for (member, _) in (0..).map(Member::new).zip(left).filter(|(_, left)| **left) {
                assert!(roll.leaves(member));
            }
            let waits = Waits::new(&roll);
            Self { roll, waits }
        }

        fn inside(members: usize) -> Self {
            Self::of(&vec![false; members])
        }

        /// What follows from a report, where the one that the member waits for is inside.
        fn report(&mut self, member: u32, report: &WaitReport) -> Verdict {
            let (has_left, verdict) = self.say(member, report);
            assert_eq!(has_left, None);
            verdict
        }

        fn say(&mut self, member: u32, report: &WaitReport) -> (Option<u32>, Verdict) {
            let (has_left, verdict) = self.waits.report(&self.roll, Member::new(member), report);
            (has_left.map(Member::number), verdict)
        }

        fn leaves(&mut self, member: u32) -> (Vec<u32>, Verdict) {
            let member = Member::new(member);
            assert!(self.roll.leaves(member));
            let (waiting, verdict) = self.waits.leaves(&self.roll, member);
            let mut waiting: Vec<u32> = waiting.into_iter().map(Member::number).collect();
            waiting.sort_unstable();
            (waiting, verdict)
        }
    }

    #[test]
    fn two_who_wait_for_each_other_are_found_after_a_second_round() {
        let mut group = Group::inside(2);
        assert_eq!(group.report(0, &waits(1, 0, 0, None)), Verdict::Wait);
        assert_eq!(group.report(1, &waits(0, 0, 0, None)), Verdict::Ask { round: 1 });
        assert_eq!(group.report(1, &waits(0, 0, 0, Some(1))), Verdict::Wait);
        let Verdict::Deadlock(text) = group.report(0, &waits(1, 0, 0, Some(1))) else {
            panic!("both have confirmed");
        };
        assert_eq!(text, "member 0 waits for member 1 in recv, member 1 waits for member 0 in recv");
        assert_eq!(group.report(0, &waits(1, 0, 0, Some(1))), Verdict::Wait, "they are told once");
    }

    #[test]
    fn a_message_on_its_way_or_one_that_came_meanwhile_is_no_deadlock() {
        let mut group = Group::inside(2);
        group.report(0, &waits(1, 1, 0, None));
        assert_eq!(group.report(1, &waits(0, 0, 0, None)), Verdict::Wait);
        assert_eq!(group.report(1, &waits(0, 0, 1, None)), Verdict::Ask { round: 1 });
        assert_eq!(group.report(0, &waits(1, 1, 1, Some(1))), Verdict::Wait);
        assert_eq!(group.report(1, &waits(0, 0, 1, Some(1))), Verdict::Wait);
    }

    #[test]
    fn an_answer_to_an_earlier_round_confirms_nothing() {
        let mut group = Group::inside(2);
        group.report(0, &waits(1, 0, 0, None));
        assert_eq!(group.report(1, &waits(0, 0, 0, None)), Verdict::Ask { round: 1 });
        group.report(0, &waits(1, 1, 0, Some(1)));
        group.report(0, &waits(1, 1, 1, Some(1)));
        assert_eq!(group.report(1, &waits(0, 1, 1, Some(1))), Verdict::Ask { round: 2 });
        group.report(0, &waits(1, 1, 1, Some(1)));
        group.report(1, &waits(0, 1, 1, Some(1)));
        assert_eq!(group.report(0, &waits(1, 1, 1, Some(2))), Verdict::Wait);
        assert!(matches!(group.report(1, &waits(0, 1, 1, Some(2))), Verdict::Deadlock(_)));
    }

    #[test]
    fn who_leaves_while_all_are_asked_may_have_sent_a_message_before() {
        let mut group = Group::inside(3);
        group.report(0, &waits(1, 0, 0, None));
        group.report(1, &waits(0, 0, 0, None));
        assert_eq!(group.report(2, &waits(0, 0, 0, None)), Verdict::Ask { round: 1 });
        group.report(0, &waits(1, 0, 0, Some(1)));
        group.report(1, &waits(0, 0, 0, Some(1)));
        assert_eq!(group.leaves(2), (vec![], Verdict::Wait));
        assert_eq!(group.report(2, &has_left(1, 0, Some(1))), Verdict::Wait, "that message has not come");
        assert_eq!(group.report(1, &waits(0, 0, 1, None)), Verdict::Ask { round: 2 });
    }

    #[test]
    fn what_is_sent_to_one_who_has_left_is_counted_when_it_comes() {
        let mut group = Group::of(&[true, false, false]);
        group.report(1, &waits(2, 1, 0, None));
        assert_eq!(group.report(2, &waits(1, 0, 0, None)), Verdict::Ask { round: 1 });
        group.report(1, &waits(2, 1, 0, Some(1)));
        group.report(2, &waits(1, 0, 0, Some(1)));
        assert_eq!(group.report(0, &has_left(0, 0, Some(1))), Verdict::Wait, "it is on its way");
        assert_eq!(group.report(0, &has_left(0, 1, None)), Verdict::Ask { round: 2 });
        group.report(0, &has_left(0, 1, Some(2)));
        group.report(1, &waits(2, 1, 0, Some(2)));
        assert!(matches!(group.report(2, &waits(1, 0, 0, Some(2))), Verdict::Deadlock(_)));
    }

    #[test]
    fn who_waits_for_one_that_has_left_or_leaves_is_to_be_told_and_is_no_deadlock() {
        let mut group = Group::of(&[true, false, false, false]);
        assert_eq!(group.say(1, &waits(0, 0, 0, None)), (Some(0), Verdict::Wait));
        assert_eq!(group.say(1, &waits(0, 0, 1, None)), (None, Verdict::Wait), "it has been told");
        for member in [2, 3, 1] {
            assert_eq!(group.report(member, &waits(member % 3 + 1, 0, 0, None)) == Verdict::Wait, member != 1);
        }
        let mut group = Group::inside(4);
        for member in [0, 1, 3] {
            group.report(member, &waits(2, 0, 0, None));
        }
        group.report(1, &waits(0, 0, 0, None));
        assert_eq!(group.leaves(2), (vec![0, 3], Verdict::Wait));
    }

    #[test]
    fn a_long_circle_is_named_by_its_first_members() {
        let mut group = Group::inside(1_000);
        for answers in [None, Some(1)] {
            for member in 0..1_000 {
                let verdict = group.report(member, &waits((member + 1) % 1_000, 0, 0, answers));
                if let Verdict::Deadlock(text) = verdict {
                    assert_eq!((member, answers), (999, Some(1)));
                    assert!(text.ends_with("member 7 waits for member 8 in recv, and 992 more"), "{text}");
                    return;
                }
            }
        }
        panic!("it is a circle");
    }

    /// What is known of a member, where all is counted anew each time.
    #[derive(Clone, Default)]
    struct Plain {
        is_known: bool,
        has_left: bool,
        on: Option<(u32, GroupKey)>,
        sent: u64,
        received: u64,
        answered: u32,
    }

    /// The same as [`Waits`], with a look at all members at each step.
    #[derive(Default)]
    struct Model {
        members: Vec<Plain>,
        round: u32,
        /// While all are asked: whether anything has changed since.
        asking: Option<bool>,
        is_over: bool,
    }

    impl Model {
        fn say(&mut self, member: u32, report: &WaitReport) -> (Option<u32>, Verdict) {
            let state = &mut self.members[member as usize];
            let on = report.on.filter(|_| !state.has_left);
            let before = std::mem::replace(&mut state.on, on);
            let said = (true, on, report.sent, report.received);
            if (state.is_known, before, state.sent, state.received) != said {
                (state.is_known, _, state.sent, state.received) = said;
                self.asking = self.asking.map(|_| true);
            }
            if self.asking.is_some() && report.answers == Some(self.round) {
                state.answered = self.round;
            }
            let news = on.filter(|(other, _)| before != on && self.has_left(*other));
            (news.map(|(other, _)| other), self.next_step())
        }

        fn leaves(&mut self, member: u32) -> (Vec<u32>, Verdict) {
            let answered = self.members[member as usize].answered;
            self.members[member as usize] = Plain { has_left: true, answered, ..Plain::default() };
            self.asking = self.asking.map(|_| true);
            let waits = |other: &u32| self.members[*other as usize].on.is_some_and(|(on, _)| on == member);
            let waiting = (0..self.members.len() as u32).filter(waits).collect();
            (waiting, self.next_step())
        }

        fn has_left(&self, member: u32) -> bool {
            self.members.get(member as usize).is_some_and(|state| state.has_left)
        }

        fn next_step(&mut self) -> Verdict {
            let all = &self.members;
            if self.asking.is_some() && all.iter().any(|state| state.answered != self.round) {
                return Verdict::Wait;
            }
            let unchanged = self.asking.take() == Some(false);
            let is_inside = |member: &u32| all.get(*member as usize).is_some_and(|state| !state.has_left);
            let goes_on = |state: &&Plain| !state.has_left && state.on.is_none_or(|(on, _)| !is_inside(&on));
            let can_wait = all.iter().any(|state| !state.has_left) && all.iter().filter(goes_on).count() == 0;
            let on_their_way = |state: &Plain| state.sent as i64 - state.received as i64;
            let is_unknown = all.iter().any(|state| state.has_left && !state.is_known);
            let is_quiet = is_unknown || all.iter().map(on_their_way).sum::<i64>() == 0;
            if self.is_over || !can_wait || !is_quiet {
                return Verdict::Wait;
            }
            if unchanged {
                self.is_over = true;
                return Verdict::Deadlock(String::new());
            }
            self.round += 1;
            self.asking = Some(false);
            Verdict::Ask { round: self.round }
        }
    }

    /// Members wait, exchange messages, answer and leave at random.
    #[test]
    fn what_follows_is_what_a_look_at_all_members_would_tell() {
        let mut seed = 1_u64;
        let mut random = |below: u32| {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (seed >> 33) as u32 % below
        };
        let without_text = |verdict| match verdict {
            Verdict::Deadlock(_) => Verdict::Deadlock(String::new()),
            other => other,
        };
        let mut seen = [0; 3];
        for _ in 0..3_000 {
            let members = 1 + random(4);
            let left: Vec<bool> = (0..members).map(|_| random(8) == 0).collect();
            let mut group = Group::of(&left);
            let plain = |has_left: &bool| Plain { has_left: *has_left, ..Plain::default() };
            let mut model = Model { members: left.iter().map(plain).collect(), ..Model::default() };
            let (mut exchanged, mut under_way) = (vec![(0, 0); members as usize], 0_u64);
            for _ in 0..40 {
                let member = random(members);
                if random(20) == 0 && !model.has_left(member) {
                    let (waiting, verdict) = group.leaves(member);
                    assert_eq!((waiting, without_text(verdict)), model.leaves(member));
                    continue;
                }
                let (sent, received) = &mut exchanged[member as usize];
                match random(12) {
                    0 => (*sent, under_way) = (*sent + 1, under_way + 1),
                    1..6 if under_way > 0 => (*received, under_way) = (*received + 1, under_way - 1),
                    _ => {}
                }
                let (sent, received) = (*sent, *received);
                let answers = [None, Some(model.round), Some(model.round), model.round.checked_sub(1)];
                let answers = answers[random(4) as usize];
                let report = match random(12) {
                    0 => has_left(sent, received, answers),
                    // Now and then for somebody who is not there.
                    1 => waits(members, sent, received, answers),
                    2 => waits(random(members), sent, received, answers),
                    _ => waits((member + 1) % members, sent, received, answers),
                };
                let (gone, verdict) = group.say(member, &report);
                let verdict = without_text(verdict);
                seen[0] += u32::from(gone.is_some());
                match verdict {
                    Verdict::Wait => {}
                    Verdict::Ask { .. } => seen[1] += 1,
                    Verdict::Deadlock(_) => seen[2] += 1,
                }
                assert_eq!((gone, verdict), model.say(member, &report));
            }
        }
        assert!(seen.iter().all(|times| *times > 300), "gone, asked, deadlocked: {seen:?}");
    }
}
