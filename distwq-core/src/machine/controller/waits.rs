//! Members of a group that all wait for each other: found by what each says it has sent, received and waits for.
//!
//! A member that waits for long says so. When all have, and nothing is on its way between them by their counts, they
//! are asked once more. If each then still waits and has exchanged nothing since, there was a moment, between the two
//! rounds, at which all waited and nothing was on its way: none of them can ever go on. One round would not be enough:
//! counts of different moments may match by chance (Mattern 1987, "Algorithms for distributed termination detection").

use crate::task::group::Operation;
use crate::wire::message::WaitReport;

/// What the members of one group have said of their waits.
#[derive(Debug)]
pub(super) struct Waits {
    reports: Vec<Option<WaitReport>>,
    /// While all are asked once more: who has confirmed.
    confirmed: Option<Vec<bool>>,
}

/// What follows from a report.
#[derive(PartialEq, Eq, Debug)]
pub(super) enum Verdict {
    /// Nothing yet.
    Wait,
    /// All who have not left have to be asked once more.
    Ask,
    /// They wait for each other, as the text says.
    Deadlock(String),
}

impl Waits {
    pub(super) fn new(members: usize) -> Self {
        Self { reports: vec![None; members], confirmed: None }
    }

    /// Takes the report of a member; `left` says who has left the group.
    pub(super) fn report(&mut self, member: usize, report: WaitReport, left: &[bool]) -> Verdict {
        let same = self.reports[member].as_ref().is_some_and(|known| known.is_same_wait(&report));
        let answers = report.answers;
        self.reports[member] = Some(report);
        if !same {
            self.confirmed = None;
        }
        if let Some(confirmed) = &mut self.confirmed {
            confirmed[member] |= answers;
            let all = confirmed.iter().zip(left).all(|(confirmed, left)| *confirmed || *left);
            // Who has left meanwhile has answered nothing, and its last message may still be on its way.
            return if all && self.is_quiet(left) { Verdict::Deadlock(self.describe(left)) } else { Verdict::Wait };
        }
        if !self.is_quiet(left) {
            return Verdict::Wait;
        }
        self.confirmed = Some(vec![false; left.len()]);
        Verdict::Ask
    }

    /// Whether all who have not left wait, with nothing on its way by their counts.
    fn is_quiet(&self, left: &[bool]) -> bool {
        let members = || (0..left.len()).filter(|member| !left[*member]);
        members().all(|to| {
            let Some(report) = self.reports[to].as_ref().filter(|report| report.on.is_some()) else {
                return false;
            };
            (0..left.len()).filter(|from| *from != to).all(|from| {
                let sent = match &self.reports[from] {
                    _ if left[from] => report.left_after[from],
                    sender => sender.as_ref().map(|sender| sender.sent[to]),
                };
                sent == Some(report.received[from])
            })
        })
    }

    fn describe(&self, left: &[bool]) -> String {
        let waits = self.reports.iter().enumerate().filter(|(member, _)| !left[*member]);
        let told = waits.filter_map(|(member, report)| {
            let (from, key) = report.as_ref()?.on?;
            Some(format!("member {member} waits for member {from} in {}", Operation::name_of(key.operation)))
        });
        told.collect::<Vec<_>>().join(", ")
    }
}

impl WaitReport {
    fn is_same_wait(&self, other: &Self) -> bool {
        self.on == other.on && self.sent == other.sent && self.received == other.received
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::GroupKey;

    fn waits(from: u32, sent: [u64; 2], received: [u64; 2], answers: bool) -> WaitReport {
        let on = Some((from, GroupKey { operation: Operation::Message as u8, sequence: 0, round: 0 }));
        WaitReport { epoch: 1, on, sent: sent.into(), received: received.into(), left_after: vec![None; 2], answers }
    }

    #[test]
    fn two_who_wait_for_each_other_are_found_after_a_second_round() {
        let mut group = Waits::new(2);
        let left = [false, false];
        assert_eq!(group.report(0, waits(1, [0, 0], [0, 0], false), &left), Verdict::Wait);
        assert_eq!(group.report(1, waits(0, [0, 0], [0, 0], false), &left), Verdict::Ask);
        assert_eq!(group.report(1, waits(0, [0, 0], [0, 0], true), &left), Verdict::Wait);
        let Verdict::Deadlock(text) = group.report(0, waits(1, [0, 0], [0, 0], true), &left) else {
            panic!("both have confirmed");
        };
        assert_eq!(text, "member 0 waits for member 1 in recv, member 1 waits for member 0 in recv");
    }

    #[test]
    fn a_message_on_its_way_or_one_that_came_meanwhile_is_no_deadlock() {
        let mut group = Waits::new(2);
        let left = [false, false];
        group.report(0, waits(1, [0, 1], [0, 0], false), &left);
        assert_eq!(group.report(1, waits(0, [0, 0], [0, 0], false), &left), Verdict::Wait);
        assert_eq!(group.report(1, waits(0, [0, 0], [1, 0], false), &left), Verdict::Ask);
        assert_eq!(group.report(0, waits(1, [0, 1], [0, 1], true), &left), Verdict::Wait);
        assert_eq!(group.report(1, waits(0, [0, 0], [1, 0], true), &left), Verdict::Wait);
    }

    #[test]
    fn who_leaves_while_all_are_asked_may_have_sent_a_message_before() {
        let mut group = Waits::new(2);
        group.report(0, waits(1, [0, 0], [0, 0], false), &[false, false]);
        assert_eq!(group.report(1, waits(0, [0, 0], [0, 0], false), &[false, false]), Verdict::Ask);
        let left = [false, true];
        assert_eq!(group.report(0, waits(1, [0, 0], [0, 0], true), &left), Verdict::Wait);
        let mut told = waits(1, [0, 0], [0, 0], false);
        told.left_after[1] = Some(1);
        assert_eq!(group.report(0, told, &left), Verdict::Wait, "that message has not come");
    }

    #[test]
    fn who_has_left_is_counted_by_what_it_said_when_it_left() {
        let mut group = Waits::new(2);
        let left = [true, false];
        let mut report = waits(0, [0, 0], [3, 0], false);
        assert_eq!(group.report(1, report.clone(), &left), Verdict::Wait);
        report.left_after[0] = Some(3);
        assert_eq!(group.report(1, report, &left), Verdict::Ask);
    }
}
